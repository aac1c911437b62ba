/* test_results.c - files of results and their URLs. */
#include "store/results.c"

#include "../base/check.h"

static char            folder[64];
static struct store   *store;
static struct results *results;
static struct arena    arena;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-results-XXXXXX");
    arena_init(&arena, 0);
    return !mkdtemp(folder) || store_open(str_from_cstr(folder), &store) || results_open(store, S("results"), &results)
               ? -1
               : 0;
}

static int teardown(void **state)
{
    char rm[128];

    (void)state;
    results_close(results);
    store_close(store);
    arena_free(&arena);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm);
}

static void keep(const char *task, const char *text)
{
    char path[RESULT_PATH_MAX];
    int  fd;

    assert_int_equal(results_create(results, str_from_cstr(task), path, &fd), OK);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(results_keep(results, str_from_cstr(task), path, fd, S("r.txt")), OK);
}

TEST(a_result_is_there_whole_until_it_is_removed)
{
    char    path[RESULT_PATH_MAX], text[16];
    int     fd;
    int64_t size;

    assert_int_equal(results_create(results, S("t"), path, &fd), OK);
    assert_int_equal(results_read(results, S("t"), S("r.txt"), &fd, &size), ERR_NOT_FOUND);
    results_drop(results, S("t"), path, fd);
    assert_int_equal(access(path, F_OK), -1);
    keep("t", "first");
    keep("t", "again");
    keep("u", "other");
    assert_int_equal(results_read(results, S("t"), S("r.txt"), &fd, &size), OK);
    assert_int_equal(size, 5);
    assert_int_equal(read(fd, text, sizeof(text)), 5);
    assert_memory_equal(text, "again", 5);
    close(fd);
    results_remove(results, S("t"));
    assert_int_equal(results_read(results, S("t"), S("r.txt"), &fd, &size), ERR_NOT_FOUND);
    assert_int_equal(results_read(results, S("u"), S("r.txt"), &fd, &size), OK);
    close(fd);
    results_remove(results, (str){ 0 });
    assert_int_equal(results_read(results, S("u"), S("r.txt"), &fd, &size), ERR_NOT_FOUND);
}

/* The path behind /files/, and the query, of a URL. */
static bool good(str url, int64_t now_s)
{
    str task, name, path = str_from(url, S("http://h/files/").len), query;

    query = str_from(path, str_find(path, '?') + 1);
    path = str_first(path, str_find(path, '?'));
    return results_url_read(results, path, query, now_s, &task, &name) && str_eq(task, S("t")) &&
           str_eq(name, S("r.txt"));
}

TEST(a_url_is_good_until_it_expires_and_only_as_it_was_made)
{
    str             url = results_url(results, S("http://h"), S("t"), S("r.txt"), 1000, &arena);
    char           *other = arena_bytes(&arena, url.len);
    struct results *again;

    assert_true(good(url, 999));
    assert_false(good(url, 1000));
    for (size_t i = S("http://h/files/").len; i < url.len; i++) {
        memcpy(other, url.ptr, url.len);
        other[i] ^= 1;
        if (good(str_of(other, url.len), 999))
            fail_msg("%.*s", (int)url.len, other);
    }
    assert_false(good(str_first(url, url.len - 1), 999));
    assert_false(good(S("http://h/files/t/r.txt?"), 0));
    assert_int_equal(results_open(store, S("results"), &again), OK); /* the secret is kept */
    assert_str(results_url(again, S("http://h"), S("t"), S("r.txt"), 1000, &arena), arena_str(&arena, url).ptr);
    results_close(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_result_is_there_whole_until_it_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_url_is_good_until_it_expires_and_only_as_it_was_made, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
