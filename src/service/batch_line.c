/* batch_line.c - one line of a batch: a request like any other, of which nothing is HTTP. Spec: platform.md §2.6. */
#include "service/batch_run.h"

#include "base/clock.h"
#include "contract/batches_params.gen.h"
#include "contract/errors.gen.h"
#include "loop/loop.h"
#include "service/batch_check.h"

/* Who sent the batch may have lost his key since: what was begun with it goes on, as the account's. */
static const struct key no_key;

/* With the newest configuration and account. */
void batch_caller_open(struct batch_run *run, struct arena *a, struct batch_caller *c)
{
    struct batch_runner *r = run->runner;
    struct request      *rq = arena_new(a, struct request);

    c->services = r->o.hold(r->o.arg, &c->settings);
    c->rq = rq;
    rq->arena = a;
    rq->services = c->services;
    rq->settings = c->settings;
    rq->access = r->o.access;
    rq->account = account_hold(r->o.accounts);
    rq->space = account_workspace(rq->account, run->row.workspace);
    rq->key = account_key_by_id(rq->account, run->row.key);
    if (!rq->key)
        rq->key = &no_key;
    rq->surface = SURFACE_OPENAI;
    rq->workspace = run->row.workspace;
    rq->key_id = run->row.key;
    rq->action = "running a batch";
    rq->started_us = rq->phase_started_us = clock_mono_us();
    rq->arrived_ms = clock_unix_ms();
    rand_uuid(rq->id, '4');
}

void batch_caller_close(struct batch_run *run, struct batch_caller *c)
{
    account_release(run->runner->o.accounts, c->rq->account);
    run->runner->o.release(run->runner->o.arg, c->services);
}

/* {"id","custom_id","response":{"status_code","request_id","body"},"error"} */
void batch_line_begin(struct buf *b, const char *id, str custom_id)
{
    buf_addf(b, "{\"id\":\"%s\",\"custom_id\":", id);
    json_add_str(b, custom_id);
}

void batch_line_error(struct buf *b, const struct fault_view *v)
{
    buf_add(b, S(",\"error\":{\"code\":"));
    json_add_str(b, v->compat_code.len ? v->compat_code : v->code);
    buf_add(b, S(",\"message\":"));
    json_add_str(b, v->message);
    buf_add(b, S("}}"));
}

static str refused_line(struct batch_run *run, struct request *rq, str custom_id)
{
    struct fault_view v;
    struct buf        b;

    fault_render(&rq->fault, &rq->settings->wording, rq->arena, &v);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    batch_line_begin(&b, rq->id, custom_id);
    json_add_count(&b, S(",\"response\":{\"status_code\":"), v.status);
    buf_addf(&b, ",\"request_id\":\"%s\",\"body\":", rq->id);
    buf_add(&b, run->runner->o.refusal(rq, &v));
    buf_add_char(&b, '}');
    batch_line_error(&b, &v);
    return buf_str(&b);
}

static str good_line(struct request *rq, str custom_id, str body)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    (void)buf_room(&b, body.len + custom_id.len + 256);
    batch_line_begin(&b, rq->id, custom_id);
    buf_addf(&b, ",\"response\":{\"status_code\":200,\"request_id\":\"%s\",\"body\":", rq->id);
    buf_add(&b, body);
    buf_add(&b, S("},\"error\":null}"));
    return buf_str(&b);
}

/* The answer of the test model, which no engine is asked for. */
static str test_answer(struct request *rq)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    json_add_count(&b, S("{\"created\":"), rq->arrived_ms / 1000);
    json_add_count(&b, S(",\"usage\":{\"completion_tokens\":"), BATCHES_TEST_COMPLETION_TOKENS);
    json_add_count(&b, S(",\"prompt_tokens\":"), BATCHES_TEST_PROMPT_TOKENS);
    json_add_count(&b, S(",\"total_tokens\":"), BATCHES_TEST_PROMPT_TOKENS + BATCHES_TEST_COMPLETION_TOKENS);
    buf_add(&b, S("},\"model\":"));
    json_add_str(&b, BATCHES_TEST_MODEL);
    buf_addf(
        &b,
        ",\"id\":\"chatcmpl-%s\",\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":",
        rq->id);
    json_add_str(&b, BATCHES_TEST_ANSWER);
    buf_add(&b, S("}}],\"object\":\"chat.completion\"}"));
    return buf_str(&b);
}

/* OK: a good answer is in *body. */
SUSPENDS static enum err answer(struct batch_run *run, struct batch_caller *c, const struct batch_request *r,
                                struct batch_text *l, struct buf *body)
{
    struct request *rq = c->rq;
    enum err        e;

    if (str_eq(r->model, BATCHES_TEST_MODEL)) {
        buf_add(body, test_answer(rq));
        return OK;
    }
    if (!rq->space)
        return fail_access_denied(&rq->fault); /* its workspace has been deleted */
    fiber_deadline_set(rq->settings->call_ms > 0 ? loop_now_us(fiber_loop()) + rq->settings->call_ms * 1000
                                                 : DEADLINE_NONE);
    e = run->runner->o.answer(rq, run->row.endpoint, r->body, &l->charge, body);
    fiber_deadline_set(DEADLINE_NONE);
    admit_end(rq);
    if (e == ERR_TIMEOUT)
        return fail_request_timeout(&rq->fault); /* REF: E230a */
    return e;
}

/* ERR_CANCELLED: it has no end. */
enum err batch_line_run(struct batch_run *run, struct batch_text *l)
{
    struct batch_request r;
    struct batch_caller  c;
    struct buf           body;
    enum err             e;

    batch_caller_open(run, &l->arena, &c);
    buf_init(&body, &l->arena, SIZE_MAX / 2);
    (void)batch_request_read(&l->arena, l->text, &r); /* it was good when it was looked at */
    e = answer(run, &c, &r, l, &body);
    if (e && e != ERR_FAULT && e != ERR_CANCELLED) {
        (void)fail_internal_error(&c.rq->fault);
        (void)fault_detail(&c.rq->fault, str_from_cstr(err_text(e)));
        e = ERR_FAULT;
    }
    l->good = !e;
    if (e)
        l->charge.model = NULL; /* what fails is free */
    if (!e)
        l->result = good_line(c.rq, r.custom_id, buf_str(&body));
    else if (e == ERR_FAULT)
        l->result = refused_line(run, c.rq, r.custom_id);
    l->charge.workspace = run->row.workspace;
    l->charge.key = run->row.key;
    batch_caller_close(run, &c);
    return e == ERR_FAULT ? OK : e;
}
