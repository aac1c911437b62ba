/* map.h - a table from text to pointer, open addressing, in memory of its own.
 *
 * The keys are not copied: they must live as long as the entry. One thread at a time.
 */
#ifndef DASHBOX_BASE_MAP_H
#define DASHBOX_BASE_MAP_H

#include "base/str.h"

struct map_entry {
    str      key;
    void    *value; /* NULL marks a free entry */
    uint64_t hash;
};

struct map {
    struct map_entry *entries;
    size_t            count, cap; /* cap is 0 or a power of two */
    uint64_t          seed;
};

void  map_init(struct map *m);
void  map_free(struct map *m);
void *map_get(const struct map *m, str key);
/* Replaces what was there. `value` is not NULL. */
void map_put(struct map *m, str key, void *value);

/* for (struct map_entry *e = NULL; (e = map_next(m, e));) */
struct map_entry *map_next(const struct map *m, struct map_entry *after);

#endif
