/* reading.h - a text that is read aloud, sentence by sentence, and the file of it. Spec: speech.md §3.4, §3.5. */
#ifndef DASHBOX_SERVICE_READING_H
#define DASHBOX_SERVICE_READING_H

#include "service/synthesis.h"

struct reading {
    struct request       *rq;
    struct synthesis_plan plan;
    struct speech_text    text;
    struct speaker       *speaker;
    struct buf            sound; /* all of it, in the plan's format */
    str                   said;  /* all of the text */
    int64_t               ms, characters;
    bool                  ended;
};

/* The speaker is given back with the request's memory. REF: E084, D021, E100b. */
SUSPENDS enum err reading_begin(struct request *rq, const struct synthesis_plan *plan, str text, struct reading *ret);
/* The next sentence and its sound (in the request's memory); the last one is empty and has what the encoder still had. ERR_EOF behind
 * it. REF: E094, E225a. */
SUSPENDS enum err reading_next(struct reading *r, str *ret_sentence, struct spoken *ret);
/* The sound as a file for whoever has the URL: WAV, unless the plan's format is a coded one. */
SUSPENDS enum err reading_keep(struct reading *r, str *ret_url, int64_t *ret_expires_s);

/* A WAV's head for so many bytes of PCM of one channel. */
#define READING_WAV_HEAD 44
void reading_wav_head(char head[READING_WAV_HEAD], int sample_rate, size_t bytes);

#endif
