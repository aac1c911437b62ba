/* account.h - who may call what: one snapshot of keys, workspaces, members, models and policies.
 *
 * A snapshot is never changed, only replaced whole: when the database has changed, by this process or by another, it is
 * read again. A worker has a view of it and looks at one atomic number to learn that there is a newer one. A request holds
 * the snapshot that it began with, so that all its pointers stay good until it ends.
 *
 * There is one account a server; its tenants are the workspaces, of which "default" is always there.
 * Spec: access.md §1, §3, §4.1.
 */
#ifndef DASHBOX_ACCESS_ACCOUNT_H
#define DASHBOX_ACCESS_ACCOUNT_H

#include "access/moderation_book.h"
#include "access/network.h"
#include "base/arena.h"
#include "base/map.h"
#include "contract/plan.h"
#include "contract/request.h"
#include "store/store.h"

#define KEY_HASH_LEN 32 /* SHA-256 */

#define WORKSPACE_DEFAULT S("default")

enum commodity { COMMODITY_POSTPAID, COMMODITY_PREPAID, COMMODITY_NONE };

/* What an administrator says of a model in a workspace. */
struct workspace_model {
    str     model; /* an id, or "*": all that have no line of their own */
    bool    allowed;
    int64_t rpm, tpm, concurrency; /* 0: no limit of the workspace's own */
};

struct workspace {
    str                           id, name;
    bool                          is_default;
    enum commodity                commodity;
    int64_t                       paid_until_ms; /* 0: without end */
    int64_t                       created_ms;
    const struct workspace_model *models; /* in the order of their names */
    size_t                        model_count;
};

/* And of a model in the whole account. A model without a row of its own has all of these but free_only. */
struct account_model {
    str  model;
    bool activated, invited, payable, free_only;
};

struct member {
    str                      id, name;
    const struct workspace **workspaces;
    size_t                   workspace_count;
};

enum key_kind { KEY_GENERAL, KEY_CODING_PLAN };

struct key {
    str                     id; /* "key-3f9a01c2": for lists and logs */
    str                     name;
    enum key_kind           kind;
    const struct plan      *plan; /* NULL: general */
    const struct workspace *workspace;
    const struct member    *member;   /* NULL: the account itself */
    const struct network   *networks; /* from which it may be used; none: from all */
    size_t                  network_count;
    int64_t                 expires_ms; /* 0: never */
    unsigned char           hash[KEY_HASH_LEN];
};

/* A moderation rule of a workspace, as it stands in the table; access/moderation compiles them. */
struct policy {
    str     id, workspace, kind, pattern;
    bool    is_regex;
    int64_t created_ms;
};

struct account {
    bool                        activated;  /* the service as a whole */
    bool                        free_only;  /* every model is used for its free quota alone */
    const struct workspace     *workspaces; /* in the order of their ids */
    size_t                      workspace_count;
    const struct workspace     *workspace_default;
    const struct account_model *models; /* in the order of their names */
    size_t                      model_count;
    const struct policy        *policies; /* by workspace, in the order in which they were made */
    size_t                      policy_count;
    struct moderation_book     *moderation; /* the policies, compiled, on top of the configuration's rules */
    uint64_t                    generation; /* another number for every snapshot of the process */
};

/* ---- asking a snapshot ---- */

/* NULL when there is none of that id. */
const struct workspace *account_workspace(const struct account *a, str id);
const struct member    *account_member(const struct account *a, str id);
const struct key       *account_key_by_id(const struct account *a, str id);
/* The line that holds for the model, its own or "*"; NULL when there is none. */
const struct workspace_model *workspace_model(const struct workspace *w, str model);
/* NULL: nothing is said of it. */
const struct account_model *account_model(const struct account *a, str model);
bool                        member_is_in(const struct member *m, const struct workspace *w);
/* A setting by its name, as it stands in the table `account`; empty when it was never set. */
str account_setting(const struct account *a, str name);

/* Step 6 of access.md §11, for the request's key and workspace (rq->account, rq->key, rq->space): whether they may call the
 * model. Refuses with the protocol's own form: E192 (E278, E198c), E191, E193, E199, X098. */
enum err account_permits(struct request *rq, const struct model *m);

/* ---- the snapshots of a process ---- */

struct account_source;
struct account_view;

/* `rules` is the configuration's moderation, NULL for none. `extra` are keys that hold while the process runs
 * (--api-key); they are copied, and not stored. */
enum err account_open(struct store *s, const str *extra, size_t extra_count, struct moderation_set *rules,
                      struct account_source **ret);
void     account_close(struct account_source *src);

/* Puts others in their place: the configuration has been read again. */
SUSPENDS enum err account_extra_set(struct account_source *src, const str *extra, size_t extra_count);

/* The configuration's rules of moderation (NULL: none), which the policies of all workspaces stand on. */
SUSPENDS enum err account_rules_set(struct account_source *src, struct moderation_set *rules);

/* Reads the database again when another process has changed it: at the latest half a second after `dashbox keys …`, and at
 * once before an unknown key or workspace is refused. ERR_NOT_FOUND: nothing has changed. */
SUSPENDS enum err account_refresh(struct account_source *src);

/* In a job on the store's lane that has changed the tables itself (SQLite does not tell a connection of its own changes):
 * every request that begins after it sees them. */
enum err account_changed(struct account_source *src, sqlite3 *db);

/* One a worker. */
struct account_view *account_view_open(struct account_source *src);
void                 account_view_close(struct account_view *v);

/* The newest snapshot, which stays until it is released by the same worker. */
const struct account *account_hold(struct account_view *v);
void                  account_release(struct account_view *v, const struct account *a);

/* The good key of that text, or the one that made this temporary one (st-…); NULL when there is none at this time. It
 * belongs to
 * the snapshot that was held last. */
const struct key *account_key(struct account_view *v, str secret, int64_t now_ms);

/* A temporary key with the rights of `k` (access.md §1.4), in `a`. Nothing is stored: it is signed. */
str account_token(const struct account *a, const struct key *k, int64_t expires_s, struct arena *arena);

static inline bool key_text_is_temporary(str secret)
{
    return str_starts(secret, S("st-"));
}

#endif
