/* test_app.c - definitions of applications. What refuses them on the wire is in test/wire/apps*.case. */
#include "contract/app.c"

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

static struct app read_good(const char *json)
{
    struct app app = { 0 };
    str        problem = { 0 };

    if (app_read(&arena, json_parse_copy(&arena, str_from_cstr(json)), &app, &problem))
        fail_msg("%s: %.*s", json, STR_ARG(problem));
    return app;
}

static void assert_refused(const char *json, const char *why)
{
    struct app  app;
    str         problem = { 0 };
    yyjson_val *root = json_parse_copy(&arena, str_from_cstr(json));

    assert_non_null(root);
    assert_int_equal(app_read(&arena, root, &app, &problem), ERR_INVALID);
    assert_str(problem, why);
}

#define FLOW(nodes) "{\"name\":\"F\",\"type\":\"flow\",\"nodes\":[{\"id\":\"s\",\"type\":\"start\"}," nodes "]}"
#define END         "{\"id\":\"e\",\"type\":\"end\",\"text\":\"x\"}"

TEST(an_agent)
{
    struct app a =
        read_good("{\"name\":\"A\",\"type\":\"agent\",\"model\":\"m\",\"temperature\":1,\"rounds\":3,\"thinking\":true,"
                  "\"variables\":[\"city\"],\"instructions\":\"in ${city}\",\"plugins\":[\"p\"],\"description\":null}");

    assert_int_equal(a.kind, APP_AGENT);
    assert_str(a.model.name, "m");
    assert_true(a.model.temperature.set && a.model.temperature.v == 1);
    assert_true(a.model.rounds.v == 3 && a.model.thinking.v && !a.model.search.set);
    assert_int_equal(a.instructions.count, 2);
    assert_int_equal(a.plugin_count, 1);
}

TEST(nodes_go_on_to_the_next_or_to_one_behind)
{
    struct app a =
        read_good(FLOW("{\"id\":\"a\",\"type\":\"template\",\"text\":\"x\",\"next\":\"c\"},"
                       "{\"id\":\"b\",\"type\":\"template\",\"text\":\"x\"},"
                       "{\"id\":\"c\",\"type\":\"condition\",\"else\":\"e\",\"cases\":[{\"when\":{\"value\":\"${a}\","
                       "\"equals\":\"x\"},\"next\":\"d\"}]},"
                       "{\"id\":\"d\",\"type\":\"template\",\"text\":\"x\"}," END));

    assert_int_equal(a.nodes.count, 6);
    assert_int_equal(a.nodes.at[0].next, 1);
    assert_int_equal(a.nodes.at[1].next, 3);
    assert_int_equal(a.nodes.at[3].next, 5);
    assert_int_equal(a.nodes.at[3].cases[0].next, 4);
}

TEST(what_is_wrong_is_told)
{
    assert_refused("[]", "the application: \"type\" must be agent or flow");
    assert_refused("{\"type\":\"agent\",\"model\":\"m\"}", "the application: it needs a \"name\" of at most 200 bytes");
    assert_refused("{\"name\":\"A\",\"type\":\"agent\",\"model\":\"m\",\"top_p\":2}",
                   "the application: top_p must be a number from 1e-06 to 1");
    assert_refused(FLOW("{\"id\":\"a b\",\"type\":\"template\",\"text\":\"x\"}," END),
                   "node a b: id must be 1 to 64 letters, digits, \"_\" or \"-\"");
    assert_refused(FLOW("{\"id\":\"s\",\"type\":\"template\",\"text\":\"x\"}," END), "node s: the id is taken");
    assert_refused(FLOW("{\"id\":\"sys\",\"type\":\"template\",\"text\":\"x\"}," END), "node sys: the id is taken");
    assert_refused(FLOW("{\"id\":\"a\",\"type\":\"template\",\"text\":\"${a}\"}," END),
                   "node a: text: \"${a}\" is of nothing that comes before it");
    assert_refused(FLOW("{\"id\":\"a\",\"type\":\"template\",\"text\":\"${x y}\"}," END),
                   "node a: text: \"${x y}\" is no name; \"$${\" writes \"${\" itself");
    assert_refused(FLOW("{\"id\":\"a\",\"type\":\"template\",\"text\":\"x\",\"next\":\"z\"}," END),
                   "node a: there is no node \"z\" here to go on to");
    assert_refused(FLOW("{\"id\":\"a\",\"type\":\"model\",\"prompt\":\"x\"}," END),
                   "node a: a model node needs \"model\" and \"prompt\"");
    assert_refused(
        FLOW("{\"id\":\"a\",\"type\":\"condition\",\"cases\":[{\"when\":{\"value\":\"x\"},\"next\":\"e\"}]}," END),
        "node a: a condition has a value and one test: equals, contains, empty, less, …");
}

