/* conversation.c - responses and conversations in the store.
 *
 * Thread: the jobs run on the store's lane; the request's arena is theirs while its fiber waits.
 */
#include "service/conversation.h"

#include "access/edit.h"
#include "base/clock.h"
#include "contract/errors.gen.h"
#include "service/services.h"

/* Of what went before: no model's window holds as many bytes. */
#define HISTORY_MAX ((size_t)8 << 20)
/* Expired responses that go with each one that is stored: more than come, so that none are left behind. */
#define SWEEP_COUNT 8

struct job {
    enum err (*run)(struct job *j);
    bool            writes;
    struct edit     e;
    struct request *rq;
    str             id, other;   /* what is asked for */
    str             no_response; /* with ERR_NOT_FOUND: the response that is not there; empty: something else */

    const struct stored_response *response;
    const struct stored_item     *items;
    size_t                        count;
    const struct items_page      *page;
    bool                          conversation; /* the owner of the items; else a response */
    void                         *ret;
};

static enum err run_job(sqlite3 *db, void *arg)
{
    struct job *j = arg;
    enum err    e;

    j->e = (struct edit){ .db = db, .arena = j->rq->arena };
    if (!j->writes)
        return j->run(j);
    e = store_exec(db, "BEGIN IMMEDIATE");
    if (e)
        return e;
    e = j->run(j);
    if (!e)
        e = store_exec(db, "COMMIT");
    if (e)
        (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
    return e;
}

SUSPENDS static enum err run(struct request *rq, struct job *j)
{
    enum err e;

    j->rq = rq;
    e = store_run(rq->services->store, run_job, j);
    if (e != ERR_NOT_FOUND)
        return e;
    return j->no_response.len ? fail_stored_not_found(&rq->fault, j->no_response)
                              : fail_resource_not_found(&rq->fault); /* REF: E201 */
}

static str column(struct job *j, sqlite3_stmt *st, int at)
{
    return arena_str(j->rq->arena, store_column_str(st, at));
}

/* ---- what is there ---- */

/* All but its body, which only GET answers with: a chain may hold many, and large ones. */
static enum err get_response(struct job *j, str id, bool lives, struct stored_response *ret)
{
    sqlite3_stmt *st;
    int           result;
    enum err      e = edit_query(
             &j->e, &st, "SELECT previous, model, created_ms, expires_ms FROM responses WHERE id = ? AND workspace = ?",
             "ss", id, j->rq->workspace);

    if (e)
        return e;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW)
        *ret = (struct stored_response){ .id = id,
                                         .previous = column(j, st, 0),
                                         .model = column(j, st, 1),
                                         .created_ms = sqlite3_column_int64(st, 2),
                                         .expires_ms = sqlite3_column_int64(st, 3) };
    sqlite3_finalize(st);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return store_err(j->e.db, result);
    if (result == SQLITE_DONE || (lives && ret->expires_ms <= clock_unix_ms())) {
        j->no_response = id;
        return ERR_NOT_FOUND;
    }
    return OK;
}

static enum err get_conversation(struct job *j, str id, struct conversation *ret)
{
    sqlite3_stmt *st;
    int           result;
    enum err e = edit_query(&j->e, &st, "SELECT metadata, created_ms FROM conversations WHERE id = ? AND workspace = ?",
                            "ss", id, j->rq->workspace);

    if (e)
        return e;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW)
        *ret =
            (struct conversation){ .id = id, .metadata = column(j, st, 0), .created_ms = sqlite3_column_int64(st, 1) };
    sqlite3_finalize(st);
    return result == SQLITE_DONE ? ERR_NOT_FOUND : store_err(j->e.db, result);
}

static enum err get_owner(struct job *j)
{
    struct conversation    c;
    struct stored_response r;

    return j->conversation ? get_conversation(j, j->id, &c) : get_response(j, j->id, true, &r);
}

/* ---- items ---- */

struct gathering {
    struct stored_item *items;
    size_t              count, cap, bytes;
    bool                full;
};

static void gathering_add(struct job *j, struct gathering *g, const struct stored_item *item)
{
    if (g->count == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;

        g->items = arena_realloc(j->rq->arena, g->items, g->cap * sizeof(*g->items), cap * sizeof(*g->items));
        g->cap = cap;
    }
    g->items[g->count++] = *item;
    g->bytes += item->text.len;
    g->full = g->bytes > HISTORY_MAX;
}

