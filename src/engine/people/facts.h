/* facts.h - what the people engine sees in a picture (engines/people/detect.mjs), read and checked. What the models make of
 * the pixels is not ours: a number that cannot be is refused. */
#ifndef DASHBOX_ENGINE_PEOPLE_FACTS_H
#define DASHBOX_ENGINE_PEOPLE_FACTS_H

#include "base/arena.h"
#include "contract/people.h"

/* Adds what one message of the engine says; the identity goes to the arena. ERR_PROTOCOL when it says nothing that is known. True in
 * *ret_done with the last one. */
enum err people_facts_read(struct arena *a, str message, struct people_facts *facts, bool *ret_done);

#endif
