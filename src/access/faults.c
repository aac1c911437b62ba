/* faults.c - failures on purpose. */
#include "access/faults.h"

#include "base/clock.h"
#include "base/num.h"
#include "base/rand.h"
#include "contract/errors.gen.h"
#include "loop/loop.h"
#include "net/http_server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define RULES_MAX    256
#define PAUSE_MAX_MS INT64_C(3600000)

/* ---- the text ---- */

static bool parse_ms(str text, int64_t *ret)
{
    int64_t unit = str_ends(text, S("ms")) ? 1 : 1000;

    if (!str_ends(text, S("s")))
        return false;
    text.len -= unit == 1 ? 2 : 1;
    if (!str_to_i64(text, ret) || *ret < 0 || *ret > PAUSE_MAX_MS / unit)
        return false;
    *ret *= unit;
    return true;
}

/* "50ms", or "20ms-80ms". */
static bool parse_pause(str text, struct fault_pause *ret)
{
    str least = str_cut(&text, '-');

    if (!parse_ms(least, &ret->min_ms))
        return false;
    ret->max_ms = ret->min_ms;
    return !text.len || (parse_ms(text, &ret->max_ms) && ret->max_ms >= ret->min_ms);
}

/* What stands in a sentence whose places nobody filled: the name of the place, and numbers 1. */
static void default_args(struct fault_plan *p)
{
    for (unsigned i = 0; i < p->row->arg_count; i++) {
        const struct error_arg *arg = &p->row->args[i];

        p->args[i] = (struct fault_arg){ .kind = arg->kind };
        if (arg->kind == FAULT_ARG_STR)
            p->args[i].s = arg->name;
        else if (arg->kind == FAULT_ARG_INT)
            p->args[i].i = 1;
        else
            p->args[i].n = 1;
    }
}

static bool parse_args(str text, struct fault_plan *p)
{
    if (!p->row)
        return false;
    for (unsigned i = 0; i < p->row->arg_count && text.len; i++) {
        str word = str_cut(&text, ',');

        if (p->args[i].kind == FAULT_ARG_STR)
            p->args[i].s = word;
        else if (p->args[i].kind == FAULT_ARG_INT ? !str_to_i64(word, &p->args[i].i) : !str_to_f64(word, &p->args[i].n))
            return false;
    }
    return text.len == 0;
}

static enum err parse_what(str what, struct arena *a, struct fault_plan *ret, str *ret_problem)
{
    static const struct {
        str            name;
        enum fault_act act;
    } acts[] = { { S("cut"), FAULT_ACT_CUT }, { S("stall"), FAULT_ACT_STALL }, { S("slow"), FAULT_ACT_SLOW } };
    str name = str_cut(&what, '@');

    if (what.len && (!str_to_i64(what, &ret->after) || ret->after < 1)) {
        *ret_problem = arena_printf(a, "\"@%.*s\" is no number of events", STR_ARG(what));
        return ERR_INVALID;
    }
    for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
        if (str_eq_nocase(name, acts[i].name)) {
            ret->act = acts[i].act;
            return OK;
        }
    }
    ret->row = name.len ? error_find(name) : NULL;
    if (!ret->row) {
        *ret_problem = arena_printf(a, "\"%.*s\" is no error of the reference, nor cut, stall or slow", STR_ARG(name));
        return ERR_INVALID;
    }
    default_args(ret);
    return OK;
}

static bool word_matters(str name, enum fault_act act)
{
    return str_eq(name, S("args")) || (str_eq(name, S("for")) ? act == FAULT_ACT_STALL : act == FAULT_ACT_SLOW);
}

enum err fault_plan_parse(str text, struct arena *a, struct fault_plan *ret, str *ret_problem)
{
    enum err e;

    text = str_trim(text);
    *ret = (struct fault_plan){ .text = text, .act = FAULT_ACT_ERROR };
    e = parse_what(str_cut(&text, ' '), a, ret, ret_problem);
    while (!e && (text = str_trim(text)).len) {
        str  value = str_cut(&text, ' '), word = value, name = str_cut(&value, '=');
        bool good = str_eq(name, S("first"))     ? parse_pause(value, &ret->first)
                    : str_eq(name, S("between")) ? parse_pause(value, &ret->between)
                    : str_eq(name, S("for"))     ? parse_ms(value, &ret->for_ms)
                    : str_eq(name, S("args"))    ? parse_args(value, ret)
                                                 : false;

        if (!good) {
            *ret_problem = arena_printf(
                a, "\"%.*s\" is not understood: first=, between=, for= with times such as 50ms or 2s, or args=",
                STR_ARG(word));
            e = ERR_INVALID;
        }
        if (!e && !word_matters(name, ret->act)) {
            *ret_problem = arena_printf(
                a, "\"%.*s=\" does nothing here: first= and between= are for slow, for= is for stall", STR_ARG(name));
            e = ERR_INVALID;
        }
    }
    if (!e && ret->act == FAULT_ACT_SLOW && !ret->first.max_ms && !ret->between.max_ms) {
        *ret_problem = S("slow needs first= or between=, with a time such as 500ms");
        e = ERR_INVALID;
    }
    return e;
}

