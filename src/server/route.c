/* route.c - looks a path up. */
#include "server/route.h"

const struct route *route_find(str path)
{
    for (unsigned i = 0; i < route_count; i++) {
        const struct route *r = &route_rows[i];

        if (r->prefix ? path.len > r->path.len && str_starts(path, r->path) : str_eq(path, r->path))
            return r;
    }
    return NULL;
}

unsigned route_method(str method)
{
    static const struct {
        str      name;
        unsigned bit;
    } methods[] = {
        { S("POST"), ROUTE_POST },     { S("GET"), ROUTE_GET },     { S("HEAD"), ROUTE_GET },
        { S("DELETE"), ROUTE_DELETE }, { S("PUT"), ROUTE_PUT },     { S("PATCH"), ROUTE_PATCH },
        { S("OPTIONS"), ROUTE_OPTIONS },
    };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (str_eq(methods[i].name, method))
            return methods[i].bit;
    }
    return ROUTE_OTHER;
}
