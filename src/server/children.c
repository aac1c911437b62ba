/* children.c - which children run. */
#include "server/children.h"

#include <stdlib.h>

struct child_slot {
    str           name, command, model_file; /* in `texts` */
    struct arena  texts;
    struct child *child; /* NULL: it has been closed */
};

void children_init(struct children *cs)
{
    *cs = (struct children){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

void children_free(struct children *cs)
{
    for (size_t i = 0; i < cs->count; i++)
        arena_free(&cs->slots[i].texts);
    free(cs->slots);
}

static struct child_slot *slot_of(struct children *cs, const struct config_engine *ce)
{
    for (size_t i = 0; i < cs->count; i++) {
        struct child_slot *slot = &cs->slots[i];

        if (slot->child && str_eq(slot->name, ce->name) && str_eq(slot->command, ce->command) &&
            str_eq(slot->model_file, ce->model_file))
            return slot;
    }
    return NULL;
}

static enum err start(struct children *cs, struct loop *l, const struct config_engine *ce)
{
    struct child_slot    slot = { 0 };
    struct child_options o = {
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
    enum err e = child_open(l, &o, &slot.child);

    if (e)
        return e;
    arena_init(&slot.texts, 512);
    slot.name = arena_str(&slot.texts, ce->name);
    slot.command = arena_str(&slot.texts, ce->command);
    slot.model_file = arena_str(&slot.texts, ce->model_file);
    cs->slots = xrealloc(cs->slots, (cs->count + 1) * sizeof(slot));
    cs->slots[cs->count++] = slot;
    return OK;
}

enum err children_set(struct children *cs, struct loop *l, const struct config *c)
{
    enum err e = OK;

    pthread_mutex_lock(&cs->lock);
    for (size_t i = 0; i < c->engine_count && !e; i++) {
        if (c->engines[i].command.len && !slot_of(cs, &c->engines[i]))
            e = start(cs, l, &c->engines[i]);
    }
    for (size_t i = 0; i < cs->count && !e; i++) {
        struct child_slot *slot = &cs->slots[i];
        bool               named = false;

        for (size_t k = 0; k < c->engine_count && slot->child; k++)
            named = named || slot_of(cs, &c->engines[k]) == slot;
        if (!slot->child || named)
            continue;
        child_close(slot->child, NULL, NULL); /* its memory goes with the last engine that asks it */
        slot->child = NULL;
    }
    pthread_mutex_unlock(&cs->lock);
    return e;
}

enum err children_engine(struct children *cs, struct loop *l, const struct config_engine *ce,
                         const struct upstream_options *o, struct engine **ret)
{
    struct child_slot *slot;
    enum err           e;

    pthread_mutex_lock(&cs->lock);
    slot = slot_of(cs, ce);
    e = slot ? process_engine_open(l, slot->child, o, ret) : ERR_NOT_FOUND;
    pthread_mutex_unlock(&cs->lock);
    return e;
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

static void on_child_closed(void *arg)
{
    struct children *cs = arg;

    if (--cs->closing == 0)
        cs->on_closed(cs->arg);
}

void children_close(struct children *cs, void (*on_closed)(void *arg), void *arg)
{
    cs->on_closed = on_closed;
    cs->arg = arg;
    cs->closing = 1;
    pthread_mutex_lock(&cs->lock);
    for (size_t i = 0; i < cs->count; i++) {
        if (!cs->slots[i].child)
            continue;
        cs->closing++;
        child_close(cs->slots[i].child, on_child_closed, cs);
        cs->slots[i].child = NULL;
    }
    pthread_mutex_unlock(&cs->lock);
    on_child_closed(cs);
}