TEST(a_loop_has_names_of_its_own)
{
    struct app a =
        read_good(FLOW("{\"id\":\"l\",\"type\":\"loop\",\"times\":2,\"output\":\"${in} ${l.index}\",\"nodes\":["
                       "{\"id\":\"in\",\"type\":\"template\",\"text\":\"${l.index} ${s}\"}]},"
                       "{\"id\":\"e\",\"type\":\"end\",\"text\":\"${l.result.0}\"}"));

    assert_int_equal(a.nodes.at[1].body.count, 1);
    assert_refused(FLOW("{\"id\":\"l\",\"type\":\"loop\",\"times\":2,\"nodes\":["
                        "{\"id\":\"in\",\"type\":\"template\",\"text\":\"x\"}]},"
                        "{\"id\":\"e\",\"type\":\"end\",\"text\":\"${in}\"}"),
                   "node e: text: \"${in}\" is of nothing that comes before it");
    assert_refused(FLOW("{\"id\":\"l\",\"type\":\"loop\",\"times\":2,\"over\":\"[]\",\"nodes\":[]}," END),
                   "node l: a loop goes \"over\" a list, or a number of \"times\"");
    assert_refused(FLOW("{\"id\":\"l\",\"type\":\"loop\",\"times\":101,\"nodes\":[]}," END),
                   "node l: times must be a whole number from 0 to 100");
    assert_refused(FLOW("{\"id\":\"l\",\"type\":\"loop\",\"times\":1,\"nodes\":["
                        "{\"id\":\"x\",\"type\":\"end\",\"text\":\"x\"}]}," END),
                   "nodes: an end cannot stand in a loop");
}

/* ---- texts ---- */

static yyjson_val *find(void *root, str name)
{
    return yyjson_obj_getn(root, name.ptr, name.len);
}

static str filled(const char *source, const char *json)
{
    struct app_values v = { find, json_parse_copy(&arena, str_from_cstr(json)) };
    struct app_text   t;
    str               ret = { 0 }, problem = { 0 };

    assert_true(app_text_read(&arena, str_from_cstr(source), &t, &problem));
    switch (app_text_fill(&arena, &t, &v, 40, &ret, &problem)) {
    case OK:
        return ret;
    case ERR_NOT_FOUND:
        return arena_printf(&arena, "missing %.*s", STR_ARG(problem));
    default:
        return S("too long");
    }
}

TEST(texts_are_filled)
{
    const char *values = "{\"a\":{\"result\":\"x\",\"n\":[1,{\"m\":null}]},\"b\":{\"c\":true}}";

    assert_str(filled("${a} ${a.result} ${a.n.0} ${a.n} ${b}", values), "x x 1 [1,{\"m\":null}] {\"c\":true}");
    assert_str(filled("$${a} $5 $$ }", values), "${a} $5 $$ }");
    assert_str(filled("[${a.n.1.m}]", values), "[]");
    assert_str(filled("${a.n.2}", values), "missing a.n.2");
    assert_str(filled("${c}", values), "missing c");
    assert_str(filled("${a}0123456789012345678901234567890123456789", values), "too long");
}

static bool holds(const char *test)
{
    struct app_values v = { find, json_parse_copy(&arena, S("{\"x\":{\"result\":\"10\"},\"e\":{\"result\":[]}}")) };
    str               names[] = { S("x"), S("e"), S("gone") }, problem = { 0 }, next;
    struct scope      scope = { NULL, names, 3 };
    struct reader     r = { .arena = &arena, .problem = &problem, .scope = &scope };
    struct app_case   c = { 0 };
    bool              ret = false;

    assert_true(case_read(&r, json_parse_copy(&arena, str_from_cstr(test)), false, &c, &next));
    assert_int_equal(app_case_holds(&arena, &c, &v, &ret, &problem), OK);
    return ret;
}

TEST(conditions_compare_numbers_as_numbers)
{
    assert_true(holds("{\"when\":{\"value\":\"${x}\",\"greater\":9}}"));
    assert_true(holds("{\"when\":{\"value\":\"${x}\",\"equals\":\"10.0\"}}"));
    assert_false(holds("{\"when\":{\"value\":\"${x}a\",\"greater\":9}}"));
    assert_true(holds("{\"when\":{\"value\":\"${x}\",\"at_most\":10}}"));
    assert_true(holds("{\"when\":{\"value\":\"${x}\",\"at_least\":10}}"));
    assert_false(holds("{\"when\":{\"value\":\"${x}\",\"less\":10}}"));
    assert_true(holds("{\"when\":{\"value\":\"${e}\",\"empty\":true}}"));
    assert_true(holds("{\"when\":{\"value\":\"${gone}\",\"empty\":true}}"));
    assert_false(holds("{\"when\":{\"value\":\"${x}\",\"empty\":true}}"));
    assert_true(
        holds("{\"all\":[{\"value\":\"${x}\",\"contains\":\"0\"},{\"value\":\"${x}\",\"not_contains\":\"2\"}]}"));
    assert_true(
        holds("{\"any\":[{\"value\":\"${x}\",\"starts_with\":\"2\"},{\"value\":\"${x}\",\"ends_with\":\"0\"}]}"));
    assert_false(holds("{\"any\":[{\"value\":\"${x}\",\"not_equals\":\"10\"}]}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_agent, setup, teardown),
        cmocka_unit_test_setup_teardown(nodes_go_on_to_the_next_or_to_one_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loop_has_names_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_are_filled, setup, teardown),
        cmocka_unit_test_setup_teardown(conditions_compare_numbers_as_numbers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
