/* count_memo.c - a set-associative table: a text's hash names a set of four entries; the one not used since the hand
 * last passed makes room.
 *
 *   sets      [ used bits 4 | hand 2 ] …                  a byte a set
 *   entries   [ hash | check | length | count ] × 4 …     one cache line and a half a set
 *
 * A wrong hit would charge a client for another's text. `hash` alone would not do: its constants are public. `check`
 * is of secrets of the process (hash_secret()), so that nobody can prepare two texts with the same.
 *
 * Thread: the worker that owns it; texts beyond COUNT_AT_ONCE are read on the memo's lane, one at a time.
 * Memory: its own, of fixed size.
 */
#include "tokens/count_memo.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/rand.h"
#include "loop/lane.h"
#include "loop/loop.h"

#include <stdlib.h>

#define WAYS            4
#define ENTRIES_DEFAULT 8192
#define ENTRIES_MAX     ((size_t)1 << 24)
#define JOINED_SHORT    1024 /* bytes that are joined on the stack */

struct memo_key {
    uint64_t hash, check;
};

struct memo_entry {
    struct memo_key key;
    uint32_t        len; /* 0 marks a free entry */
    uint32_t        count;
};

struct count_memo {
    struct memo_entry      *entries;
    uint8_t                *sets;
    size_t                  set_mask;
    uint64_t                seed, secrets[3];
    struct count_memo_stats stats;

    struct lane *lane;    /* opened when it is first needed */
    int64_t      turn_us; /* of the loop, in which `counted` bytes have been */
    size_t       counted;
};

struct count_job {
    const struct tokenizer *tokenizer;
    str                     text;
    size_t                  count;
};

struct count_memo *count_memo_open(size_t entries)
{
    struct count_memo *m = xcalloc(1, sizeof(*m));
    size_t             sets = 1;

    if (entries == 0)
        entries = ENTRIES_DEFAULT;
    if (entries > ENTRIES_MAX)
        entries = ENTRIES_MAX;
    while (sets * WAYS < entries)
        sets *= 2;
    m->set_mask = sets - 1;
    m->sets = xcalloc(sets, sizeof(*m->sets));
    m->entries = xcalloc(sets * WAYS, sizeof(*m->entries));
    m->seed = rand_u64();
    rand_secret(m->secrets, sizeof(m->secrets));
    return m;
}

void count_memo_close(struct count_memo *m)
{
    if (!m)
        return;
    lane_close(m->lane);
    free(m->entries);
    free(m->sets);
    free(m);
}

struct count_memo_stats count_memo_stats(const struct count_memo *m)
{
    return m->stats;
}

static void key_add(const struct count_memo *m, struct memo_key *key, str s)
{
    key->hash = hash_bytes(s, key->hash);
    key->check = hash_secret(m->secrets, s, key->check);
}

/* Where the count of the key is or will be; *ret_found says which. */
static struct memo_entry *memo_find(struct count_memo *m, struct memo_key key, uint32_t len, bool *ret_found)
{
    size_t             set = (size_t)key.hash & m->set_mask;
    struct memo_entry *e = m->entries + set * WAYS;
    uint8_t           *state = &m->sets[set];
    unsigned           hand;

    for (unsigned way = 0; way < WAYS; way++) {
        if (e[way].key.hash == key.hash && e[way].key.check == key.check && e[way].len == len) {
            *state |= (uint8_t)BIT(way);
            *ret_found = true;
            return &e[way];
        }
    }
    hand = *state >> 4;
    while (*state & BIT(hand)) {
        *state &= (uint8_t)~BIT(hand);
        hand = (hand + 1) % WAYS;
    }
    /* A new entry is not marked as used: texts seen once go first. */
    *state = (uint8_t)((*state & 0xF) | ((hand + 1) % WAYS) << 4);
    *ret_found = false;
    return &e[hand];
}

static void count_job_run(void *arg)
{
    struct count_job *job = arg;

    job->count = tokenizer_count(job->tokenizer, job->text);
}

/* Whether the loop has counted enough in this turn, so that this text is for the lane. */
static bool counted_enough(struct count_memo *m, size_t len)
{
    int64_t now_us;

    if (!m || !fiber_self())
        return false;
    now_us = loop_now_us(fiber_loop());
    if (now_us != m->turn_us) {
        m->turn_us = now_us;
        m->counted = 0;
    }
    m->counted += len;
    if (m->counted <= COUNT_AT_ONCE)
        return false;
    if (!m->lane)
        m->lane = lane_open("count");
    return m->lane; /* without one, it is counted here */
}

void count_memo_run(struct count_memo *m, size_t len, void (*fn)(void *arg), void *arg)
{
    if (counted_enough(m, len))
        lane_run(m->lane, fn, arg);
    else
        fn(arg);
}

SUSPENDS static size_t count_text(struct count_memo *m, const struct tokenizer *t, str text)
{
    struct count_job job = { .tokenizer = t, .text = text };

    if (!counted_enough(m, text.len))
        return tokenizer_count(t, text);
    lane_run(m->lane, count_job_run, &job);
    return job.count;
}

SUSPENDS static size_t count_joined(struct count_memo *m, const struct tokenizer *t, str before, str text, str after)
{
    char   few[JOINED_SHORT], *all = few;
    size_t len = before.len + text.len + after.len, count;

    if (before.len + after.len == 0)
        return count_text(m, t, text);
    if (len > JOINED_SHORT)
        all = xmalloc(len);
    if (before.len)
        memcpy(all, before.ptr, before.len);
    if (text.len)
        memcpy(all + before.len, text.ptr, text.len);
    if (after.len)
        memcpy(all + before.len + text.len, after.ptr, after.len);
    count = count_text(m, t, str_of(all, len));
    if (all != few)
        free(all);
    return count;
}

size_t count_memo_get_joined(struct count_memo *m, const struct tokenizer *t, str before, str text, str after)
{
    size_t             len = before.len + text.len + after.len, count;
    struct memo_key    key;
    struct memo_entry *e;
    bool               found;

    if (!m || len < COUNT_MEMO_MIN || len > UINT32_MAX / 3)
        return count_joined(m, t, before, text, after);
    key = (struct memo_key){ m->seed, 0 };
    if (before.len + after.len) {
        key_add(m, &key, before);
        key_add(m, &key, after);
    }
    key_add(m, &key, text);
    e = memo_find(m, key, (uint32_t)len, &found);
    if (found) {
        m->stats.hits++;
        return e->count;
    }
    m->stats.misses++;
    count = count_joined(m, t, before, text, after);
    /* Another fiber may have filled the entry meanwhile: it makes room. */
    *e = (struct memo_entry){ .key = key, .len = (uint32_t)len, .count = (uint32_t)count };
    return count;
}

size_t count_memo_get(struct count_memo *m, const struct tokenizer *t, str text)
{
    return count_memo_get_joined(m, t, (str){ 0 }, text, (str){ 0 });
}
