/* test_moderation.c - sets of rules: against a matcher that tries every place, in one piece and cut everywhere. */
#include "access/moderation.c"

#include "../loop/run.h"

#include <pthread.h>

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 0);
    return loop_setup(state);
}

static int teardown(void **state)
{
    arena_free(&arena);
    return loop_teardown(state);
}

static struct moderation_rule word(const char *text)
{
    return (
        struct moderation_rule){ .id = str_from_cstr(text), .pattern = str_from_cstr(text), .sides = MODERATION_BOTH };
}

static struct moderation_rule regex(const char *text)
{
    struct moderation_rule r = word(text);

    r.is_regex = true;
    return r;
}

static struct moderation_set *compile(const struct moderation_rule *rules, size_t count, struct moderation_set *base)
{
    struct moderation_set    *s = NULL;
    struct moderation_problem problem;

    if (moderation_compile(rules, count, base, &arena, &s, &problem))
        fail_msg("%.*s", STR_ARG(problem.text));
    return s;
}

/* Compiles, and releases the set when the test ends. */
static struct moderation_set *set_of(const struct moderation_rule *rules, size_t count)
{
    struct moderation_set *s = compile(rules, count, NULL);

    arena_defer(&arena, (void (*)(void *))moderation_release, s);
    return s;
}

/* The id of the rule that is found, "" for none. */
static str found(struct moderation_set *s, unsigned side, str text)
{
    struct moderation_verdict v;

    if (!moderation_check(s, side, text, &v))
        return S("");
    assert_int_equal(v.side, side);
    return v.rule;
}

#define FOUND(s, text) found((s), MODERATION_INPUT, S(text))

/* The same from a stream, in pieces of `piece` bytes after a first one of `first`. */
static str found_cut(struct moderation_set *s, unsigned side, str text, size_t first, size_t piece)
{
    struct arena              a;
    struct moderation_stream *st;
    struct moderation_verdict v = { 0 };
    bool                      hit;

    arena_init(&a, 0);
    st = moderation_stream_open(s, side, &a);
    hit = moderation_stream_feed(st, str_first(text, first), &v);
    for (size_t at = first; at < text.len; at += piece) {
        char  *copy = malloc(piece); /* the sanitizer sees who looks at it later */
        size_t n = text.len - at < piece ? text.len - at : piece;
        bool   before = hit;

        memcpy(copy, text.ptr + at, n);
        hit = moderation_stream_feed(st, str_of(copy, n), &v);
        assert_true(hit || !before);
        free(copy);
    }
    if (!moderation_stream_end(st, &v))
        v.rule = S("");
    arena_free(&a);
    return v.rule;
}

TEST(a_word_is_found_in_any_case_and_width_and_inside_of_others)
{
    const struct moderation_rule rules[] = { word("Bad"), word("坏人"), word("Ｇｕｎ"), word("ÉTÉ"), word("plan b") };
    struct moderation_set       *s = set_of(rules, ARRAY_LEN(rules));

    assert_str(FOUND(s, "so bad"), "Bad");
    assert_str(FOUND(s, "BADLY"), "Bad");
    assert_str(FOUND(s, "ｂＡｄ"), "Bad");
    assert_str(FOUND(s, "他是坏人。"), "坏人");
    assert_str(FOUND(s, "guns"), "Ｇｕｎ");
    assert_str(FOUND(s, "un été"), "ÉTÉ");
    assert_str(FOUND(s, "PLAN　B"), "plan b");
    assert_str(FOUND(s, "b a d, 坏 人, gu"), "");
    assert_str(FOUND(s, ""), "");
}

TEST(a_word_is_no_expression)
{
    const struct moderation_rule rules[] = { word("a.c"), word("(x)*[y]{2}\\d") };
    struct moderation_set       *s = set_of(rules, ARRAY_LEN(rules));

    assert_str(FOUND(s, "abc"), "");
    assert_str(FOUND(s, "xA.C"), "a.c");
    assert_str(FOUND(s, "(X)*[y]{2}\\D"), "(x)*[y]{2}\\d");
}

