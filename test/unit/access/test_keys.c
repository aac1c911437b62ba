/* test_keys.c - API keys: made, found, ended, and never written down. */
#include "access/keys.c"

#include "../loop/run.h"

#include <dirent.h>
#include <sys/stat.h>

static char          folder[64];
static struct store *store, *other; /* two connections, as two processes have them */
static struct keys  *keys;
static struct arena  arena;

static str folder_str(void)
{
    return str_from_cstr(folder);
}

static int setup(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/dashbox-keys-XXXXXX");
    store = other = NULL;
    keys = NULL;
    arena_init(&arena, 0);
    if (!mkdtemp(folder) || store_open(folder_str(), &store) || store_open(folder_str(), &other))
        return -1;
    return loop_setup(state);
}

/* Calls fn for every file of the folder. */
static void for_each_file(void (*fn)(const char *path))
{
    DIR           *dir = opendir(folder);
    struct dirent *e;

    assert_non_null(dir);
    while ((e = readdir(dir))) {
        char path[400];

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        fn(path);
    }
    closedir(dir);
}

static void remove_file(const char *path)
{
    unlink(path);
}

static int teardown(void **state)
{
    keys_close(keys);
    store_close(store);
    store_close(other);
    for_each_file(remove_file);
    rmdir(folder);
    arena_free(&arena);
    return loop_teardown(state);
}

static str create(struct store *s, const char *name, struct key *ret)
{
    char *secret = arena_bytes(&arena, KEY_LEN + 1);

    assert_int_equal(keys_create(s, str_from_cstr(name), S("default"), secret, &arena, ret), OK);
    return str_of(secret, KEY_LEN);
}

TEST(a_key_has_the_form_of_the_clouds)
{
    struct key k;
    str        secret = create(store, "mine", &k);

    assert_true(str_starts(secret, S("sk-")));
    assert_int_equal(strspn(secret.ptr + 3, "0123456789abcdef"), 32);
    assert_int_equal(secret.ptr[KEY_LEN], 0);
    assert_true(str_starts(k.id, S("key-")));
    assert_int_equal(k.id.len, 12);
    assert_str(k.name, "mine");
    assert_str(k.workspace, "default");
    assert_int_equal(k.revoked_ms, 0);
    assert_true(str_starts(k.hint, str_first(secret, 5)));
    assert_true(str_ends(k.hint, str_from(secret, KEY_LEN - 2)));
    assert_int_equal(k.hint.len, 5 + 3 + 2);
    assert_false(str_eq(create(store, "mine", &k), secret)); /* each is a new one */
}

TEST(a_key_is_found_by_its_text_and_by_nothing_else)
{
    struct key        k;
    const struct key *found;
    str               secret = create(store, "mine", &k);
    struct key_view  *v;
    char              wrong[KEY_LEN + 1];

    assert_int_equal(keys_open(store, NULL, 0, &keys), OK);
    v = key_view_open(keys);
    for (int i = 0; i < 3; i++) { /* the first time by its hash, then from memory */
        found = keys_find(v, secret);
        assert_non_null(found);
        assert_true(str_eq(found->id, k.id));
        assert_str(found->workspace, "default");
    }
    for (size_t i = 0; i < KEY_LEN; i++) {
        memcpy(wrong, secret.ptr, sizeof(wrong));
        wrong[i] ^= 1;
        assert_null(keys_find(v, str_of(wrong, KEY_LEN)));
    }
    assert_null(keys_find(v, str_first(secret, KEY_LEN - 1)));
    assert_null(keys_find(v, S("")));
    assert_null(keys_find(v, (str){ 0 }));
    assert_null(keys_find(v, k.id));
    assert_null(keys_find(v, k.hint));
    key_view_close(v);
    key_view_close(NULL);
}

static enum err exec_job(sqlite3 *db, void *arg)
{
    return store_exec(db, arg);
}

static void exec(const char *sql)
{
    assert_int_equal(store_run_here(store, exec_job, (void *)(uintptr_t)sql), OK);
}

TEST(many_keys_are_all_found_however_often_they_alternate)
{
    enum { MANY = 600 }; /* more than a view remembers */
    str              secrets[MANY], ids[MANY];
    struct key_view *v;

    exec("BEGIN"); /* one commit for all */
    for (size_t i = 0; i < MANY; i++) {
        struct key k;

        secrets[i] = create(store, "n", &k);
        ids[i] = k.id;
    }
    exec("COMMIT");
    assert_int_equal(keys_open(store, NULL, 0, &keys), OK);
    v = key_view_open(keys);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            const struct key *found = keys_find(v, secrets[i]);

            assert_non_null(found);
            assert_true(str_eq(found->id, ids[i]));
        }
    }
    key_view_close(v);
}

