/* edit.h - what an administrator changes: workspaces, members, models, settings, policies (and keys: access/keys.h).
 *
 * The functions are for jobs on the store (store/store.h): the command line calls them directly, the admin API on the
 * store's
 * lane. What they refuse (ERR_NOT_FOUND, ERR_EXISTS, ERR_INVALID, ERR_LIMIT) has a sentence for people in `problem`.
 * A list gives what is stored, in the memory of `arena`.
 */
#ifndef DASHBOX_ACCESS_EDIT_H
#define DASHBOX_ACCESS_EDIT_H

#include "access/account.h"

struct edit {
    sqlite3      *db;
    struct arena *arena;
    str           problem;
};

/* Records the sentence and gives back `e`. */
enum err edit_refuse(struct edit *e, enum err why, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A statement with its parameters, by the letters of `types`: s a str, i an int64_t, n an int64_t of which 0 is NULL, b
 * a str
 * of bytes. edit_run() runs it to its end; ret_changed may be NULL. */
enum err edit_query(struct edit *e, sqlite3_stmt **ret, const char *sql, const char *types, ...);
enum err edit_run(struct edit *e, int *ret_changed, const char *sql, const char *types, ...);

/* Letters, digits, '-', '_', '.': 1 to 64 of them. */
bool edit_id_is_good(str id);

/* "2026-12-01" or "2026-12-01T08:30:00Z" (and "…00.123Z", as clock_iso() writes it), in milliseconds since 1970. */
bool edit_time(str text, int64_t *ret);

/* ---- workspaces ---- */

/* `id` may be empty: one is made ("ws-…"). */
enum err workspace_create(struct edit *e, str id, str name, str *ret_id);
/* With its authorisations and policies; its keys are revoked and go too. The default one stays. */
enum err workspace_delete(struct edit *e, str id);
enum err workspace_rename(struct edit *e, str id, str name);
enum err workspace_billing(struct edit *e, str id, enum commodity c, int64_t paid_until_ms);
/* The model's line in the workspace: `model` is an id or "*". Its limits are for account-wide ones to be below; the default
 * workspace has neither lines nor limits. */
enum err workspace_model_set(struct edit *e, str id, const struct workspace_model *line);
enum err workspace_model_unset(struct edit *e, str id, str model);
/* All, or the one of that id (ERR_NOT_FOUND). */
enum err workspace_list(struct edit *e, str id, struct workspace **ret, size_t *ret_count);
str      commodity_name(enum commodity c);
bool     commodity_of(str name, enum commodity *ret);

/* ---- members ---- */

struct member_row {
    str     id, name;
    int64_t created_ms;
    str    *workspaces;
    size_t  workspace_count;
};

enum err member_create(struct edit *e, str id, str name);
/* Their keys no longer hold. */
enum err member_delete(struct edit *e, str id);
enum err member_join(struct edit *e, str id, str workspace);
enum err member_leave(struct edit *e, str id, str workspace);
enum err member_list(struct edit *e, str id, struct member_row **ret, size_t *ret_count);

/* ---- models of the account ---- */

/* What is stored of a model; the defaults when nothing is. */
enum err account_model_get(struct edit *e, str model, struct account_model *ret);
enum err account_model_set(struct edit *e, const struct account_model *m);

/* ---- settings ---- */

enum err setting_get(struct edit *e, str name, str *ret);
enum err setting_set(struct edit *e, str name, str value);

/* ---- policies (access/moderation.h says what the kinds mean) ---- */

/* Fills in the id and the time. */
enum err policy_create(struct edit *e, struct policy *p);
enum err policy_delete(struct edit *e, str id);
enum err policy_list(struct edit *e, str workspace, struct policy **ret, size_t *ret_count);

#endif
