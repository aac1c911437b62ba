/* text2sql.c - reads a schema, writes prompts, finds statements in answers.
 *
 * Memory: the request's; texts are views into the body. Limits: the body's; a statement SQL_STATEMENT_MAX bytes, and as many
 * common table expressions as COPIES_MAX lets it have.
 */
#include "contract/text2sql.h"

#include "contract/errors.gen.h"
#include "contract/json.h"

#include <sqlite3.h>

#define TOLD_MAX   ((size_t)32 << 20) /* what it tells came in a body with a ceiling */
#define COPIES_MAX 1000
#define WITHS_MAX  64

/* ---- reading ---- */

static enum err read_columns(struct request *rq, yyjson_val *columns, struct sql_table *t)
{
    yyjson_val *column;
    size_t      i, n;

    t->columns = arena_array(rq->arena, struct sql_column, yyjson_arr_size(columns));
    yyjson_arr_foreach(columns, i, n, column)
    {
        struct sql_column *c = &t->columns[t->column_count++];

        *c = (struct sql_column){ .name = json_str(json_get(column, "col_name")),
                                  .caption = json_str(json_get(column, "col_caption")),
                                  .desc = json_str(json_get(column, "col_desc")),
                                  .type = json_str(json_get(column, "col_type")) };
        if (!c->name.len)
            return fail_text2sql_schema_format(&rq->fault);
    }
    return t->column_count ? OK : fail_text2sql_schema_format(&rq->fault);
}

/* REF: E171, E172. */
static enum err read_tables(struct request *rq, yyjson_val *tables, struct text2sql *q)
{
    yyjson_val *table;
    size_t      i, n;

    if (!tables || (yyjson_is_arr(tables) && yyjson_arr_size(tables) == 0))
        return fail_text2sql_schema_missing(&rq->fault);
    if (!yyjson_is_arr(tables))
        return fail_text2sql_schema_format(&rq->fault);
    q->tables = arena_array(rq->arena, struct sql_table, yyjson_arr_size(tables));
    yyjson_arr_foreach(tables, i, n, table)
    {
        struct sql_table *t = &q->tables[q->table_count++];
        yyjson_val       *columns = json_get(table, "columns");
        enum err          e;

        t->name = json_str(json_get(table, "table_id"));
        t->desc = json_str(json_get(table, "table_desc"));
        if (!t->name.len || !yyjson_is_arr(columns))
            return fail_text2sql_schema_format(&rq->fault);
        e = read_columns(rq, columns, t);
        if (e)
            return e;
    }
    return OK;
}

/* {"score": "points|mark"}, or that as a text. */
static void read_synonyms(struct arena *a, yyjson_val *synonyms, struct text2sql *q)
{
    yyjson_val *key, *aliases;
    size_t      i, n;

    if (yyjson_is_str(synonyms))
        synonyms = json_parse_copy(a, json_str(synonyms));
    if (!yyjson_is_obj(synonyms))
        return;
    q->synonyms = arena_array(a, struct sql_synonym, yyjson_obj_size(synonyms));
    yyjson_obj_foreach(synonyms, i, n, key, aliases)
    {
        if (yyjson_is_str(aliases))
            q->synonyms[q->synonym_count++] = (struct sql_synonym){ json_str(key), json_str(aliases) };
    }
}

/* A score comes as a number or as a text. */
static void read_recalls(struct arena *a, yyjson_val *recalls, struct text2sql *q)
{
    yyjson_val *recall;
    size_t      i, n;

    if (!yyjson_is_arr(recalls))
        return;
    q->recalls = arena_array(a, struct sql_recall, yyjson_arr_size(recalls));
    yyjson_arr_foreach(recalls, i, n, recall)
    {
        struct sql_recall r = { .content = json_str(json_get(recall, "content")) };
        yyjson_val       *score = json_get(recall, "score");

        if (!json_to_num(score, &r.score) && !str_to_f64(json_str(score), &r.score))
            r.score = 0;
        if (r.content.len)
            q->recalls[q->recall_count++] = r;
    }
}