static str    needle;
static size_t files_read;

static void assert_not_in_file(const char *path)
{
    FILE       *f = fopen(path, "r");
    struct stat st;
    char       *text;
    size_t      len;

    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    text = xmalloc((size_t)st.st_size + 1);
    len = fread(text, 1, (size_t)st.st_size, f);
    fclose(f);
    if (str_find_str(str_of(text, len), needle) != STR_NONE)
        fail_msg("%s has the key", path);
    free(text);
    files_read++;
}

TEST(the_files_do_not_have_the_key)
{
    struct key       k;
    struct key_view *v;
    str              secret = create(store, "mine", &k);

    assert_int_equal(keys_open(store, NULL, 0, &keys), OK);
    v = key_view_open(keys);
    assert_non_null(keys_find(v, secret));
    files_read = 0;
    for (size_t at = 3; at + 8 <= KEY_LEN; at++) { /* nor any eight characters of it */
        needle = str_of(secret.ptr + at, 8);
        for_each_file(assert_not_in_file);
    }
    exec("PRAGMA wal_checkpoint(TRUNCATE)");
    needle = str_from(secret, 6);
    for_each_file(assert_not_in_file);
    assert_true(files_read > 1);
    key_view_close(v);
}

TEST(the_same_key_is_not_stored_twice)
{
    struct key k, again = { .id = S("untouched") };

    assert_int_equal(keys_add(store, S("sk-given-by-somebody"), S("a"), S("default"), &arena, &k), OK);
    assert_int_equal(keys_add(store, S("sk-given-by-somebody"), S("b"), S("default"), &arena, &again), ERR_EXISTS);
    assert_str(again.id, "untouched");
    assert_str(k.hint, "sk-gi…dy");
    assert_int_equal(keys_add(store, S("sk-short"), S("c"), S("default"), &arena, &k), OK);
    assert_str(k.hint, "…"); /* nothing is shown of it */
}

TEST(keys_are_listed_in_the_order_in_which_they_were_made)
{
    struct key  k, *list;
    size_t      count;
    const char *names[] = { "one", "two", "three" };

    assert_int_equal(keys_list(store, &arena, &list, &count), OK);
    assert_int_equal(count, 0);
    for (size_t i = 0; i < 3; i++) {
        clock_fix(1795550457000 + (int64_t)i);
        create(store, names[i], &k);
    }
    clock_fix(1795550458000);
    assert_int_equal(keys_revoke(store, k.id), OK);
    clock_fix(0);
    assert_int_equal(keys_list(store, &arena, &list, &count), OK);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_str(list[i].name, names[i]);
        assert_true(list[i].created_ms == 1795550457000 + (int64_t)i);
    }
    assert_int_equal(list[0].revoked_ms, 0);
    assert_true(list[2].revoked_ms == 1795550458000);
}

TEST(a_key_is_ended_by_its_id_or_its_text_once)
{
    struct key k;
    str        a = create(store, "a", &k), b;
    str        id = k.id;

    b = create(store, "b", &k);
    assert_int_equal(keys_revoke(store, id), OK);
    assert_int_equal(keys_revoke(store, id), ERR_NOT_FOUND);
    assert_int_equal(keys_revoke(store, a), ERR_NOT_FOUND);
    assert_int_equal(keys_revoke(store, b), OK);
    assert_int_equal(keys_revoke(store, b), ERR_NOT_FOUND);
    assert_int_equal(keys_revoke(store, S("key-00000000")), ERR_NOT_FOUND);
    assert_int_equal(keys_revoke(store, S("")), ERR_NOT_FOUND);
    assert_int_equal(keys_open(store, NULL, 0, &keys), OK);
    assert_int_equal(keys->table->by_hash.count, 0);
}

/* ---- while the server runs ---- */

static void other_process(void *arg)
{
    struct key        k;
    const struct key *found;
    struct key_view  *v = key_view_open(keys), *idle = key_view_open(keys);
    str               secret;

    (void)arg;
    CHECK(keys_refresh(keys) == ERR_NOT_FOUND); /* nothing has changed */
    secret = create(other, "theirs", &k);
    CHECK(keys_find(v, secret) == NULL);
    CHECK(keys_refresh(keys) == OK);
    found = keys_find(v, secret);
    CHECK(found && str_eq(found->id, k.id));
    CHECK(keys_find(idle, secret) != NULL);
    CHECK(keys_refresh(keys) == ERR_NOT_FOUND);
    CHECK(keys_revoke(other, k.id) == OK);
    CHECK(keys_find(v, secret) != NULL); /* not known here yet */
    CHECK(keys_refresh(keys) == OK);
    CHECK(keys_find(v, secret) == NULL); /* nor remembered */
    CHECK(keys_find(v, secret) == NULL);
    /* Several changes are one. The idle view still has the table before the last. */
    create(other, "x", &k);
    CHECK(keys_refresh(keys) == OK);
    secret = create(other, "y", &k);
    create(other, "z", &k);
    CHECK(keys_refresh(keys) == OK);
    CHECK(keys_find(v, secret) != NULL);
    CHECK(keys_find(idle, secret) != NULL);
    key_view_close(v);
    key_view_close(idle);
}

