/* test_account.c - snapshots of the account: found, permitted, replaced, held. */
#include "access/account.c"

#include "stores.h"

#include <time.h>

static struct account_view *view;

static int setup(void **state)
{
    view = NULL;
    return stores_setup(state);
}

static int teardown(void **state)
{
    account_view_close(view);
    return stores_teardown(state);
}

static void open_account(void)
{
    assert_int_equal(account_open(store, NULL, 0, NULL, &source), OK);
    view = account_view_open(source);
}

/* The key of that text at this time. */
static const struct key *find_at(struct account_view *v, str secret, int64_t now_ms)
{
    const struct account *a = account_hold(v);
    const struct key     *k = account_key(v, secret, now_ms);

    account_release(v, a);
    return k;
}

static const struct key *find(struct account_view *v, str secret)
{
    return find_at(v, secret, 1);
}

/* After a change by this process itself. */
static void changed(void)
{
    assert_int_equal(account_changed(source, edit_on(store)->db), OK);
}

TEST(a_key_is_found_by_its_text_and_by_nothing_else)
{
    struct key_row    k;
    const struct key *found;
    str               secret = key_of(store, NULL, NULL, &k);
    char              wrong[KEY_LEN + 1];

    open_account();
    for (int i = 0; i < 3; i++) { /* the first time by its hash, then from memory */
        found = find(view, secret);
        assert_non_null(found);
        assert_true(str_eq(found->id, k.id));
        assert_str(found->workspace->id, "default");
        assert_null(found->member);
    }
    for (size_t i = 0; i < KEY_LEN; i++) {
        memcpy(wrong, secret.ptr, sizeof(wrong));
        wrong[i] ^= 1;
        assert_null(find(view, str_of(wrong, KEY_LEN)));
    }
    assert_null(find(view, str_first(secret, KEY_LEN - 1)));
    assert_null(find(view, S("")));
    assert_null(find(view, (str){ 0 }));
    assert_null(find(view, k.id));
    assert_null(find(view, k.hint));
    account_view_close(NULL);
}

TEST(many_keys_are_all_found_however_often_they_alternate)
{
    enum { MANY = 600 }; /* more than a view remembers */
    str secrets[MANY], ids[MANY];

    assert_int_equal(store_exec(edit_on(store)->db, "BEGIN"), OK); /* one commit for all */
    for (size_t i = 0; i < MANY; i++) {
        struct key_row k;

        secrets[i] = key_of(store, NULL, NULL, &k);
        ids[i] = k.id;
    }
    assert_int_equal(store_exec(edit_on(store)->db, "COMMIT"), OK);
    open_account();
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            const struct key *found = find(view, secrets[i]);

            assert_non_null(found);
            assert_true(str_eq(found->id, ids[i]));
            assert_ptr_equal(account_key_by_id(&view->held->snapshot->account, ids[i]), found);
        }
    }
}

TEST(a_look_up_costs_less_than_a_hundred_nanoseconds)
{
    enum { ROUNDS = 200000 };
    struct key_row k;
    str            secret = key_of(store, NULL, NULL, &k);
    int64_t        best = INT64_MAX;

    open_account();
    for (int try = 0; try < 10; try++) {
        int64_t began = clock_mono_us(), took;

        for (int i = 0; i < ROUNDS; i++)
            assert_true(find(view, secret) != NULL);
        took = (clock_mono_us() - began) * 1000 / ROUNDS;
        best = took < best ? took : best;
    }
    print_message("a look-up: %lld ns\n", (long long)best);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(best < 100);
#endif
}

/* ---- who is found ---- */

TEST(a_members_key_holds_as_long_as_the_member_is_in_its_workspace)
{
    struct edit   *e = edit_on(store);
    struct key_row k;
    str            id, secret;

    assert_int_equal(workspace_create(e, S("ws-a"), S(""), &id), OK);
    assert_int_equal(member_create(e, S("li"), S("Li Wei")), OK);
    assert_int_equal(member_join(e, S("li"), S("ws-a")), OK);
    secret = key_of(store, "ws-a", "li", &k);
    open_account();
    assert_non_null(find(view, secret));
    assert_str(find(view, secret)->member->name, "Li Wei");
    assert_true(member_is_in(find(view, secret)->member, find(view, secret)->workspace));
    assert_int_equal(member_leave(e, S("li"), S("ws-a")), OK);
    changed();
    assert_null(find(view, secret));
    assert_int_equal(member_join(e, S("li"), S("ws-a")), OK);
    changed();
    assert_non_null(find(view, secret)); /* "until re-added" */
    assert_int_equal(member_delete(e, S("li")), OK);
    changed();
    assert_null(find(view, secret));
}

