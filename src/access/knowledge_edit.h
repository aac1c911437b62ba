/* knowledge_edit.h - knowledge bases, as they are made and changed: by administrators, and by calls (platform.md §4.8). For jobs on
 * the store, as access/edit.h.
 */
#ifndef DASHBOX_ACCESS_KNOWLEDGE_EDIT_H
#define DASHBOX_ACCESS_KNOWLEDGE_EDIT_H

#include "access/edit.h"
#include "store/knowledge.h"

/* What is to be made, with `workspace`, `name`, `model`, `dimension`, sizes (0: the usual), `separators`, `way`, `called`. One of
 * that name in the workspace is changed, unless `fresh` is set: then it is refused. *ret_id is its id. Documents that are in it keep
 * their chunks as they are. */
enum err knowledge_make(struct edit *e, const struct knowledge_base *b, bool fresh, str *ret_id);
/* With its documents. An empty workspace is any. */
enum err knowledge_delete(struct edit *e, str workspace, str id);
/* All of a workspace, or of all when it is empty; or the one of that id (ERR_NOT_FOUND). With their counts. */
enum err knowledge_list(struct edit *e, str workspace, str id, struct knowledge_base **ret, size_t *ret_count);
/* By its name. ERR_NOT_FOUND. */
enum err knowledge_named(struct edit *e, str workspace, str name, str *ret_id);

/* A file of the account becomes a document of the base: the row's `file`, `tags`, `details`, `job` say how. It is indexed again when it
 * is there already. */
enum err knowledge_add(struct edit *e, str workspace, str base, const struct knowledge_document *d);
/* The same for what a call says: one that is in the base, and has not failed, is left as it is, but becomes the job's. Without files all
 * documents of the base do. */
enum err knowledge_ingest(struct edit *e, str workspace, str base, const str *files, size_t count, str job);
enum err knowledge_remove(struct edit *e, str workspace, str base, str file);
/* Those of a base, or of one job of it when `job` is not empty. */
enum err knowledge_documents(struct edit *e, str workspace, str base, str job, struct knowledge_document **ret,
                             size_t *ret_count);

str knowledge_state_name(enum knowledge_state s);

#endif
