/* fuzz_training.c - training files: lines of JSON, and archives of them. The first byte says which kind of training. */
#include "service/training_check.h"

#include "contract/tuning_params.gen.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tokenizer *tokenizer;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct training_check         *c;
    const struct training_totals  *t;
    const struct training_problem *p;
    size_t                         problems;
    int                            fd;
    enum err                       e = OK;

    if (size == 0)
        return 0;
    if (!tokenizer && tokenizer_open(getenv("DASHBOX_TOKENIZER"), &tokenizer))
        abort();
    fd = memfd_create("training", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1) || lseek(fd, 0, SEEK_SET))
        abort();
    c = training_check_open(fd, (enum training_kind)(data[0] % 3), tokenizer, 1000);
    while (!e)
        e = training_check_step(c);
    t = training_check_totals(c);
    p = training_check_problems(c, &problems);
    ASSERT(e == ERR_EOF || (e == ERR_INVALID && training_check_broken(c).len));
    ASSERT(t->bad <= t->lines && (int64_t)problems <= t->bad && t->tokens <= (t->lines - t->bad) * 1000);
    ASSERT(problems == (size_t)t->bad || problems == TUNING_PROBLEMS_MAX);
    for (size_t i = 0; i < problems; i++)
        ASSERT(p[i].reason.len && p[i].line > 0 && (i == 0 || p[i].line > p[i - 1].line));
    training_check_close(c);
    return 0;
}
