/* admin.c - the admin API: finds the function, checks what was asked, runs it, answers.
 *
 * Thread: the request's fiber; jobs run on the store's lane while it waits.
 * Limits: the body's is the route's; lists have at most `limit` things.
 */
#include "api/admin/admin.h"

#include "access/admission.h"
#include "api/admin/admin.gen.h"
#include "api/reply.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "net/http_server.h"
#include "service/services.h"

#include <stdarg.h>
#include <stdio.h>

#define PAGE_DEFAULT 100
#define ANSWER_MAX   ((size_t)16 << 20)

enum err admin_refuse(struct admin_call *c, enum err why, const char *fmt, ...)
{
    va_list ap;
    char    text[512];
    int     n;
    str     problem;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    problem = arena_str(c->rq->arena, str_of(text, n < 0 ? 0 : min_size((size_t)n, sizeof(text) - 1)));
    if (why == ERR_NOT_FOUND)
        return fail_admin_not_found(&c->rq->fault, problem); /* REF: D102 */
    if (why == ERR_EXISTS || why == ERR_LIMIT)
        return fail_admin_conflict(&c->rq->fault, problem); /* REF: D103 */
    return fail_admin_invalid(&c->rq->fault, problem);      /* REF: D104 */
}

/* ---- the function ---- */

/* Whether the path is of the pattern; then *ret_value is what stands for {name} (name may be NULL). */
static bool path_fits(str pattern, str path, str name, str *ret_value)
{
    while (pattern.len || path.len) {
        str part = str_cut(&pattern, '/'), got = str_cut(&path, '/');

        if (part.len > 2 && part.ptr[0] == '{') {
            if (!got.len)
                return false;
            if (name.len && str_eq(str_of(part.ptr + 1, part.len - 2), name))
                *ret_value = got;
        } else if (!str_eq(part, got)) {
            return false;
        }
    }
    return true;
}

/* Failures on purpose, journal, clock and reset are off together. */
static bool is_off(const struct request *rq, const struct admin_op *op)
{
    return op->for_tests && !rq->faults;
}

static const struct admin_op *find_op(str method, str path)
{
    for (unsigned i = 0; i < admin_op_count; i++) {
        if (str_eq(admin_ops[i].method, method) && path_fits(admin_ops[i].path, path, (str){ 0 }, NULL))
            return &admin_ops[i];
    }
    return NULL;
}

/* "GET, HEAD, POST": the methods of the path; empty when there is none. */
static str methods_of(const struct request *rq)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    for (unsigned i = 0; i < admin_op_count; i++) {
        const struct admin_op *op = &admin_ops[i];

        if (is_off(rq, op) || !path_fits(op->path, http_path(rq->x), (str){ 0 }, NULL))
            continue;
        if (b.len)
            buf_add(&b, S(", "));
        buf_add(&b, op->method);
        if (str_eq(op->method, S("GET")))
            buf_add(&b, S(", HEAD"));
    }
    return buf_str(&b);
}

static enum err refuse_path(struct request *rq)
{
    str method = http_request(rq->x)->method, path = http_path(rq->x);

    rq->allow = methods_of(rq);
    if (rq->allow.len)
        return fail_admin_method(&rq->fault, path, rq->allow, method); /* REF: D106 */
    return fail_admin_path_unknown(&rq->fault, method, path);          /* REF: D105 */
}

str admin_path(const struct admin_call *c, str name)
{
    str value = { 0 };

    (void)path_fits(c->op->path, http_path(c->rq->x), name, &value); /* it does: the function was found by it */
    return http_unescape(c->rq->arena, value);
}

/* ---- the query ---- */

/* The parameter's value, unescaped. */
static bool query_find(const struct admin_call *c, str name, str *ret)
{
    str rest = http_query(c->rq->x);

    while (rest.len) {
        str pair = str_cut(&rest, '&'), key = str_cut(&pair, '=');

        if (str_eq(key, name)) {
            *ret = http_unescape(c->rq->arena, pair);
            return true;
        }
    }
    return false;
}

static const struct admin_use *use_find(const struct admin_use *uses, unsigned count, str name)
{
    for (unsigned i = 0; i < count; i++) {
        if (str_eq(uses[i].field->name, name))
            return &uses[i];
    }
    return NULL;
}

static enum err check_choice(struct admin_call *c, const struct admin_field *f, str value)
{
    struct buf b;

    buf_init(&b, c->rq->arena, 512);
    for (unsigned i = 0; i < f->choice_count; i++) {
        if (str_eq(f->choices[i], value))
            return OK;
        if (i)
            buf_add(&b, S(", "));
        buf_add(&b, f->choices[i]);
    }
    return admin_refuse(c, ERR_INVALID, "%.*s is one of %.*s", STR_ARG(f->name), STR_ARG(buf_str(&b)));
}

static enum err refuse_time(struct admin_call *c, const struct admin_field *f)
{
    return admin_refuse(c, ERR_INVALID, "%.*s is a time such as \"2026-12-01T00:00:00Z\", or milliseconds since 1970",
                        STR_ARG(f->name));
}

