/* journal.c - a ring of the requests received lately. */
#include "access/journal.h"

#include "base/num.h"

#include <pthread.h>
#include <stdlib.h>

/* Two allocations an entry: the entry and behind it its texts, and the body. */
struct journal {
    pthread_mutex_t        lock; /* guards all below */
    struct journal_entry **ring;
    size_t                 cap;
    int64_t                added; /* since the start or the last reset: the newest is ring[(added - 1) % cap] */
};

static const size_t texts[] = {
    offsetof(struct journal_entry, request_id), offsetof(struct journal_entry, method),
    offsetof(struct journal_entry, path),       offsetof(struct journal_entry, query),
    offsetof(struct journal_entry, headers),    offsetof(struct journal_entry, error),
    offsetof(struct journal_entry, model),      offsetof(struct journal_entry, key),
    offsetof(struct journal_entry, workspace),  offsetof(struct journal_entry, fault),
};

static str *text_at(struct journal_entry *e, size_t i)
{
    return (str *)((char *)e + texts[i]);
}

struct journal *journal_open(size_t entries)
{
    struct journal *j = xcalloc(1, sizeof(*j));

    pthread_mutex_init(&j->lock, NULL);
    j->cap = entries;
    j->ring = xcalloc(entries, sizeof(struct journal_entry *));
    return j;
}

static void entry_free(struct journal_entry *e)
{
    if (e)
        free((void *)e->body.ptr);
    free(e);
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    journal_clear(j);
    pthread_mutex_destroy(&j->lock);
    free(j->ring);
    free(j);
}

void journal_add(struct journal *j, const struct journal_entry *e)
{
    struct journal_entry from = *e, *copy, *old, **slot;
    size_t               size = sizeof(from);
    char                *at;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        size += text_at(&from, i)->len;
    copy = xmalloc(size);
    *copy = from;
    at = (char *)(copy + 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        str *text = text_at(copy, i);

        if (text->len)
            memcpy(at, text->ptr, text->len);
        text->ptr = at;
        at += text->len;
    }
    pthread_mutex_lock(&j->lock);
    slot = &j->ring[(size_t)j->added % j->cap];
    copy->number = ++j->added;
    old = *slot;
    *slot = copy;
    pthread_mutex_unlock(&j->lock);
    entry_free(old);
}

static bool text_fits(str pattern, str text)
{
    return !pattern.len || str_glob(pattern, text);
}

static bool entry_fits(const struct journal_filter *f, const struct journal_entry *e)
{
    return e->number > f->after && (f->status < 0 || f->status == e->status) && text_fits(f->model, e->model) &&
           text_fits(f->path, e->path) && text_fits(f->key, e->key) && text_fits(f->error, e->error);
}

void journal_list(struct journal *j, const struct journal_filter *f, struct arena *a, struct journal_entry **ret,
                  size_t *ret_count)
{
    int64_t first, k;
    size_t  n = 0, fits = 0;

    pthread_mutex_lock(&j->lock);
    first = j->added > (int64_t)j->cap ? j->added - (int64_t)j->cap : 0;
    for (k = first; k < j->added; k++)
        fits += entry_fits(f, j->ring[(size_t)k % j->cap]);
    *ret = arena_array(a, struct journal_entry, min_size(fits, f->limit));
    for (k = first; k < j->added && n < f->limit; k++) {
        struct journal_entry *e = &(*ret)[n];

        if (!entry_fits(f, j->ring[(size_t)k % j->cap]))
            continue;
        if (!f->after && fits-- > f->limit) /* the newest ones, unless the reader goes on from a number */
            continue;
        *e = *j->ring[(size_t)k % j->cap];
        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
            *text_at(e, i) = arena_str(a, *text_at(e, i));
        e->body = arena_str(a, e->body);
        n++;
    }
    pthread_mutex_unlock(&j->lock);
    *ret_count = n;
}

void journal_clear(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->cap; i++) {
        entry_free(j->ring[i]);
        j->ring[i] = NULL;
    }
    j->added = 0;
    pthread_mutex_unlock(&j->lock);
}
