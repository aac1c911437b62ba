/* url.h - http:// and https:// URLs that a client wrote, read strictly.
 *
 * What two readers could understand differently is refused: user names, backslashes, blanks, characters outside of ASCII
 * (they must be escaped), and numbers for an address in any notation but a.b.c.d (octal, hexadecimal, short, one number).
 */
#ifndef DASHBOX_FETCH_URL_H
#define DASHBOX_FETCH_URL_H

#include "base/arena.h"

struct url {
    bool     tls;
    uint16_t port;
    char     host[256];  /* NUL-terminated; an IPv6 address stands in brackets */
    bool     is_address; /* a literal one */
    str      target;     /* "/path?query", in the arena; without the fragment */
};

bool url_parse(str text, struct arena *a, struct url *ret);

/* The URL that `reference` (of a Location field) means beside `base`, as text. */
str url_join(const struct url *base, str reference, struct arena *a);

#endif
