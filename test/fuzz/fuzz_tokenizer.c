/* fuzz_tokenizer.c - any bytes: the tokens' bytes are the normalised text, counts agree, cuts are clean.
 *
 *   DASHBOX_TOKENIZER=build/qwen.tok fuzz_tokenizer CORPUS
 */
#include "tokens/chat_template.h"
#include "tokens/nfc.h"
#include "tokens/tokenizer.c"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tokenizer  *t;
static struct count_memo *memo;

static void open_once(void)
{
    const char *path = getenv("DASHBOX_TOKENIZER");

    if (t)
        return;
    if (!path || tokenizer_open(path, &t) != OK) {
        fprintf(stderr, "fuzz_tokenizer: set DASHBOX_TOKENIZER to the table\n");
        exit(1);
    }
    memo = count_memo_open(64);
}

static void check_tokens(str text)
{
    size_t    count = tokenizer_count(t, text), at = 0;
    uint32_t *ids = xmalloc((count + 1) * sizeof(*ids));
    char      small[NFC_SMALL], *heap;
    str       clean = nfc_text(t, text, small, &heap);
    char      small_again[NFC_SMALL], *heap_again;
    str       again = nfc_text(t, clean, small_again, &heap_again);

    ASSERT(tokenizer_encode(t, text, ids, count) == count);
    for (size_t i = 0; i < count; i++) {
        str bytes = tokenizer_decode(t, ids[i]);

        ASSERT(bytes.len > 0);
        ASSERT(bytes.len <= clean.len - at);
        ASSERT(memcmp(clean.ptr + at, bytes.ptr, bytes.len) == 0);
        at += bytes.len;
    }
    ASSERT(at == clean.len);
    ASSERT(str_eq(clean, again));
    ASSERT(utf8_valid(clean));
    ASSERT(count_memo_get(memo, t, text) == count);
    ASSERT(count_memo_get(memo, t, text) == count);
    free(heap_again);
    free(heap);
    free(ids);
}

static void check_cuts(str text)
{
    size_t count = tokenizer_count(t, text), pieces = 0, at = 0;
    str    rest = text;
    bool   valid = utf8_valid(text);

    while (rest.len > 0) {
        str piece = tokenizer_next(t, &rest);

        ASSERT(piece.len > 0);
        ASSERT(piece.ptr == text.ptr + at);
        ASSERT(!valid || utf8_valid(piece));
        at += piece.len;
        pieces++;
    }
    ASSERT(at == text.len);
    /* Nothing to normalise: the pieces are tokens or several. (A run over the window may be cut in other places.) */
    if (valid && text.len < CUT_WINDOW_MAX &&
        nfc_clean_len(t, (const unsigned char *)text.ptr, (const unsigned char *)text.ptr + text.len) == text.len)
        ASSERT(pieces <= count);

    for (size_t max = 0; max <= count; max += 1 + max / 4) {
        size_t len = tokenizer_prefix(t, text, max);

        ASSERT(len <= text.len);
        ASSERT(tokenizer_count(t, str_first(text, len)) <= max);
        ASSERT(!valid || utf8_valid(str_first(text, len)));
    }
    ASSERT(tokenizer_prefix(t, text, count) == text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str text = str_of((const char *)data, size);

    open_once();
    if (size == 0)
        return 0;
    check_tokens(text);
    check_cuts(text);
    ASSERT(chat_template_message(memo, t, S("user"), text) >= tokenizer_count(t, text) / 2);
    return 0;
}
