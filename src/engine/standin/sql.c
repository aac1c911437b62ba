/* sql.c - makes a statement of names and values that occur in a question. */
#include "engine/standin/sql.h"

#include "base/num.h"
#include "base/utf8.h"

#include <stdlib.h>

#define QUESTION_MAX ((size_t)4096)
#define TERM_MAX     200 /* bytes; a longer one is not looked for */
#define HINTS_MAX    ((size_t)100)
#define MENTIONED    2 /* what a table's own name, or a value of it, counts; a column counts one */

/* Where something stands in the question. */
struct place {
    size_t at, len; /* STR_NONE: nowhere */
};

#define NOWHERE ((struct place){ STR_NONE, 0 })

enum aggregate { AGG_NONE, AGG_COUNT, AGG_SUM, AGG_AVG, AGG_MAX, AGG_MIN };

struct column {
    const struct sql_column *is;
    struct place             place;
    str                     *values; /* of the recalls that hold, as SQL */
    size_t                   value_count;
};

/* One column's value in a recall: "student_score.name='Ming'". */
struct hint {
    str    table, column, value; /* the table may be empty */
    bool   quoted;
    double score;
};

struct answer {
    struct arena           *arena;
    const struct text2sql  *q;
    str                     question; /* folded */
    struct hint            *hints;
    size_t                  hint_count;
    const struct sql_table *table;
    struct column          *columns;
};

/* ---- what occurs ---- */

/* Lower case, and a blank for "_" and "-". */
static str fold(char *to, str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        to[i] = c == '_' || c == '-' ? ' ' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return str_of(to, text.len);
}

static bool is_word(str s, size_t at)
{
    return at < s.len && ((s.ptr[at] >= 'a' && s.ptr[at] <= 'z') || (s.ptr[at] >= '0' && s.ptr[at] <= '9'));
}

/* Whether a word ends here; that of a plural does behind its ending. */
static bool ends_word(str s, size_t at)
{
    return !is_word(s, at) || (s.ptr[at] == 's' && !is_word(s, at + 1)) ||
           (s.ptr[at] == 'e' && at + 1 < s.len && s.ptr[at + 1] == 's' && !is_word(s, at + 2));
}

/* Where the folded term stands: of letters and digits as words of their own, of other scripts anywhere. */
static struct place occurs(str question, str term)
{
    size_t from = 0;

    if (term.len > 3 && term.ptr[term.len - 1] == 's' && is_word(term, term.len - 2))
        term.len--;
    while (term.len) {
        size_t at = str_find_str(str_from(question, from), term);

        if (at == STR_NONE)
            break;
        at += from;
        if (!(is_word(term, 0) && at && is_word(question, at - 1)) &&
            (!is_word(term, term.len - 1) || ends_word(question, at + term.len)))
            return (struct place){ at, term.len };
        from = at + 1;
    }
    return NOWHERE;
}

static struct place first_of(struct place a, struct place b)
{
    return b.at < a.at ? b : a;
}

static struct place find(const struct answer *w, str term)
{
    char room[TERM_MAX];

    return term.len && term.len <= sizeof(room) ? occurs(w->question, fold(room, term)) : NOWHERE;
}

/* The name, what else it is called, and other words for either. */
static struct place find_named(const struct answer *w, str name, str caption)
{
    struct place place = first_of(find(w, name), find(w, caption));

    for (size_t i = 0; i < w->q->synonym_count; i++) {
        str aliases = w->q->synonyms[i].aliases;

        if (!str_eq_nocase(w->q->synonyms[i].name, name) && !str_eq_nocase(w->q->synonyms[i].name, caption))
            continue;
        while (aliases.len)
            place = first_of(place, find(w, str_trim(str_cut(&aliases, '|'))));
    }
    return place;
}

/* ---- values ---- */