static enum err check_query(struct admin_call *c)
{
    const struct admin_op *op = c->op;
    str                    rest = http_query(c->rq->x);

    while (rest.len) {
        str                       pair = str_cut(&rest, '&'), name = str_cut(&pair, '=');
        const struct admin_use   *use = use_find(op->query, op->query_count, name);
        const struct admin_field *f = use ? use->field : NULL;
        str                       value = http_unescape(c->rq->arena, pair);
        int64_t                   n;

        if (!f)
            return admin_refuse(c, ERR_INVALID, "there is no query parameter \"%.*s\"", STR_ARG(str_first(name, 64)));
        if (f->type == ADMIN_INT && (!str_to_i64(value, &n) || n < f->min || n > f->max))
            return admin_refuse(c, ERR_INVALID, "%.*s is a number from %lld to %lld", STR_ARG(f->name),
                                (long long)f->min, (long long)f->max);
        if (f->type == ADMIN_TIME && (str_to_i64(value, &n) ? n < 0 : !edit_time(value, &n)))
            return refuse_time(c, f);
        if (f->type == ADMIN_CHOICE && check_choice(c, f, value))
            return ERR_FAULT;
        if (f->type == ADMIN_TEXT && ((int64_t)value.len < f->min || (int64_t)value.len > f->max))
            return admin_refuse(c, ERR_INVALID, "%.*s has %lld to %lld bytes", STR_ARG(f->name), (long long)f->min,
                                (long long)f->max);
    }
    for (unsigned i = 0; i < op->query_count; i++) {
        str value;

        if (op->query[i].required && !query_find(c, op->query[i].field->name, &value))
            return admin_refuse(c, ERR_INVALID, "%.*s is missing", STR_ARG(op->query[i].field->name));
    }
    return OK;
}

/* ---- the body ---- */

static enum err check_text(struct admin_call *c, const struct admin_field *f, yyjson_val *v)
{
    str text = json_str(v);

    if (!yyjson_is_str(v))
        return admin_refuse(c, ERR_INVALID, "%.*s is a text", STR_ARG(f->name));
    if ((int64_t)text.len < f->min || (int64_t)text.len > f->max)
        return admin_refuse(c, ERR_INVALID, "%.*s has %lld to %lld bytes", STR_ARG(f->name), (long long)f->min,
                            (long long)f->max);
    return OK;
}

static enum err check_texts(struct admin_call *c, const struct admin_field *f, yyjson_val *v)
{
    size_t      at, max;
    yyjson_val *one;

    if (!yyjson_is_arr(v))
        return admin_refuse(c, ERR_INVALID, "%.*s is a list of texts", STR_ARG(f->name));
    yyjson_arr_foreach(v, at, max, one)
    {
        enum err e = check_text(c, f, one);

        if (e)
            return e;
    }
    return OK;
}

static bool read_time(yyjson_val *v, int64_t *ret)
{
    return yyjson_is_str(v) ? edit_time(json_str(v), ret) : json_to_i64(v, ret) && *ret >= 0;
}

static enum err check_value(struct admin_call *c, const struct admin_field *f, yyjson_val *v)
{
    int64_t n;

    switch (f->type) {
    case ADMIN_TEXT:
        return check_text(c, f, v);
    case ADMIN_CHOICE:
        return check_choice(c, f, json_str(v));
    case ADMIN_TEXTS:
        return check_texts(c, f, v);
    case ADMIN_BOOL:
        return yyjson_is_bool(v) ? OK : admin_refuse(c, ERR_INVALID, "%.*s is true or false", STR_ARG(f->name));
    case ADMIN_INT:
        if (json_to_i64(v, &n) && n >= f->min && n <= f->max)
            return OK;
        return admin_refuse(c, ERR_INVALID, "%.*s is a number from %lld to %lld", STR_ARG(f->name), (long long)f->min,
                            (long long)f->max);
    case ADMIN_TIME:
        if (read_time(v, &n))
            return OK;
        return refuse_time(c, f);
    }
    return OK;
}

static enum err check_body(struct admin_call *c)
{
    const struct admin_op *op = c->op;
    size_t                 at, max;
    yyjson_val            *key, *value;

    yyjson_obj_foreach(c->body, at, max, key, value)
    {
        const struct admin_use *use = use_find(op->body, op->body_count, json_str(key));
        enum err                e;

        if (!use)
            return admin_refuse(c, ERR_INVALID, "there is no field \"%.*s\"", STR_ARG(str_first(json_str(key), 64)));
        if (yyjson_is_null(value))
            continue;
        e = check_value(c, use->field, value);
        if (e)
            return e;
    }
    for (unsigned i = 0; i < op->body_count; i++) {
        if (op->body[i].required && !json_get(c->body, op->body[i].field->name.ptr))
            return admin_refuse(c, ERR_INVALID, "%.*s is missing", STR_ARG(op->body[i].field->name));
    }
    return OK;
}

/* ---- what was asked ---- */