TEST(expressions_match_code_points_of_folded_text)
{
    const struct moderation_rule rules[] = {
        regex("^.x$"), regex("b[а-я]{2}d"), regex("\\bkey\\b"), regex("（a+）"), regex("[Ａ-Ｃ]\\＋z"), regex("ÀÉ?Î"),
    };
    struct moderation_set *s = set_of(rules, ARRAY_LEN(rules));

    assert_str(FOUND(s, "中X"), "^.x$");
    assert_str(FOUND(s, "中x."), "");
    assert_str(FOUND(s, "BЖЫD"), "b[а-я]{2}d");
    assert_str(FOUND(s, "a KEY"), "\\bkey\\b");
    assert_str(FOUND(s, "monkey keys"), "");
    assert_str(FOUND(s, "aa"), "");
    assert_str(FOUND(s, "(AA)"), "（a+）");
    assert_str(FOUND(s, "b+z"), "[Ａ-Ｃ]\\＋z");
    assert_str(FOUND(s, "àî"), "ÀÉ?Î");
}

TEST(the_match_that_ends_first_counts_and_then_the_first_rule)
{
    const struct moderation_rule rules[] = { word("abcdef"), word("cd"), regex("b.d"), word("x"), word("f") };
    struct moderation_set       *s = set_of(rules, ARRAY_LEN(rules));

    assert_str(FOUND(s, "abcdef"), "cd");
    assert_str(FOUND(s, "b-d x cd"), "b.d");
    assert_str(FOUND(s, "f cd"), "f");
}

TEST(a_rule_looks_at_its_sides_alone)
{
    struct moderation_rule rules[] = { word("in"), word("out"), word("both") };
    struct moderation_set *s;

    rules[0].sides = MODERATION_INPUT;
    rules[1].sides = MODERATION_OUTPUT;
    s = set_of(rules, 3);
    assert_str(found(s, MODERATION_INPUT, S("out in both")), "in");
    assert_str(found(s, MODERATION_OUTPUT, S("in out both")), "out");
    assert_str(found(s, MODERATION_OUTPUT, S("in both")), "both");
    s = set_of(rules, 1);
    assert_true(moderation_looks_at(s, MODERATION_INPUT));
    assert_false(moderation_looks_at(s, MODERATION_OUTPUT));
    assert_false(moderation_looks_at(NULL, MODERATION_INPUT));
    assert_str(found(s, MODERATION_OUTPUT, S("in")), "");
}

static size_t clean_count(const struct moderation_set *s)
{
    size_t n = 0;

    for (size_t i = 0; i < CLEAN; i++)
        n += s->clean[i] != 0;
    return n;
}

TEST(a_clean_text_is_known_again_and_a_bad_one_never)
{
    struct moderation_rule rules[] = { word("bad"), word("answer") };
    struct moderation_set *s;
    str                    clean = S("A text that is long enough to be known again, with nothing that anybody minds.");
    str                    bad = S("A text that is long enough to be known again, with a bad word near to the end.");
    str                    half = S("A text that is long enough to be known again, refused only as an answer of ours.");

    rules[1].sides = MODERATION_OUTPUT;
    s = set_of(rules, 2);
    for (int i = 0; i < 3; i++) {
        assert_str(found(s, MODERATION_INPUT, clean), "");
        assert_int_equal(clean_count(s), 1);
        assert_str(found(s, MODERATION_INPUT, bad), "bad");
        assert_str(found(s, MODERATION_INPUT, str_first(clean, CLEAN_MIN - 1)), "");
        assert_int_equal(clean_count(s), 1);
    }
    assert_str(found(s, MODERATION_INPUT, half), "");
    assert_str(found(s, MODERATION_OUTPUT, half), "answer");
    assert_int_equal(clean_count(s), 2);
    assert_str(found(s, MODERATION_OUTPUT, clean), "");
    assert_int_equal(clean_count(s), 3);
    /* It is looked up, not looked at: a hash in the place of a bad text's lets it through. */
    s->clean[hash_secret(s->secrets, bad, MODERATION_INPUT) % CLEAN] = hash_secret(s->secrets, bad, MODERATION_INPUT);
    assert_str(found(s, MODERATION_INPUT, bad), "");
}

