/* realtime_ear.h - the user's speech in a realtime session: sound comes in events, what is heard goes in events.
 *
 *      speech_started, transcription…, speech_stopped, committed, conversation.item.created, transcription.completed
 *
 * With voice activity (turn_detection) sentences end by themselves, without by input_audio_buffer.commit.
 *
 * Spec: speech.md §2.3, §2.4.
 */
#ifndef DASHBOX_API_WS_REALTIME_EAR_H
#define DASHBOX_API_WS_REALTIME_EAR_H

#include "api/ws/realtime.h"

struct realtime_ear {
    struct recogniser *ear;           /* NULL: nothing has come since it was opened last */
    struct arena       arena;         /* of it */
    bool               manual, delta; /* delta: partial texts are called so (Omni) */
    bool               reports;       /* what is heard is told */
    enum sound_format  format;
    int                sample_rate, silence_ms;
    double             threshold;
    int64_t            audio_ms, fresh_ms; /* heard all in all; since the last commit */
    char               item[REALTIME_ID_LEN + 1], before[REALTIME_ID_LEN + 1];
    bool               in_item;
    str                sentence; /* the last one that ended, in `kept` */
    struct arena       kept;
    bool ended, started; /* a sentence has ended; speech has begun: for the owner to look at and put back */
};

void realtime_ear_begin(struct realtime_ear *r);
/* {"turn_detection":…,"input_audio_format":…,"sample_rate":…} of session.update. False: it has been told what is wrong. */
SUSPENDS bool     realtime_ear_update(struct realtime *s, struct realtime_ear *r, yyjson_val *session, bool any_pcm,
                                      enum err *ret);
void              realtime_ear_add_session(struct realtime_ear *r, struct buf *b);
SUSPENDS enum err realtime_ear_append(struct realtime *s, struct realtime_ear *r, yyjson_val *event);
SUSPENDS enum err realtime_ear_commit(struct realtime *s, struct realtime_ear *r);
SUSPENDS enum err realtime_ear_clear(struct realtime *s, struct realtime_ear *r);
/* No more comes: what is under way ends. */
SUSPENDS enum err realtime_ear_end(struct realtime *s, struct realtime_ear *r);
void              realtime_ear_close(struct realtime_ear *r);

#endif
