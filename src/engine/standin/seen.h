/* seen.h - what the stand-in says of a picture, and of the text in it. */
#ifndef DASHBOX_ENGINE_STANDIN_SEEN_H
#define DASHBOX_ENGINE_STANDIN_SEEN_H

#include "base/buf.h"
#include "contract/chat.h"
#include "contract/picture.h"

#define SEEN_TEXT_MAX      ((size_t)1000) /* bytes of a picture's text in a sentence */
#define SEEN_DOCUMENTS_MAX 10             /* that are told one by one */
#define SEEN_FOUND_MAX     3
#define SEEN_FOUND_TEXT    ((size_t)200) /* bytes of one */

/* ` [picture 1: png, 640 x 480 pixels, white 71 %, black 20 %, 1 face, text "Hello / World"]`; what nobody has looked for is not
 * mentioned. `number`: from 1. */
void seen_add(struct buf *b, unsigned number, const struct picture *p);

/* ` [document 1: report.pdf, pdf, 3 pages, 1234 tokens]`; of many only the first are told, and the rest counted. */
struct seen_documents {
    size_t  count, told; /* so far */
    int64_t tokens;      /* of those that are not told */
};
void seen_add_documents(struct buf *b, struct seen_documents *s, const struct chat_document *d, size_t count);

/* Behind all of them: ` [nearest in report.pdf: "The warranty lasts 24 months."]`, or that there is nothing. */
void seen_add_passages(struct buf *b, const struct seen_documents *s, const struct chat_passage *p, size_t count);

/* ` [knowledge 1, report.pdf: "The warranty lasts 24 months."]` of what knowledge bases have found, the first of them; `marks`: each with
 * `<ref>[1]</ref>` behind it. */
void seen_add_found(struct buf *b, const struct chat_excerpt *f, size_t count, bool marks);

/* Its lines, a line each. */
str seen_text(struct arena *a, const struct picture *p);

/* What stands behind the word and a colon in one of its lines; empty when there is none. */
str seen_value(const struct picture *p, str word);

/* Its lines as Qwen-OCR's advanced_recognition gives them: [{"rotate_rect":…,"location":…,"text":…},…] (chat.md §5.2). */
void seen_add_words(struct buf *b, const struct picture *p);

#endif
