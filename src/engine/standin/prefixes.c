/* prefixes.c - the stand-in's context cache.
 *
 *   |tools|system text      |user text                    |assistant …
 *         ^     .     .     ^      .      .      .       .^
 *         places: the end of each item, and every PREFIX_BYTES within it; each is known by the hash of all before it
 */
#include "engine/standin/prefixes.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "contract/chat_params.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "tokens/tokenizer.h"

#include <pthread.h>
#include <stdlib.h>

#define WAYS        4
#define ROLE_TOKENS 3 /* <|im_start|>, the role, the line end: before the text of a message */

struct entry {
    uint64_t key; /* 0: free */
    int64_t  until_ms;
};

struct prefixes {
    pthread_mutex_t lock;
    struct entry   *entries; /* NULL until needed */
    uint64_t        seed;
};

/* Where a prompt may be like an earlier one. */
struct place {
    uint64_t key;
    size_t   message; /* before it: this many messages whole */
    str      text;    /* … and of the next one this beginning; empty at the end of a message */
    unsigned item;    /* how many items of content end here or before */
    bool     ends, marked;
};

struct places {
    struct arena *arena;
    struct place *all;
    size_t        count, cap;
    uint64_t      hash;
    unsigned      items;
};

struct prefixes *prefixes_open(void)
{
    struct prefixes *p = xcalloc(1, sizeof(*p));

    pthread_mutex_init(&p->lock, NULL);
    p->seed = rand_u64();
    return p;
}

void prefixes_close(struct prefixes *p)
{
    pthread_mutex_destroy(&p->lock);
    free(p->entries);
    free(p);
}

void prefixes_reset(struct prefixes *p)
{
    pthread_mutex_lock(&p->lock);
    free(p->entries);
    p->entries = NULL;
    pthread_mutex_unlock(&p->lock);
}

/* ---- the places of a prompt ---- */

static struct place *place_add(struct places *ps, size_t message, str text)
{
    struct place *at;

    if (ps->count == ps->cap) {
        size_t cap = ps->cap ? 2 * ps->cap : 64;

        ps->all = arena_realloc(ps->arena, ps->all, ps->cap * sizeof(*ps->all), cap * sizeof(*ps->all));
        ps->cap = cap;
    }
    at = &ps->all[ps->count++];
    *at = (struct place){ .key = ps->hash | 1, .message = message, .text = text, .item = ps->items };
    return at;
}

/* What all prompts with the same beginning have in common so far. */
static void places_mix(struct places *ps, str text)
{
    ps->hash = hash_u64(ps->hash, hash_bytes(text, ps->hash));
}

/* The text of message `i` from `from` on; `text` is all of it up to the end of this item. */
static void places_item(struct places *ps, size_t i, str text, size_t from, bool marked)
{
    struct place *at;

    for (; text.len - from > PREFIX_BYTES; from += PREFIX_BYTES) {
        places_mix(ps, str_of(text.ptr + from, PREFIX_BYTES));
        place_add(ps, i, str_first(text, from + PREFIX_BYTES));
    }
    places_mix(ps, str_from(text, from));
    ps->items++;
    at = place_add(ps, i, text);
    at->ends = true;
    at->marked = marked;
}

static void places_message(struct places *ps, const struct chat_message *m, size_t i)
{
    size_t len = 0;

    places_mix(ps, chat_role_name(m->role));
    if (!m->part_count)
        places_item(ps, i, m->content, 0, false);
    for (size_t k = 0; k < m->part_count; k++) {
        const struct chat_part *part = &m->parts[k];
        bool                    is_text = part->kind == CHAT_PART_TEXT;
        size_t                  at, n;
        yyjson_val             *url;

        if (!is_text)
            places_mix(ps, part->text);
        yyjson_arr_foreach(part->urls, at, n, url)
        {
            places_mix(ps, json_str(url));
        }
        places_item(ps, i, str_first(m->content, len + (is_text ? part->text.len : 0)), len, part->cache);
        len += is_text ? part->text.len : 0;
    }
    for (size_t k = 0; k < m->tool_call_count; k++) {
        places_mix(ps, m->tool_calls[k].name);
        places_mix(ps, m->tool_calls[k].arguments);
    }
    /* The last item's end is the message's. */
    ps->all[ps->count - 1].key = ps->hash | 1;
    ps->all[ps->count - 1].message = i + 1;
    ps->all[ps->count - 1].text = (str){ 0 };
    ps->all[ps->count - 1].marked |= m->cache;
}

static void places_find(struct places *ps, const struct prefixes *p, str workspace, const struct chat_input *in)
{
    bool          tools_marked = false;
    struct place *at;

    ps->hash = p->seed;
    places_mix(ps, workspace);
    places_mix(ps, in->model->id);
    ps->hash = hash_u64(ps->hash, in->thinking);
    for (size_t i = 0; i < in->tool_count; i++) {
        places_mix(ps, in->tools[i].text);
        tools_marked = tools_marked || in->tools[i].cache;
    }
    if (in->prompt_ends[0]) { /* tools are a turn of their own; otherwise a part of the system message's */
        ps->items++;
        at = place_add(ps, 0, (str){ 0 });
        at->ends = true;
        at->marked = tools_marked;
    }
    for (size_t i = 0; i < in->message_count; i++) {
        places_message(ps, &in->messages[i], i);
        if (i == 0 && !in->prompt_ends[0])
            ps->all[ps->count - 1].marked |= tools_marked;
    }
}

