/* logprobs.h - how likely the stand-in says that its words were.
 *
 * It has no model, so these are numbers of the right shape: they follow from the seed, the token and its place alone. A
 * token that is said has a probability from 0.5 to 1. The others in its place are its neighbours in the vocabulary, each
 * half as likely as the one before; together they are less likely than what was left.
 */
#ifndef DASHBOX_ENGINE_STANDIN_LOGPROBS_H
#define DASHBOX_ENGINE_STANDIN_LOGPROBS_H

#include "contract/chat.h"

struct arena;
struct tokenizer;

struct logprobs_question {
    uint64_t seed;
    unsigned top; /* how many of the likeliest are named; the token itself is the first */
};

/* One for each token of the text, in the arena. */
const struct chat_logprob *logprobs_make(struct arena *a, const struct tokenizer *t, str text,
                                         const struct logprobs_question *q, size_t *ret_count);

#endif