TEST(the_verdict_has_the_kind)
{
    struct moderation_rule    rules[] = { word("a"), word("b"), word("c"), word("d") };
    struct moderation_set    *s;
    struct moderation_verdict v;

    for (size_t i = 0; i < 4; i++)
        rules[i].kind = (enum moderation_kind)i;
    s = set_of(rules, 4);
    for (size_t i = 0; i < 4; i++) {
        enum moderation_kind kind;

        assert_true(moderation_check(s, MODERATION_OUTPUT, rules[i].pattern, &v));
        assert_int_equal(v.kind, i);
        assert_true(moderation_kind_read(moderation_kind_word(v.kind), &kind));
        assert_int_equal(kind, v.kind);
    }
}

TEST(a_set_stands_on_another_and_holds_it)
{
    const struct moderation_rule low[] = { word("low"), word("same") }, high[] = { word("high"), word("same") };
    struct moderation_set       *base = compile(low, 2, NULL), *s = compile(high, 2, base), *empty;
    struct moderation_verdict    v;

    moderation_release(base);
    assert_str(FOUND(s, "high low"), "high");
    assert_str(FOUND(s, "low high"), "low");
    assert_true(moderation_check(s, MODERATION_INPUT, S("same"), &v));
    assert_ptr_equal(v.rule.ptr, base->rules[1].id.ptr);
    assert_str(found_cut(s, MODERATION_INPUT, S("hilow high"), 3, 1), "low");
    empty = compile(NULL, 0, s);
    moderation_release(s);
    assert_str(FOUND(empty, "a high"), "high");
    moderation_release(empty);
}

TEST(a_set_without_rules_finds_nothing)
{
    struct moderation_set *s = set_of(NULL, 0);

    assert_false(moderation_looks_at(s, MODERATION_BOTH));
    assert_str(FOUND(s, "anything"), "");
    assert_str(found_cut(s, MODERATION_INPUT, S("anything"), 2, 2), "");
    assert_str(found_cut(NULL, MODERATION_INPUT, S("anything"), 2, 2), "");
}

TEST(a_stream_says_it_as_soon_as_it_is_complete_and_keeps_saying_it)
{
    const struct moderation_rule rules[] = { word("坏人"), regex("^go$") };
    struct moderation_set       *s = set_of(rules, 2);
    struct moderation_stream    *st = moderation_stream_open(s, MODERATION_OUTPUT, &arena);
    struct moderation_verdict    v;

    assert_false(moderation_stream_feed(st, S("x\xE5\x9D"), &v));
    assert_false(moderation_stream_feed(st, S("\x8F\xE4"), &v));
    assert_false(moderation_stream_feed(st, S("\xBA"), &v));
    assert_true(moderation_stream_feed(st, S("\xBA"), &v));
    assert_str(v.rule, "坏人");
    v.rule = S("");
    assert_true(moderation_stream_feed(st, S("more"), &v));
    assert_str(v.rule, "坏人");
    assert_true(moderation_stream_end(st, &v));

    st = moderation_stream_open(s, MODERATION_OUTPUT, &arena);
    assert_false(moderation_stream_feed(st, S("G"), &v));
    assert_false(moderation_stream_feed(st, S("o"), &v));
    assert_true(moderation_stream_end(st, &v));
    assert_str(v.rule, "^go$");
    assert_true(moderation_stream_end(st, &v));
}

/* ---- beside a matcher that tries every place ---- */

static uint64_t dice = 7;

static size_t roll(size_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (size_t)(dice % sides);
}

/* Few letters, in several spellings, so that much is found. The second spelling of a pair is what the first folds to. */
static const char *const letters[][2] = {
    { "a", "a" },   { "A", "a" },
    { "ａ", "a" },  { "Ａ", "a" },
    { "b", "b" },   { "Ｂ", "b" },
    { "É", "é" },   { "é", "é" },
    { "中", "中" }, { "文", "文" },
    { "丯", "丯" }, { "🙂", "🙂" },
    { "Ж", "ж" },   { "\xC3", "\xEF\xBF\xBD" },
};