static str unquoted(struct arena *a, str s, bool *ret_quoted)
{
    char  *to;
    char   quote = s.len ? s.ptr[0] : 0;
    size_t n = 0;

    *ret_quoted = s.len >= 2 && (quote == '\'' || quote == '"' || quote == '`') && s.ptr[s.len - 1] == quote;
    if (!*ret_quoted)
        return s;
    s = str_of(s.ptr + 1, s.len - 2);
    to = arena_bytes(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++) {
        to[n++] = s.ptr[i];
        i += s.ptr[i] == quote && i + 1 < s.len && s.ptr[i + 1] == quote;
    }
    return str_of(to, n);
}

static void read_hints(struct answer *w)
{
    w->hints = arena_array(w->arena, struct hint, min_size(w->q->recall_count, HINTS_MAX));
    for (size_t i = 0; i < w->q->recall_count && w->hint_count < HINTS_MAX; i++) {
        str          rest = w->q->recalls[i].content, left = str_cut(&rest, '=');
        struct hint *h = &w->hints[w->hint_count];
        size_t       dot = STR_NONE;
        bool         named;

        if (!rest.len || str_find(rest, '\0') != STR_NONE)
            continue; /* no condition, or one that SQL cannot say */
        for (size_t k = 0; k < left.len; k++)
            dot = left.ptr[k] == '.' ? k : dot;
        *h = (struct hint){ .score = w->q->recalls[i].score };
        h->table = dot == STR_NONE ? S("") : unquoted(w->arena, str_trim(str_first(left, dot)), &named);
        h->column = unquoted(w->arena, str_trim(dot == STR_NONE ? left : str_from(left, dot + 1)), &named);
        h->value = unquoted(w->arena, str_trim(rest), &h->quoted);
        w->hint_count++;
    }
}

static bool is_of(const struct hint *h, const struct sql_table *t)
{
    if (h->table.len && !str_eq_nocase(h->table, t->name))
        return false;
    for (size_t i = 0; i < t->column_count; i++) {
        if (str_eq_nocase(h->column, t->columns[i].name))
            return true;
    }
    return false;
}

static str value_sql(struct arena *a, const struct hint *h, const struct sql_column *c)
{
    double     number;
    struct buf b;

    if (!h->quoted && sql_type(c->type) != SQL_TEXT && str_to_f64(h->value, &number))
        return h->value;
    buf_init(&b, a, SIZE_MAX / 2);
    sql_add_text(&b, h->value);
    return buf_str(&b);
}

static void add_value(struct answer *w, struct column *c, const struct hint *h)
{
    str value = value_sql(w->arena, h, c->is);

    for (size_t i = 0; i < c->value_count; i++) {
        if (str_eq(c->values[i], value))
            return;
    }
    if (!c->values)
        c->values = arena_array(w->arena, str, w->hint_count);
    c->values[c->value_count++] = value;
}

static void choose_values(struct answer *w, struct column *c)
{
    const struct hint *best = NULL;

    for (size_t i = 0; i < w->hint_count; i++) {
        const struct hint *h = &w->hints[i];

        if (!str_eq_nocase(h->column, c->is->name) || (h->table.len && !str_eq_nocase(h->table, w->table->name)))
            continue;
        if (find(w, h->value).at != STR_NONE)
            add_value(w, c, h);
        if (!best || h->score > best->score)
            best = h;
    }
    if (best && !c->value_count)
        add_value(w, c, best);
}

/* ---- the table ---- */

static void choose_table(struct answer *w)
{
    size_t most = 0;

    w->table = &w->q->tables[0];
    for (size_t i = 0; i < w->q->table_count; i++) {
        const struct sql_table *t = &w->q->tables[i];
        size_t                  said = find_named(w, t->name, t->desc).at == STR_NONE ? 0 : MENTIONED;

        for (size_t k = 0; k < t->column_count; k++)
            said += find_named(w, t->columns[k].name, t->columns[k].caption).at != STR_NONE;
        for (size_t k = 0; k < w->hint_count; k++)
            said += is_of(&w->hints[k], t) ? MENTIONED : 0;
        if (said > most) {
            most = said;
            w->table = t;
        }
    }
}

