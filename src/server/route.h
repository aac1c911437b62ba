/* route.h - which handler answers what; the rows are data/routes. */
#ifndef DASHBOX_SERVER_ROUTE_H
#define DASHBOX_SERVER_ROUTE_H

#include "contract/request.h"
#include "loop/fiber.h"

enum route_method {
    ROUTE_GET = BIT(0),
    ROUTE_POST = BIT(1),
    ROUTE_PUT = BIT(2),
    ROUTE_DELETE = BIT(3),
    ROUTE_PATCH = BIT(4),
    ROUTE_OPTIONS = BIT(5),
    ROUTE_OTHER = BIT(6),
};

struct route {
    str          path;
    bool         prefix; /* for all paths that begin so */
    unsigned     methods;
    enum surface surface;
    SUSPENDS enum err (*handler)(struct request *rq);
    bool    needs_key;
    int64_t body_max;
    int     body_max_option; /* offset of an int64_t in struct options; -1: body_max counts */
};

extern const struct route route_rows[];
extern const unsigned     route_count;

/* NULL when nothing is served there. The path counts to the letter. */
const struct route *route_find(str path);

/* HEAD counts as GET. */
unsigned route_method(str method);

#endif
