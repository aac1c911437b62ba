/* admin.h - the admin API, /admin/v1/…: how its functions are written.
 *
 * What there is stands in data/routes/admin.txt: a stanza a function (method and path, summary, query and body fields,
 * answer),
 * from which come the table that this module walks and GET /admin/v1/openapi.json. A function is one of
 *
 *      job      NAME    enum err admin_job_NAME(struct admin_call *c)       runs on the store's lane, in a transaction:
 * c->edit
 *      handler  NAME    SUSPENDS enum err admin_handle_NAME(struct admin_call *c)    runs on the request's fiber
 *
 * and finds the path's parameters, the query and the body checked against the stanza. It adds its answer to c->out; a
 * function that adds nothing answers 204. A job that changes something commits, and every request that begins after
 * its answer sees it. It refuses with admin_refuse() or with an error of access/edit.h.
 */
#ifndef DASHBOX_API_ADMIN_ADMIN_H
#define DASHBOX_API_ADMIN_ADMIN_H

#include "access/edit.h"
#include "api/admin/objects.h"
#include "contract/json.h"
#include "contract/request.h"

enum admin_type { ADMIN_TEXT, ADMIN_INT, ADMIN_BOOL, ADMIN_CHOICE, ADMIN_TEXTS, ADMIN_TIME };

struct admin_field {
    str             name;
    enum admin_type type;
    int64_t         min, max; /* of a number; of the bytes of a text */
    const str      *choices;
    unsigned        choice_count;
};

struct admin_use {
    const struct admin_field *field;
    bool                      required;
};

struct admin_call;

struct admin_op {
    str                     method, path; /* "/admin/v1/keys/{key}" */
    const struct admin_use *query, *body;
    unsigned                query_count, body_count;
    bool                    writes;    /* a job that changes the store */
    bool                    for_tests; /* not under --production */
    enum err (*job)(struct admin_call *c);
    SUSPENDS enum err (*handler)(struct admin_call *c);
};

struct admin_call {
    struct request        *rq;
    const struct admin_op *op;
    struct edit            edit;   /* for jobs */
    bool                   unseen; /* the job has committed, but calls do not see it yet */
    yyjson_val            *body;   /* NULL: none */
    struct buf             out;    /* the answer's JSON */
};

extern const struct admin_op admin_ops[];
extern const unsigned        admin_op_count;

/* The handler of the route /admin/v1/…. */
SUSPENDS enum err handle_admin(struct request *rq);

/* ---- what was asked; all of it has been checked against the stanza ---- */

/* A {parameter} of the path, unescaped. */
str admin_path(const struct admin_call *c, str name);
/* A field of the body or, when the body has no such field, of the query. Empty when absent or null. */
str admin_text(const struct admin_call *c, const char *name);
/* Whether it is there, and is not null. */
bool admin_has(const struct admin_call *c, const char *name);
/* Whether the body has it, even as null: what a PATCH takes away. */
bool admin_names(const struct admin_call *c, const char *name);
/* `absent` when it is absent or null. A time ("2026-12-01T00:00:00Z", or a number of milliseconds) is in milliseconds. */
int64_t admin_int(const struct admin_call *c, const char *name, int64_t absent);
bool    admin_bool(const struct admin_call *c, const char *name, bool absent);
/* A list of texts: the value for yyjson_arr_foreach; NULL when absent. */
yyjson_val *admin_texts(const struct admin_call *c, const char *name);

/* ---- the answer ---- */

/* A list with the query's "limit" and "after": for each thing, in the order of its id, admin_page_has() says whether it is
 * wanted; then one adds its JSON. {"data":[…],"next":ID|null} */
struct admin_page {
    struct admin_call *call;
    str                after, last;
    int64_t            left;
    bool               first, more;
};

void admin_page_begin(struct admin_page *p, struct admin_call *c);
bool admin_page_has(struct admin_page *p, str id);
void admin_page_end(struct admin_page *p);

/* Whether the model is known (or is "*"); a job's refusal otherwise. */
enum err admin_model_check(struct admin_call *c, str id);

/* Refuses: the status and code follow from `why` (ERR_NOT_FOUND 404, ERR_EXISTS and ERR_LIMIT 409, others 400). */
enum err admin_refuse(struct admin_call *c, enum err why, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
