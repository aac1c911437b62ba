/* scrub.h - takes what is secret out of a text that will be kept in a file.
 *
 * Taken out: the caller's known secrets wherever they stand; keys of the forms sk-… and st-…; what follows "Bearer"; the
 * values of
 * query parameters and of JSON members (also of JSON inside a JSON string) whose name says that they are a key, password,
 * token, signature or cookie. "REMOVED" stands there then. Scrubbing twice is scrubbing once.
 *
 * It goes by form: what does not look like a secret stays.
 */
#ifndef DASHBOX_ENGINE_RECORD_SCRUB_H
#define DASHBOX_ENGINE_RECORD_SCRUB_H

#include "base/buf.h"

#define SCRUB_KNOWN_MIN 8 /* bytes of a known secret: shorter ones are words */

struct scrub_known {
    const str *secrets;
    size_t     count;
};

/* `known` may be NULL. */
void scrub(struct buf *b, str text, const struct scrub_known *known);

/* Whether a header or member of that name holds a secret: "Authorization", "x-api-key", "Set-Cookie", "client_secret". */
bool scrub_is_secret_name(str name);

#endif
