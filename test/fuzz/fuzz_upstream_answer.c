/* fuzz_upstream_answer.c - what an upstream answers, whole and as a stream: refused or understood, never more events than
 * it is entitled to.
 *
 * The first byte says how many choices were asked for and whether the upstream is the cloud; the rest is the answer.
 */
#include "engine/upstream/answer.h"

#include "engine/upstream/refusal.h"

#include <stdlib.h>

/* Looks at every byte of every event. */
static unsigned drain(struct answer *an)
{
    struct chat_event ev;
    unsigned          sum = 0;

    while (answer_take(an, &ev)) {
        const str texts[] = { ev.text, ev.tool_id, ev.tool_name };

        ASSERT(ev.choice < an->choice_count);
        ASSERT(ev.kind != CHAT_EV_TOOL_CALL || ev.tool_id.len);
        ASSERT(ev.usage.prompt_tokens >= 0);
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
            for (size_t k = 0; k < texts[i].len; k++)
                sum += (unsigned char)texts[i].ptr[k];
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena      a;
    struct fault      f = { 0 };
    struct answer     an;
    struct chat_input in = { .stream = true };
    struct sse_parser sse;
    struct sse_event  ev;
    enum err          e = OK;
    char             *copy;
    bool              cloud;

    if (size == 0)
        return 0;
    in.n = (opt_int){ data[0] & 3, true };
    in.tool_choice = data[0] & 4 ? CHAT_TOOLS_NAMED : CHAT_TOOLS_AUTO;
    cloud = data[0] & 8;
    data++;
    size--;

    arena_init(&a, 0);
    answer_init(&an, &a, &f, &in, cloud);
    sse_init(&sse, &a, 1 << 20);
    sse_feed(&sse, str_of((const char *)data, size));
    while (!e && sse_next(&sse, &ev)) {
        e = answer_event(&an, &ev);
        (void)drain(&an);
    }
    if (!e && !sse.problem)
        e = answer_end(&an);
    (void)drain(&an);
    ASSERT(!e || fault_is_set(&f));
    arena_free(&a);

    f = (struct fault){ 0 };
    arena_init(&a, 0);
    answer_init(&an, &a, &f, &in, cloud);
    copy = arena_alloc_zero(&a, size + 8);
    memcpy(copy, data, size);
    e = answer_whole(&an, copy, size);
    (void)drain(&an);
    ASSERT(!e || fault_is_set(&f));
    (void)refusal_of_answer(&f, &a, cloud, (int64_t)size, 400 + (int)(size % 200), str_of((const char *)data, size));
    ASSERT(fault_is_set(&f));
    arena_free(&a);
    return 0;
}
