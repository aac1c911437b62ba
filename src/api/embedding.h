/* embedding.h - vectors as JSON, for the surfaces that have them. */
#ifndef DASHBOX_API_EMBEDDING_H
#define DASHBOX_API_EMBEDDING_H

#include "base/buf.h"
#include "contract/embed.h"

/* [-0.069,0.03], with all digits; or "AACAPw==", 32-bit numbers, little-endian, in Base64. */
void embedding_add(struct buf *b, const struct embed_answer *a, size_t index, enum embed_encoding encoding);

/* Makes room for all of them, so that the body grows once. */
void embedding_room(struct buf *b, const struct embed_answer *a);

#endif
