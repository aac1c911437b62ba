/* text2sql.h - an engine whose answers are statements that fit the tables of the question.
 *
 *   the tables are built --> the engine answers --> its statement is prepared --> it is handed out
 *        |                        ^                       |
 *        +--> E171                +------ once more ------+--> E225a
 *                                      told what was wrong
 *
 * chat_open() puts it before the model's engine when in->sql is set (contract/text2sql.h): a surface calls text2sql_read(), then
 * chat_open() and chat_next() as for any chat. Doc: doc/text2sql.md.
 */
#ifndef DASHBOX_SERVICE_TEXT2SQL_H
#define DASHBOX_SERVICE_TEXT2SQL_H

#include "engine/engine.h"

/* In the request's memory; named as `inner` is. What it hands out is whole before its first event: reasoning, the statement alone, and what the engine
 * says that all its attempts used. An answer that ended at its limit of tokens is not looked at: it is a beginning, and says so. */
struct engine *text2sql_engine(struct request *rq, struct engine *inner);

#endif
