/* moderation_fold.h - makes texts comparable: forms of full width to ordinary ones, capitals to small letters.
 *
 * What comes out is valid UTF-8, with U+FFFD for each byte that was not.
 */
#ifndef DASHBOX_ACCESS_MODERATION_FOLD_H
#define DASHBOX_ACCESS_MODERATION_FOLD_H

#include "base/str.h"

/* Folded bytes come in runs of at most this many. */
#define FOLD_RUN 4096

/* A code point that the pieces cut in two waits here. All zero at the start of a text. */
struct fold {
    unsigned char waiting[4];
    unsigned char waiting_count;
};

uint32_t fold_code_point(uint32_t cp);
/* The first at or after `cp` that may fold to another one; UINT32_MAX: there is none. */
uint32_t fold_next(uint32_t cp);

/* Folds a run off the beginning of *rest, into `out`; returns its length. 0: all of *rest is taken. */
size_t fold_run(struct fold *f, str *rest, char out[FOLD_RUN]);
/* The end of the text: what still waits was cut short. At most 9 bytes. */
size_t fold_end(struct fold *f, char out[FOLD_RUN]);

#endif
