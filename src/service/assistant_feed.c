/* assistant_feed.c - the events of a run on their way to a client. Spec: platform.md §4.12. */
#include "service/assistant_feed.h"

#include "contract/assistants_params.gen.h"

#include <stdlib.h>

struct assistant_feed {
    unsigned      holders;
    bool          ended;
    struct fiber *reader; /* while it waits */
    struct arena  arena;
    struct buf    frames;
};

struct assistant_feed *assistant_feed_open(void)
{
    struct assistant_feed *f = xcalloc(1, sizeof(*f));

    f->holders = 1;
    arena_init(&f->arena, 0);
    buf_init(&f->frames, &f->arena, ASSISTANTS_BEHIND_MAX);
    return f;
}

struct assistant_feed *assistant_feed_hold(struct assistant_feed *f)
{
    if (f)
        f->holders++;
    return f;
}

void assistant_feed_close(void *feed)
{
    struct assistant_feed *f = feed;

    if (!f || --f->holders)
        return;
    arena_free(&f->arena);
    free(f);
}

void assistant_feed_add(struct assistant_feed *f, const char *event, str data)
{
    if (!f || f->holders == 1) /* nobody reads */
        return;
    buf_addf(&f->frames, "event:%s\ndata:", event);
    buf_add(&f->frames, data);
    buf_add(&f->frames, S("\n\n"));
    if (f->reader)
        fiber_wake(f->reader);
}

void assistant_feed_end(struct assistant_feed *f)
{
    if (!f)
        return;
    f->ended = true;
    if (f->reader)
        fiber_wake(f->reader);
}

enum err assistant_feed_take(struct assistant_feed *f, struct buf *into)
{
    might_suspend();
    while (!f->frames.len && !f->frames.full && !f->ended) {
        enum err e;

        f->reader = fiber_self();
        e = fiber_wait(DEADLINE_NONE);
        f->reader = NULL;
        if (e)
            return e;
    }
    if (f->frames.full)
        return ERR_LIMIT;
    if (!f->frames.len)
        return ERR_EOF;
    buf_add(into, buf_str(&f->frames));
    buf_reset(&f->frames);
    return OK;
}
