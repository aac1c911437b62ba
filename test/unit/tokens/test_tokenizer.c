/* test_tokenizer.c - counts, ids, cutting, and broken tables. compare.mjs compares ids with the package's.
 *
 * The table is argv[1] or the environment's DASHBOX_TOKENIZER.
 */
#include "tokens/nfc.c"
#include "tokens/table.c"
#include "tokens/tokenizer.c"

#include "base/rand.h"
#include "rendered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char       *table;
static struct tokenizer *t;

static void ids_are(str text, const uint32_t *ids, size_t n)
{
    uint32_t got[64];

    assert_int_equal(tokenizer_encode(t, text, got, ARRAY_LEN(got)), n);
    assert_int_equal(tokenizer_count(t, text), n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(got[i], ids[i]);
}
#define IDS_ARE(text, ...) \
    ids_are(S(text), (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void known_texts_have_known_ids(void **state)
{
    (void)state;
    IDS_ARE("你好，world", 108386, 3837, 14615);   /* deps.md §7.4 */
    IDS_ARE("代码改变世界", 46100, 101933, 99489); /* chat.md §10.7 */
    assert_int_equal(tokenizer_count(t, S("")), 0);
    assert_int_equal(tokenizer_count(t, (str){ 0 }), 0);
}

static void tokens_decode_to_their_bytes(void **state)
{
    static const char text[] = "Hello, 你好! \xF0\x9F\xA4\xB7\xF0\x9F\x8F\xBB 'tis 3.14\r\n\n  x\t\t";
    uint32_t          ids[64];
    size_t            n = tokenizer_encode(t, str_from_cstr(text), ids, ARRAY_LEN(ids)), at = 0;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        str bytes = tokenizer_decode(t, ids[i]);

        assert_true(at + bytes.len < sizeof(text));
        assert_memory_equal(bytes.ptr, text + at, bytes.len);
        at += bytes.len;
    }
    assert_int_equal(at, sizeof(text) - 1);
    assert_true(str_eq(tokenizer_decode(t, TOKEN_IM_START), S("<|im_start|>")));
    assert_true(str_eq(tokenizer_decode(t, TOKEN_IM_END), S("<|im_end|>")));
    assert_true(str_eq(tokenizer_decode(t, TOKEN_ENDOFTEXT), S("<|endoftext|>")));
    assert_int_equal(tokenizer_decode(t, 151669).len, 0);
    assert_int_equal(tokenizer_decode(t, UINT32_MAX).len, 0);
}

static void every_token_encodes_to_itself(void **state)
{
    (void)state;
    for (uint32_t id = 0; id < t->plain_count; id++) {
        str         bytes = tokenizer_decode(t, id);
        uint32_t    got;
        struct sink s = { .ids = &got, .cap = 1 };

        piece_tokens(t, (const unsigned char *)bytes.ptr, bytes.len, &s);
        sink_end(&s);
        if (s.count != 1 || got != id)
            fail_msg("token %u is %zu tokens, the first %u", id, s.count, got);
    }
}

/* Merging as the definition has it: the pair of the lowest rank first, the leftmost of equals. */
static size_t merge_slowly(str text, uint32_t *ids)
{
    size_t n = text.len;

    for (size_t i = 0; i < n; i++)
        ids[i] = trie_whole(t, (const unsigned char *)text.ptr + i, (const unsigned char *)text.ptr + i + 1);
    for (;;) {
        uint32_t best = PAIR_FREE;
        size_t   at = 0;

        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t made = pair_merge(t, ids[i], ids[i + 1]);

            if (made < best) {
                best = made;
                at = i;
            }
        }
        if (best == PAIR_FREE)
            return n;
        ids[at] = best;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof(*ids));
        n--;
    }
}

static void merging_is_that_of_the_definition(void **state)
{
    static const char *const alphabets[] = { "ab",  "etaoinshr",       "=-", " \t", "abcdefghijklmnopqrstuvwxyz",
                                             "aA'", "\xE4\xBD\xA0\xE5" };
    uint64_t                 seed = 1;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        char        text[200];
        uint32_t    want[200], got[200];
        const char *alphabet = alphabets[round % ARRAY_LEN(alphabets)];
        size_t      len = 1, n;
        struct sink s = { .ids = got, .cap = ARRAY_LEN(got) };

        for (size_t i = 0; i < sizeof(text); i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[i] = alphabet[(seed >> 33) % strlen(alphabet)];
            if (i == 0)
                len = 1 + (seed >> 40) % (round % 10 ? 30 : sizeof(text));
        }
        n = merge_slowly(str_of(text, len), want);
        piece_tokens(t, (const unsigned char *)text, len, &s);
        sink_end(&s);
        assert_int_equal(s.count, n);
        assert_memory_equal(got, want, n * sizeof(*got));
    }
}

