/* edit.c - what an administrator changes. */
#include "access/edit.h"

#include "base/clock.h"
#include "base/rand.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum err edit_refuse(struct edit *e, enum err why, const char *fmt, ...)
{
    va_list ap;
    char    text[512];
    int     n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    e->problem = arena_str(e->arena, str_of(text, n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1));
    return why;
}

static enum err query(struct edit *e, sqlite3_stmt **ret, const char *sql, const char *types, va_list ap)
{
    sqlite3_stmt *st;
    enum err      r = store_prepare(e->db, sql, &st);

    if (r)
        return r;
    for (int i = 0; types[i]; i++) {
        if (types[i] == 's') {
            store_bind_str(st, i + 1, va_arg(ap, str));
        } else if (types[i] == 'b') {
            str bytes = va_arg(ap, str);

            sqlite3_bind_blob64(st, i + 1, bytes.ptr, bytes.len, SQLITE_TRANSIENT);
        } else {
            int64_t v = va_arg(ap, int64_t);

            ASSERT(types[i] == 'i' || types[i] == 'n');
            if (types[i] == 'i' || v)
                sqlite3_bind_int64(st, i + 1, v);
        }
    }
    *ret = st;
    return OK;
}

enum err edit_query(struct edit *e, sqlite3_stmt **ret, const char *sql, const char *types, ...)
{
    va_list  ap;
    enum err r;

    va_start(ap, types);
    r = query(e, ret, sql, types, ap);
    va_end(ap);
    return r;
}

enum err edit_run(struct edit *e, int *ret_changed, const char *sql, const char *types, ...)
{
    sqlite3_stmt *st;
    va_list       ap;
    enum err      r;

    va_start(ap, types);
    r = query(e, &st, sql, types, ap);
    va_end(ap);
    if (r)
        return r;
    r = store_err(e->db, sqlite3_step(st));
    sqlite3_finalize(st);
    if (!r && ret_changed)
        *ret_changed = sqlite3_changes(e->db);
    return r;
}

bool edit_id_is_good(str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.'))
            return false;
    }
    return id.len >= 1 && id.len <= 64;
}

/* Cuts `digits` digits and, unless it is 0, the character behind them off the text. */
static bool cut_number(str *text, size_t digits, char behind, int *ret)
{
    int64_t n = 0;

    if (text->len < digits || !str_to_i64(str_first(*text, digits), &n) || n < 0)
        return false;
    *text = str_from(*text, digits);
    if (behind && (!text->len || text->ptr[0] != behind))
        return false;
    *text = str_from(*text, behind ? 1 : 0);
    *ret = (int)n;
    return true;
}

bool edit_time(str text, int64_t *ret)
{
    struct tm t = { 0 };
    int       ms = 0, year = 0, month = 0;

    if (!cut_number(&text, 4, '-', &year) || !cut_number(&text, 2, '-', &month) || !cut_number(&text, 2, 0, &t.tm_mday))
        return false;
    if (text.len) {
        text = str_from(text, text.ptr[0] == 'T' ? 1 : text.len);
        if (!cut_number(&text, 2, ':', &t.tm_hour) || !cut_number(&text, 2, ':', &t.tm_min) ||
            !cut_number(&text, 2, 0, &t.tm_sec))
            return false;
        if (str_starts(text, S("."))) {
            text = str_from(text, 1);
            if (!cut_number(&text, 3, 0, &ms))
                return false;
        }
        if (!str_eq(text, S("Z")))
            return false;
    }
    if (year < 1970 || month < 1 || month > 12 || t.tm_mday < 1 || t.tm_mday > 31 || t.tm_hour > 23 || t.tm_min > 59 ||
        t.tm_sec > 59)
        return false;
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    *ret = (int64_t)timegm(&t) * 1000 + ms;
    return true;
}

static enum err refuse_id(struct edit *e, str id)
{
    return edit_refuse(e, ERR_INVALID, "\"%.*s\" is no id: letters, digits, - _ and ., at most 64", STR_ARG(id));
}

static enum err refuse_workspace(struct edit *e, str id)
{
    return edit_refuse(e, ERR_NOT_FOUND, "there is no workspace \"%.*s\"", STR_ARG(id));
}

