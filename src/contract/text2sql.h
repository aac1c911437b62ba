/* text2sql.h - a question about a database: its schema is read, told to an engine, and the statement taken out of the answer.
 *
 * Nothing here runs or checks SQL: store/scratch.h builds the tables and prepares statements, service/text2sql.h puts both
 * together. Spec: platform.md §5, chat.md §5.12; doc/text2sql.md.
 */
#ifndef DASHBOX_CONTRACT_TEXT2SQL_H
#define DASHBOX_CONTRACT_TEXT2SQL_H

#include "base/buf.h"
#include "contract/request.h"

/* Bytes: of a statement, and of the name of a table or column that a statement can have. */
#define SQL_STATEMENT_MAX ((size_t)64 * 1024)
#define SQL_NAME_MAX      ((size_t)1024)

/* Texts are empty where nothing was said. */
struct sql_column {
    str name, caption, desc, type;
};

struct sql_table {
    str                name, desc;
    struct sql_column *columns;
    size_t             column_count; /* at least one */
};

/* "points|mark" are other words for "score". */
struct sql_synonym {
    str name, aliases;
};

/* "student_score.name='Ming'" was found in the database, or something like it. */
struct sql_recall {
    str    content;
    double score;
};

struct text2sql {
    str                 question;
    struct sql_table   *tables;
    size_t              table_count; /* at least one */
    struct sql_synonym *synonyms;
    size_t              synonym_count;
    struct sql_recall  *recalls;
    size_t              recall_count;
};

/* Reads {"schema_infos", "synonym_infos", "recall_infos"}: `schema` is the meta of the attachment, NULL when there is none (an
 * application's biz_params.sqlInput has the same form; nothing reads it yet). Refuses absent and malformed tables (E171, E172). Sets in->sql and in->messages, what an engine is told
 * and the question: then chat_open() answers with a statement that fits the tables, and with nothing else. */
enum err text2sql_read(struct request *rq, struct yyjson_val *schema, str question, struct chat_input *in);

/* The name as SQL: as it is where that is possible, else in double quotes. */
void sql_add_name(struct buf *b, str name);
/* The text as an SQL string, in quotes. */
void sql_add_text(struct buf *b, str text);

/* CREATE TABLE; names as they are given, types by what they say. */
str sql_create(struct arena *a, const struct sql_table *t);

/* SQL_NUMBER holds numbers alone. */
enum sql_type { SQL_ANY, SQL_INTEGER, SQL_REAL, SQL_NUMBER, SQL_TEXT, SQL_BLOB };

/* What "varchar(20)" or "BIGINT UNSIGNED" means. */
enum sql_type sql_type(str named);

/* The statement that the answer has: of the first fenced block, of SQL if one is, else from the first line that begins with SELECT, WITH or VALUES.
 * Without the semicolon. False, with a line why, when there is none, or when it is one that cannot be prepared in bounded time. */
bool sql_statement(str answer, str *ret, str *why);

/* What is said to an engine whose statement does not fit. */
str sql_complaint(struct arena *a, str why);

#endif
