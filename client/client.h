/* client.h - what the files of libdashscope share.
 *
 * A handle owns a loop that runs only inside the handle's calls, and on it a pool of connections. What waits does so on a fiber
 * (client_run); everything else is done on the caller's own stack.
 */
#ifndef DASHBOX_CLIENT_CLIENT_H
#define DASHBOX_CLIENT_CLIENT_H

#include "client/dashscope.h"
#include "contract/json.h"
#include "loop/fiber.h"
#include "net/http_client.h"

#include <stdatomic.h>

#define CLIENT_ANSWER_MAX ((size_t)256 << 20)

struct dashscope {
    struct loop           *loop;
    struct http_pool      *pool; /* NULL: `problem` says why */
    struct tls_context    *tls;  /* NULL until it is needed */
    const char            *ca_file;
    struct arena           arena; /* options */
    str                    key, workspace, user_agent, host;
    str                    paths[2]; /* by protocol: the address's path, without a final "/" */
    const char            *problem;  /* of the options; NULL: none */
    int64_t                idle_ms, time_ms;
    atomic_bool            cancelled; /* the call under way, or the stream that is being read */
    struct dashscope_error error;
    struct arena           error_arena;
};

/* Runs fn(arg), which may suspend, to its end. */
void client_run(struct dashscope *c, void (*fn)(void *arg), void *arg);

/* ---- failing ---- */

/* Nothing has failed. */
void client_forget(struct dashscope *c);
/* At the start of each call: so, and nobody has cancelled. */
void client_begin(struct dashscope *c);
/* Records and returns `result`; the texts are copied. */
enum dashscope_result client_fail(struct dashscope *c, enum dashscope_result result, const char *code, const char *fmt,
                                  ...) PRINTF_LIKE(4, 5);
/* What became of a connection. */
enum dashscope_result client_fail_net(struct dashscope *c, enum dashscope_protocol protocol, enum err e);
/* A refusal of the server, in any of its spellings: native, compatible, or no JSON at all. */
enum dashscope_result client_fail_refused(struct dashscope *c, int status, str body, str request_id);
enum dashscope_result client_fail_unreadable(struct dashscope *c, str body);
/* REF: E243. An input that every call of this kind must have is NULL or empty. */
enum dashscope_result client_fail_missing(struct dashscope *c, const char *what);

/* ---- calling ---- */

struct client_call {
    struct dashscope       *client;
    enum dashscope_protocol protocol;
    const char             *method, *path;
    str                     body;
    bool                    async, stream, oss;
    str                     content_type;                /* empty: JSON */
    SUSPENDS enum err (*body_next)(void *arg, str *ret); /* in place of `body`: net/http_client.h */
    void         *body_arg;
    int64_t       body_len;
    int64_t       time_ms; /* 0: the handle's */
    struct arena *arena;   /* of the call: the answer is in it */

    /* the answer */
    struct http_client *http; /* its head is there, its body not read; NULL when it has failed */
    int                 status;
    str                 request_id;
    bool                is_events; /* text/event-stream */
    enum err            e;
};

/* The handle's context for https; what is wrong, NULL: nothing. */
const char *client_tls(struct dashscope *c);
/* Until the head of an answer of status 2xx is there. Everything else is recorded as a failure, refusals with their body. */
enum dashscope_result client_open(struct client_call *call);
/* The whole body, NUL-terminated, in the call's arena. The connection is given back. */
enum dashscope_result client_body(struct client_call *call, str *ret);
/* Both, and the body as JSON. */
enum dashscope_result client_ask(struct client_call *call, yyjson_val **ret);

/* What it was answered, for the caller to free. */
struct dashscope_answer *client_answer(const struct client_call *call, str body);

/* ---- results that the caller frees ---- */

/* `size` zero bytes with an arena behind them that dashscope_free() ends. */
void         *client_result_new(size_t size);
struct arena *client_result_arena(void *result);

/* ---- writing and reading ---- */

/* A caller's JSON object; *ret is NULL when there is no text. */
enum dashscope_result client_parameters(struct dashscope *c, struct arena *a, const char *text, yyjson_val **ret);
/* A member with its comma, unless the caller's own parameters have one of that name. */
void client_add(struct buf *b, yyjson_val *parameters, const char *name, str json);
/* The caller's own. */
void client_add_parameters(struct buf *b, struct arena *a, yyjson_val *parameters);
/* For a URL's path or query: what is not plain there becomes %XX. */
void client_add_escaped(struct buf *b, str s);
/* What stands behind the last "/" of a file, without what a form's head cannot hold. */
const char *client_form_name(struct arena *a, const char *file);
/* All of it, into a file of this machine, which is not waited for. False: errno says why. */
bool client_write_all(int fd, str s);
/* -1 when it is not told. */
int64_t client_count(yyjson_val *object, const char *name);

#endif