static enum err refuse_member(struct edit *e, str id)
{
    return edit_refuse(e, ERR_NOT_FOUND, "there is no member \"%.*s\"", STR_ARG(id));
}

/* An UPDATE or DELETE of one thing that must be there. */
static enum err must_change(struct edit *e, enum err r, int changed, enum err (*missing)(struct edit *e, str id),
                            str id)
{
    if (r)
        return r;
    return changed ? OK : missing(e, id);
}

static bool exists(struct edit *e, const char *sql, str id)
{
    sqlite3_stmt *st;
    bool          found;

    if (edit_query(e, &st, sql, "s", id))
        return false;
    found = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return found;
}

static str text(struct edit *e, sqlite3_stmt *st, int at)
{
    return arena_str(e->arena, store_column_str(st, at));
}

/* Room for one more element: the array doubles at each power of two. */
static void *room(struct edit *e, void *array, size_t size, size_t count)
{
    if (count & (count - 1))
        return array;
    return arena_realloc(e->arena, array, count * size, (count ? 2 * count : 1) * size);
}

/* ---- workspaces ---- */

static const str commodities[] = { S("postpaid"), S("prepaid"), S("none") };

str commodity_name(enum commodity c)
{
    ASSERT((size_t)c < ARRAY_LEN(commodities));
    return commodities[c];
}

bool commodity_of(str name, enum commodity *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(commodities); i++) {
        if (str_eq(commodities[i], name)) {
            *ret = (enum commodity)i;
            return true;
        }
    }
    return false;
}

/* The default workspace "may call every model without per-model limits" (access.md §1.3). */
static enum err refuse_default(struct edit *e, str id, const char *what)
{
    if (!str_eq(id, WORKSPACE_DEFAULT))
        return OK;
    return edit_refuse(e, ERR_INVALID, "the default workspace %s", what);
}

enum err workspace_create(struct edit *e, str id, str name, str *ret_id)
{
    enum err r;

    if (!id.len) {
        char hex[12];

        rand_hex(hex, sizeof(hex));
        id = arena_printf(e->arena, "ws-%.12s", hex);
    }
    if (!edit_id_is_good(id))
        return refuse_id(e, id);
    r = edit_run(e, NULL, "INSERT INTO workspaces (id, name, created_ms) VALUES (?, ?, ?)", "ssi", id,
                 name.len ? name : id, clock_unix_ms());
    if (r == ERR_EXISTS)
        return edit_refuse(e, r, "there is a workspace \"%.*s\" already", STR_ARG(id));
    if (!r)
        *ret_id = id;
    return r;
}

enum err workspace_delete(struct edit *e, str id)
{
    int      changed = 0;
    enum err r = refuse_default(e, id, "cannot be deleted");

    if (!r)
        r = edit_run(e, NULL, "DELETE FROM keys WHERE workspace = ?", "s", id);
    if (!r) /* another workspace of this id shall not find them */
        r = edit_run(e, NULL, "DELETE FROM assistant_objects WHERE workspace = ?", "s", id);
    if (!r)
        r = edit_run(e, &changed, "DELETE FROM workspaces WHERE id = ?", "s", id);
    return must_change(e, r, changed, refuse_workspace, id);
}

enum err workspace_rename(struct edit *e, str id, str name)
{
    int      changed = 0;
    enum err r = edit_run(e, &changed, "UPDATE workspaces SET name = ? WHERE id = ?", "ss", name, id);

    return must_change(e, r, changed, refuse_workspace, id);
}

enum err workspace_billing(struct edit *e, str id, enum commodity c, int64_t paid_until_ms)
{
    int      changed = 0;
    enum err r = edit_run(e, &changed, "UPDATE workspaces SET commodity = ?, paid_until_ms = ? WHERE id = ?", "sns",
                          commodity_name(c), paid_until_ms, id);

    return must_change(e, r, changed, refuse_workspace, id);
}

enum err workspace_model_set(struct edit *e, str id, const struct workspace_model *line)
{
    enum err r = refuse_default(e, id, "may call every model, and cannot be limited");

