/* recognition.h - from the parameters of recognition to a listener's: defaults, words of a vocabulary, what a model does.
 *
 * Spec: speech.md §1.9.1, §1.10, §4.2.
 */
#ifndef DASHBOX_SERVICE_RECOGNITION_H
#define DASHBOX_SERVICE_RECOGNITION_H

#include "contract/recognition.h"
#include "contract/request.h"
#include "engine/speech/speech.h"

struct recognition_plan {
    struct recogniser_options listener;
    yyjson_val               *filter;       /* special_word_filter as an object */
    bool                      gummy;        /* its results have its form */
    bool                      one_sentence; /* the task ends with the first */
    bool                      needs_speech; /* sound without any is a failure */
    bool                      transcribed;  /* Gummy: what was said is wanted */
    str                       target;       /* Gummy: and in this language; empty: in none */
};

/* `resources`: of the payload, phrases to be preferred; may be NULL. REF: W445, W440, E271, E167. */
SUSPENDS enum err recognition_plan_make(struct request *rq, const struct model *m, const struct recognition_input *in,
                                        yyjson_val *resources, struct recognition_plan *ret);

/* special_word_filter: an object, or one written into a string; NULL: it is none. */
yyjson_val *recognition_filter(struct request *rq, yyjson_val *v);
/* The words of that vocabulary (its id; empty: none), and of the phrases that `resources` names. REF: E167. */
SUSPENDS enum err recognition_words(struct request *rq, const struct model *m, str vocabulary_id, yyjson_val *resources,
                                    struct recogniser_options *o);

/* What Gummy makes of a sentence, by the engine that translates. */
SUSPENDS enum err recognition_translate(struct request *rq, const struct recognition_plan *plan, str text, str *ret);

#endif
