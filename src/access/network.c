/* network.c - addresses and blocks of addresses. */
#include "access/network.h"

#include <arpa/inet.h>

#define BITS_V4_START 96 /* where an IPv4 address begins in the IPv6 form */

/* The address in IPv6's form; *ret_v4 says how it was written. */
static bool address_read(str text, unsigned char ret[16], bool *ret_v4)
{
    char           copy[INET6_ADDRSTRLEN];
    struct in_addr v4;

    if (!text.len || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    *ret_v4 = inet_pton(AF_INET, copy, &v4) == 1;
    if (!*ret_v4)
        return inet_pton(AF_INET6, copy, ret) == 1;
    memset(ret, 0, 10);
    memset(ret + 10, 0xff, 2);
    memcpy(ret + 12, &v4, 4);
    return true;
}

bool network_parse(str text, struct network *ret)
{
    bool           with_bits = str_find(text, '/') != STR_NONE, v4;
    str            address = str_cut(&text, '/');
    struct network n;
    uint64_t       bits;

    if (!address_read(address, n.address, &v4))
        return false;
    bits = v4 ? 32 : 128;
    if (with_bits && (!str_to_u64(text, &bits) || bits > (v4 ? 32 : 128)))
        return false;
    n.bits = (unsigned)bits + (v4 ? BITS_V4_START : 0);
    *ret = n;
    return true;
}

static bool covers(const struct network *n, const unsigned char address[16])
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;

    if (memcmp(n->address, address, whole) != 0)
        return false;
    return rest == 0 || (n->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

bool network_has(const struct network *blocks, size_t count, str address)
{
    unsigned char bytes[16];
    bool          v4;

    if (str_starts(address, S("["))) {
        address = str_from(address, 1);
        address = str_cut(&address, ']');
    } else if (str_find(address, '.') != STR_NONE) { /* "::1" has colons, but no port */
        size_t colon = str_find(address, ':');

        /* an IPv4 address in IPv6's form, "::ffff:10.0.0.1", begins with one */
        if (colon != STR_NONE && colon > str_find(address, '.'))
            address = str_first(address, colon);
    }
    if (!address_read(address, bytes, &v4))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (covers(&blocks[i], bytes))
            return true;
    }
    return false;
}