TEST(a_key_ends_when_it_expires)
{
    int64_t        end = clock_unix_ms() + 60000;
    struct key_row k, want = { .expires_ms = end };
    str            secret;

    assert_int_equal(key_create(edit_on(store), &want, 0, &secret, &k), OK);
    open_account();
    assert_non_null(find_at(view, secret, end - 1));
    assert_null(find_at(view, secret, end));
    assert_non_null(find_at(view, secret, end - 1)); /* the clock of a test goes back */
}

TEST(networks_that_cannot_be_read_let_nobody_in)
{
    struct key_row k, want = { .networks = S("10.0.0.0/8 ::1") };
    str            secret;

    assert_int_equal(key_create(edit_on(store), &want, 0, &secret, &k), OK);
    open_account();
    assert_int_equal(find(view, secret)->network_count, 2);
    assert_int_equal(edit_run(edit_on(store), NULL, "UPDATE keys SET networks = 'nonsense'", ""), OK);
    changed();
    assert_int_equal(find(view, secret)->network_count, 1);
    assert_false(network_has(find(view, secret)->networks, 1, S("127.0.0.1:1")));
}

/* ---- temporary keys ---- */

TEST(a_temporary_key_has_the_rights_of_its_maker_until_it_expires)
{
    struct key_row        k;
    str                   secret = key_of(store, NULL, NULL, &k), token, again;
    const struct account *a;
    char                  wrong[TOKEN_LEN + 1];

    open_account();
    a = account_hold(view);
    token = account_token(a, account_key(view, secret, 1), 1000, &arena);
    again = account_token(a, account_key(view, secret, 1), 1001, &arena);
    account_release(view, a);
    assert_true(key_text_is_temporary(token));
    assert_int_equal(token.len, TOKEN_LEN);
    assert_false(str_eq(token, again)); /* several may coexist */
    for (int i = 0; i < 2; i++) {
        assert_non_null(find_at(view, token, 999999));
        assert_true(str_eq(find_at(view, token, 999999)->id, k.id));
        assert_null(find_at(view, token, 1000000));
        assert_non_null(find_at(view, again, 1000000));
        changed(); /* and after the tables have been read again */
    }
    for (size_t i = 0; i < TOKEN_LEN; i++) {
        memcpy(wrong, token.ptr, sizeof(wrong));
        wrong[i] = wrong[i] == '0' ? '1' : '0';
        assert_null(find_at(view, str_of(wrong, TOKEN_LEN), 1));
    }
    assert_null(find_at(view, str_first(token, TOKEN_LEN - 1), 1));
    assert_null(find_at(view, S("st-"), 1));
    assert_int_equal(key_revoke(edit_on(store), k.id), OK);
    changed();
    assert_null(find_at(view, token, 1)); /* its maker has no rights any more */
}

TEST(temporary_keys_hold_over_a_restart)
{
    struct key_row        k;
    str                   secret = key_of(store, NULL, NULL, &k), token;
    const struct account *a;

    open_account();
    a = account_hold(view);
    token = account_token(a, account_key(view, secret, 1), 1000, &arena);
    account_release(view, a);
    account_view_close(view);
    account_close(source);
    open_account();
    assert_non_null(find_at(view, token, 1));
}

/* ---- what may be called ---- */

struct call {
    enum surface surface;
    enum edition edition;
    const char  *workspace, *model;
    const char  *answer; /* id of the row; NULL: permitted */
};

