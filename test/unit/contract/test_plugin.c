/* test_plugin.c - OpenAPI descriptions, and the calls that are made of them. */
#include "contract/plugin.c"

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

#define HEAD "\"openapi\":\"3.0.1\",\"info\":{\"title\":\"T\"},\"servers\":[{\"url\":\"http://example.com/v1//\"}]"

static struct plugin read_good(const char *json)
{
    struct plugin p;
    str           problem;

    if (plugin_read(&arena, json_parse_copy(&arena, str_from_cstr(json)), &p, &problem))
        fail_msg("%s: %.*s", json, STR_ARG(problem));
    return p;
}

static void assert_refused(const char *json, const char *why)
{
    struct plugin p;
    str           problem;

    assert_int_equal(plugin_read(&arena, json_parse_copy(&arena, str_from_cstr(json)), &p, &problem), ERR_INVALID);
    assert_str(problem, why);
}

/* "METHOD URL", then the fields that are the call's own, then the body. */
static str call(const struct plugin *p, const char *arguments, const char *secret)
{
    struct plugin_request q;
    str                   problem = { 0 };
    struct buf            b;

    if (plugin_request(&arena, p, &p->tools[0], json_parse_copy(&arena, str_from_cstr(arguments)),
                       str_from_cstr(secret), &q, &problem))
        return problem;
    buf_init(&b, &arena, SIZE_MAX / 2);
    buf_addf(&b, "%.*s %.*s", STR_ARG(q.method), STR_ARG(q.url));
    for (size_t i = 3; i < q.field_count; i++)
        buf_addf(&b, " %.*s=%.*s", STR_ARG(q.fields[i].name), STR_ARG(q.fields[i].value));
    if (q.has_body)
        buf_addf(&b, " %.*s", STR_ARG(q.body));
    return buf_str(&b);
}

TEST(arguments_go_where_the_description_says)
{
    struct plugin p = read_good(
        "{" HEAD
        ",\"paths\":{\"/a/{x}/b\":{\"parameters\":[{\"name\":\"x\",\"in\":\"path\"}],\"put\":{\"operationId\":\"op\","
        "\"summary\":\"S\",\"parameters\":[{\"name\":\"q r\",\"in\":\"query\",\"required\":true,\"schema\":{\"type\":\"string\"}},"
        "{\"name\":\"H\",\"in\":\"header\"}],\"requestBody\":{\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
        "\"required\":[\"m\"],\"properties\":{\"m\":{\"$ref\":\"#/components/schemas/M~1N\"}}}}}}}}},"
        "\"components\":{\"schemas\":{\"M/N\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}}}}}");

    assert_str(p.server, "http://example.com/v1");
    assert_str(p.tools[0].description, "S");
    assert_str(p.tools[0].schema,
               "{\"type\":\"object\",\"properties\":{\"x\":{},\"q r\":{\"type\":\"string\"},\"H\":{},"
               "\"m\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}}},\"required\":[\"x\",\"q r\",\"m\"]}");
    assert_str(
        call(&p, "{\"x\":\"1/2?\",\"q r\":\"\xc3\xa4 &\",\"H\":5,\"m\":[1],\"more\":1}", ""),
        "PUT http://example.com/v1/a/1%2F2%3F/b?q%20r=%C3%A4%20%26 H=5 content-type=application/json {\"m\":[1]}");
    assert_str(call(&p, "{\"x\":\"1\"}", ""), "the call has no \"q r\"");
    assert_str(call(&p, "{\"q r\":\"1\"}", ""), "the call has no \"x\"");
    assert_str(call(&p, "{\"x\":\"..\",\"q r\":\"1\"}", ""), "this cannot stand in a path: \"x\"");
    assert_str(call(&p, "{\"x\":\"\",\"q r\":\"1\"}", ""), "this cannot stand in a path: \"x\"");
    assert_str(call(&p, "{\"x\":1,\"q r\":\"1\",\"H\":\"a\\r\\nb: c\"}", ""), "this cannot stand in a header: \"H\"");
}

TEST(secrets_go_where_the_scheme_says)
{
    static const struct {
        const char *scheme, *secret, *want;
    } all[] = {
        { "{\"type\":\"http\",\"scheme\":\"Bearer\"}", "s", "GET http://example.com/v1/ authorization=Bearer s" },
        { "{\"type\":\"http\",\"scheme\":\"basic\"}", "u:p", "GET http://example.com/v1/ authorization=Basic dTpw" },
        { "{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X\"}", "s", "GET http://example.com/v1/ X=s" },
        { "{\"type\":\"apiKey\",\"in\":\"query\",\"name\":\"k\"}", "s&t", "GET http://example.com/v1/?k=s%26t" },
        { "{\"type\":\"apiKey\",\"in\":\"query\",\"name\":\"k\"}", "", "it has no secret" },
        { "{\"type\":\"http\",\"scheme\":\"bearer\",\"x-user-token\":true}", "", "the call has no user_token for it" },
    };

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct plugin p =
            read_good(arena_printf(&arena,
                                   "{" HEAD ",\"paths\":{\"/\":{\"get\":{\"operationId\":\"op\"}}},"
                                   "\"security\":[{\"k\":[]}],\"components\":{\"securitySchemes\":{\"k\":%s}}}",
                                   all[i].scheme)
                          .ptr);

        assert_str(call(&p, "{}", all[i].secret), all[i].want);
    }
}

TEST(what_is_wrong_is_told)
{
    assert_refused("{\"swagger\":\"2.0\"}", "it is no OpenAPI 3 description: \"openapi\" must be \"3.…\"");
    assert_refused("{" HEAD ",\"paths\":{}}", "\"paths\" has no operation");
    assert_refused("{" HEAD ",\"paths\":{\"/\":{\"get\":{}}}}",
                   "GET / needs an operationId of 1 to 64 letters, digits, \"_\" or \"-\"");
    assert_refused("{" HEAD ",\"paths\":{\"/\":{\"get\":{\"operationId\":\"a\"},\"put\":{\"operationId\":\"a\"}}}}",
                   "there are two operations \"a\"");
    assert_refused("{" HEAD ",\"paths\":{\"/\":{\"get\":{\"operationId\":\"a\",\"parameters\":[{\"$ref\":\"#/x\"}]}}}}",
                   "\"$ref\": \"#/x\" leads nowhere in the document");
    assert_refused(
        "{" HEAD
        ",\"x\":{\"$ref\":\"#/x\"},\"paths\":{\"/\":{\"get\":{\"operationId\":\"a\",\"parameters\":[{\"$ref\":\"#/x\"}]}}}}",
        "\"$ref\" leads round and round");
    assert_refused(
        "{" HEAD
        ",\"paths\":{\"/\":{\"get\":{\"operationId\":\"a\",\"parameters\":[{\"name\":\"c\",\"in\":\"cookie\"}]}}}}",
        "a: a parameter has a name, and is in path, query or header");
    assert_refused(
        "{" HEAD
        ",\"paths\":{\"/\":{\"post\":{\"operationId\":\"a\",\"requestBody\":{\"content\":{\"text/plain\":{}}}}}}}",
        "a: a body is application/json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(arguments_go_where_the_description_says, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_go_where_the_scheme_says, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_told, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
