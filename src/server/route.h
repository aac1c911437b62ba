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

/* Whose key a route takes. */
enum route_auth {
    ROUTE_AUTH_NONE,
    ROUTE_AUTH_KEY,   /* a general key, or a temporary one of it */
    ROUTE_AUTH_PLAN,  /* a key of the plan whose base the path begins with */
    ROUTE_AUTH_ADMIN, /* the server's admin key */
};

struct route {
    str          path;
    bool         prefix; /* for all paths that begin so */
    unsigned     methods;
    enum surface surface;
    SUSPENDS enum err (*handler)(struct request *rq);
    enum route_auth auth;
    bool            manages; /* things of the account: its refusals of workspaces are others (E187) */
    bool            pieces;  /* the handler takes the body as it comes, and has its own ceiling for it */
    int64_t         body_max;
    int             body_max_option; /* offset of an int64_t in struct options; -1: body_max counts */
};

extern const struct route route_rows[];
extern const unsigned     route_count;

/* NULL when nothing is served there. The path counts to the letter. */
const struct route *route_find(str path);

/* The same for a request: on a plan's own host (data/plans.txt) the paths stand without the plan's base. */
const struct route *route_of_request(str path, str host);

/* The exact route that a path written in another way means: with doubled slashes, escapes, blanks, punctuation at its
 * end, or
 * full-width characters (E273: the gateway "cannot read the workspace" from such a URL). NULL when there is none. */
const struct route *route_of_malformed(struct arena *a, str path);

/* HEAD counts as GET. */
unsigned route_method(str method);

#endif