/* ---- names and types ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_plain(str name)
{
    if (!name.len || name.len > 100 || !is_letter(name.ptr[0]) || sqlite3_keyword_check(name.ptr, (int)name.len))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        if (!is_letter(name.ptr[i]) && !is_digit(name.ptr[i]))
            return false;
    }
    return true;
}

static void add_quoted(struct buf *b, str text, char quote)
{
    buf_add_char(b, quote);
    while (text.len) {
        size_t at = str_find(text, quote);

        if (at == STR_NONE) {
            buf_add(b, text);
            break;
        }
        buf_add(b, str_first(text, at + 1));
        buf_add_char(b, quote);
        text = str_from(text, at + 1);
    }
    buf_add_char(b, quote);
}

void sql_add_name(struct buf *b, str name)
{
    if (is_plain(name))
        buf_add(b, name);
    else
        add_quoted(b, name, '"');
}

void sql_add_text(struct buf *b, str text)
{
    add_quoted(b, text, '\'');
}

enum sql_type sql_type(str named)
{
    /* The first word that occurs decides. */
    static const struct {
        str           word;
        enum sql_type type;
    } words[] = {
        { { "char", 4 }, SQL_TEXT },      { { "text", 4 }, SQL_TEXT },    { { "clob", 4 }, SQL_TEXT },
        { { "string", 6 }, SQL_TEXT },    { { "uuid", 4 }, SQL_TEXT },    { { "json", 4 }, SQL_TEXT },
        { { "date", 4 }, SQL_TEXT },      { { "time", 4 }, SQL_TEXT },    { { "interval", 8 }, SQL_TEXT },
        { { "enum", 4 }, SQL_TEXT },      { { "point", 5 }, SQL_ANY },    { { "int", 3 }, SQL_INTEGER },
        { { "serial", 6 }, SQL_INTEGER }, { { "long", 4 }, SQL_INTEGER }, { { "short", 5 }, SQL_INTEGER },
        { { "real", 4 }, SQL_REAL },      { { "float", 5 }, SQL_REAL },   { { "double", 6 }, SQL_REAL },
        { { "num", 3 }, SQL_NUMBER },     { { "dec", 3 }, SQL_NUMBER },   { { "money", 5 }, SQL_NUMBER },
        { { "blob", 4 }, SQL_BLOB },      { { "binary", 6 }, SQL_BLOB },  { { "bytea", 5 }, SQL_BLOB },
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_find_str_nocase(named, words[i].word) != STR_NONE)
            return words[i].type;
    }
    return SQL_ANY;
}

static str type_name(enum sql_type type)
{
    switch (type) {
    case SQL_ANY:
        break;
    case SQL_INTEGER:
        return S(" INTEGER");
    case SQL_REAL:
        return S(" REAL");
    case SQL_NUMBER:
        return S(" NUMERIC");
    case SQL_TEXT:
        return S(" TEXT");
    case SQL_BLOB:
        return S(" BLOB");
    }
    return S("");
}

str sql_create(struct arena *a, const struct sql_table *t)
{
    struct buf b;

    buf_init(&b, a, TOLD_MAX);
    buf_add(&b, S("CREATE TABLE "));
    sql_add_name(&b, t->name);
    for (size_t i = 0; i < t->column_count; i++) {
        buf_add(&b, i ? S(", ") : S(" ("));
        sql_add_name(&b, t->columns[i].name);
        buf_add(&b, type_name(sql_type(t->columns[i].type)));
    }
    buf_add_char(&b, ')');
    return buf_str(&b);
}

/* ---- what an engine is told ---- */

/* "; " and the text on one line, so that it stays in its comment. */
static void add_remark(struct buf *b, str text, bool *begun)
{
    text = str_trim(text);
    if (!text.len)
        return;
    buf_add(b, *begun ? S("; ") : S(" -- "));
    *begun = true;
    for (size_t i = 0; i < text.len; i++)
        buf_add_char(b, text.ptr[i] == '\n' || text.ptr[i] == '\r' ? ' ' : text.ptr[i]);
}

static void tell_table(struct buf *b, const struct sql_table *t)
{
    bool begun = false;

    buf_add(b, S("\nCREATE TABLE "));
    sql_add_name(b, t->name);
    buf_add(b, S(" ("));
    add_remark(b, t->desc, &begun);
    for (size_t i = 0; i < t->column_count; i++) {
        const struct sql_column *c = &t->columns[i];

        begun = false;
        buf_add(b, S("\n  "));
        sql_add_name(b, c->name);
        buf_add(b, type_name(sql_type(c->type)));
        if (i + 1 < t->column_count)
            buf_add_char(b, ',');
        add_remark(b, c->caption, &begun);
        add_remark(b, c->desc, &begun);
        add_remark(b, c->type, &begun);
    }
    buf_add(b, S("\n);\n"));
}

