/* memo.c - facts by content. */
#include "engine/media/memo.h"

#include <string.h>

static void copy(struct arena *a, const struct media_facts *from, struct media_facts *to)
{
    *to = *from;
    to->format = arena_str(a, from->format);
    to->video_codec = arena_str(a, from->video_codec);
    to->audio_codec = arena_str(a, from->audio_codec);
    to->error = arena_str(a, from->error);
}

bool facts_memo_find(const struct facts_memo *m, str hash, struct arena *a, struct media_facts *ret)
{
    for (size_t i = 0; i < MEMO_ENTRIES && hash.len == sizeof(m->entries[i].hash); i++) {
        const struct memo_entry *e = &m->entries[i];

        if (!e->set || memcmp(e->hash, hash.ptr, hash.len) != 0)
            continue;
        copy(a, &e->facts, ret);
        ret->cpu_us = 0; /* nothing was used for it */
        return true;
    }
    return false;
}

void facts_memo_add(struct facts_memo *m, str hash, const struct media_facts *f)
{
    struct memo_entry *e = &m->entries[m->next];

    if (hash.len != sizeof(e->hash))
        return;
    m->next = (m->next + 1) % MEMO_ENTRIES;
    if (e->set)
        arena_free(&e->arena);
    e->set = true;
    memcpy(e->hash, hash.ptr, hash.len);
    arena_init(&e->arena, 128);
    copy(&e->arena, f, &e->facts);
}

void facts_memo_clear(struct facts_memo *m)
{
    for (size_t i = 0; i < MEMO_ENTRIES; i++) {
        if (m->entries[i].set)
            arena_free(&m->entries[i].arena);
        m->entries[i].set = false;
    }
}
