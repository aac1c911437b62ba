/* test_record_normal.c - which requests are the same one, how they are written, and what their files are called. */
#include "engine/record/normal.c"

#include "../base/check.h"

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

static struct normal normal(const char *body)
{
    struct normal n;

    normal_of(&arena, S("POST"), S("/chat/completions"), str_from_cstr(body), &n);
    return n;
}

static void same(const char *one, const char *other)
{
    struct normal x = normal(one), y = normal(other);

    if (!str_eq(x.body, y.body))
        fail_msg("%.*s is not %.*s", STR_ARG(x.body), STR_ARG(y.body));
    assert_true(str_eq(x.name, y.name));
}

static void different(const char *one, const char *other)
{
    assert_false(str_eq(normal(one).name, normal(other).name));
}

TEST(a_body_is_written_for_people)
{
    CHECK_STR(
        normal(
            "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9\\n\"}],\"model\":\"m\",\"stop\":[],"
            "\"x\":{}}")
            .body,
        "{\n"
        "  \"messages\": [\n"
        "    {\n"
        "      \"content\": \"hé\\n\",\n"
        "      \"role\": \"user\"\n"
        "    }\n"
        "  ],\n"
        "  \"model\": \"m\",\n"
        "  \"stop\": [],\n"
        "  \"stream\": true,\n"
        "  \"x\": {}\n"
        "}\n");
}

#define M "\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

TEST(order_blanks_and_volatile_members_do_not_matter)
{
    same("{" M ",\"seed\":1}", "{ \"seed\" : 1,\n" M "}");
    same("{" M "}", "{" M ",\"user\":\"u-77\",\"request_id\":\"5\",\"metadata\":{\"a\":\"b\"},\"store\":true,"
                    "\"safety_identifier\":\"s\",\"prompt_cache_key\":\"p\"}");
    different("{" M "}", "{" M ",\"seed\":1}");
    different("{" M ",\"tools\":[{\"user\":\"a\"}]}", "{" M ",\"tools\":[{\"user\":\"b\"}]}"); /* not at the top */
    different("{\"model\":\"m\",\"stop\":[\"a\",\"b\"]}", "{\"model\":\"m\",\"stop\":[\"b\",\"a\"]}");
}

#define CALLS(a, b, first, second)                                                                                    \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"" a "\"},{\"id\":\"" b "\"}]}," \
    "{\"role\":\"tool\",\"tool_call_id\":\"" first "\"},{\"role\":\"tool\",\"tool_call_id\":\"" second "\"}]}"

TEST(ids_of_tool_calls_are_numbered)
{
    same(CALLS("call_a9", "call_b7", "call_a9", "call_b7"), CALLS("x", "y", "x", "y"));
    different(CALLS("a", "b", "a", "b"), CALLS("a", "b", "b", "a"));
}

TEST(media_are_kept_as_their_hash)
{
    static const char head[] = "{\"model\":\"m\",\"messages\":[{\"url\":\"data:image/png;base64,";
    struct buf        b, other;

    buf_init(&b, &arena, 1 << 20);
    buf_add(&b, str_from_cstr(head));
    for (unsigned i = 0; i < 5000; i++)
        buf_add(&b, S("QUJD"));
    buf_init(&other, &arena, 1 << 20);
    buf_add(&other, buf_str(&b));
    buf_add(&b, S("\"}]}"));
    buf_add(&other, S("QUJD\"}]}"));
    buf_add_char(&b, 0);
    buf_add_char(&other, 0);
    assert_true(normal(b.ptr).body.len < 300);
    assert_int_not_equal(str_find_str(normal(b.ptr).body, S("\"data:image/png;base64,(sha256 ")), STR_NONE);
    different(b.ptr, other.ptr);
}

TEST(secrets_are_not_in_it)
{
    struct normal n =
        normal("{\"model\":\"m\",\"messages\":[{\"content\":\"sk-0123456789abcdef0 \\\"password\\\":\\\"x\\\"\"}],"
               "\"api_key\":\"abc\"}");

    assert_int_equal(str_find_str(n.body, S("0123456789")), STR_NONE);
    assert_int_not_equal(str_find_str(n.body, S("\"api_key\": \"REMOVED\"")), STR_NONE);
    assert_int_not_equal(str_find_str(n.body, S("\\\"password\\\":\\\"REMOVED\\\"")), STR_NONE);
}

