/* task.h - one task of a connection of /api-ws/v1/inference, whatever its kind.
 *
 *      begin          text, sound                    finish                 step … until nothing is left
 *      ------> RUNNING ---------------> RUNNING ------------> FINISHING -------------------------------> OVER
 *
 * A task has a request of its own: its id, its fault, its usage, its memory. Its functions are called by the session's
 * fiber (inference.c), one at a time; a fault that they raise ends the task and with it the connection.
 */
#ifndef DASHBOX_API_WS_TASK_H
#define DASHBOX_API_WS_TASK_H

#include "contract/request.h"
#include "contract/speech_task.h"
#include "net/ws_session.h"

struct task;

struct task_ops {
    size_t size; /* of the struct that begins with a struct task */
    /* Looks at the parameters; the task is accepted when this is OK. */
    SUSPENDS enum err (*begin)(struct task *t, const struct task_instruction *in);
    SUSPENDS enum err (*text)(struct task *t, const struct task_instruction *in);   /* continue-task */
    SUSPENDS enum err (*sound)(struct task *t, str bytes);                          /* a binary frame */
    SUSPENDS enum err (*finish)(struct task *t, const struct task_instruction *in); /* finish-task */
    bool (*busy)(const struct task *t);                                             /* there is a step to do */
    SUSPENDS enum err (*step)(struct task *t);
    void (*close)(struct task *t);
};

struct task {
    const struct task_ops *ops;
    struct request        *rq; /* in `arena`, as the task is */
    struct arena           arena;
    struct arena           scratch; /* for one instruction or step */
    struct ws_session     *ws;
    const struct model    *model;
    str                    id;
    int64_t                active_us; /* when anything of it last came or went, loop time */
    bool                   finishing, over;
};

extern const struct task_ops synthesis_task_ops, recognition_task_ops;

/* For their use. */

/* Something came or went: the 23 seconds begin anew. */
void task_is_active(struct task *t);

/* A result-generated with this payload; sent with what follows it, or at the latest when the session waits. */
SUSPENDS enum err task_result(struct task *t, str payload);
/* Books rq->usage and says that the task is over. */
SUSPENDS enum err task_finished(struct task *t, str payload);
/* Sound, in a binary frame. */
SUSPENDS enum err task_sound(struct task *t, str bytes);
/* What came cannot be of this protocol: the connection is closed with 1007. */
SUSPENDS enum err task_close_invalid(struct task *t);
/* What the engine's error means to the client. */
enum err task_engine_failed(struct task *t, enum err e);

#endif
