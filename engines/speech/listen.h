/* listen.h - one stream that is listened to: bytes in, what is heard out, as JSON.
 *
 *      {"audio_ms":1200,"speech_ms":640,"undecodable":false,"busy":false,"events":[
 *        {"kind":"begin","begin":180},
 *        {"kind":"partial","begin":180,"end":900,"text":"hello wor","confidence":1,"words":[["hello",180,500,1],…]},
 *        {"kind":"stop","end":1010},
 *        {"kind":"sentence","begin":180,"end":1010,"text":"hello world","confidence":0.8,"words":[…]}]
 *
 * busy: all decoders are lent, and what has come waits; asked again with nothing it goes on.
 * The object is left open, for who sends it to add to.
 */
#ifndef DASHBOX_SPEECH_LISTEN_H
#define DASHBOX_SPEECH_LISTEN_H

#include "base/buf.h"
#include "engine/speech/speech.h"

struct listen;

/* NULL: such a stream cannot be read. Words are copied. */
struct listen *listen_open(const struct recogniser_options *o);
void           listen_hear(struct listen *l, str bytes, struct arena *a, struct buf *b);
void           listen_commit(struct listen *l, struct arena *a, struct buf *b);
void           listen_end(struct listen *l, struct arena *a, struct buf *b);
void           listen_close(struct listen *l);

#endif