/* All items of the owner, the newest first, until there are too many. */
static enum err gather_back(struct job *j, str owner, struct gathering *g)
{
    sqlite3_stmt *st;
    int           result;
    enum err      e =
        edit_query(&j->e, &st, "SELECT id, item, output FROM conversation_items WHERE owner = ? ORDER BY position DESC",
                   "s", owner);

    if (e)
        return e;
    while ((result = sqlite3_step(st)) == SQLITE_ROW && !g->full) {
        const struct stored_item item = { .id = column(j, st, 0),
                                          .text = column(j, st, 1),
                                          .output = sqlite3_column_int(st, 2) };

        gathering_add(j, g, &item);
    }
    sqlite3_finalize(st);
    return result == SQLITE_ROW ? OK : store_err(j->e.db, result);
}

static bool is_user(const struct stored_item *item)
{
    return str_find_str(item->text, S("\"role\":\"user\"")) != STR_NONE;
}

static void turn_round(struct gathering *g, struct items_list *ret)
{
    /* What is cut begins with a user's turn, so that no call stands without its output. */
    while (g->full && g->count && !is_user(&g->items[g->count - 1]))
        g->count--;
    for (size_t i = 0; i < g->count / 2; i++) {
        struct stored_item other = g->items[i];

        g->items[i] = g->items[g->count - 1 - i];
        g->items[g->count - 1 - i] = other;
    }
    *ret = (struct items_list){ .items = g->items, .count = g->count };
}

static enum err job_history(struct job *j)
{
    struct gathering       g = { 0 };
    struct conversation    c;
    struct stored_response r = { .previous = j->id };
    enum err               e = OK;

    if (j->other.len) {
        e = get_conversation(j, j->other, &c);
        if (!e)
            e = gather_back(j, j->other, &g);
    }
    for (bool first = true; !e && r.previous.len && !g.full; first = false) {
        str id = r.previous;

        e = get_response(j, id, first, &r);
        if (!e)
            e = gather_back(j, id, &g);
    }
    if (!e)
        turn_round(&g, j->ret);
    return e;
}

enum err conversation_history(struct request *rq, str previous, str conversation, struct items_list *ret)
{
    struct job j = { .run = job_history, .id = previous, .other = conversation, .ret = ret };

    return run(rq, &j);
}

static enum err job_reference(struct job *j)
{
    sqlite3_stmt *st;
    int           result;
    enum err e = edit_query(&j->e, &st, "SELECT item FROM conversation_items WHERE id = ? AND workspace = ? LIMIT 1",
                            "ss", j->id, j->rq->workspace);

    if (e)
        return e;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW)
        *(str *)j->ret = column(j, st, 0);
    sqlite3_finalize(st);
    return result == SQLITE_DONE ? ERR_NOT_FOUND : store_err(j->e.db, result);
}

enum err conversation_reference(struct request *rq, str id, str *ret_text)
{
    struct job j = { .run = job_reference, .id = id, .ret = ret_text };

    return run(rq, &j);
}

static enum err put_items(struct job *j, str owner)
{
    enum err e = OK;

    for (size_t i = 0; i < j->count && !e; i++)
        e = edit_run(
            &j->e, NULL,
            "INSERT INTO conversation_items (owner, position, id, workspace, output, item)"
            " SELECT ?1, coalesce(max(position) + 1, 0), ?2, ?3, ?4, ?5 FROM conversation_items WHERE owner = ?1",
            "sssis", owner, j->items[i].id, j->rq->workspace, (int64_t)j->items[i].output, j->items[i].text);
    return e;
}

static enum err item_position(struct job *j, str item, int64_t *ret)
{
    sqlite3_stmt *st;
    int           result;
    enum err e = edit_query(&j->e, &st, "SELECT position FROM conversation_items WHERE owner = ? AND id = ? LIMIT 1",
                            "ss", j->id, item);

    if (e)
        return e;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW)
        *ret = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return result == SQLITE_DONE ? ERR_NOT_FOUND : store_err(j->e.db, result);
}

/* One more than fit a page are asked for, which tells whether there are more. */
static enum err read_page(struct job *j, int64_t behind, struct items_list *ret)
{
    static const char up[] =
        "SELECT id, item FROM conversation_items WHERE owner = ? AND position > ? AND (output = 0 OR ?)"
        " ORDER BY position LIMIT ?";
    static const char down[] = "SELECT id, item FROM conversation_items WHERE owner = ? AND position < ?"
                               " AND (output = 0 OR ?) ORDER BY position DESC LIMIT ?";
    sqlite3_stmt     *st;
    int               result;
    enum err          e = edit_query(&j->e, &st, j->page->descending ? down : up, "siii", j->id, behind,
                                     (int64_t)j->conversation, j->page->limit + 1);

