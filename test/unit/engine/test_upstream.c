/* test_upstream.c - which endpoint is asked, when another is, and what the client is told; against servers in the same
 * loop that behave as they are told. How answers are read is test_upstream_answer.c.
 */
#include "engine/upstream/upstream.c"

#include "../loop/run.h"
#include "contract/catalog.h"
#include "net/http_server.h"

#include <signal.h>

/* ---- servers ---- */

enum conduct {
    GOOD,   /* whole or streamed, as asked */
    SHUT,   /* closes the connection instead of answering */
    STATUS, /* answers fake.status with fake.text */
    MUTE,   /* never answers */
    STALLS, /* a stream that stops after one event */
    CUTS,   /* a stream that is cut off after one event */
    TYPED,  /* answers 200 with fake.type and fake.text */
    PAIRS,  /* a stream of two events in one write, a pause, and the end */
};

struct fake {
    struct http_server *server;
    char                url[ADDRESS_TEXT_MAX + 16];
    enum conduct        conduct;
    int                 status;
    const char         *text, *type;
    bool                healthy;
    unsigned            asked, checked, most_active, active;
    char                body[2048], authorization[64], path[64];
};

static struct fake fakes[3];

static struct http_body_plan plan(void *arg, struct http_exchange *x)
{
    (void)arg, (void)x;
    return (struct http_body_plan){ .max = 1 << 20 };
}

#define EVENT(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define EVENT_END   "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
#define WHOLE \
    "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"ab\"},\"finish_reason\":\"stop\"}]}"

static const struct http_field type_sse = { { "content-type", 12 }, { "text/event-stream; charset=utf-8", 32 } };
static const struct http_field type_json = { { "content-type", 12 }, { "application/json", 16 } };

static SUSPENDS bool say(struct http_exchange *x, const char *text)
{
    buf_add(http_stream_buf(x), str_from_cstr(text));
    return http_stream_flush(x) == OK;
}

static SUSPENDS void stream_answer(struct fake *f, struct http_exchange *x)
{
    http_stream_begin(x, 200, &type_sse, 1);
    if (f->conduct == PAIRS) {
        if (!say(x, EVENT("a") EVENT("b")) || fiber_sleep_until(loop_now_us(loop) + 20000) || !say(x, EVENT_END))
            return;
        (void)http_stream_end(x);
        return;
    }
    if (!say(x, EVENT("a")) || f->conduct == CUTS)
        return;
    while (f->conduct == STALLS && !fiber_wait(DEADLINE_NONE))
        ;
    if (say(x, EVENT("b")) && say(x, EVENT_END))
        (void)http_stream_end(x);
}

static SUSPENDS void answer_as_told(struct fake *f, struct http_exchange *x, bool stream)
{
    struct http_field type = type_json;

    switch (f->conduct) {
    case GOOD:
    case STALLS:
    case CUTS:
    case PAIRS:
        if (stream)
            stream_answer(f, x);
        else
            (void)http_answer(x, 200, &type, 1, S(WHOLE));
        return;
    case SHUT:
        return;
    case STATUS:
        (void)http_answer(x, f->status, &type, 1, str_from_cstr(f->text));
        return;
    case MUTE:
        while (!fiber_wait(DEADLINE_NONE))
            ;
        return;
    case TYPED:
        type.value = str_from_cstr(f->type);
        (void)http_answer(x, 200, &type, f->type ? 1 : 0, str_from_cstr(f->text));
        return;
    }
}

static void copy(char *to, size_t size, str from)
{
    snprintf(to, size, "%.*s", STR_ARG(from));
}

static void handle(void *arg, struct http_exchange *x)
{
    struct fake *f = arg;
    char        *body;
    size_t       len;

    if (http_body(x, &body, &len))
        return;
    if (str_eq(http_path(x), S("/health"))) {
        f->checked++;
        (void)http_answer(x, f->healthy ? 200 : 500, NULL, 0, S(""));
        return;
    }
    f->asked++;
    f->active++;
    f->most_active = f->most_active > f->active ? f->most_active : f->active;
    copy(f->body, sizeof(f->body), str_of(body, len));
    copy(f->authorization, sizeof(f->authorization), http_field(x, S("authorization")));
    copy(f->path, sizeof(f->path), http_path(x));
    answer_as_told(f, x, str_find_str(str_of(body, len), S("\"stream\":true")) != STR_NONE);
    f->active--;
}

