/* config.h - the configuration: a YAML file, the command line, and defaults from data/options.txt.
 *
 * Read before the loops start, and again on SIGHUP: a new struct config each time, never changed once it is in use.
 */
#ifndef DASHBOX_SERVER_CONFIG_H
#define DASHBOX_SERVER_CONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "contract/fault.h"
#include "server/options.gen.h"

enum option_type { OPTION_TEXT, OPTION_PATH, OPTION_INT, OPTION_MS, OPTION_BYTES, OPTION_BOOL, OPTION_CHOICE };

struct option {
    str              name; /* "time.head" */
    enum option_type type;
    size_t           offset; /* in struct options */
    int64_t          min, max;
    const str       *choices;
    unsigned         choice_count;
    bool             until_restart; /* SIGHUP does not change it */
};

extern const struct option option_rows[];
extern const unsigned      option_count;

/* One server that an engine may ask. */
struct config_endpoint {
    str     url; /* "http://127.0.0.1:8000/v1" */
    str     api_key;
    int64_t weight;
};

struct config_pair {
    str    from, to;
    size_t line; /* of `to` in the file */
};

/* An engine of the list `engines`: somebody else's server, or a child of ours. */
struct config_engine {
    str                     name;
    struct config_endpoint *endpoints; /* `upstream`: one URL, or a list */
    size_t                  endpoint_count;
    str                     api_key; /* of the endpoints that have none of their own */
    str                     command; /* `command`: a child to start */
    str                    *words;   /* of it */
    size_t                  word_count;
    str                     model_file; /* what {model} in it stands for */
    struct config_pair     *models;     /* `models`: our id (or pattern with *) → theirs */
    size_t                  model_count;
    struct config_pair     *headers; /* sent with every request */
    size_t                  header_count;
    bool                    images; /* serves the images API */
    bool                    cloud;  /* it speaks the contract itself: its refusals are passed on word for word */
    str                     health_path;
    int64_t                 health_ms, connect_ms, first_ms, between_ms;
    int64_t                 retries;
    str                     fallback;          /* the engine that is asked when this one cannot be reached */
    size_t                  fallback_line;     /* where the file says so */
    bool                    lazy;              /* a child that is started when it is first needed */
    int64_t                 ready_ms, wait_ms; /* a child's start; a request's patience meanwhile */
};

/* `route`: which engine answers for which model; the first pattern that fits. */
struct config_route {
    str    model; /* with * as a wildcard */
    str    engine;
    size_t line;
};

/* `models`: an id of the user's own, like a known one. */
struct config_model {
    str     id, like;                       /* `like` is in the catalogue */
    int64_t context, input, output, budget; /* `limits`; 0: those of `like` */
    str     workspace;                      /* the only one that may call it; empty: all */
};

struct config {
    struct arena           arena;
    struct options         options;
    str                    file; /* empty: none */
    str                   *api_keys;
    size_t                 api_key_count;
    struct config_engine  *engines;
    size_t                 engine_count;
    struct config_route   *routes;
    size_t                 route_count;
    struct config_model   *models;
    size_t                 model_count;
    str                   *trainer; /* words of tuning.trainer; none: there is none */
    size_t                 trainer_count;
    struct wording_options wording;
    str                    key_problem; /* an engine's key that is not there; what replays needs none */
};

/* The defaults. */
struct config *config_new(void);
void           config_free(struct config *c);

/* Reads the file over what is there, and checks what it says of engines, routes and models. ERR_INVALID: *ret_problem says
 * where and what, in the config's arena. */
enum err config_read(struct config *c, const char *path, str *ret_problem);

/* One option by its name, from the command line. The same errors. */
enum err config_set(struct config *c, str name, str value, str *ret_problem);

/* A copy with its texts; and whether one option is the same in both. */
void options_copy(struct arena *a, struct options *to, const struct options *from);
bool option_equal(const struct option *o, const struct options *a, const struct options *b);

void config_add_key(struct config *c, str key);

/* After all has been read: derives what follows from the options (wording, paths with ~). */
enum err config_finish(struct config *c, str *ret_problem);

#endif