/* Of `len` letters; ret_plain is how it reads folded. */
static str random_text(size_t len, size_t kinds, str *ret_plain)
{
    struct buf text, plain;

    buf_init(&text, &arena, SIZE_MAX / 2);
    buf_init(&plain, &arena, SIZE_MAX / 2);
    for (size_t i = 0; i < len; i++) {
        size_t k = roll(kinds);

        buf_add(&text, str_from_cstr(letters[k][0]));
        buf_add(&plain, str_from_cstr(letters[k][1]));
    }
    *ret_plain = buf_str(&plain);
    return buf_str(&text);
}

static str found_slowly(const struct moderation_rule *rules, const str *plain, size_t count, unsigned side, str text)
{
    for (size_t end = 1; end <= text.len; end++)
        for (size_t i = 0; i < count; i++)
            if ((rules[i].sides & side) && str_ends(str_first(text, end), plain[i]))
                return rules[i].id;
    return S("");
}

TEST(thousands_of_words_find_what_the_slow_matcher_finds)
{
    const size_t            count = 3000, rounds = HAS_TSAN_HERE ? 100 : 400;
    struct moderation_rule *rules = arena_array(&arena, struct moderation_rule, count);
    str                    *plain = arena_array(&arena, str, count);
    struct moderation_set  *s;
    size_t                  hits = 0;

    for (size_t i = 0; i < count; i++) {
        rules[i].pattern = random_text(5 + roll(6), ARRAY_LEN(letters) - 1, &plain[i]); /* words are whole */
        rules[i].id = arena_printf(&arena, "rule-%zu", i);
        rules[i].sides = 1 + (unsigned)roll(3);
    }
    s = set_of(rules, count);
    for (size_t i = 0; i < rounds; i++) {
        unsigned side = roll(2) ? MODERATION_INPUT : MODERATION_OUTPUT;
        str      folded, text = random_text(1 + roll(60), ARRAY_LEN(letters), &folded);
        str      want = found_slowly(rules, plain, count, side, folded), got = found(s, side, text);

        hits += want.len > 0;
        if (!str_eq(got, want))
            fail_msg("round %zu: got %.*s, wanted %.*s", i, STR_ARG(got), STR_ARG(want));
        for (size_t cut = 0; cut <= text.len; cut += 1 + roll(5)) {
            got = found_cut(s, side, text, cut, 1 + roll(9));
            if (!str_eq(got, want))
                fail_msg("round %zu, cut at %zu: got %.*s, wanted %.*s", i, cut, STR_ARG(got), STR_ARG(want));
        }
    }
    assert_in_range(hits, rounds / 10, rounds - rounds / 10);
}

TEST(a_stream_cut_at_any_byte_means_what_the_whole_text_means)
{
    const struct moderation_rule rules[] = { word("坏人"), regex("b[а-я]+d"), regex("^x.*z$"), regex("a.{2,9}🙂"),
                                             regex("\\d{3}-\\d{4}") };
    const str                    texts[] = {
                           S("他是坏人。"),        S("x中中z"),           S("bЖжЫd"),  S("a中文🙂"),
                           S("tel. 123-456-7890"), S("nothing \xE5\x9D"), S("x\xFFz"), S("１２３-４５６７"),
    };
    struct moderation_set *s = set_of(rules, ARRAY_LEN(rules));
    size_t                 hits = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        str want = found(s, MODERATION_INPUT, texts[i]);

        hits += want.len > 0;
        for (size_t cut = 0; cut <= texts[i].len; cut++)
            for (size_t piece = 1; piece < 6; piece++)
                assert_true(str_eq(found_cut(s, MODERATION_INPUT, texts[i], cut, piece), want));
    }
    assert_int_equal(hits, 7);
}

