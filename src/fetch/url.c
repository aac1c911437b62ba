/* url.c - URLs. Source: RFC 3986, and the URL standard's rule that a host whose last label is a number is an address. */
#include "fetch/url.h"

#include <arpa/inet.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' || c == '-' || c == '_';
}

/* The last label is a number, decimal or 0x…: the host is meant to be an IPv4 address. */
static bool ends_in_number(str host)
{
    size_t start, digits = 0;

    if (str_ends(host, S(".")))
        host.len--;
    for (start = host.len; start > 0 && host.ptr[start - 1] != '.'; start--)
        digits += is_digit(host.ptr[start - 1]);
    host = str_from(host, start);
    return host.len && (digits == host.len || str_starts_nocase(host, S("0x")));
}

static bool read_host(str host, struct url *u)
{
    unsigned char address[16];

    if (!host.len || host.len >= sizeof(u->host))
        return false;
    memcpy(u->host, host.ptr, host.len);
    u->host[host.len] = 0;
    if (host.ptr[0] == '[') {
        char inside[sizeof(u->host)];

        memcpy(inside, host.ptr + 1, host.len - 2);
        inside[host.len - 2] = 0;
        u->is_address = true;
        return inet_pton(AF_INET6, inside, address) == 1;
    }
    for (size_t i = 0; i < host.len; i++) {
        if (!is_host_char(host.ptr[i]))
            return false;
    }
    if (!ends_in_number(host))
        return host.ptr[0] != '.';
    u->is_address = true;
    return inet_pton(AF_INET, u->host, address) == 1; /* four decimal numbers without leading zeros */
}

/* "host", "host:port", "[::1]:port"; an empty port is the scheme's. */
static bool read_authority(str text, struct url *u)
{
    size_t   end = text.len && text.ptr[0] == '[' ? str_find(text, ']') : str_find(text, ':');
    str      host, port;
    uint64_t number;

    if (text.len && text.ptr[0] == '[') {
        if (end == STR_NONE || end < 2)
            return false;
        end++;
    }
    host = str_first(text, end);
    port = str_from(text, host.len);
    if (!read_host(host, u))
        return false;
    if (!port.len)
        return true;
    if (port.ptr[0] != ':')
        return false;
    port = str_from(port, 1);
    if (!port.len)
        return true;
    if (port.len > 5 || !str_to_u64(port, &number) || number < 1 || number > 65535)
        return false;
    u->port = (uint16_t)number;
    return true;
}

bool url_parse(str text, struct arena *a, struct url *ret)
{
    struct url u = { .port = 80 };
    size_t     end;
    str        rest;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || text.ptr[i] == '\\')
            return false;
    }
    if (str_starts_nocase(text, S("https://"))) {
        u.tls = true;
        u.port = 443;
        rest = str_from(text, 8);
    } else if (str_starts_nocase(text, S("http://"))) {
        rest = str_from(text, 7);
    } else {
        return false;
    }
    rest = str_first(rest, str_find(rest, '#'));
    end = str_find(rest, '/') < str_find(rest, '?') ? str_find(rest, '/') : str_find(rest, '?');
    if (!read_authority(str_first(rest, end), &u)) /* an "@" is no character of a host */
        return false;
    rest = str_from(rest, end);
    u.target = rest.len && rest.ptr[0] == '/' ? arena_str(a, rest) : arena_printf(a, "/%.*s", STR_ARG(rest));
    *ret = u;
    return true;
}

/* Where the last "/" of the path is. */
static size_t folder_len(str target)
{
    size_t n = str_find(target, '?') == STR_NONE ? target.len : str_find(target, '?');

    while (n > 0 && target.ptr[n - 1] != '/')
        n--;
    return n;
}

str url_join(const struct url *base, str reference, struct arena *a)
{
    const char *scheme = base->tls ? "https" : "http";
    size_t      colon = str_find(reference, ':'), slash = str_find(reference, '/');
    str         before;

    if (colon != STR_NONE && (slash == STR_NONE || colon < slash))
        return reference; /* it has a scheme */
    if (str_starts(reference, S("//")))
        return arena_printf(a, "%s:%.*s", scheme, STR_ARG(reference));
    if (str_starts(reference, S("/")))
        before = S("");
    else if (str_starts(reference, S("?")))
        before = str_first(base->target, str_find(base->target, '?'));
    else
        before = str_first(base->target, folder_len(base->target));
    return arena_printf(a, "%s://%s:%u%.*s%.*s", scheme, base->host, base->port, STR_ARG(before), STR_ARG(reference));
}
