/* route.c - looks a path up. */
#include "server/route.h"

#include "contract/plan.h"
#include "net/http1.h"

#define PLAN_PATH_MAX 256 /* longer ones are no route of a plan */

static const struct route *find(str path)
{
    for (unsigned i = 0; i < route_count; i++) {
        const struct route *r = &route_rows[i];

        if (r->prefix ? path.len > r->path.len && str_starts(path, r->path) : str_eq(path, r->path))
            return r;
    }
    return NULL;
}

const struct route *route_find(str path)
{
    const struct route *r = find(path);

    if (r || !str_ends(path, S("/")))
        return r;
    r = find(str_first(path, path.len - 1)); /* several of the service's pages print both (media.md §0.3) */
    return r && r->surface == SURFACE_NATIVE && r->methods & ROUTE_POST ? r : NULL;
}

const struct route *route_of_request(str path, str host)
{
    const struct plan *p = plan_of_host(host);
    char               text[PLAN_PATH_MAX];

    if (!p)
        return route_find(path);
    if (p->base.len + path.len > sizeof(text))
        return NULL;
    memcpy(text, p->base.ptr, p->base.len);
    memcpy(text + p->base.len, path.ptr, path.len);
    return route_find(str_of(text, p->base.len + path.len));
}

/* The half-width form of a full-width character (U+FF01..U+FF5E) at `at`; 0 for another. */
static char half_width(str s, size_t at)
{
    unsigned char second, third;

    if (s.len - at < 3 || (unsigned char)s.ptr[at] != 0xef)
        return 0;
    second = (unsigned char)s.ptr[at + 1];
    third = (unsigned char)s.ptr[at + 2];
    if (second == 0xbc && third >= 0x81 && third <= 0xbf)
        return (char)(third - 0x81 + '!');
    if (second == 0xbd && third >= 0x80 && third <= 0x9e)
        return (char)(third - 0x80 + '`');
    return 0;
}

const struct route *route_of_malformed(struct arena *a, str path)
{
    str    plain = http_unescape(a, path);
    char  *text = arena_bytes(a, plain.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < plain.len; i++) {
        char c = plain.ptr[i], half = half_width(plain, i);

        if (half) {
            c = half;
            i += 2;
        }
        if (c == ' ' || c == '\t' || (c == '/' && len && text[len - 1] == '/'))
            continue;
        text[len++] = c;
    }
    while (len && memchr(".,;:!?'\")>", text[len - 1], sizeof(".,;:!?'\")>") - 1))
        len--;
    if (str_eq(str_of(text, len), path)) /* nothing is wrong with its form */
        return NULL;
    return route_find(str_of(text, len));
}

unsigned route_method(str method)
{
    static const struct {
        str      name;
        unsigned bit;
    } methods[] = {
        { S("POST"), ROUTE_POST },       { S("GET"), ROUTE_GET }, { S("HEAD"), ROUTE_GET },
        { S("DELETE"), ROUTE_DELETE },   { S("PUT"), ROUTE_PUT }, { S("PATCH"), ROUTE_PATCH },
        { S("OPTIONS"), ROUTE_OPTIONS },
    };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (str_eq(methods[i].name, method))
            return methods[i].bit;
    }
    return ROUTE_OTHER;
}
