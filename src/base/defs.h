/* defs.h - the few macros that every file may use. */
#ifndef DASHBOX_BASE_DEFS_H
#define DASHBOX_BASE_DEFS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a)           (sizeof(a) / sizeof((a)[0]))
#define BIT(n)                 (1u << (n))
#define LIKELY(x)              __builtin_expect(!!(x), 1)
#define UNLIKELY(x)            __builtin_expect(!!(x), 0)
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN               __attribute__((noreturn))
#define MUST_CHECK             __attribute__((warn_unused_result))

/* The object that holds `member`, from the member's address. */
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* For our own mistakes only, and kept in release builds: a stopped process is better than a wrong answer. Nothing that
 * a peer, a file or a database sends may trip one. */
#define ASSERT(cond)                                    \
    do {                                                \
        if (UNLIKELY(!(cond)))                          \
            panic(__FILE__, __LINE__, __func__, #cond); \
    } while (0)

/* Marks a path that is on purpose unwritten. */
#define NOT_YET(what) panic(__FILE__, __LINE__, __func__, "not yet: " what)

/* Prints where and what, then what panic_note_set()'s function knows of the work in hand, and aborts. */
NORETURN void panic(const char *file, int line, const char *func, const char *what);

/* `note` writes what the thread was doing (the request, its state) to file descriptor 2. */
void panic_note_set(void (*note)(void));

#endif
