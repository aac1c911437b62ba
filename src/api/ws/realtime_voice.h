/* realtime_voice.h - a response that is spoken: its events around sentences that are said one a step.
 *
 *      response.created, output_item.added, content_part.added, (audio.delta …), audio.done, content_part.done, output_item.done,
 *      response.done
 *
 * Spec: speech.md §2.2, §2.4.
 */
#ifndef DASHBOX_API_WS_REALTIME_VOICE_H
#define DASHBOX_API_WS_REALTIME_VOICE_H

#include "api/ws/realtime.h"
#include "contract/speech_text.h"

struct realtime_voice {
    struct speaker_options options;
    struct speaker        *speaker; /* NULL: nothing has been said */
    struct arena           arena;   /* of the speaker */
    char                   response[REALTIME_ID_LEN + 1], item[REALTIME_ID_LEN + 1];
    bool                   open;       /* between created and done */
    bool                   spoken;     /* sound is wanted; else text alone */
    bool                   transcript; /* what is said goes along: Omni */
    str                    voice;      /* as named */
    struct buf             text;       /* all that was said, in the part's memory */
    int64_t                sound_ms;
};

/* The members of a response behind its status are the caller's: add_more (may be NULL). */
SUSPENDS enum err realtime_voice_begin(struct realtime *s, struct realtime_voice *v);
SUSPENDS enum err realtime_voice_say(struct realtime *s, struct realtime_voice *v, str sentence);
/* `status`: "completed", "incomplete". `usage`: JSON. */
SUSPENDS enum err realtime_voice_end(struct realtime *s, struct realtime_voice *v, const char *status, str usage);
void              realtime_voice_close(struct realtime_voice *v);

#endif
