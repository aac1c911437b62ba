/* app_edit.c - applications, as an administrator changes them. */
#include "access/app_edit.h"

#include "access/app_bases.h"
#include "base/clock.h"
#include "base/rand.h"
#include "contract/app.h"
#include "contract/yaml.h"

#define ID_LEN 32

static enum err refuse_app(struct edit *e, str id)
{
    return edit_refuse(e, ERR_NOT_FOUND, "there is no application \"%.*s\"", STR_ARG(id));
}

static enum err has_row(struct edit *e, const char *sql, str a, str b)
{
    sqlite3_stmt *st;
    enum err      r = edit_query(e, &st, sql, "ss", a, b);
    int           result;

    if (r)
        return r;
    result = sqlite3_step(st);
    sqlite3_finalize(st);
    r = store_err(e->db, result);
    return r ? r : result == SQLITE_ROW ? OK : ERR_NOT_FOUND;
}

/* What the text says, also as the JSON that is published. */
static enum err read_text(struct edit *e, str workspace, str text, struct app *ret, str *ret_json)
{
    yyjson_val *root;
    str         problem = { 0 };
    enum err    r = yaml_read(e->arena, text, &root, &problem);

    if (!r)
        r = app_read(e->arena, root, ret, &problem);
    if (r)
        return edit_refuse(e, ERR_INVALID, "the definition cannot be taken: %.*s", STR_ARG(problem));
    *ret_json = json_text(e->arena, root);
    r = app_bases_check(e, workspace, ret->bases, ret->base_count);
    for (size_t i = 0; i < ret->plugin_count && !r; i++) {
        r = has_row(e, "SELECT 1 FROM plugins WHERE id = ? AND workspace = ?", ret->plugins[i], workspace);
        if (r == ERR_NOT_FOUND)
            return edit_refuse(e, ERR_INVALID, "the workspace has no plug-in \"%.*s\"", STR_ARG(ret->plugins[i]));
    }
    return r;
}

enum err app_create(struct edit *e, str workspace, str text, str *ret_id)
{
    char       hex[ID_LEN];
    struct app app;
    str        json;
    enum err   r = has_row(e, "SELECT 1 FROM workspaces WHERE id = ? AND ? = ''", workspace, (str){ 0 });

    if (r == ERR_NOT_FOUND)
        return edit_refuse(e, r, "there is no workspace \"%.*s\"", STR_ARG(workspace));
    if (!r)
        r = read_text(e, workspace, text, &app, &json);
    if (r)
        return r;
    rand_hex(hex, sizeof(hex));
    *ret_id = arena_str(e->arena, str_of(hex, sizeof(hex)));
    return edit_run(
        e, NULL,
        "INSERT INTO apps (id, workspace, kind, name, draft, created_ms, modified_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
        "sssssii", *ret_id, workspace, app_kind_name(app.kind), app.name, text, clock_unix_ms(), clock_unix_ms());
}

static enum err app_get(struct edit *e, str id, struct app_row *ret)
{
    struct app_row *all;
    size_t          count;
    enum err        r = app_list(e, (str){ 0 }, id, &all, &count);

    if (!r)
        *ret = all[0];
    return r;
}

enum err app_set(struct edit *e, str id, str text)
{
    struct app_row row;
    struct app     app;
    str            json;
    enum err       r = app_get(e, id, &row);

    if (!r)
        r = read_text(e, row.workspace, text, &app, &json);
    if (r)
        return r;
    if (!str_eq(app_kind_name(app.kind), row.kind))
        return edit_refuse(e, ERR_INVALID, "it is of type %.*s, and stays that", STR_ARG(row.kind));
    return edit_run(e, NULL, "UPDATE apps SET name = ?, draft = ?, modified_ms = ? WHERE id = ?", "ssis", app.name,
                    text, clock_unix_ms(), id);
}

enum err app_publish(struct edit *e, str id)
{
    struct app_row row;
    struct app     app;
    str            json;
    int64_t        now_ms = clock_unix_ms();
    enum err       r = app_get(e, id, &row);

    if (!r)
        r = read_text(e, row.workspace, row.draft, &app, &json);
    return r ? r
             : edit_run(e, NULL, "UPDATE apps SET published = ?, version = version + 1, published_ms = ? WHERE id = ?",
                        "sis", json, now_ms, id);
}

