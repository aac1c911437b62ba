/* multipart.c - reads forms.
 *
 *            delimiter             CR LF           empty line
 *   DATA -------------> DELIMITED -------> HEAD --------------+
 *    ^  (at first the preamble)  \ "--"                       |
 *    |                            '------> ENDED              |
 *    +--------------------------------------------------------+
 *
 * A delimiter begins with CR, which it has nowhere else: so bytes that did not become one are data as a whole, and the search
 * goes on behind them.
 */
#include "net/multipart.h"

#include "net/http1.h"

enum { DATA, DELIMITED, HEAD, ENDED, BROKEN };

/* The value of a parameter behind the first word of a field: name="a b"; name=ab. Empty: there is none. */
static str parameter(str field, str name)
{
    str rest = str_from(field, str_find(field, ';'));

    while (rest.len) {
        str    one, value;
        size_t end, equals;

        rest = str_trim(str_from(rest, 1)); /* the semicolon */
        equals = str_find(rest, '=');
        if (equals == STR_NONE)
            break;
        one = str_trim(str_first(rest, equals));
        rest = str_trim(str_from(rest, equals + 1));
        if (str_starts(rest, S("\""))) {
            end = str_find(str_from(rest, 1), '"');
            if (end == STR_NONE)
                break;
            value = str_of(rest.ptr + 1, end);
            rest = str_from(rest, end + 2);
        } else {
            end = str_find(rest, ';');
            value = str_trim(str_first(rest, end));
            rest = str_from(rest, end);
        }
        if (str_eq_nocase(one, name))
            return value;
        rest = str_from(rest, str_find(rest, ';'));
    }
    return (str){ 0 };
}

bool multipart_init(struct multipart *m, str content_type, struct arena *a)
{
    str kind = str_trim(str_first(content_type, str_find(content_type, ';')));
    str boundary = parameter(content_type, S("boundary"));

    if (!str_eq_nocase(kind, S("multipart/form-data")) || !boundary.len || boundary.len > MULTIPART_BOUNDARY_MAX ||
        str_has_break(boundary))
        return false;
    *m = (struct multipart){ .delimiter_len = 4 + boundary.len, .matched = 2 }; /* as if a line had ended before */
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.ptr, boundary.len);
    buf_init(&m->head, a, MULTIPART_HEAD_MAX + 1);
    return true;
}

/* Up to the delimiter, or as far as nothing of it is there. */
static enum multipart_event data(struct multipart *m, str *bytes, str *ret)
{
    while (bytes->len) {
        const char *from = bytes->ptr, *cr;
        size_t      n;

        if (m->matched == 0) {
            cr = memchr(from, '\r', bytes->len);
            n = cr ? (size_t)(cr - from) : bytes->len;
            *bytes = str_from(*bytes, n + (cr != NULL));
            m->matched = cr != NULL;
            *ret = str_of(from, n);
            if (n && m->in_part)
                return MULTIPART_DATA;
            continue;
        }
        if (*from == m->delimiter[m->matched]) {
            *bytes = str_from(*bytes, 1);
            if (++m->matched < m->delimiter_len)
                continue;
            m->matched = 0;
            m->state = DELIMITED;
            buf_reset(&m->head);
            return MULTIPART_MORE;
        }
        n = m->matched;
        m->matched = 0;
        *ret = str_of(m->delimiter, n); /* it was data after all */
        if (m->in_part)
            return MULTIPART_DATA;
    }
    return MULTIPART_MORE;
}

/* The two bytes behind a delimiter. */
static void delimited(struct multipart *m, str *bytes)
{
    while (bytes->len && m->head.len < 2) {
        buf_add_char(&m->head, *bytes->ptr);
        *bytes = str_from(*bytes, 1);
    }
    if (m->head.len < 2)
        return;
    if (str_eq(buf_str(&m->head), S("--")))
        m->state = ENDED;
    else
        m->state = str_eq(buf_str(&m->head), S("\r\n")) ? HEAD : BROKEN;
    buf_reset(&m->head);
}

/* The line that says what the part is. */
static str disposition(str head)
{
    while (head.len) {
        str    line = str_cut(&head, '\n');
        size_t colon = str_find(line, ':');

        if (str_eq_nocase(str_first(line, colon), S("content-disposition")))
            return str_trim(str_from(line, colon + 1));
    }
    return (str){ 0 };
}

static enum multipart_event head(struct multipart *m, str *bytes, str *ret)
{
    while (bytes->len && m->head.len < MULTIPART_HEAD_MAX) {
        buf_add_char(&m->head, *bytes->ptr);
        *bytes = str_from(*bytes, 1);
        if (!str_ends(buf_str(&m->head), S("\r\n\r\n")))
            continue;
        *ret = parameter(disposition(buf_str(&m->head)), S("name"));
        m->in_part = true;
        m->state = ret->len ? DATA : BROKEN;
        return ret->len ? MULTIPART_PART : MULTIPART_BAD;
    }
    if (m->head.len >= MULTIPART_HEAD_MAX)
        m->state = BROKEN;
    return MULTIPART_MORE;
}

enum multipart_event multipart_next(struct multipart *m, str *bytes, str *ret)
{
    enum multipart_event ev = MULTIPART_MORE;

    while (bytes->len && ev == MULTIPART_MORE && m->state < ENDED) {
        if (m->state == DATA)
            ev = data(m, bytes, ret);
        else if (m->state == DELIMITED)
            delimited(m, bytes);
        else
            ev = head(m, bytes, ret);
    }
    if (ev != MULTIPART_MORE)
        return ev;
    if (m->state == ENDED)
        *bytes = str_from(*bytes, bytes->len);
    return m->state == ENDED ? MULTIPART_END : m->state == BROKEN ? MULTIPART_BAD : MULTIPART_MORE;
}

/* As the standard says today, or as RFC 5987 did, which older clients still write for what is not ASCII: UTF-8''%E4%BD%A0. */
str multipart_file(const struct multipart *m, struct arena *a)
{
    str    line = disposition(buf_str(&m->head));
    str    name = parameter(line, S("filename")), coded = parameter(line, S("filename*"));
    size_t quote = str_find(coded, '\'');

    if (quote != STR_NONE && str_eq_nocase(str_first(coded, quote), S("utf-8"))) {
        coded = str_from(coded, quote + 1);
        return http_unescape(a, str_from(coded, str_find(coded, '\'') + 1));
    }
    return name.ptr ? arena_str(a, name) : name;
}
