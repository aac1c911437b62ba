/* rand.h - randomness and ids; the only source of both, so that tests can hold them still. */
#ifndef DASHBOX_BASE_RAND_H
#define DASHBOX_BASE_RAND_H

#include "base/str.h"

/* From now on this thread's rand_u64() and ids follow from `seed`. For tests. */
void rand_fix(uint64_t seed);

/* Fast, seeded from the system a thread; not for secrets. */
uint64_t rand_u64(void);

/* `n` bytes from the system's generator, for keys. Stops the process when it has none. */
void rand_secret(void *bytes, size_t n);

/* A number that follows from `seed` alone: the stand-in's dice. Advances *seed. */
uint64_t rand_next(uint64_t *seed);

/* Lower-case UUID, 36 characters and a NUL. `version` is the digit at the version's place: the service's request ids
 * have 9 there (wire-forms.md §2.1), its item ids 4. */
#define UUID_LEN 36
void rand_uuid(char text[UUID_LEN + 1], char version);

/* `n` lower-case hexadecimal digits, no NUL. */
void rand_hex(char *text, size_t n);

#endif
