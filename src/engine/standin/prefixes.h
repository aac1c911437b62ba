/* prefixes.h - the stand-in's context cache: which beginnings of prompts it has seen lately.
 *
 * Implicit: what a prompt has in common with an earlier one of the same workspace and model, in steps of CHAT_CACHE_STEP
 * tokens, from CHAT_CACHE_PREFIX_MIN on. It is compared every PREFIX_BYTES bytes of a text, so it may be one step short.
 * Explicit: prompts with cache_control; the prefix up to each of the last CHAT_CACHE_MARKS_MAX marks is kept, and found
 * again at a mark or up to CHAT_CACHE_LOOK_BACK items of content before it. A prompt uses one of the two. What is kept
 * lives CHAT_CACHE_LIFE_MS of the wall clock, and as long again with each hit.
 *
 * Texts are not kept: an entry is a keyed hash of all that comes before its place. Thread: any; one lock.
 * Memory: its own, PREFIX_ENTRIES entries of 16 bytes, taken with the first prompt that is long enough; the entry of a
 * bucket that expires first makes room. Spec: chat.md §10.6.
 */
#ifndef DASHBOX_ENGINE_STANDIN_PREFIXES_H
#define DASHBOX_ENGINE_STANDIN_PREFIXES_H

#include "contract/chat.h"

struct arena;
struct prefixes;
struct tokenizer;

#define PREFIX_BYTES   ((size_t)256)
#define PREFIX_ENTRIES ((size_t)1 << 16)

struct prefixes *prefixes_open(void);
void             prefixes_close(struct prefixes *p);

/* Forgets everything. */
void prefixes_reset(struct prefixes *p);

/* Looks the prompt up and keeps it. `in` has prompt_ends. Returns the tokens that were known; *ret_created is how many
 * tokens the explicit cache took in. `scratch` is for the time of the call. */
int64_t prefixes_use(struct prefixes *p, struct arena *scratch, const struct tokenizer *t, str workspace,
                     const struct chat_input *in, int64_t *ret_created);

#endif
