/* sse_parser.c - reads Server-Sent Events. */
#include "net/sse_parser.h"

void sse_init(struct sse_parser *p, struct arena *a, size_t max)
{
    *p = (struct sse_parser){ .max = max };
    buf_init(&p->line, a, max);
    for (unsigned i = 0; i < SSE_FIELD_COUNT; i++)
        buf_init(&p->fields[i].kept, a, max);
}

void sse_feed(struct sse_parser *p, str piece)
{
    ASSERT(p->in.len == 0 || p->problem);
    p->in = piece;
}

static bool too_long(struct sse_parser *p)
{
    p->problem = ERR_LIMIT;
    p->in.len = 0;
    return false;
}

/* ---- the fields of the event that is coming in ---- */

static void fields_reset(struct sse_parser *p)
{
    for (unsigned i = 0; i < SSE_FIELD_COUNT; i++) {
        p->fields[i].text = (str){ 0 };
        p->fields[i].is_kept = false;
    }
    p->has_data = p->over = false;
}

static void field_keep(struct sse_field *f)
{
    if (f->is_kept)
        return;
    buf_reset(&f->kept);
    buf_add(&f->kept, f->text);
    f->text = buf_str(&f->kept);
    f->is_kept = true;
}

static bool data_add(struct sse_parser *p, str value)
{
    struct sse_field *f = &p->fields[SSE_DATA];

    if (!p->has_data) {
        f->text = value;
        f->is_kept = false;
        p->has_data = true;
        return true;
    }
    if (f->text.len + 1 + value.len > p->max)
        return too_long(p);
    field_keep(f);
    buf_add_char(&f->kept, '\n');
    buf_add(&f->kept, value);
    f->text = buf_str(&f->kept);
    return true;
}

static void field_set(struct sse_field *f, str value)
{
    f->text = value;
    f->is_kept = false;
}

/* "name: value", "name:value", "name", ": comment". */
static bool line_read(struct sse_parser *p, str line)
{
    size_t colon = str_find(line, ':');
    str    name = str_first(line, colon);
    str    value = colon == STR_NONE ? (str){ 0 } : str_from(line, colon + 1);

    if (value.len && value.ptr[0] == ' ')
        value = str_from(value, 1);
    if (colon == 0)
        field_set(&p->fields[SSE_COMMENT], value);
    else if (str_eq(name, S("data")))
        return data_add(p, value);
    else if (str_eq(name, S("event")))
        field_set(&p->fields[SSE_EVENT], value);
    else if (str_eq(name, S("id")) && str_find(value, 0) == STR_NONE)
        field_set(&p->fields[SSE_ID], value);
    return true;
}

/* ---- lines ---- */

static void fields_keep(struct sse_parser *p)
{
    for (unsigned i = 0; i < SSE_FIELD_COUNT; i++)
        field_keep(&p->fields[i]);
}

/* Where the line ends: at its first CR or LF. */
static size_t line_end(str s)
{
    const char *lf = s.len ? memchr(s.ptr, '\n', s.len) : NULL;
    size_t      len = lf ? (size_t)(lf - s.ptr) : s.len;
    const char *cr = len ? memchr(s.ptr, '\r', len) : NULL;

    if (cr)
        return (size_t)(cr - s.ptr);
    return lf ? len : STR_NONE;
}

/* The next whole line; *ret_passing says that its text is gone with the next one. */
static bool line_next(struct sse_parser *p, str *ret, bool *ret_passing)
{
    size_t end;
    str    line;

    if (p->skip_lf && p->in.len) {
        if (p->in.ptr[0] == '\n')
            p->in = str_from(p->in, 1);
        p->skip_lf = false;
    }
    end = line_end(p->in);
    line = str_first(p->in, end);
    if (p->line.len + line.len > p->max)
        return too_long(p);
    if (end == STR_NONE) {
        buf_add(&p->line, line);
        p->in.len = 0;
        return false;
    }
    p->skip_lf = p->in.ptr[end] == '\r';
    p->in = str_from(p->in, end + 1);
    *ret_passing = p->line.len != 0;
    if (*ret_passing) {
        buf_add(&p->line, line);
        line = buf_str(&p->line);
        p->line.len = 0; /* the text stays until something is added */
    }
    if (!p->begun) {
        p->begun = true;
        if (str_starts(line, S("\xef\xbb\xbf")))
            line = str_from(line, 3);
    }
    *ret = line;
    return true;
}

static void event_take(struct sse_parser *p, struct sse_event *ret)
{
    *ret = (struct sse_event){
        .event = p->fields[SSE_EVENT].text,
        .data = p->fields[SSE_DATA].text,
        .id = p->fields[SSE_ID].text,
        .comment = p->fields[SSE_COMMENT].text,
    };
    p->over = true;
}

bool sse_next(struct sse_parser *p, struct sse_event *ret)
{
    str  line;
    bool passing;

    if (p->problem)
        return false;
    if (p->over)
        fields_reset(p);
    while (line_next(p, &line, &passing)) {
        if (line.len == 0) {
            if (p->has_data) {
                event_take(p, ret);
                return true;
            }
            fields_reset(p);
            continue;
        }
        if (!line_read(p, line))
            return false;
        if (passing)
            fields_keep(p);
    }
    if (!p->problem)
        fields_keep(p); /* the piece is about to go */
    return false;
}

bool sse_end(struct sse_parser *p, struct sse_event *ret)
{
    if (p->problem)
        return false;
    if (p->over)
        fields_reset(p);
    if (p->line.len) {
        str line = buf_str(&p->line);

        p->line.len = 0;
        if (!p->begun && str_starts(line, S("\xef\xbb\xbf")))
            line = str_from(line, 3);
        p->begun = true;
        if (line.len && !line_read(p, line))
            return false;
    }
    if (!p->has_data)
        return false;
    event_take(p, ret);
    return true;
}
