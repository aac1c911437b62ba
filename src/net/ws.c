/* ws.c - WebSocket frames and the handshake.
 *
 * Spec: RFC 6455. Section numbers below are its.
 */
#include "net/ws.h"

#include "base/num.h"
#include "base/rand.h"
#include "base/utf8.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#define FIN      0x80
#define RESERVED 0x70
#define OPCODE   0x0f
#define MASKED   0x80
#define LENGTH   0x7f
#define MASK_LEN 4

void ws_init(struct ws *w, enum ws_role role, struct arena *a, size_t message_max)
{
    *w = (struct ws){ .role = role, .message_max = message_max, .head_need = 2, .opcode = WS_NONE };
    buf_init(&w->message, a, message_max);
}

/* The words of the Java servers that the service runs on (errors.csv E248). */
#define TOO_LARGE \
    "The decoded text message was too big for the output buffer and the endpoint does not support partial messages"

static enum err refuse(struct ws *w, enum ws_close problem, const char *reason)
{
    w->problem = problem;
    w->reason = reason;
    return ERR_PROTOCOL;
}

static bool is_control(enum ws_opcode o)
{
    return o >= WS_CLOSE;
}

/* The payload with its mask taken off, or put on; `at` bytes of it have gone before. */
static void mask_copy(char *to, const char *from, size_t len, const unsigned char mask[MASK_LEN], size_t at)
{
    unsigned char turned[2 * MASK_LEN];
    uint64_t      m, v;
    size_t        i = 0;

    for (size_t k = 0; k < sizeof(turned); k++)
        turned[k] = mask[(at + k) % MASK_LEN];
    memcpy(&m, turned, sizeof(m));
    for (; i + sizeof(v) <= len; i += sizeof(v)) {
        memcpy(&v, from + i, sizeof(v));
        v ^= m;
        memcpy(to + i, &v, sizeof(v));
    }
    for (; i < len; i++)
        to[i] = (char)(from[i] ^ (char)turned[i % MASK_LEN]);
}

/* ---- frames in ---- */

static size_t head_length(const unsigned char *head)
{
    unsigned len = head[1] & LENGTH;

    return 2 + (len == 126 ? 2u : len == 127 ? 8u : 0u) + (head[1] & MASKED ? MASK_LEN : 0u);
}

/* The first two bytes say almost everything (§5.2). */
static enum err check_kind(struct ws *w)
{
    bool           fin = w->head[0] & FIN;
    enum ws_opcode o = w->head[0] & OPCODE;

    if (w->closed)
        return refuse(w, WS_CLOSE_PROTOCOL, "a frame behind a close frame");
    if (w->head[0] & RESERVED)
        return refuse(w, WS_CLOSE_PROTOCOL, "a reserved bit is set");
    if (!(w->head[1] & MASKED) != (w->role == WS_CLIENT))
        return refuse(w, WS_CLOSE_PROTOCOL, w->role == WS_SERVER ? "the frame is not masked" : "the frame is masked");
    switch (o) {
    case WS_CONTINUATION:
        if (w->opcode == WS_NONE || w->over)
            return refuse(w, WS_CLOSE_PROTOCOL, "a continuation of nothing");
        break;
    case WS_TEXT:
    case WS_BINARY:
        if (w->opcode != WS_NONE && !w->over)
            return refuse(w, WS_CLOSE_PROTOCOL, "a message inside another");
        break;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        if (!fin)
            return refuse(w, WS_CLOSE_PROTOCOL, "a control frame in fragments");
        if ((w->head[1] & LENGTH) > WS_CONTROL_MAX)
            return refuse(w, WS_CLOSE_PROTOCOL, "a control frame that is too long");
        break;
    case WS_NONE:
    default: /* from the wire it may be any number */
        return refuse(w, WS_CLOSE_PROTOCOL, "an unknown opcode");
    }
    return OK;
}

static enum err begin_frame(struct ws *w)
{
    enum ws_opcode o = w->head[0] & OPCODE;
    size_t         len = w->head[1] & LENGTH, bytes = len == 126 ? 2 : len == 127 ? 8 : 0;

