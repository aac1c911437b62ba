/* children.h - the child processes of the configuration's engines (`command`): one each for the whole server, kept over
 * reloads while name, command and model file stay the same.
 *
 *            children_start      children_keep: not named       no engine asks it, or time.drain is over
 *   (none) -------------> NAMED ---------------------> LEAVING ------------------------------------------> CLOSED
 *                           ^     children_keep: named    |                                                  | ended
 *                           +-----------------------------+                                               (gone)
 *
 * So a request that asks a child when a reload leaves it out has its answer.
 *
 * Thread: children belong to worker 0's loop, which therefore ends last. The other workers only open and close engines on
 * them: that is what the lock is for.
 */
#ifndef DASHBOX_SERVER_CHILDREN_H
#define DASHBOX_SERVER_CHILDREN_H

#include "engine/process/process.h"
#include "server/config.h"

#include <pthread.h>

struct child_slot;

struct children {
    pthread_mutex_t    lock; /* guards `slots` and what is in them */
    struct child_slot *slots;
    struct loop       *loop;
    size_t             closing; /* that have not ended yet */
    bool               over;    /* children_close() */
    void (*on_closed)(void *arg);
    void *arg;
};

void children_init(struct children *cs);
/* When all loops have ended. */
void children_free(struct children *cs);

/* Starts those that the configuration names and that do not run yet; the others go on. `l` is worker 0's loop: on it, or
 * before it runs. */
enum err children_start(struct children *cs, struct loop *l, const struct config *c);
/* Once it is settled which configuration holds: its children take over their times, the others leave. */
void children_keep(struct children *cs, const struct config *c);

/* An engine on loop `l` that asks the child of that entry. From any thread. */
enum err children_engine(struct children *cs, struct loop *l, const struct config_engine *ce,
                         const struct upstream_options *o, struct engine **ret);
void     children_engine_close(struct children *cs, struct engine *e);

/* How the child of that entry is: "ready", "starting", … From any thread. */
const char *children_state(struct children *cs, const struct config_engine *ce);

/* Ends all; on_closed(arg), unless it is NULL, when the last has ended. On worker 0's loop, or when it never runs. */
void children_close(struct children *cs, void (*on_closed)(void *arg), void *arg);

#endif
