/* dashscope.h - libdashscope, a C client of the Qwen Cloud API (DashScope): the cloud itself, or dashbox.
 *
 *     struct dashscope             *c = dashscope_open(NULL);  // key and address from the environment
 *     struct dashscope_message      m = { .role = "user", .content = "hello" };
 *     struct dashscope_chat_input   q = { .model = "qwen-plus", .messages = &m, .message_count = 1 };
 *     struct dashscope_stream      *s;
 *     const struct dashscope_chunk *k;
 *
 *     if (dashscope_chat_open(c, &q, &s) == DASHSCOPE_OK) {
 *         while (dashscope_chat_next(s, &k) == DASHSCOPE_OK)
 *             fputs(k->text, stdout);
 *         dashscope_chat_close(s);
 *     }
 *     if (dashscope_last_error(c)->result)
 *         fprintf(stderr, "%s\n", dashscope_last_error(c)->message);
 *     dashscope_close(c);
 *
 * Calls block until they are done, have failed, have reached their time, or are cancelled.
 *
 * Threads: the library keeps nothing outside its handles. A handle, with its streams, is used by one thread at a time;
 *          several threads have one each. Only dashscope_cancel() may come from anywhere.
 * Memory:  what is given to a function is copied or done with when it returns. What a function gives out says how long it
 *          holds. Running out of memory ends the process.
 * Text:    UTF-8, ended by a NUL. Times are milliseconds.
 * Signals: none are used; SIGPIPE is held off during calls.
 */
#ifndef DASHSCOPE_H
#define DASHSCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DASHSCOPE_API __attribute__((visibility("default")))
#else
#define DASHSCOPE_API
#endif

/* ---- the handle ---- */

struct dashscope;

/* NULL and 0 stand for what is in brackets. Members may be added at the end: begin with `= { 0 }`. */
struct dashscope_options {
    const char *api_key;    /* [DASHSCOPE_API_KEY] */
    const char *base_url;   /* of the native protocol: http(s)://HOST[:PORT]/api/v1
                           * [DASHSCOPE_HTTP_BASE_URL, else DASHSCOPE_BASE_URL]. The compatible protocol is looked for at
                           * /compatible-mode/v1 in place of /api/v1; an address that does not end so is taken for both */
    const char *workspace;  /* X-DashScope-WorkSpace [none] */
    const char *ca_file;    /* PEM, for https [the system's authorities]; servers' certificates are always verified */
    const char *user_agent; /* [libdashscope/VERSION] */
    int64_t     connect_ms; /* to look the name up, to connect, and for TLS [5000] */
    int64_t     idle_ms;    /* until an answer begins, and between two pieces of it [300000] */
    int64_t     time_ms;    /* a call from its beginning to its end, a stream's too [no limit] */
};

#define DASHSCOPE_BASE_URL "https://dashscope.aliyuncs.com/api/v1"

/* Sends nothing. What is wrong with the options is told by the first call. `o` may be NULL. NULL when the system has no
 * descriptors left. Connections are kept and used again. */
DASHSCOPE_API struct dashscope *dashscope_open(const struct dashscope_options *o);
/* Behind its streams. NULL is nothing. */
DASHSCOPE_API void dashscope_close(struct dashscope *c);

/* Ends the call under way, and the stream that is being read, with DASHSCOPE_CANCELLED. From any thread, and from signal
 * handlers, but not once dashscope_close() has begun. When nothing is under way the next call does not notice. */
DASHSCOPE_API void dashscope_cancel(struct dashscope *c);

/* ---- errors ---- */

enum dashscope_result {
    DASHSCOPE_OK = 0,
    DASHSCOPE_END,           /* no more chunks: the answer is whole */
    DASHSCOPE_INPUT,         /* an argument is missing or malformed; nothing was sent */
    DASHSCOPE_NO_KEY,        /* nothing was sent */
    DASHSCOPE_NO_CONNECTION, /* no server there, its certificate is not good, or it hung up before it answered */
    DASHSCOPE_TIMEOUT,
    DASHSCOPE_CANCELLED,
    DASHSCOPE_UNREADABLE, /* the answer is not as the protocol says, or broke off */
    DASHSCOPE_REFUSED     /* by the server: `status`, `code`, `message` are its own */
};

struct dashscope_error {
    enum dashscope_result result;
    int                   status;     /* of HTTP; 0: no answer */
    const char           *code;       /* "InvalidParameter"; never NULL */
    const char           *message;    /* one sentence; never NULL */
    const char           *request_id; /* of the server; "" when there is none */
};

/* Of the last call with this handle, `result` DASHSCOPE_OK when it did not fail. Holds until the next call. */
DASHSCOPE_API const struct dashscope_error *dashscope_last_error(const struct dashscope *c);