TEST(what_another_process_changes_is_seen_after_a_refresh)
{
    assert_int_equal(store_start(store), OK);
    assert_int_equal(keys_open(store, NULL, 0, &keys), OK);
    run_fiber(other_process);
}

static void options(void *arg)
{
    str              first[] = { S("sk-from-option-1"), S("sk-from-option-2") }, second[] = { S("sk-from-option-3") };
    struct key_view *v = key_view_open(keys);
    struct key       k;
    str              stored = create(other, "stored", &k);

    (void)arg;
    CHECK_STR(keys_find(v, first[0])->id, "option-1");
    CHECK_STR(keys_find(v, first[1])->id, "option-2");
    CHECK_STR(keys_find(v, first[0])->workspace, "default");
    CHECK(keys_extra_set(keys, second, 1) == OK);
    CHECK(keys_find(v, first[0]) == NULL);
    CHECK(keys_find(v, first[1]) == NULL);
    CHECK_STR(keys_find(v, second[0])->id, "option-1");
    CHECK(keys_find(v, stored) != NULL); /* read at the same time */
    create(other, "more", &k);
    CHECK(keys_refresh(keys) == OK);
    CHECK(keys_find(v, second[0]) != NULL); /* they hold through a refresh */
    CHECK(keys_extra_set(keys, NULL, 0) == OK);
    CHECK(keys_find(v, second[0]) == NULL);
    key_view_close(v);
}

TEST(keys_of_the_options_hold_while_the_process_runs_and_are_not_stored)
{
    char        one[] = "sk-from-option-1";
    str         extra[] = { str_of(one, 16), S("sk-from-option-2") };
    struct key *list;
    size_t      count;

    assert_int_equal(store_start(store), OK);
    assert_int_equal(keys_open(store, extra, 2, &keys), OK);
    memset(one, 'x', sizeof(one) - 1); /* they were copied */
    run_fiber(options);
    assert_int_equal(keys_list(other, &arena, &list, &count), OK);
    assert_int_equal(count, 2);
    needle = S("from-option");
    for_each_file(assert_not_in_file);
}

/* ---- workers ---- */

static _Atomic bool stop_workers;

static void *worker_main(void *arg)
{
    struct key_view *v = key_view_open(keys);

    (void)arg;
    while (!atomic_load(&stop_workers)) {
        const struct key *found = keys_find(v, S("sk-always-there"));

        CHECK(found);
        CHECK_STR(found->id, "option-1");
        CHECK(!keys_find(v, S("sk-never-there")));
    }
    key_view_close(v);
    return NULL;
}

static void change_again_and_again(void *arg)
{
    struct key k;

    (void)arg;
    for (int i = 0; i < 30; i++) {
        create(other, "n", &k);
        CHECK(keys_refresh(keys) == OK);
    }
    atomic_store(&stop_workers, true);
}

TEST(workers_look_keys_up_while_the_table_is_replaced)
{
    str       extra[] = { S("sk-always-there") };
    pthread_t threads[4];

    assert_int_equal(store_start(store), OK);
    assert_int_equal(keys_open(store, extra, 1, &keys), OK);
    atomic_store(&stop_workers, false);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, NULL), 0);
    run_fiber(change_again_and_again);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
}

#define keys_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        keys_test(a_key_has_the_form_of_the_clouds),
        keys_test(a_key_is_found_by_its_text_and_by_nothing_else),
        keys_test(many_keys_are_all_found_however_often_they_alternate),
        keys_test(the_files_do_not_have_the_key),
        keys_test(the_same_key_is_not_stored_twice),
        keys_test(keys_are_listed_in_the_order_in_which_they_were_made),
        keys_test(a_key_is_ended_by_its_id_or_its_text_once),
        keys_test(what_another_process_changes_is_seen_after_a_refresh),
        keys_test(keys_of_the_options_hold_while_the_process_runs_and_are_not_stored),
        keys_test(workers_look_keys_up_while_the_table_is_replaced),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
