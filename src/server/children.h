/* children.h - the child processes of the configuration's engines (`command`): one each for the whole server, kept over
 * reloads while the command stays the same.
 *
 * Thread: children belong to worker 0's loop, which therefore ends last. The other workers only open engines on them: that
 * is what the lock is for.
 */
#ifndef DASHBOX_SERVER_CHILDREN_H
#define DASHBOX_SERVER_CHILDREN_H

#include "engine/process/process.h"
#include "server/config.h"

#include <pthread.h>

struct child_slot;

struct children {
    pthread_mutex_t    lock; /* guards the two below */
    struct child_slot *slots;
    size_t             count;
    size_t             closing; /* that have not ended yet */
    void (*on_closed)(void *arg);
    void *arg;
};

void children_init(struct children *cs);
/* When all loops have ended. */
void children_free(struct children *cs);

/* Starts those that the configuration names and ends those that it does not. On worker 0's loop, or before it runs. */
enum err children_set(struct children *cs, struct loop *l, const struct config *c);

/* An engine on loop `l` that asks the child of that entry. From any thread. */
enum err children_engine(struct children *cs, struct loop *l, const struct config_engine *ce,
                         const struct upstream_options *o, struct engine **ret);

/* How the child of that entry is: "ready", "starting", … From any thread. */
const char *children_state(struct children *cs, const struct config_engine *ce);

/* Ends all; on_closed(arg) when the last has ended. On worker 0's loop. */
void children_close(struct children *cs, void (*on_closed)(void *arg), void *arg);

#endif