TEST(a_match_far_into_a_long_text_is_found_wherever_it_lies)
{
    const struct moderation_rule rules[] = { word("needle"), regex("begin.*end") };
    struct moderation_set       *s = set_of(rules, 2);
    const size_t                 len = 3 * FOLD_RUN;
    char                        *text = arena_bytes(&arena, len);

    for (size_t at = FOLD_RUN - 40; at < FOLD_RUN + 20; at++) {
        memset(text, '-', len);
        memcpy(text + at, "NEEDLE", 6);
        assert_str(found(s, MODERATION_INPUT, str_of(text, len)), "needle");
        assert_str(found(s, MODERATION_INPUT, str_of(text, at + 5)), "");
    }
    memset(text, '-', len);
    memcpy(text, "begin", 5);
    memcpy(text + len - 3, "end", 3);
    assert_str(found(s, MODERATION_INPUT, str_of(text, len)), "begin.*end");
}

/* ---- what is refused ---- */

static const char *refused(const struct moderation_rule *rules, size_t count, enum err want)
{
    struct moderation_set    *s = NULL;
    struct moderation_problem problem = { 0 };

    assert_int_equal(moderation_compile(rules, count, NULL, &arena, &s, &problem), want);
    assert_null(s);
    return str_to_cstr(&arena, problem.text);
}

static const char *refused_one(struct moderation_rule r, enum err want)
{
    r.id = S("list:7");
    return refused(&r, 1, want);
}

TEST(bad_rules_are_refused_by_name)
{
    const struct moderation_rule rules[] = { word("good"), regex("(") };
    struct moderation_set       *s = NULL;
    struct moderation_problem    problem;

    assert_string_equal(refused_one(word(""), ERR_INVALID), "list:7: empty");
    assert_string_equal(refused_one(word("\xFF"), ERR_INVALID), "list:7: not UTF-8");
    assert_string_equal(refused_one(regex("a*"), ERR_INVALID), "list:7: would match the empty text");
    assert_string_equal(refused_one(regex("(a.{1,1000}b.{1,1000}){10}"), ERR_LIMIT),
                        "list:7: too large when its repeats are written out");
    assert_int_equal(moderation_compile(rules, 2, NULL, &arena, &s, &problem), ERR_INVALID);
    assert_int_equal(problem.rule, 1);
    assert_str(problem.text, "(: a ( without its )");
}

TEST(there_are_limits_to_a_set)
{
    struct moderation_rule *rules = arena_array(&arena, struct moderation_rule, MODERATION_RULES_MAX + 1);
    char                   *text = arena_alloc_zero(&arena, MODERATION_PATTERN_MAX + 2);

    memset(text, 'w', MODERATION_PATTERN_MAX + 1);
    assert_non_null(strstr(refused_one(word(text), ERR_LIMIT), "longer than 1000 bytes"));
    text[MODERATION_PATTERN_MAX] = '\0';
    rules[0] = word(text);
    set_of(rules, 1);
    for (size_t i = 0; i <= MODERATION_RULES_MAX; i++)
        rules[i] = word(text);
    assert_non_null(strstr(refused(rules, MODERATION_RULES_MAX + 1, ERR_LIMIT), "100001 rules"));
    assert_non_null(strstr(refused(rules, 4001, ERR_LIMIT), "too many words"));
    for (size_t i = 0; i < 101; i++)
        rules[i] = regex("a{999}b");
    assert_non_null(strstr(refused(rules, 101, ERR_LIMIT), "too large together"));
}

/* ---- on fibers and threads ---- */

static struct moderation_set *shared_set;
static atomic_size_t          hits;

static void check_on_fiber(void *arg)
{
    struct moderation_verdict v;
    const str                *text = arg;

    CHECK(!moderation_check(shared_set, MODERATION_INPUT, *text, &v));
    CHECK(moderation_check(shared_set, MODERATION_INPUT, S("zz 12345 abaaQ"), &v));
}

