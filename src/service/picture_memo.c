/* picture_memo.c - a ring of what was seen. */
#include "service/picture_memo.h"

#include <stdlib.h>

#define HASH_LEN 64

struct entry {
    char                 hash[HASH_LEN];
    bool                 set, has_lines, has_looks;
    struct arena         arena; /* of the lines */
    struct picture_lines lines;
    struct picture       looks; /* colours, whose names are static, and faces */
};

struct picture_memo {
    struct entry entries[PICTURE_MEMO_ENTRIES];
    size_t       next;
};

struct picture_memo *picture_memo_open(void)
{
    return xcalloc(1, sizeof(struct picture_memo));
}

static void entry_clear(struct entry *e)
{
    if (e->set)
        arena_free(&e->arena);
    *e = (struct entry){ 0 };
}

void picture_memo_close(struct picture_memo *m)
{
    for (size_t i = 0; m && i < PICTURE_MEMO_ENTRIES; i++)
        entry_clear(&m->entries[i]);
    free(m);
}

static struct entry *find(struct picture_memo *m, str hash)
{
    for (size_t i = 0; i < PICTURE_MEMO_ENTRIES && hash.len == HASH_LEN; i++) {
        struct entry *e = &m->entries[i];

        if (e->set && memcmp(e->hash, hash.ptr, HASH_LEN) == 0)
            return e;
    }
    return NULL;
}

/* The one there is, or the oldest's place; NULL for what has no hash. */
static struct entry *place(struct picture_memo *m, str hash)
{
    struct entry *e = find(m, hash);

    if (e || hash.len != HASH_LEN)
        return e;
    e = &m->entries[m->next];
    m->next = (m->next + 1) % PICTURE_MEMO_ENTRIES;
    entry_clear(e);
    e->set = true;
    memcpy(e->hash, hash.ptr, HASH_LEN);
    arena_init(&e->arena, 256);
    return e;
}

static void copy_lines(struct arena *a, const struct picture_lines *from, struct picture_lines *to)
{
    *to = (struct picture_lines){ .at = arena_array(a, struct picture_line, from->count),
                                  .count = from->count,
                                  .cap = from->count };
    for (size_t i = 0; i < from->count; i++) {
        to->at[i] = from->at[i];
        to->at[i].text = arena_str(a, from->at[i].text);
    }
}

bool picture_memo_lines(struct picture_memo *m, str hash, struct arena *a, struct picture_lines *ret)
{
    const struct entry *e = find(m, hash);

    if (!e || !e->has_lines)
        return false;
    copy_lines(a, &e->lines, ret);
    return true;
}

void picture_memo_lines_add(struct picture_memo *m, str hash, const struct picture_lines *lines)
{
    struct entry *e = place(m, hash);

    if (!e || e->has_lines)
        return;
    e->has_lines = true;
    copy_lines(&e->arena, lines, &e->lines);
}

static void copy_looks(const struct picture *from, struct picture *to)
{
    memcpy(to->colours, from->colours, sizeof(to->colours));
    to->colour_count = from->colour_count;
    to->faces = from->faces;
}

bool picture_memo_looks(struct picture_memo *m, str hash, struct picture *ret)
{
    const struct entry *e = find(m, hash);

    if (!e || !e->has_looks)
        return false;
    copy_looks(&e->looks, ret);
    return true;
}

void picture_memo_looks_add(struct picture_memo *m, str hash, const struct picture *p)
{
    struct entry *e = place(m, hash);

    if (!e)
        return;
    e->has_looks = true;
    copy_looks(p, &e->looks);
}
