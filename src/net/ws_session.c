/* ws_session.c - the server's side of a WebSocket connection. Spec: RFC 6455 §5.5, §7.
 *
 * Frames are read in the loop's callback, straight from its buffer, until one message is whole: that waits for the fiber, and what
 * came behind it is copied aside.
 */
#include "net/ws_session.h"

#include "loop/loop.h"

#define CLOSE_TIME_MS 2000 /* for the client to answer our close */
#define FIELDS_MAX    8
#define REST_MAX      ((size_t)64 * 1024) /* read ahead of the fiber, beside one read of the loop */
#define COPY_MAX      ((size_t)4 * 1024)  /* a larger payload is sent from where it is */

/* ---- bytes in ---- */

/* Feeds until there is something to hand out. Returns what is left. */
static str feed(struct ws_session *s, str bytes)
{
    while (bytes.len && s->state == WS_WANTED) {
        size_t used;

        s->broken = ws_feed(&s->in, bytes, &used, &s->got);
        bytes = str_from(bytes, used);
        if (s->broken || s->got.opcode != WS_NONE)
            s->state = WS_READY;
    }
    return bytes;
}

static void on_bytes(void *arg, str bytes)
{
    struct ws_session *s = arg;

    if (s->rest_at == s->rest.len)
        bytes = feed(s, bytes);
    buf_add(&s->rest, bytes);
    if (s->rest.len - s->rest_at > REST_MAX && !s->paused) {
        s->paused = true;
        http_upgraded_pause(s->x, true);
    }
    fiber_wake(s->reader);
    if (s->box)
        mailbox_raise(s->box, s->box_bits);
}

/* What was handed out is done with: the next of what has come. */
static void advance(struct ws_session *s)
{
    str rest = str_from(buf_str(&s->rest), s->rest_at), left;

    if (s->state == WS_TAKEN)
        s->state = WS_WANTED;
    left = feed(s, rest);
    s->rest_at = s->rest.len - left.len;
    if (left.len)
        return;
    buf_reset(&s->rest);
    s->rest_at = 0;
    if (s->paused) {
        s->paused = false;
        http_upgraded_pause(s->x, false);
    }
}

/* Until something is there, and takes it. */
static enum err take(struct ws_session *s, int64_t deadline_us, struct ws_message *ret)
{
    advance(s);
    s->reader = fiber_self();
    while (s->state == WS_WANTED) {
        enum err e = ws_session_flush(s); /* before we wait: pongs, and what the owner has gathered */

        if (!e && s->state == WS_WANTED) /* it may have come meanwhile */
            e = deadline_us > loop_now_us(fiber_loop()) ? fiber_wait(deadline_us) : ERR_TIMEOUT;
        if (e) {
            s->reader = NULL;
            return e;
        }
    }
    s->reader = NULL;
    s->state = WS_TAKEN;
    *ret = s->got;
    return s->broken;
}

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
    buf_init(&s->rest, http_arena(x), SIZE_MAX / 2); /* REST_MAX and a read bound it */
    if (http_upgrade(x, all, n))
        return ERR_EOF;
    http_upgraded_start(x, on_bytes, s);
    return OK;
}

void ws_session_notify(struct ws_session *s, struct mailbox *mb, unsigned bits)
{
    s->box = mb;
    s->box_bits = bits;
    if (s->state == WS_READY || s->rest_at < s->rest.len)
        mailbox_raise(mb, bits);
}

/* ---- frames out ---- */

enum err ws_session_flush(struct ws_session *s)
{
    enum err e = OK;

    if (s->out.len) {
        str part = buf_str(&s->out);

        s->out.len =
            0; /* its bytes are sent or copied before anything is added: http_upgraded_write() writes first, then waits */
        e = http_upgraded_write(s->x, &part, 1);
    }
    return e;
}

enum err ws_session_send(struct ws_session *s, enum ws_opcode opcode, str payload)
{
    char head[WS_HEAD_MAX];
    str  parts[3];

    if (payload.len <= COPY_MAX) {
        ws_session_add(s, opcode, payload);
        return ws_session_flush(s);
    }
    parts[0] = buf_str(&s->out);
    parts[1] = str_of(head, ws_head(head, opcode, true, payload.len));
    parts[2] = payload;
    s->out.len = 0;
    return http_upgraded_write(s->x, parts, 3);
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

/* ---- messages ---- */

enum err ws_session_receive(struct ws_session *s, int64_t deadline_us, struct ws_message *ret)
{
    ret->opcode = WS_NONE;
    if (s->over)
        return ERR_EOF;
    for (;;) {
        enum err e = take(s, deadline_us, ret);

        if (e && e == s->broken) {
            e = send_close(s, (int)s->in.problem, str_from_cstr(s->in.reason));
            return e ? e : ERR_PROTOCOL;
        }
        if (e)
            return e;
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
    do { /* what was under way when we closed is not for anybody any more */
        if (take(s, deadline_us, &m))
            return;
    } while (m.opcode != WS_CLOSE);
}
