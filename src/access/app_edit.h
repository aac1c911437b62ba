/* app_edit.h - what an administrator does with applications: edit.h says how such functions are called and refuse.
 *
 *      created, changed                       published
 *      DRAFT --------------- app_publish() ------------> DRAFT and VERSION n
 *        the text as written                               calls run the version, whatever becomes of the draft
 */
#ifndef DASHBOX_ACCESS_APP_EDIT_H
#define DASHBOX_ACCESS_APP_EDIT_H

#include "access/edit.h"

struct app_row {
    str     id, workspace, kind, name, draft;
    int64_t version; /* 0: never published */
    bool    changed; /* the draft is not what is published */
    int64_t created_ms, modified_ms, published_ms;
};

/* `text` is YAML or JSON. It is read, and its plug-ins must be the workspace's. */
enum err app_create(struct edit *e, str workspace, str text, str *ret_id);
enum err app_set(struct edit *e, str id, str text);
enum err app_publish(struct edit *e, str id);
enum err app_delete(struct edit *e, str id);
/* All of the workspace (empty: of all), or the one of that id (ERR_NOT_FOUND). */
enum err app_list(struct edit *e, str workspace, str id, struct app_row **ret, size_t *ret_count);

struct app_run_row {
    int64_t number;
    str     id, app, code, steps; /* steps: JSON, an array */
    int64_t version, started_ms, ms;
};

/* The newest runs of an application without their steps; or the one of that id, with them. */
enum err app_run_list(struct edit *e, str app, int64_t limit, struct app_run_row **ret, size_t *ret_count);
enum err app_run_get(struct edit *e, str run, struct app_run_row *ret);

#endif