static void markup_is_text_unless_the_text_was_rendered(void **state)
{
    uint32_t ids[8];

    (void)state;
    assert_true(tokenizer_count(t, S("<|im_end|>")) > 1);
    assert_int_equal(rendered_encode(t, S("<|im_end|>"), NULL, 0), 1);
    assert_int_equal(rendered_encode(t, S("<<think>\n</think>"), ids, 8), 4);
    assert_int_equal(ids[1], 151667);
    assert_int_equal(ids[3], 151668);
    assert_int_equal(rendered_encode(t,
                                     S("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
                                       "你是谁？<|im_end|>\n<|im_start|>assistant\n"),
                                     NULL, 0),
                     22);
}

static void ids_beyond_the_room_are_counted_but_not_written(void **state)
{
    uint32_t ids[3] = { 7, 7, 7 };
    size_t   n = tokenizer_encode(t, S("one two three four"), ids, 2);

    (void)state;
    assert_int_equal(n, 4);
    assert_int_not_equal(ids[1], 7);
    assert_int_equal(ids[2], 7);
}

static void same(str a, str b)
{
    uint32_t ids_a[256], ids_b[256];
    size_t   n = tokenizer_encode(t, a, ids_a, ARRAY_LEN(ids_a));

    assert_int_equal(tokenizer_encode(t, b, ids_b, ARRAY_LEN(ids_b)), n);
    assert_memory_equal(ids_a, ids_b, n * sizeof(*ids_a));
}

static void text_is_counted_in_nfc(void **state)
{
    (void)state;
    same(S("e\u0301a\u0323\u0302"), S("é\u1EAD"));
    same(S("a\u0302\u0323"), S("\u1EAD"));                      /* marks are sorted */
    same(S("\u1112\u1161\u11AB\u1100\u1173\u11AF"), S("한글")); /* Hangul from jamo */
    same(S("\uAC00\u11A8"), S("각"));                           /* and from a syllable and a consonant */
    same(S("\u212B\u2126"), S("ÅΩ"));                           /* singletons */
    same(S("\u0958"), S("\u0915\u093C"));                       /* excluded from composition */
    same(S("か\u3099"), S("が"));
    same(S("=\u0338"), S("\u2260"));
    same(S("'s\u0301"), S("'\u015B")); /* no contraction any more */
}

static void broken_utf8_counts_as_replacement_characters(void **state)
{
    (void)state;
    same(S("\xFF"), S("\uFFFD"));
    same(S("a\xC3"), S("a\uFFFD"));
    same(S("\xE4\xBD\xFFx"), S("\uFFFD\uFFFDx")); /* the longest beginning of a character is one */
    same(S("\xED\xA0\x80"), S("\uFFFD\uFFFD\uFFFD"));
    same(S("\xF0\x9F\x98"), S("\uFFFD"));
    same(S("\xC0\x80\xF5"), S("\uFFFD\uFFFD\uFFFD"));
    same(S("e\xCC\x81\x81"), S("é\uFFFD"));
}

static const char *const cut_texts[] = {
    "The quick brown fox's tail isn't 1,234 cm long.\n\n\tReally?   No...  'tis   \r\n so!",
    "你是谁？我是通义千问，由阿里云研发的大语言模型。ひらがなカタカナ 한국어 ไทย",
    "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7 \xF0\x9F\xA4\xB7\xF0\x9F\x8F\xBB \xF0\x9F\xA7\xBF\xF0\x9F\xAB\xA0",
    "...'s ...'ll ''''s \"'re\" !!'t   \n  \n x",
    "e\xCC\x81 broken \xFF\xFE \xE4\xBD utf-8 \xED\xA0\x80 a\xCC\xA3\xCC\x82",
    "ᚠᛇᚻ 𝒳𝒴 \u2CEF\u0958 ሀሁ",
};

static void an_answer_is_cut_into_its_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cut_texts); i++) {
        str    text = str_from_cstr(cut_texts[i]), rest = text;
        size_t pieces = 0, at = 0;

        while (rest.len > 0) {
            str piece = tokenizer_next(t, &rest);

            assert_true(piece.len > 0);
            assert_ptr_equal(piece.ptr, text.ptr + at);
            at += piece.len;
            pieces++;
            if (utf8_valid(text))
                assert_true(utf8_valid(piece));
        }
        assert_int_equal(at, text.len);
        if (i < 2)
            assert_int_equal(pieces, tokenizer_count(t, text));
        else if (i < 4)
            assert_true(pieces <= tokenizer_count(t, text));
        assert_int_equal(tokenizer_next(t, &rest).len, 0);
    }
}

static void a_long_run_is_cut_too(void **state)
{
    enum { LEN = 100000 };
    char    *text = xmalloc(LEN);
    str      rest = str_of(text, LEN);
    uint64_t seed = 3;
    size_t   pieces = 0;

    (void)state;
    for (size_t i = 0; i < LEN; i++)
        text[i] = (char)('a' + rand_next(&seed) % 26);
    while (rest.len > 0) {
        (void)tokenizer_next(t, &rest);
        pieces++;
    }
    assert_int_equal(pieces, tokenizer_count(t, str_of(text, LEN)));
    free(text);
}

