/* http1.c - HTTP/1.1 messages on llhttp.
 *
 * llhttp gives spans of what it is fed; they are gathered in `text`, because a name or a value may be cut anywhere:
 *
 *   text:  POST /api/v1/… Host 127.0.0.1:8420 Content-Type application/json …
 *          |method|target |name|value         |name        |value
 */
#include "net/http1.h"

#include "base/num.h"

static struct http1 *of(llhttp_t *ll)
{
    return CONTAINER_OF(ll, struct http1, ll);
}

static int refuse(struct http1 *p, const char *why)
{
    p->problem = why;
    llhttp_set_error_reason(&p->ll, why);
    return HPE_USER;
}

static int gather(struct http1 *p, const char *at, size_t len)
{
    buf_add_bytes(&p->text, at, len);
    if (!p->text.full)
        return 0;
    p->too_large = true;
    return refuse(p, "the head is too large");
}

static int on_message_begin(llhttp_t *ll)
{
    struct http1 *p = of(ll);

    p->arena = p->events->on_begin(p);
    p->head = (struct http_head){ .content_length = -1 };
    buf_init(&p->text, p->arena, HTTP_HEAD_MAX);
    (void)buf_room(&p->text, 1024); /* an ordinary head: one allocation */
    p->at_cap = 16;
    p->at = arena_alloc(p->arena, p->at_cap * sizeof(*p->at));
    p->target_len = p->method_len = 0;
    p->in_value = false;
    return 0;
}

static int on_method(llhttp_t *ll, const char *at, size_t len)
{
    of(ll)->method_len += (uint32_t)len;
    return gather(of(ll), at, len);
}

/* The first line of HTTP/2's preface, which llhttp would wait for the rest of. */
static int on_method_complete(llhttp_t *ll)
{
    struct http1 *p = of(ll);

    return str_eq(str_of(p->text.ptr, p->method_len), S("PRI")) ? refuse(p, "HTTP/2 is not spoken here") : 0;
}

static int on_url(llhttp_t *ll, const char *at, size_t len)
{
    of(ll)->target_len += (uint32_t)len;
    return gather(of(ll), at, len);
}

static int on_field(llhttp_t *ll, const char *at, size_t len)
{
    struct http1 *p = of(ll);
    size_t        i = p->head.field_count;

    if (i == 0 || p->in_value) {
        if (i == HTTP_FIELDS_MAX) {
            p->too_large = true;
            return refuse(p, "the head has too many fields");
        }
        if (i == p->at_cap) {
            p->at = arena_realloc(p->arena, p->at, i * sizeof(*p->at), 2 * i * sizeof(*p->at));
            p->at_cap = 2 * i;
        }
        p->head.field_count = ++i;
        p->at[i - 1].name = (uint32_t)p->text.len;
        p->at[i - 1].name_len = 0;
        p->at[i - 1].value = p->at[i - 1].value_len = 0;
        p->in_value = false;
    }
    p->at[i - 1].name_len += (uint32_t)len;
    return gather(p, at, len);
}

static int on_value(llhttp_t *ll, const char *at, size_t len)
{
    struct http1 *p = of(ll);
    size_t        i = p->head.field_count;

    if (!p->in_value) {
        p->at[i - 1].value = (uint32_t)p->text.len;
        p->in_value = true;
    }
    p->at[i - 1].value_len += (uint32_t)len;
    return gather(p, at, len);
}

/* A name without a value produces no on_value: note that the value has begun all the same. */
static int on_value_complete(llhttp_t *ll)
{
    of(ll)->in_value = true;
    return 0;
}

static const char *head_problem(struct http_head *h, bool has_break)
{
    size_t hosts = 0, lengths = 0, codings = 0;

    for (size_t i = 0; i < h->field_count; i++) {
        struct http_field *f = &h->fields[i];

        if (has_break && str_has_break(f->value))
            return "a field value has a control character";
        if (str_eq_nocase(f->name, S("host"))) {
            hosts++;
        } else if (str_eq_nocase(f->name, S("content-length"))) {
            uint64_t v;

            if (lengths++ || !str_to_u64(f->value, &v) || v > INT64_MAX)
                return "Content-Length is not one number";
            h->content_length = (int64_t)v;
        } else if (str_eq_nocase(f->name, S("transfer-encoding"))) {
            if (codings++ || !str_eq_nocase(f->value, S("chunked")))
                return "Transfer-Encoding is not chunked";
            h->chunked = true;
        }
    }
    if (lengths && codings)
        return "both Content-Length and Transfer-Encoding";
    /* llhttp would take what follows for the next request, others for this one's body. */
    if ((lengths || codings) && str_eq(h->method, S("CONNECT")))
        return "CONNECT has no body";
    if (h->status == 0 && hosts != 1 && (h->minor == 1 || hosts > 1))
        return "Host is not there once";
    if (codings && h->minor == 0)
        return "Transfer-Encoding in HTTP/1.0";
    return NULL;
}

static str origin_form(str target);

