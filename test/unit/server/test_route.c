/* test_route.c - paths and methods. */
#include "server/route.c"

#include "../base/check.h"

TEST(a_path_is_found_as_it_is_spelt)
{
    const struct route *r = route_find(S("/compatible-mode/v1/chat/completions"));

    assert_non_null(r);
    assert_int_equal(r->surface, SURFACE_OPENAI);
    assert_int_equal(r->methods, ROUTE_POST);
    assert_int_equal(r->auth, ROUTE_AUTH_KEY);
    r = route_find(S("/api/v1/services/aigc/text-generation/generation"));
    assert_non_null(r);
    assert_int_equal(r->surface, SURFACE_NATIVE);
    r = route_find(S("/health"));
    assert_non_null(r);
    assert_int_equal(r->surface, SURFACE_PLAIN);
    assert_int_equal(r->auth, ROUTE_AUTH_NONE);
}

TEST(a_slash_behind_a_path_that_takes_posts)
{
    const struct route *r = route_find(S("/api/v1/services/aigc/multimodal-generation/generation/"));

    assert_non_null(r);
    assert_ptr_equal(r, route_find(S("/api/v1/services/aigc/multimodal-generation/generation")));
    assert_null(route_find(S("/api/v1/services/aigc/multimodal-generation/generation//")));
    assert_null(route_find(S("/compatible-mode/v1/chat/completions/")));
    assert_null(route_find(S("/health/")));
}

TEST(other_paths_are_not_served)
{
    static const char *const paths[] = { "",
                                         "health",
                                         "/Health",
                                         "/healthz",
                                         "/health?x",
                                         "//health",
                                         "/health%20",
                                         "*",
                                         "/compatible-mode/v1/chat/completion",
                                         "/compatible-mode/v1/chat" };

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (route_find(str_from_cstr(paths[i])))
            fail_msg("\"%s\" is served", paths[i]);
    }
    assert_null(route_find((str){ 0 }));
}

TEST(a_path_that_is_written_in_another_way_is_told_from_an_unknown_one)
{
    static const char *const malformed[] = { "//compatible-mode/v1/chat/completions",
                                             "/compatible-mode//v1/chat/completions",
                                             "/compatible-mode/v1/chat/completions.",
                                             "/compatible-mode/v1/chat/completions%20",
                                             "/compatible-mode/v1/chat/completions%22",
                                             "/compatible-mode/v1/chat/complet%69ons",
                                             "/compatible-mode/v1/chat/completions\xef\xbc\x9b",
                                             "/compatible\xef\xbc\x8dmode/v1/chat/completions" };
    static const char *const other[] = { "/compatible-mode/v1/chat/completions",
                                         "/compatible-mode/v1/chat/completions/",
                                         "/compatible-mode/v1/chat/completion.",
                                         "/",
                                         "",
                                         ".",
                                         "%2e",
                                         "%" };
    const struct route      *wanted = route_find(S("/compatible-mode/v1/chat/completions"));
    struct arena             a;

    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        if (route_of_malformed(&a, str_from_cstr(malformed[i])) != wanted)
            fail_msg("\"%s\"", malformed[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        if (route_of_malformed(&a, str_from_cstr(other[i])))
            fail_msg("\"%s\"", other[i]);
    }
    arena_free(&a);
}

TEST(a_plans_host_leaves_its_base_out)
{
    const struct route *r = route_find(S("/coding/v1/chat/completions"));
    char                longest[PLAN_PATH_MAX + 1] = { 0 };

    assert_non_null(r);
    assert_int_equal(r->auth, ROUTE_AUTH_PLAN);
    assert_ptr_equal(route_of_request(S("/v1/chat/completions"), S("coding.example.com")), r);
    assert_ptr_equal(route_of_request(S("/v1/chat/completions"), S("CODING-intl.example.com:8420")), r);
    assert_ptr_equal(route_of_request(S("/coding/v1/chat/completions"), S("127.0.0.1:8420")), r);
    assert_int_equal(route_of_request(S("/v1/chat/completions"), S("example.com"))->auth, ROUTE_AUTH_KEY);
    assert_null(route_of_request(S("/v1/models"), S("coding.example.com")));
    assert_null(route_of_request(S("/health"), S("coding.example.com")));
    memset(longest, 'x', sizeof(longest) - 1);
    assert_null(route_of_request(str_of(longest, sizeof(longest) - 1), S("coding.example.com")));
}

TEST(a_prefix_serves_what_is_below_it_and_not_itself)
{
    unsigned prefixes = 0;

    for (unsigned i = 0; i < route_count; i++) {
        const struct route *r = &route_rows[i], *itself = route_find(r->path);
        char                below[256];

        if (!r->prefix)
            continue;
        prefixes++;
        assert_ptr_not_equal(itself, r);
        snprintf(below, sizeof(below), "%.*sx", STR_ARG(r->path));
        assert_ptr_equal(route_find(str_from_cstr(below)), r);
    }
    assert_true(prefixes > 0);
}

TEST(no_row_stands_in_the_way_of_another)
{
    for (unsigned i = 0; i < route_count; i++) {
        const struct route *r = &route_rows[i];

        assert_non_null(r->handler);
        assert_true(r->methods != 0);
        assert_true(str_starts(r->path, S("/")));
        if (!r->prefix && route_find(r->path) != r)
            fail_msg("%.*s is found in another row", STR_ARG(r->path));
    }
}

TEST(methods_are_told_apart)
{
    assert_int_equal(route_method(S("GET")), ROUTE_GET);
    assert_int_equal(route_method(S("HEAD")), ROUTE_GET);
    assert_int_equal(route_method(S("POST")), ROUTE_POST);
    assert_int_equal(route_method(S("PUT")), ROUTE_PUT);
    assert_int_equal(route_method(S("PATCH")), ROUTE_PATCH);
    assert_int_equal(route_method(S("DELETE")), ROUTE_DELETE);
    assert_int_equal(route_method(S("OPTIONS")), ROUTE_OPTIONS);
    assert_int_equal(route_method(S("post")), ROUTE_OTHER);
    assert_int_equal(route_method(S("CONNECT")), ROUTE_OTHER);
    assert_int_equal(route_method((str){ 0 }), ROUTE_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_found_as_it_is_spelt),
        cmocka_unit_test(a_slash_behind_a_path_that_takes_posts),
        cmocka_unit_test(other_paths_are_not_served),
        cmocka_unit_test(a_path_that_is_written_in_another_way_is_told_from_an_unknown_one),
        cmocka_unit_test(a_plans_host_leaves_its_base_out),
        cmocka_unit_test(a_prefix_serves_what_is_below_it_and_not_itself),
        cmocka_unit_test(no_row_stands_in_the_way_of_another),
        cmocka_unit_test(methods_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
