/* gather.c - the events of a chat answer.
 *
 * Limits: GATHER_MAX bytes a text; what an engine says beyond is dropped, and was beyond any model's output.
 */
#include "api/gather.h"

#include "api/reply.h"
#include "contract/json.h"
#include "net/http_server.h"

#define GATHER_MAX ((size_t)64 << 20)
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
        break;
    case CHAT_EV_USAGE:
        break;
    }
}

enum err gather_whole(struct gathered *all, struct chat_run *run)
{
    struct chat_event ev;
    enum err          e;

    while (!(e = chat_next(run, &ev)))
        gather_event(all, &ev);
    return e == ERR_EOF ? OK : e;
}

enum err gather_stream(struct request *rq, struct chat_run *run, void (*send)(void *arg, const struct chat_event *ev),
                       void *arg)
{
    struct chat_event ev;
    enum err          e = chat_next(run, &ev);

    if (e)
        return e;
    reply_stream_begin(rq, 200);
    request_phase(rq, PHASE_RUN);
    while (!e) {
        send(arg, &ev);
        if (!chat_ready(run) || http_stream_buf(rq->x)->len >= HTTP_STREAM_MARK) {
            e = http_stream_flush(rq->x);
            if (e)
                return e == ERR_EOF ? ERR_CANCELLED : e; /* the client's end is not the answer's */
        }
        e = chat_next(run, &ev);
    }
    return e;
}

void gather_add_call(struct buf *b, size_t index, str id, str name, str arguments)
{
    buf_add(b, S("{\"function\":{"));
    if (name.len) {
        buf_add(b, S("\"name\":"));
        json_add_str(b, name);
        buf_add_char(b, ',');
    }
    buf_add(b, S("\"arguments\":"));
    json_add_str(b, arguments);
    buf_add(b, S("},\"index\":"));
    buf_add_i64(b, (int64_t)index);
    buf_add(b, S(",\"id\":"));
    json_add_str(b, id);
    buf_add(b, S(",\"type\":\"function\"}"));
}

void gather_add_calls(struct buf *b, const struct gathered *g)
{
    for (size_t i = 0; i < g->call_count; i++) {
        if (i)
            buf_add_char(b, ',');
        gather_add_call(b, i, g->calls[i].id, g->calls[i].name, buf_str(&g->calls[i].arguments));
    }
}
