/* faults.h - failures on purpose, for the tests of people's own programs (design.md §6).
 *
 * What shall happen is one text, the same wherever it is asked for:
 *
 *      E205               the refusal of that row of the error reference (number or name), in the protocol's own form
 *      E100c@3            the same in the middle of a stream: after three events (the first chunk of the compatible
 * protocol,
 *                         which has no text, is none)
 *      cut, cut@3         the connection is closed: before the answer, after three events
 *      stall, stall@3     nothing more comes, until the client goes away, or for=10s
 *      slow               first=500ms to the first event, between=50ms (or between=20ms-80ms) from one to the next
 *
 * Words behind it: first, between, for, and args=a,b for the places in the row's sentence. It can be asked for
 *   - by the header  X-Dashbox-Fault: E205
 *   - behind a model or a key:  "qwen-plus!E205", "sk-…!cut@3", for clients in which nothing else can be changed
 *   - by a rule (admin API, `dashbox faults`): the next N calls, every Nth, a share of them, of a model, key or path
 * Nothing of it works under --production. Faults asked for are no part of what the error reference is checked by.
 */
#ifndef DASHBOX_ACCESS_FAULTS_H
#define DASHBOX_ACCESS_FAULTS_H

#include "contract/catalog.h"
#include "contract/request.h"

enum fault_act { FAULT_ACT_ERROR, FAULT_ACT_CUT, FAULT_ACT_STALL, FAULT_ACT_SLOW };

struct fault_pause {
    int64_t min_ms, max_ms;
};

struct fault_plan {
    str                     text; /* all of it */
    enum fault_act          act;
    const struct error_row *row; /* FAULT_ACT_ERROR */
    struct fault_arg        args[FAULT_ARGS_MAX];
    int64_t                 after; /* events of the answer; 0: before it */
    struct fault_pause      first, between;
    int64_t                 for_ms; /* of a stall; 0: for ever */
    str                     by;     /* "the header", "the model", "the key", "rule fault-3f9a01c2" */
    uint64_t                random;
    int64_t                 events; /* that the answer has had so far */
};

/* ERR_INVALID: *ret_problem says what is wrong. All texts are views of `text`, or of `a`. */
enum err fault_plan_parse(str text, struct arena *a, struct fault_plan *ret, str *ret_problem);

/* ---- rules ---- */

struct fault_rule {
    str      id;               /* "fault-3f9a01c2" */
    str      fault;            /* the text */
    str      model, key, path; /* patterns with *, of the model's id, the key's id, the path; empty: all */
    int64_t  times;            /* how often it still acts; -1: always */
    int64_t  every;            /* acts on every Nth call that fits; 1: on all */
    double   share;            /* of the calls that fit, 0 … 1, drawn by `seed` */
    uint64_t seed;
    int64_t  fitted, acted; /* calls so far */
};

struct faults;

struct faults *faults_open(void);
void           faults_close(struct faults *f);

/* `rule`'s texts are copied; its id is made and put into `ret_id`. ERR_INVALID with the problem in `a`; ERR_LIMIT: too
 * many. */
#define FAULT_ID_LEN 14
enum err faults_add(struct faults *f, const struct fault_rule *rule, struct arena *a, char ret_id[FAULT_ID_LEN + 1],
                    str *ret_problem);
/* Copies of all, in the order in which they are asked: the first that fits acts. */
void     faults_list(struct faults *f, struct arena *a, struct fault_rule **ret, size_t *ret_count);
enum err faults_remove(struct faults *f, str id);
void     faults_clear(struct faults *f);

/* ---- on a request's way; `rq->faults` is NULL under --production, and then these do nothing ---- */

/* A key or a model as sent: what stands before "!" is returned, what stands behind it is noted. ERR_FAULT when it makes no
 * sense. */
enum err faults_suffix(struct request *rq, const char *by, str *name);

/* The header, what was noted, and the rules; once when the key is known, once when the model is (rules with a model wait
 * for
 * it). ERR_FAULT, or ERR_CANCELLED for a cut, when it acts now. */
SUSPENDS enum err faults_strike(struct request *rq);

/* Before the next event of an answer. The same. */
SUSPENDS enum err faults_step(struct request *rq);
/* Before the end of an answer: what was to come after more events than there were comes now. The same. */
SUSPENDS enum err faults_last(struct request *rq);
/* Both, before an answer that is one event: what shall cost nothing then asks before it is charged, reply_json() asks for all. */
SUSPENDS enum err faults_whole(struct request *rq);

/* What comes later than the answer to the creation of an asynchronous task is the task's: its text, for faults_task() when it runs;
 * empty: nothing. A connection that is cut stays the creation's. */
str faults_hand_over(struct request *rq);
/* Before a task runs. ERR_FAULT: it has failed. */
SUSPENDS enum err faults_task(struct request *rq, str text);

/* A part of a connection (request_part()) fails as the connection's header or key asks, and counts its own events. */
void faults_part(const struct request *rq, struct request *part);
/* It was cut on purpose: its client is not to blame. */
bool faults_cut(const struct request *rq);

#endif
