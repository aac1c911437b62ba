/* app.c - the way of a call of an application: which one, its session, its run, and what is kept of it. */
#include "service/app.h"

#include "access/admission.h"
#include "access/faults.h"
#include "base/clock.h"
#include "base/num.h"
#include "contract/catalog.h"
#include "contract/errors.gen.h"
#include "loop/loop.h"
#include "service/app_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define SESSION_LEN 32
#define ANSWER_MAX  ((size_t)16 << 20) /* bytes */
#define TRACE_MAX   ((size_t)4 << 20)
#define ZONE_S      (8 * 3600) /* textual times are UTC+8 (platform.md §0.6) */

/* ---- opening ---- */

/* REF: E194, E143. */
static enum err refuse_unknown(struct request *rq, const struct app_load *l, enum err e)
{
    if (e == ERR_NOT_FOUND)
        return fail_app_access_denied(&rq->fault);
    if (e) {
        (void)fail_internal_server_error(&rq->fault);
        return fault_detail(&rq->fault, S("the store cannot be read"));
    }
    if (l->definition.len)
        return OK;
    return str_eq(l->kind, app_kind_name(APP_FLOW)) ? fail_app_flow_not_published(&rq->fault)
                                                    : fail_app_access_denied(&rq->fault);
}

SUSPENDS static enum err load(struct app_run *r)
{
    struct request *rq = r->rq;
    struct app_load l = { .arena = rq->arena,
                          .app = r->in->app,
                          .workspace = rq->workspace,
                          .session = r->in->messages ? (str){ 0 } : r->in->session,
                          .used_after_ms = clock_unix_ms() - APPS_SESSION_LIFE_MS };
    yyjson_val     *root;
    str             problem = { 0 };
    enum err        e = refuse_unknown(rq, &l, store_run(rq->services->store, app_load_job, &l));

    if (e)
        return e;
    root = json_parse_copy(rq->arena, l.definition);
    if (!root || app_read(rq->arena, root, &r->app, &problem)) {
        (void)fail_app_process_failed(&rq->fault); /* REF: E232: made by a dashbox that took more */
        return fault_detail(&rq->fault, arena_printf(rq->arena, "the definition: %.*s", STR_ARG(problem)));
    }
    r->version = l.version;
    r->answer.shows_references = (r->in->references ? r->in->references : r->app.references) != APP_REFERENCES_NONE;
    r->turns = l.turns;
    r->turn_count = l.turn_count;
    if (l.session_found) { /* of another, or of none, a new one is begun in silence (platform.md §4.6) */
        r->answer.session = l.session;
    } else {
        char *hex = arena_bytes(rq->arena, SESSION_LEN);

        rand_hex(hex, SESSION_LEN);
        r->answer.session = str_of(hex, SESSION_LEN);
    }
    return OK;
}

/* REF: E204a, E204b. */
SUSPENDS static enum err admit_rate(struct app_run *r)
{
    struct request    *rq = r->rq;
    struct rate_limits limits = { .requests = { { rq->settings->apps.rate, 60000 } }, .request_windows = 1 };
    struct rate_claim  claim = { .subject = S(":app"), .model = r->in->app, .limits = &limits };
    struct rate_state  state;
    enum err           e;

    if (!rq->settings->limits.catalog)
        return OK;
    e = rates_admit(rq->access->rates, &claim, 1, clock_unix_ms(), &r->ticket, &state);
    if (e == ERR_LIMIT)
        return rq->surface == SURFACE_NATIVE ? fail_request_rate_native(&rq->fault)
                                             : fail_request_rate_openai(&rq->fault);
    return e == ERR_UNREACHABLE ? fail_throttled(&rq->fault) : e;
}

/* REF: E174: what the application's own rules refuse. */
static enum err check_faq(struct app_run *r, str text)
{
    for (size_t i = 0; i < r->app.faq_count; i++) {
        if (str_find_str_nocase(text, r->app.faq[i]) == STR_NONE)
            continue;
        (void)fail_app_faq_rule_blocked(&r->rq->fault);
        return fault_detail(&r->rq->fault, arena_printf(r->rq->arena, "faq rule %zu of the application", i + 1));
    }
    return OK;
}

/* A flow takes its values as they are: platform.md §4.2. REF: E050. */
static enum err check_params(struct app_run *r)
{
    yyjson_val            *prompt_params = json_get(r->in->biz, "user_prompt_params");
    const struct app_node *start = r->app.kind == APP_FLOW ? &r->app.nodes.at[0] : NULL;

