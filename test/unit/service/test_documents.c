/* test_documents.c - a text that is counted a piece at a time has the count of the whole. */
#include "service/documents.c"

#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

static struct tokenizer *tokenizer;
static uint64_t          dice = 7;

static int setup(void **state)
{
    (void)state;
    return (int)tokenizer_open(getenv("DASHBOX_TOKENIZER"), &tokenizer);
}

static int teardown(void **state)
{
    (void)state;
    tokenizer_close(tokenizer);
    return 0;
}

/* What joins with what stands before or behind it, in some script or other. */
static const char *const bits[] = {
    "a",      "word",   "Don",    "'s",     "'LL", "'",      " ",  "  ",  "\t", "\n", "\n\n",
    "\n \n",  ".",      ",\n",    "\"",     "1",   "23",     "灯", "泡",  "。", "é",  "e",
    "\u0301", "\u00a0", "\u3000", "\u2028", "가",  "\u1161", "-",  "(x)", "_",  "/",  "<|im_start|>",
};

static size_t random_text(char *text, size_t most)
{
    size_t len = 0;

    for (;;) {
        const char *bit = bits[rand_next(&dice) % ARRAY_LEN(bits)];
        size_t      n = strlen(bit);

        if (len + n > most)
            return len;
        memcpy(text + len, bit, n);
        len += n;
    }
}

static void cuts_change_no_count(void **state)
{
    char text[400];
    int  cuts = 0;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        str    whole = str_of(text, random_text(text, 8 + rand_next(&dice) % (sizeof(text) - 8))), rest = whole;
        size_t sum = 0, at;

        /* From the end: each cut is made in what is left of the text before the last one. */
        while ((at = cut(tokenizer, rest))) {
            sum += tokenizer_count(tokenizer, str_from(rest, at));
            rest = str_first(rest, at);
            cuts++;
        }
        sum += tokenizer_count(tokenizer, rest);
        if (sum != tokenizer_count(tokenizer, whole))
            fail_msg("%zu tokens in parts, %zu in all: %.*s", sum, tokenizer_count(tokenizer, whole), STR_ARG(whole));
    }
    assert_true(cuts > 100000);
}

static int64_t take(int fd)
{
    struct taking t = { .tokenizer = tokenizer, .fd = fd, .piece = xmalloc(PIECE), .room = PIECE };

    while (!t.e && !t.whole)
        take_piece(&t);
    free(t.piece);
    assert_int_equal(t.e, OK);
    return t.tokens;
}

static void pieces_have_the_count_of_the_whole(void **state)
{
    size_t most = 3 * PIECE + 77, len;
    char  *text = xmalloc(most);
    int    fd = memfd_create("text", MFD_CLOEXEC);

    (void)state;
    len = random_text(text, most);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    assert_int_equal(take(fd), (int64_t)tokenizer_count(tokenizer, str_of(text, len)));

    /* Nowhere can it be cut: it is counted whole. */
    for (size_t i = 0; i + 3 <= most; i += 3)
        memcpy(text + i, "灯", 3);
    assert_int_equal(pwrite(fd, text, most / 3 * 3, 0), (ssize_t)(most / 3 * 3));
    assert_int_equal(ftruncate(fd, (off_t)(most / 3 * 3)), 0);
    assert_int_equal(take(fd), (int64_t)tokenizer_count(tokenizer, str_of(text, most / 3 * 3)));

    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(take(fd), 0);
    close(fd);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_change_no_count),
        cmocka_unit_test(pieces_have_the_count_of_the_whole),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
