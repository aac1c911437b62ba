/* pronounce.h - how a word is said, by flite's dictionary and letter-to-sound rules.
 * Sounds are those of the CMU dictionary: "D AE SH B AA K S". */
#ifndef DASHBOX_SPEECH_PRONOUNCE_H
#define DASHBOX_SPEECH_PRONOUNCE_H

#include "base/arena.h"

/* Of one English word or several; NULL: it has letters of no Latin alphabet, or none. */
const char *pronounce(struct arena *a, str text);

#endif
