/* images.h - pictures as servers of OpenAI's images API speak of them: a body out, an answer in, no sockets.
 *
 * POST …/images/generations with response_format "b64_json", as stable-diffusion.cpp's server, LocalAI and others follow it. "seed" and
 * "negative_prompt" are not OpenAI's: `strict` leaves them out.
 */
#ifndef DASHBOX_ENGINE_UPSTREAM_IMAGES_H
#define DASHBOX_ENGINE_UPSTREAM_IMAGES_H

#include "base/arena.h"
#include "contract/image.h"

struct yyjson_val;

str images_body(struct arena *a, const struct image_input *in, str model, bool strict);

/* NULL, or what is wrong with the answer. */
const char *images_read(struct arena *a, struct yyjson_val *root, struct image_answer *ret);

#endif
