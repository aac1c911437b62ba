/* image.h - the middle form of pictures that an engine makes from words (service/media_run.c asks, engine/upstream answers). */
#ifndef DASHBOX_CONTRACT_IMAGE_H
#define DASHBOX_CONTRACT_IMAGE_H

#include "base/str.h"

struct image_input {
    str     model_name;              /* as the client spelt it */
    str     prompt, negative_prompt; /* the second may be empty */
    int64_t width, height, seed;
};

struct image_answer {
    str bytes; /* of a file in whatever format and size: foreign, for the media engine alone to look at */
};

#endif
