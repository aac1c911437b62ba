/* test_edit.c - what an administrator changes. */
#include "access/edit.c"

#include "stores.h"

TEST(a_time_is_read_or_not)
{
    static const struct {
        const char *text;
        int64_t     ms;
    } good[] = {
        { "1970-01-01", 0 },
        { "2026-11-24T20:00:57.123Z", 1795550457123 },
        { "2026-11-24T20:00:57Z", 1795550457000 },
        { "2026-11-24", 1795478400000 },
    };
    const char *bad[] = { "",
                          "2026",
                          "2026-11",
                          "2026-1-1",
                          "2026-13-01",
                          "2026-00-01",
                          "2026-01-32",
                          "2026-11-24T",
                          "2026-11-24 20:00:00Z",
                          "2026-11-24T20:00Z",
                          "2026-11-24T24:00:00Z",
                          "2026-11-24T20:00:57",
                          "2026-11-24T20:00:57.1Z",
                          "-026-11-24",
                          "2026-11-24T20:00:57Z+",
                          "tomorrow",
                          "1969-12-31" };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t ms = -1;

        assert_true(edit_time(str_from_cstr(good[i].text), &ms));
        assert_true(ms == good[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t ms = -1;

        if (edit_time(str_from_cstr(bad[i]), &ms))
            fail_msg("\"%s\" was read", bad[i]);
    }
}

TEST(workspaces_are_made_changed_and_deleted)
{
    struct edit           *e = edit_on(store);
    struct workspace      *w;
    struct workspace_model line = { .model = S("qwen-plus"), .allowed = true, .rpm = 5 };
    struct key_row         k;
    size_t                 count;
    str                    id, made;

    assert_int_equal(workspace_create(e, S("ws-a"), S("A"), &id), OK);
    assert_int_equal(workspace_create(e, S("ws-a"), S("B"), &id), ERR_EXISTS);
    assert_str(e->problem, "there is a workspace \"ws-a\" already");
    assert_int_equal(workspace_create(e, S("no blanks"), S(""), &id), ERR_INVALID);
    assert_int_equal(workspace_create(e, (str){ 0 }, (str){ 0 }, &made), OK);
    assert_true(str_starts(made, S("ws-")));
    assert_int_equal(workspace_model_set(e, S("ws-a"), &line), OK);
    line.allowed = false;
    line.rpm = 0;
    line.tpm = 9;
    assert_int_equal(workspace_model_set(e, S("ws-a"), &line), OK); /* in place of what was there */
    line.model = S("*");
    assert_int_equal(workspace_model_set(e, S("ws-a"), &line), OK);
    assert_int_equal(workspace_billing(e, S("ws-a"), COMMODITY_PREPAID, 77), OK);
    assert_int_equal(workspace_rename(e, S("ws-a"), S("AA")), OK);
    assert_int_equal(workspace_list(e, S("ws-a"), &w, &count), OK);
    assert_int_equal(count, 1);
    assert_str(w->name, "AA");
    assert_int_equal(w->commodity, COMMODITY_PREPAID);
    assert_int_equal(w->paid_until_ms, 77);
    assert_int_equal(w->model_count, 2);
    assert_str(w->models[0].model, "*");
    assert_str(w->models[1].model, "qwen-plus");
    assert_false(w->models[1].allowed);
    assert_int_equal(w->models[1].rpm, 0);
    assert_int_equal(w->models[1].tpm, 9);
    assert_int_equal(workspace_model_unset(e, S("ws-a"), S("*")), OK);
    assert_int_equal(workspace_model_unset(e, S("ws-a"), S("*")), ERR_NOT_FOUND);
    key_of(store, "ws-a", NULL, &k);
    assert_int_equal(workspace_delete(e, S("ws-a")), OK); /* with its keys and lines */
    assert_int_equal(key_get(e, k.id, &k), ERR_NOT_FOUND);
    assert_int_equal(workspace_delete(e, S("ws-a")), ERR_NOT_FOUND);
    assert_int_equal(workspace_list(e, S("ws-a"), &w, &count), ERR_NOT_FOUND);
    assert_int_equal(workspace_list(e, (str){ 0 }, &w, &count), OK);
    assert_int_equal(count, 2);
}

TEST(the_default_workspace_stays_and_has_no_limits)
{
    struct edit           *e = edit_on(store);
    struct workspace_model line = { .model = S("qwen-plus"), .rpm = 5 };

    assert_int_equal(workspace_delete(e, S("default")), ERR_INVALID);
    assert_str(e->problem, "the default workspace cannot be deleted");
    assert_int_equal(workspace_model_set(e, S("default"), &line), ERR_INVALID);
    assert_int_equal(workspace_billing(e, S("default"), COMMODITY_NONE, 0), OK);
}

TEST(members_join_and_leave)
{
    struct edit       *e = edit_on(store);
    struct member_row *m;
    size_t             count;
    str                id;

    assert_int_equal(workspace_create(e, S("ws-a"), S("A"), &id), OK);
    assert_int_equal(member_create(e, S("li"), S("Li Wei")), OK);
    assert_int_equal(member_create(e, S("li"), S("Li Wei")), ERR_EXISTS);
    assert_int_equal(member_join(e, S("li"), S("ws-a")), OK);
    assert_int_equal(member_join(e, S("li"), S("ws-a")), OK); /* twice is once */
    assert_int_equal(member_join(e, S("li"), S("default")), OK);
    assert_int_equal(member_join(e, S("wu"), S("ws-a")), ERR_NOT_FOUND);
    assert_int_equal(member_join(e, S("li"), S("ws-b")), ERR_NOT_FOUND);
    assert_int_equal(member_list(e, S("li"), &m, &count), OK);
    assert_int_equal(m->workspace_count, 2);
    assert_str(m->workspaces[1], "ws-a");
    assert_int_equal(member_leave(e, S("li"), S("ws-a")), OK);
    assert_int_equal(member_leave(e, S("li"), S("ws-a")), ERR_NOT_FOUND);
    assert_int_equal(member_delete(e, S("li")), OK);
    assert_int_equal(member_delete(e, S("li")), ERR_NOT_FOUND);
    assert_int_equal(member_list(e, (str){ 0 }, &m, &count), OK);
    assert_int_equal(count, 0);
}

TEST(models_settings_and_policies_are_kept)
{
    struct policy        made = { .workspace = S("default"), .kind = S("block"), .pattern = S("x"), .is_regex = true };
    struct edit         *e = edit_on(store);
    struct account_model m;
    struct policy       *p;
    size_t               count;
    str                  value, id;

    assert_int_equal(account_model_get(e, S("qwen-plus"), &m), OK);
    assert_true(m.activated && m.invited && m.payable && !m.free_only);
    m.activated = false;
    m.free_only = true;
    assert_int_equal(account_model_set(e, &m), OK);
    assert_int_equal(account_model_get(e, S("qwen-plus"), &m), OK);
    assert_true(!m.activated && m.invited && m.payable && m.free_only);
    assert_int_equal(setting_get(e, S("activated"), &value), OK);
    assert_int_equal(value.len, 0);
    assert_int_equal(setting_set(e, S("activated"), S("0")), OK);
    assert_int_equal(setting_set(e, S("activated"), S("1")), OK);
    assert_int_equal(setting_get(e, S("activated"), &value), OK);
    assert_str(value, "1");
    assert_int_equal(
        policy_create(e, &(struct policy){ .workspace = S("nowhere"), .kind = S("block"), .pattern = S("x") }),
        ERR_NOT_FOUND);
    assert_int_equal(policy_create(e, &made), OK);
    id = made.id;
    assert_int_equal(policy_list(e, S("default"), &p, &count), OK);
    assert_int_equal(count, 1);
    assert_true(p->is_regex && str_eq(p->id, id));
    assert_int_equal(policy_delete(e, id), OK);
    assert_int_equal(policy_delete(e, id), ERR_NOT_FOUND);
}

/* Refused when they are added, and not left out when they are loaded. */
TEST(a_workspace_has_so_many_policies_and_no_more)
{
    struct policy made = { .workspace = S("default"), .kind = S("block"), .pattern = S("x") };
    struct edit  *e = edit_on(store);

    assert_int_equal(
        store_exec(e->db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99999) INSERT INTO "
                          "policies SELECT 'policy-' || i, 'default', 'block', 'x' || i, 0, 0 FROM n"),
        OK);
    assert_int_equal(policy_create(e, &made), OK);
    assert_int_equal(policy_create(e, &made), ERR_LIMIT);
    assert_str(e->problem, "the workspace has 100000 policies, and that is the limit");
    assert_int_equal(store_exec(e->db, "DELETE FROM policies WHERE id <> 'policy-1'"), OK);
    assert_int_equal(store_exec(e->db, "UPDATE policies SET pattern = printf('%.*c', 3999999, 'x')"), OK);
    assert_int_equal(policy_create(e, &made), OK);
    assert_int_equal(policy_create(e, &made), ERR_LIMIT);
    assert_str(e->problem, "the words of the workspace's policies would be 4000001 bytes, and 4000000 are the limit");
    made.is_regex = true;
    assert_int_equal(policy_create(e, &made), OK);
}

#define edit_test(name) cmocka_unit_test_setup_teardown(name, stores_setup, stores_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_read_or_not),
        edit_test(workspaces_are_made_changed_and_deleted),
        edit_test(the_default_workspace_stays_and_has_no_limits),
        edit_test(members_join_and_leave),
        edit_test(models_settings_and_policies_are_kept),
        edit_test(a_workspace_has_so_many_policies_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