    if (r->app.kind == APP_AGENT)
        return yyjson_obj_size(prompt_params) > APPS_PROMPT_VARIABLES_MAX
                   ? fail_parameter_missing_named(&r->rq->fault, S("user_prompt_params"))
                   : OK;
    if (r->in->rag.base_count && !r->app.base_count)
        return fail_app_parameter_unserved(&r->rq->fault, S("rag_options, by a flow that retrieves nothing,"));
    if (r->in->image_count)
        return fail_app_parameter_unserved(&r->rq->fault, S("image_list"));
    for (size_t i = 0; prompt_params && i < start->param_count; i++) {
        if (str_eq(start->params[i].name, S("user_prompt_params")))
            return OK;
    }
    return prompt_params ? fail_user_message_missing(&r->rq->fault) : OK;
}

static struct app_run *run_new(struct request *rq, struct apps_input *in)
{
    struct app_run *r = arena_new(rq->arena, struct app_run);

    *r = (struct app_run){ .rq = rq, .in = in, .query = in->prompt, .started_ms = clock_unix_ms() };
    r->started_us = clock_mono_us();
    buf_init(&r->answer.text, rq->arena, ANSWER_MAX);
    buf_init(&r->trace, rq->arena, TRACE_MAX);
    return r;
}

struct app_run *app_run_bare(struct request *rq, struct apps_input *in)
{
    struct app_run *r = run_new(rq, in);

    r->deadline_us = loop_now_us(fiber_loop()) + rq->settings->apps.time_ms * 1000;
    app_rearm(r);
    return r;
}

enum err app_open(struct request *rq, struct apps_input *in, struct app_run **ret)
{
    struct app_run *r = run_new(rq, in);
    enum err        e;

    might_suspend();
    rq->action = "looking an application up";
    request_phase(rq, PHASE_CHECK);
    e = load(r);
    if (e)
        return e;
    for (size_t i = in->message_count; i > 0; i--) {
        if (in->messages[i - 1].role == CHAT_USER) {
            r->query = in->messages[i - 1].content;
            break;
        }
    }
    r->keeps_session = !in->messages;
    e = check_params(r);
    if (!e)
        e = check_faq(r, r->query);
    if (!e)
        e = admit_text(rq, admit_rules(rq), r->query); /* REF: E100b, E179: also what no model of it sees */
    if (!e)
        e = admit_rate(r);
    if (!e)
        *ret = r;
    return e;
}

enum err app_check(struct request *rq, struct apps_input *in)
{
    struct app_run *r = arena_new(rq->arena, struct app_run);

    might_suspend();
    *r = (struct app_run){ .rq = rq, .in = in };
    return load(r);
}

enum app_kind app_run_kind(const struct app_run *r)
{
    return r->app.kind;
}

const struct app_answer *app_run_answer(const struct app_run *r)
{
    return &r->answer;
}

/* ---- for the runners ---- */

enum err app_tell(struct app_run *r, const struct app_event *ev)
{
    enum err e = faults_step(r->rq);

    return e ? e : r->sink->emit(r->sink->arg, ev);
}

enum err app_say(struct app_run *r, const struct app_event *ev)
{
    size_t   longest = 0, before = r->answer.text.len, from;
    enum err e;

    buf_add(&r->answer.text, ev->text);
    if (r->answer.text.full)
        return app_fail(r, "the answer is too long");
    for (size_t i = 0; i < r->app.faq_count; i++)
        longest = max_size(longest, r->app.faq[i].len);
    from = before > longest ? before - longest : 0;
    e = longest ? check_faq(r, str_from(buf_str(&r->answer.text), from)) : OK;
    return e ? e : app_tell(r, ev);
}

struct app_thought *app_thought_add(struct app_run *r)
{
    struct app_answer  *a = &r->answer;
    struct app_thought *t;

    if (a->thought_count == a->thought_cap) {
        size_t cap = a->thought_cap ? 2 * a->thought_cap : 8;

        a->thoughts = arena_realloc(r->rq->arena, a->thoughts, a->thought_cap * sizeof(*t), cap * sizeof(*t));
        a->thought_cap = cap;
    }
    t = &a->thoughts[a->thought_count++];
    *t = (struct app_thought){ 0 };
    buf_init(&t->thought, r->rq->arena, ANSWER_MAX);
    return t;
}

void app_rearm(const struct app_run *r)
{
    fiber_deadline_set(r->deadline_us);
}

enum err app_fail(struct app_run *r, const char *fmt, ...)
{
    va_list ap;
    char    text[400];

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)fail_app_process_failed(&r->rq->fault); /* REF: E232 */
    return fault_detail(&r->rq->fault, arena_str(r->rq->arena, str_from_cstr(text)));
}

yyjson_val *app_system_values(struct app_run *r)
{
    time_t     now = (time_t)(clock_unix_ms() / 1000 + ZONE_S);
    struct tm  tm;
    struct buf b;

    gmtime_r(&now, &tm);
    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"query\":"));
    json_add_str(&b, r->query);
    buf_add(&b, S(",\"session_id\":"));
    json_add_str(&b, r->answer.session);
    buf_addf(&b, ",\"time\":\"%04d-%02d-%02d %02d:%02d:%02d\"}", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    return json_parse_copy(r->rq->arena, buf_str(&b));
}

