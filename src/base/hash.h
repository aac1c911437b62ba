/* hash.h - a fast keyed hash of bytes, for tables in memory.
 *
 * Not for secrets and never stored: the seed is new in every process, so that a peer cannot choose texts that collide.
 */
#ifndef DASHBOX_BASE_HASH_H
#define DASHBOX_BASE_HASH_H

#include "base/str.h"

uint64_t hash_bytes(str s, uint64_t seed);

/* Mixes a number into a hash. */
uint64_t hash_u64(uint64_t hash, uint64_t v);

#endif
