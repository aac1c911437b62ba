/* request.h - what every layer between the socket and the engine knows of one request.
 *
 * Made by server/request.c when a head has arrived, and gone with its arena when the answer has been sent.
 */
#ifndef DASHBOX_CONTRACT_REQUEST_H
#define DASHBOX_CONTRACT_REQUEST_H

#include "base/rand.h"
#include "contract/chat.h"
#include "contract/fault.h"
#include "loop/fiber.h"

struct access;
struct account;
struct admission;
struct fault_plan;
struct faults;
struct http_exchange;
struct journal;
struct key;
struct model;
struct request;
struct route;
struct services;
struct workspace;

/* Which protocol the client speaks: decides the form of answers and of refusals. */
enum surface { SURFACE_PLAIN, SURFACE_NATIVE, SURFACE_OPENAI, SURFACE_ANTHROPIC, SURFACE_ADMIN };

/* The phases whose times the log line shows, in order: the route and the key; the body comes; it is read against the
 * tables;
 * checked against the model and counted; until the engine's first event (of a whole answer: the last); a stream runs; a
 * whole answer or a refusal is rendered and sent. */
#define PHASES(X)             \
    X(PHASE_ADMIT, "admit")   \
    X(PHASE_BODY, "body")     \
    X(PHASE_READ, "read")     \
    X(PHASE_CHECK, "check")   \
    X(PHASE_FIRST, "first")   \
    X(PHASE_STREAM, "stream") \
    X(PHASE_REPLY, "reply")

#define PHASE_ENUM(name, text) name,
enum phase { PHASES(PHASE_ENUM) PHASE_COUNT };
#undef PHASE_ENUM

/* What the configuration says of limits (access.md §7); 0 is none. */
struct request_limits {
    bool    catalog; /* the published limits of each model hold */
    bool    headers; /* Retry-After, x-ratelimit-…: the service sends none */
    int     region;  /* enum model_region: whose published limits */
    int64_t burst_percent, concurrency;
    int64_t plan_percent;             /* of the published windows of subscription plans */
    int64_t plan_calls;               /* under way at once with a plan's key */
    int64_t route_calls, batch_calls; /* under way at once: of one route, of Batch Chat */
};

/* The model that judges texts (service/guard.h). */
struct request_guard {
    str  model;       /* empty: none */
    bool when_asked;  /* only what X-DashScope-DataInspection asks for */
    bool strict;      /* what is controversial is unsafe */
    bool away_closed; /* no verdict refuses */
};

/* What the configuration says of asynchronous tasks (media.md §1.5). */
struct request_tasks {
    int64_t queued_max;          /* of a model, waiting or running */
    int64_t run_ms, keep_ms;     /* how long one may run; how long it is known after its end */
    int64_t rate;                /* queries, lists, and cancellations a second, each, under the published limits */
    int64_t fetch_ms;            /* for one download of what a client named */
    int64_t lines_max, file_max; /* of a file of texts to embed; bytes */
    str     base;                /* of the URLs of results; empty: as the client found us */
    bool    tls;                 /* over which he did */
    str     events;              /* a URL that is told of each end; empty: none is */
    int64_t events_ms;           /* for one such call */
};

/* What the configuration says of temporary uploads (media.md §2). */
struct request_uploads {
    int64_t file_max, capacity; /* bytes: of a file, of a workspace */
    int64_t keep_ms, policy_ms; /* the life of a file, and of a policy */
    int64_t inline_max;         /* bytes of a file that goes to an engine as a data URI */
    int64_t coming_ms;          /* that long one may take to come in */
    int64_t rate;               /* policies a second, of one model, under the published limits */
};

/* What the configuration says of the account's files (platform.md §1.2). */
struct request_files {
    int64_t document_max, image_max, batch_max, tuning_max; /* bytes */
    int64_t count, capacity, native_count, native_capacity;
    bool    per_workspace;
    int64_t upload_rate, rate; /* a second, under the published limits */
    int64_t deleted_ms;        /* that long what was deleted is known */
};

/* What the configuration says of batches (platform.md §2.1). */
struct request_batches {
    int64_t lines, unfinished; /* of a file; of the account */
    int64_t keep_ms;
};

/* What the configuration says of documents. */
struct request_documents {
    int64_t page_max;
    int64_t inline_max; /* bytes of the texts that an engine behind is given */
};

/* What the configuration says of speech: how many of each a workspace may have made. */
struct request_speech {
    int64_t voices_max, vocabularies_max;
};

/* What the configuration says of applications (platform.md §4). */
struct request_apps {
    int64_t time_ms;   /* for a whole run */
    int64_t rate;      /* calls a minute of one application, under the published limits */
    int64_t plugin_ms; /* for one call of a plug-in */
};

/* What the configuration says of fine-tuning and deployments (platform.md §6). */
struct request_tuning {
    const str *trainer;                  /* words of a command */
    size_t     trainer_count;            /* 0: there is none */
    int64_t    grace_ms;                 /* of its end */
    int64_t    unfinished_max, kept_max; /* jobs of a workspace; 0: any number */
    int64_t    deploy_ms;                /* that a change of a deployment takes */
};

/* What is done with media in chat (the option media.chat). */
enum request_media { REQUEST_MEDIA_REACHABLE, REQUEST_MEDIA_ALL, REQUEST_MEDIA_OFF };

/* The life of temporary keys. */
struct request_tokens {
    int64_t life_s, life_max_s;
};

