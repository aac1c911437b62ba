/* synthesis.h - from the parameters of speech synthesis to a speaker's: defaults, the voice, what a model can.
 *
 * Spec: speech.md §1.7.1, §1.8, §4.2.
 */
#ifndef DASHBOX_SERVICE_SYNTHESIS_H
#define DASHBOX_SERVICE_SYNTHESIS_H

#include "contract/request.h"
#include "contract/speech_text.h"
#include "contract/synthesis.h"
#include "engine/speech/speech.h"

struct synthesis_plan {
    struct speaker_options speaker;
    enum speech_count      count;
    bool                   marked_up; /* markup may come */
    bool                   ssml;      /* texts are read as markup */
};

/* REF: E087, E086, X070, W446. */
SUSPENDS enum err synthesis_plan_make(struct request *rq, const struct model *m, const struct synthesis_input *in,
                                      struct synthesis_plan *ret);

#endif
