/* encoding.h - text in any encoding.
 *
 * A byte order mark decides, then whether the bytes are UTF-8 (nearly all of them: a broken one does not make it something else), then
 * zero bytes at every second place (UTF-16), then which of the encodings of East Asia has the characters that texts are made of where
 * the bytes are; what is none of them is windows-1252. The converters are glibc's.
 */
#ifndef DASHBOX_DOCUMENT_ENCODING_H
#define DASHBOX_DOCUMENT_ENCODING_H

#include "base/buf.h"

/* Opens the converters, which lie in files. */
void encoding_begin(void);

/* The text as UTF-8: the bytes themselves, which out.c makes valid, or what they are converted to in `b`, which is full when it is
 * too long. What cannot be converted becomes U+FFFD. False when the bytes are no text. */
bool encoding_to_utf8(str bytes, struct buf *b, str *ret);

#endif
