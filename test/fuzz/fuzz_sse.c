/* fuzz_sse.c - Server-Sent Events: whatever the bytes, they mean the same in one piece and cut anywhere.
 *
 * The first byte says how long the pieces are; the rest is the stream.
 */
#include "net/sse_parser.h"

#include <stdlib.h>

#define EVENT_MAX 96

struct reading {
    struct arena arena;
    struct buf   text;
    enum err     problem;
};

static void add(struct reading *r, const struct sse_event *ev)
{
    const str fields[] = { ev->event, ev->data, ev->id, ev->comment };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        buf_add_i64(&r->text, (int64_t)fields[i].len);
        buf_add_char(&r->text, ' ');
        buf_add(&r->text, fields[i]);
    }
}

static void read_all(struct reading *r, const uint8_t *bytes, size_t len, size_t piece)
{
    struct sse_parser p;
    struct sse_event  ev;

    arena_init(&r->arena, 0);
    buf_init(&r->text, &r->arena, SIZE_MAX / 2);
    sse_init(&p, &r->arena, EVENT_MAX);
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        char  *copy = malloc(n); /* the sanitizer sees who looks at it later */

        memcpy(copy, bytes + at, n);
        sse_feed(&p, str_of(copy, n));
        while (sse_next(&p, &ev))
            add(r, &ev);
        free(copy);
    }
    if (sse_end(&p, &ev))
        add(r, &ev);
    r->problem = p.problem;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole = { 0 }, cut = { 0 };

    if (size < 2)
        return 0;
    read_all(&whole, data + 1, size - 1, size);
    read_all(&cut, data + 1, size - 1, (size_t)data[0] % 17 + 1);
    ASSERT(whole.problem == cut.problem);
    ASSERT(str_eq(buf_str(&whole.text), buf_str(&cut.text)));
    arena_free(&whole.arena);
    arena_free(&cut.arena);
    return 0;
}
