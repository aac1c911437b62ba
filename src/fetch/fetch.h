/* fetch.h - downloads what a client names: http and https URLs, data URIs, temporary uploads of its own (oss://), and files
 * where the operator allows them.
 *
 *      the URL is read → (looked up once → each address judged → connected to that very address → head checked)
 *                             ^                                                              |
 *                             +---------------- redirect, at most `redirects` ---------------+
 *                        → the body goes to a spool file as it comes, never more than `size_max` bytes of it
 *
 * A file whose answer had an ETag or a Last-Modified is kept for a while, and asked for with them when its URL is named again (kept.h).
 *
 * So nothing that a client names leads to this machine or its network (guard.h), by no spelling, redirect or change of a
 * name's address. The spool file has no name: it is gone when it is closed, also after kill -9.
 *
 * It knows no refusal of the contract: each caller maps the enum to its own rows.
 *
 * Thread: a fetcher belongs to a loop. Files are read and written on the lane.
 * Memory: what it gives is in the caller's arena, and the descriptor is closed with that.
 */
#ifndef DASHBOX_FETCH_FETCH_H
#define DASHBOX_FETCH_FETCH_H

#include "base/arena.h"
#include "loop/fiber.h"
#include "loop/lane.h"
#include "net/http1.h"

struct fetcher;
struct results;
struct store;

/* What went wrong, with its words for the log. */
#define FETCH_ERRORS(X)                                                                   \
    X(FETCH_OK, "downloaded")                                                             \
    X(FETCH_URL, "the URL cannot be read")                                                \
    X(FETCH_SCHEME, "a URL of this kind is not taken")                                    \
    X(FETCH_FORBIDDEN, "the address is not one of the public internet")                   \
    X(FETCH_NAME, "the name has no address")                                              \
    X(FETCH_REFUSED, "the connection was refused")                                        \
    X(FETCH_UNREACHABLE, "the server cannot be reached")                                  \
    X(FETCH_TIMEOUT, "the download took too long")                                        \
    X(FETCH_REDIRECTS, "too many redirects, or one to nowhere")                           \
    X(FETCH_DENIED, "the server denies access")                                           \
    X(FETCH_STATUS, "the server did not answer 200")                                      \
    X(FETCH_TYPE, "the Content-Type is none that is taken")                               \
    X(FETCH_NO_LENGTH, "the answer has no Content-Length")                                \
    X(FETCH_TOO_LARGE, "it is too large")                                                 \
    X(FETCH_BROKEN, "the answer broke off, or is no HTTP")                                \
    X(FETCH_GONE, "there is no such upload of this workspace for this model, or no more") \
    X(FETCH_SPOOL, "the spool file cannot be written")                                    \
    X(FETCH_CANCELLED, "cancelled")

#define FETCH_ENUM(name, text) name,
enum fetch_error { FETCH_ERRORS(FETCH_ENUM) };
#undef FETCH_ENUM

str fetch_error_text(enum fetch_error e);

struct fetch_options {
    str          allow;      /* networks that may be reached all the same, parted by blanks */
    str          files;      /* the folder whose files file:// URLs may name; empty: none */
    str          spool;      /* the folder of spool files; made when it is missing */
    int64_t      redirects;  /* followed */
    int64_t      connect_ms; /* look-up, connecting, TLS */
    struct lane *lane;
};

/* ERR_INVALID: *ret_problem is a word of `allow` that is no network. */
enum err fetcher_open(const struct fetch_options *o, struct fetcher **ret, str *ret_problem);
/* Where temporary uploads are known, and where they lie: oss:// is taken from now on. */
void fetcher_uploads_set(struct fetcher *f, struct store *store, const struct results *uploads);
/* When none of its downloads is under way any more. */
void fetcher_close(struct fetcher *f);

struct fetch_request {
    str        url;
    str        workspace, model; /* who may read an upload, and for what; no workspace: oss:// is not taken */
    int64_t    size_max;         /* bytes */
    int64_t    time_ms;          /* for all of it, redirects included */
    bool       need_length;      /* an answer without Content-Length is refused */
    const str *types;            /* the Content-Types that are taken, "image/png"; none: all */
    size_t     type_count;
};

#define FETCH_HASH_LEN 64

struct fetched {
    int     fd; /* readable, at its start; closed with the arena */
    int64_t size;
    str     type;                     /* as declared, without parameters, lower case; empty: not declared */
    int     status;                   /* of FETCH_STATUS and FETCH_DENIED, too; 0: there was none */
    char    hash[FETCH_HASH_LEN + 1]; /* SHA-256 of the content; "" for a file or an upload */
};

SUSPENDS enum fetch_error fetch(struct fetcher *f, struct arena *a, const struct fetch_request *rq,
                                struct fetched *ret);

/* ---- calls ---- */

/* Calls an HTTP service that somebody else named, guarded as a download is. The answer is in memory, whatever its status; no redirect
 * is followed. */
struct fetch_call {
    str                      method, url;
    const struct http_field *fields; /* Host and Content-Length are added */
    size_t                   field_count;
    str                      body;
    bool                     has_body;
    int64_t                  time_ms, answer_max; /* for all of it; bytes */
};

struct fetch_answer {
    int status;
    str type; /* as declared, without parameters, lower case */
    str body; /* in the arena */
};

SUSPENDS enum fetch_error fetch_call(struct fetcher *f, struct arena *a, const struct fetch_call *call,
                                     struct fetch_answer *ret);

#endif
