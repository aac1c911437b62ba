/* test_moderation_regex.c - many expressions at once: beside the C library's, in one piece and cut, small and exploding. */
#include "access/moderation_regex.c"

#include "../base/check.h"
#include "base/buf.h"

#include <locale.h>
#include <regex.h>

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static uint64_t dice = 5;

static size_t roll(size_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (size_t)(dice % sides);
}

static struct regexes *machine(const char *const *patterns, size_t count)
{
    struct regexes *r = regexes_new(&arena);
    const char     *problem;

    for (size_t i = 0; i < count; i++)
        if (regexes_add(r, str_from_cstr(patterns[i]), (uint32_t)i, 3, &problem))
            fail_msg("%s: %s", patterns[i], problem);
    regexes_finish(r);
    return r;
}

/* After how many bytes a match is known; text.len + 1: at the end; 0: never. */
static size_t known(struct regex_cache *c, str text, size_t piece, uint32_t *ret_rule)
{
    struct regex_place place = { 0 };
    size_t             end, after = 0;

    for (size_t at = 0; at < text.len && !after; at += piece)
        if (regexes_scan(c, &place, str_first(str_from(text, at), piece), 1, &end, ret_rule))
            after = at + end;
    if (!after && regexes_end(c, &place, 1, ret_rule))
        after = text.len + 1;
    regex_place_free(&place);
    return after;
}

static size_t known_to_one(const char *pattern, str text)
{
    struct regex_cache *c = regex_cache_open(machine(&pattern, 1));
    uint32_t            rule = NONE;
    size_t              after = known(c, text, text.len + 1, &rule);

    assert_true(after == 0 || rule == 0);
    for (size_t piece = 1; piece <= text.len; piece++)
        assert_int_equal(known(c, text, piece, &rule), after);
    regex_cache_close(c);
    return after;
}

