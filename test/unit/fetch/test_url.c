/* test_url.c - URLs, and what a redirect means beside one. */
#include "fetch/url.c"

#include "../base/check.h"

static struct arena arena;

TEST(a_url_has_its_parts)
{
    static const struct {
        const char *text, *host, *target;
        unsigned    port;
        bool        tls, is_address;
    } cases[] = {
        { "http://example.com", "example.com", "/", 80, false, false },
        { "HTTPS://Example.com/a/b.txt?x=1#part", "Example.com", "/a/b.txt?x=1", 443, true, false },
        { "http://example.com:8080?x", "example.com", "/?x", 8080, false, false },
        { "http://example.com:/", "example.com", "/", 80, false, false },
        { "http://a-b_c.example/%E4%B8%AD", "a-b_c.example", "/%E4%B8%AD", 80, false, false },
        { "http://8.8.8.8/x", "8.8.8.8", "/x", 80, false, true },
        { "http://[2606::1]:81/x", "[2606::1]", "/x", 81, false, true },
        { "http://8.8.8.8.example/", "8.8.8.8.example", "/", 80, false, false },
        { "http://x/a@b:c", "x", "/a@b:c", 80, false, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url u;

        if (!url_parse(str_from_cstr(cases[i].text), &arena, &u))
            fail_msg("%s", cases[i].text);
        assert_string_equal(u.host, cases[i].host);
        assert_str(u.target, cases[i].target);
        assert_int_equal(u.port, cases[i].port);
        assert_int_equal(u.tls, cases[i].tls);
        assert_int_equal(u.is_address, cases[i].is_address);
    }
}

TEST(what_is_no_url_is_not_read)
{
    static const char *const bad[] = { "",
                                       "x",
                                       "//x",
                                       "http://",
                                       "http:///x",
                                       "http://x y/",
                                       "http://\xc3\xa9.example/",
                                       "http://x/\xc3\xa9",
                                       "http://.x/",
                                       "http://x:a/",
                                       "https:/x",
                                       "http://x$/",
                                       "http://x%41/" };
    struct url               u;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (url_parse(str_from_cstr(bad[i]), &arena, &u))
            fail_msg("\"%s\" was read", bad[i]);
    }
}

TEST(a_redirect_is_read_beside_its_url)
{
    static const char *const cases[][2] = {
        { "https://other/x", "https://other/x" },
        { "file:///etc/passwd", "file:///etc/passwd" },
        { "//other/x", "http://other/x" },
        { "/x", "http://here:81/x" },
        { "x", "http://here:81/a/x" },
        { "?q", "http://here:81/a/b?q" },
        { "x/y:z", "http://here:81/a/x/y:z" },
    };
    struct url base;

    assert_true(url_parse(S("http://here:81/a/b?c=/d"), &arena, &base));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_str(url_join(&base, str_from_cstr(cases[i][0]), &arena), cases[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_has_its_parts),
        cmocka_unit_test(what_is_no_url_is_not_read),
        cmocka_unit_test(a_redirect_is_read_beside_its_url),
    };
    int failed;

    arena_init(&arena, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