TEST(scanning_fits_on_a_fiber_and_is_not_led_astray)
{
    static const char *const hard[] = {
        "(a+)+Q",
        "(a|aa)+Q",
        "(a|a?)+Q",
        "([a-z]+)*\\dQ",
        "(.*)(.*)(.*)(.*)Q",
        "a.{0,99}b.{0,99}Q",
        "^(([a-z])+.)+[A-Z]([a-z])+Q",
        "(x+x+)+yQ",
        "\\b\\w+(\\s\\w+){1,20}Q",
        "[^b]{300}Q",
        "(ab|ba){10,200}Q",
    };
    struct moderation_rule *rules = arena_array(&arena, struct moderation_rule, 500);
    const size_t            len = HAS_TSAN_HERE ? 100000 : 1000000;
    char                   *text = arena_bytes(&arena, len);
    str                     view = str_of(text, len);

    for (size_t i = 0; i < 500; i++)
        rules[i] = i < ARRAY_LEN(hard) ? regex(hard[i]) : word(arena_printf(&arena, "word%zuq", i).ptr);
    memset(text, 'a', len);
    shared_set = set_of(rules, 500);
    spawn(check_on_fiber, &view);
    run();
}

static void *check_on_thread(void *arg)
{
    struct arena a;

    (void)arg;
    arena_init(&a, 0);
    for (size_t i = 0; i < 300; i++) {
        struct moderation_set    *s = moderation_hold(shared_set);
        struct moderation_stream *st = moderation_stream_open(s, MODERATION_OUTPUT, &a);
        struct moderation_verdict v;

        moderation_stream_feed(st, S("so b"), &v);
        CHECK(!moderation_check(s, MODERATION_INPUT, S("nothing here"), &v));
        CHECK(moderation_stream_feed(st, S("ad"), &v));
        CHECK_STR(v.rule, "bad");
        atomic_fetch_add(&hits, 1);
        moderation_release(s);
        arena_reset(&a);
    }
    return NULL;
}

TEST(threads_share_a_set)
{
    const struct moderation_rule rule = word("bad");
    pthread_t                    threads[12]; /* more than there are spares */

    shared_set = compile(&rule, 1, NULL);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_on_thread, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    moderation_release(shared_set);
    assert_int_equal(hits, 12 * 300);
}

TEST(the_header_asks_for_the_guard)
{
    static const struct {
        const char *value;
        unsigned    sides;
    } cases[] = {
        { "enable", MODERATION_BOTH },
        { " Enable ", MODERATION_BOTH },
        { "{\"input\":\"cip\",\"output\":\"cip\"}", MODERATION_BOTH },
        { "{\"input\": \"cip\"}", MODERATION_INPUT },
        { "{\"input\":\"disable\",\"output\":\"cip\",\"more\":1}", MODERATION_OUTPUT },
        { "{\"input\":{},\"output\":[\"cip\"]}", 0 },
        { "disable", 0 },
        { "", 0 },
        { "cip", 0 },
        { "{\"input\":\"cip\"", 0 },
        { "[\"enable\"]", 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (moderation_header_sides(str_from_cstr(cases[i].value)) != cases[i].sides)
            fail_msg("%s", cases[i].value);
}

#define mod_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        mod_test(a_word_is_found_in_any_case_and_width_and_inside_of_others),
        mod_test(a_word_is_no_expression),
        mod_test(expressions_match_code_points_of_folded_text),
        mod_test(the_match_that_ends_first_counts_and_then_the_first_rule),
        mod_test(a_rule_looks_at_its_sides_alone),
        mod_test(a_clean_text_is_known_again_and_a_bad_one_never),
        mod_test(the_verdict_has_the_kind),
        mod_test(a_set_stands_on_another_and_holds_it),
        mod_test(a_set_without_rules_finds_nothing),
        mod_test(a_stream_says_it_as_soon_as_it_is_complete_and_keeps_saying_it),
        mod_test(thousands_of_words_find_what_the_slow_matcher_finds),
        mod_test(a_stream_cut_at_any_byte_means_what_the_whole_text_means),
        mod_test(a_match_far_into_a_long_text_is_found_wherever_it_lies),
        mod_test(bad_rules_are_refused_by_name),
        mod_test(there_are_limits_to_a_set),
        mod_test(scanning_fits_on_a_fiber_and_is_not_led_astray),
        mod_test(threads_share_a_set),
        mod_test(the_header_asks_for_the_guard),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
