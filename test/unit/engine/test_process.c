/* test_process.c - an engine's child: started when it is asked for, started again, given up on, stopped. The child is this
 * program itself, called with "serve WHERE [HOW]".
 */
#include "engine/process/process.c"

#include "../loop/run.h"
#include "net/http_server.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- the child ---- */

static const char *how = "";
static int64_t     child_started_us;

static struct http_body_plan plan(void *arg, struct http_exchange *x)
{
    (void)arg, (void)x;
    return (struct http_body_plan){ .max = 1 << 20 };
}

static void handle(void *arg, struct http_exchange *x)
{
    static const char answer[] =
        "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hello\"},"
        "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}";
    struct http_field type = { S("content-type"), S("application/json") };
    char             *body;
    size_t            len;

    (void)arg;
    if (http_body(x, &body, &len))
        return;
    if (str_eq(http_path(x), S("/health"))) {
        bool slow = strcmp(how, "slow") == 0 && loop_now_us(loop) - child_started_us < 200000;
        bool good = strcmp(how, "never") != 0 && !slow;

        (void)http_answer(x, good ? 200 : 503, &type, 1, S("{}"));
        return;
    }
    if (str_find_str(str_of(body, len), S("die")) != STR_NONE)
        _exit(7);
    (void)http_answer(x, 200, &type, 1, str_of(answer, sizeof(answer) - 1));
}

static int serve(const char *where)
{
    static const struct http_server_options o = {
        .connection_max = 10, .plan = plan, .handle = handle, .body_time_ms = 5000, .idle_time_ms = 5000
    };
    struct http_server *s;
    struct address      at;
    char                text[ADDRESS_TEXT_MAX];

    if (strcmp(how, "missing") == 0)
        return 127; /* as of a shell that does not find its program */
    if (strcmp(how, "dies") == 0) {
        fprintf(stderr, "cannot load the model\n");
        return 1;
    }
    loop = loop_new();
    child_started_us = loop_now_us(loop);
    snprintf(text, sizeof(text), where[0] == '/' ? "unix:%s" : "127.0.0.1:%s", where);
    CHECK(address_parse(str_from_cstr(text), &at));
    CHECK(http_server_open(loop, &at, &o, &s) == OK);
    loop_run(loop);
    return 0;
}

/* ---- the server's side ---- */

static struct child  *child;
static struct engine *engine;
static bool           child_gone;
static struct engine *fallback;            /* of the engine; NULL: none */
static char           refusal_detail[200]; /* of the last chat() that was refused, or answered by another */
static char           answered_by[64], fallback_from[64];

static void on_closed(void *arg)
{
    (void)arg;
    child_gone = true;
}

static int64_t in_ms(int64_t ms)
{
    return loop_now_us(loop) + ms * 1000;
}

static struct child_options options(str place, const char *behaviour)
{
    static str  words[4];
    static char self[4096];
    ssize_t     len = readlink("/proc/self/exe", self, sizeof(self));

    CHECK(len > 0);
    words[0] = str_of(self, (size_t)len);
    words[1] = S("serve");
    words[2] = place;
    words[3] = str_from_cstr(behaviour);
    return (struct child_options){
        .name = S("little"), .command = words, .command_count = 4, .backoff_ms = 20, .grace_ms = 2000, .wait_ms = 10000
    };
}

static void open_all(const struct child_options *o)
{
    struct upstream_options uo = { .fallback = fallback };

    child_gone = false;
    CHECK(child_open(loop, o, &child) == OK);
    CHECK(process_engine_open(loop, child, &uo, &engine) == OK);
}

static void close_all(void)
{
    process_engine_close(engine);
    child_close(child, on_closed, NULL);
    while (!child_gone)
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
}