static void fakes_open(int64_t idle_time_ms)
{
    for (size_t i = 0; i < ARRAY_LEN(fakes); i++) {
        struct http_server_options o = {
            .body_time_ms = 5000, .idle_time_ms = idle_time_ms, .connection_max = 100, .plan = plan, .handle = handle
        };
        struct address at;
        char           text[ADDRESS_TEXT_MAX];

        fakes[i] = (struct fake){ .text = "" };
        o.arg = &fakes[i];
        CHECK(address_parse(S("127.0.0.1:0"), &at));
        CHECK(http_server_open(loop, &at, &o, &fakes[i].server) == OK);
        http_server_address(fakes[i].server, &at);
        address_format(&at, text);
        snprintf(fakes[i].url, sizeof(fakes[i].url), "http://%s/v1", text);
    }
}

static void on_drained(void *arg)
{
    (void)arg;
}

static int fakes_setup(void **state)
{
    return loop_setup(state);
}

static int fakes_teardown(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(fakes); i++)
        http_server_free(fakes[i].server);
    return loop_teardown(state);
}

static void fakes_close(void)
{
    for (size_t i = 0; i < ARRAY_LEN(fakes); i++) {
        http_server_drain(fakes[i].server, on_drained, NULL);
        http_server_cancel(fakes[i].server);
    }
}

/* ---- engines and requests ---- */

static struct upstream_endpoint endpoints[3];

static struct upstream_options options(size_t endpoint_count)
{
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++)
        endpoints[i] = (struct upstream_endpoint){ .url = str_from_cstr(fakes[i].url) };
    return (struct upstream_options){
        .name = S("theirs"),
        .endpoints = endpoints,
        .endpoint_count = endpoint_count,
        .first_ms = 10000,
        .between_ms = 10000,
        .total_ms = 10000,
        .connect_ms = 10000,
    };
}

static struct engine *open_with(const struct upstream_options *o)
{
    struct engine *e = NULL;

    CHECK(upstream_open(loop, o, &e) == OK);
    return e;
}

struct call {
    struct arena          arena;
    struct request        rq;
    struct chat_message   message;
    struct chat_input     in;
    struct engine_stream *stream;
    char                  text[256]; /* of the answer, then ";", then how it ended */
};

static void call_init(struct call *c, bool stream)
{
    *c = (struct call){ .rq = { .id = "0c1d" } };
    arena_init(&c->arena, 0);
    c->rq.arena = &c->arena;
    c->message = (struct chat_message){ .role = CHAT_USER, .content = S("say \"hi\"") };
    c->in = (struct chat_input){
        .model_name = S("qwen-plus"), .messages = &c->message, .message_count = 1, .stream = stream
    };
}

static SUSPENDS void call_run(struct call *c, struct engine *e)
{
    struct chat_event ev;
    struct buf        b;
    enum err          err;

    buf_init(&b, &c->arena, sizeof(c->text) - 1);
    err = e->ops->open(e, &c->rq, &c->in, &c->stream);
    while (!err && !(err = c->stream->ops->next(c->stream, &ev))) {
        if (ev.kind == CHAT_EV_TEXT)
            buf_add(&b, str_first(ev.text, 100));
        else if (ev.kind == CHAT_EV_FINISH)
            buf_add(&b, S("!"));
    }
    if (err == ERR_FAULT && c->rq.fault.row)
        buf_addf(&b, ";%.*s", STR_ARG(c->rq.fault.row->id));
    else if (err == ERR_FAULT)
        buf_addf(&b, ";%d %.*s", c->rq.fault.foreign.status, STR_ARG(c->rq.fault.foreign.code));
    else if (err != ERR_EOF)
        buf_addf(&b, ";%s", err_text(err));
    CHECK(err != ERR_FAULT || c->rq.fault.detail.len);
    copy(c->text, sizeof(c->text), buf_str(&b));
}

static SUSPENDS const char *chat(struct engine *e, bool stream)
{
    static char text[256];
    struct call c;

    call_init(&c, stream);
    call_run(&c, e);
    memcpy(text, c.text, sizeof(text));
    arena_free(&c.arena);
    return text;
}

#define EXPECT(got, want) CHECK_STR(str_from_cstr(got), want)

static void sleep_ms(int64_t ms)
{
    CHECK(fiber_sleep_until(loop_now_us(loop) + ms * 1000) == OK);
}

/* ---- cases; each runs on a fiber between fakes_open() and fakes_close() ---- */

