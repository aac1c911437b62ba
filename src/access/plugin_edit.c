/* plugin_edit.c - plug-ins, as an administrator changes them. */
#include "access/plugin_edit.h"

#include "base/clock.h"
#include "base/rand.h"
#include "contract/plugin.h"
#include "contract/yaml.h"
#include "store/secrets.h"

#define SECRET_MAX 4096 /* bytes */

static enum err refuse_plugin(struct edit *e, str id)
{
    return edit_refuse(e, ERR_NOT_FOUND, "there is no plug-in \"%.*s\"", STR_ARG(id));
}

/* No other plug-in of the workspace has an operation of the same name. */
static enum err check_names(struct edit *e, str workspace, str id, const struct plugin *p)
{
    struct plugin_row *all;
    size_t             count;
    enum err           r = plugin_list(e, workspace, (str){ 0 }, &all, &count);

    for (size_t i = 0; i < count && !r; i++) {
        for (size_t k = 0; k < all[i].tool_count && !str_eq(all[i].id, id); k++) {
            if (plugin_tool_find(p, all[i].tools[k]))
                return edit_refuse(e, ERR_EXISTS, "the plug-in %.*s of the workspace has an operation \"%.*s\", too",
                                   STR_ARG(all[i].id), STR_ARG(all[i].tools[k]));
        }
    }
    return r;
}

static enum err read_text(struct edit *e, str workspace, str id, str text, struct plugin *ret, str *ret_json)
{
    yyjson_val *root;
    str         problem = { 0 };
    enum err    r = yaml_read(e->arena, text, &root, &problem);

    if (!r)
        r = plugin_read(e->arena, root, ret, &problem);
    if (r)
        return edit_refuse(e, ERR_INVALID, "the description cannot be taken: %.*s", STR_ARG(problem));
    *ret_json = json_text(e->arena, root);
    return check_names(e, workspace, id, ret);
}

static enum err seal(struct edit *e, str id, str secret, str *ret)
{
    if (secret.len > SECRET_MAX || str_has_break(secret))
        return edit_refuse(e, ERR_INVALID, "a secret has one line of at most %d bytes", SECRET_MAX);
    return secret_seal(e->db, e->arena, id, secret, ret);
}

static enum err has_workspace(struct edit *e, str workspace)
{
    struct workspace *w;
    size_t            count;

    return workspace_list(e, workspace, &w, &count);
}

enum err plugin_create(struct edit *e, str workspace, str id, str text, str secret, str *ret_id)
{
    char          hex[8];
    struct plugin p;
    str           json, sealed;
    int64_t       now_ms = clock_unix_ms();
    enum err      r = has_workspace(e, workspace);

    if (!r && id.len && !edit_id_is_good(id))
        return edit_refuse(e, ERR_INVALID, "an id is 1 to 64 letters, digits, \"-\", \"_\" or \".\"");
    rand_hex(hex, sizeof(hex));
    *ret_id = id.len ? id : arena_printf(e->arena, "plugin-%.8s", hex);
    if (!r)
        r = read_text(e, workspace, *ret_id, text, &p, &json);
    if (!r)
        r = seal(e, *ret_id, secret, &sealed);
    if (r)
        return r;
    r = edit_run(e, NULL,
                 "INSERT INTO plugins (id, workspace, name, source, definition, secret, created_ms, modified_ms)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                 "sssssbii", *ret_id, workspace, p.name, text, json, sealed, now_ms, now_ms);
    return r == ERR_EXISTS ? edit_refuse(e, r, "there is a plug-in \"%.*s\" already", STR_ARG(*ret_id)) : r;
}

enum err plugin_set(struct edit *e, str id, str text)
{
    struct plugin_row *row;
    struct plugin      p;
    size_t             count;
    str                json;
    enum err           r = plugin_list(e, (str){ 0 }, id, &row, &count);

    if (!r)
        r = read_text(e, row->workspace, id, text, &p, &json);
    return r ? r
             : edit_run(e, NULL,
                        "UPDATE plugins SET name = ?, source = ?, definition = ?, modified_ms = ? WHERE id = ?",
                        "sssis", p.name, text, json, clock_unix_ms(), id);
}

enum err plugin_secret(struct edit *e, str id, str secret)
{
    int      changed = 0;
    str      sealed;
    enum err r = seal(e, id, secret, &sealed);

    if (!r)
        r = edit_run(e, &changed, "UPDATE plugins SET secret = ?, modified_ms = ? WHERE id = ?", "bis", sealed,
                     clock_unix_ms(), id);
    return r ? r : changed ? OK : refuse_plugin(e, id);
}

enum err plugin_delete(struct edit *e, str id)
{
    int      changed = 0;
    enum err r = edit_run(e, &changed, "DELETE FROM plugins WHERE id = ?", "s", id);

    return r ? r : changed ? OK : refuse_plugin(e, id);
}

static str text_at(struct edit *e, sqlite3_stmt *st, int at)
{
    return arena_str(e->arena, store_column_str(st, at));
}

static void read_tools(struct edit *e, struct plugin_row *row, str definition)
{
    struct plugin p;
    str           problem = { 0 };

    if (plugin_read(e->arena, json_parse_copy(e->arena, definition), &p, &problem))
        return; /* made by a dashbox that took more: its name is all that is known */
    row->tools = arena_array(e->arena, str, p.tool_count);
    for (size_t i = 0; i < p.tool_count; i++)
        row->tools[row->tool_count++] = p.tools[i].id;
}

enum err plugin_list(struct edit *e, str workspace, str id, struct plugin_row **ret, size_t *ret_count)
{
    sqlite3_stmt      *st;
    struct plugin_row *list = NULL;
    size_t             count = 0;
    int                result;
    enum err           r =
        edit_query(e, &st,
                   "SELECT id, workspace, name, source, definition, LENGTH(secret) > 0, created_ms, modified_ms"
                   " FROM plugins WHERE (?1 = '' OR workspace = ?1) AND (?2 = '' OR id = ?2) ORDER BY id",
                   "ss", workspace, id);

    if (r)
        return r;
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        list = arena_realloc(e->arena, list, count * sizeof(*list), (count + 1) * sizeof(*list));
        list[count] = (struct plugin_row){
            .id = text_at(e, st, 0),
            .workspace = text_at(e, st, 1),
            .name = text_at(e, st, 2),
            .source = text_at(e, st, 3),
            .has_secret = sqlite3_column_int(st, 5),
            .created_ms = sqlite3_column_int64(st, 6),
            .modified_ms = sqlite3_column_int64(st, 7),
        };
        read_tools(e, &list[count++], text_at(e, st, 4));
    }
    sqlite3_finalize(st);
    *ret = list;
    *ret_count = count;
    r = store_err(e->db, result);
    return r ? r : id.len && !count ? refuse_plugin(e, id) : OK;
}
