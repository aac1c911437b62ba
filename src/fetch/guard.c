/* guard.c - the networks that are not the public internet. Source: IANA's registries of special-purpose addresses. */
#include "fetch/guard.h"

static const str special[] = {
    S("0.0.0.0/8"),       /* this host */
    S("10.0.0.0/8"),      /* private */
    S("100.64.0.0/10"),   /* shared by carriers; 100.100.100.200 tells a cloud's machine about itself */
    S("127.0.0.0/8"),     /* loopback */
    S("168.63.129.16"),   /* another cloud's own */
    S("169.254.0.0/16"),  /* link-local; 169.254.169.254 likewise */
    S("172.16.0.0/12"),   /* private */
    S("192.0.0.0/24"),    /* protocols */
    S("192.0.2.0/24"),    /* documentation */
    S("192.88.99.0/24"),  /* 6to4 relays */
    S("192.168.0.0/16"),  /* private */
    S("198.18.0.0/15"),   /* measurements */
    S("198.51.100.0/24"), /* documentation */
    S("203.0.113.0/24"),  /* documentation */
    S("224.0.0.0/4"),     /* multicast */
    S("240.0.0.0/4"),     /* reserved, and the broadcast */
    /* of 2000::/3, outside of which nothing is public */
    S("2001::/23"),     /* protocols, Teredo among them */
    S("2001:db8::/32"), /* documentation */
    S("2002::/16"),     /* 6to4: an IPv4 address is inside */
    S("3fff::/20"),     /* documentation */
};

bool guard_init(struct guard *g, str allow, struct arena *a, str *ret_wrong)
{
    str rest = allow;

    *g = (struct guard){ .refused = arena_array(a, struct network, ARRAY_LEN(special)),
                         .allowed = arena_array(a, struct network, allow.len / 2 + 1) };
    for (size_t i = 0; i < ARRAY_LEN(special); i++) {
        bool good = network_parse(special[i], &g->refused[g->refused_count++]);

        ASSERT(good);
    }
    while (rest.len) {
        str word = str_cut(&rest, ' ');

        if (!word.len)
            continue;
        if (!network_parse(word, &g->allowed[g->allowed_count++])) {
            *ret_wrong = word;
            return false;
        }
    }
    return true;
}

/* ::ffff:a.b.c.d and the like never come from a look-up of a public name: only somebody who hides an address writes them. */
static bool is_public_form(const struct address *at)
{
    return at->sa.sa_family == AF_INET || (at->in6.sin6_addr.s6_addr[0] & 0xe0) == 0x20;
}

bool guard_allows(const struct guard *g, const struct address *at)
{
    char text[ADDRESS_TEXT_MAX];

    if (at->sa.sa_family != AF_INET && at->sa.sa_family != AF_INET6)
        return false;
    address_format(at, text);
    if (network_has(g->allowed, g->allowed_count, str_from_cstr(text)))
        return true;
    return is_public_form(at) && !network_has(g->refused, g->refused_count, str_from_cstr(text));
}