static str tell(struct arena *a, const struct text2sql *q)
{
    struct buf b;

    buf_init(&b, a, TOLD_MAX);
    buf_add(
        &b,
        S("Write one SQLite statement that answers the question from the tables below: a SELECT, which may begin with "
          "WITH. Use no other tables and columns, and write names as they are written here. Answer with the "
          "statement alone.\n"));
    for (size_t i = 0; i < q->table_count; i++)
        tell_table(&b, &q->tables[i]);
    for (size_t i = 0; i < q->synonym_count; i++) {
        buf_add(&b, i ? S("\n") : S("\nOther words for names:\n"));
        buf_add(&b, q->synonyms[i].name);
        buf_add(&b, S(": "));
        buf_add(&b, q->synonyms[i].aliases);
    }
    for (size_t i = 0; i < q->recall_count; i++) {
        buf_add(&b, i ? S("\n") : S("\nValues that may be meant:\n"));
        buf_add(&b, q->recalls[i].content);
    }
    return buf_str(&b);
}

str sql_complaint(struct arena *a, str why)
{
    return arena_printf(a, "That does not fit: %.*s. Answer with the right statement alone.", STR_ARG(why));
}

enum err text2sql_read(struct request *rq, yyjson_val *schema, str question, struct chat_input *in)
{
    struct text2sql *q = arena_new(rq->arena, struct text2sql);
    enum err         e = read_tables(rq, json_get(schema, "schema_infos"), q);

    if (e)
        return e;
    read_synonyms(rq->arena, json_get(schema, "synonym_infos"), q);
    read_recalls(rq->arena, json_get(schema, "recall_infos"), q);
    q->question = question;
    in->sql = q;
    in->message_count = 2;
    in->messages = arena_array(rq->arena, struct chat_message, in->message_count);
    in->messages[0] = (struct chat_message){ .role = CHAT_SYSTEM, .content = tell(rq->arena, q) };
    in->messages[1] = (struct chat_message){ .role = CHAT_USER, .content = question };
    return OK;
}

/* ---- what it answers ---- */

/* The length of the blanks and comments that the text begins with. */
static size_t blank_len(str s)
{
    size_t i = 0;

    while (i < s.len) {
        str    rest = str_from(s, i);
        size_t end;

        if (str_find(S(" \t\r\n\f"), rest.ptr[0]) != STR_NONE) {
            i++;
            continue;
        }
        if (str_starts(rest, S("--")))
            end = str_find(rest, '\n');
        else if (str_starts(rest, S("/*")))
            end = str_find_str(str_from(rest, 2), S("*/"));
        else
            break;
        i = end == STR_NONE ? s.len : i + end + (rest.ptr[0] == '/' ? 4 : 1);
    }
    return i;
}

/* The length of what is in quotes, both included; a doubled quote does not end it, but begins another. */
static size_t quoted_len(str s)
{
    size_t end = str_find(str_from(s, 1), s.ptr[0] == '[' ? ']' : s.ptr[0]);

    return end == STR_NONE ? s.len : end + 2;
}

struct sql_token {
    str  text; /* of a name without its quotes; empty at the end */
    bool name; /* a word, or something in quotes that may be a name */
    bool torn; /* it had a doubled quote: this is what stood before it */
};

/* Cuts the next token off. Numbers, strings and punctuation are tokens as well, a sign each. */
static struct sql_token token_next(str *rest)
{
    struct sql_token t = { 0 };
    size_t           len = 1;

    *rest = str_from(*rest, blank_len(*rest));
    if (!rest->len)
        return t;
    if (is_letter(rest->ptr[0])) {
        while (len < rest->len && (is_letter(rest->ptr[len]) || is_digit(rest->ptr[len]) || rest->ptr[len] == '$'))
            len++;
        t = (struct sql_token){ .text = str_first(*rest, len), .name = true };
    } else if (str_find(S("\"'`["), rest->ptr[0]) != STR_NONE) {
        len = quoted_len(*rest);
        t.text = len > 2 ? str_of(rest->ptr + 1, len - 2) : str_first(*rest, len);
        t.name = true;
        t.torn = len < rest->len && rest->ptr[len] == rest->ptr[0];
    } else {
        t.text = str_first(*rest, len);
    }
    *rest = str_from(*rest, len);
    return t;
}

