/* lane.h - blocking work on threads of its own.
 *
 * A lane is a thread with a queue. lane_run() suspends the fiber until fn(arg) has run there. The job owns all that it
 * touches while it runs; the fiber touches none of it. Slow kinds of work have lanes of their own, so that they do not
 * stand in front of short ones.
 */
#ifndef DASHBOX_LOOP_LANE_H
#define DASHBOX_LOOP_LANE_H

#include "loop/fiber.h"

struct lane;

/* `name` shows in process lists, at most 15 characters. */
struct lane *lane_open(const char *name);
/* One whose work can wait: where processors are short, the loops go first. */
struct lane *lane_open_behind(const char *name);
/* Runs what is queued, then ends the thread. */
void lane_close(struct lane *l);

/* Until fn(arg) has run on the lane. Cannot be cancelled: the job uses the caller's memory. */
SUSPENDS void lane_run(struct lane *l, void (*fn)(void *arg), void *arg);

/* Without waiting, from any thread: fn(arg) frees what it must itself. */
void lane_post(struct lane *l, void (*fn)(void *arg), void *arg);

#endif
