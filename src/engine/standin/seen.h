/* seen.h - what the stand-in says of a picture, and of the text in it. */
#ifndef DASHBOX_ENGINE_STANDIN_SEEN_H
#define DASHBOX_ENGINE_STANDIN_SEEN_H

#include "base/buf.h"
#include "contract/picture.h"

#define SEEN_TEXT_MAX ((size_t)1000) /* bytes of a picture's text in a sentence */

/* ` [picture 1: png, 640 x 480 pixels, white 71 %, black 20 %, 1 face, text "Hello / World"]`; what nobody has looked for is not
 * mentioned. `number`: from 1. */
void seen_add(struct buf *b, unsigned number, const struct picture *p);

/* Its lines, a line each. */
str seen_text(struct arena *a, const struct picture *p);

/* What stands behind the word and a colon in one of its lines; empty when there is none. */
str seen_value(const struct picture *p, str word);

/* Its lines as Qwen-OCR's advanced_recognition gives them: [{"rotate_rect":…,"location":…,"text":…},…] (chat.md §5.2). */
void seen_add_words(struct buf *b, const struct picture *p);

#endif
