/* voice.h - the stock voices of the catalogue: data/voices.txt. Spec: speech.md §5. */
#ifndef DASHBOX_CONTRACT_VOICE_H
#define DASHBOX_CONTRACT_VOICE_H

#include "base/str.h"

struct model;

struct voice {
    str  models;    /* patterns, parted by blanks */
    str  name;      /* as sent: case and blanks count */
    str  languages; /* "zh+en": the native one first */
    char gender;    /* F, M, C(hild), N(eutral); '?': nobody has said */
    int  rate;      /* of Sambert: samples a second; 0: the usual */
};

extern const struct voice voice_rows[];
extern const unsigned     voice_count;

/* NULL: the model has no such voice. Sambert's is in the model's name. */
const struct voice *voice_find(str model, str name);
/* The voices of a model in the order of the catalogue: the next one behind `before` (NULL: the first), or NULL. */
const struct voice *voice_next(str model, const struct voice *before);

/* What tells it from others of its language and gender, the same for ever; and a gender where nobody has said. */
uint32_t voice_timbre(str name);
char     voice_gender(const struct voice *v);

#endif
