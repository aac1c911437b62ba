/* record.h - writes down what http1 says of its input: one text that does not depend on how the input was cut. */
#ifndef DASHBOX_TEST_RECORD_H
#define DASHBOX_TEST_RECORD_H

#include "net/http1.h"

struct record {
    struct http1 parser;
    struct arena message; /* of the message under way */
    struct arena arena;   /* of what is written down */
    struct buf   text;
    size_t       body_len;
    size_t       messages; /* ended */
    bool         no_body;  /* the next ones have none: answers to HEAD */
    enum err     e;
};

static inline struct record *record_of(struct http1 *p)
{
    return CONTAINER_OF(p, struct record, parser);
}

static inline struct arena *record_begin(struct http1 *p)
{
    struct record *r = record_of(p);

    arena_reset(&r->message);
    r->body_len = 0;
    return &r->message;
}

static inline bool record_head(struct http1 *p)
{
    struct record          *r = record_of(p);
    const struct http_head *h = &p->head;

    if (h->status)
        buf_addf(&r->text, "%d", h->status);
    buf_add(&r->text, h->method);
    buf_add_char(&r->text, ' ');
    buf_add(&r->text, h->target);
    buf_addf(&r->text, " 1.%u length=%lld%s%s%s\n", h->minor, (long long)h->content_length,
             h->chunked ? " chunked" : "", h->keep_alive ? " keep" : "", h->upgrade ? " upgrade" : "");
    for (size_t i = 0; i < h->field_count; i++) {
        buf_add(&r->text, h->fields[i].name);
        buf_add(&r->text, S(": "));
        buf_add(&r->text, h->fields[i].value);
        buf_add_char(&r->text, '\n');
    }
    buf_add_char(&r->text, '[');
    return r->no_body;
}

static inline void record_body(struct http1 *p, str piece)
{
    buf_add(&record_of(p)->text, piece);
    record_of(p)->body_len += piece.len;
}

static inline void record_end(struct http1 *p)
{
    struct record *r = record_of(p);

    buf_addf(&r->text, "] %zu\n", r->body_len);
    r->messages++;
}

static const struct http1_events record_events = {
    .on_begin = record_begin,
    .on_head = record_head,
    .on_body = record_body,
    .on_end = record_end,
};

static inline void record_init(struct record *r, enum http1_kind kind)
{
    *r = (struct record){ 0 };
    arena_init(&r->message, 0);
    arena_init(&r->arena, 0);
    buf_init(&r->text, &r->arena, (size_t)16 << 20);
    http1_init(&r->parser, kind, &record_events);
}

static inline void record_free(struct record *r)
{
    arena_free(&r->message);
    arena_free(&r->arena);
}

/* One piece, whatever number of messages ends in it. */
static inline void record_feed(struct record *r, str piece)
{
    bool stands = false; /* behind an upgrade that is not taken it does so once */

    while (piece.len && !r->e) {
        size_t used = SIZE_MAX, before = r->messages;

        r->e = http1_feed(&r->parser, piece, &used);
        if (r->e)
            return;
        ASSERT(used <= piece.len);
        ASSERT(r->messages <= before + 1); /* it stops behind the end of a message */
        ASSERT(used == piece.len || r->messages == before + 1 || (used == 0 && !stands));
        stands = used == 0 && r->messages == before;
        piece = str_from(piece, used);
    }
}

#endif