bool admin_has(const struct admin_call *c, const char *name)
{
    str value;

    return json_get(c->body, name) || query_find(c, str_from_cstr(name), &value);
}

bool admin_names(const struct admin_call *c, const char *name)
{
    return yyjson_obj_getn(c->body, name, strlen(name)) != NULL;
}

str admin_text(const struct admin_call *c, const char *name)
{
    yyjson_val *v = json_get(c->body, name);
    str         value = { 0 };

    if (v)
        return json_str(v);
    (void)query_find(c, str_from_cstr(name), &value); /* absent: it stays empty */
    return value;
}

int64_t admin_int(const struct admin_call *c, const char *name, int64_t absent)
{
    yyjson_val *v = json_get(c->body, name);
    int64_t     n = absent;
    str         text;

    if (v)
        (void)(yyjson_is_str(v) ? read_time(v, &n) : json_to_i64(v, &n)); /* it was checked */
    else if (query_find(c, str_from_cstr(name), &text))
        (void)(str_to_i64(text, &n) || edit_time(text, &n)); /* a number, or a time */
    return n;
}

bool admin_bool(const struct admin_call *c, const char *name, bool absent)
{
    yyjson_val *v = json_get(c->body, name);

    return v ? yyjson_is_true(v) : absent;
}

yyjson_val *admin_texts(const struct admin_call *c, const char *name)
{
    return json_get(c->body, name);
}

/* ---- lists ---- */

void admin_page_begin(struct admin_page *p, struct admin_call *c)
{
    *p = (struct admin_page){
        .call = c,
        .after = admin_text(c, "after"),
        .left = admin_int(c, "limit", PAGE_DEFAULT),
        .first = true,
    };
    buf_add(&c->out, S("{\"data\":["));
}

bool admin_page_has(struct admin_page *p, str id)
{
    if (p->after.len && str_cmp(id, p->after) <= 0)
        return false;
    if (p->left == 0) {
        p->more = true;
        return false;
    }
    p->left--;
    p->last = id;
    if (!p->first)
        buf_add_char(&p->call->out, ',');
    p->first = false;
    return true;
}

void admin_page_end(struct admin_page *p)
{
    struct buf *b = &p->call->out;

    buf_add(b, S("],\"next\":"));
    if (p->more)
        json_add_str(b, p->last);
    else
        buf_add(b, S("null"));
    buf_add_char(b, '}');
}

/* ---- running it ---- */

/* On the store's lane. */
static enum err run_job(sqlite3 *db, void *arg)
{
    struct admin_call     *c = arg;
    struct account_source *accounts = c->rq->services->accounts;
    enum err               e = store_exec(db, c->op->writes ? "BEGIN IMMEDIATE" : "BEGIN"), rolled;

    if (e)
        return e;
    c->edit = (struct edit){ .db = db, .arena = c->rq->arena };
    e = c->op->job(c);
    if (!e)
        e = store_exec(db, "COMMIT");
    if (e) {
        rolled = store_exec(db, "ROLLBACK");
        (void)rolled; /* the first error is the one to tell */
        return e;
    }
    if (!c->op->writes)
        return OK;
    /* It is done, whatever comes now: both are tried, and the answer says so. */
    e = account_changed(accounts, db);
    rolled = quota_reload(c->rq->access->quota, db);
    c->unseen = e || rolled;
    return OK;
}

static enum err run(struct admin_call *c)
{
    enum err e;

    if (c->op->handler)
        return c->op->handler(c);
    c->rq->action = "waiting for the store";
    e = store_run(c->rq->services->store, run_job, c);
    if (e && e != ERR_FAULT && c->edit.problem.len)
        return admin_refuse(c, e, "%.*s", STR_ARG(c->edit.problem));
    if (!e && c->unseen)
        return fail_admin_unseen(&c->rq->fault); /* REF: D107 */
    return e;
}

enum err handle_admin(struct request *rq)
{
    struct admin_call c = { .rq = rq };
    str               method = http_request(rq->x)->method;
    enum err          e;

    might_suspend();
    c.op = find_op(str_eq(method, S("HEAD")) ? S("GET") : method, http_path(rq->x));
    if (!c.op)
        return refuse_path(rq);
    if (is_off(rq, c.op))
        return admin_refuse(&c, ERR_NOT_FOUND, "this is for tests, and off under --production");
    buf_init(&c.out, rq->arena, ANSWER_MAX);
    e = check_query(&c);
    if (!e && c.op->body_count) {
        e = request_json(rq, &c.body);
        if (!e)
            e = check_body(&c);
    }
    if (e)
        return e;
    request_phase(rq, PHASE_CHECK);
    e = run(&c);
    if (e)
        return e;
    if (c.out.full)
        return admin_refuse(&c, ERR_INVALID, "the answer is longer than %zu MiB; ask for less", ANSWER_MAX >> 20);
    return c.out.len ? reply_json(rq, buf_str(&c.out)) : reply_empty(rq, 204);
}

enum err admin_handle_openapi(struct admin_call *c)
{
    buf_add(&c->out, c->rq->faults ? admin_openapi : admin_openapi_production);
    return OK;
}
