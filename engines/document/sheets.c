/* sheets.c - XLSX: each sheet as its name and its rows, the cells of a row with tabs between. ECMA-376, part 1, 18.
 *
 * Cells are what they show, as far as numbers go: a date is written as one, every other number as the file has it.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/num.h"
#include "engines/document/office.h"
#include "engines/document/xml.h"

#include <math.h>

#define STRINGS_MAX ((size_t)128 * 1024 * 1024) /* bytes of the shared ones */
#define CELL_MAX    ((size_t)1024 * 1024)       /* bytes */
#define FORMATS_MAX 65536                       /* of cells */
#define GAP_MAX     256                         /* empty cells of a row that have their tab */
#define COLUMNS_MAX 16384
#define DAYS_MAX    2958466 /* to the year 10000 */
#define DAYS_1900   25569   /* from the two beginnings of dates to 1970 */
#define DAYS_1904   24107
#define DAYS_LEAP   60 /* of the 29 February 1900 that never was; what is before it is a day later */
#define SECONDS_DAY 86400

/* ---- what the workbook says ---- */

struct workbook {
    struct arena *arena;
    struct out   *out;
    /* shared strings */
    struct buf strings;
    size_t    *ends; /* of each in `strings` */
    size_t     string_count, string_cap;
    bool       in_string, in_phonetic;
    unsigned   texts;
    /* the formats of cells: whether each is of dates */
    bool   dates[FORMATS_MAX];
    size_t format_count;
    bool   in_formats;
    bool   own_dates[FORMATS_MAX]; /* by the numbers of the workbook's own formats */
    bool   since_1904;
    /* sheets, in their order */
    struct relations relations;
    struct sheet_name {
        str         name;
        const char *part;
    } * sheets;
    size_t sheet_count, sheet_cap;
};

static void string_begins(void *arg, str name, const char **attributes)
{
    struct workbook *b = arg;

    (void)attributes;
    if (str_eq(name, S("si")))
        b->in_string = true;
    else if (str_eq(name, S("rPh"))) /* how it is spoken */
        b->in_phonetic = true;
    else if (str_eq(name, S("t")))
        b->texts++;
}

static void string_ends(void *arg, str name)
{
    struct workbook *b = arg;

    if (str_eq(name, S("t"))) {
        b->texts--;
    } else if (str_eq(name, S("rPh"))) {
        b->in_phonetic = false;
    } else if (str_eq(name, S("si"))) {
        if (b->string_count == b->string_cap) {
            size_t cap = max_size(2 * b->string_cap, 256);

            b->ends = arena_realloc(b->arena, b->ends, b->string_cap * sizeof(*b->ends), cap * sizeof(*b->ends));
            b->string_cap = cap;
        }
        b->ends[b->string_count++] = b->strings.len;
        b->in_string = false;
    }
}

static void string_text(void *arg, str text)
{
    struct workbook *b = arg;

    if (b->in_string && b->texts && !b->in_phonetic)
        buf_add(&b->strings, text);
}

static bool string_enough(void *arg)
{
    return ((struct workbook *)arg)->strings.full;
}

static const struct xml_events string_events = {
    .begins = string_begins, .ends = string_ends, .text = string_text, .enough = string_enough
};

static str string_at(const struct workbook *b, int64_t i)
{
    size_t start;

    if (i < 0 || i >= (int64_t)b->string_count)
        return (str){ 0 };
    start = i ? b->ends[i - 1] : 0;
    return str_of(b->strings.ptr + start, b->ends[i] - start);
}

/* ---- formats ---- */

/* A letter of a date or a time of day outside quotes, brackets and what is taken as it is. */
static bool is_date_code(str code)
{
    for (size_t i = 0; i < code.len && code.ptr[i] != ';'; i++) {
        char c = code.ptr[i], end = c == '"' ? '"' : c == '[' ? ']' : 0;

        if (end) {
            size_t n = str_find(str_from(code, i + 1), end);

            i += n == STR_NONE ? code.len : n + 1;
        } else if (c == '\\' || c == '_' || c == '*') {
            i++;
        } else if (strchr("ymdhsYMDHS", c)) {
            return true;
        }
    }
    return false;
}

/* The formats that every program knows: 14 to 22 and 45 to 47, and those of East Asia. */
static bool is_date_number(int64_t n)
{
    return (n >= 14 && n <= 22) || (n >= 27 && n <= 36) || (n >= 45 && n <= 47) || (n >= 50 && n <= 58);
}