static void check_call(const struct call *c, const struct key *k)
{
    struct request_settings settings = { .wording = { .edition = c->edition } };
    const struct account   *a = account_hold(view);
    struct model            own = { .id = S("own"), .workspace = S("ws-b") };
    struct request          rq = {
                 .arena = &arena,
                 .settings = &settings,
                 .surface = c->surface,
                 .account = a,
                 .key = k,
                 .space = account_workspace(a, str_from_cstr(c->workspace)),
    };
    const struct model *m = strcmp(c->model, "own") == 0 ? &own : model_find(str_from_cstr(c->model));
    struct fault_view   v;
    enum err            e;

    assert_non_null(m);
    assert_non_null(rq.space);
    e = account_permits(&rq, m);
    if (!c->answer) {
        assert_int_equal(e, OK);
    } else {
        assert_int_equal(e, ERR_FAULT);
        fault_render(&rq.fault, &settings.wording, &arena, &v);
        assert_str(v.id, c->answer);
    }
    account_release(view, a);
}

TEST(an_account_permits_what_the_specification_says)
{
    static const struct call calls[] = {
        { SURFACE_NATIVE, EDITION_CURRENT, "default", "qwen-plus", NULL },
        { SURFACE_NATIVE, EDITION_CURRENT, "default", "qwen-max", "E192" },
        { SURFACE_OPENAI, EDITION_CURRENT, "default", "qwen-max", "E192" },
        { SURFACE_NATIVE, EDITION_2024, "default", "qwen-max", "E278" },
        { SURFACE_OPENAI, EDITION_2024, "default", "qwen-max", "E198c" },
        { SURFACE_NATIVE, EDITION_CURRENT, "default", "qwen-turbo", "E191" },
        { SURFACE_OPENAI, EDITION_CURRENT, "default", "qwen-turbo", "E191" },
        { SURFACE_NATIVE, EDITION_CURRENT, "ws-a", "qwen-plus", NULL },
        { SURFACE_NATIVE, EDITION_CURRENT, "ws-a", "qwen-flash", "E193" }, /* nothing was said of it */
        { SURFACE_OPENAI, EDITION_CURRENT, "ws-a", "qwen-flash", "E193" },
        { SURFACE_NATIVE, EDITION_CURRENT, "ws-b", "qwen-flash", NULL },  /* "*" */
        { SURFACE_NATIVE, EDITION_CURRENT, "ws-b", "qwen-plus", "E193" }, /* its own line counts before "*" */
        { SURFACE_NATIVE, EDITION_CURRENT, "ws-b", "qwen-max", "E192" },  /* the account comes first */
        { SURFACE_NATIVE, EDITION_CURRENT, "ws-b", "own", NULL },         /* "no authorisation needed" */
        { SURFACE_NATIVE, EDITION_CURRENT, "default", "own", "E193" },
        { SURFACE_OPENAI, EDITION_CURRENT, "default", "own", "E199" },
    };
    struct edit *e = edit_on(store);
    struct key   general = { .kind = KEY_GENERAL },
               plan = { .kind = KEY_CODING_PLAN, .plan = plan_find(S("coding-plan")) };
    struct account_model   off = { .model = S("qwen-max"), .invited = true, .payable = true };
    struct account_model   uninvited = { .model = S("qwen-turbo"), .activated = true, .payable = true };
    struct workspace_model plus = { .model = S("qwen-plus"), .allowed = true },
                           all = { .model = S("*"), .allowed = true };
    str id;

    assert_int_equal(workspace_create(e, S("ws-a"), S(""), &id), OK);
    assert_int_equal(workspace_create(e, S("ws-b"), S(""), &id), OK);
    assert_int_equal(workspace_model_set(e, S("ws-a"), &plus), OK);
    assert_int_equal(workspace_model_set(e, S("ws-b"), &all), OK);
    plus.allowed = false;
    assert_int_equal(workspace_model_set(e, S("ws-b"), &plus), OK);
    assert_int_equal(account_model_set(e, &off), OK);
    assert_int_equal(account_model_set(e, &uninvited), OK);
    open_account();
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        check_call(&calls[i], &general);
    check_call(&(struct call){ SURFACE_OPENAI, EDITION_CURRENT, "default", "qwen3-coder-plus", NULL }, &plan);
    check_call(&(struct call){ SURFACE_OPENAI, EDITION_CURRENT, "default", "qwen-plus", "X098" }, &plan);
    assert_int_equal(setting_set(e, S("activated"), S("0")), OK);
    changed();
    check_call(&(struct call){ SURFACE_NATIVE, EDITION_CURRENT, "default", "qwen-plus", "E192" }, &general);
}