    if (e)
        return e;
    *ret = (struct items_list){ .items = arena_array(j->rq->arena, struct stored_item, (size_t)j->page->limit) };
    while ((result = sqlite3_step(st)) == SQLITE_ROW && !ret->more) {
        if (ret->count == (size_t)j->page->limit)
            ret->more = true;
        else
            ret->items[ret->count++] = (struct stored_item){ .id = column(j, st, 0), .text = column(j, st, 1) };
    }
    sqlite3_finalize(st);
    return result == SQLITE_ROW ? OK : store_err(j->e.db, result);
}

static enum err job_page(struct job *j)
{
    int64_t  behind = j->page->descending ? INT64_MAX : -1;
    enum err e = get_owner(j);

    if (!e && j->page->after.len)
        e = item_position(j, j->page->after, &behind);
    return e ? e : read_page(j, behind, j->ret);
}

/* ---- responses ---- */

static enum err delete_response(struct job *j, str id)
{
    enum err e = edit_run(&j->e, NULL, "DELETE FROM conversation_items WHERE owner = ?", "s", id);

    return e ? e : edit_run(&j->e, NULL, "DELETE FROM responses WHERE id = ?", "s", id);
}

/* Of a chain the last goes first. */
static enum err sweep(struct job *j)
{
    sqlite3_stmt *st;
    str           ids[SWEEP_COUNT];
    size_t        count = 0;
    int           result;
    enum err      e = edit_query(&j->e, &st,
                                 "SELECT id FROM responses WHERE expires_ms <= ? AND NOT EXISTS"
                                      " (SELECT 1 FROM responses AS next WHERE next.previous = responses.id)"
                                      " ORDER BY expires_ms LIMIT ?",
                                 "ii", clock_unix_ms(), (int64_t)SWEEP_COUNT);

    if (e)
        return e;
    while ((result = sqlite3_step(st)) == SQLITE_ROW && count < SWEEP_COUNT)
        ids[count++] = column(j, st, 0);
    sqlite3_finalize(st);
    e = store_err(j->e.db, result);
    for (size_t i = 0; i < count && !e; i++)
        e = delete_response(j, ids[i]);
    return e;
}

static enum err job_response_put(struct job *j)
{
    const struct stored_response *r = j->response;
    struct conversation           c;
    enum err                      e =
        edit_run(&j->e, NULL,
                 "INSERT INTO responses (id, workspace, previous, model, created_ms, expires_ms, body)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?)",
                 "ssssiis", r->id, j->rq->workspace, r->previous, r->model, r->created_ms, r->expires_ms, r->body);

    if (!e)
        e = put_items(j, r->id);
    if (!e && j->other.len) {
        e = get_conversation(j, j->other, &c); /* it may have been deleted meanwhile */
        e = e == ERR_NOT_FOUND ? OK : e ? e : put_items(j, j->other);
    }
    return e ? e : sweep(j);
}

enum err response_put(struct request *rq, const struct stored_response *r, str conversation,
                      const struct stored_item *items, size_t count)
{
    struct job j = {
        .run = job_response_put, .writes = true, .response = r, .other = conversation, .items = items, .count = count
    };

    return run(rq, &j);
}

static enum err job_response_get(struct job *j)
{
    struct stored_response *ret = j->ret;
    sqlite3_stmt           *st;
    int                     result;
    enum err                e = get_response(j, j->id, true, ret);

    if (!e)
        e = edit_query(&j->e, &st, "SELECT body FROM responses WHERE id = ?", "s", j->id);
    if (e)
        return e;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW)
        ret->body = column(j, st, 0);
    sqlite3_finalize(st);
    return store_err(j->e.db, result);
}

enum err response_get(struct request *rq, str id, struct stored_response *ret)
{
    struct job j = { .run = job_response_get, .id = id, .ret = ret };

    return run(rq, &j);
}

static enum err job_response_delete(struct job *j)
{
    struct stored_response r;
    enum err               e = get_response(j, j->id, true, &r);

    return e ? e : delete_response(j, j->id);
}

enum err response_delete(struct request *rq, str id)
{
    struct job j = { .run = job_response_delete, .writes = true, .id = id };

    return run(rq, &j);
}

enum err response_items(struct request *rq, str id, const struct items_page *page, struct items_list *ret)
{
    struct job j = { .run = job_page, .id = id, .page = page, .ret = ret };

