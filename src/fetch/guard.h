/* guard.h - which addresses a URL that a client wrote may lead to.
 *
 * Only addresses of the public internet, unless the operator names a network. The judge sees the numeric address that is
 * then connected to, so neither a name that changes its mind (DNS rebinding) nor an odd spelling gets around it.
 */
#ifndef DASHBOX_FETCH_GUARD_H
#define DASHBOX_FETCH_GUARD_H

#include "access/network.h"
#include "base/arena.h"
#include "loop/stream.h"

struct guard {
    struct network *refused, *allowed;
    size_t          refused_count, allowed_count;
};

/* `allow` is networks parted by blanks, "127.0.0.0/8 ::1". False when one of them is none: *ret_wrong is that word. */
bool guard_init(struct guard *g, str allow, struct arena *a, str *ret_wrong);

bool guard_allows(const struct guard *g, const struct address *at);

#endif
