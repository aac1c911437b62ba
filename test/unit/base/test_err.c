/* test_err.c - the error type's texts, and the end of a process that has gone wrong. */
#include "base/defs.c"
#include "base/err.c"

#include "check.h"

#include <sys/wait.h>

TEST(every_error_has_a_text)
{
    for (int e = OK; e <= ERR_IO; e++)
        assert_true(strlen(err_text((enum err)e)) > 0);
    assert_int_equal(OK, 0);
}

static void note(void)
{
    (void)!write(2, "busy with a test\n", 17);
}

TEST(a_panic_says_where_and_what_and_aborts)
{
    int     out[2], status;
    char    text[512];
    size_t  len = 0;
    ssize_t n;
    pid_t   child;

    assert_int_equal(pipe(out), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(out[1], 2);
        panic_note_set(note);
        ASSERT(1 + 1 == 2);
        ASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(out[1]);
    while ((n = read(out[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = 0;
    close(out[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "test_err.c:"));
    assert_non_null(strstr(text, "1 + 1 == 3"));
    assert_non_null(strstr(text, "busy with a test"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_text),
        cmocka_unit_test(a_panic_says_where_and_what_and_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
