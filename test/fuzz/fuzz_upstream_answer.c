/* fuzz_upstream_answer.c - what an upstream answers, whole and as a stream: refused or understood, never more events than
 * it is entitled to; and with the short way for events that differ in their text alone, the same as without it.
 *
 * The first byte says how many choices were asked for and whether the upstream is the cloud; the rest is the answer.
 */
#include "engine/upstream/answer.h"

#include "engine/upstream/refusal.h"

#include <stdlib.h>

/* Looks at every byte of every event. */
static unsigned look(const struct answer *an, const struct chat_event *ev)
{
    const str texts[] = { ev->text, ev->tool_id, ev->tool_name };
    unsigned  sum = 0;

    ASSERT(ev->choice < an->choice_count);
    ASSERT(ev->kind != CHAT_EV_TOOL_CALL || ev->tool_id.len);
    ASSERT(ev->usage.prompt_tokens >= 0);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (size_t k = 0; k < texts[i].len; k++)
            sum += (unsigned char)texts[i].ptr[k];
    }
    return sum;
}

static void drain(struct answer *an)
{
    struct chat_event ev;

    while (answer_take(an, &ev))
        (void)look(an, &ev);
}

/* The same events from both. An id may be one that we have made up. */
static void drain_alike(struct answer *one, struct answer *two)
{
    struct chat_event a, b;

    while (answer_take(one, &a)) {
        ASSERT(answer_take(two, &b));
        ASSERT(look(one, &a) == look(two, &b) || a.kind == CHAT_EV_TOOL_CALL);
        ASSERT(a.kind == b.kind && a.choice == b.choice && a.tool_index == b.tool_index && a.finish == b.finish);
        ASSERT(str_eq(a.text, b.text) && str_eq(a.tool_name, b.tool_name));
        ASSERT(a.usage.prompt_tokens == b.usage.prompt_tokens &&
               a.usage.completion_tokens == b.usage.completion_tokens);
    }
    ASSERT(!answer_has_event(two));
}

/* A stream, event by event, with what was remembered of the one before and without. */
static void read_stream(const struct chat_input *in, bool cloud, str bytes)
{
    struct arena      a;
    struct fault      f[2] = { 0 };
    struct answer     an[2];
    struct sse_parser sse;
    struct sse_event  ev;
    enum err          e[2] = { OK, OK };

    arena_init(&a, 0);
    for (int i = 0; i < 2; i++)
        answer_init(&an[i], &a, &f[i], in, cloud);
    sse_init(&sse, &a, 1 << 20);
    sse_feed(&sse, bytes);
    while (!e[0] && sse_next(&sse, &ev)) {
        an[1].like.before = 0;
        for (int i = 0; i < 2; i++)
            e[i] = answer_event(&an[i], &ev);
        drain_alike(&an[0], &an[1]);
        ASSERT(e[0] == e[1] && f[0].row == f[1].row && an[0].over == an[1].over && an[0].has_usage == an[1].has_usage);
    }
    for (int i = 0; i < 2 && !e[0] && !sse.problem; i++)
        e[i] = answer_end(&an[i]);
    drain_alike(&an[0], &an[1]);
    ASSERT(!e[0] || fault_is_set(&f[0]));
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena      a;
    struct fault      f = { 0 };
    struct answer     an;
    struct chat_input in = { .stream = true };
    enum err          e;
    char             *copy;
    bool              cloud;

    if (size == 0)
        return 0;
    in.n = (opt_int){ data[0] & 3, true };
    in.tool_choice = data[0] & 4 ? CHAT_TOOLS_NAMED : CHAT_TOOLS_AUTO;
    cloud = data[0] & 8;
    data++;
    size--;

    read_stream(&in, cloud, str_of((const char *)data, size));

    arena_init(&a, 0);
    answer_init(&an, &a, &f, &in, cloud);
    copy = arena_alloc_zero(&a, size + 8);
    memcpy(copy, data, size);
    e = answer_whole(&an, copy, size);
    drain(&an);
    ASSERT(!e || fault_is_set(&f));
    (void)refusal_of_answer(&f, &a, cloud, (int64_t)size, 400 + (int)(size % 200), str_of((const char *)data, size));
    ASSERT(fault_is_set(&f));
    arena_free(&a);
    return 0;
}