/* The first event's text, or the id of the refusal. */
static const char *chat(const char *prompt)
{
    static char           text[64];
    struct arena          a;
    struct request        rq = { .arena = &a, .id = "test" };
    struct chat_message   message = { .role = CHAT_USER, .content = str_from_cstr(prompt) };
    struct chat_input     in = { .model_name = S("m"), .messages = &message, .message_count = 1 };
    struct engine_stream *st;
    struct chat_event     ev;
    enum err              e;

    arena_init(&a, 0);
    e = engine->ops->open(engine, &rq, &in, &st);
    if (!e) {
        CHECK(st->ops->next(st, &ev) == OK);
        snprintf(text, sizeof(text), "%.*s", STR_ARG(ev.text));
    } else if (rq.fault.row) {
        snprintf(text, sizeof(text), "%.*s", STR_ARG(rq.fault.row->id));
        snprintf(refusal_detail, sizeof(refusal_detail), "%.*s", STR_ARG(rq.fault.detail));
    } else {
        snprintf(text, sizeof(text), "%s", err_text(e));
    }
    if (rq.fallback_from.len)
        snprintf(refusal_detail, sizeof(refusal_detail), "%.*s", STR_ARG(rq.fault.detail));
    snprintf(answered_by, sizeof(answered_by), "%.*s", STR_ARG(rq.engine));
    snprintf(fallback_from, sizeof(fallback_from), "%.*s", STR_ARG(rq.fallback_from));
    arena_free(&a);
    return text;
}

static void life(void *arg)
{
    struct child_options o = options(str_from_cstr(arg), "");

    open_all(&o);
    CHECK(fiber_sleep_until(in_ms(30)) == OK);
    CHECK(child_state(child) == CHILD_STOPPED); /* nobody has asked */
    CHECK_STR(str_from_cstr(chat("hi")), "hello");
    CHECK(child_state(child) == CHILD_READY);
    CHECK_STR(str_from_cstr(chat("die")), "E224"); /* closed without an answer */
    while (child_state(child) == CHILD_READY)
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
    CHECK_STR(str_from_cstr(chat("hi")), "hello"); /* it has been started again */
    close_all();
}

TEST(a_child_on_a_port_is_started_when_asked_and_again_when_it_ends)
{
    spawn(life, (void *)(uintptr_t) "{port}");
    run();
}

TEST(a_child_on_a_socket_too)
{
    spawn(life, (void *)(uintptr_t) "{socket}");
    run();
}

static void boot(void *arg)
{
    struct child_options o = options(S("{port}"), "slow");

    (void)arg;
    o.at_boot = true;
    open_all(&o);
    CHECK_STR(str_from_cstr(chat("hi")), "hello"); /* until it is ready */
    CHECK(child_state(child) == CHILD_READY);
    close_all();
}

TEST(requests_wait_until_it_is_ready)
{
    spawn(boot, NULL);
    run();
}

static void impatient(void *arg)
{
    struct child_options o = options(S("{port}"), "never");

    (void)arg;
    o.ready_ms = 100;
    o.wait_ms = 50;
    open_all(&o);
    CHECK_STR(str_from_cstr(chat("hi")), "E236");
    while (child_state(child) != CHILD_BROKEN)
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
    while (child_state(child) != CHILD_STARTING)
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
    close_all();
}

TEST(one_that_does_not_become_ready_is_started_again)
{
    spawn(impatient, NULL);
    run();
}

static void hopeless(void *arg)
{
    struct child_options o = options(S("{port}"), "dies");

    (void)arg;
    o.wait_ms = 200;
    open_all(&o);
    CHECK_STR(str_from_cstr(chat("hi")), "E236");
    while (child->backoff_ms < 80) /* again and again, and later each time */
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
    CHECK(str_eq(str_of(child->last_line, child->last_line_len), S("cannot load the model")) || is_running(child) ||
          !child->last_line_len);
    close_all();
}

TEST(one_that_dies_at_once_is_started_more_and_more_slowly)
{
    spawn(hopeless, NULL);
    run();
}