static int on_headers_complete(llhttp_t *ll)
{
    struct http1     *p = of(ll);
    struct http_head *h = &p->head;
    const char       *base = p->text.ptr, *problem;

    if (llhttp_get_type(ll) == HTTP_REQUEST) {
        h->method = str_of(base, p->method_len);
        h->target = origin_form(str_of(base + p->method_len, p->target_len));
        if (h->target.len == 0)
            return refuse(p, "the request has no target");
    } else {
        h->status = llhttp_get_status_code(ll);
        if (h->status < 100)
            return refuse(p, "the answer has no status");
    }
    if (llhttp_get_http_major(ll) != 1 || llhttp_get_http_minor(ll) > 1)
        return refuse(p, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    h->minor = llhttp_get_http_minor(ll);
    h->fields = arena_alloc(p->arena, h->field_count * sizeof(*h->fields));
    for (size_t i = 0; i < h->field_count; i++) {
        h->fields[i].name = str_of(base + p->at[i].name, p->at[i].name_len);
        h->fields[i].value = str_trim(str_of(base + p->at[i].value, p->at[i].value_len));
    }
    problem = head_problem(h, str_has_break(buf_str(&p->text)));
    if (problem)
        return refuse(p, problem);
    h->keep_alive = llhttp_should_keep_alive(ll);
    h->upgrade = llhttp_get_upgrade(ll);
    /* 1 tells llhttp that no body follows. An upgrade that the server does not take is an ordinary request. */
    return p->events->on_head(p) ? 1 : 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t len)
{
    of(ll)->events->on_body(of(ll), str_of(at, len));
    return 0;
}

static int on_message_complete(llhttp_t *ll)
{
    struct http1 *p = of(ll);

    p->ended = true;
    p->arena = NULL;
    p->events->on_end(p);
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_message_begin,
    .on_method = on_method,
    .on_method_complete = on_method_complete,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http1_init(struct http1 *p, enum http1_kind kind, const struct http1_events *events)
{
    *p = (struct http1){ .events = events };
    llhttp_init(&p->ll, kind == HTTP1_REQUESTS ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
}

enum err http1_feed(struct http1 *p, str bytes, size_t *ret_used)
{
    llhttp_errno_t r;

    p->ended = false;
    r = llhttp_execute(&p->ll, bytes.ptr, bytes.len);
    if (r == HPE_OK) {
        *ret_used = bytes.len;
        return OK;
    }
    if (r == HPE_PAUSED || r == HPE_PAUSED_UPGRADE) {
        const char *pos = llhttp_get_error_pos(&p->ll);

        *ret_used = pos ? (size_t)(pos - bytes.ptr) : bytes.len;
        if (r == HPE_PAUSED_UPGRADE)
            llhttp_resume_after_upgrade(&p->ll);
        else
            llhttp_resume(&p->ll);
        return OK;
    }
    if (p->too_large)
        return ERR_LIMIT;
    if (!p->problem)
        p->problem = llhttp_get_error_reason(&p->ll);
    return ERR_PROTOCOL;
}

static bool http1_busy(const struct http1 *p)
{
    return p->arena != NULL;
}

enum err http1_eof(struct http1 *p)
{
    llhttp_errno_t r;

    if (!http1_busy(p))
        return OK; /* llhttp notices the end of a message only when the next one begins */
    r = llhttp_finish(&p->ll);
    if (r == HPE_OK || r == HPE_PAUSED)
        return p->arena ? ERR_EOF : OK;
    return ERR_EOF;
}

str http_head_field(const struct http_head *h, str name)
{
    for (size_t i = 0; i < h->field_count; i++) {
        if (str_eq_nocase(h->fields[i].name, name))
            return h->fields[i].value;
    }
    return (str){ 0 };
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

str http_unescape(struct arena *a, str part)
{
    char  *text = arena_bytes(a, part.len + 1);
    size_t n = 0;

    for (size_t i = 0; i < part.len; i++) {
        int high = i + 2 < part.len && part.ptr[i] == '%' ? hex_digit(part.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(part.ptr[i + 2]) : -1;

        if (low >= 0) {
            text[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            text[n++] = part.ptr[i];
        }
    }
    return str_of(text, n);
}

/* "http://host/a/b" names the same as "/a/b" (RFC 9112 §3.2.2). */
static str origin_form(str target)
{
    size_t scheme = str_starts_nocase(target, S("http://")) ? 7 : str_starts_nocase(target, S("https://")) ? 8 : 0;
    size_t slash;

    if (!scheme)
        return target;
    slash = str_find(str_from(target, scheme), '/');
    return slash == STR_NONE ? S("/") : str_from(target, scheme + slash);
}

/* The phrases of RFC 9110 §15, for the statuses that are answered here. */
#define REASONS(X)                            \
    X(100, "Continue")                        \
    X(101, "Switching Protocols")             \
    X(200, "OK")                              \
    X(201, "Created")                         \
    X(202, "Accepted")                        \
    X(204, "No Content")                      \
    X(206, "Partial Content")                 \
    X(304, "Not Modified")                    \
    X(400, "Bad Request")                     \
    X(401, "Unauthorized")                    \
    X(403, "Forbidden")                       \
    X(404, "Not Found")                       \
    X(405, "Method Not Allowed")              \
    X(408, "Request Timeout")                 \
    X(409, "Conflict")                        \
    X(413, "Content Too Large")               \
    X(415, "Unsupported Media Type")          \
    X(416, "Range Not Satisfiable")           \
    X(417, "Expectation Failed")              \
    X(422, "Unprocessable Content")           \
    X(429, "Too Many Requests")               \
    X(431, "Request Header Fields Too Large") \
    X(500, "Internal Server Error")           \
    X(501, "Not Implemented")                 \
    X(502, "Bad Gateway")                     \
    X(503, "Service Unavailable")             \
    X(504, "Gateway Timeout")                 \
    X(505, "HTTP Version Not Supported")

str http_reason(int status)
{
    switch (status) {
#define REASON(num, text) \
    case num:             \
        return S(text);
        REASONS(REASON)
#undef REASON
    }
    return S("Unknown");
}
