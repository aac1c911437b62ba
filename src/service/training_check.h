/* training_check.h - a training file, read from its first line to its last: is it what its kind of training wants, and how much is it.
 * It is JSON lines, or a ZIP of such and of what they name (service/training_archive.h).
 *
 * Memory: one line, and the problems that are told one by one. Thread: the reading is work for a lane, a piece at a time, so that
 * nobody stands long behind it; a check is one thread's at a time.
 */
#ifndef DASHBOX_SERVICE_TRAINING_CHECK_H
#define DASHBOX_SERVICE_TRAINING_CHECK_H

#include "contract/training_line.h"
#include "tokens/tokenizer.h"

struct training_problem {
    int64_t line; /* from 1 */
    str     reason;
};

/* What has been seen so far; sums over files are the caller's. */
struct training_totals {
    int64_t lines; /* that are not empty: samples */
    int64_t bad;
    int64_t tokens; /* of the good ones, each cut at the longest sample */
    int64_t cut;    /* that were longer */
};

struct training_check;

/* Takes the descriptor over. max_length: tokens of a sample that count. */
struct training_check *training_check_open(int fd, enum training_kind kind, const struct tokenizer *t,
                                           int64_t max_length);
/* The next piece. ERR_EOF: that was all; ERR_INVALID: it cannot be read; ERR_IO. */
enum err training_check_step(struct training_check *c);
/* Why it cannot. */
str                           training_check_broken(const struct training_check *c);
const struct training_totals *training_check_totals(const struct training_check *c);
/* The first TUNING_PROBLEMS_MAX. */
const struct training_problem *training_check_problems(const struct training_check *c, size_t *ret_count);
void                           training_check_close(struct training_check *c);

#endif
