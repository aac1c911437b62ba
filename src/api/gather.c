/* gather.c - puts the events of a chat answer together.
 *
 * Limits: GATHER_MAX bytes a text; what an engine says beyond is dropped, and was beyond any model's output.
 */
#include "api/gather.h"

#define GATHER_MAX  ((size_t)64 << 20)
#define CALLS_FIRST 4

struct gathered *gather_new(struct arena *a, unsigned choices)
{
    struct gathered *all = arena_array(a, struct gathered, choices);

    for (unsigned i = 0; i < choices; i++) {
        all[i].arena = a;
        buf_init(&all[i].text, a, GATHER_MAX);
        buf_init(&all[i].reasoning, a, GATHER_MAX);
    }
    return all;
}

/* The call of that number; those before it are there as well. NULL beyond what any answer has. */
static struct gathered_call *call_at(struct gathered *g, unsigned index)
{
    if (index >= GATHER_CALLS_MAX)
        return NULL;
    while (g->call_count <= index) {
        if (g->call_count == g->call_cap) {
            size_t cap = g->call_cap ? 2 * g->call_cap : CALLS_FIRST;

            g->calls = arena_realloc(g->arena, g->calls, g->call_cap * sizeof(*g->calls), cap * sizeof(*g->calls));
            g->call_cap = cap;
        }
        g->calls[g->call_count] = (struct gathered_call){ 0 };
        buf_init(&g->calls[g->call_count++].arguments, g->arena, GATHER_MAX);
    }
    return &g->calls[index];
}

void gather_event(struct gathered *all, const struct chat_event *ev)
{
    struct gathered      *g = &all[ev->choice];
    struct gathered_call *call;

    switch (ev->kind) {
    case CHAT_EV_REASONING:
        g->reasoned = true;
        buf_add(&g->reasoning, ev->text);
        break;
    case CHAT_EV_TEXT:
        buf_add(&g->text, ev->text);
        break;
    case CHAT_EV_TOOL_CALL:
        call = call_at(g, ev->tool_index);
        if (call) {
            call->id = arena_str(g->arena, ev->tool_id);
            call->name = arena_str(g->arena, ev->tool_name);
        }
        break;
    case CHAT_EV_TOOL_ARGS:
        call = call_at(g, ev->tool_index); /* pieces of several calls may come in turn */
        if (call)
            buf_add(&call->arguments, ev->text);
        break;
    case CHAT_EV_FINISH:
        g->finish = ev->finish;
        g->stop = arena_str(g->arena, ev->stop);
        break;
    case CHAT_EV_SEARCH:
    case CHAT_EV_CODE:
    case CHAT_EV_AUDIO:
    case CHAT_EV_USAGE:
        break;
    }
}
