/* process.h - a child process: started, heard, stopped.
 *
 * What it writes to its standard output and error comes line by line; its standard input is empty, or a file. It leads a process
 * group of its own, so that a signal reaches what it has started too and the terminal's Ctrl-C does not: whoever started
 * it stops it. Where setpriv(1) is there (util-linux), it is killed by the kernel when our thread ends without that.
 *
 *      process_start             it ends: on_exit
 *   . ---------------> RUNNING --------------------> ENDED -- process_free() --> gone
 *                        |  process_stop(): SIGTERM, SIGKILL after the grace
 *
 * Thread: one loop for life.
 * Limits: PROCESS_LINE_MAX bytes a line; a longer one comes in pieces. What is in the pipe when it has ended is heard up to
 *         a few hundred KiB: a pipe holds 64.
 */
#ifndef DASHBOX_LOOP_PROCESS_H
#define DASHBOX_LOOP_PROCESS_H

#include "base/str.h"
#include "loop/fiber.h"

struct process;

#define PROCESS_LINE_MAX ((size_t)4096)
#define PROCESS_CHANNEL  3

struct process_options {
    const char *const *argv;  /* ends with NULL; argv[0] is looked for on the PATH */
    const char *const *env;   /* "NAME=value" beside our own environment, ends with NULL; NULL: nothing more */
    const char        *dir;   /* to work in; NULL: ours */
    bool               bare;  /* its environment is `env` and nothing of ours */
    int                input; /* this descriptor of ours is its standard input; 0: that is empty. Likewise */
    int channel;              /* it finds this descriptor of ours as PROCESS_CHANNEL; 0: none. We may then close ours */
    void (*on_line)(void *arg, str line); /* without its line end; may be NULL */
    void (*on_exit)(void *arg);           /* once; may be NULL */
    void *arg;
};

/* ERR_NOT_FOUND when the program is not there or may not be run. */
enum err process_start(struct loop *l, const struct process_options *o, struct process **ret);

int  process_pid(const struct process *p);
bool process_ended(const struct process *p);
/* It has ended because no program could be run, which is how a shell, too, says so: with status 126 or 127. */
bool process_was_missing(const struct process *p);
/* "status 1", "signal 9"; "" while it runs. */
#define PROCESS_END_TEXT_MAX 32
void process_end_text(const struct process *p, char text[PROCESS_END_TEXT_MAX]);

/* To the whole group; nothing when it has ended. */
void process_kill(struct process *p, int signal);
/* SIGTERM now, SIGKILL when it still runs after `grace_ms`. */
void process_stop(struct process *p, int64_t grace_ms);
/* Until it has ended. */
SUSPENDS enum err process_wait(struct process *p, int64_t deadline_us);

/* Kills it when it still runs. No callback comes after this. */
void process_free(struct process *p);

#endif