TEST(every_model_of_a_plan_is_known)
{
    for (unsigned i = 0; i < plan_count; i++) {
        for (unsigned k = 0; k < plan_rows[i].model_count; k++) {
            if (!model_find(plan_rows[i].models[k]))
                fail_msg("%.*s", STR_ARG(plan_rows[i].models[k]));
        }
        assert_int_equal(plan_rows[i].window_count, 3);
        assert_ptr_equal(plan_of_host(S("coding-intl.example.com:8420")), &plan_rows[0]);
        assert_null(plan_of_host(S("codings.example.com")));
        assert_null(plan_of_host(S("coding")));
    }
}

/* ---- while the server runs ---- */

static void other_process(void *arg)
{
    struct key_row       k;
    const struct key    *found;
    struct account_view *v = account_view_open(source), *idle = account_view_open(source);
    str                  secret;

    (void)arg;
    CHECK(account_refresh(source) == ERR_NOT_FOUND); /* nothing has changed */
    secret = key_of(other, NULL, NULL, &k);
    CHECK(find(v, secret) == NULL);
    CHECK(account_refresh(source) == OK);
    found = find(v, secret);
    CHECK(found && str_eq(found->id, k.id));
    CHECK(find(idle, secret) != NULL);
    CHECK(account_refresh(source) == ERR_NOT_FOUND);
    CHECK(key_revoke(edit_on(other), k.id) == OK);
    CHECK(find(v, secret) != NULL); /* not known here yet */
    CHECK(account_refresh(source) == OK);
    CHECK(find(v, secret) == NULL); /* nor remembered */
    CHECK(find(v, secret) == NULL);
    /* Several changes are one. The idle view still has the snapshot before the last. */
    key_of(other, NULL, NULL, &k);
    CHECK(account_refresh(source) == OK);
    secret = key_of(other, NULL, NULL, &k);
    key_of(other, NULL, NULL, &k);
    CHECK(account_refresh(source) == OK);
    CHECK(find(v, secret) != NULL);
    CHECK(find(idle, secret) != NULL);
    account_view_close(v);
    account_view_close(idle);
}

TEST(what_another_process_changes_is_seen_after_a_refresh)
{
    assert_int_equal(store_start(store), OK);
    assert_int_equal(account_open(store, NULL, 0, NULL, &source), OK);
    run_fiber(other_process);
}

TEST(what_this_process_changes_itself_is_seen_by_every_view_at_once)
{
    struct account_view *second;
    struct key_row       k;
    str                  secret;

    open_account();
    second = account_view_open(source);
    assert_null(find(view, S("x")));
    secret = key_of(store, NULL, NULL, &k);
    assert_null(find(view, secret));
    changed();
    assert_non_null(find(view, secret));
    assert_non_null(find(second, secret));
    account_view_close(second);
}

TEST(a_held_snapshot_stays_as_it_was)
{
    struct edit            *e = edit_on(store);
    const struct account   *first, *second, *third;
    const struct workspace *ws;
    const struct key       *k;
    struct key_row          row;
    str                     id, secret;

    assert_int_equal(workspace_create(e, S("ws-a"), S("before"), &id), OK);
    secret = key_of(store, "ws-a", NULL, &row);
    open_account();
    first = account_hold(view);
    k = account_key(view, secret, 1);
    ws = account_workspace(first, S("ws-a"));
    assert_ptr_equal(k->workspace, ws);
    assert_int_equal(workspace_rename(e, S("ws-a"), S("after")), OK);
    changed();
    second = account_hold(view);
    assert_true(second->generation > first->generation);
    assert_str(account_workspace(second, S("ws-a"))->name, "after");
    assert_str(ws->name, "before");
    assert_int_equal(workspace_delete(e, S("ws-a")), OK);
    changed();
    third = account_hold(view);
    assert_null(account_workspace(third, S("ws-a")));
    assert_null(account_key(view, secret, 1));
    assert_str(k->workspace->name, "before");
    account_release(view, second); /* in any order */
    account_release(view, first);
    account_release(view, third);
    assert_null(view->held->next); /* only the newest is left */
}

