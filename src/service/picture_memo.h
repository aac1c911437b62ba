/* picture_memo.h - what was seen in pictures, by the SHA-256 of their files: looking takes a second, and the same picture comes in each turn
 * of a conversation. What comes in first goes first.
 *
 * Thread: one worker's.
 */
#ifndef DASHBOX_SERVICE_PICTURE_MEMO_H
#define DASHBOX_SERVICE_PICTURE_MEMO_H

#include "base/arena.h"
#include "contract/picture.h"

#define PICTURE_MEMO_ENTRIES 64

struct picture_memo;

struct picture_memo *picture_memo_open(void);
void                 picture_memo_close(struct picture_memo *m); /* accepts NULL */

/* Its text; false when nobody has read it. Copied to `a`. A hash of another length is that of no file, and nothing is kept of it. */
bool picture_memo_lines(struct picture_memo *m, str hash, struct arena *a, struct picture_lines *ret);
void picture_memo_lines_add(struct picture_memo *m, str hash, const struct picture_lines *lines);

/* Its colours and faces. */
bool picture_memo_looks(struct picture_memo *m, str hash, struct picture *ret);
void picture_memo_looks_add(struct picture_memo *m, str hash, const struct picture *p);

#endif