enum err app_delete(struct edit *e, str id)
{
    int      changed = 0;
    enum err r = edit_run(e, &changed, "DELETE FROM apps WHERE id = ?", "s", id);

    return r ? r : changed ? OK : refuse_app(e, id);
}

static str text_at(struct edit *e, sqlite3_stmt *st, int at)
{
    return arena_str(e->arena, store_column_str(st, at));
}

enum err app_list(struct edit *e, str workspace, str id, struct app_row **ret, size_t *ret_count)
{
    sqlite3_stmt   *st;
    struct app_row *list = NULL;
    size_t          count = 0;
    int             result;
    enum err        r = edit_query(e, &st,
                                   "SELECT id, workspace, kind, name, draft, version, created_ms, modified_ms, published_ms"
                                          " FROM apps WHERE (?1 = '' OR workspace = ?1) AND (?2 = '' OR id = ?2) ORDER BY id",
                                   "ss", workspace, id);

    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        struct app_row *row;

        list = arena_realloc(e->arena, list, count * sizeof(*list), (count + 1) * sizeof(*list));
        row = &list[count++];
        *row = (struct app_row){
            .id = text_at(e, st, 0),
            .workspace = text_at(e, st, 1),
            .kind = text_at(e, st, 2),
            .name = text_at(e, st, 3),
            .draft = text_at(e, st, 4),
            .version = sqlite3_column_int64(st, 5),
            .created_ms = sqlite3_column_int64(st, 6),
            .modified_ms = sqlite3_column_int64(st, 7),
            .published_ms = sqlite3_column_int64(st, 8),
        };
        row->changed = row->version > 0 && row->modified_ms > row->published_ms;
    }
    sqlite3_finalize(st);
    *ret = list;
    *ret_count = count;
    r = store_err(e->db, result);
    return r ? r : id.len && !count ? refuse_app(e, id) : OK;
}

/* ---- runs ---- */

static struct app_run_row run_of(struct edit *e, sqlite3_stmt *st)
{
    return (struct app_run_row){
        .number = sqlite3_column_int64(st, 0),
        .id = text_at(e, st, 1),
        .app = text_at(e, st, 2),
        .code = text_at(e, st, 3),
        .version = sqlite3_column_int64(st, 4),
        .started_ms = sqlite3_column_int64(st, 5),
        .ms = sqlite3_column_int64(st, 6),
        .steps = text_at(e, st, 7),
    };
}

enum err app_run_list(struct edit *e, str app, int64_t limit, struct app_run_row **ret, size_t *ret_count)
{
    sqlite3_stmt       *st;
    struct app_run_row *list = NULL;
    size_t              count = 0;
    int                 result;
    enum err            r = has_row(e, "SELECT 1 FROM apps WHERE id = ? AND ? = ''", app, (str){ 0 });

    if (r == ERR_NOT_FOUND)
        return refuse_app(e, app);
    if (!r)
        r = edit_query(e, &st,
                       "SELECT number, id, app, code, version, started_ms, ms, '[]' FROM app_runs WHERE app = ?"
                       " ORDER BY number DESC LIMIT ?",
                       "si", app, limit);
    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        list = arena_realloc(e->arena, list, count * sizeof(*list), (count + 1) * sizeof(*list));
        list[count++] = run_of(e, st);
    }
    sqlite3_finalize(st);
    *ret = list;
    *ret_count = count;
    return store_err(e->db, result);
}

enum err app_run_get(struct edit *e, str run, struct app_run_row *ret)
{
    sqlite3_stmt *st;
    int           result;
    enum err      r = edit_query(
             e, &st, "SELECT number, id, app, code, version, started_ms, ms, steps FROM app_runs WHERE id = ?", "s", run);

    if (r)
        return r;
    result = sqlite3_step(st);
    if (result == SQLITE_ROW)
        *ret = run_of(e, st);
    sqlite3_finalize(st);
    r = store_err(e->db, result);
    return r                      ? r
           : result == SQLITE_ROW ? OK
                                  : edit_refuse(e, ERR_NOT_FOUND, "there is no run \"%.*s\", or no more", STR_ARG(run));
}
