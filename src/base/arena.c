/* arena.c - lifetimes.
 *
 *   blocks --> [ header | used ... next | free ... end ] --> [ older block, full ] --> ...
 *
 * Blocks of a request's size are kept in a small cache a thread, so that a request costs no malloc. A big
 * allocation gets a block of its own behind the newest, so that the free rest of the newest is not lost.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define CACHE_MAX 0 /* let the sanitizer see every lifetime end */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CACHE_MAX 0
#endif
#endif
#ifndef CACHE_MAX
#define CACHE_MAX 64
#endif

#define BLOCK_SIZE        ((size_t)4096)
#define BLOCK_SIZE_CACHED ARENA_REQUEST /* what an ordinary request needs in all */
#define BLOCK_SIZE_MAX    ((size_t)256 * 1024)
#define ALIGNMENT         _Alignof(max_align_t)

struct arena_block {
    struct arena_block *older;
    size_t              size; /* with this header */
};

struct arena_deferred {
    struct arena_deferred *older;
    void (*fn)(void *arg);
    void *arg;
};

static_assert(sizeof(struct arena_block) % ALIGNMENT == 0, "the first byte of a block is aligned");

#if CACHE_MAX > 0
static _Thread_local struct arena_block *cache;
static _Thread_local unsigned            cache_count;
#endif

static void out_of_memory(size_t size)
{
    fprintf(stderr, "dashbox: out of memory (%zu bytes)\n", size);
    abort();
}

void *xmalloc(size_t size)
{
    void *p = malloc(size ? size : 1);

    if (!p)
        out_of_memory(size);
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);

    if (!p)
        out_of_memory(size);
    return p;
}

void *xrealloc(void *ptr, size_t size)
{
    void *p = realloc(ptr, size ? size : 1);

    if (!p)
        out_of_memory(size);
    return p;
}

size_t mul_size_or_die(size_t a, size_t b)
{
    size_t r;

    if (__builtin_mul_overflow(a, b, &r))
        out_of_memory(SIZE_MAX);
    return r;
}

static struct arena_block *block_new(size_t size)
{
    struct arena_block *b;

#if CACHE_MAX > 0
    if (size == BLOCK_SIZE_CACHED && cache) {
        b = cache;
        cache = b->older;
        cache_count--;
        return b;
    }
#endif
    b = xmalloc(size);
    b->size = size;
    return b;
}

static void block_free(struct arena_block *b)
{
#if CACHE_MAX > 0
    if (b->size == BLOCK_SIZE_CACHED && cache_count < CACHE_MAX) {
        b->older = cache;
        cache = b;
        cache_count++;
        return;
    }
#endif
    free(b);
}

void arena_init(struct arena *a, size_t first_size)
{
    *a = (struct arena){ .first_size = first_size ? first_size : BLOCK_SIZE };
}

void arena_run_deferred(struct arena *a)
{
    while (a->deferred) {
        struct arena_deferred *d = a->deferred;

        a->deferred = d->older;
        d->fn(d->arg);
    }
}

void arena_reset(struct arena *a)
{
    arena_run_deferred(a);
    while (a->blocks) {
        struct arena_block *b = a->blocks;

        a->blocks = b->older;
        block_free(b);
    }
    a->next = a->end = NULL;
    a->used = 0;
}

/* A block that has room for `size` bytes more; returns where they start. */
static char *grow(struct arena *a, size_t size)
{
    size_t              want = a->blocks ? a->blocks->size * 2 : a->first_size;
    struct arena_block *b;

    if (size > SIZE_MAX / 2)
        out_of_memory(size);
    if (want > BLOCK_SIZE_MAX)
        want = BLOCK_SIZE_MAX;
    if (a->blocks && size > want / 4) {
        b = block_new(sizeof(*b) + size);
        b->older = a->blocks->older;
        a->blocks->older = b;
        a->used += size;
        return (char *)(b + 1);
    }
    if (want < sizeof(*b) + size)
        want = sizeof(*b) + size;
    if (a->blocks)
        a->used += (size_t)(a->next - (char *)(a->blocks + 1));
    b = block_new(want);
    b->older = a->blocks;
    a->blocks = b;
    a->next = (char *)(b + 1) + size;
    a->end = (char *)b + b->size;
    return (char *)(b + 1);
}

char *arena_bytes(struct arena *a, size_t size)
{
    char *p = a->next;

    if (LIKELY(p && size <= (size_t)(a->end - p))) {
        a->next = p + size;
        return p;
    }
    return grow(a, size);
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t pad = (size_t)(-(uintptr_t)a->next) & (ALIGNMENT - 1);

    if (LIKELY(a->next && (size_t)(a->end - a->next) >= pad)) {
        size_t room = (size_t)(a->end - a->next) - pad;

        if (LIKELY(size <= room)) {
            char *p = a->next + pad;

            a->next = p + size;
            return p;
        }
    }
    return grow(a, size);
}

void *arena_alloc_zero(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);

    memset(p, 0, size);
    return p;
}

void *arena_realloc(struct arena *a, void *ptr, size_t old_size, size_t new_size)
{
    char *p = ptr;
    void *moved;

    if (p && p + old_size == a->next && new_size <= (size_t)(a->end - p)) {
        a->next = p + new_size;
        return p;
    }
    if (new_size <= old_size)
        return ptr;
    moved = arena_alloc(a, new_size);
    if (old_size)
        memcpy(moved, ptr, old_size);
    return moved;
}

str arena_str(struct arena *a, str s)
{
    char *p = arena_bytes(a, s.len + 1);

    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = 0;
    return str_of(p, s.len);
}

const char *str_to_cstr(struct arena *a, str s)
{
    return arena_str(a, s).ptr;
}

str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char   *p;
    int     len;

    ASSERT(fmt);
    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(len >= 0);
    p = arena_bytes(a, (size_t)len + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return str_of(p, (size_t)len);
}

void arena_defer(struct arena *a, void (*fn)(void *arg), void *arg)
{
    struct arena_deferred *d = arena_new(a, struct arena_deferred);

    *d = (struct arena_deferred){ .older = a->deferred, .fn = fn, .arg = arg };
    a->deferred = d;
}

size_t arena_size(const struct arena *a)
{
    return a->used + (a->blocks ? (size_t)(a->next - (char *)(a->blocks + 1)) : 0);
}