/* The log names the program that was asked for, and the request does not wait for what cannot come. */
static void missing(void *arg)
{
    struct child_options o = options(S("{port}"), "missing");
    str                  absent[] = { S("/no/such/program"), S("{port}") };
    int64_t              began_us = loop_now_us(loop);

    if (arg) {
        o.command = absent;
        o.command_count = ARRAY_LEN(absent);
    }
    o.backoff_ms = 60 * 1000;
    o.wait_ms = 60 * 1000;
    open_all(&o);
    CHECK_STR(str_from_cstr(chat("hi")), "E236");
    CHECK(loop_now_us(loop) - began_us < 10 * 1000 * 1000);
    CHECK(str_find_str(str_from_cstr(refusal_detail), str_from_cstr(child->argv[0])) == 0);
    CHECK_STR(str_from_cstr(chat("hi")), "E236");
    close_all();
}

TEST(without_its_program_requests_are_refused_at_once)
{
    spawn(missing, (void *)(uintptr_t) "absent");
    run();
}

/* ---- its fallback ---- */

static unsigned other_asked;
static bool     other_refuses;

static enum err other_next(struct engine_stream *st, struct chat_event *ret)
{
    (void)st;
    *ret = (struct chat_event){ .kind = CHAT_EV_TEXT, .text = S("instead") };
    return OK;
}

static enum err other_open(struct engine *e, struct request *rq, const struct chat_input *in,
                           struct engine_stream **ret);

static const struct engine_ops other_ops = { .kind = "other", .open = other_open, .next = other_next };
static struct engine           other = { .ops = &other_ops, .name = S("other") };

static enum err other_open(struct engine *e, struct request *rq, const struct chat_input *in,
                           struct engine_stream **ret)
{
    static struct engine_stream st = { &other_ops };

    CHECK(e == &other);
    CHECK(!fault_is_set(&rq->fault));
    CHECK(in->message_count == 1);
    other_asked++;
    if (other_refuses)
        return fail_model_unavailable(&rq->fault);
    *ret = &st;
    return OK;
}

static void falls_back(void *arg)
{
    struct child_options o = options(S("{port}"), arg);
    bool                 missing_one = strcmp(arg, "missing") == 0;

    o.at_boot = true;

    fallback = &other;
    other_asked = 0;
    other_refuses = false;
    o.backoff_ms = 60 * 1000;
    o.wait_ms = missing_one ? 60 * 1000 : 300; /* what is missing is not waited for, what has died is */
    refusal_detail[0] = 0;
    open_all(&o);
    if (missing_one) {
        CHECK_STR(str_from_cstr(chat("hi")), "instead");
        CHECK(strstr(refusal_detail, "cannot be run"));
    } else {
        while (child_state(child) != CHILD_READY)
            CHECK(fiber_sleep_until(in_ms(1)) == OK);
        CHECK_STR(str_from_cstr(chat("hi")), "hello");
        CHECK_STR(str_from_cstr(answered_by), "little");
        CHECK_STR(str_from_cstr(fallback_from), "");
        CHECK_STR(str_from_cstr(chat("die")), "instead");
        CHECK(refusal_detail[0]);
    }
    CHECK_STR(str_from_cstr(answered_by), "other");
    CHECK_STR(str_from_cstr(fallback_from), "little");
    CHECK(other_asked == 1);
    close_all();

    other_refuses = true;
    open_all(&o);
    CHECK_STR(str_from_cstr(chat(missing_one ? "hi" : "die")), "E236");
    CHECK(other_asked == 2); /* its refusal does not count as the child's */
    close_all();
    fallback = NULL;
}

TEST(another_answers_for_one_that_cannot_run)
{
    spawn(falls_back, (void *)(uintptr_t) "missing");
    run();
}

TEST(another_answers_for_one_that_dies)
{
    spawn(falls_back, (void *)(uintptr_t) "");
    run();
}

