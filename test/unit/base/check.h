/* check.h - what the unit tests beside it share: cmocka's includes, and checks that work on any stack.
 *
 * cmocka's assertions jump back to the runner and so belong to its own stack. On a fiber, in a callback of the loop and on
 * other threads a test says CHECK(), which ends the program: a failed test there has nothing sane to go on with.
 */
#ifndef DASHBOX_TEST_CHECK_H
#define DASHBOX_TEST_CHECK_H

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A test: its name is a sentence. */
#define TEST(name) static void name(void **state __attribute__((unused)))

#define CHECK(cond)                                                                            \
    do {                                                                                       \
        if (!(cond)) {                                                                         \
            fprintf(stderr, "%s:%d: %s: not true: %s\n", __FILE__, __LINE__, __func__, #cond); \
            abort();                                                                           \
        }                                                                                      \
    } while (0)

#define CHECK_STR(got, want)                                                                                           \
    do {                                                                                                               \
        str got_ = (got), want_ = str_from_cstr(want);                                                                 \
                                                                                                                       \
        if (!str_eq(got_, want_)) {                                                                                    \
            fprintf(stderr, "%s:%d: %s: got \"%.*s\", wanted \"%.*s\"\n", __FILE__, __LINE__, __func__, STR_ARG(got_), \
                    STR_ARG(want_));                                                                                   \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#define assert_str(got, want)                                                         \
    do {                                                                              \
        str got_ = (got), want_ = str_from_cstr(want);                                \
                                                                                      \
        if (!str_eq(got_, want_))                                                     \
            fail_msg("got \"%.*s\", wanted \"%.*s\"", STR_ARG(got_), STR_ARG(want_)); \
    } while (0)

/* Whether a sanitizer watches: some sizes are smaller then, and some tests are for it alone. */
#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN_HERE 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN_HERE 1
#endif
#endif
#ifndef HAS_TSAN_HERE
#define HAS_TSAN_HERE 0
#endif

/* A test that hangs is ended by a signal, long before the runner's own patience is over. */
static inline void hang_guard(void)
{
    alarm(30);
}

#endif
