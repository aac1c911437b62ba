/* realtime.h - one session of /api-ws/v1/realtime, whatever its model does: events in and out as JSON, sound as base64 in them.
 *
 * A kind (Qwen-TTS, Qwen-ASR, Qwen-Omni and LiveTranslate) has a function for each event of the client that it knows, and a step for
 * work that waits for nobody. They run on the session's fiber (realtime.c), one at a time.
 *
 * Spec: speech.md §2.
 */
#ifndef DASHBOX_API_WS_REALTIME_H
#define DASHBOX_API_WS_REALTIME_H

#include "contract/json.h"
#include "contract/request.h"
#include "engine/speech/speech.h"
#include "net/ws_session.h"

#define REALTIME_ID_LEN 21 /* behind "event_", "sess_", "resp_", "item_": wire-forms.md §6 */

struct realtime;

/* An event of the client. ERR_FAULT: rq->fault (of the part) ends the session. */
struct realtime_event {
    str type;
    SUSPENDS enum err (*run)(struct realtime *s, yyjson_val *event);
};

struct realtime_kind {
    size_t size;                                            /* of the struct that begins with a struct realtime */
    SUSPENDS enum err (*begin)(struct realtime *s);         /* before session.created */
    void (*add_session)(struct realtime *s, struct buf *b); /* members of session.created and session.updated */
    const struct realtime_event *events;                    /* ends with an empty type */
    bool (*busy)(const struct realtime *s);
    SUSPENDS enum err (*step)(struct realtime *s);
    void (*close)(struct realtime *s);
};

struct realtime {
    const struct realtime_kind *kind;
    struct request             *rq;
    struct request             *part; /* of the response or transcription under way; NULL: none */
    struct arena                part_arena;
    struct ws_session           ws;
    const struct model         *model;
    struct arena                scratch; /* for one event or step */
    char                        id[REALTIME_ID_LEN + 1];
    str                         event_id; /* of the client's event that is dealt with */
    bool                        over;     /* nothing comes any more */
};

extern const struct realtime_kind realtime_tts, realtime_asr, realtime_omni;

void realtime_id(char ret[REALTIME_ID_LEN + 1]);

/* {"event_id":…,"type":T and then the caller's members, each with a comma before; realtime_send() ends and sends it. */
struct buf        realtime_begin(struct realtime *s, const char *type);
SUSPENDS enum err realtime_send(struct realtime *s, struct buf *b);
/* One without members. */
SUSPENDS enum err realtime_say(struct realtime *s, const char *type);
/* "session.created", "session.updated". */
SUSPENDS enum err realtime_session(struct realtime *s, const char *type);

/* An error that the session survives. `code`, `param`: may be NULL. */
SUSPENDS enum err realtime_error(struct realtime *s, const char *code, str message, const char *param);
/* Invalid value: 'x'. Supported values are: 'a', 'b'. */
SUSPENDS enum err realtime_invalid(struct realtime *s, str value, const char *supported, const char *param);
/* One that ends it. */
SUSPENDS enum err realtime_fatal(struct realtime *s, const char *code, str message);

/* A response or transcription begins: its request is let in, or refused (an error that ends the session). */
SUSPENDS enum err realtime_part_begin(struct realtime *s);
/* Before the last event of it: where it fails on purpose when it had too few to do so before. */
SUSPENDS enum err realtime_part_last(struct realtime *s);
/* It is over, and booked. */
SUSPENDS enum err realtime_part_end(struct realtime *s);

static inline void realtime_add_str(struct buf *b, const char *name, str value)
{
    buf_addf(b, ",\"%s\":", name);
    json_add_str(b, value);
}

#endif
