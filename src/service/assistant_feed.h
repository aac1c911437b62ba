/* assistant_feed.h - the events of a run on their way from the fiber that runs it to the one whose client reads them.
 *
 * The run never waits for the client: what the client is behind with is kept, up to ASSISTANTS_BEHIND_MAX. It outlives either of the two.
 *
 * Thread: both fibers are of one loop.
 */
#ifndef DASHBOX_SERVICE_ASSISTANT_FEED_H
#define DASHBOX_SERVICE_ASSISTANT_FEED_H

#include "base/buf.h"
#include "loop/fiber.h"

struct assistant_feed;

/* Held once. */
struct assistant_feed *assistant_feed_open(void);
struct assistant_feed *assistant_feed_hold(struct assistant_feed *f);
/* Lets go of it; NULL is accepted. */
void assistant_feed_close(void *feed);

/* One event with its data; NULL is accepted. */
void assistant_feed_add(struct assistant_feed *f, const char *event, str data);
/* There are no more. */
void assistant_feed_end(struct assistant_feed *f);

/* Waits until there are some, and moves them there. ERR_EOF: there are no more; ERR_LIMIT: the reader was too far behind. */
SUSPENDS enum err assistant_feed_take(struct assistant_feed *f, struct buf *into);

#endif
