/* hearing.h - a whole sound that is listened to, as text. For sounds of minutes: files of hours are tasks (transcription.h).
 *
 * Spec: speech.md §3.2.
 */
#ifndef DASHBOX_SERVICE_HEARING_H
#define DASHBOX_SERVICE_HEARING_H

#include "contract/request.h"
#include "service/transcript.h"

struct hearing_sentence {
    str                     text;
    struct transcript_word *words;
    size_t                  word_count;
    int64_t                 begin_ms, end_ms;
};

struct hearing {
    str                      text; /* all sentences */
    struct hearing_sentence *sentences;
    size_t                   count;
    int64_t                  audio_ms, speech_ms;
};

/* What is said in the file, in the request's memory. ERR_INVALID: it cannot be decoded; others as of the speech engine. */
SUSPENDS enum err hearing_listen(struct request *rq, int fd, struct hearing *ret);

/* The same of an address or data URI that a client names in chat. REF: the media rows of chat, E079, E080 and their like. */
SUSPENDS enum err hearing_fetch(struct request *rq, const struct model *m, str url, struct hearing *ret);

#endif
