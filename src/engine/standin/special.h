/* special.h - what the stand-in says in place of models that do not simply talk: text recognition, research.
 *
 * Deterministic like all it says; doc/scenarios.md tells people. Spec: chat.md §5.2, §5.9.
 */
#ifndef DASHBOX_ENGINE_STANDIN_SPECIAL_H
#define DASHBOX_ENGINE_STANDIN_SPECIAL_H

#include "base/arena.h"
#include "contract/chat.h"
#include "contract/picture.h"

/* The text of a recognition. `seen` is the picture whose text was read; NULL: none was, and then made-up structures stand for it. With a
 * structure: the template of an extraction, filled with what stands behind its names and a colon, or the lines and their places, both
 * as fenced JSON. False for other requests, and when there is no text; `said` is what would be said otherwise. */
bool special_ocr_text(struct arena *a, const struct chat_input *in, const struct picture *seen, str said, str *ret);

/* A step and what is said in it. */
struct special_step {
    struct chat_step step;
    str              text;
};

/* The steps of a research whose `plan` and `report` are given (empty plan: the stand-in's own). The first call asks back:
 * the report alone. */
struct special_step *special_research(struct arena *a, const struct chat_input *in, str plan, str report, size_t *ret);

#endif