TEST(expressions_mean_what_they_mean_elsewhere)
{
    static const struct {
        const char *pattern, *text;
        size_t      after;
    } cases[] = {
        { "abc", "xabcabc", 4 },
        { "a|bc|d", "xbc", 3 },
        { "a.c", "a\nc abc", 7 },
        { "a中.c", "a中文c", 8 },
        { "^b", "ab", 0 },
        { "^ab", "ab", 2 },
        { "(^|x)y", "yx", 1 },
        { "ab$", "abab", 5 },
        { "(a|b$)c?", "b", 2 },
        { "\\Aab\\z", "ab", 3 },
        { "\\bkey\\b", "keys key", 9 },
        { "\\bkey\\b", "key.", 4 },
        { "\\bkey\\b", "中key中", 7 },
        { "\\bkey\\b", "monkey key_", 0 },
        { "\\Bkey", "key monkey", 10 },
        { "\\d{3}-\\d{4}", "12-3456 123-4567", 16 },
        { "a{2}", "aba aa", 6 },
        { "a{2,}b", "ab aaaab", 8 },
        { "xa{0,2}b", "xaaab xab", 9 },
        { "x(ab){2,3}y", "xaby xababababy xabababy", 24 },
        { "xa{0}y", "xay xy", 6 },
        { "a{,3}", "aaa a{,3}", 9 },
        { "a{x}", "a{x}", 4 },
        { "ab+?c??d", "abbd", 4 },
        { "(?:ab)+c", "ababc", 5 },
        { "[a-c]x", "dx cx", 5 },
        { "[^a-c]x", "ax dx", 5 },
        { "[]x]y", "]y", 2 },
        { "[^]x]y", "]y ay", 5 },
        { "[a-]z", "-z", 2 },
        { "[a\\]b]z", "]z", 2 },
        { "[\\d\\s]z", " z", 2 },
        { "[[:alpha:][:digit:]]-", "!- 5-", 5 },
        { "[\\x41-\\x43]!", "b!", 2 },
        { "\\x{4E2D}\\x41", "中a", 4 },
        { "\\.\\*\\/\\-\\x2f", ".*/-/", 5 },
        { "[\\s\\S]b", "\nb", 2 },
        { "[^\\s\\S]b|q", "abq", 3 },
        { "\\W\\w\\S\\D", "a!b5c", 5 },
        { "[一-龥]{3}", "ab中文 中文字", 18 },
        { "[а-я]+!", "жЖ ж!", 8 },
        { "🙂{2}", "🙂 🙂🙂", 13 },
        { "A[B-D]É[À-Þ]", "abéà", 6 },
        { "a(b|)c", "ac", 2 },
        { "(a*)*b", "aaab", 4 },
        { "((a|b)*c|d)+e", "abcddabe abcde", 14 },
        { "\\t\\n\\r\\f\\v.", "\t\n\r\f\vx", 6 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t got = known_to_one(cases[i].pattern, str_from_cstr(cases[i].text));

        if (got != cases[i].after)
            fail_msg("/%s/ in \"%s\": known after %zu, not %zu", cases[i].pattern, cases[i].text, got, cases[i].after);
    }
}

static const char *refused(const char *pattern, enum err want)
{
    const char *problem = NULL;
    enum err    e = regexes_add(regexes_new(&arena), str_from_cstr(pattern), 0, 3, &problem);

    if (e != want)
        fail_msg("/%s/: %s, not %s (%s)", pattern, err_text(e), err_text(want), problem ? problem : "");
    return problem;
}

TEST(what_is_not_understood_is_refused)
{
    static const char *const bad[] = {
        "(",      "(a",          "a)",      "[a",      "[]",        "[^]",  "a**", "*a",    "a|*b",
        "(?=a)b", "(?i)a",       "(?<n>a)", "(a)\\1",  "\\p{L}",    "a\\",  "\\q", "[b-a]", "[a-\\d]",
        "\\xZ",   "\\x{110000}", "a{3,2}",  "[[:x:]]", "\\x{D800}", "[\\x", "a++",
    };
    static const char *const empty[] = { "a*", "^", "$", "\\b", "^$", "a|", "(a?b?){3}", "\\b\\B", "()", "a{0}", "" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_non_null(refused(bad[i], ERR_INVALID));
    for (size_t i = 0; i < ARRAY_LEN(empty); i++)
        assert_string_equal(refused(empty[i], ERR_INVALID), "would match the empty text");
}

TEST(what_would_be_too_large_is_refused_at_once)
{
    static const char *const large[] = {
        "(a.{1,1000}b.{1,1000}){10}",
        "((a{99}){99}){99}",
        "(((((a|b){9}){9}){9}){9}){9}",
        "a{1001}",
        "a{1,1001}",
        "a{99999999999999999999}",
        "(((){1000}){1000}){1000}a",
        "[一-龥À-Þ]{1000}",
        "([^a]{99}[^b]{99}){9}",
    };
    char   nested[2 * REGEX_NEST_MAX + 4];
    size_t n = REGEX_NEST_MAX + 1;

    for (size_t i = 0; i < ARRAY_LEN(large); i++)
        assert_non_null(refused(large[i], ERR_LIMIT));
    memset(nested, '(', n);
    nested[n] = 'a';
    memset(nested + n + 1, ')', n);
    nested[2 * n + 1] = '\0';
    assert_string_equal(refused(nested, ERR_LIMIT), "groups are nested too deep");
}

/* ---- beside the C library ---- */

static void random_pattern(struct buf *b, unsigned depth)
{
    static const char *const atoms[] = { "a", "b", "c", "é", "中", ".", "[ab]", "[^a]", "[b-c中]" };
    static const char *const repeats[] = { "", "", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,2}" };
    size_t                   items = 1 + roll(4);

    for (size_t i = 0; i < items; i++) {
        if (depth && roll(4) == 0) {
            buf_add_char(b, '(');
            random_pattern(b, depth - 1);
            if (roll(2)) {
                buf_add_char(b, '|');
                random_pattern(b, depth - 1);
            }
            buf_add_char(b, ')');
        } else {
            buf_add(b, str_from_cstr(atoms[roll(ARRAY_LEN(atoms))]));
        }
        buf_add(b, str_from_cstr(repeats[roll(ARRAY_LEN(repeats))]));
    }
}

static str random_text(size_t len)
{
    static const char *const letters[] = { "a", "b", "c", "d", "é", "中", "文" };
    struct buf               b;

    buf_init(&b, &arena, SIZE_MAX / 2);
    for (size_t i = 0; i < len; i++)
        buf_add(&b, str_from_cstr(letters[roll(ARRAY_LEN(letters))]));
    return buf_str(&b);
}

TEST(random_expressions_find_what_the_c_librarys_find)
{
    enum { AT_ONCE = 5 };
    size_t hits = 0, rounds = 300;

    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        skip();
    for (size_t round = 0; round < rounds; round++) {
        const char         *patterns[AT_ONCE];
        regex_t             theirs[AT_ONCE];
        struct regex_cache *c;

        for (size_t i = 0; i < AT_ONCE;) {
            struct buf  b;
            const char *problem;

            buf_init(&b, &arena, 10000);
            random_pattern(&b, 2);
            patterns[i] = str_to_cstr(&arena, buf_str(&b));
            if (regexes_add(regexes_new(&arena), buf_str(&b), 0, 3, &problem))
                continue; /* it would match the empty text */
            assert_int_equal(regcomp(&theirs[i], patterns[i], REG_EXTENDED | REG_NOSUB), 0);
            i++;
        }
        c = regex_cache_open(machine(patterns, AT_ONCE));
        for (size_t t = 0; t < 8; t++) {
            str      text = random_text(roll(12));
            size_t   want = 0;
            uint32_t want_rule = NONE, rule = NONE;

            for (size_t end = 1; end <= text.len && !want; end++) {
                if (end < text.len && utf8_cut(text, end) != end)
                    continue;
                for (uint32_t i = 0; i < AT_ONCE && !want; i++) {
                    if (regexec(&theirs[i], str_to_cstr(&arena, str_first(text, end)), 0, NULL, 0) == 0) {
                        want = end;
                        want_rule = i;
                    }
                }
            }
            hits += want > 0;
            for (size_t piece = 1; piece <= text.len + 1; piece++)
                if (known(c, text, piece, &rule) != want || (want && rule != want_rule))
                    fail_msg("\"%.*s\": rule %u, not %u (/%s/)", STR_ARG(text), rule, want_rule,
                             want ? patterns[want_rule] : "");
        }
        regex_cache_close(c);
        for (size_t i = 0; i < AT_ONCE; i++)
            regfree(&theirs[i]);
        arena_reset(&arena);
    }
    assert_in_range(hits, rounds, 8 * rounds - rounds);
}

/* ---- the cache ---- */

TEST(a_cache_that_overflows_forgets_and_finds_the_same)
{
    /* Which of the last 12 were an "a" is 4,096 states, and there are two such memories. */
    static const char *const patterns[] = { "a.{12}x", "b.{13}y" };
    struct regexes          *r = machine(patterns, 2);
    struct regex_cache      *c = regex_cache_open(r);
    const size_t             len = 60000;
    char                    *text = arena_bytes(&arena, len);
    uint32_t                 rule = NONE;
    size_t                   at = len - 1;

    for (size_t i = 0; i < len; i++)
        text[i] = "abcd"[roll(4)];
    assert_int_equal(known(c, str_of(text, len), len, &rule), 0);
    assert_int_equal(known(c, str_of(text, len), 7, &rule), 0);
    assert_true(c->flushes > 3);
    while (text[at - 14] != 'b')
        at--;
    text[at] = 'y';
    assert_int_equal(known(c, str_of(text, len), 1000, &rule), at + 1);
    assert_int_equal(rule, 1);
    regex_cache_close(c);
}

TEST(a_place_goes_on_on_another_cache)
{
    static const char *const patterns[] = { "ab.*cd", "\\bx\\b" };
    struct regexes          *r = machine(patterns, 2);
    struct regex_cache      *a = regex_cache_open(r), *b = regex_cache_open(r);
    struct regex_place       place = { 0 };
    uint32_t                 rule;
    size_t                   end;

    assert_false(regexes_scan(a, &place, S("..ab.xx."), 1, &end, &rule));
    assert_false(regexes_scan(b, &place, S("x"), 1, &end, &rule));
    assert_true(regexes_scan(a, &place, S(" cd"), 1, &end, &rule));
    assert_int_equal(rule, 1);
    assert_int_equal(end, 1);
    regex_place_free(&place);
    regex_cache_close(a);
    regex_cache_close(b);
}

TEST(a_rule_is_for_its_sides)
{
    struct regexes     *r = regexes_new(&arena);
    struct regex_place  place = { 0 };
    struct regex_cache *c;
    const char         *problem;
    uint32_t            rule;
    size_t              end;

    assert_int_equal(regexes_add(r, S("a+"), 0, 2, &problem), OK);
    assert_int_equal(regexes_add(r, S("ab"), 1, 1, &problem), OK);
    regexes_finish(r);
    c = regex_cache_open(r);
    assert_true(regexes_scan(c, &place, S("aab"), 1, &end, &rule));
    assert_int_equal(rule, 1);
    place = (struct regex_place){ 0 };
    assert_true(regexes_scan(c, &place, S("aab"), 2, &end, &rule));
    assert_int_equal(rule, 0);
    assert_int_equal(end, 1);
    regex_place_free(&place);
    regex_cache_close(c);
}

#define regex_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        regex_test(expressions_mean_what_they_mean_elsewhere),
        regex_test(what_is_not_understood_is_refused),
        regex_test(what_would_be_too_large_is_refused_at_once),
        regex_test(random_expressions_find_what_the_c_librarys_find),
        regex_test(a_cache_that_overflows_forgets_and_finds_the_same),
        regex_test(a_place_goes_on_on_another_cache),
        regex_test(a_rule_is_for_its_sides),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
