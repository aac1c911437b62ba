/* speak_text.h - what a text is made of: pieces of one manner (markup), and in these runs of one language (letters). */
#ifndef DASHBOX_SPEECH_SPEAK_TEXT_H
#define DASHBOX_SPEECH_SPEAK_TEXT_H

#include "base/arena.h"

struct speak_piece {
    str    text;
    size_t index;               /* characters of the text, without tags, before it */
    double rate, pitch, volume; /* times what is ordinary */
    int    pause_ms;            /* before it */
    bool   spelled;             /* letter by letter */
};

/* `ssml`: a document of markup, with or without <speak>. False: it cannot be read. */
bool speak_pieces(struct arena *a, str text, bool ssml, struct speak_piece **ret, size_t *ret_count);

/* The next run of *rest, and its language: "en", "cmn", …. `own` are the voice's languages ("zh+en"), `hint` what the client says. */
str speak_run(str *rest, str own, str hint, const char **ret_language);

#endif