    if (r)
        return r;
    if (!exists(e, "SELECT 1 FROM workspaces WHERE id = ?", id))
        return refuse_workspace(e, id);
    return edit_run(
        e, NULL,
        "INSERT INTO workspace_models (workspace, model, allowed, rpm, tpm, concurrency) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET allowed = excluded.allowed, rpm = excluded.rpm, tpm = excluded.tpm,"
        " concurrency = excluded.concurrency",
        "ssinnn", id, line->model, (int64_t)line->allowed, line->rpm, line->tpm, line->concurrency);
}

static enum err refuse_line(struct edit *e, str model)
{
    return edit_refuse(e, ERR_NOT_FOUND, "the workspace has nothing of its own for \"%.*s\"", STR_ARG(model));
}

enum err workspace_model_unset(struct edit *e, str id, str model)
{
    int      changed = 0;
    enum err r;

    if (!exists(e, "SELECT 1 FROM workspaces WHERE id = ?", id))
        return refuse_workspace(e, id);
    r = edit_run(e, &changed, "DELETE FROM workspace_models WHERE workspace = ? AND model = ?", "ss", id, model);
    return must_change(e, r, changed, refuse_line, model);
}

static enum err workspace_lines(struct edit *e, struct workspace *w)
{
    struct workspace_model *lines = NULL;
    sqlite3_stmt           *st;
    int                     result;
    enum err                r = edit_query(e, &st,
                                           "SELECT model, allowed, rpm, tpm, concurrency FROM workspace_models"
                                                          " WHERE workspace = ? ORDER BY model",
                                           "s", w->id);

    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        lines = room(e, lines, sizeof(*lines), w->model_count);
        lines[w->model_count++] = (struct workspace_model){
            .model = text(e, st, 0),
            .allowed = sqlite3_column_int(st, 1),
            .rpm = sqlite3_column_int64(st, 2),
            .tpm = sqlite3_column_int64(st, 3),
            .concurrency = sqlite3_column_int64(st, 4),
        };
    }
    sqlite3_finalize(st);
    w->models = lines;
    return store_err(e->db, result);
}

enum err workspace_list(struct edit *e, str id, struct workspace **ret, size_t *ret_count)
{
    struct workspace *list = NULL;
    size_t            count = 0;
    sqlite3_stmt     *st;
    int               result;
    enum err          r = edit_query(e, &st,
                                     "SELECT id, name, created_ms, commodity, paid_until_ms FROM workspaces"
                                              " WHERE ?1 = '' OR id = ?1 ORDER BY id",
                                     "s", id);

    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        struct workspace *w;

        list = room(e, list, sizeof(*list), count);
        w = &list[count++];
        *w = (struct workspace){
            .id = text(e, st, 0),
            .name = text(e, st, 1),
            .created_ms = sqlite3_column_int64(st, 2),
            .paid_until_ms = sqlite3_column_int64(st, 4),
        };
        w->is_default = str_eq(w->id, WORKSPACE_DEFAULT);
        if (!commodity_of(store_column_str(st, 3), &w->commodity))
            w->commodity = COMMODITY_NONE;
    }
    sqlite3_finalize(st);
    r = store_err(e->db, result);
    for (size_t i = 0; i < count && !r; i++)
        r = workspace_lines(e, &list[i]);
    if (r)
        return r;
    if (id.len && !count)
        return refuse_workspace(e, id);
    *ret = list;
    *ret_count = count;
    return OK;
}

/* ---- members ---- */

enum err member_create(struct edit *e, str id, str name)
{
    enum err r;

    if (!edit_id_is_good(id))
        return refuse_id(e, id);
    r = edit_run(e, NULL, "INSERT INTO members (id, name, created_ms) VALUES (?, ?, ?)", "ssi", id,
                 name.len ? name : id, clock_unix_ms());
    return r == ERR_EXISTS ? edit_refuse(e, r, "there is a member \"%.*s\" already", STR_ARG(id)) : r;
}

enum err member_delete(struct edit *e, str id)
{
    int      changed = 0;
    enum err r = edit_run(e, &changed, "DELETE FROM members WHERE id = ?", "s", id);

    return must_change(e, r, changed, refuse_member, id);
}