static void style_begins(void *arg, str name, const char **attributes)
{
    struct workbook *b = arg;
    int64_t          n;

    if (str_eq(name, S("cellXfs")))
        b->in_formats = true;
    if (!(str_eq(name, S("numFmt")) || (b->in_formats && str_eq(name, S("xf")))))
        return;
    if (!str_to_i64(xml_attribute(attributes, "numFmtId"), &n) || n < 0 || n >= FORMATS_MAX)
        n = 0;
    if (str_eq(name, S("numFmt")))
        b->own_dates[n] = is_date_code(xml_attribute(attributes, "formatCode"));
    else if (b->format_count < FORMATS_MAX)
        b->dates[b->format_count++] = is_date_number(n) || b->own_dates[n];
}

static void style_ends(void *arg, str name)
{
    if (str_eq(name, S("cellXfs")))
        ((struct workbook *)arg)->in_formats = false;
}

static const struct xml_events style_events = { .begins = style_begins, .ends = style_ends };

static void workbook_begins(void *arg, str name, const char **attributes)
{
    struct workbook *b = arg;
    str              since_1904 = xml_attribute(attributes, "date1904");
    const char      *part;

    if (str_eq(name, S("workbookPr")))
        b->since_1904 = str_eq(since_1904, S("1")) || str_eq(since_1904, S("true"));
    if (!str_eq(name, S("sheet")))
        return;
    part = relation_target(&b->relations, xml_attribute(attributes, "id"));
    if (!part)
        return;
    if (b->sheet_count == b->sheet_cap) {
        size_t cap = max_size(2 * b->sheet_cap, 16);

        b->sheets = arena_realloc(b->arena, b->sheets, b->sheet_cap * sizeof(*b->sheets), cap * sizeof(*b->sheets));
        b->sheet_cap = cap;
    }
    b->sheets[b->sheet_count++] = (struct sheet_name){ arena_str(b->arena, xml_attribute(attributes, "name")), part };
}

static const struct xml_events workbook_events = { .begins = workbook_begins };

/* ---- a sheet ---- */

struct sheet {
    const struct workbook *book;
    struct out            *out;
    struct buf             value;
    enum { NUMBER, SHARED, BOOLEAN, PLAIN } type;
    bool   is_date;
    size_t column, next; /* of the cell; the one that is written next */
    bool   in_cell, in_value, in_phonetic;
};

/* Of "AB12": 27. */
static size_t column_of(str place, size_t otherwise)
{
    size_t n = 0, i = 0;

    for (; i < place.len && place.ptr[i] >= 'A' && place.ptr[i] <= 'Z' && n <= COLUMNS_MAX; i++)
        n = n * 26 + (size_t)(place.ptr[i] - 'A' + 1);
    return i && n <= COLUMNS_MAX ? n - 1 : otherwise;
}

static void cell_begins(struct sheet *s, const char **attributes)
{
    str     type = xml_attribute(attributes, "t");
    int64_t format;

    s->in_cell = true;
    s->column = column_of(xml_attribute(attributes, "r"), s->column + 1);
    s->type = str_eq(type, S("s"))                ? SHARED
              : str_eq(type, S("b"))              ? BOOLEAN
              : !type.len || str_eq(type, S("n")) ? NUMBER
                                                  : PLAIN;
    if (!str_to_i64(xml_attribute(attributes, "s"), &format))
        format = 0;
    s->is_date = s->type == NUMBER && format >= 0 && format < (int64_t)s->book->format_count && s->book->dates[format];
    buf_reset(&s->value);
}

static void sheet_begins(void *arg, str name, const char **attributes)
{
    struct sheet *s = arg;

    if (str_eq(name, S("row"))) {
        s->column = SIZE_MAX; /* before the first */
        s->next = 0;
    } else if (str_eq(name, S("c"))) {
        cell_begins(s, attributes);
    } else if (str_eq(name, S("rPh"))) {
        s->in_phonetic = true;
    } else if (s->in_cell && (str_eq(name, S("v")) || str_eq(name, S("t")))) {
        s->in_value = true;
    }
}