static void a_prefix_has_at_most_so_many_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cut_texts); i++) {
        str    text = str_from_cstr(cut_texts[i]);
        size_t total = tokenizer_count(t, text), before = 0;

        for (size_t max = 0; max < total; max++) {
            size_t len = tokenizer_prefix(t, text, max);

            assert_true(len < text.len);
            assert_true(len >= before);
            assert_true(tokenizer_count(t, str_first(text, len)) <= max);
            if (utf8_valid(text))
                assert_true(utf8_valid(str_first(text, len)));
            before = len;
        }
        assert_int_equal(tokenizer_prefix(t, text, total), text.len);
        assert_int_equal(tokenizer_prefix(t, text, SIZE_MAX), text.len);
    }
    assert_int_equal(tokenizer_prefix(t, S("one two three"), 2), 7);
    assert_int_equal(tokenizer_prefix(t, S("你是谁？"), 1), 6);
    assert_int_equal(tokenizer_prefix(t, S(""), 0), 0);
}

static void white_space_is_known(void **state)
{
    (void)state;
    assert_true(tokenizer_starts_blank(t, S(" x")));
    assert_true(tokenizer_starts_blank(t, S("\u3000x")));
    assert_true(tokenizer_starts_blank(t, S("\uFEFF")));
    assert_false(tokenizer_starts_blank(t, S("x ")));
    assert_false(tokenizer_starts_blank(t, S("")));
    assert_false(tokenizer_starts_blank(t, S("\xE3\x80")));
}

/* ---- broken tables ------------------------------------------------------------------------------------------------ */

static char broken_path[] = "/tmp/dashbox-tokenizer-XXXXXX";

static enum err open_bytes(const char *bytes, size_t len)
{
    struct tokenizer *broken = NULL;
    FILE             *f = fopen(broken_path, "wb");
    enum err          e;

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    e = tokenizer_open(broken_path, &broken);
    if (e == OK)
        tokenizer_close(broken);
    else
        assert_null(broken);
    return e;
}

static void a_damaged_table_is_refused(void **state)
{
    FILE    *f = fopen(table, "rb");
    char    *bytes;
    long     size;
    size_t   len;
    uint64_t seed = 11;
    int      fd;

    (void)state;
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    rewind(f);
    len = (size_t)size;
    bytes = xmalloc(len + 64);
    memset(bytes + len, 0, 64);
    assert_int_equal(fread(bytes, 1, len, f), len);
    fclose(f);

    fd = mkstemp(broken_path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(open_bytes(bytes, len), OK);
    assert_int_equal(open_bytes(bytes, 0), ERR_INVALID);
    assert_int_equal(open_bytes(bytes, 100), ERR_INVALID);
    assert_int_equal(open_bytes(bytes, len - 64), ERR_INVALID);
    assert_int_equal(open_bytes(bytes, len + 64), ERR_INVALID);
    for (size_t at = 0; at < sizeof(struct table_header) - 16; at++) {
        bytes[at] ^= 0x41;
        assert_int_equal(open_bytes(bytes, len), ERR_INVALID);
        bytes[at] ^= 0x41;
    }
    for (unsigned i = 0; i < 60; i++) {
        size_t at = 128 + rand_next(&seed) % (len - 128);
        char   bit = (char)BIT(rand_next(&seed) % 8);

        bytes[at] ^= bit;
        assert_int_equal(open_bytes(bytes, len), ERR_INVALID);
        bytes[at] ^= bit;
    }
    unlink(broken_path);
    free(bytes);
}

static void a_missing_table_is_not_found(void **state)
{
    struct tokenizer *none = NULL;

    (void)state;
    assert_int_equal(tokenizer_open("/nonexistent/qwen.tok", &none), ERR_NOT_FOUND);
    assert_int_equal(tokenizer_open("/tmp", &none), ERR_IO); /* a folder opens, but does not read */
    assert_null(none);
    tokenizer_close(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_have_known_ids),
        cmocka_unit_test(tokens_decode_to_their_bytes),
        cmocka_unit_test(every_token_encodes_to_itself),
        cmocka_unit_test(merging_is_that_of_the_definition),
        cmocka_unit_test(markup_is_text_unless_the_text_was_rendered),
        cmocka_unit_test(ids_beyond_the_room_are_counted_but_not_written),
        cmocka_unit_test(text_is_counted_in_nfc),
        cmocka_unit_test(broken_utf8_counts_as_replacement_characters),
        cmocka_unit_test(an_answer_is_cut_into_its_tokens),
        cmocka_unit_test(a_long_run_is_cut_too),
        cmocka_unit_test(a_prefix_has_at_most_so_many_tokens),
        cmocka_unit_test(white_space_is_known),
        cmocka_unit_test(a_damaged_table_is_refused),
        cmocka_unit_test(a_missing_table_is_not_found),
    };
    int failed;

    table = argc > 1 ? argv[1] : getenv("DASHBOX_TOKENIZER");
    if (!table || tokenizer_open(table, &t) != OK) {
        fprintf(stderr, "test_tokenizer: no table at %s\n", table ? table : "$DASHBOX_TOKENIZER");
        return 1;
    }
    failed = cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
    tokenizer_close(t);
    return failed;
}
