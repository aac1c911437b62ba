/* process.h - an engine that dashbox starts itself: a program that serves the OpenAI protocol, such as
 * "llama-server -m FILE --port {port}", kept alive, and an upstream that asks it.
 *
 * A child is one for the whole server, supervised on one loop; each loop that asks it opens an engine of its own.
 *
 *            asked for, or at boot        health check says yes
 *   STOPPED ------------------> STARTING ---------------------> READY
 *                                 ^  |                            |  ends, or three health checks fail
 *                                 |  | ends, or not within        |
 *                          backoff|  v ready_ms                   v
 *                                BROKEN <-------------------------+
 *
 *   any of them -- child_close() --> CLOSING -- it has ended --> CLOSED
 *
 * While it is not READY requests wait up to wait_ms; then they go to the fallback engine or are refused with E236. They do
 * so at once when its program cannot be run. A child that dies under a request is waited for as at its start. What it
 * writes goes to the log at debug level; its last line is shown when it
 * ends by itself.
 *
 * Thread: a child belongs to the loop it was opened on, but for child_state() and child_ask(); that loop runs as long as
 * engines of the child are open.
 */
#ifndef DASHBOX_ENGINE_PROCESS_PROCESS_H
#define DASHBOX_ENGINE_PROCESS_PROCESS_H

#include "engine/upstream/upstream.h"

struct child;

/* Zero stands for the value in brackets. All texts are copied. */
struct child_options {
    str        name;
    const str *command; /* words; {port}, {socket} and {model} in them are replaced */
    size_t     command_count;
    str        model;       /* what {model} stands for */
    const str *environment; /* "NAME=value" */
    size_t     environment_count;
    str        dir;         /* to work in; empty: ours */
    str        socket_dir;  /* where the socket lies that {socket} names [/tmp] */
    str        base;        /* path of its API ["/v1"] */
    str        health_path; /* ["/health"] */
    bool       at_boot;     /* else when the first request comes */

    int64_t ready_ms;                   /* from its start to its first good health check [120 s] */
    int64_t health_ms;                  /* between two checks of one that is ready [10 s] */
    int64_t wait_ms;                    /* that a request waits for it [30 s] */
    int64_t backoff_ms, backoff_max_ms; /* before it is started again, doubled each time [1 s, 60 s] */
    int64_t up_ms;                      /* one that was ready for so long begins with backoff_ms again [60 s] */
    int64_t grace_ms;                   /* from SIGTERM to SIGKILL [10 s] */
};

enum child_state { CHILD_STOPPED, CHILD_STARTING, CHILD_READY, CHILD_BROKEN, CHILD_CLOSING, CHILD_CLOSED };

/* Whether the words say where the child listens: with {port} or with {socket}, and not with both. */
bool child_command_ok(const str *words, size_t count);
/* ERR_INVALID, and the reason in the log, when child_command_ok() says no, or the place makes no sense. */
enum err child_open(struct loop *l, const struct child_options *o, struct child **ret);
/* Takes over health_path, health_ms, ready_ms and wait_ms, from the next check or request on, and starts one that is
 * STOPPED
 * when at_boot says so. On its loop. */
void child_adjust(struct child *c, const struct child_options *o);
/* Stops it. on_closed(arg), on its loop, when it has ended; the memory goes with the last engine. */
void child_close(struct child *c, void (*on_closed)(void *arg), void *arg);

/* From any thread. */
enum child_state child_state(const struct child *c);
const char      *child_state_name(enum child_state s);
/* Starts one that is STOPPED. From any thread. */
void child_ask(struct child *c);
/* Where it is asked: "http://127.0.0.1:41234/v1", "unix:/tmp/x.sock:/v1". Lives as long as the child. */
const char *child_url(const struct child *c);

/* An engine on loop `l`. The endpoints in `o` are passed over. */
enum err process_engine_open(struct loop *l, struct child *c, const struct upstream_options *o, struct engine **ret);
void     process_engine_close(struct engine *e);
/* Whom it asks. */
const struct child *process_engine_child(const struct engine *e);
/* Of the upstream in it. */
void process_engine_state(const struct engine *e, struct upstream_state *ret);

#endif
