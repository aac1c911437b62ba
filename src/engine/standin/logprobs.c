/* logprobs.c - how likely the stand-in says that its words were. */
#include "engine/standin/logprobs.h"

#include "base/arena.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "tokens/tokenizer.h"

#include <math.h>

/* From 0.5 up to, not including, 1. */
static double dice_roll(uint64_t seed, uint32_t id)
{
    seed ^= (uint64_t)id << 32;
    return 0.5 + (double)(rand_next(&seed) >> 11) * 0x1p-54;
}

/* The next token behind `id` that is text by itself; the first one after the last. */
static uint32_t neighbour(const struct tokenizer *t, uint32_t id)
{
    str text;

    do {
        id++;
        text = tokenizer_decode(t, id);
        if (!text.len) {
            id = 0;
            text = tokenizer_decode(t, id);
        }
    } while (!utf8_valid(text));
    return id;
}

static const struct chat_logprob *top_make(struct arena *a, const struct tokenizer *t, uint32_t id, double p,
                                           unsigned top)
{
    struct chat_logprob *all = arena_array(a, struct chat_logprob, top);
    double               left = 1 - p;

    for (unsigned i = 0; i < top; i++) {
        all[i] = (struct chat_logprob){ .token = tokenizer_decode(t, id), .logprob = log(p) };
        id = neighbour(t, id);
        p = left /= 2;
    }
    return all;
}

const struct chat_logprob *logprobs_make(struct arena *a, const struct tokenizer *t, str text,
                                         const struct logprobs_question *q, size_t *ret_count)
{
    size_t               count = tokenizer_encode(t, text, NULL, 0);
    uint32_t            *ids = arena_array(a, uint32_t, count);
    struct chat_logprob *all = arena_array(a, struct chat_logprob, count);

    tokenizer_encode(t, text, ids, count);
    for (size_t i = 0; i < count; i++) {
        double p = dice_roll(q->seed + i, ids[i]);

        all[i] = (struct chat_logprob){ .token = tokenizer_decode(t, ids[i]), .logprob = log(p), .top_count = q->top };
        all[i].top = top_make(a, t, ids[i], p, q->top);
    }
    *ret_count = count;
    return all;
}
