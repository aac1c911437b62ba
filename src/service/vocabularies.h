/* vocabularies.h - the words of a vocabulary that a client has made. Spec: speech.md §3.8. */
#ifndef DASHBOX_SERVICE_VOCABULARIES_H
#define DASHBOX_SERVICE_VOCABULARIES_H

#include "contract/request.h"
#include "engine/speech/speech.h"

#define VOCABULARY_KIND S("vocabulary") /* of struct asset */

/* Adds them to what is listened for; `id` empty: none. REF: E167. */
SUSPENDS enum err vocabulary_words(struct request *rq, str id, struct recogniser_options *o);

#endif