enum err member_join(struct edit *e, str id, str workspace)
{
    if (!exists(e, "SELECT 1 FROM members WHERE id = ?", id))
        return refuse_member(e, id);
    if (!exists(e, "SELECT 1 FROM workspaces WHERE id = ?", workspace))
        return refuse_workspace(e, workspace);
    return edit_run(e, NULL, "INSERT OR IGNORE INTO memberships (member, workspace) VALUES (?, ?)", "ss", id,
                    workspace);
}

enum err member_leave(struct edit *e, str id, str workspace)
{
    int      changed = 0;
    enum err r;

    if (!exists(e, "SELECT 1 FROM members WHERE id = ?", id))
        return refuse_member(e, id);
    r = edit_run(e, &changed, "DELETE FROM memberships WHERE member = ? AND workspace = ?", "ss", id, workspace);
    if (!r && !changed)
        return edit_refuse(e, ERR_NOT_FOUND, "%.*s is no member of workspace \"%.*s\"", STR_ARG(id),
                           STR_ARG(workspace));
    return r;
}

static enum err member_workspaces(struct edit *e, struct member_row *m)
{
    sqlite3_stmt *st;
    int           result;
    enum err      r =
        edit_query(e, &st, "SELECT workspace FROM memberships WHERE member = ? ORDER BY workspace", "s", m->id);

    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        m->workspaces = room(e, m->workspaces, sizeof(str), m->workspace_count);
        m->workspaces[m->workspace_count++] = text(e, st, 0);
    }
    sqlite3_finalize(st);
    return store_err(e->db, result);
}

enum err member_list(struct edit *e, str id, struct member_row **ret, size_t *ret_count)
{
    struct member_row *list = NULL;
    size_t             count = 0;
    sqlite3_stmt      *st;
    int                result;
    enum err           r =
        edit_query(e, &st, "SELECT id, name, created_ms FROM members WHERE ?1 = '' OR id = ?1 ORDER BY id", "s", id);

    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        list = room(e, list, sizeof(*list), count);
        list[count++] = (struct member_row){ .id = text(e, st, 0),
                                             .name = text(e, st, 1),
                                             .created_ms = sqlite3_column_int64(st, 2) };
    }
    sqlite3_finalize(st);
    r = store_err(e->db, result);
    for (size_t i = 0; i < count && !r; i++)
        r = member_workspaces(e, &list[i]);
    if (r)
        return r;
    if (id.len && !count)
        return refuse_member(e, id);
    *ret = list;
    *ret_count = count;
    return OK;
}

/* ---- models of the account ---- */

enum err account_model_get(struct edit *e, str model, struct account_model *ret)
{
    sqlite3_stmt *st;
    int           result;
    enum err r = edit_query(e, &st, "SELECT activated, invited, payable, free_only FROM account_models WHERE model = ?",
                            "s", model);

    if (r)
        return r;
    result = sqlite3_step(st);
    *ret = (struct account_model){ .model = model, .activated = true, .invited = true, .payable = true };
    if (result == SQLITE_ROW) {
        ret->activated = sqlite3_column_int(st, 0);
        ret->invited = sqlite3_column_int(st, 1);
        ret->payable = sqlite3_column_int(st, 2);
        ret->free_only = sqlite3_column_int(st, 3);
    }
    sqlite3_finalize(st);
    return store_err(e->db, result);
}

enum err account_model_set(struct edit *e, const struct account_model *m)
{
    return edit_run(e, NULL,
                    "INSERT INTO account_models (model, activated, invited, payable, free_only) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET activated = excluded.activated, invited = excluded.invited,"
                    " payable = excluded.payable, free_only = excluded.free_only",
                    "siiii", m->model, (int64_t)m->activated, (int64_t)m->invited, (int64_t)m->payable,
                    (int64_t)m->free_only);
}

/* ---- settings ---- */

enum err setting_get(struct edit *e, str name, str *ret)
{
    sqlite3_stmt *st;
    int           result;
    enum err      r = edit_query(e, &st, "SELECT value FROM account WHERE name = ?", "s", name);

    if (r)
        return r;
    result = sqlite3_step(st);
    *ret = result == SQLITE_ROW ? text(e, st, 0) : (str){ 0 };
    sqlite3_finalize(st);
    return store_err(e->db, result);
}