TEST(a_name_is_of_the_request_alone_and_fits_every_file_system)
{
    struct normal n = normal("{" M "}"), warm = normal("{" M ",\"temperature\":1}"), odd;

    CHECK_STR(n.name, "m-59bbd2cf-c0890bbd"); /* a new one would orphan what people have committed */
    assert_true(str_starts(n.name, n.family));
    assert_true(str_eq(n.family, warm.family));
    assert_false(str_eq(n.name, warm.name));
    odd = normal("{\"model\":\"../Qwen/Qwen3:8b 好\"}");
    assert_true(str_starts(odd.name, S("-.-Qwen-Qwen3-8b-")));
    assert_int_equal(str_find(odd.name, '/'), STR_NONE);
    assert_true(str_starts(normal("no JSON").name, S("request-")));
    CHECK_STR(normal("no JSON, sk-0123456789abcdef").body, "no JSON, sk-REMOVED\n");
}

TEST(deep_values_stay_as_they_came)
{
    struct buf b;

    buf_init(&b, &arena, 1 << 22);
    buf_add(&b, S("{\"model\":\"m\",\"x\":"));
    for (unsigned i = 0; i < 200000; i++)
        buf_add_char(&b, '[');
    for (unsigned i = 0; i < 200000; i++)
        buf_add_char(&b, ']');
    buf_add(&b, S("}\0"));
    assert_true(normal(b.ptr).body.len > 400000);
    assert_int_equal(normal_difference(&arena, normal(b.ptr).body, normal(b.ptr).body).len, 0);
}

static void differs(const char *one, const char *other, const char *where)
{
    CHECK_STR(normal_difference(&arena, str_from_cstr(one), str_from_cstr(other)), where);
}

TEST(the_first_difference_is_named)
{
    differs("{\"a\":1}", "{\"a\":1}", "");
    differs("{\"a\":1}", "{\"a\":1.5}", "a");
    differs("{\"a\":1}", "{\"a\":1,\"b\":{}}", "b");
    differs("{\"messages\":[{\"content\":\"x\"},{\"content\":\"y\"}]}",
            "{\"messages\":[{\"content\":\"x\"},{\"content\":\"z\"}]}", "messages[1].content");
    differs("{\"messages\":[1]}", "{\"messages\":[1,2]}", "messages[1]");
    differs("{}", "[]", "body");
    differs("{}", "text", "body");
}

TEST(likeness_is_what_two_texts_begin_and_end_with)
{
    assert_int_equal(normal_likeness(S("abcd"), S("abcd")), 1000);
    assert_int_equal(normal_likeness(S("abXd"), S("abcd")), 750);
    assert_int_equal(normal_likeness(S("aa"), S("aaaa")), 500);
    assert_int_equal(normal_likeness(S(""), S("a")), 0);
}

static void texts_and_queries_are_what_is_asked(void **state)
{
    struct normal a = normal("{\"model\":\"m\",\"input\":[\"a\"]}"), b = normal("{\"model\":\"m\",\"input\":[\"b\"]}");
    struct normal c = normal("{\"model\":\"m\",\"input\":[\"a\"],\"dimensions\":64}");
    struct normal q = normal("{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a\"]}");
    struct normal r = normal("{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"b\"]}");

    (void)state;
    assert_false(str_eq(a.family, b.family));
    assert_true(str_eq(a.family, c.family));
    assert_false(str_eq(a.name, c.name));
    assert_false(str_eq(q.family, r.family));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_written_for_people),
        cmocka_unit_test(order_blanks_and_volatile_members_do_not_matter),
        cmocka_unit_test(ids_of_tool_calls_are_numbered),
        cmocka_unit_test(media_are_kept_as_their_hash),
        cmocka_unit_test(secrets_are_not_in_it),
        cmocka_unit_test(a_name_is_of_the_request_alone_and_fits_every_file_system),
        cmocka_unit_test(deep_values_stay_as_they_came),
        cmocka_unit_test(the_first_difference_is_named),
        cmocka_unit_test(texts_and_queries_are_what_is_asked),
        cmocka_unit_test(likeness_is_what_two_texts_begin_and_end_with),
    };

    return cmocka_run_group_tests_name("record_normal", tests, setup, teardown);
}
