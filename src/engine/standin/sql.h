/* sql.h - what the stand-in says to a question about a database.
 *
 * No model: names that occur in the question, a few words for counting and the like, and the values that came with it.
 *
 *   table      the one of which most is said: its name, caption or another word for it, its columns, its values
 *   columns    those whose name, caption or another word for them occurs, in the question's order; all when none does
 *   WHERE      recall_infos (the first HINTS_MAX) of that table's columns that read "table.column='value'": of one column those whose value occurs in the
 *              question, or else the one with the highest score
 *   aggregate  COUNT(*), SUM, AVG, MAX, MIN by words like "how many", "average", 平均, of the first column that can be summed
 *   GROUP BY   the first column behind "per", "by", "each", 每, 按, 各, when there is an aggregate
 *
 * Upper and lower case, "_" and blanks, and an English plural make no difference. The same question has the same answer.
 * For people: doc/text2sql.md.
 */
#ifndef DASHBOX_ENGINE_STANDIN_SQL_H
#define DASHBOX_ENGINE_STANDIN_SQL_H

#include "contract/text2sql.h"

/* A statement that fits the tables, if a database can have them. Takes as long as the question (of which QUESTION_MAX bytes are looked at)
 * times the schema: for a lane. */
str sql_answer(struct arena *a, const struct text2sql *q);

#endif