    w->left = bytes ? 0 : len;
    for (size_t i = 0; i < bytes; i++)
        w->left = w->left << 8 | w->head[2 + i];
    if ((bytes == 2 && w->left < 126) || (bytes == 8 && (w->left <= UINT16_MAX || w->left >> 63)))
        return refuse(w, WS_CLOSE_PROTOCOL, "a length that is not written in the shortest way");
    w->at = 0;
    if (is_control(o)) {
        w->control_len = 0;
        return OK;
    }
    if (o != WS_CONTINUATION) {
        buf_reset(&w->message);
        w->opcode = o;
        w->checked = 0;
        w->over = false;
    }
    if (w->left > w->message_max - w->message.len)
        return refuse(w, WS_CLOSE_TOO_LARGE, TOO_LARGE);
    return OK;
}

/* Of a text so far: what may still become a code point waits for its rest. */
static enum err check_text(struct ws *w, bool whole)
{
    str    rest = str_from(buf_str(&w->message), w->checked);
    size_t good = rest.len;

    if (!whole) { /* up to the last byte that begins a code point, when that is near the end */
        for (size_t back = 1; back <= min_size(rest.len, 3); back++)
            if (((unsigned char)rest.ptr[rest.len - back] & 0xC0) == 0xC0) {
                good = rest.len - back;
                break;
            }
    }
    if (!utf8_valid(str_first(rest, good)))
        return refuse(w, WS_CLOSE_INVALID, "the text is not UTF-8");
    w->checked += good;
    return OK;
}

static enum err take_payload(struct ws *w, const char *from, size_t n)
{
    enum ws_opcode o = w->head[0] & OPCODE;
    char          *to = is_control(o) ? (char *)w->control + w->control_len : buf_room(&w->message, n);

    if (w->role == WS_SERVER)
        mask_copy(to, from, n, w->head + w->head_len - MASK_LEN, w->at % MASK_LEN);
    else
        memcpy(to, from, n);
    w->at += n;
    w->left -= n;
    if (is_control(o)) {
        w->control_len += n;
        return OK;
    }
    w->message.len += n;
    return w->opcode == WS_TEXT ? check_text(w, false) : OK;
}