/* ---- rules ---- */

struct rule {
    struct fault_rule pub;
    struct arena      arena;
    uint64_t          draws; /* state of the generator */
};

struct faults {
    pthread_mutex_t lock; /* guards all below */
    struct rule    *rules[RULES_MAX];
    size_t          count;
    _Atomic size_t  any; /* the count, to be read without the lock */
};

struct faults *faults_open(void)
{
    struct faults *f = xcalloc(1, sizeof(*f));

    pthread_mutex_init(&f->lock, NULL);
    return f;
}

static void rule_free(struct rule *r)
{
    arena_free(&r->arena);
    free(r);
}

void faults_close(struct faults *f)
{
    if (!f)
        return;
    faults_clear(f);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static struct fault_rule rule_copy(const struct fault_rule *r, struct arena *a)
{
    struct fault_rule copy = *r;

    copy.id = arena_str(a, r->id);
    copy.fault = arena_str(a, r->fault);
    copy.model = arena_str(a, r->model);
    copy.key = arena_str(a, r->key);
    copy.path = arena_str(a, r->path);
    return copy;
}

enum err faults_add(struct faults *f, const struct fault_rule *rule, struct arena *a, char ret_id[FAULT_ID_LEN + 1],
                    str *ret_problem)
{
    struct fault_plan plan;
    struct rule      *r;
    enum err          e = fault_plan_parse(rule->fault, a, &plan, ret_problem);

    if (e)
        return e;
    r = xcalloc(1, sizeof(*r));
    arena_init(&r->arena, 0);
    r->pub = rule_copy(rule, &r->arena);
    memcpy(ret_id, "fault-", 6);
    rand_hex(ret_id + 6, FAULT_ID_LEN - 6);
    ret_id[FAULT_ID_LEN] = 0;
    r->pub.id = arena_str(&r->arena, str_of(ret_id, FAULT_ID_LEN));
    r->pub.fitted = r->pub.acted = 0;
    r->draws = rule->seed;
    pthread_mutex_lock(&f->lock);
    if (f->count == RULES_MAX) {
        *ret_problem = S("there are too many rules; remove some");
        e = ERR_LIMIT;
    } else {
        f->rules[f->count++] = r;
        f->any = f->count;
    }
    pthread_mutex_unlock(&f->lock);
    if (e)
        rule_free(r);
    return e;
}

void faults_list(struct faults *f, struct arena *a, struct fault_rule **ret, size_t *ret_count)
{
    pthread_mutex_lock(&f->lock);
    *ret_count = f->count;
    *ret = arena_array(a, struct fault_rule, f->count);
    for (size_t i = 0; i < f->count; i++)
        (*ret)[i] = rule_copy(&f->rules[i]->pub, a);
    pthread_mutex_unlock(&f->lock);
}

enum err faults_remove(struct faults *f, str id)
{
    struct rule *gone = NULL;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++) {
        if (gone)
            f->rules[i - 1] = f->rules[i];
        else if (str_eq(f->rules[i]->pub.id, id))
            gone = f->rules[i];
    }
    if (gone)
        f->any = --f->count;
    pthread_mutex_unlock(&f->lock);
    if (!gone)
        return ERR_NOT_FOUND;
    rule_free(gone);
    return OK;
}

void faults_clear(struct faults *f)
{
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++)
        rule_free(f->rules[i]);
    f->any = f->count = 0;
    pthread_mutex_unlock(&f->lock);
}

/* ---- choosing ---- */

static bool pattern_fits(str pattern, str text)
{
    return !pattern.len || str_glob(pattern, text);
}

/* Whether it acts on this call, which it counts. */
static bool rule_acts(struct rule *r)
{
    struct fault_rule *p = &r->pub;

    p->fitted++;
    if (p->times == 0 || (p->every > 1 && p->fitted % p->every))
        return false;
    if (p->share < 1 && (double)(rand_next(&r->draws) >> 11) * 0x1p-53 >= p->share)
        return false;
    if (p->times > 0)
        p->times--;
    p->acted++;
    return true;
}

/* The first rule that fits and acts becomes the request's plan. Rules with a model are asked when it is known, the others
 * before: each once a request. */
static void choose_rule(struct request *rq)
{
    struct faults *f = rq->faults;
    bool           with_model = rq->model_name.len > 0;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count && !rq->plan; i++) {
        struct rule *r = f->rules[i];

        if ((r->pub.model.len > 0) != with_model || !pattern_fits(r->pub.model, rq->model_name) ||
            !pattern_fits(r->pub.key, rq->key_id) || !pattern_fits(r->pub.path, http_path(rq->x)) || !rule_acts(r))
            continue;
        rq->plan = arena_new(rq->arena, struct fault_plan);
        (void)fault_plan_parse(arena_str(rq->arena, r->pub.fault), rq->arena, rq->plan,
                               &rq->plan->by); /* it was good */
        rq->plan->by = arena_printf(rq->arena, "rule %.*s", STR_ARG(r->pub.id));
        rq->plan->random = rand_next(&r->draws);
    }
    pthread_mutex_unlock(&f->lock);
}

