/* timer.h - one-shot timers inside other structs, on one loop.
 *
 * Moving a timer later, and stopping it, is free: it stays where it is in the heap and is looked at again when it comes
 * up. So a connection may set its idle time-out at every request.
 */
#ifndef DASHBOX_LOOP_TIMER_H
#define DASHBOX_LOOP_TIMER_H

#include "base/defs.h"

struct loop;

struct timer {
    int64_t due_us;  /* when fn is wanted; INT64_MAX: not */
    int64_t heap_us; /* where it stands in the heap */
    size_t  index;   /* in the heap, from 1; 0: not in it */
    void (*fn)(void *arg);
    void *arg;
};

struct timer_heap {
    struct timer **at; /* at[1] is the earliest */
    size_t         count, cap;
};

void timer_init(struct timer *t, void (*fn)(void *arg), void *arg);
void timer_set(struct loop *l, struct timer *t, int64_t due_us);
void timer_stop(struct timer *t);
/* Before its memory goes. */
void timer_remove(struct loop *l, struct timer *t);

/* For loop.c: calls what is due; returns when to look again (INT64_MAX: never). */
int64_t timer_heap_run(struct timer_heap *h, int64_t now_us);
void    timer_heap_free(struct timer_heap *h);

#endif
