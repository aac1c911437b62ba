/* test_moderation_rules.c - what people write into files of rules, and what they are told when it is wrong. */
#include "access/moderation_rules.c"

#include "../base/check.h"

static struct arena arena;
static char         path[64];

static int setup(void **state)
{
    int fd;

    (void)state;
    arena_init(&arena, 0);
    snprintf(path, sizeof(path), "/tmp/dashbox-words-XXXXXX");
    fd = mkstemp(path);
    close(fd);
    return fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    arena_free(&arena);
    return 0;
}

static enum err read_text(str text, struct moderation_rules *r, str *ret_problem)
{
    FILE *f = fopen(path, "w");

    *r = (struct moderation_rules){ 0 };
    assert_int_equal(fwrite(text.ptr, 1, text.len, f), text.len);
    fclose(f);
    return moderation_rules_read(r, str_from_cstr(path), &arena, ret_problem);
}

static void check_rule(const struct moderation_rule *r, const char *line, const char *pattern, bool is_regex,
                       enum moderation_kind kind, unsigned sides)
{
    assert_str(r->id, arena_printf(&arena, "%s:%s", strrchr(path, '/') + 1, line).ptr);
    assert_str(r->pattern, pattern);
    assert_int_equal(r->is_regex, is_regex);
    assert_int_equal(r->kind, kind);
    assert_int_equal(r->sides, sides);
}

TEST(a_file_has_a_rule_a_line)
{
    struct moderation_rules r;
    str                     problem;

    assert_int_equal(read_text(S("\xEF\xBB\xBF# words\n\nbad\r\n  two words \n/b.d/\n custom: 坏 人\ninput:x\n"
                                 "output : faq: /a:b/\nip: mouse\nip:input:cat\nnote: this\n  # more\nlast"),
                               &r, &problem),
                     OK);
    assert_int_equal(r.len, 10);
    check_rule(&r.ptr[0], "3", "bad", false, MODERATION_BLOCK, MODERATION_BOTH);
    check_rule(&r.ptr[1], "4", "two words", false, MODERATION_BLOCK, MODERATION_BOTH);
    check_rule(&r.ptr[2], "5", "b.d", true, MODERATION_BLOCK, MODERATION_BOTH);
    check_rule(&r.ptr[3], "6", "坏 人", false, MODERATION_CUSTOM, MODERATION_BOTH);
    check_rule(&r.ptr[4], "7", "x", false, MODERATION_BLOCK, MODERATION_INPUT);
    check_rule(&r.ptr[5], "8", "a:b", true, MODERATION_FAQ, MODERATION_OUTPUT);
    check_rule(&r.ptr[6], "9", "mouse", false, MODERATION_IP, MODERATION_INPUT);
    check_rule(&r.ptr[7], "10", "cat", false, MODERATION_IP, MODERATION_INPUT);
    check_rule(&r.ptr[8], "11", "note: this", false, MODERATION_BLOCK, MODERATION_BOTH);
    check_rule(&r.ptr[9], "13", "last", false, MODERATION_BLOCK, MODERATION_BOTH);
}

TEST(an_empty_file_has_none)
{
    struct moderation_rules r;
    str                     problem;

    assert_int_equal(read_text(S(""), &r, &problem), OK);
    assert_int_equal(r.len, 0);
}

TEST(a_bad_line_is_named)
{
    static const struct {
        const char *text;
        const char *problem; /* after the file's name */
    } cases[] = {
        { "good\nip: custom: x", ":2: two kinds" },
        { "input: output: x", ":1: two sides; a rule with none is for both" },
        { "\n\noutput: ip: x", ":3: ip rules look at input alone" },
        { "faq:\n", ":1: no rule after the colon" },
        { "/abc", ":1: a regular expression is written /…/" },
        { "//", ":1: a regular expression is written /…/" },
        { "a\n\xE5\x9D", ":2: not UTF-8" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct moderation_rules r;
        str                     problem = { 0 };

        assert_int_equal(read_text(str_from_cstr(cases[i].text), &r, &problem), ERR_INVALID);
        assert_str(problem, arena_printf(&arena, "%s%s", strrchr(path, '/') + 1, cases[i].problem).ptr);
    }
}

TEST(a_file_that_is_not_there_or_too_large_is_an_error)
{
    struct moderation_rules r = { 0 };
    str                     problem = { 0 };

    assert_int_equal(moderation_rules_read(&r, S("/nowhere/words"), &arena, &problem), ERR_IO);
    assert_str(problem, "/nowhere/words: No such file or directory");
    assert_int_equal(moderation_rules_read(&r, S("/"), &arena, &problem), ERR_IO);
    assert_int_equal(truncate(path, (off_t)MODERATION_FILE_MAX + 1), 0);
    assert_int_equal(moderation_rules_read(&r, str_from_cstr(path), &arena, &problem), ERR_LIMIT);
}

#define rules_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        rules_test(a_file_has_a_rule_a_line),
        rules_test(an_empty_file_has_none),
        rules_test(a_bad_line_is_named),
        rules_test(a_file_that_is_not_there_or_too_large_is_an_error),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