static int by_place(const void *a, const void *b)
{
    const struct column *x = a, *y = b;

    if (x->place.at != y->place.at)
        return x->place.at < y->place.at ? -1 : 1;
    return x->is < y->is ? -1 : x->is > y->is;
}

/* The columns, those that occur first, in the question's order. */
static void choose_columns(struct answer *w)
{
    w->columns = arena_array(w->arena, struct column, w->table->column_count);
    for (size_t i = 0; i < w->table->column_count; i++) {
        struct column *c = &w->columns[i];

        c->is = &w->table->columns[i];
        c->place = find_named(w, c->is->name, c->is->caption);
        if (w->hint_count)
            choose_values(w, c);
    }
    qsort(w->columns, w->table->column_count, sizeof(*w->columns), by_place);
}

/* ---- what is done with them ---- */

static const struct {
    str            word;
    enum aggregate is;
} words[] = {
    { { "how many", 8 }, AGG_COUNT }, { { "number of", 9 }, AGG_COUNT }, { { "count", 5 }, AGG_COUNT },
    { { "有多少", 9 }, AGG_COUNT },   { { "数量", 6 }, AGG_COUNT },      { { "个数", 6 }, AGG_COUNT },
    { { "人数", 6 }, AGG_COUNT },     { { "几个", 6 }, AGG_COUNT },      { { "total", 5 }, AGG_SUM },
    { { "sum", 3 }, AGG_SUM },        { { "总和", 6 }, AGG_SUM },        { { "合计", 6 }, AGG_SUM },
    { { "总计", 6 }, AGG_SUM },       { { "总", 3 }, AGG_SUM },          { { "average", 7 }, AGG_AVG },
    { { "mean", 4 }, AGG_AVG },       { { "平均", 6 }, AGG_AVG },        { { "highest", 7 }, AGG_MAX },
    { { "maximum", 7 }, AGG_MAX },    { { "largest", 7 }, AGG_MAX },     { { "latest", 6 }, AGG_MAX },
    { { "最高", 6 }, AGG_MAX },       { { "最大", 6 }, AGG_MAX },        { { "lowest", 6 }, AGG_MIN },
    { { "minimum", 7 }, AGG_MIN },    { { "smallest", 8 }, AGG_MIN },    { { "earliest", 8 }, AGG_MIN },
    { { "最低", 6 }, AGG_MIN },       { { "最小", 6 }, AGG_MIN },
};

static const str group_words[] = { { "for each", 8 }, { "each", 4 }, { "per", 3 }, { "by", 2 },
                                   { "每", 3 },       { "按", 3 },   { "各", 3 } };

/* A word that is part of a column's name says nothing of its own. */
static bool in_a_name(const struct answer *w, struct place p)
{
    for (size_t i = 0; i < w->table->column_count && w->columns[i].place.at != STR_NONE; i++) {
        struct place name = w->columns[i].place;

        if (p.at >= name.at && p.at + p.len <= name.at + name.len)
            return true;
    }
    return false;
}

static enum aggregate choose_aggregate(const struct answer *w)
{
    struct place   first = NOWHERE;
    enum aggregate is = AGG_NONE;

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct place p = occurs(w->question, words[i].word);

        if (p.at >= first.at || in_a_name(w, p))
            continue;
        first = p;
        is = words[i].is;
    }
    return is;
}

static const struct column *choose_group(const struct answer *w)
{
    struct place first = NOWHERE;

    for (size_t i = 0; i < ARRAY_LEN(group_words); i++) {
        struct place p = occurs(w->question, group_words[i]);

        if (p.at < first.at && !in_a_name(w, p))
            first = p;
    }
    for (size_t i = 0; i < w->table->column_count && w->columns[i].place.at != STR_NONE; i++) {
        if (w->columns[i].place.at > first.at)
            return &w->columns[i];
    }
    return NULL;
}