/* ---- chat ---- */

enum dashscope_protocol {
    DASHSCOPE_NATIVE = 0,
    DASHSCOPE_COMPATIBLE /* OpenAI's */
};

struct dashscope_message {
    const char *role; /* "system", "user", "assistant" */
    const char *content;
};

struct dashscope_chat_input {
    const char                     *model;
    const struct dashscope_message *messages;
    size_t                          message_count;
    const char *messages_json; /* in place of `messages`: a JSON array, sent as it is (images, tools' results, …) */
    const char
        *parameters; /* a JSON object: members for "parameters", on the compatible protocol for the body [none] */
    enum dashscope_protocol protocol;
    bool multimodal; /* native: the endpoint of models that see and hear; plain contents become [{"text":…}] */
    bool whole;      /* one chunk with all of it, in place of a stream */
};

/* Tokens; -1 where the server has not told them. */
struct dashscope_usage {
    int64_t input_tokens, output_tokens, total_tokens, reasoning_tokens, cached_tokens;
};

struct dashscope_chunk {
    const char            *text, *reasoning; /* what this chunk brings of the first choice; "" when nothing */
    size_t                 text_len, reasoning_len;
    const char            *finish_reason; /* NULL until the answer ends */
    struct dashscope_usage usage;
    const char            *request_id;
    const char            *json; /* all of the chunk, as it came: tool calls, search results, further choices, … */
    size_t                 json_len;
};

struct dashscope_stream;

/* Pull: open, next until it is not DASHSCOPE_OK, close. A chunk holds until the next call on its stream. Closing before the
 * end hangs up, which stops the answer. Several streams may be open at once. */
DASHSCOPE_API enum dashscope_result dashscope_chat_open(struct dashscope *c, const struct dashscope_chat_input *q,
                                                        struct dashscope_stream **ret);
DASHSCOPE_API enum dashscope_result dashscope_chat_next(struct dashscope_stream *s, const struct dashscope_chunk **ret);
DASHSCOPE_API void                  dashscope_chat_close(struct dashscope_stream *s);

/* Callback: for each chunk, in the calling thread. What it returns other than 0 ends the answer with DASHSCOPE_CANCELLED. It
 * may use the handle for further calls. */
typedef int                         dashscope_on_chunk(const struct dashscope_chunk *chunk, void *arg);
DASHSCOPE_API enum dashscope_result dashscope_chat(struct dashscope *c, const struct dashscope_chat_input *q,
                                                   dashscope_on_chunk *on_chunk, void *arg);

/* ---- embeddings, rerank, tokens, models: native protocol ----
 *
 * What they give out is freed with dashscope_free(), and does not depend on the handle. */

struct dashscope_embed_input {
    const char        *model;
    const char *const *texts; /* at most as many as the model takes in one call */
    size_t             count;
    int                dimension;  /* 0: the model's own */
    const char        *parameters; /* a JSON object [none] */
};

struct dashscope_vectors {
    size_t        count, dimension;
    const double *values; /* the vector of text i begins at values[i * dimension] */
    int64_t       tokens;
    const char   *request_id;
};

DASHSCOPE_API enum dashscope_result dashscope_embed(struct dashscope *c, const struct dashscope_embed_input *q,
                                                    struct dashscope_vectors **ret);

struct dashscope_rerank_input {
    const char        *model, *query;
    const char *const *documents;
    size_t             count;
    size_t             top; /* how many of the best; 0: all */
    const char        *parameters;
};

struct dashscope_rank {
    size_t index; /* in `documents` */
    double score;
};

struct dashscope_ranking {
    size_t                       count;
    const struct dashscope_rank *ranks; /* the best first */
    int64_t                      tokens;
    const char                  *request_id;
};

DASHSCOPE_API enum dashscope_result dashscope_rerank(struct dashscope *c, const struct dashscope_rerank_input *q,
                                                     struct dashscope_ranking **ret);

struct dashscope_tokens {
    size_t             count;
    const int64_t     *ids;
    const char *const *texts; /* U+FFFD stands for parts of characters */
    const char        *request_id;
};

DASHSCOPE_API enum dashscope_result dashscope_tokenize(struct dashscope *c, const char *model, const char *text,
                                                       struct dashscope_tokens **ret);

struct dashscope_model_list {
    size_t             count;
    const char *const *ids;
};

/* All that the server lists, page after page. */
DASHSCOPE_API enum dashscope_result dashscope_models(struct dashscope *c, struct dashscope_model_list **ret);

/* ---- anything else ---- */

