/* ws_session.c - the server's side of a WebSocket connection. Spec: RFC 6455 §5.5, §7. */
#include "net/ws_session.h"

#include "loop/loop.h"

#define CLOSE_TIME_MS 2000 /* for the client to answer our close */
#define FIELDS_MAX    8

enum err ws_session_begin(struct ws_session *s, struct http_exchange *x, size_t message_max,
                          const struct http_field *fields, size_t field_count)
{
    struct http_field all[FIELDS_MAX];
    char              accept[WS_ACCEPT_LEN];
    size_t            n = 0;

    ASSERT(field_count <= FIELDS_MAX - 2);
    *s = (struct ws_session){ .x = x };
    ws_init(&s->in, WS_SERVER, http_arena(x), message_max);
    buf_init(&s->out, http_arena(x), SIZE_MAX / 2);
    ws_accept_key(http_field(x, S("sec-websocket-key")), accept);
    all[n++] = (struct http_field){ S("upgrade"), S("websocket") };
    all[n++] = (struct http_field){ S("sec-websocket-accept"), str_of(accept, WS_ACCEPT_LEN) };
    for (size_t i = 0; i < field_count; i++)
        all[n++] = fields[i];
    return http_upgrade(x, all, n);
}

enum err ws_session_flush(struct ws_session *s)
{
    enum err e = OK;

    if (s->out.len)
        e = http_upgraded_write(s->x, buf_str(&s->out));
    buf_reset(&s->out);
    return e;
}

/* Our last frame. */
static enum err send_close(struct ws_session *s, int code, str reason)
{
    if (s->over)
        return OK;
    s->over = true;
    ws_add_close(&s->out, WS_SERVER, code, reason);
    return ws_session_flush(s);
}

/* One frame's worth of what has come: ret->opcode is WS_NONE when more bytes are needed. */
static enum err next(struct ws_session *s, struct ws_message *ret)
{
    size_t   used;
    enum err e = ws_feed(&s->in, s->bytes, &used, ret);

    s->bytes = str_from(s->bytes, used);
    return e;
}

enum err ws_session_receive(struct ws_session *s, int64_t deadline_us, struct ws_message *ret)
{
    enum err e = OK;

    ret->opcode = WS_NONE;
    if (s->over)
        return ERR_EOF;
    for (;;) {
        if (!s->bytes.len) {
            e = ws_session_flush(s); /* pongs, and what the owner has gathered */
            if (!e)
                e = http_upgraded_read(s->x, deadline_us, &s->bytes);
            if (e)
                return e;
        }
        if (next(s, ret)) {
            e = send_close(s, (int)s->in.problem, str_from_cstr(s->in.reason));
            return e ? e : ERR_PROTOCOL;
        }
        switch (ret->opcode) {
        case WS_TEXT:
        case WS_BINARY:
            return OK;
        case WS_PING:
            ws_session_add(s, WS_PONG, ret->payload);
            e = s->out.len > HTTP_STREAM_MARK ? ws_session_flush(s) : OK;
            if (e)
                return e;
            break;
        case WS_CLOSE:
            e = send_close(s, ret->code, (str){ 0 });
            return e ? e : ERR_EOF;
        case WS_PONG:
        case WS_NONE:
        case WS_CONTINUATION: /* none comes out of ws_feed() */
            break;
        }
    }
}

void ws_session_end(struct ws_session *s, int code, str reason)
{
    int64_t           deadline_us = loop_now_us(fiber_loop()) + CLOSE_TIME_MS * 1000;
    struct ws_message m;

    if (s->over || send_close(s, code, reason))
        return;
    for (;;) { /* what was under way when we closed is not for anybody any more */
        if (!s->bytes.len && http_upgraded_read(s->x, deadline_us, &s->bytes))
            return;
        if (next(s, &m) || m.opcode == WS_CLOSE)
            return;
    }
}