/* The first column that the question names; `sums`: that is of a type that can be summed, or of none. */
static const struct column *choose_subject(const struct answer *w, const struct column *group, bool sums)
{
    for (size_t i = 0; i < w->table->column_count && w->columns[i].place.at != STR_NONE; i++) {
        const struct column *c = &w->columns[i];
        enum sql_type        type = sql_type(c->is->type);

        if (c != group && !c->value_count && !(sums && (type == SQL_TEXT || type == SQL_BLOB)))
            return c;
    }
    return NULL;
}

/* ---- the statement ---- */

static bool add_aggregate(struct buf *b, const struct answer *w, enum aggregate is, const struct column *group)
{
    static const str names[] = {
        [AGG_SUM] = { "SUM(", 4 }, [AGG_AVG] = { "AVG(", 4 }, [AGG_MAX] = { "MAX(", 4 }, [AGG_MIN] = { "MIN(", 4 }
    };
    const struct column *c = is == AGG_COUNT ? NULL : choose_subject(w, group, is == AGG_SUM || is == AGG_AVG);

    if (is == AGG_NONE || (is != AGG_COUNT && !c))
        return false;
    if (group) {
        sql_add_name(b, group->is->name);
        buf_add(b, S(", "));
    }
    if (!c) {
        buf_add(b, S("COUNT(*)"));
        return true;
    }
    buf_add(b, names[is]);
    sql_add_name(b, c->is->name);
    buf_add_char(b, ')');
    return true;
}

static void add_columns(struct buf *b, const struct answer *w)
{
    size_t before = b->len;

    for (size_t i = 0; i < w->table->column_count && w->columns[i].place.at != STR_NONE; i++) {
        if (w->columns[i].value_count)
            continue; /* its value is known */
        if (b->len > before)
            buf_add(b, S(", "));
        sql_add_name(b, w->columns[i].is->name);
    }
    if (b->len == before)
        buf_add_char(b, '*');
}

static void add_conditions(struct buf *b, const struct answer *w)
{
    bool begun = false;

    for (size_t i = 0; i < w->table->column_count; i++) {
        const struct column *c = &w->columns[i];

        if (!c->value_count)
            continue;
        buf_add(b, begun ? S(" AND ") : S(" WHERE "));
        begun = true;
        sql_add_name(b, c->is->name);
        buf_add(b, c->value_count > 1 ? S(" IN (") : S(" = "));
        for (size_t k = 0; k < c->value_count; k++) {
            if (k)
                buf_add(b, S(", "));
            buf_add(b, c->values[k]);
        }
        if (c->value_count > 1)
            buf_add_char(b, ')');
    }
}

str sql_answer(struct arena *a, const struct text2sql *q)
{
    str                  question = str_first(q->question, utf8_cut(q->question, QUESTION_MAX));
    struct answer        w = { .arena = a, .q = q, .question = fold(arena_bytes(a, question.len), question) };
    const struct column *group;
    enum aggregate       is;
    struct buf           b;

    read_hints(&w);
    choose_table(&w);
    choose_columns(&w);
    is = choose_aggregate(&w);
    group = is == AGG_NONE ? NULL : choose_group(&w);
    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, S("SELECT "));
    if (!add_aggregate(&b, &w, is, group)) {
        group = NULL;
        add_columns(&b, &w);
    }
    buf_add(&b, S(" FROM "));
    sql_add_name(&b, w.table->name);
    add_conditions(&b, &w);
    if (group) {
        buf_add(&b, S(" GROUP BY "));
        sql_add_name(&b, group->is->name);
    }
    if (b.len <= SQL_STATEMENT_MAX)
        return buf_str(&b);
    buf_reset(&b);
    buf_add(&b, S("SELECT * FROM "));
    sql_add_name(&b, w.table->name);
    return buf_str(&b);
}
