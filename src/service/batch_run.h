/* batch_run.h - what the files share that run a batch: batch_runner.c claims and watches, batch_run.c is the way of one, batch_line.c that
 * of one of its lines, batch_files.c writes what came of them.
 */
#ifndef DASHBOX_SERVICE_BATCH_RUN_H
#define DASHBOX_SERVICE_BATCH_RUN_H

#include "service/batch_runner.h"
#include "service/line_file.h"
#include "store/batches.h"

/* How late is noticed what another process or worker did, and the end of a window. */
#define BATCH_POLL_US INT64_C(1000000)

/* A line on its way: read, run, ended. In memory of its own. */
struct batch_text {
    struct batch_text *next;
    struct arena       arena;
    int64_t            number; /* from 1 */
    str                text;
    bool               good;
    str                result;
    struct charge      charge; /* model NULL: it costs nothing */
};

struct batch_queue {
    struct batch_text *first, **last;
    size_t             count;
};

struct batch_run;

/* A fiber that runs lines. */
struct batch_hand {
    struct batch_run *run;
    struct fiber     *fiber; /* NULL: it has ended */
};

struct batch_run {
    struct batch_run    *next;
    struct batch_runner *runner;
    struct fiber        *fiber;
    struct arena         arena;
    struct batch_row     row; /* in the arena */
    int                  fd;  /* of its file; -1: not open */
    int64_t              file_size;
    struct line_file     lines;
    struct lane         *files; /* the process's */
    unsigned char       *done;  /* a bit a line: its end is committed */
    struct batch_queue   todo, ended;
    struct batch_hand   *hands;
    size_t               hand_count;
    bool                 all_read, closing; /* no more lines are read; none is begun any more */
    bool                 cancelling, expired, over;
    bool                 news; /* somebody wants something of it */
    int64_t              beat_us;
};

struct batch_runner {
    struct loop                *loop;
    struct batch_runner_options o;
    char                        owner[16];
    struct fiber               *fiber; /* NULL: not started, or at its end */
    struct batch_run           *runs;
    size_t                      run_count;
    struct fiber               *teller; /* of ends; NULL: not at it */
    int64_t                     tell_us;
    int64_t                     lines; /* ended */
    bool                        news, stopping;
    void (*then)(void *arg);
    void *then_arg;
};

/* A request of the batch's, with the newest configuration and account. */
struct batch_caller {
    const struct request_settings *settings;
    struct services               *services;
    struct request                *rq;
};

/* The fiber of a claimed batch; its argument is the run. */
void batch_run_main(void *batch_run);

/* Whether the line, from 1, has its end. */
bool batch_run_is_done(const struct batch_run *run, int64_t line);
/* Renews the lease, and looks at what others want. ERR_NOT_FOUND: it is somebody else's. */
SUSPENDS enum err batch_run_beat(struct batch_run *run);
SUSPENDS enum err batch_run_beat_when_due(struct batch_run *run);

/* ---- a line ---- */

void batch_caller_open(struct batch_run *run, struct arena *a, struct batch_caller *c);
void batch_caller_close(struct batch_run *run, struct batch_caller *c);

/* Its result and its charge. ERR_CANCELLED: it has no end. */
SUSPENDS enum err batch_line_run(struct batch_run *run, struct batch_text *l);
/* What a line of a result begins and, when it is a refusal, ends with. */
void batch_line_begin(struct buf *b, const char *id, str custom_id);
void batch_line_error(struct buf *b, const struct fault_view *v);

/* ---- its end ---- */

/* Without files. */
SUSPENDS enum err batch_run_end(struct batch_run *run, str status, str errors);
/* With what came of its lines; what was not run is told so. */
SUSPENDS enum err batch_run_finalize(struct batch_run *run, struct batch_caller *c);

#endif
