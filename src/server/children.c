/* children.c - which children run. */
#include "server/children.h"

#include "loop/loop.h"
#include "loop/timer.h"

#include <stdlib.h>

struct child_slot {
    struct child_slot *next;
    str                name, command, model_file; /* in `texts` */
    struct arena       texts;
    struct children   *children;
    struct child      *child;
    size_t             engines; /* that ask it */
    bool               named;   /* by the configuration that holds, or is about to */
    bool               closed;
    struct timer       patience; /* with the engines of one that is not named */
};

void children_init(struct children *cs)
{
    *cs = (struct children){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

static void slot_free(struct child_slot *slot)
{
    arena_free(&slot->texts);
    free(slot);
}

void children_free(struct children *cs)
{
    while (cs->slots) {
        struct child_slot *next = cs->slots->next;

        slot_free(cs->slots);
        cs->slots = next;
    }
}

static struct child_slot *slot_of(struct children *cs, const struct config_engine *ce)
{
    for (struct child_slot *slot = cs->slots; slot; slot = slot->next) {
        if (!slot->closed && str_eq(slot->name, ce->name) && str_eq(slot->command, ce->command) &&
            str_eq(slot->model_file, ce->model_file))
            return slot;
    }
    return NULL;
}

static struct child_options options_of(const struct config_engine *ce)
{
    return (struct child_options){
        .name = ce->name,
        .command = ce->words,
        .command_count = ce->word_count,
        .model = ce->model_file,
        .health_path = ce->health_path,
        .health_ms = ce->health_ms,
        .at_boot = !ce->lazy,
        .ready_ms = ce->ready_ms,
        .wait_ms = ce->wait_ms,
    };
}

/* ---- leaving ---- */

static void on_child_closed(void *arg)
{
    struct children *cs = arg;

    if (--cs->closing == 0 && cs->over && cs->on_closed)
        cs->on_closed(cs->arg);
}

static void slot_close(struct child_slot *slot)
{
    struct children *cs = slot->children;

    slot->closed = true;
    timer_remove(cs->loop, &slot->patience);
    cs->closing++;
    child_close(slot->child, on_child_closed, cs); /* its memory goes with the last engine that asks it */
}

static void on_patience_over(void *arg)
{
    struct child_slot *slot = arg;
    struct children   *cs = slot->children;

    pthread_mutex_lock(&cs->lock);
    slot_close(slot);
    pthread_mutex_unlock(&cs->lock);
}

/* Closes those that nobody wants any more, and forgets those that nobody asks any more. */
static void sweep(void *arg)
{
    struct children    *cs = arg;
    struct child_slot **at = &cs->slots, *slot;

    pthread_mutex_lock(&cs->lock);
    while ((slot = *at)) {
        if (!slot->closed && !slot->named && !slot->engines)
            slot_close(slot);
        if (slot->closed && !slot->engines) {
            *at = slot->next;
            slot_free(slot);
        } else {
            at = &slot->next;
        }
    }
    pthread_mutex_unlock(&cs->lock);
}

void children_close(struct children *cs, void (*on_closed)(void *arg), void *arg)
{
    cs->over = true;
    cs->on_closed = on_closed;
    cs->arg = arg;
    cs->closing++; /* we ourselves, until all are told */
    pthread_mutex_lock(&cs->lock);
    for (struct child_slot *slot = cs->slots; slot; slot = slot->next) {
        if (!slot->closed)
            slot_close(slot);
    }
    pthread_mutex_unlock(&cs->lock);
    on_child_closed(cs);
}

/* ---- coming, and staying ---- */

static enum err slot_open(struct children *cs, const struct config_engine *ce)
{
    struct child_options o = options_of(ce);
    struct child_slot   *slot;
    struct child        *child;
    enum err             e = child_open(cs->loop, &o, &child);

    if (e)
        return e;
    slot = xcalloc(1, sizeof(*slot));
    arena_init(&slot->texts, 512);
    slot->name = arena_str(&slot->texts, ce->name);
    slot->command = arena_str(&slot->texts, ce->command);
    slot->model_file = arena_str(&slot->texts, ce->model_file);
    slot->children = cs;
    slot->child = child;
    slot->named = true;
    timer_init(&slot->patience, on_patience_over, slot);
    slot->next = cs->slots;
    cs->slots = slot;
    return OK;
}

enum err children_start(struct children *cs, struct loop *l, const struct config *c)
{
    enum err e = OK;

    cs->loop = l;
    pthread_mutex_lock(&cs->lock);
    for (size_t i = 0; i < c->engine_count && !e; i++) {
        if (c->engines[i].command.len && !slot_of(cs, &c->engines[i]))
            e = slot_open(cs, &c->engines[i]);
    }
    pthread_mutex_unlock(&cs->lock);
    return e;
}

void children_keep(struct children *cs, const struct config *c)
{
    int64_t until_us = loop_now_us(cs->loop) + c->options.time_drain_ms * 1000;

    pthread_mutex_lock(&cs->lock);
    for (struct child_slot *slot = cs->slots; slot; slot = slot->next) {
        const struct config_engine *ce = NULL;

        for (size_t i = 0; i < c->engine_count; i++) {
            if (slot_of(cs, &c->engines[i]) == slot)
                ce = &c->engines[i];
        }
        if (ce) {
            struct child_options o = options_of(ce);

            child_adjust(slot->child, &o);
            timer_stop(&slot->patience);
        } else if (slot->named) {
            timer_set(cs->loop, &slot->patience, until_us);
        }
        slot->named = ce;
    }
    pthread_mutex_unlock(&cs->lock);
    sweep(cs);
}

/* ---- their engines ---- */

enum err children_engine(struct children *cs, struct loop *l, const struct config_engine *ce,
                         const struct upstream_options *o, struct engine **ret)
{
    struct child_slot *slot;
    enum err           e;

    pthread_mutex_lock(&cs->lock);
    slot = slot_of(cs, ce);
    e = slot ? process_engine_open(l, slot->child, o, ret) : ERR_NOT_FOUND;
    if (!e)
        slot->engines++;
    pthread_mutex_unlock(&cs->lock);
    return e;
}

void children_engine_close(struct children *cs, struct engine *e)
{
    const struct child *child = process_engine_child(e);
    struct child_slot  *slot;
    bool                last;

    pthread_mutex_lock(&cs->lock);
    slot = cs->slots;
    while (slot->child != child)
        slot = slot->next;
    last = --slot->engines == 0 && !slot->named;
    pthread_mutex_unlock(&cs->lock);
    process_engine_close(e);
    if (last)
        loop_post(cs->loop, sweep, cs);
}

const char *children_state(struct children *cs, const struct config_engine *ce)
{
    const struct child_slot *slot;
    enum child_state         state;

    pthread_mutex_lock(&cs->lock);
    slot = slot_of(cs, ce);
    state = slot ? child_state(slot->child) : CHILD_CLOSED;
    pthread_mutex_unlock(&cs->lock);
    return child_state_name(state);
}
