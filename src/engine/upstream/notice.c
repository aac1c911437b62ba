/* notice.c - what the log has said of endpoints. */
#include "engine/upstream/notice.h"

#include "base/arena.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct notice {
    struct notice *next;
    struct arena   texts;
    str            engine, url;
    size_t         refs; /* under the lock, like the list */
    atomic_bool    down;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct notice  *notices;

static struct notice *find(str engine, str url)
{
    for (struct notice *n = notices; n; n = n->next) {
        if (str_eq(n->engine, engine) && str_eq(n->url, url))
            return n;
    }
    return NULL;
}

struct notice *notice_hold(str engine, str url)
{
    struct notice *n;

    pthread_mutex_lock(&lock);
    n = find(engine, url);
    if (!n) {
        n = xcalloc(1, sizeof(*n));
        arena_init(&n->texts, 256);
        n->engine = arena_str(&n->texts, engine);
        n->url = arena_str(&n->texts, url);
        n->next = notices;
        notices = n;
    }
    n->refs++;
    pthread_mutex_unlock(&lock);
    return n;
}

void notice_release(struct notice *n)
{
    struct notice **at = &notices;
    bool            last;

    if (!n)
        return;
    pthread_mutex_lock(&lock);
    last = --n->refs == 0;
    while (last && *at != n)
        at = &(*at)->next;
    if (last)
        *at = n->next;
    pthread_mutex_unlock(&lock);
    if (!last)
        return;
    arena_free(&n->texts);
    free(n);
}

bool notice_down(struct notice *n)
{
    return !atomic_exchange(&n->down, true);
}

bool notice_up(struct notice *n)
{
    /* asked at every answer: mostly there is nothing to write */
    return atomic_load_explicit(&n->down, memory_order_relaxed) && atomic_exchange(&n->down, false);
}
