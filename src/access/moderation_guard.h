/* moderation_guard.h - a model that judges texts: what it is asked, and what its answer means.
 *
 * Pure functions; who calls the model is not known here. Two kinds of models are understood: guard models of the form of
 * Qwen3Guard, which get the conversation as it is and answer "Safety: Unsafe\nCategories: Violent", and any chat model,
 * which is asked in words and may answer so too, with yes (unsafe) or no, with safe or unsafe, or with JSON.
 */
#ifndef DASHBOX_ACCESS_MODERATION_GUARD_H
#define DASHBOX_ACCESS_MODERATION_GUARD_H

#include "access/moderation.h"

enum guard_level { GUARD_SAFE, GUARD_CONTROVERSIAL, GUARD_UNSAFE };

struct guard_answer {
    enum guard_level level;
    str              categories; /* as the model wrote them, at most 200 bytes; "" when it named none. For the log */
};

/* The question to a chat model that is no guard model: whether `text` (what a user sent, what a model answered) is unsafe.
 * The text cannot end its own quotation: "<<" and ">>" in it are parted. */
str guard_prompt(unsigned side, str text, struct arena *a);

/* ERR_INVALID: no answer that is known; what happens then is the caller's policy. Thoughts in <think> are passed over. */
enum err guard_read(str answer, struct arena *a, struct guard_answer *ret);

/* Whether that refuses. `strict`: what is controversial does too. */
bool guard_verdict(const struct guard_answer *g, unsigned side, bool strict, struct moderation_verdict *ret);

#endif
