/* rates.h - how often and how much: requests, tokens, bursts and calls at once.
 *
 * What is limited is a subject and a model: ":account" (no workspace is called so) and a model for the limits of the
 * catalogue, a workspace's id and a
 * model for its administrator's. A request claims both, and gets both or neither. The windows slide, to the millisecond:
 * in no stretch of `span_ms` are more than `limit` let through, and none is refused while fewer were. Refused requests
 * count nowhere.
 *
 *      rates_admit ---> rates_reserve ---> rates_settle      the call has ended: what it really used
 *           |                |   \-------> rates_undo        a later check refuses it: as if it had never come
 *           +-- refused      +-- refused                     nothing is held any more
 *
 * Tokens: a call is admitted while less than the limit is booked, its prompt is reserved when it still fits, and what the
 * answer comes to is booked at the end. That may go beyond the limit, and then blocks what comes later.
 *
 * The state is in this process, or in a Valkey or Redis server that several processes share; both count the same way. When
 * that server is away, the policy decides at once: RATES_OPEN admits uncounted, RATES_CLOSED fails with ERR_UNREACHABLE.
 * A call under way holds a lease there, which its view renews until it ends: so a place is held however long a stream is, and
 * not much longer than the lease when a process died, or the server was away as the call ended.
 *
 * Thread: struct rates is shared; a view belongs to one worker's loop.
 * Time:   the service's clock (clock_unix_ms()). When it is moved back by more than a minute, what was counted counts as
 * just
 *         before the new time; less is taken for two workers that overtook each other, and time stands still that long.
 * Spec:   access.md §7.
 */
#ifndef DASHBOX_ACCESS_RATES_H
#define DASHBOX_ACCESS_RATES_H

#include "base/err.h"
#include "base/str.h"
#include "contract/model.h"
#include "loop/fiber.h"

#define RATE_WINDOWS_MAX 4
#define RATE_CLAIMS_MAX  4

struct rate_window {
    int64_t limit, span_ms; /* { 50, 6000 }: 50 in 6 seconds; a limit of 0 refuses everything */
};

struct rate_limits {
    struct rate_window requests[RATE_WINDOWS_MAX], tokens[RATE_WINDOWS_MAX];
    unsigned           request_windows, token_windows;
    int64_t            concurrency;   /* calls at once; 0: no limit */
    int64_t            burst_percent; /* the last second's requests, at most, against the mean second of the last minute
                                       * (which counts as at least one request); 0: no limit, else 100 and more */
};

struct rate_claim {
    str                       subject, model; /* copied where they are kept */
    const struct rate_limits *limits;         /* copied */
};

/* In the order in which they are looked at (access.md §7.4). */
enum rate_refusal {
    RATE_ADMITTED,
    RATE_REQUESTS,    /* E204 */
    RATE_BURST,       /* E205 */
    RATE_TOKENS,      /* E206 */
    RATE_CONCURRENCY, /* E202 */
};

/* What is left of the window with the least left, for x-ratelimit-*. */
struct rate_left {
    int64_t limit;     /* -1: no such window */
    int64_t remaining; /* after this request */
    int64_t reset_ms;  /* until all of the limit is there again, if nothing more comes */
};

struct rate_state {
    enum rate_refusal refusal;
    size_t            claim; /* which of the claims was refused so, the first of them; of rates_admit() alone */
    int64_t retry_ms;        /* when it would be admitted at the earliest, for Retry-After; 0: nobody knows, or never */
    struct rate_left requests, tokens;
};

/* What a request holds, in the request's memory. All zero is a ticket that holds nothing, and so is one that was settled,
 * undone or refused: settling and undoing it does nothing. */
struct rate_key;
struct rate_lease;
struct rate_ticket {
    struct {
        struct rate_key   *key;
        struct rate_window tokens[RATE_WINDOWS_MAX];
        unsigned           token_windows;
        bool               counts_calls;
        int64_t            admitted_ms, reserved_ms; /* when it was counted there */
    } claims[RATE_CLAIMS_MAX];
    unsigned           count; /* 0: holds nothing */
    int64_t            reserved;
    char               id[24]; /* in the shared server */
    struct rate_lease *lease;  /* of its place there */
};

/* ---- life ---- */

enum rates_away { RATES_OPEN, RATES_CLOSED };

struct rates_options {
    /* Empty: in this process. redis://[[user]:password@]host[:port][/db], unix:/path[?db=N]. */
    str             url;
    enum rates_away away;
    int64_t         timeout_ms; /* of a question to the server; 0: 100 */
    int64_t         lease_ms;   /* a call counts so long after its process was last heard of; 0: a minute */
};

struct rates;
struct rates_view;

/* ERR_INVALID for a URL that is none. Does not wait for the server. */
enum err rates_open(const struct rates_options *o, struct rates **ret);
/* After all views, and the loops that they were on. */
void rates_close(struct rates *r);

/* A worker's view, on its loop's thread. */
struct rates_view *rates_view_open(struct rates *r, struct loop *l);
/* When no request is under way any more. Its connection ends before the loop does; what was neither settled nor undone counts
 * until its lease is over. */
void rates_view_close(struct rates_view *v);

/* Forgets everything that was counted, but not the calls under way. */
SUSPENDS void rates_reset(struct rates_view *v);

/* ---- requests ---- */

/* All claims or none. OK: `ticket` holds them. ERR_LIMIT: refused, and *ret says why. ERR_UNREACHABLE: the server is away
 * and the policy is closed. *ret is written in the first two cases. */
SUSPENDS enum err rates_admit(struct rates_view *v, const struct rate_claim *claims, size_t count, int64_t now_ms,
                              struct rate_ticket *ticket, struct rate_state *ret);

/* The prompt's tokens, once a ticket. Results as above, ERR_LIMIT always with RATE_TOKENS; `ret->requests` is as
 * rates_admit()
 * left it. Unless OK the ticket has been undone. */
SUSPENDS enum err rates_reserve(struct rates_view *v, struct rate_ticket *ticket, int64_t tokens, int64_t now_ms,
                                struct rate_state *ret);

/* The call has ended, well or not, and has used so many tokens in all, the prompt's included. */
SUSPENDS void rates_settle(struct rates_view *v, struct rate_ticket *ticket, int64_t tokens, int64_t now_ms);

/* The request was refused by another check. */
SUSPENDS void rates_undo(struct rates_view *v, struct rate_ticket *ticket, int64_t now_ms);

/* ---- the catalogue ---- */

/* The published limits of a model in MODEL_CN or MODEL_INTL; where that region has none, those of the other. Per minute
 * also
 * holds per second, a sixtieth, from 60 a minute on; for tokens only as far as the longest prompt fits. */
void rate_limits_of(const struct model *m, enum model_region region, struct rate_limits *ret);

#endif