static void waited_for(void *arg)
{
    struct child_options o = options(S("{port}"), "");
    siginfo_t            how_ended;
    int                  pid;

    (void)arg;
    fallback = &other;
    other_asked = 0;
    o.at_boot = true;
    open_all(&o);
    while (child_state(child) != CHILD_READY)
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
    pid = process_pid(child->process);
    kill(pid, SIGKILL);
    CHECK(waitid(P_PID, (id_t)pid, &how_ended, WEXITED | WNOWAIT) == 0);
    CHECK(child_state(child) == CHILD_READY); /* its supervisor does not know yet */
    CHECK_STR(str_from_cstr(chat("hi")), "hello");
    CHECK(other_asked == 0);
    close_all();
    fallback = NULL;
}

TEST(one_that_has_just_died_is_waited_for_even_so)
{
    spawn(waited_for, NULL);
    run();
}

TEST(nor_is_a_shell_waited_for_that_does_not_find_it)
{
    spawn(missing, NULL);
    run();
}

/* It is looked for again at each start. */
static void mended(void *arg)
{
    struct child_options o = options(S("{port}"), "");
    char                 path[] = "/tmp/dashbox-test-XXXXXX";
    str                  words[] = { str_from_cstr(path), S("serve"), S("{port}") }, self = o.command[0];
    int                  fd = mkstemp(path);

    (void)arg;
    CHECK(fd >= 0 && close(fd) == 0 && unlink(path) == 0);
    o.command = words;
    o.command_count = ARRAY_LEN(words);
    open_all(&o);
    CHECK_STR(str_from_cstr(chat("hi")), "E236");
    CHECK(symlink(self.ptr, path) == 0);
    while (child_state(child) != CHILD_READY)
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
    CHECK_STR(str_from_cstr(chat("hi")), "hello");
    close_all();
    CHECK(unlink(path) == 0);
}

TEST(a_program_that_comes_later_is_found)
{
    spawn(mended, NULL);
    run();
}

static void gone(void *arg)
{
    struct child_options o = options(S("{port}"), "");
    int                  pid;

    (void)arg;
    open_all(&o);
    CHECK_STR(str_from_cstr(chat("hi")), "hello");
    pid = process_pid(child->process);
    CHECK(kill(pid, 0) == 0);
    close_all();
    CHECK(kill(pid, 0) != 0);
}

TEST(closing_stops_it)
{
    spawn(gone, NULL);
    run();
}

static void wrong(void *arg)
{
    struct child_options o = options(S("8080"), "");

    (void)arg;
    CHECK(child_open(loop, &o, &child) == ERR_INVALID);
    o.command_count = 0;
    CHECK(child_open(loop, &o, &child) == ERR_INVALID);
}

TEST(a_command_must_say_where_it_listens)
{
    spawn(wrong, NULL);
    run();
}

TEST(places_in_words_are_filled)
{
    struct place places[] = { { S("{port}"), S("80") }, { S("{model}"), S("m.gguf") } };
    struct arena a;

    arena_init(&a, 0);
    assert_string_equal(word_fill(&a, S("--port={port}/{port}{model}{x}"), places, 2), "--port=80/80m.gguf{x}");
    assert_string_equal(word_fill(&a, S(""), places, 2), "");
    arena_free(&a);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_child_on_a_port_is_started_when_asked_and_again_when_it_ends),
        CASE(a_child_on_a_socket_too),
        CASE(requests_wait_until_it_is_ready),
        CASE(one_that_does_not_become_ready_is_started_again),
        CASE(one_that_dies_at_once_is_started_more_and_more_slowly),
        CASE(without_its_program_requests_are_refused_at_once),
        CASE(nor_is_a_shell_waited_for_that_does_not_find_it),
        CASE(another_answers_for_one_that_cannot_run),
        CASE(another_answers_for_one_that_dies),
        CASE(one_that_has_just_died_is_waited_for_even_so),
        CASE(a_program_that_comes_later_is_found),
        CASE(closing_stops_it),
        CASE(a_command_must_say_where_it_listens),
        CASE(places_in_words_are_filled),
    };

    signal(SIGPIPE, SIG_IGN);
    if (argc >= 3 && strcmp(argv[1], "serve") == 0) {
        how = argc > 3 ? argv[3] : "";
        return serve(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
