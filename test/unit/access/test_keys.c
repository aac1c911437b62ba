/* test_keys.c - API keys: how they look, made, listed, ended, and never written down. */
#include "access/keys.c"

#include "stores.h"

TEST(a_key_has_the_form_of_the_clouds)
{
    struct key_row k;
    str            secret = key_of(store, NULL, NULL, &k);

    assert_true(str_starts(secret, S("sk-")));
    assert_int_equal(secret.len, KEY_LEN);
    assert_int_equal(strspn(secret.ptr + 3, "0123456789abcdef"), 32);
    assert_int_equal(secret.ptr[KEY_LEN], 0);
    assert_true(str_starts(k.id, S("key-")));
    assert_int_equal(k.id.len, 12);
    assert_str(k.name, "mine");
    assert_str(k.workspace, "default");
    assert_str(k.kind, "general");
    assert_int_equal(k.revoked_ms, 0);
    assert_true(str_starts(k.hint, str_first(secret, 5)));
    assert_true(str_ends(k.hint, str_from(secret, KEY_LEN - 2)));
    assert_int_equal(k.hint.len, 5 + 3 + 2);
    assert_false(str_eq(key_of(store, NULL, NULL, &k), secret)); /* each is a new one */
}

TEST(a_plans_key_has_the_plans_prefix)
{
    struct key_row k, want = { .kind = S("coding-plan") };
    str            secret;

    assert_int_equal(key_create(edit_on(store), &want, 0, &secret, &k), OK);
    assert_true(str_starts(secret, S("sk-sp-")));
    assert_int_equal(secret.len, 6 + 32);
}

