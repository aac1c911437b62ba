/* scratch.h - a database in memory with the tables of a question and no rows: statements are prepared in it, and never run.
 *
 * Blocking, for a lane. What the tables are called and what a statement says is anybody's: both have limits, of steps, bytes and
 * depth, and a statement can do nothing but read those tables.
 */
#ifndef DASHBOX_STORE_SCRATCH_H
#define DASHBOX_STORE_SCRATCH_H

#include "contract/text2sql.h"

struct scratch;

/* With the tables of `q`. ERR_INVALID when they cannot be built (names that come twice, that a database keeps for itself or that are too long, too
 * many columns or tables), with a line for the log in the arena. The database is closed with the arena. */
enum err scratch_open(struct arena *a, const struct text2sql *q, struct scratch **ret, str *ret_why);

/* ERR_INVALID when the statement (of sql_statement()) does not fit, with the database's words, in the arena. */
enum err scratch_prepare(struct arena *a, struct scratch *s, str statement, str *ret_why);

#endif
