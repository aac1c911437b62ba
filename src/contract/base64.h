/* base64.h - bytes inside JSON (RFC 4648 §4, with padding). */
#ifndef DASHBOX_CONTRACT_BASE64_H
#define DASHBOX_CONTRACT_BASE64_H

#include "base/buf.h"
#include "base/err.h"

void base64_add(struct buf *b, str bytes);
/* ERR_INVALID: it is none. */
enum err base64_read(struct arena *a, str text, str *ret);

#endif