/* The tokens of the prompt up to there. */
static int64_t place_tokens(const struct place *at, const struct tokenizer *t, const struct chat_input *in)
{
    int64_t before = in->prompt_ends[at->message];

    if (!at->text.len)
        return before;
    return before + ROLE_TOKENS + (int64_t)tokenizer_count(t, str_first(at->text, utf8_cut(at->text, at->text.len)));
}

/* ---- the table ---- */

static struct entry *entry_find(struct prefixes *p, uint64_t key, int64_t now_ms)
{
    struct entry *bucket = &p->entries[(key >> 1) * WAYS & (PREFIX_ENTRIES - 1)];

    for (size_t i = 0; i < WAYS; i++) {
        if (bucket[i].key == key && bucket[i].until_ms > now_ms)
            return &bucket[i];
    }
    return NULL;
}

static void entry_keep(struct prefixes *p, uint64_t key, int64_t now_ms)
{
    struct entry *bucket = &p->entries[(key >> 1) * WAYS & (PREFIX_ENTRIES - 1)], *into = bucket;

    for (size_t i = 0; i < WAYS; i++) {
        if (bucket[i].key == key) {
            into = &bucket[i];
            break;
        }
        if (bucket[i].until_ms < into->until_ms)
            into = &bucket[i];
    }
    *into = (struct entry){ .key = key, .until_ms = now_ms + CHAT_CACHE_LIFE_MS };
}

static const struct place *use_implicit(struct prefixes *p, const struct places *ps, int64_t now_ms)
{
    const struct place *hit = NULL;

    for (size_t i = ps->count; i > 0 && !hit; i--) {
        if (entry_find(p, ps->all[i - 1].key, now_ms))
            hit = &ps->all[i - 1];
    }
    for (size_t i = 0; i < ps->count; i++)
        entry_keep(p, ps->all[i].key, now_ms);
    return hit;
}

/* Explicit entries are others than implicit ones of the same prefix. */
static uint64_t explicit_key(const struct place *at)
{
    return hash_u64(at->key, 1) | 1;
}

/* The longest prefix that is known at the mark or the items before it. */
static const struct place *look_back(struct prefixes *p, const struct places *ps, const struct place *mark,
                                     int64_t now_ms)
{
    for (const struct place *at = mark; at >= ps->all && mark->item - at->item <= CHAT_CACHE_LOOK_BACK; at--) {
        if (at->ends && entry_find(p, explicit_key(at), now_ms))
            return at;
    }
    return NULL;
}

/* The last marks that count, the last first. */
static size_t marks_find(const struct places *ps, const struct place *marks[CHAT_CACHE_MARKS_MAX])
{
    size_t n = 0;

    for (size_t i = ps->count; i > 0 && n < CHAT_CACHE_MARKS_MAX; i--) {
        if (ps->all[i - 1].marked)
            marks[n++] = &ps->all[i - 1];
    }
    return n;
}

int64_t prefixes_use(struct prefixes *p, struct arena *scratch, const struct tokenizer *t, str workspace,
                     const struct chat_input *in, int64_t *ret_created)
{
    const struct place *marks[CHAT_CACHE_MARKS_MAX], *hit = NULL;
    struct places       ps = { .arena = scratch };
    int64_t             now_ms = clock_unix_ms(), tokens, last = 0;
    size_t              count = 0;

    *ret_created = 0;
    places_find(&ps, p, workspace, in);
    if (in->cache_marks)
        count = marks_find(&ps, marks);
    for (size_t i = count; i > 0; i--) { /* too short ones are no marks */
        tokens = place_tokens(marks[i - 1], t, in);
        if (tokens < CHAT_CACHE_PREFIX_MIN)
            count = i - 1;
        else
            last = tokens;
    }
    pthread_mutex_lock(&p->lock);
    if (!p->entries)
        p->entries = xcalloc(PREFIX_ENTRIES, sizeof(*p->entries));
    if (!in->cache_marks)
        hit = use_implicit(p, &ps, now_ms);
    for (size_t i = 0; i < count && !hit; i++)
        hit = look_back(p, &ps, marks[i], now_ms);
    if (hit && in->cache_marks)
        entry_keep(p, explicit_key(hit), now_ms);
    for (size_t i = 0; i < count; i++)
        entry_keep(p, explicit_key(marks[i]), now_ms);
    pthread_mutex_unlock(&p->lock);
    tokens = hit ? place_tokens(hit, t, in) : 0;
    if (in->cache_marks) {
        *ret_created = max_i64(last - tokens, 0);
        return tokens;
    }
    tokens -= tokens % CHAT_CACHE_STEP;
    return tokens < CHAT_CACHE_PREFIX_MIN ? 0 : tokens;
}
