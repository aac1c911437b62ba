/* test_route.c - paths and methods. */
#include "server/route.c"

#include "../base/check.h"

TEST(a_path_is_found_as_it_is_spelt)
{
    const struct route *r = route_find(S("/compatible-mode/v1/chat/completions"));

    assert_non_null(r);
    assert_int_equal(r->surface, SURFACE_OPENAI);
    assert_int_equal(r->methods, ROUTE_POST);
    assert_true(r->needs_key);
    r = route_find(S("/api/v1/services/aigc/text-generation/generation"));
    assert_non_null(r);
    assert_int_equal(r->surface, SURFACE_NATIVE);
    r = route_find(S("/health"));
    assert_non_null(r);
    assert_int_equal(r->surface, SURFACE_PLAIN);
    assert_false(r->needs_key);
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
        cmocka_unit_test(other_paths_are_not_served),
        cmocka_unit_test(a_prefix_serves_what_is_below_it_and_not_itself),
        cmocka_unit_test(no_row_stands_in_the_way_of_another),
        cmocka_unit_test(methods_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