    return run(rq, &j);
}

/* ---- conversations ---- */

static enum err job_create(struct job *j)
{
    const struct conversation *c = j->ret;
    enum err                   e =
        edit_run(&j->e, NULL, "INSERT INTO conversations (id, workspace, created_ms, metadata) VALUES (?, ?, ?, ?)",
                 "ssis", c->id, j->rq->workspace, c->created_ms, c->metadata);

    return e ? e : put_items(j, c->id);
}

enum err conversation_create(struct request *rq, struct conversation *c, const struct stored_item *items, size_t count)
{
    struct job j = { .run = job_create, .writes = true, .items = items, .count = count, .ret = c };
    char       uuid[UUID_LEN + 1];

    rand_uuid(uuid, '4');
    c->id = arena_printf(rq->arena, "conv_%s", uuid);
    c->created_ms = clock_unix_ms();
    return run(rq, &j);
}

static enum err job_get(struct job *j)
{
    return get_conversation(j, j->id, j->ret);
}

enum err conversation_get(struct request *rq, str id, struct conversation *ret)
{
    struct job j = { .run = job_get, .id = id, .ret = ret };

    return run(rq, &j);
}

static enum err job_set_metadata(struct job *j)
{
    struct conversation c;
    enum err            e = get_conversation(j, j->id, &c);

    return e ? e : edit_run(&j->e, NULL, "UPDATE conversations SET metadata = ? WHERE id = ?", "ss", j->other, j->id);
}

enum err conversation_set_metadata(struct request *rq, str id, str metadata)
{
    struct job j = { .run = job_set_metadata, .writes = true, .id = id, .other = metadata };

    return run(rq, &j);
}

static enum err job_delete(struct job *j)
{
    struct conversation c;
    enum err            e = get_conversation(j, j->id, &c);

    if (!e)
        e = edit_run(&j->e, NULL, "DELETE FROM conversation_items WHERE owner = ?", "s", j->id);
    return e ? e : edit_run(&j->e, NULL, "DELETE FROM conversations WHERE id = ?", "s", j->id);
}

enum err conversation_delete(struct request *rq, str id)
{
    struct job j = { .run = job_delete, .writes = true, .id = id };

    return run(rq, &j);
}

static enum err job_add(struct job *j)
{
    struct conversation c;
    enum err            e = get_conversation(j, j->id, &c);

    return e ? e : put_items(j, j->id);
}

enum err conversation_add(struct request *rq, str id, const struct stored_item *items, size_t count)
{
    struct job j = { .run = job_add, .writes = true, .id = id, .items = items, .count = count };

    return run(rq, &j);
}

enum err conversation_items(struct request *rq, str id, const struct items_page *page, struct items_list *ret)
{
    struct job j = { .run = job_page, .id = id, .conversation = true, .page = page, .ret = ret };

    return run(rq, &j);
}

static enum err job_item(struct job *j)
{
    struct items_list   found;
    struct stored_item *ret = j->ret;
    int64_t             position = 0;
    enum err            e = get_owner(j);

    if (!e)
        e = item_position(j, j->other, &position);
    if (!e)
        e = read_page(j, position - 1, &found);
    if (!e && found.count)
        *ret = found.items[0];
    return e;
}

enum err conversation_item(struct request *rq, str id, str item, struct stored_item *ret)
{
    const struct items_page one = { .limit = 1 };
    struct job j = { .run = job_item, .id = id, .other = item, .page = &one, .conversation = true, .ret = ret };

    return run(rq, &j);
}

static enum err job_item_delete(struct job *j)
{
    int64_t  position = 0;
    enum err e = get_owner(j);

    if (!e)
        e = item_position(j, j->other, &position);
    return e ? e
             : edit_run(&j->e, NULL, "DELETE FROM conversation_items WHERE owner = ? AND position = ?", "si", j->id,
                        position);
}

enum err conversation_item_delete(struct request *rq, str id, str item)
{
    struct job j = { .run = job_item_delete, .writes = true, .id = id, .other = item, .conversation = true };

    return run(rq, &j);
}

static enum err job_reset(sqlite3 *db, void *arg)
{
    (void)arg;
    return store_exec(db, "BEGIN IMMEDIATE; DELETE FROM conversation_items; DELETE FROM responses;"
                          "DELETE FROM conversations; COMMIT");
}

enum err conversation_reset(struct store *s)
{
    return store_run(s, job_reset, NULL);
}