static enum err plan_set(struct request *rq, str text, const char *by)
{
    struct fault_plan *p = arena_new(rq->arena, struct fault_plan);
    str                problem = { 0 };

    if (fault_plan_parse(text, rq->arena, p, &problem))
        return fail_fault_not_understood(&rq->fault, problem);
    p->by = str_from_cstr(by);
    rq->plan = p;
    return OK;
}

enum err faults_suffix(struct request *rq, const char *by, str *name)
{
    size_t at = rq->faults ? str_find(*name, '!') : STR_NONE;
    str    text;

    if (at == STR_NONE)
        return OK;
    text = str_from(*name, at + 1);
    *name = str_first(*name, at);
    return plan_set(rq, text, by);
}

void faults_part(const struct request *rq, struct request *part)
{
    if (!rq->plan)
        return;
    part->plan = arena_new(part->arena, struct fault_plan);
    *part->plan = *rq->plan;
    part->plan->events = 0;
}

bool faults_cut(const struct request *rq)
{
    return rq->plan && rq->plan->act == FAULT_ACT_CUT && rq->fault_by.len;
}

/* ---- acting ---- */

static enum err sleep_ms(int64_t ms)
{
    if (ms <= 0)
        return OK;
    return fiber_sleep_until(loop_now_us(fiber_loop()) + ms * 1000);
}

static enum err pause_within(struct fault_plan *p, const struct fault_pause *range)
{
    uint64_t width = (uint64_t)(range->max_ms - range->min_ms) + 1;

    return sleep_ms(range->min_ms + (int64_t)(width > 1 ? rand_next(&p->random) % width : 0));
}

/* Nothing more, until the client goes away or the time is over. */
static enum err stall(const struct fault_plan *p)
{
    if (p->for_ms)
        return sleep_ms(p->for_ms);
    return fiber_sleep_until(DEADLINE_NONE);
}

/* What has been gathered for the client goes out first: it was before the fault. */
static enum err act(struct request *rq)
{
    struct fault_plan *p = rq->plan;
    enum err           e = OK;

    rq->action = "failing on purpose";
    rq->fault_by = p->by;
    if (p->act != FAULT_ACT_ERROR && rq->x && http_begun(rq->x)) /* a task has none */
        e = http_stream_flush(rq->x);
    if (e)
        return e;
    switch (p->act) {
    case FAULT_ACT_ERROR:
        rq->plan = NULL; /* once */
        (void)fault_raise(&rq->fault, p->row, p->args, p->row->arg_count);
        return fault_detail(&rq->fault, arena_printf(rq->arena, "asked for by %.*s", STR_ARG(p->by)));
    case FAULT_ACT_CUT:
        return ERR_CANCELLED;
    case FAULT_ACT_STALL:
        rq->plan = NULL;
        return stall(p);
    case FAULT_ACT_SLOW:
        return pause_within(p, p->events == 0 ? &p->first : &p->between);
    }
    return OK;
}

enum err faults_strike(struct request *rq)
{
    struct faults *f = rq->faults;
    enum err       e = OK;

    might_suspend();
    if (!f || rq->fault_by.len) /* off, or it has acted already: a stall that is over */
        return OK;
    if (!rq->plan && !rq->model_name.len) { /* later it has been looked at */
        str header = request_header(rq, S("x-dashbox-fault"));

        e = header.len ? plan_set(rq, header, "the header") : OK;
    }
    if (e)
        return e;
    if (!rq->plan && atomic_load_explicit(&f->any, memory_order_relaxed))
        choose_rule(rq);
    if (!rq->plan || rq->plan->after > 0 || rq->plan->act == FAULT_ACT_SLOW)
        return OK;
    return act(rq);
}

enum err faults_step(struct request *rq)
{
    struct fault_plan *p = rq->plan;
    enum err           e = OK;

    if (LIKELY(!p))
        return OK;
    might_suspend();
    if (p->act == FAULT_ACT_SLOW || p->events == p->after)
        e = act(rq);
    p->events++;
    return e;
}

enum err faults_whole(struct request *rq)
{
    enum err e;

    if (LIKELY(!rq->plan) || rq->plan->events > 0)
        return OK;
    e = faults_step(rq);
    return e ? e : faults_last(rq);
}

str faults_hand_over(struct request *rq)
{
    struct fault_plan *p = rq->plan;

    if (LIKELY(!p) || p->act == FAULT_ACT_CUT)
        return (str){ 0 };
    rq->plan = NULL;
    rq->fault_by = p->by;
    return p->text;
}

enum err faults_task(struct request *rq, str text)
{
    struct fault_plan p;
    str               problem;
    enum err          e;

    might_suspend();
    if (LIKELY(!text.len) || fault_plan_parse(text, rq->arena, &p, &problem)) /* of a newer dashbox: it runs */
        return OK;
    p.by = S("its creation");
    rq->plan = &p;
    e = faults_whole(rq);
    rq->plan = NULL;
    return e;
}

enum err faults_last(struct request *rq)
{
    struct fault_plan *p = rq->plan;

    if (LIKELY(!p) || p->act == FAULT_ACT_SLOW)
        return OK;
    might_suspend();
    return act(rq);
}
