/* test_kept.c - downloads that are kept, found, replaced and let go. */
#include "fetch/kept.c"

#include "../base/check.h"

#include <sys/mman.h>

static struct arena arena;
static struct kept  kept;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kept_clear(&kept);
    arena_free(&arena);
    return 0;
}

static void add(str url, str etag, const char *content, int64_t size)
{
    struct kept_file f = {
        .url = url, .etag = etag, .type = S("image/png"), .size = size, .fd = memfd_create("kept", MFD_CLOEXEC)
    };

    assert_true(f.fd >= 0);
    assert_int_equal(write(f.fd, content, strlen(content)), (ssize_t)strlen(content));
    kept_add(&kept, &f);
    close(f.fd);
}

static bool has(str url, const char *content)
{
    struct kept_file f;
    char             text[16] = { 0 };

    if (!kept_find(&kept, url, &arena, &f))
        return false;
    assert_int_equal(read(f.fd, text, sizeof(text)), (ssize_t)strlen(content)); /* from its start, each time */
    assert_string_equal(text, content);
    close(f.fd);
    return true;
}

TEST(what_can_be_asked_for_again_is_kept)
{
    struct kept_file f = { .url = S("http://a/b"), .fd = -1 };

    assert_false(has(S("http://a/b"), ""));
    kept_add(&kept, &f); /* without a validator */
    add(S("http://a/large"), S("\"1\""), "x", KEPT_FILE_MAX + 1);
    assert_false(has(S("http://a/b"), "") || has(S("http://a/large"), ""));
    add(S("http://a/b"), S("\"1\""), "one", 3);
    assert_true(has(S("http://a/b"), "one") && has(S("http://a/b"), "one"));
    add(S("http://a/b"), S("\"2\""), "two", 3);
    assert_true(has(S("http://a/b"), "two"));
    assert_true(kept_find(&kept, S("http://a/b"), &arena, &f));
    CHECK_STR(f.etag, "\"2\"");
    CHECK_STR(f.type, "image/png");
    close(f.fd);
    kept_clear(&kept);
    assert_false(has(S("http://a/b"), ""));
}

TEST(what_was_used_longest_ago_goes)
{
    char urls[KEPT_ENTRIES + 1][8];

    for (size_t i = 0; i <= KEPT_ENTRIES; i++) {
        snprintf(urls[i], sizeof(urls[i]), "u%zu", i);
        if (i == KEPT_ENTRIES)
            assert_true(has(S("u0"), "c"));
        add(str_from_cstr(urls[i]), S("e"), "c", 1);
    }
    assert_true(has(S("u0"), "c"));
    assert_false(has(S("u1"), "c"));
    assert_true(has(S("u2"), "c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_can_be_asked_for_again_is_kept),
                                        cmocka_unit_test(what_was_used_longest_ago_goes) };

    return cmocka_run_group_tests_name("kept", tests, setup, teardown);
}
