/* setup.c - from a configuration to what requests use. */
#include "server/setup.h"

#include "access/moderation_rules.h"

#include "base/log.h"
#include "contract/catalog.h"
#include "contract/model.h"
#include "engine/document/document.h"
#include "engine/media/media.h"
#include "engine/ocr/ocr.h"
#include "engine/people/people.h"
#include "engine/speech/speech.h"
#include "engine/record/tapes.h"
#include "engine/standin/standin.h"
#include "fetch/fetch.h"
#include "fetch/guard.h"
#include "net/tls.h"
#include "server/server.h"
#include "service/document_chat.h"
#include "service/picture.h"
#include "service/picture_memo.h"

#include <stdlib.h>

/* ---- what all workers share ---- */

struct shared *shared_ref(struct shared *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void shared_unref(struct shared *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    moderation_release(s->rules);
    tls_context_free(s->tls);
    tapes_close(s->tapes);
    arena_free(&s->arena);
    config_free(s->config);
    free(s);
}

static str header_of(void *arg, str name)
{
    return request_header(arg, name);
}

static void take_limit(int64_t *to, int64_t *to_thinking, int64_t limit)
{
    if (limit)
        *to = *to_thinking = limit;
}

/* The user's own models: copies of known ones with other ids and limits. */
static void open_models(struct shared *s)
{
    struct config *c = s->config;
    struct model  *own = arena_array(&c->arena, struct model, c->model_count);

    for (size_t i = 0; i < c->model_count; i++) {
        const struct config_model *cm = &c->models[i];

        own[i] = *model_find(cm->like);
        own[i].id = cm->id;
        own[i].status = MODEL_ACTIVE;
        own[i].workspace = cm->workspace;
        take_limit(&own[i].context, &own[i].context, cm->context);
        take_limit(&own[i].input_max, &own[i].input_max_thinking, cm->input);
        take_limit(&own[i].output_max, &own[i].output_max_thinking, cm->output);
        take_limit(&own[i].budget_max, &own[i].budget_max, cm->budget);
    }
    s->settings.models = own;
    s->settings.model_count = c->model_count;
}

/* The configuration's rules of moderation. */
static enum err open_rules(struct shared *s, str *ret_problem)
{
    str                       path = s->config->options.moderation_rules;
    struct moderation_rules   rules = { 0 };
    struct moderation_problem problem = { 0 };
    enum err                  e;

    if (!path.len)
        return OK;
    e = moderation_rules_read(&rules, path, &s->config->arena, ret_problem);
    if (e)
        return e;
    e = moderation_compile(rules.ptr, rules.len, NULL, &s->config->arena, &s->rules, &problem);
    *ret_problem = problem.text;
    return e;
}

static enum err open_tapes(struct shared *s, const struct shared *before, str *ret_problem)
{
    const struct options *o = &s->config->options;
    struct tapes_options  t = {
         .path = o->replay.len ? o->replay : o->record,
         .replay = o->replay.len > 0,
         .timed = o->replay_speed == 1,
         .by_messages = o->replay_match == 1,
    };

    if (!t.path.len)
        return OK;
    s->tapes = tapes_again(before ? before->tapes : NULL, &t);
    if (s->tapes)
        return OK;
    if (!t.replay)
        log_warn("recording what upstreams are asked and answer, prompts included, into %.*s", STR_ARG(t.path));
    return tapes_open(&t, &s->config->arena, &s->tapes, ret_problem);
}

/* Each worker opens a fetcher of it later. */
static enum err check_fetch(struct shared *s, str *ret_problem)
{
    struct guard g;
    str          wrong = { 0 };

    if (guard_init(&g, s->config->options.fetch_allow, &s->arena, &wrong))
        return OK;
    *ret_problem = arena_printf(&s->arena, "fetch.allow: \"%.*s\" is no network such as 127.0.0.0/8", STR_ARG(wrong));
    return ERR_INVALID;
}

static enum err shared_fill(struct shared *s, const struct tokenizer *t, const struct shared *before, str *ret_problem)
{
    struct config         *c = s->config;
    const struct options  *o = &c->options;
    struct standin_options standin = {
        .name = S("standin"),
        .tokenizer = t,
        .error_find = error_find,
        .header = header_of,
        .see = picture_see,
        .recall = document_recall,
    };
    enum err e;

    open_models(s);
    e = check_fetch(s, ret_problem);
    if (!e)
        e = open_rules(s, ret_problem);
    if (e)
        return e;
    if (o->scenario.len)
        standin.scenario_path = str_to_cstr(&c->arena, o->scenario);
    s->standin = standin_new(&s->arena, &standin, ret_problem);
    if (!s->standin)
        return ERR_INVALID;
    e = open_tapes(s, before, ret_problem);
    if (e)
        return e;
    if (!o->tls_certificate.len)
        return OK;
    *ret_problem = S("TLS cannot be set up");
    return tls_context_server(str_to_cstr(&c->arena, o->tls_certificate), str_to_cstr(&c->arena, o->tls_key), &s->tls);
}

enum err shared_open(struct config *c, const struct tokenizer *t, const struct shared *before, struct arena *a,
                     struct shared **ret, str *ret_problem)
{
    struct shared        *s = xcalloc(1, sizeof(*s));
    const struct options *o = &c->options;
    enum err              e;

    s->config = c;
    s->refs = 1;
    arena_init(&s->arena, 0);
    s->settings = (struct request_settings){
        .wording = c->wording,
        .sse_error_status_200 = o->sse_error_status_200,
        .anthropic_flat = o->anthropic_errors == 1,
        .anthropic_space = o->anthropic_space,
        .cors = o->cors,
        .call_ms = o->time_call_ms,
        .key_max = o->keys_max,
        .batch_host = o->hosts_batch,
        .media_chat = o->media_chat,
        .uploads = { .file_max = o->uploads_file_max,
                     .capacity = o->uploads_capacity,
                     .keep_ms = o->uploads_keep_ms,
                     .policy_ms = o->uploads_policy_ms,
                     .inline_max = o->uploads_inline_max,
                     .coming_ms = o->uploads_time_ms,
                     .rate = o->uploads_rate },
        .files = { .document_max = o->files_document_max,
                   .image_max = o->files_image_max,
                   .batch_max = o->files_batch_max,
                   .tuning_max = o->files_tuning_max,
                   .count = o->files_count,
                   .capacity = o->files_capacity,
                   .native_count = o->files_native_count,
                   .native_capacity = o->files_native_capacity,
                   .per_workspace = o->files_per_workspace,
                   .upload_rate = o->files_upload_rate,
                   .rate = o->files_rate,
                   .deleted_ms = o->files_deleted_ms },
        .batches = { .lines = o->batches_lines, .unfinished = o->batches_unfinished, .keep_ms = o->batches_keep_ms },
        .documents = { .page_max = o->documents_pages, .inline_max = o->documents_inline_max },
        .speech = { .voices_max = o->speech_voices, .vocabularies_max = o->speech_vocabularies },
        .apps = { .time_ms = o->apps_time_ms, .rate = o->apps_rate, .plugin_ms = o->apps_plugin_time_ms },
        .tuning = { .trainer = c->trainer,
                    .trainer_count = c->trainer_count,
                    .grace_ms = o->tuning_grace_ms,
                    .unfinished_max = o->tuning_unfinished,
                    .kept_max = o->tuning_jobs,
                    .deploy_ms = o->tuning_deploy_ms },
        .tokens = { .life_s = o->keys_temporary_ms / 1000, .life_max_s = o->keys_temporary_max_ms / 1000 },
        .guard = {
            .model = o->moderation_guard,
            .when_asked = o->moderation_guard_when == 1,
            .strict = o->moderation_guard_strict,
            .away_closed = o->moderation_guard_away == 1,
        },
        .tasks = {
            .queued_max = o->tasks_queued,
            .run_ms = o->tasks_run_ms,
            .keep_ms = o->tasks_keep_ms,
            .rate = o->tasks_rate,
            .fetch_ms = o->fetch_time_ms,
            .lines_max = o->embedding_lines_max,
            .file_max = o->embedding_file_max,
            .base = o->public_url,
            .tls = o->tls_certificate.len > 0,
            .events = o->tasks_events,
            .events_ms = o->tasks_events_time_ms,
        },
        .limits = {
            .catalog = o->limits_catalog,
            .headers = o->limits_headers,
            .region = o->region == 0 ? MODEL_CN : MODEL_INTL,
            .burst_percent = o->limits_burst,
            .plan_percent = o->limits_plan,
            .plan_calls = o->limits_plan_calls,
            .concurrency = o->limits_concurrency,
            .route_calls = o->limits_route,
            .batch_calls = o->limits_batch,
        },
    };
    e = shared_fill(s, t, before, ret_problem);
    if (e) {
        *ret_problem = arena_str(a, *ret_problem);
        shared_unref(s);
        return e;
    }
    *ret = s;
    return OK;
}

/* ---- a worker's own ---- */

static struct engine *engine_named(const struct setup *s, str name)
{
    const struct config *c = s->shared->config;

    for (size_t i = 0; i < c->engine_count; i++) {
        if (str_eq(c->engines[i].name, name))
            return s->engines[i];
    }
    return s->shared->standin;
}

static struct engine *engine_for(void *arg, str model)
{
    const struct setup  *s = arg;
    const struct config *c = s->shared->config;

    for (size_t i = 0; i < c->route_count; i++) {
        if (str_glob(c->routes[i].model, model))
            return engine_named(s, c->routes[i].engine);
    }
    return s->shared->standin;
}

static void setup_free(struct setup *s)
{
    const struct config *c = s->shared->config;

    for (size_t i = 0; i < c->engine_count; i++) {
        if (!s->engines[i])
            continue;
        if (c->engines[i].command.len)
            children_engine_close(&s->worker->common->children, s->engines[i]);
        else
            upstream_close(s->engines[i]);
    }
    free(s->engines);
    for (size_t i = 0; i < c->engine_count; i++)
        free(s->series[i].upstreams);
    free(s->series);
    fetcher_close(s->services.fetcher);
    media_close(s->services.media);
    picture_memo_close(s->services.seen);
    document_close(s->services.documents);
    ocr_close(s->services.ocr);
    people_close(s->services.people);
    speech_close(s->services.speech);
    shared_unref(s->shared);
    free(s);
}

static enum err engine_open(struct worker *w, struct setup *s, const struct config_engine *ce, struct engine **ret)
{
    struct arena              a;
    struct upstream_options   o = { 0 };
    struct upstream_endpoint *endpoints;
    struct upstream_model    *models;
    struct http_field        *fields;
    enum err                  e;

    arena_init(&a, 0);
    endpoints = arena_array(&a, struct upstream_endpoint, ce->endpoint_count);
    models = arena_array(&a, struct upstream_model, ce->model_count);
    fields = arena_array(&a, struct http_field, ce->header_count);
    for (size_t i = 0; i < ce->endpoint_count; i++)
        endpoints[i] = (struct upstream_endpoint){ .url = ce->endpoints[i].url,
                                                   .api_key = ce->endpoints[i].api_key,
                                                   .weight = (unsigned)ce->endpoints[i].weight };
    o.endpoints = endpoints;
    o.endpoint_count = ce->endpoint_count;
    o.models = models;
    for (size_t i = 0; i < ce->model_count; i++) {
        if (str_eq(ce->models[i].from, S("*")))
            o.model_default = ce->models[i].to;
        else
            models[o.model_count++] = (struct upstream_model){ ce->models[i].from, ce->models[i].to };
    }
    for (size_t i = 0; i < ce->header_count; i++)
        fields[i] = (struct http_field){ ce->headers[i].from, ce->headers[i].to };
    o.name = ce->name;
    o.fields = fields;
    o.field_count = ce->header_count;
    o.connect_ms = ce->connect_ms;
    o.first_ms = ce->first_ms;
    o.between_ms = ce->between_ms;
    o.total_ms = s->shared->config->options.time_call_ms;
    o.retries = ce->retries == 0 ? UPSTREAM_RETRIES_NONE : (unsigned)ce->retries;
    o.health_path = ce->health_path;
    o.health_interval_ms = ce->health_ms;
    o.cloud = ce->cloud;
    o.images = ce->images;
    o.tapes = s->shared->tapes;
    o.active = &s->series[ce - s->shared->config->engines].engine->at[SERIES_ENGINE_REQUESTS_ACTIVE];
    if (ce->fallback.len)
        o.fallback = engine_named(s, ce->fallback);
    e = ce->command.len ? children_engine(&w->common->children, w->loop, ce, &o, ret) : upstream_open(w->loop, &o, ret);
    arena_free(&a);
    return e;
}

/* These count from the first request on, and go on for a retired setup's. */
static void open_engine_series(struct setup *s)
{
    const struct config *c = s->shared->config;
    struct counters     *counters = &s->worker->counters;

    s->standin_series = series_of_engine(counters, s->shared->standin->name);
    for (size_t i = 0; i < c->engine_count; i++)
        s->series[i].engine = series_of_engine(counters, c->engines[i].name);
}

static void open_upstream_series(struct setup *s)
{
    const struct config *c = s->shared->config;
    struct counters     *counters = &s->worker->counters;

    series_hide(counters, BY_UPSTREAM);
    for (size_t i = 0; i < c->engine_count; i++) {
        const struct config_engine *ce = &c->engines[i];

        s->series[i].upstreams = xcalloc(ce->endpoint_count, sizeof(*s->series[i].upstreams));
        for (size_t k = 0; k < ce->endpoint_count; k++)
            s->series[i].upstreams[k] = series_of_upstream(counters, ce->name, ce->endpoints[k].url);
    }
}

void setup_attach(struct setup *s)
{
    s->services.store = s->worker->common->store;
    s->services.accounts = s->worker->common->accounts;
    s->services.results = s->worker->common->results;
    s->services.uploads = s->worker->common->uploads;
    s->services.blobs = s->worker->common->blobs;
    s->services.files = s->worker->common->files;
    s->services.sql = s->worker->common->sql;
    s->services.reader = s->worker->common->reader;
    s->services.knowledge = s->worker->common->knowledge;
    s->services.indexing = s->worker->common->indexing;
    s->services.tasks = s->worker->tasks;
    s->services.batches = s->worker->batches;
    s->services.tuning = s->worker->common->tuning;
    if (s->services.store)
        fetcher_uploads_set(s->services.fetcher, s->services.store, s->services.uploads);
}

/* The scenario's rules count their calls from 1 again, and recordings are replayed from their first takes. */
static void reset_engines(void *arg)
{
    struct setup *s = arg;

    standin_reset(s->shared->standin);
    if (s->shared->tapes)
        tapes_rewind(s->shared->tapes);
}

static void open_fetcher(struct setup *s)
{
    const struct options *o = &s->shared->config->options;
    struct arena          a;
    struct fetch_options  f = { .allow = o->fetch_allow,
                                .files = o->fetch_files,
                                .redirects = o->fetch_redirects,
                                .connect_ms = o->fetch_connect_ms,
                                .lane = s->worker->common->files };
    str                   wrong;
    enum err              e;

    arena_init(&a, 0);
    f.spool = arena_printf(&a, "%.*s/spool", STR_ARG(o->data));
    e = fetcher_open(&f, &s->services.fetcher, &wrong);
    ASSERT(e == OK); /* check_fetch() has seen it */
    arena_free(&a);
}

/* Without the program there is none, and what needs it is refused: media.h. */
static void open_media(struct setup *s)
{
    const struct options *o = &s->shared->config->options;
    struct media_options  m = { .process_max = (size_t)o->media_processes,
                                .queue_max = (size_t)o->media_queue,
                                .inspect_ms = o->media_time_ms };

    (void)media_open(s->worker->loop, &m, &s->services.media);
}

static void open_documents(struct setup *s)
{
    const struct options   *o = &s->shared->config->options;
    struct document_options d = { .process_max = (size_t)o->documents_processes,
                                  .queue_max = (size_t)o->documents_queue,
                                  .read_ms = o->documents_time_ms,
                                  .text_max = o->documents_text_max,
                                  .page_max = o->documents_pages };

    (void)document_open(s->worker->loop, &d, &s->services.documents);
}

static void open_ocr(struct setup *s)
{
    const struct options *o = &s->shared->config->options;
    struct ocr_options    t = { .process_max = (size_t)o->ocr_processes,
                                .queue_max = (size_t)o->ocr_queue,
                                .read_ms = o->ocr_time_ms };

    (void)ocr_open(s->worker->loop, &t, &s->services.ocr);
}

static void open_people(struct setup *s)
{
    const struct options *o = &s->shared->config->options;
    struct people_options p = { .process_max = (size_t)o->people_processes,
                                .queue_max = (size_t)o->people_queue,
                                .detect_ms = o->people_time_ms };

    (void)people_open(s->worker->loop, &p, &s->services.people);
}

static void open_speech(struct setup *s)
{
    const struct options *o = &s->shared->config->options;
    struct speech_options p = { .speaker_max = (size_t)o->speech_speakers,
                                .listener_max = (size_t)o->speech_listeners,
                                .queue_max = (size_t)o->speech_queue };

    (void)speech_open(s->worker->loop, &p, &s->services.speech);
}

enum err setup_open(struct worker *w, struct shared *shared, struct setup **ret)
{
    struct setup        *s = xcalloc(1, sizeof(*s));
    const struct config *c = shared->config;
    enum err             e = OK;

    s->worker = w;
    s->shared = shared_ref(shared);
    s->engines = xcalloc(c->engine_count, sizeof(*s->engines));
    s->series = xcalloc(c->engine_count, sizeof(*s->series));
    s->services = (struct services){
        .tokenizer = w->common->tokenizer,
        .memo = w->memo,
        .engine_for = engine_for,
        .engine_arg = s,
        .reset = reset_engines,
    };
    open_fetcher(s);
    open_media(s);
    s->services.seen = picture_memo_open();
    open_documents(s);
    open_ocr(s);
    open_people(s);
    open_speech(s);
    setup_attach(s);
    open_engine_series(s);
    /* From the last to the first: a fallback stands behind what falls back to it. */
    for (size_t i = c->engine_count; i > 0 && !e; i--)
        e = engine_open(w, s, &c->engines[i - 1], &s->engines[i - 1]);
    if (e) {
        setup_free(s);
        return e;
    }
    open_upstream_series(s);
    *ret = s;
    return OK;
}

void setup_hold(struct setup *s)
{
    s->requests++;
}

void setup_release(struct setup *s)
{
    if (--s->requests == 0 && s->retired)
        setup_free(s);
}

void setup_retire(struct setup *s)
{
    s->retired = true;
    if (s->requests == 0)
        setup_free(s);
}

/* ---- how the engines are ---- */

struct series *setup_series(const struct setup *s, str engine)
{
    const struct config *c = s->shared->config;

    for (size_t i = 0; i < c->engine_count; i++) {
        if (str_eq(c->engines[i].name, engine))
            return s->series[i].engine;
    }
    return s->standin_series;
}

void setup_engine_state(const struct setup *s, size_t engine, struct upstream_state *ret)
{
    if (s->shared->config->engines[engine].command.len)
        process_engine_state(s->engines[engine], ret);
    else
        upstream_state(s->engines[engine], ret);
}

void setup_publish(const struct setup *s)
{
    const struct config *c = s->shared->config;

    for (size_t i = 0; i < c->engine_count; i++) {
        const struct config_engine *ce = &c->engines[i];

        for (size_t k = 0; k < ce->endpoint_count; k++)
            series_set(s->series[i].upstreams[k], SERIES_UPSTREAM_UP, upstream_is_up(s->engines[i], k));
    }
}
