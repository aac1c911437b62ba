/* speak.h - one voice that speaks: sentences in, coded sound out, the times of words as JSON.
 *
 *      {"begin":0,"end":1162,"words":[["床",0,1,0,263,[["ch_c",0,119,2],…]],…]
 *
 * A word: its text, the characters from … to of what was said, and milliseconds since the voice's first sound; phonemes with their
 * tones where they are wanted. The object is left open.
 *
 * English is spoken by flite, everything else by espeak-ng; a sentence in several scripts by both.
 */
#ifndef DASHBOX_SPEECH_SPEAK_H
#define DASHBOX_SPEECH_SPEAK_H

#include "base/buf.h"
#include "engine/speech/speech.h"

struct speak;

/* Once. False: espeak-ng's data is not there. */
bool speak_begin(void);
/* The folder that espeak-ng reads from when a language is first spoken. */
const char *speak_data(void);

/* NULL: there is no such format. */
struct speak *speak_open(const struct speaker_options *o);
/* False: the markup cannot be read. */
bool speak_say(struct speak *s, str text, struct arena *a, struct buf *sound, struct buf *json);
void speak_end(struct speak *s, struct buf *sound, struct buf *json);
void speak_close(struct speak *s);

#endif
