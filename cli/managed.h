/* managed.h - what the commands share that manage things of the account on the native protocol: dashbox tune, dashbox deployments. */
#ifndef DASHBOX_CLI_MANAGED_H
#define DASHBOX_CLI_MANAGED_H

#include "cli/cli.h"
#include "cli/client.h"
#include "contract/json.h"

/* Adds one part of a path, or a value of a query: what is not plain there becomes %XX. */
void cli_path_add(struct buf *b, str part);

/* The answer's `output`, and the whole as text where `ret_text` is not NULL. Not CLI_DONE: it has been said why. `body` NULL: none. */
int cli_managed_ask(struct cli_client *c, const char *method, const struct buf *path, const struct buf *body,
                    yyjson_val **ret_output, str *ret_text);

/* "page_no=…&page_size=…" behind a "?", for the options --page and --size; false after a complaint. */
bool cli_managed_page(struct cli_client *c, struct buf *path, const char *page, const char *size);
/* "3 of 20; --page and --size show others", where there are. */
void cli_managed_more(yyjson_val *output, size_t shown);

/* A member of an object as text: of a text itself, of anything else its JSON; "-" when it is not there. */
str cli_managed_text(struct cli_client *c, yyjson_val *object, const char *name);
/* A row of two columns, unless the member is not there. */
void cli_managed_row(struct cli_client *c, struct cli_table *t, yyjson_val *object, const char *name);

#endif
