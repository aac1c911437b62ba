/* test_secrets.c - secrets are sealed with a key that the database has not. */
#include "store/secrets.c"

#include "../base/check.h"

#include <sys/stat.h>

static char         folder[64];
static sqlite3     *db;
static struct arena arena;

static int setup(void **state)
{
    char file[128];

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-secrets-XXXXXX");
    arena_init(&arena, 0);
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/x.db", folder);
    return sqlite3_open(file, &db) || sqlite3_exec(db, "CREATE TABLE t (a)", NULL, NULL, NULL) ? -1 : 0;
}

static int teardown(void **state)
{
    char rm[128];

    (void)state;
    sqlite3_close(db);
    arena_free(&arena);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm);
}

static const char *key_file(void)
{
    return arena_printf(&arena, "%s/secret-key", folder).ptr;
}

TEST(what_was_sealed_is_opened)
{
    str         one, two, out;
    struct stat st;

    assert_int_equal(secret_seal(db, &arena, S("p"), S("hush"), &one), OK);
    assert_int_equal(secret_seal(db, &arena, S("p"), S("hush"), &two), OK);
    assert_false(str_eq(one, two));
    assert_true(str_find_str(one, S("hush")) == STR_NONE);
    assert_int_equal(secret_open(db, &arena, S("p"), one, &out), OK);
    assert_str(out, "hush");
    assert_int_equal(secret_open(db, &arena, S("p"), two, &out), OK);
    assert_str(out, "hush");
    assert_int_equal(stat(key_file(), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, KEY_LEN);
}

TEST(nothing_is_nothing)
{
    str out;

    assert_int_equal(secret_seal(db, &arena, S("p"), S(""), &out), OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(secret_open(db, &arena, S("p"), S(""), &out), OK);
    assert_int_equal(access(key_file(), F_OK), -1);
}

TEST(what_was_changed_or_is_anothers_is_not_opened)
{
    str   sealed, out;
    char *copy;

    assert_int_equal(secret_seal(db, &arena, S("p"), S("hush"), &sealed), OK);
    assert_int_equal(secret_open(db, &arena, S("q"), sealed, &out), ERR_INVALID);
    copy = arena_bytes(&arena, sealed.len);
    for (size_t i = 0; i < sealed.len; i++) {
        memcpy(copy, sealed.ptr, sealed.len);
        copy[i] ^= 1;
        assert_int_equal(secret_open(db, &arena, S("p"), str_of(copy, sealed.len), &out), ERR_INVALID);
        assert_int_equal(secret_open(db, &arena, S("p"), str_first(sealed, i ? i : 1), &out), ERR_INVALID);
    }
    assert_int_equal(unlink(key_file()), 0);
    assert_int_equal(secret_open(db, &arena, S("p"), sealed, &out), ERR_INVALID); /* with a new key */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_sealed_is_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_changed_or_is_anothers_is_not_opened, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
