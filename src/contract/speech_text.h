/* speech_text.h - text on its way to a voice: sentences out of pieces that come in, and what counts for money and limits.
 *
 *      speech_text_init ── speech_text_add* ── speech_text_next* ── … ── speech_text_flush* until it is false
 *
 * A sentence ends behind 。！？； or a line break, behind .!?; when a blank follows, with the quotes and brackets that close there.
 * One that does not end is cut behind its last comma or blank before SPEECH_SENTENCE_MAX characters: whoever waits for sound
 * does not wait for the rest.
 *
 * Spec: speech.md §1.6, §1.7.2.
 */
#ifndef DASHBOX_CONTRACT_SPEECH_TEXT_H
#define DASHBOX_CONTRACT_SPEECH_TEXT_H

#include "base/buf.h"

#define SPEECH_SENTENCE_MAX ((size_t)200) /* characters */

struct speech_text {
    struct buf text;
    size_t     at; /* the first byte that nobody has taken */
};

void speech_text_init(struct speech_text *t, struct arena *a);
void speech_text_add(struct speech_text *t, str piece); /* UTF-8 */
/* The next whole sentence, without blanks around it; false: none yet. Valid until the next speech_text_add(). */
bool speech_text_next(struct speech_text *t, str *ret);
/* The next one, whole or not; false: there is no text left. */
bool speech_text_flush(struct speech_text *t, str *ret);

enum speech_count {
    SPEECH_COUNT_HAN_2, /* an ideograph is 2, all else 1: CosyVoice, Qwen-TTS */
    SPEECH_COUNT_EACH_1 /* Sambert */
};

/* Characters that are charged; `ssml`: what stands between < and > is not. */
int64_t speech_text_count(str text, enum speech_count how, bool ssml);

/* Whether there is anything to say: more than blanks, punctuation and, with `ssml`, tags. */
bool speech_text_audible(str text, bool ssml);

/* Whether it has markup: a tag of SSML, <speak>, <break/>, … */
bool speech_text_is_marked_up(str text);

#endif
