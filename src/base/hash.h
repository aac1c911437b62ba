/* hash.h - a fast keyed hash of bytes, for tables in memory.
 *
 * Not for secrets and never stored: the seed is new in every process, so that a peer cannot choose texts that collide.
 */
#ifndef DASHBOX_BASE_HASH_H
#define DASHBOX_BASE_HASH_H

#include "base/str.h"

uint64_t hash_bytes(str s, uint64_t seed);

/* The same with secrets (rand_secret()) of which nothing is public, so that nobody can prepare two texts with the same hash.
 * `h`: the hash of what stands before, 0 for nothing. */
uint64_t hash_secret(const uint64_t secrets[3], str s, uint64_t h);

/* Mixes a number into a hash. */
uint64_t hash_u64(uint64_t hash, uint64_t v);

#endif
