/* fuzz_ws.c - WebSocket frames: whatever the bytes, they mean the same in one piece and cut anywhere, and what is read and
 * written again is read the same.
 *
 * The first byte says the role and how long the pieces are; the rest is what the peer sends.
 */
#include "net/ws.h"

#include "base/num.h"

#include <stdlib.h>

#define MESSAGE_MAX 4096

struct reading {
    struct arena  arena;
    struct buf    text;  /* what came out */
    struct buf    again; /* the same messages, as the other side writes them */
    enum ws_close problem;
};

static void read_all(struct reading *r, enum ws_role role, const uint8_t *bytes, size_t len, size_t piece)
{
    struct ws         w;
    struct ws_message m;
    enum err          e = OK;

    arena_init(&r->arena, 0);
    buf_init(&r->text, &r->arena, SIZE_MAX / 2);
    buf_init(&r->again, &r->arena, SIZE_MAX / 2);
    ws_init(&w, role, &r->arena, MESSAGE_MAX);
    for (size_t at = 0; at < len && !e; at += piece) {
        size_t n = min_size(len - at, piece), used;
        char  *copy = malloc(n); /* the sanitizer sees who looks at it later */
        str    rest = str_of(copy, n);

        memcpy(copy, bytes + at, n);
        while (rest.len && !e) {
            e = ws_feed(&w, rest, &used, &m);
            ASSERT(used <= rest.len && (used || e));
            rest = str_from(rest, used);
            if (e || m.opcode == WS_NONE)
                continue;
            ASSERT(m.payload.len <= MESSAGE_MAX);
            buf_addf(&r->text, "%d %d %zu ", (int)m.opcode, m.opcode == WS_CLOSE ? m.code : 0, m.payload.len);
            buf_add(&r->text, m.payload);
            if (m.opcode == WS_CLOSE)
                ws_add_close(&r->again, role == WS_SERVER ? WS_CLIENT : WS_SERVER, m.code, m.payload);
            else
                ws_add(&r->again, role == WS_SERVER ? WS_CLIENT : WS_SERVER, m.opcode, m.payload);
        }
        free(copy);
    }
    r->problem = e ? w.problem : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole = { 0 }, cut = { 0 }, again = { 0 };
    enum ws_role   role;

    if (size < 2)
        return 0;
    role = data[0] & 1 ? WS_CLIENT : WS_SERVER;
    read_all(&whole, role, data + 1, size - 1, size);
    read_all(&cut, role, data + 1, size - 1, (size_t)data[0] / 2 % 17 + 1);
    ASSERT(whole.problem == cut.problem);
    ASSERT(str_eq(buf_str(&whole.text), buf_str(&cut.text)));
    read_all(&again, role, (const uint8_t *)whole.again.ptr, whole.again.len, 7);
    ASSERT(!again.problem);
    ASSERT(str_eq(buf_str(&whole.text), buf_str(&again.text)));
    arena_free(&whole.arena);
    arena_free(&cut.arena);
    arena_free(&again.arena);
    return 0;
}