struct dashscope_request {
    const char             *method; /* "GET", "POST", … */
    const char             *path;   /* behind the protocol's address, with its query: "/tasks/TASK_ID" */
    const char             *body;   /* JSON [none] */
    enum dashscope_protocol protocol;
    bool                    async; /* X-DashScope-Async: enable: the answer is a task */
    bool oss; /* X-DashScope-OssResourceResolve: enable: the body names what dashscope_upload() gave */
};

struct dashscope_answer {
    int         status; /* 200 … 299: others are DASHSCOPE_REFUSED */
    const char *body;
    size_t      len;
    const char *request_id;
};

DASHSCOPE_API enum dashscope_result dashscope_call(struct dashscope *c, const struct dashscope_request *q,
                                                   struct dashscope_answer **ret);

/* ---- tasks: work that a call begins and others ask after ---- */

struct dashscope_task {
    const char *id;
    const char *status; /* "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN": not there (any more) */
    bool        ended;  /* the status is none of the first two */
    const char *code, *message; /* why it failed; else "" */
    const char *request_id;     /* of this answer */
    const char *json;           /* all of the answer: results, times, usage */
    size_t      json_len;
};

/* Sends `q` with `async`; the answer is the new task's. */
DASHSCOPE_API enum dashscope_result dashscope_task_create(struct dashscope *c, const struct dashscope_request *q,
                                                          struct dashscope_task **ret);
DASHSCOPE_API enum dashscope_result dashscope_task_get(struct dashscope *c, const char *id,
                                                       struct dashscope_task **ret);

/* Asks again and again until it has ended, first soon and then more seldom, at last each five seconds; also when the server is too busy to
 * tell. `on_task`, if there is one, is told each answer, which holds until it returns; what it returns other than 0 ends the waiting with
 * DASHSCOPE_CANCELLED. The task itself goes on, as it does when the waiting is cancelled or reaches its time. A task that has failed
 * is no failure of the call. */
typedef int                         dashscope_on_task(const struct dashscope_task *task, void *arg);
DASHSCOPE_API enum dashscope_result dashscope_task_wait(struct dashscope *c, const char *id, dashscope_on_task *on_task,
                                                        void *arg, struct dashscope_task **ret);

/* Only while it is PENDING; else DASHSCOPE_REFUSED. */
DASHSCOPE_API enum dashscope_result dashscope_task_cancel(struct dashscope *c, const char *id);

/* NULL and 0 do not narrow the list. */
struct dashscope_task_query {
    const char *model, *status;
    const char *start_time, *end_time; /* YYYYMMDDhhmmss, UTC+8, at most a day apart */
    int         page, page_size;       /* from 1 [1, 10] */
};

struct dashscope_task_entry {
    const char *id, *model, *status;
    int64_t     created, started, ended; /* Unix time; 0: not yet */
};

struct dashscope_task_list {
    size_t                             count;
    const struct dashscope_task_entry *tasks; /* the newest first */
    int64_t                            total; /* of all pages */
    const char                        *json;
};

DASHSCOPE_API enum dashscope_result dashscope_task_list(struct dashscope *c, const struct dashscope_task_query *q,
                                                        struct dashscope_task_list **ret);

/* ---- files ---- */

/* Uploads a file for calls of `model`. *ret is its address, oss://…, for requests that say `oss`; it can be read for 48 hours. */
DASHSCOPE_API enum dashscope_result dashscope_upload(struct dashscope *c, const char *model, const char *file,
                                                     char **ret);

/* Writes what an address of an answer, http(s)://…, leads to into a file that is open. No key is sent there. */
DASHSCOPE_API enum dashscope_result dashscope_download(struct dashscope *c, const char *url, int fd);

/* ---- the account's files: compatible protocol ---- */

/* So many bytes of so many; what it returns other than 0 ends the call with DASHSCOPE_CANCELLED. */
typedef int dashscope_on_progress(int64_t done, int64_t total, void *arg);

/* Uploads a file, in pieces, whatever its size: "file-extract", "batch", "fine-tune". The answer is its object: {"id", …}. `on_progress` may be
 * NULL. */
DASHSCOPE_API enum dashscope_result dashscope_file_create(struct dashscope *c, const char *file, const char *purpose,
                                                          dashscope_on_progress *on_progress, void *arg,
                                                          struct dashscope_answer **ret);

/* Writes what a batch has made into a file that is open. */
DASHSCOPE_API enum dashscope_result dashscope_file_content(struct dashscope *c, const char *id, int fd);

/* Of any of the above: vectors, ranking, tokens, models, answer, task, list, address. NULL is nothing. */
DASHSCOPE_API void dashscope_free(void *result);

#ifdef __cplusplus
}
#endif

#endif
