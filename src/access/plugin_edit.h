/* plugin_edit.h - what an administrator does with plug-ins: edit.h says how such functions are called and refuse.
 *
 * The secret of a plug-in is sealed (store/secrets.h) and never shown again. Names of operations are those of one workspace: an agent
 * with several plug-ins tells them apart by them.
 */
#ifndef DASHBOX_ACCESS_PLUGIN_EDIT_H
#define DASHBOX_ACCESS_PLUGIN_EDIT_H

#include "access/edit.h"

struct plugin_row {
    str     id, workspace, name, source;
    bool    has_secret;
    str    *tools;
    size_t  tool_count;
    int64_t created_ms, modified_ms;
};

/* `text` is an OpenAPI description in YAML or JSON (contract/plugin.h). `id` may be empty: one is made ("plugin-…"). */
enum err plugin_create(struct edit *e, str workspace, str id, str text, str secret, str *ret_id);
enum err plugin_set(struct edit *e, str id, str text);
/* Empty takes it away. */
enum err plugin_secret(struct edit *e, str id, str secret);
enum err plugin_delete(struct edit *e, str id);
/* All of the workspace (empty: of all), or the one of that id (ERR_NOT_FOUND). */
enum err plugin_list(struct edit *e, str workspace, str id, struct plugin_row **ret, size_t *ret_count);

#endif