TEST(what_a_new_key_may_not_be_is_refused_with_a_sentence)
{
    static const struct {
        struct key_row want;
        enum err       e;
        const char    *problem;
    } cases[] = {
        { { .workspace = S("nowhere") }, ERR_NOT_FOUND, "there is no workspace \"nowhere\"" },
        { { .kind = S("token-plan") }, ERR_INVALID, "there is no kind of key \"token-plan\"" },
        { { .member = S("li") }, ERR_NOT_FOUND, "\"li\" is no member of workspace \"default\"" },
        { { .networks = S("10.0.0.0/33") }, ERR_INVALID, "\"10.0.0.0/33\" is no address or block such as 10.0.0.0/8" },
        { { .expires_ms = 1 }, ERR_INVALID, "the key would have expired already" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct edit   *e = edit_on(store);
        struct key_row k;
        str            secret;

        assert_int_equal(key_create(e, &cases[i].want, 0, &secret, &k), cases[i].e);
        assert_str(e->problem, cases[i].problem);
    }
}

TEST(networks_are_stored_one_blank_apart_and_are_at_most_twenty)
{
    struct key_row k, want = { .networks = S(" 10.0.0.0/8,  ::1  192.168.1.1 ") };
    struct buf     b;
    str            secret;

    assert_int_equal(key_create(edit_on(store), &want, 0, &secret, &k), OK);
    assert_str(k.networks, "10.0.0.0/8 ::1 192.168.1.1");
    buf_init(&b, &arena, 4096);
    for (int i = 0; i < KEY_NETWORKS_MAX; i++)
        buf_add(&b, S("10.0.0.0/8 "));
    want.networks = buf_str(&b);
    assert_int_equal(key_create(edit_on(store), &want, 0, &secret, &k), OK);
    buf_add(&b, S("::1"));
    want.networks = buf_str(&b);
    assert_int_equal(key_create(edit_on(store), &want, 0, &secret, &k), ERR_INVALID);
}

TEST(the_ceiling_counts_good_keys)
{
    struct key_row k, want = { .name = S("n") };
    struct edit   *e = edit_on(store);
    str            secret;

    assert_int_equal(key_create(e, &want, 2, &secret, &k), OK);
    assert_int_equal(key_create(e, &want, 2, &secret, &k), OK);
    assert_int_equal(key_create(e, &want, 2, &secret, &k), ERR_LIMIT);
    assert_int_equal(key_revoke(e, k.id), OK);
    assert_int_equal(key_create(e, &want, 2, &secret, &k), OK);
}

static enum err exec_job(sqlite3 *db, void *arg)
{
    return store_exec(db, arg);
}

static void exec(const char *sql)
{
    assert_int_equal(store_run_here(store, exec_job, (void *)(uintptr_t)sql), OK);
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
    struct key_row k;
    str            secret = key_of(store, NULL, NULL, &k);

    files_read = 0;
    for (size_t at = 3; at + 8 <= KEY_LEN; at++) { /* nor any eight characters of it */
        needle = str_of(secret.ptr + at, 8);
        for_each_file(assert_not_in_file);
    }
    exec("PRAGMA wal_checkpoint(TRUNCATE)");
    needle = str_from(secret, 6);
    for_each_file(assert_not_in_file);
    assert_true(files_read > 1);
}

TEST(the_same_key_is_not_stored_twice)
{
    struct key_row *list;
    size_t          count;

    assert_int_equal(keys_add(store, S("sk-given-by-somebody"), S("a"), &arena), OK);
    assert_int_equal(keys_add(store, S("sk-given-by-somebody"), S("b"), &arena), ERR_EXISTS);
    clock_fix(clock_unix_ms() + 1000);
    assert_int_equal(keys_add(store, S("sk-short"), S("c"), &arena), OK);
    clock_fix(0);
    assert_int_equal(key_list(edit_on(store), (str){ 0 }, &list, &count), OK);
    assert_int_equal(count, 2);
    assert_str(list[0].name, "a");
    assert_str(list[0].hint, "sk-gi…dy");
    assert_str(list[1].hint, "…"); /* nothing is shown of it */
    assert_true(keys_is_good(store, S("sk-short")));
    assert_false(keys_is_good(store, S("sk-shor")));
}

TEST(keys_are_listed_in_the_order_in_which_they_were_made)
{
    struct key_row k, *list;
    size_t         count;

    assert_int_equal(key_list(edit_on(store), (str){ 0 }, &list, &count), OK);
    assert_int_equal(count, 0);
    for (size_t i = 0; i < 40; i++) {
        clock_fix(1795550457000 + (int64_t)i);
        key_of(store, NULL, NULL, &k);
    }
    clock_fix(1795550458000);
    assert_int_equal(key_revoke(edit_on(store), k.id), OK);
    clock_fix(0);
    assert_int_equal(key_list(edit_on(store), S("default"), &list, &count), OK);
    assert_int_equal(count, 40);
    for (size_t i = 0; i < count; i++)
        assert_true(list[i].created_ms == 1795550457000 + (int64_t)i);
    assert_int_equal(list[0].revoked_ms, 0);
    assert_true(list[39].revoked_ms == 1795550458000);
    assert_int_equal(key_list(edit_on(store), S("nowhere"), &list, &count), OK);
    assert_int_equal(count, 0);
}

TEST(a_key_is_ended_by_its_id_or_its_text_once)
{
    struct edit   *e = edit_on(store);
    struct key_row k;
    str            a = key_of(store, NULL, NULL, &k), id = k.id, b = key_of(store, NULL, NULL, &k);

    assert_int_equal(key_revoke(e, id), OK);
    assert_int_equal(key_revoke(e, id), ERR_NOT_FOUND);
    assert_int_equal(key_revoke(e, a), ERR_NOT_FOUND);
    assert_int_equal(key_revoke(e, b), OK);
    assert_int_equal(key_revoke(e, b), ERR_NOT_FOUND);
    assert_int_equal(key_revoke(e, S("key-00000000")), ERR_NOT_FOUND);
    assert_int_equal(key_revoke(e, S("")), ERR_NOT_FOUND);
    assert_true(str_find_str(e->problem, b) == STR_NONE);
}

#define keys_test(name) cmocka_unit_test_setup_teardown(name, stores_setup, stores_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        keys_test(a_key_has_the_form_of_the_clouds),
        keys_test(a_plans_key_has_the_plans_prefix),
        keys_test(what_a_new_key_may_not_be_is_refused_with_a_sentence),
        keys_test(networks_are_stored_one_blank_apart_and_are_at_most_twenty),
        keys_test(the_ceiling_counts_good_keys),
        keys_test(the_files_do_not_have_the_key),
        keys_test(the_same_key_is_not_stored_twice),
        keys_test(keys_are_listed_in_the_order_in_which_they_were_made),
        keys_test(a_key_is_ended_by_its_id_or_its_text_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