enum err setting_set(struct edit *e, str name, str value)
{
    return edit_run(e, NULL,
                    "INSERT INTO account (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                    "ss", name, value);
}

/* ---- policies ---- */

static enum err refuse_policy(struct edit *e, str id)
{
    return edit_refuse(e, ERR_NOT_FOUND, "there is no policy \"%.*s\"", STR_ARG(id));
}

/* A workspace's policies are one set (moderation.h), which has its limits. */
static enum err policy_fits(struct edit *e, const struct policy *p)
{
    sqlite3_stmt *st;
    int64_t       count, bytes;
    enum err      r =
        edit_query(e, &st,
                   "SELECT COUNT(*), COALESCE(SUM(CASE is_regex WHEN 0 THEN LENGTH(CAST(pattern AS BLOB)) END), 0) "
                   "FROM policies WHERE workspace = ?",
                   "s", p->workspace);

    if (r)
        return r;
    if (sqlite3_step(st) != SQLITE_ROW) {
        sqlite3_finalize(st);
        return ERR_IO;
    }
    count = sqlite3_column_int64(st, 0);
    bytes = sqlite3_column_int64(st, 1) + (p->is_regex ? 0 : (int64_t)p->pattern.len);
    sqlite3_finalize(st);
    if (count >= MODERATION_RULES_MAX)
        return edit_refuse(e, ERR_LIMIT, "the workspace has %d policies, and that is the limit", MODERATION_RULES_MAX);
    if (bytes > MODERATION_WORDS_MAX)
        return edit_refuse(e, ERR_LIMIT,
                           "the words of the workspace's policies would be %lld bytes, and %d are the limit",
                           (long long)bytes, MODERATION_WORDS_MAX);
    return OK;
}

enum err policy_create(struct edit *e, struct policy *p)
{
    struct moderation_policy policy = { .workspace = p->workspace,
                                        .id = S("the pattern"),
                                        .kind = p->kind,
                                        .pattern = p->pattern,
                                        .is_regex = p->is_regex };
    char                     hex[8];
    str                      problem = { 0 };
    enum err                 r;

    if (!exists(e, "SELECT 1 FROM workspaces WHERE id = ?", p->workspace))
        return refuse_workspace(e, p->workspace);
    r = moderation_policy_check(&policy, e->arena, &problem);
    if (r)
        return edit_refuse(e, r, "%.*s", STR_ARG(problem));
    r = policy_fits(e, p);
    if (r)
        return r;
    rand_hex(hex, sizeof(hex));
    p->id = arena_printf(e->arena, "policy-%.8s", hex);
    p->created_ms = clock_unix_ms();
    return edit_run(
        e, NULL, "INSERT INTO policies (id, workspace, kind, pattern, is_regex, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
        "ssssii", p->id, p->workspace, p->kind, p->pattern, (int64_t)p->is_regex, p->created_ms);
}

enum err policy_delete(struct edit *e, str id)
{
    int      changed = 0;
    enum err r = edit_run(e, &changed, "DELETE FROM policies WHERE id = ?", "s", id);

    return must_change(e, r, changed, refuse_policy, id);
}

enum err policy_list(struct edit *e, str workspace, struct policy **ret, size_t *ret_count)
{
    struct policy *list = NULL;
    size_t         count = 0;
    sqlite3_stmt  *st;
    int            result;
    enum err       r = edit_query(e, &st,
                                  "SELECT id, workspace, kind, pattern, is_regex, created_ms FROM policies"
                                        " WHERE ?1 = '' OR workspace = ?1 ORDER BY id",
                                  "s", workspace);

    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        list = room(e, list, sizeof(*list), count);
        list[count++] = (struct policy){
            .id = text(e, st, 0),
            .workspace = text(e, st, 1),
            .kind = text(e, st, 2),
            .pattern = text(e, st, 3),
            .is_regex = sqlite3_column_int(st, 4),
            .created_ms = sqlite3_column_int64(st, 5),
        };
    }
    sqlite3_finalize(st);
    *ret = list;
    *ret_count = count;
    return store_err(e->db, result);
}