/* ---- the trace ---- */

static void add_json(struct buf *b, const char *name, str json)
{
    if (!json.len)
        return;
    buf_addf(b, ",\"%s\":", name);
    if (json.len <= APPS_TRACE_TEXT_MAX)
        buf_add(b, json);
    else
        json_add_str(b, arena_printf(b->arena, "(%zu bytes of JSON, too long to keep)", json.len));
}

static void add_text(struct buf *b, const char *name, str text)
{
    if (!text.len)
        return;
    buf_addf(b, ",\"%s\":", name);
    json_add_str(b, text);
}

void app_trace(struct app_run *r, const struct app_step *s)
{
    struct buf *b = &r->trace;
    size_t      begin = b->len;

    if (r->step_count == APPS_TRACE_STEPS_MAX)
        return;
    buf_add(b, r->step_count ? S(",{\"node\":") : S("{\"node\":"));
    json_add_str(b, s->node);
    add_text(b, "type", s->type);
    add_text(b, "name", s->name);
    add_text(b, "loop", r->loop);
    if (r->loop.len)
        buf_addf(b, ",\"round\":%lld", (long long)r->round);
    buf_addf(b, ",\"status\":\"%s\",\"start_ms\":%lld,\"ms\":%lld", s->code.len ? "fail" : "success",
             (long long)((s->started_us - r->started_us) / 1000),
             (long long)((clock_mono_us() - s->started_us) / 1000));
    add_json(b, "input", s->input);
    add_json(b, "output", s->output);
    add_text(b, "error", s->code);
    add_text(b, "detail", s->detail);
    buf_add_char(b, '}');
    if (b->full)
        b->len = begin; /* what there is stays whole */
    else
        r->step_count++;
}

void app_step_fault(struct app_run *r, struct app_step *s)
{
    const struct fault *f = &r->rq->fault;

    s->code = f->row ? f->row->id : S("foreign");
    s->detail = f->detail.len ? f->detail : f->foreign.message;
}

/* ---- running ---- */

/* What is kept is kept before the client has the whole answer. */
SUSPENDS static enum err keep(struct app_run *r, bool good)
{
    struct request *rq = r->rq;
    int64_t         now_ms = clock_unix_ms();
    struct buf      steps;
    struct app_keep k = { .app = r->in->app,
                          .session = good && r->keeps_session ? r->answer.session : (str){ 0 },
                          .turn = { .said = r->query, .answered = buf_str(&r->answer.text) },
                          .now_ms = now_ms,
                          .used_after_ms = now_ms - APPS_SESSION_LIFE_MS,
                          .turns_max = APPS_TURNS_MAX,
                          .runs_max = APPS_RUNS_MAX,
                          .run = str_of(rq->id, UUID_LEN),
                          .version = r->version,
                          .started_ms = r->started_ms,
                          .ms = (clock_mono_us() - r->started_us) / 1000 };

    if (!good)
        k.code = rq->fault.row ? rq->fault.row->id : S("gone");
    buf_init(&steps, rq->arena, SIZE_MAX / 2);
    buf_add_char(&steps, '[');
    buf_add(&steps, buf_str(&r->trace));
    buf_add_char(&steps, ']');
    k.steps = buf_str(&steps);
    return store_run_together(rq->services->store, app_keep_job, NULL, &k);
}

enum err app_run(struct app_run *r, const struct app_sink *sink)
{
    struct request *rq = r->rq;
    enum err        e, kept;

    might_suspend();
    rq->action = "running an application";
    request_phase(rq, PHASE_FIRST);
    r->sink = sink;
    r->deadline_us = loop_now_us(fiber_loop()) + rq->settings->apps.time_ms * 1000;
    app_rearm(r);
    e = r->app.kind == APP_FLOW ? app_run_flow(r) : app_run_agent(r);
    if (!e)
        e = faults_last(rq);
    fiber_deadline_set(DEADLINE_NONE);
    if (e == ERR_TIMEOUT)
        e = fail_request_timeout(&rq->fault); /* REF: E230a */
    if (e && e != ERR_FAULT && e != ERR_CANCELLED)
        e = app_fail(r, "%s", err_text(e));
    kept = keep(r, !e);
    rates_settle(rq->access->rates, &r->ticket, 0, clock_unix_ms());
    if (!e && kept) {
        (void)fail_internal_server_error(&rq->fault); /* REF: E213 */
        return fault_detail(&rq->fault, S("the session cannot be kept"));
    }
    return e ? e : app_tell(r, &(struct app_event){ .kind = APP_EV_FINISH });
}
