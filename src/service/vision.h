/* vision.h - the pictures, videos and sounds in the messages of chat: downloaded, looked into, refused with the rows of data/media/chat.txt,
 * and counted in tokens.
 *
 * A frame list's frames are pictures. What the option media.chat takes on trust is neither refused nor counted.
 *
 * Spec: media.md §6.3; chat.md §5.1, §10.2 - §10.4.
 */
#ifndef DASHBOX_SERVICE_VISION_H
#define DASHBOX_SERVICE_VISION_H

#include "contract/request.h"

/* Sets in->image_tokens, video_tokens and audio_tokens. */
SUSPENDS enum err vision_look(struct request *rq, struct chat_input *in);

#endif