/* What the configuration says of answers. Replaced whole at a reload; a request keeps the one it began with. */
struct request_settings {
    struct wording_options wording;
    bool                   sse_error_status_200; /* native: a refused stream is HTTP 200 with the error as its event */
    bool                   anthropic_flat;       /* Anthropic: refusals in the flat form alone */
    bool                   anthropic_space;      /* Anthropic: a blank behind the colons of events */
    bool                   cors;
    int64_t                call_ms;    /* for a call that is not streamed */
    str                    batch_host; /* what the Host of Batch Chat begins with; empty: there is none */
    struct request_tokens  tokens;
    struct request_limits  limits;
    struct request_guard   guard;
    struct request_tasks   tasks;
    struct request_uploads uploads;
    struct request_files   files;
    struct request_batches batches;
    struct request_documents documents;
    struct request_speech    speech;
    struct request_apps      apps;
    struct request_tuning    tuning;
    int                      media_chat; /* enum request_media */
    int64_t                  key_max;    /* good keys that may be made through the admin API; 0: any number */
    const struct model      *models;     /* the user's own, beside the catalogue's */
    size_t                   model_count;
};

/* What the server does for each of the tasks of a connection that has many (api/ws). */
struct request_hooks {
    /* Asks again who calls, before another task: the key may have been revoked. */
    SUSPENDS enum err (*renew)(struct request *rq);
    /* The line in the log, the counters, the journal; gives back what the task held. `status` 0: the client has gone. */
    SUSPENDS void (*ended)(struct request *part, int status, enum err e);
    /* For work that goes on behind the call: a request like this one with an arena of its own, or a refusal (E202, E236); and
     * run(own, arg) on a fiber of its own (server/background.h). `run` NULL: it is not wanted after all. */
    enum err (*prepare)(struct request *rq, struct request **ret_own);
    void (*launch)(struct request *own, SUSPENDS void (*run)(struct request *own, void *arg), void *arg);
};

/* Bytes of a body that the journal keeps. */
#define REQUEST_BODY_KEPT ((size_t)64 * 1024)

struct request {
    struct arena                  *arena;
    struct http_exchange          *x;
    struct services               *services; /* the loop thread's own things: engines, caches (service/services.h) */
    const struct request_settings *settings;
    const struct request_hooks    *hooks;
    const struct route            *route;
    enum surface                   surface;
    int64_t                        body_max;         /* bytes, of this route */
    int64_t                        call_ms;          /* what x-dashscope-timeout says; 0: the settings' */
    char                           id[UUID_LEN + 1]; /* x-request-id, request_id */

    /* Who calls (access/account.h); NULL on routes without a key. The snapshot is held until the request has ended. */
    const struct account   *account;
    const struct key       *key;
    bool                    key_is_temporary; /* an st-… key with the rights of `key` */
    const struct workspace *space; /* whose limits and usage count: the key's, or the one that a header names */

    struct fault fault;
    str          key_id;     /* short name of the key, for the log; never the key */
    str          workspace;  /* the id of `space` */
    str          model_name; /* as sent */
    bool         stream;
    bool service_codes; /* OpenAI-compatible: refusals keep the native code, ids are bare (embeddings, rerank) */
    str  allow;         /* methods, for the header field of a 405 */
    bool native_faults; /* OpenAI-compatible: refusals have the native body (streams of responses) */
    bool cut_off;       /* the server stopped before its answer was out */
    bool partial;       /* the time for the call ended first: the answer is what there was by then */

    const char *action;        /* what is being done, for the log and a crash: "waiting for the upstream" */
    str         engine;        /* which engine ran it */
    str         fallback_from; /* the one that was to run it, when that could not be asked */

    struct access    *access;      /* the worker's: limits, money (access/admission.h) */
    struct admission *admission;   /* NULL: none was needed, or not yet */
    _Atomic int64_t  *route_calls; /* under way on this route */
    struct journal   *journal;     /* NULL: off */
    str               body;        /* as it came, for the journal, which takes it over: from xmalloc() */
    bool              multimodal;  /* a message's content is a list of texts and media */

    struct faults     *faults;   /* rules of failures on purpose; NULL: they are off (access/faults.h) */
    struct fault_plan *plan;     /* how this one shall fail; NULL: it shall not */
    str                fault_by; /* who asked for the failure that happened: "header", "rule fault-…" */

    struct chat_usage usage;
    int64_t           started_us;            /* monotonic */
    int64_t           arrived_ms;            /* since 1970 */
    int64_t           phase_us[PHASE_COUNT]; /* time spent in each */
    int64_t           phase_started_us;
    enum phase        phase;
};

/* One task of the connection that `rq` is of: the same caller, its own id, fault, usage and memory, from now on. */
struct request *request_part(const struct request *rq, struct arena *a);

/* Ends the phase that was running and begins this one. */
void request_phase(struct request *rq, enum phase next);

str phase_name(enum phase p);

/* The model of that id, the user's own first; NULL when it is unknown or retired. */
const struct model *request_model(const struct request *rq, str id);

/* For the journal, if there is one: what is said to be the body, at most REQUEST_BODY_KEPT of it. Once. */
void request_keep_body(struct request *rq, str body);

struct yyjson_val;

/* For the journal's sake, of a request that is refused before its body is read. Whatever is wrong with that: then it is not
 * kept. */
SUSPENDS void request_body_for_journal(struct request *rq);

/* The body as a JSON object, parsed in place: it and its texts live as long as the request. Refuses a body that is too
 * large, is not JSON, or is no object (E019, E280). */
SUSPENDS enum err request_json(struct request *rq, struct yyjson_val **ret);

/* "http://127.0.0.1:8420": where the client found us, or the option public_url, for URLs that lead back here. */
str request_base(struct request *rq);

/* A header of the request; empty when there is none. */
str request_header(const struct request *rq, str name);

#endif