/* A day as 2024-05-01, a time as 12:30:00, both with a blank between. False: it is no date that there is. */
static bool date_write(const struct sheet *s, str number)
{
    char    text[CLOCK_ISO_LEN + 1];
    double  v, whole;
    int64_t days, seconds;

    if (!str_to_f64(number, &v) || !(v >= 0 && v < DAYS_MAX))
        return false;
    whole = floor(v);
    days = (int64_t)whole;
    seconds = (int64_t)((v - whole) * SECONDS_DAY + 0.5);
    if (seconds == SECONDS_DAY) {
        seconds = 0;
        days++;
    }
    if (!s->book->since_1904 && days && days < DAYS_LEAP)
        days++;
    clock_iso(text, ((days - (s->book->since_1904 ? DAYS_1904 : DAYS_1900)) * SECONDS_DAY + seconds) * 1000);
    if (days || s->book->since_1904)
        out_add(s->out, str_of(text, 10));
    if ((days || s->book->since_1904) && seconds)
        out_add(s->out, S(" "));
    if (!(days || s->book->since_1904) || seconds)
        out_add(s->out, str_of(text + 11, 8));
    return true;
}

/* A break in a cell would look like a row. */
static void cell_text(struct out *out, str text)
{
    while (text.len) {
        size_t n = 0;

        while (n < text.len && text.ptr[n] != '\n' && text.ptr[n] != '\r' && text.ptr[n] != '\t')
            n++;
        out_add(out, str_first(text, n));
        if (n < text.len)
            out_add(out, S(" "));
        text = str_from(text, n + 1);
    }
}

static void cell_ends(struct sheet *s)
{
    str     value = buf_str(&s->value);
    int64_t i = 0;

    s->in_cell = false;
    if (s->type == SHARED)
        value = str_to_i64(value, &i) ? string_at(s->book, i) : (str){ 0 };
    else if (s->type == BOOLEAN)
        value = str_eq(value, S("1")) ? S("TRUE") : S("FALSE");
    if (!value.len)
        return;
    for (size_t gap = 0; s->next < s->column && gap < GAP_MAX; gap++, s->next++)
        out_add(s->out, S("\t"));
    s->next = max_size(s->next, s->column);
    if (!s->is_date || !date_write(s, value))
        cell_text(s->out, value);
}

static void sheet_ends(void *arg, str name)
{
    struct sheet *s = arg;

    if (str_eq(name, S("v")) || str_eq(name, S("t")))
        s->in_value = false;
    else if (str_eq(name, S("rPh")))
        s->in_phonetic = false;
    else if (str_eq(name, S("c")) && s->in_cell)
        cell_ends(s);
    else if (str_eq(name, S("row")))
        out_line(s->out);
}

static void sheet_text(void *arg, str text)
{
    struct sheet *s = arg;

    if (s->in_value && s->in_cell && !s->in_phonetic)
        buf_add(&s->value, text);
}

static bool sheet_enough(void *arg)
{
    const struct sheet *s = arg;

    return s->out->full || s->out->failed;
}

static const struct xml_events sheet_events = {
    .begins = sheet_begins, .ends = sheet_ends, .text = sheet_text, .enough = sheet_enough
};

static enum document_verdict sheet_read(struct reading *r, struct package *p, const struct workbook *b, size_t i)
{
    struct sheet s = { .book = b, .out = r->out };

    buf_init(&s.value, r->arena, CELL_MAX);
    out_gap(r->out);
    cell_text(r->out, b->sheets[i].name);
    out_line(r->out);
    return xml_read(p, b->sheets[i].part, &sheet_events, &s);
}

/* What the part is related to, if it is. */
static enum document_verdict related_read(struct package *p, struct workbook *b, str type,
                                          const struct xml_events *events)
{
    const char *part = relation_of_type(&b->relations, type);

    return part && package_has(p, part) ? xml_read(p, part, events, b) : DOCUMENT_OK;
}

enum document_verdict sheets_read(struct reading *r, struct package *p, const char *workbook)
{
    struct workbook      *b = arena_new(r->arena, struct workbook);
    enum document_verdict v;

    r->format = DOCUMENT_FORMAT_XLSX;
    b->arena = r->arena;
    b->out = r->out;
    buf_init(&b->strings, r->arena, STRINGS_MAX);
    v = relations_read(p, r->arena, workbook, &b->relations);
    if (!v)
        v = xml_read(p, workbook, &workbook_events, b);
    if (!v)
        v = related_read(p, b, S("sharedStrings"), &string_events);
    if (!v && b->strings.full)
        return reading_fails(r, DOCUMENT_LARGE, "too many shared strings");
    if (!v)
        v = related_read(p, b, S("styles"), &style_events);
    r->pages = (int64_t)b->sheet_count;
    for (size_t i = 0; i < b->sheet_count && !v && !r->out->full; i++)
        v = sheet_read(r, p, b, i);
    return v ? reading_fails(r, v, "a part of a workbook") : v;
}