/* Codes that may stand in a frame (§7.4.1, and the registry behind it). */
static bool close_code_ok(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static enum err end_close(struct ws *w, struct ws_message *ret)
{
    str body = str_of((char *)w->control, w->control_len);

    w->closed = true;
    *ret = (struct ws_message){ .opcode = WS_CLOSE, .code = WS_CLOSE_NO_CODE };
    if (!body.len)
        return OK;
    if (body.len == 1)
        return refuse(w, WS_CLOSE_PROTOCOL, "a close frame with half a code");
    ret->code = w->control[0] << 8 | w->control[1];
    ret->payload = str_from(body, 2);
    if (!close_code_ok(ret->code))
        return refuse(w, WS_CLOSE_PROTOCOL, "a close code that may not be sent");
    if (!utf8_valid(ret->payload))
        return refuse(w, WS_CLOSE_INVALID, "the reason is not UTF-8");
    return OK;
}

/* All of the frame is there. */
static enum err end_frame(struct ws *w, struct ws_message *ret)
{
    enum ws_opcode o = w->head[0] & OPCODE;
    bool           fin = w->head[0] & FIN;

    w->head_len = 0;
    w->head_need = 2;
    if (o == WS_CLOSE)
        return end_close(w, ret);
    if (is_control(o)) {
        *ret = (struct ws_message){ .opcode = o, .payload = str_of((char *)w->control, w->control_len) };
        return OK;
    }
    if (!fin)
        return OK;
    w->over = true;
    *ret = (struct ws_message){ .opcode = w->opcode, .payload = buf_str(&w->message) };
    return w->opcode == WS_TEXT ? check_text(w, true) : OK;
}

enum err ws_feed(struct ws *w, str bytes, size_t *ret_used, struct ws_message *ret)
{
    const char *p = bytes.ptr, *end = bytes.ptr + bytes.len;
    enum err    e = OK;

    ret->opcode = WS_NONE;
    while (!e && ret->opcode == WS_NONE && p < end) {
        size_t n;

        if (w->head_len < w->head_need) {
            n = min_size((size_t)(end - p), w->head_need - w->head_len);
            memcpy(w->head + w->head_len, p, n);
            w->head_len += n;
            p += n;
            if (w->head_len == 2 && w->head_need == 2) {
                e = check_kind(w);
                w->head_need = head_length(w->head);
            }
            if (e || w->head_len < w->head_need)
                continue;
            e = begin_frame(w);
        }
        n = (size_t)min_size((size_t)(end - p), w->left > SIZE_MAX ? SIZE_MAX : (size_t)w->left);
        if (!e && n) {
            e = take_payload(w, p, n);
            p += n;
        }
        if (!e && w->left == 0)
            e = end_frame(w, ret);
    }
    *ret_used = (size_t)(p - bytes.ptr);
    return e;
}

/* ---- frames out ---- */

size_t ws_head(char *to, enum ws_opcode opcode, bool fin, size_t len)
{
    size_t n = 2, bytes = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;

    to[0] = (char)(opcode | (fin ? FIN : 0));
    to[1] = (char)(bytes == 0 ? len : bytes == 2 ? 126 : 127);
    for (size_t i = bytes; i-- > 0;)
        to[n++] = (char)((uint64_t)len >> (8 * i));
    return n;
}

void ws_add_frame(struct buf *out, enum ws_role role, enum ws_opcode opcode, bool fin, str payload)
{
    char  *room = buf_room(out, WS_HEAD_MAX + payload.len);
    size_t n;

    if (!room)
        return; /* `full` says it */
    n = ws_head(room, opcode, fin, payload.len);
    if (role == WS_CLIENT) {
        unsigned char mask[MASK_LEN];

        rand_secret(mask, MASK_LEN); /* §5.3: nobody may guess it */
        room[1] = (char)(room[1] | (char)MASKED);
        memcpy(room + n, mask, MASK_LEN);
        n += MASK_LEN;
        mask_copy(room + n, payload.ptr, payload.len, mask, 0);
    } else if (payload.len) {
        memcpy(room + n, payload.ptr, payload.len);
    }
    out->len += n + payload.len;
}

void ws_add_close(struct buf *out, enum ws_role role, int code, str reason)
{
    char body[WS_CONTROL_MAX] = { (char)(code >> 8), (char)code };

    if (code == WS_CLOSE_NO_CODE) {
        ws_add(out, role, WS_CLOSE, (str){ 0 });
        return;
    }
    reason = str_first(reason, utf8_cut(reason, sizeof(body) - 2));
    if (reason.len)
        memcpy(body + 2, reason.ptr, reason.len);
    ws_add(out, role, WS_CLOSE, str_of(body, 2 + reason.len));
}

/* ---- the handshake ---- */

/* One of the words of a comma-separated list, whatever its case. */
static bool field_has(const struct http_head *h, str name, str word)
{
    for (size_t i = 0; i < h->field_count; i++) {
        str rest = h->fields[i].value;

        if (!str_eq_nocase(h->fields[i].name, name))
            continue;
        while (rest.len)
            if (str_eq_nocase(str_trim(str_cut(&rest, ',')), word))
                return true;
    }
    return false;
}

bool ws_wanted(const struct http_head *h)
{
    return field_has(h, S("upgrade"), S("websocket"));
}

const char *ws_handshake_problem(const struct http_head *h)
{
    str           key = http_head_field(h, S("sec-websocket-key"));
    unsigned char raw[(WS_KEY_LEN + 3) / 4 * 3];

    if (!str_eq(h->method, S("GET")) || h->minor != 1)
        return "a WebSocket begins with a GET of HTTP/1.1";
    if (!field_has(h, S("connection"), S("upgrade")))
        return "the field Connection does not say Upgrade";
    if (!str_eq(http_head_field(h, S("sec-websocket-version")), S("13")))
        return "the field Sec-WebSocket-Version does not say 13";
    if (key.len != WS_KEY_LEN || EVP_DecodeBlock(raw, (const unsigned char *)key.ptr, WS_KEY_LEN) < 0 ||
        !str_ends(key, S("==")))
        return "the field Sec-WebSocket-Key is not 16 bytes in base64";
    return NULL;
}

void ws_accept_key(str key, char ret[WS_ACCEPT_LEN])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* §1.3 */
    unsigned char     joined[WS_KEY_LEN + sizeof(guid) - 1], hash[SHA_DIGEST_LENGTH], text[WS_ACCEPT_LEN + 1];

    ASSERT(key.len == WS_KEY_LEN);
    memcpy(joined, key.ptr, WS_KEY_LEN);
    memcpy(joined + WS_KEY_LEN, guid, sizeof(guid) - 1);
    SHA1(joined, sizeof(joined), hash);
    EVP_EncodeBlock(text, hash, sizeof(hash));
    memcpy(ret, text, WS_ACCEPT_LEN);
}