static void options(void *arg)
{
    str first[] = { S("sk-from-option-1"), S("sk-sp-from-option-2") }, second[] = { S("sk-from-option-3") };
    struct account_view *v = account_view_open(source);
    struct key_row       k;
    str                  stored = key_of(other, NULL, NULL, &k);

    (void)arg;
    CHECK_STR(find(v, first[0])->id, "option-1");
    CHECK_STR(find(v, first[1])->id, "option-2");
    CHECK(find(v, first[0])->kind == KEY_GENERAL);
    CHECK(find(v, first[1])->kind == KEY_CODING_PLAN);
    CHECK_STR(find(v, first[0])->workspace->id, "default");
    CHECK(account_extra_set(source, second, 1) == OK);
    CHECK(find(v, first[0]) == NULL);
    CHECK(find(v, first[1]) == NULL);
    CHECK_STR(find(v, second[0])->id, "option-1");
    CHECK(find(v, stored) != NULL); /* read at the same time */
    key_of(other, NULL, NULL, &k);
    CHECK(account_refresh(source) == OK);
    CHECK(find(v, second[0]) != NULL); /* they hold through a refresh */
    CHECK(account_extra_set(source, NULL, 0) == OK);
    CHECK(find(v, second[0]) == NULL);
    account_view_close(v);
}

TEST(keys_of_the_options_hold_while_the_process_runs_and_are_not_stored)
{
    char            one[] = "sk-from-option-1";
    str             extra[] = { str_of(one, 16), S("sk-sp-from-option-2") };
    struct key_row *list;
    size_t          count;

    assert_int_equal(store_start(store), OK);
    assert_int_equal(account_open(store, extra, 2, NULL, &source), OK);
    memset(one, 'x', sizeof(one) - 1); /* they were copied */
    run_fiber(options);
    assert_int_equal(key_list(edit_on(other), (str){ 0 }, &list, &count), OK);
    assert_int_equal(count, 2);
}

/* ---- workers ---- */

static _Atomic bool stop_workers;

static void *worker_main(void *arg)
{
    struct account_view *v = account_view_open(source);

    (void)arg;
    while (!atomic_load(&stop_workers)) {
        const struct account *a = account_hold(v), *b;
        const struct key     *found = account_key(v, S("sk-always-there"), 1);

        CHECK(found);
        b = account_hold(v);
        CHECK_STR(found->id, "option-1");
        CHECK_STR(found->workspace->id, "default");
        CHECK(!account_key(v, S("sk-never-there"), 1));
        account_release(v, a);
        account_release(v, b);
    }
    account_view_close(v);
    return NULL;
}

static void change_again_and_again(void *arg)
{
    struct key_row k;

    (void)arg;
    for (int i = 0; i < 30; i++) {
        key_of(other, NULL, NULL, &k);
        CHECK(account_refresh(source) == OK);
    }
    atomic_store(&stop_workers, true);
}

TEST(workers_look_keys_up_while_the_snapshot_is_replaced)
{
    str       extra[] = { S("sk-always-there") };
    pthread_t threads[4];

    assert_int_equal(store_start(store), OK);
    assert_int_equal(account_open(store, extra, 1, NULL, &source), OK);
    atomic_store(&stop_workers, false);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, NULL), 0);
    run_fiber(change_again_and_again);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
}

#define account_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        account_test(a_key_is_found_by_its_text_and_by_nothing_else),
        account_test(many_keys_are_all_found_however_often_they_alternate),
        account_test(a_look_up_costs_less_than_a_hundred_nanoseconds),
        account_test(a_members_key_holds_as_long_as_the_member_is_in_its_workspace),
        account_test(a_key_ends_when_it_expires),
        account_test(networks_that_cannot_be_read_let_nobody_in),
        account_test(a_temporary_key_has_the_rights_of_its_maker_until_it_expires),
        account_test(temporary_keys_hold_over_a_restart),
        account_test(an_account_permits_what_the_specification_says),
        account_test(every_model_of_a_plan_is_known),
        account_test(what_another_process_changes_is_seen_after_a_refresh),
        account_test(what_this_process_changes_itself_is_seen_by_every_view_at_once),
        account_test(a_held_snapshot_stays_as_it_was),
        account_test(keys_of_the_options_hold_while_the_process_runs_and_are_not_stored),
        account_test(workers_look_keys_up_while_the_snapshot_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
