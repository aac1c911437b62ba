/* arena.h - memory that lives as long as something: a process, a connection, a request, a job.
 *
 * Allocation is a pointer increment and cannot fail (we size it; running out stops the process). Nothing is freed one
 * by one: arena_reset() or arena_free() ends the lifetime, after running what arena_defer() registered, newest first.
 * An arena belongs to one thread at a time and is never copied.
 */
#ifndef DASHBOX_BASE_ARENA_H
#define DASHBOX_BASE_ARENA_H

#include "base/str.h"

struct arena_block;
struct arena_deferred;

struct arena {
    char                  *next, *end;
    struct arena_block    *blocks;     /* newest first; NULL before the first allocation */
    struct arena_deferred *deferred;   /* newest first */
    size_t                 used;       /* bytes in all blocks but the newest */
    size_t                 first_size; /* of the first block; later ones double up to a bound */
};

/* The first size for a request's arena: blocks of it are reused without malloc. */
#define ARENA_REQUEST ((size_t)24 * 1024)

/* `first_size` 0 means 4 KiB. Nothing is allocated until something is asked for. */
void arena_init(struct arena *a, size_t first_size);
/* Runs the deferred functions and gives the memory back; the arena can be used again. */
void arena_reset(struct arena *a);
#define arena_free arena_reset

/* Aligned for any type. The memory is not cleared. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
void *arena_alloc_zero(struct arena *a, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
/* Unaligned bytes, for text. */
char *arena_bytes(struct arena *a, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
/* Grows or moves the block at `ptr`; in place when it is the newest allocation. */
void *arena_realloc(struct arena *a, void *ptr, size_t old_size, size_t new_size);

#define arena_new(a, type)      ((type *)arena_alloc_zero((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_alloc_zero((a), mul_size_or_die((n), sizeof(type))))

size_t mul_size_or_die(size_t a, size_t b);

/* A copy of the text with a NUL behind it. */
str         arena_str(struct arena *a, str s);
const char *str_to_cstr(struct arena *a, str s);
str         arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Calls fn(arg) when the lifetime ends. It may use the arena, and may defer again. */
void arena_defer(struct arena *a, void (*fn)(void *arg), void *arg);
/* The first half of the end, for an arena that lies in its own memory: then a copy of it is freed. */
void arena_run_deferred(struct arena *a);

/* Bytes handed out and held, for limits and metrics. */
size_t arena_size(const struct arena *a);

/* malloc and friends that cannot fail, for the few things with a life of their own. */
void *xmalloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, alloc_size(1, 2), returns_nonnull));
void *xrealloc(void *ptr, size_t size) __attribute__((alloc_size(2), returns_nonnull));

#endif
