/* timer.c - a binary heap of timers with lazy moves: a timer stands at the time at which it was last put in, and only when
 * that comes up is it seen whether it has been moved or stopped since.
 *
 * Thread: that of the loop. Memory: the heap's array grows by doubling; the timers are their owners'.
 */
#include "loop/timer.h"

#include "base/arena.h"
#include "loop/loop_private.h"

#include <stdlib.h>

static void place(struct timer_heap *h, size_t i, struct timer *t)
{
    h->at[i] = t;
    t->index = i;
}

static void sift_up(struct timer_heap *h, size_t i, struct timer *t)
{
    while (i > 1 && h->at[i / 2]->heap_us > t->heap_us) {
        place(h, i, h->at[i / 2]);
        i /= 2;
    }
    place(h, i, t);
}

static void sift_down(struct timer_heap *h, size_t i, struct timer *t)
{
    for (;;) {
        size_t child = 2 * i;

        if (child > h->count)
            break;
        if (child < h->count && h->at[child + 1]->heap_us < h->at[child]->heap_us)
            child++;
        if (h->at[child]->heap_us >= t->heap_us)
            break;
        place(h, i, h->at[child]);
        i = child;
    }
    place(h, i, t);
}

static void heap_add(struct timer_heap *h, struct timer *t)
{
    if (h->count + 1 >= h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->at = xrealloc(h->at, h->cap * sizeof(*h->at));
    }
    t->heap_us = t->due_us;
    sift_up(h, ++h->count, t);
}

static void heap_take(struct timer_heap *h, struct timer *t)
{
    size_t        i = t->index;
    struct timer *last = h->at[h->count--];

    t->index = 0;
    if (last == t)
        return;
    if (i > 1 && h->at[i / 2]->heap_us > last->heap_us)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

void timer_init(struct timer *t, void (*fn)(void *arg), void *arg)
{
    *t = (struct timer){ .due_us = INT64_MAX, .fn = fn, .arg = arg };
}

void timer_set(struct loop *l, struct timer *t, int64_t due_us)
{
    t->due_us = due_us;
    if (due_us == INT64_MAX || (t->index && t->heap_us <= due_us))
        return;
    if (t->index)
        heap_take(&l->timers, t);
    heap_add(&l->timers, t);
    if (t->index == 1)
        loop_timer_moved(l);
}

void timer_stop(struct timer *t)
{
    t->due_us = INT64_MAX;
}

void timer_remove(struct loop *l, struct timer *t)
{
    t->due_us = INT64_MAX;
    if (t->index)
        heap_take(&l->timers, t);
}

int64_t timer_heap_run(struct timer_heap *h, int64_t now_us)
{
    while (h->count && h->at[1]->heap_us <= now_us) {
        struct timer *t = h->at[1];

        heap_take(h, t);
        if (t->due_us == INT64_MAX)
            continue;
        if (t->due_us > now_us) {
            heap_add(h, t);
            continue;
        }
        t->due_us = INT64_MAX;
        t->fn(t->arg);
    }
    return h->count ? h->at[1]->heap_us : INT64_MAX;
}

void timer_heap_free(struct timer_heap *h)
{
    free(h->at);
    *h = (struct timer_heap){ 0 };
}
