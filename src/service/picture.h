/* picture.h - what is in a file that a request names, as far as can be told without a model: its facts, colours, faces, text.
 *
 * Thread: the request's loop.
 */
#ifndef DASHBOX_SERVICE_PICTURE_H
#define DASHBOX_SERVICE_PICTURE_H

#include "contract/chat.h"
#include "contract/picture.h"
#include "service/media.h"

/* The text in a picture: *ret_lines is in the request's memory, and f->lines from then on. ERR_NOT_FOUND: it cannot be read, since the file
 * is no picture, this dashbox has no engine for it, or it has failed over it (the log says why). ERR_CANCELLED. */
SUSPENDS enum err picture_read(struct request *rq, struct media_file *f, const struct picture_lines **ret_lines);

/* Moderates the text in a picture by the rules that the request's workspace has for the side (MODERATION_INPUT, MODERATION_OUTPUT), as
 * admit_picture_text(). OK where there are none, and for what cannot be read. */
SUSPENDS enum err picture_moderate(struct request *rq, unsigned side, struct media_file *f);

/* All there is to see, or of a picture the text alone, and of a video or sound what it is; as of chat's part, which has been looked
 * at. ERR_NOT_FOUND: it has not. */
SUSPENDS enum err picture_see(struct request *rq, const struct chat_part *p, bool text_alone, struct picture *ret);

#endif
