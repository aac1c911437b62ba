/* gather.c - puts the events of a chat answer together.
 *
 * Limits: GATHER_MAX bytes a text; what an engine says beyond is dropped, and was beyond any model's output.
 */
#include "api/gather.h"

#define CALLS_FIRST    4
#define LOGPROBS_FIRST ((size_t)64)

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

static void gather_logprobs(struct gathered *g, const struct chat_event *ev)
{
    size_t need = g->logprob_count + ev->logprob_count, cap = g->logprob_cap ? g->logprob_cap : LOGPROBS_FIRST;

    while (cap < need)
        cap *= 2;
    if (cap > g->logprob_cap) {
        g->logprobs =
            arena_realloc(g->arena, g->logprobs, g->logprob_cap * sizeof(*g->logprobs), cap * sizeof(*g->logprobs));
        g->logprob_cap = cap;
    }
    for (size_t i = 0; i < ev->logprob_count; i++) {
        struct chat_logprob *to = &g->logprobs[g->logprob_count++], *top;

        *to = ev->logprobs[i];
        to->token = arena_str(g->arena, to->token);
        to->top = top = arena_array(g->arena, struct chat_logprob, to->top_count);
        for (size_t k = 0; k < to->top_count; k++) {
            top[k] = ev->logprobs[i].top[k];
            top[k].token = arena_str(g->arena, top[k].token);
        }
    }
}

/* Of several searches the last counts. */
static void gather_search(struct gathered *g, const struct chat_event *ev)
{
    g->searched = true;
    g->sources = arena_array(g->arena, struct chat_source, ev->source_count);
    g->source_count = ev->source_count;
    for (size_t i = 0; i < ev->source_count; i++) {
        g->sources[i] = (struct chat_source){ .index = ev->sources[i].index,
                                              .title = arena_str(g->arena, ev->sources[i].title),
                                              .url = arena_str(g->arena, ev->sources[i].url),
                                              .site_name = arena_str(g->arena, ev->sources[i].site_name),
                                              .icon = arena_str(g->arena, ev->sources[i].icon) };
    }
    g->found = arena_array(g->arena, struct chat_found, ev->found_count);
    g->found_count = ev->found_count;
    for (size_t i = 0; i < ev->found_count; i++)
        g->found[i] =
            (struct chat_found){ arena_str(g->arena, ev->found[i].tool), arena_str(g->arena, ev->found[i].result) };
}

static void gather_code(struct gathered *g, str code)
{
    if (g->code_count == GATHER_CALLS_MAX)
        return;
    if (!g->code)
        g->code = arena_array(g->arena, str, GATHER_CALLS_MAX);
    g->code[g->code_count++] = arena_str(g->arena, code);
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
        if (UNLIKELY(ev->logprob_count))
            gather_logprobs(g, ev);
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
        gather_search(g, ev);
        break;
    case CHAT_EV_CODE:
        gather_code(g, ev->text);
        break;
    case CHAT_EV_AUDIO:
    case CHAT_EV_IMAGES:
    case CHAT_EV_STEP:
    case CHAT_EV_USAGE:
        break;
    }
}
