/* channel.h - messages and open files to a child process and back: a pair of Unix sockets that keep messages whole
 * (SOCK_SEQPACKET).
 *
 * Ours is the channel, the other end is a descriptor that process_start() hands to the child (`process_options.channel`)
 * and that its owner then closes. One fiber at a time waits for a message.
 *
 * Thread: one loop for life.
 * Limits: CHANNEL_MESSAGE_MAX bytes a message, both ways.
 */
#ifndef DASHBOX_LOOP_CHANNEL_H
#define DASHBOX_LOOP_CHANNEL_H

#include "base/str.h"
#include "loop/fiber.h"

struct channel;

#define CHANNEL_MESSAGE_MAX ((size_t)8192)

/* ERR_IO: no descriptors are left. */
enum err channel_open(struct loop *l, struct channel **ret, int *ret_other);

/* The message, and with it a descriptor, which stays ours as well; -1: none. ERR_EOF when the other side has gone,
 * ERR_LIMIT when it does not take what was sent before. */
enum err channel_send(struct channel *c, str message, int fd);

/* Until a message is there, which goes to `into`. ERR_EOF when the other side has gone, ERR_LIMIT when it is longer than
 * `cap`, ERR_TIMEOUT, ERR_CANCELLED. */
SUSPENDS enum err channel_receive(struct channel *c, char *into, size_t cap, int64_t deadline_us, size_t *ret_len);

/* Nobody waits any more. */
void channel_close(struct channel *c);

#endif
