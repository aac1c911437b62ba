/* encode_main.c - the tokenizer for scripts: texts in, ids out.
 *
 *   encode_main TABLE text|rendered          stdin: u32 length, bytes, …    stdout: u32 count, u32 ids, …
 *   encode_main TABLE bench FILE SECONDS     FILE as stdin above; prints the bytes, tokens and seconds of the best
 *                                            round: count, then encode
 *
 * Words are little-endian. Used by compare.mjs and test/bench/tokenizer.mjs.
 */
#include "rendered.h"

#include "base/arena.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static char  *input;
static size_t input_len;

static void die(const char *what)
{
    fprintf(stderr, "encode_main: %s\n", what);
    exit(1);
}

static void read_all(FILE *f)
{
    size_t cap = 1 << 20, n;

    input = xmalloc(cap);
    while ((n = fread(input + input_len, 1, cap - input_len, f)) > 0) {
        input_len += n;
        if (input_len == cap)
            input = xrealloc(input, cap *= 2);
    }
}

static bool next_text(size_t *at, str *ret)
{
    uint32_t len;

    if (input_len - *at < 4)
        return false;
    memcpy(&len, input + *at, 4);
    if (len > input_len - *at - 4)
        die("the input is cut short");
    *ret = str_of(input + *at + 4, len);
    *at += 4 + len;
    return true;
}

typedef size_t encode_fn(const struct tokenizer *t, str text, uint32_t *ids, size_t cap);

static void encode_all(const struct tokenizer *t, encode_fn *encode)
{
    size_t    cap = 4096, at = 0;
    uint32_t *ids = xmalloc(cap * sizeof(*ids));
    str       text;

    while (next_text(&at, &text)) {
        uint32_t count;

        if (3 * text.len > cap) {
            cap = 3 * text.len;
            ids = xrealloc(ids, cap * sizeof(*ids));
        }
        count = (uint32_t)encode(t, text, ids, cap);
        if (count != encode(t, text, NULL, 0))
            die("count and encode differ");
        fwrite(&count, sizeof(count), 1, stdout);
        fwrite(ids, sizeof(*ids), count, stdout);
    }
    free(ids);
}

static void bench(const struct tokenizer *t, double seconds, bool encode)
{
    int64_t   until = clock_mono_us() + (int64_t)(seconds * 1e6), best = INT64_MAX;
    size_t    bytes = 0, tokens = 0;
    uint32_t *ids = xmalloc(3 * input_len * sizeof(*ids));

    do {
        int64_t start = clock_mono_us();
        size_t  at = 0;
        str     text;

        bytes = tokens = 0;
        while (next_text(&at, &text)) {
            tokens += encode ? tokenizer_encode(t, text, ids, 3 * text.len) : tokenizer_count(t, text);
            bytes += text.len;
        }
        if (clock_mono_us() - start < best)
            best = clock_mono_us() - start;
    } while (clock_mono_us() < until);
    printf("%s %zu %zu %.9f\n", encode ? "encode" : "count", bytes, tokens, (double)best / 1e6);
    free(ids);
}

int main(int argc, char **argv)
{
    struct tokenizer *t;

    if (argc < 3)
        die("usage: encode_main TABLE text|rendered|bench …");
    if (tokenizer_open(argv[1], &t) != OK)
        die("cannot open the table");
    if (strcmp(argv[2], "bench") == 0 && argc == 5) {
        FILE *f = fopen(argv[3], "rb");

        if (!f)
            die("cannot open the corpus");
        read_all(f);
        fclose(f);
        bench(t, strtod(argv[4], NULL), false);
        bench(t, strtod(argv[4], NULL), true);
    } else {
        read_all(stdin);
        encode_all(t, strcmp(argv[2], "rendered") == 0 ? rendered_encode : tokenizer_encode);
    }
    free(input);
    tokenizer_close(t);
    return 0;
}