/* How often the name stands where a table can be meant: not behind a dot nor before one. */
static size_t mentions(str statement, str name)
{
    struct sql_token before = { 0 }, t = token_next(&statement), after;
    size_t           count = 0;

    for (; t.text.len; before = t, t = after) {
        after = token_next(&statement);
        count += t.name && str_eq_nocase(t.text, name) && !str_eq(before.text, S(".")) && !str_eq(after.text, S("."));
    }
    return count;
}

/* SQLite copies a common table expression to each place that names it, and what that names with it: a short statement can
 * become one of any length while it is prepared. The copies are at most the product of how often each is named. Taken for
 * such an expression is each name behind WITH, RECURSIVE, or ")" and ",". */
static bool is_bounded(str statement)
{
    str              rest = statement;
    struct sql_token before[2] = { 0 }, t;
    size_t           copies = 1, withs = 0;
    bool             with = false;

    while ((t = token_next(&rest)).text.len) {
        bool first = str_eq_nocase(before[0].text, S("with")) || str_eq_nocase(before[0].text, S("recursive"));
        bool further = with && str_eq(before[0].text, S(",")) && str_eq(before[1].text, S(")"));

        with = with || str_eq_nocase(t.text, S("with"));
        if (t.name && (first || further)) {
            size_t named = mentions(statement, t.text);

            copies *= named > 2 ? named - 1 : 1;
            if (t.torn || ++withs > WITHS_MAX || copies > COPIES_MAX)
                return false;
        }
        before[1] = before[0];
        before[0] = t;
    }
    return true;
}

static bool begins_statement(str s)
{
    struct sql_token t = token_next(&s);

    return str_eq_nocase(t.text, S("select")) || str_eq_nocase(t.text, S("with")) || str_eq_nocase(t.text, S("values"));
}

/* Where the next line begins with three backquotes; STR_NONE when none does. In a line they may be part of a name. */
static size_t fence_find(str text)
{
    for (size_t from = 0, at; (at = str_find_str(str_from(text, from), S("```"))) != STR_NONE; from += at + 3) {
        size_t start = from + at;

        while (start && (text.ptr[start - 1] == ' ' || text.ptr[start - 1] == '\t'))
            start--;
        if (!start || text.ptr[start - 1] == '\n')
            return from + at;
    }
    return STR_NONE;
}

/* The inside of the first fenced block that is SQL by its label, or of the first at all; false when there is none. */
static bool fenced(str answer, str *ret)
{
    bool found = false;

    for (size_t at; (at = fence_find(answer)) != STR_NONE;) {
        str    label, block, rest = str_from(answer, at + 3);
        size_t end;

        label = str_cut(&rest, '\n');
        end = fence_find(rest);
        block = str_first(rest, end);
        answer = str_from(rest, end == STR_NONE ? rest.len : end + 3);
        if (!found || str_starts_nocase(str_trim(label), S("sql")))
            *ret = block;
        if (str_starts_nocase(str_trim(label), S("sql")))
            return true;
        found = true;
    }
    return found;
}

/* From the first line that begins like a statement. */
static bool unfenced(str answer, str *ret)
{
    while (answer.len) {
        str line = answer;

        (void)str_cut(&answer, '\n');
        if (begins_statement(line)) {
            *ret = line;
            return true;
        }
    }
    return false;
}

static str without_thoughts(str answer)
{
    size_t end = str_find_str(answer, S("</think>"));

    return end == STR_NONE ? answer : str_from(answer, end + 8);
}

bool sql_statement(str answer, str *ret, str *why)
{
    bool             in_fence;
    str              text, rest;
    struct sql_token t;

    answer = without_thoughts(answer);
    in_fence = fenced(answer, &text);
    *why = S("there is no SELECT in it");
    if ((!in_fence && !unfenced(answer, &text)) || !begins_statement(text))
        return false;
    text = str_from(text, blank_len(text));
    rest = text;
    do {
        t = token_next(&rest);
    } while (t.text.len && !(str_eq(t.text, S(";")) && !t.name));
    *ret = str_trim(str_first(text, t.text.len ? (size_t)(t.text.ptr - text.ptr) : text.len));
    if (in_fence && rest.len > blank_len(rest)) {
        *why = S("there is more than one statement");
        return false;
    }
    if (ret->len > SQL_STATEMENT_MAX || str_find(*ret, '\0') != STR_NONE || !is_bounded(*ret)) {
        *why = S("it is too long, or names its WITH tables too often");
        return false;
    }
    return true;
}
