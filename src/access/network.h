/* network.h - addresses and blocks of addresses: "10.0.0.0/8", "2001:db8::/32", "::1". */
#ifndef DASHBOX_ACCESS_NETWORK_H
#define DASHBOX_ACCESS_NETWORK_H

#include "base/str.h"

/* IPv4 stands in IPv6's form (::ffff:a.b.c.d), so that one comparison serves both. */
struct network {
    unsigned char address[16];
    unsigned      bits; /* that count, from the left */
};

/* An address with or without "/bits". */
bool network_parse(str text, struct network *ret);

/* Whether `address`, as a peer's address is written ("10.1.2.3:4567", "[::1]:4567", with or without the port), is in one of
 * the blocks. False for what is no such address. */
bool network_has(const struct network *blocks, size_t count, str address);

#endif
