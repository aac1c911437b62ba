/* map.c - a table from text to pointer. */
#include "base/map.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/rand.h"

#include <stdlib.h>

void map_init(struct map *m)
{
    *m = (struct map){ .seed = rand_u64() };
}

void map_free(struct map *m)
{
    free(m->entries);
    *m = (struct map){ 0 };
}

/* The entry of `key`, or the free one where it belongs. There is always a free one. */
static struct map_entry *find(const struct map *m, str key, uint64_t hash)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_entry *e = &m->entries[i];

        if (!e->value || (e->hash == hash && str_eq(e->key, key)))
            return e;
    }
}

void *map_get(const struct map *m, str key)
{
    return m->count ? find(m, key, hash_bytes(key, m->seed))->value : NULL;
}

static void grow(struct map *m)
{
    struct map bigger = { .cap = m->cap ? m->cap * 2 : 16, .seed = m->seed, .count = m->count };

    bigger.entries = xcalloc(bigger.cap, sizeof(*bigger.entries));
    for (size_t i = 0; i < m->cap; i++) {
        struct map_entry *e = &m->entries[i];

        if (e->value)
            *find(&bigger, e->key, e->hash) = *e;
    }
    free(m->entries);
    *m = bigger;
}

void map_put(struct map *m, str key, void *value)
{
    uint64_t          hash = hash_bytes(key, m->seed);
    struct map_entry *e;

    ASSERT(value);
    if (m->count * 4 >= m->cap * 3)
        grow(m);
    e = find(m, key, hash);
    if (!e->value)
        m->count++;
    *e = (struct map_entry){ .key = key, .value = value, .hash = hash };
}

struct map_entry *map_next(const struct map *m, struct map_entry *after)
{
    if (!m->count)
        return NULL;
    for (struct map_entry *e = after ? after + 1 : m->entries; e < m->entries + m->cap; e++) {
        if (e->value)
            return e;
    }
    return NULL;
}