static void one_request(void)
{
    struct upstream_model   models[] = { { S("qwen-plus"), S("Qwen/Qwen3-8B") }, { S("qwen-vl-*"), S("vl") } };
    struct upstream_options o = options(1);
    struct engine          *e;
    struct upstream_state   state;

    endpoints[0].api_key = S("sk-theirs");
    o.models = models;
    o.model_count = 2;
    e = open_with(&o);
    EXPECT(chat(e, false), "ab!");
    EXPECT(fakes[0].path, "/v1/chat/completions");
    EXPECT(fakes[0].authorization, "Bearer sk-theirs");
    EXPECT(fakes[0].body,
           "{\"model\":\"Qwen/Qwen3-8B\",\"messages\":[{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\"}],"
           "\"chat_template_kwargs\":{\"enable_thinking\":false}}");
    EXPECT(chat(e, true), "ab!");
    CHECK(strstr(fakes[0].body, "\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
    upstream_state(e, &state);
    CHECK(state.requests == 2);
    CHECK(state.outstanding == 0);
    sleep_ms(2);
    EXPECT(chat(e, true), "ab!");
    CHECK(http_pool_counters(CONTAINER_OF(e, struct upstream, engine)->endpoints[0].pool)->connects == 1);
    upstream_close(e);
}

static void another_endpoint(void)
{
    struct upstream_options o = options(2);
    struct engine          *e;

    o.backoff_ms = o.backoff_max_ms = 500;
    e = open_with(&o);
    fakes[0].conduct = SHUT;
    for (int i = 0; i < 20; i++)
        EXPECT(chat(e, i % 2), "ab!");
    CHECK(fakes[0].asked == 3); /* then it is marked down */
    CHECK(fakes[1].asked == 20);
    sleep_ms(510);
    for (int i = 0; i < 4; i++)
        EXPECT(chat(e, true), "ab!");
    CHECK(fakes[0].asked == 4); /* one finds out that it is still down */
    fakes[0].conduct = GOOD;
    sleep_ms(510);
    for (int i = 0; i < 10; i++)
        EXPECT(chat(e, true), "ab!");
    CHECK(fakes[0].asked > 6); /* and now that it is up */
    fakes[0].conduct = STATUS;
    fakes[0].status = 503;
    for (int i = 0; i < 6; i++)
        EXPECT(chat(e, true), "ab!");
    upstream_close(e);
}

static void a_server_that_is_not_there(void)
{
    struct upstream_options o = options(1);
    struct upstream_state   state;
    struct engine          *e;
    char                    url[sizeof(fakes[0].url)];

    o.backoff_ms = o.backoff_max_ms = 50;
    snprintf(url, sizeof(url), "http://127.0.0.1:1/v1"); /* nothing listens there */
    endpoints[0].url = str_from_cstr(url);
    e = open_with(&o);
    upstream_state(e, &state);
    CHECK(state.up == 1); /* nobody has asked */
    EXPECT(chat(e, true), ";E236");
    upstream_state(e, &state);
    CHECK(state.up == 0);
    CHECK(!upstream_is_up(e, 0));
    sleep_ms(60);
    upstream_state(e, &state);
    CHECK(state.up == 0); /* until one has been answered */
    EXPECT(chat(e, true), ";E236");
    upstream_close(e);
}

static void news_is_told_once(void)
{
    struct notice *a = notice_hold(S("e"), S("http://x")), *b = notice_hold(S("e"), S("http://x"));
    struct notice *other = notice_hold(S("e"), S("http://y"));

    CHECK(!notice_up(a));
    CHECK(notice_down(a));
    CHECK(!notice_down(b)); /* another worker */
    CHECK(notice_down(other));
    notice_release(a); /* a reload */
    a = notice_hold(S("e"), S("http://x"));
    CHECK(!notice_down(a));
    CHECK(notice_up(b));
    CHECK(!notice_up(a));
    CHECK(notice_down(a));
    notice_release(a);
    notice_release(b);
    a = notice_hold(S("e"), S("http://x"));
    CHECK(notice_down(a)); /* all had gone */
    notice_release(a);
    notice_release(other);
}

static void no_endpoint(void)
{
    struct upstream_options o = options(3);
    struct engine          *e = open_with(&o);

    for (int i = 0; i < 3; i++)
        fakes[i].conduct = SHUT;
    EXPECT(chat(e, true), ";E224");
    CHECK(fakes[0].asked + fakes[1].asked + fakes[2].asked == 3); /* each once */
    for (int i = 0; i < 3; i++) {
        fakes[i].conduct = STATUS;
        fakes[i].status = 503;
    }
    EXPECT(chat(e, true), ";E236");
    for (int i = 0; i < 3; i++)
        fakes[i].status = 504;
    EXPECT(chat(e, false), ";E230a");
    EXPECT(chat(e, false), ";E236"); /* all are marked down by now */
    CHECK(fakes[0].asked == 3);
    upstream_close(e);

    o = options(1);
    endpoints[0].url = S("http://127.0.0.1:1/v1");
    e = open_with(&o);
    EXPECT(chat(e, true), ";E236");
    upstream_close(e);
}

static void fallback(void)
{
    struct upstream_options o = options(1), other = options(1);
    struct engine          *second, *first;
    struct upstream_state   state;

    second = open_with(&other);
    endpoints[0].url = str_from_cstr(fakes[1].url);
    o.name = S("first");
    o.fallback = second;
    first = open_with(&o);
    fakes[1].conduct = SHUT;
    EXPECT(chat(first, true), "ab!");
    CHECK(fakes[0].asked == 1);
    fakes[1].conduct = STATUS;
    fakes[1].status = 429;
    EXPECT(chat(first, true), "ab!");
    fakes[1].status = 400;
    EXPECT(chat(first, true), ";E219"); /* that is an answer */
    CHECK(fakes[0].asked == 2);
    upstream_state(first, &state);
    CHECK(state.fallbacks == 2);
    upstream_close(first);
    upstream_close(second);
}

static void busy(void)
{
    struct upstream_options o = options(2);
    struct engine          *e = open_with(&o);

    fakes[0].conduct = fakes[1].conduct = STATUS;
    fakes[0].status = fakes[1].status = 429;
    EXPECT(chat(e, true), ";E235");
    CHECK(fakes[0].asked + fakes[1].asked == 1); /* one that is busy is not asked to be busier elsewhere */
    upstream_close(e);
}

static void cloud(void)
{
    struct upstream_options o = options(1);
    struct engine          *e;

    o.cloud = true;
    e = open_with(&o);
    fakes[0].conduct = STATUS;
    fakes[0].status = 429;
    fakes[0].text =
        "{\"error\":{\"message\":\"You exceeded your current quota\",\"type\":\"insufficient_quota\",\"param\":null,"
        "\"code\":\"insufficient_quota\"},\"request_id\":\"1\"}";
    EXPECT(chat(e, true), ";429 insufficient_quota");
    fakes[0].status = 503;
    fakes[0].text = "{\"code\":\"ModelServingError\",\"message\":\"Too many requests.\",\"request_id\":\"1\"}";
    EXPECT(chat(e, true), ";503 ModelServingError");
    fakes[0].status = 401;
    EXPECT(chat(e, true), ";E228");
    upstream_close(e);
}

static void odd_answers(void)
{
    static char huge[700000];
    static const struct {
        const char *type, *text;
        bool        stream;
        const char *want;
    } cases[] = {
        { "text/plain", EVENT("a") EVENT_END, true, "a!" },
        { NULL, EVENT("a") EVENT_END, true, "a!" },
        { "application/json", WHOLE, true, "ab!" },
        { "text/event-stream", EVENT("a") EVENT_END, false, "a!" },
        { "text/event-stream",
          ": hello\n\n" EVENT("a") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}", true, "a!" },
        { "text/html", "<html><body>It works!</body></html>", true, ";E224" },
        { "text/html", "<html><body>It works!</body></html>", false, ";E224" },
        { "text/event-stream", "", true, ";E224" },
        { "application/json", "", false, ";E224" },
        { "application/json", "{}", false, ";E224" },
        { "text/event-stream", EVENT("a") "data: {\"error\":{\"message\":\"boom\",\"code\":500}}\n\n", true, "a;E216" },
        { "text/event-stream", "data: {\"error\":{\"message\":\"no\",\"code\":400}}\n\n", true, ";E219" },
        { "text/event-stream", EVENT("a") "data: {\"choi\n\n", true, "a;E224" },
        { "text/event-stream", huge, true, NULL },
    };
    struct upstream_options o = options(1);
    struct engine          *e = open_with(&o);
    int                     n = snprintf(huge, sizeof(huge), "data: {\"choices\":[{\"delta\":{\"content\":\"");

    memset(huge + n, 'x', 600000);
    snprintf(huge + n + 600000, 1000, "\"}}]}\n\n%s", EVENT_END);
    fakes[0].conduct = TYPED;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *got;

        fakes[0].type = cases[i].type;
        fakes[0].text = cases[i].text;
        got = chat(e, cases[i].stream);
        if (cases[i].want ? strcmp(got, cases[i].want) : strlen(got) != 101) {
            fprintf(stderr, "case %zu: %s\n", i, got);
            abort();
        }
    }
    upstream_close(e);
}

static void times(void)
{
    struct upstream_options o = options(1);
    struct engine          *e;

    o.first_ms = o.between_ms = 100;
    o.total_ms = 150;
    e = open_with(&o);
    fakes[0].conduct = MUTE;
    EXPECT(chat(e, true), ";E230a");
    EXPECT(chat(e, false), ";E230a");
    fakes[0].conduct = STALLS;
    EXPECT(chat(e, true), "a;X092");
    fakes[0].conduct = CUTS;
    EXPECT(chat(e, true), "a;E224");
    while (fakes[0].active) /* it has noticed that nobody waits */
        sleep_ms(1);
    upstream_close(e);
}

static void reading_ahead(void)
{
    struct upstream_options o = options(1);
    struct engine          *e = open_with(&o);
    struct call             c;
    struct chat_event       ev;

    fakes[0].conduct = PAIRS;
    call_init(&c, true);
    CHECK(e->ops->open(e, &c.rq, &c.in, &c.stream) == OK);
    CHECK(c.stream->ops->ready(c.stream));
    CHECK(c.stream->ops->next(c.stream, &ev) == OK);
    CHECK_STR(ev.text, "a");
    CHECK(c.stream->ops->ready(c.stream));
    CHECK_STR(ev.text, "a"); /* still */
    CHECK(c.stream->ops->next(c.stream, &ev) == OK);
    CHECK_STR(ev.text, "b");
    CHECK(!c.stream->ops->ready(c.stream));
    CHECK_STR(ev.text, "b");
    CHECK(c.stream->ops->next(c.stream, &ev) == OK);
    CHECK(ev.kind == CHAT_EV_FINISH);
    CHECK(c.stream->ops->ready(c.stream)); /* [DONE] was there too */
    CHECK(c.stream->ops->next(c.stream, &ev) == ERR_EOF);
    CHECK(c.stream->ops->next(c.stream, &ev) == ERR_EOF);
    arena_free(&c.arena);
    upstream_close(e);
}

static struct engine *shared;
static unsigned       calls_left, calls_good, calls_cancelled;

static void one_of_many(void *arg)
{
    const char *got = chat(shared, arg != NULL);

    calls_good += strcmp(got, "ab!") == 0;
    calls_cancelled += strstr(got, err_text(ERR_CANCELLED)) != NULL;
    calls_left--;
}

static void balance(void)
{
    struct upstream_options o = options(3);
    struct fiber           *f[20];

    endpoints[1].weight = 3;
    shared = open_with(&o);
    for (int i = 0; i < 3; i++)
        fakes[i].conduct = MUTE;
    calls_left = ARRAY_LEN(f);
    calls_cancelled = 0;
    for (size_t i = 0; i < ARRAY_LEN(f); i++)
        f[i] = fiber_start(loop, one_of_many, (void *)1);
    while (fakes[0].active + fakes[1].active + fakes[2].active < ARRAY_LEN(f))
        sleep_ms(1);
    CHECK(fakes[0].active == 4);
    CHECK(fakes[1].active == 12);
    CHECK(fakes[2].active == 4);
    for (size_t i = 0; i < ARRAY_LEN(f); i++)
        fiber_cancel(f[i]);
    while (calls_left || fakes[0].active || fakes[1].active || fakes[2].active)
        sleep_ms(1);
    CHECK(calls_cancelled == ARRAY_LEN(f));
    CHECK(CONTAINER_OF(shared, struct upstream, engine)->state.outstanding == 0);
    upstream_close(shared);
}

static void health(void)
{
    struct upstream_options o = options(2);
    struct upstream_state   state;
    struct engine          *e;

    o.health_path = S("/health");
    o.health_interval_ms = 5;
    o.backoff_ms = o.backoff_max_ms = 100000; /* the checks alone bring it back */
    fakes[1].healthy = true;
    e = open_with(&o);
    do {
        sleep_ms(1);
        upstream_state(e, &state);
    } while (state.up == 2);
    for (int i = 0; i < 5; i++)
        EXPECT(chat(e, true), "ab!");
    CHECK(fakes[0].asked == 0);
    fakes[0].healthy = true;
    do {
        sleep_ms(1);
        upstream_state(e, &state);
    } while (state.up < 2);
    for (int i = 0; i < 5; i++)
        EXPECT(chat(e, true), "ab!");
    CHECK(fakes[0].asked >= 2);
    upstream_close(e);
}

static void closing(void)
{
    struct upstream_options o = options(1);
    struct engine          *e = open_with(&o);
    struct call             c;
    struct chat_event       ev;

    fakes[0].conduct = PAIRS;
    call_init(&c, true);
    CHECK(e->ops->open(e, &c.rq, &c.in, &c.stream) == OK);
    upstream_close(e); /* the stream goes on */
    for (int i = 0; i < 3; i++)
        CHECK(c.stream->ops->next(c.stream, &ev) == OK);
    CHECK(c.stream->ops->next(c.stream, &ev) == ERR_EOF);
    arena_free(&c.arena);
}

static void wrong_options(void)
{
    struct upstream_options o = options(1);
    struct engine          *e;

    endpoints[0].url = S("ftp://x");
    CHECK(upstream_open(loop, &o, &e) == ERR_INVALID);
    o = options(0);
    CHECK(upstream_open(loop, &o, &e) == ERR_INVALID);
    o = options(1);
    endpoints[0].api_key = S("a\r\nb: c");
    CHECK(upstream_open(loop, &o, &e) == ERR_INVALID);
}

/* A server that closes idle connections soon: the pool notices, or asks again. */
static void short_keep_alive(void)
{
    struct upstream_options o = options(1);
    struct engine          *e = open_with(&o);

    for (int i = 0; i < 40; i++) {
        EXPECT(chat(e, i % 2), "ab!");
        sleep_ms(i % 5);
    }
    upstream_close(e);
}

static void case_main(void *arg)
{
    void (**test)(void) = arg;

    fakes_open(*test == short_keep_alive ? 2 : 5000);
    (*test)();
    fakes_close();
}

#define CASE(name, fn)                   \
    TEST(name)                           \
    {                                    \
        void (*test)(void) = fn;         \
                                         \
        spawn(case_main, (void *)&test); \
        run();                           \
    }

CASE(a_request_is_asked_and_answered, one_request)
CASE(another_endpoint_is_tried_and_a_bad_one_left_alone, another_endpoint)
CASE(without_an_endpoint_the_client_is_told_why, no_endpoint)
CASE(one_that_is_not_there_is_down_at_once, a_server_that_is_not_there)
CASE(a_change_is_news_once, news_is_told_once)
CASE(the_fallback_engine_is_asked, fallback)
CASE(busy_is_passed_on, busy)
CASE(the_cloud_is_passed_on_word_for_word, cloud)
CASE(odd_answers_are_understood_or_refused, odd_answers)
CASE(waiting_has_an_end, times)
CASE(ready_reads_ahead, reading_ahead)
CASE(the_least_loaded_is_asked_by_weight, balance)
CASE(health_checks_mark_endpoints, health)
CASE(an_engine_closes_under_its_streams, closing)
CASE(wrong_options_are_refused, wrong_options)
CASE(servers_may_close_idle_connections, short_keep_alive)

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, fakes_setup, fakes_teardown)
    const struct CMUnitTest tests[] = {
        UNIT(a_request_is_asked_and_answered),
        UNIT(another_endpoint_is_tried_and_a_bad_one_left_alone),
        UNIT(without_an_endpoint_the_client_is_told_why),
        UNIT(one_that_is_not_there_is_down_at_once),
        UNIT(a_change_is_news_once),
        UNIT(the_fallback_engine_is_asked),
        UNIT(busy_is_passed_on),
        UNIT(the_cloud_is_passed_on_word_for_word),
        UNIT(odd_answers_are_understood_or_refused),
        UNIT(waiting_has_an_end),
        UNIT(ready_reads_ahead),
        UNIT(the_least_loaded_is_asked_by_weight),
        UNIT(health_checks_mark_endpoints),
        UNIT(an_engine_closes_under_its_streams),
        UNIT(wrong_options_are_refused),
        UNIT(servers_may_close_idle_connections),
    };

    signal(SIGPIPE, SIG_IGN);
    log_open(2, LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
