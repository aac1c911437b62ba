/* facts.h - what the media engine says about a file (engines/media/inspect.h), read and checked. The engine has looked at
 * untrusted bytes: it may have been taken over by them, so that its answer is untrusted as well. */
#ifndef DASHBOX_ENGINE_MEDIA_FACTS_H
#define DASHBOX_ENGINE_MEDIA_FACTS_H

#include "base/arena.h"
#include "base/err.h"
#include "contract/media.h"

/* Numbers are from 0; 0 and "" stand for what the file does not have. */
struct media_facts {
    enum media_kind kind;
    str             format; /* by content: "png", "mp4", …; "unknown" */
    int64_t         bytes;
    int64_t         width, height; /* pixels, as displayed */
    int64_t         frames;
    double          fps;
    int64_t         duration_ms;
    str             video_codec, audio_codec;
    int64_t         sample_rate, channels;
    double          brightness; /* mean luma, 0 to 255; below 0: nothing could be decoded */
    bool            alpha, animated;
    bool            truncated; /* the file ends before its content does */
    str             error;     /* why something is not known, for the log; "" when all is well */
    int64_t         cpu_us;    /* that the engine has used for it */
};

const char *media_kind_name(enum media_kind k);

/* ERR_PROTOCOL when it is not such an object; the texts are copied to the arena. */
enum err media_facts_read(struct arena *a, str json, struct media_facts *ret);

#endif
