/* memo.h - what was found in files, by the SHA-256 of their content: the same picture in each turn of a conversation is looked
 * into once. The oldest goes first. */
#ifndef DASHBOX_ENGINE_MEDIA_MEMO_H
#define DASHBOX_ENGINE_MEDIA_MEMO_H

#include "engine/media/facts.h"

#define MEMO_ENTRIES 256

struct facts_memo {
    struct memo_entry {
        char               hash[64];
        bool               set;
        struct arena       arena;
        struct media_facts facts; /* texts in the arena */
    } entries[MEMO_ENTRIES];
    size_t next;
};

/* The texts of *ret are copied to `a`. */
bool facts_memo_find(const struct facts_memo *m, str hash, struct arena *a, struct media_facts *ret);
void facts_memo_add(struct facts_memo *m, str hash, const struct media_facts *f);
void facts_memo_clear(struct facts_memo *m);

#endif
