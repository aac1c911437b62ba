/* admin_client.h - asks a running server's admin API, for the commands that do.
 *
 * The server is named by --url or DASHBOX_URL, else it is the one of the configuration (its `listen`). The key is that of
 * --admin-key, DASHBOX_ADMIN_KEY, the configuration's `admin.key`, or the file admin-key of the data folder.
 *
 * A call blocks until the whole answer is there: it runs a loop of its own.
 */
#ifndef DASHBOX_CLI_ADMIN_CLIENT_H
#define DASHBOX_CLI_ADMIN_CLIENT_H

#include "cli/cli.h"
#include "contract/json.h"

/* `target` is a path with its query, `body` JSON or empty. *ret is the answer in the command's arena, NULL when it is empty.
 * Otherwise c->edit.problem says for people what is wrong: no server there, a wrong key, the server's own refusal. */
enum err admin_client_call(struct cli *c, const char *method, str target, str body, yyjson_val **ret);

/* ---- writing what is asked, reading what is answered ---- */

/* A parameter or member more, unless `text` is NULL. The first piece begins with the "?" or "{" that is missing. */
void     admin_client_query(struct buf *b, const char *name, const char *text);
void     admin_client_text(struct buf *b, const char *name, const char *text);
enum err admin_client_number(struct cli *c, struct buf *b, const char *flag, const char *text);

/* A member of an answer as a cell of a table: texts and numbers; empty for null. */
str     admin_client_cell(struct cli *c, yyjson_val *object, const char *name);
int64_t admin_client_int(yyjson_val *object, const char *name);
/* Each of the answer's "data" as a line of JSON. */
void admin_client_print_data(struct cli *c, yyjson_val *answer);

#endif
