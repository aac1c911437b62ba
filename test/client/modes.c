/* modes.c - every way into libdashscope, against the server that the environment names. Prints what is wrong and ends with 1. */
#include <dashscope.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int failures;

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            printf("%s:%d: %s; last error %d %d %s: %s\n", __FILE__, __LINE__, #cond, dashscope_last_error(c)->result, \
                   dashscope_last_error(c)->status, dashscope_last_error(c)->code, dashscope_last_error(c)->message);  \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct dashscope_chat_input question(const char *model, struct dashscope_message *m,
                                            enum dashscope_protocol protocol)
{
    return (struct dashscope_chat_input){ .model = model, .messages = m, .message_count = 1, .protocol = protocol };
}

/* ---- the two forms ---- */

struct gathered {
    char   text[4096], reasoning[4096], finish[32];
    size_t chunks, stop_after;
};

static int gather(const struct dashscope_chunk *k, void *arg)
{
    struct gathered *g = arg;

    strcat(g->text, k->text);
    strcat(g->reasoning, k->reasoning);
    if (k->finish_reason)
        strcpy(g->finish, k->finish_reason);
    return ++g->chunks == g->stop_after;
}

static void callback(struct dashscope *c, enum dashscope_protocol protocol)
{
    struct dashscope_message    m = { "user", "count to ten" };
    struct dashscope_chat_input q = question("qwen-plus", &m, protocol);
    struct gathered             g = { .stop_after = 0 }, whole = { .stop_after = 0 }, some = { .stop_after = 2 };

    CHECK(dashscope_chat(c, &q, gather, &g) == DASHSCOPE_OK);
    CHECK(strcmp(g.text, "one two three four five six seven eight nine ten") == 0);
    CHECK(strcmp(g.finish, "stop") == 0);
    CHECK(g.chunks > 2);
    q.whole = true;
    CHECK(dashscope_chat(c, &q, gather, &whole) == DASHSCOPE_OK);
    CHECK(whole.chunks == 1 && strcmp(whole.text, g.text) == 0);
    q.whole = false;
    CHECK(dashscope_chat(c, &q, gather, &some) == DASHSCOPE_CANCELLED);
    CHECK(some.chunks == 2 && dashscope_last_error(c)->result == DASHSCOPE_CANCELLED);
}

static void pull(struct dashscope *c, enum dashscope_protocol protocol)
{
    struct dashscope_message      m[2] = { { "system", "be short" }, { "user", "riddle" } };
    struct dashscope_chat_input   q = { .model = "qwen-plus",
                                        .messages = m,
                                        .message_count = 2,
                                        .protocol = protocol,
                                        .parameters = "{\"enable_thinking\":true}" };
    struct dashscope_chat_input   wrong = { .model = "qwen-plus" };
    struct dashscope_stream      *s, *other, *never;
    const struct dashscope_chunk *k;
    struct gathered               g = { .stop_after = 0 };
    struct dashscope_usage        usage = { -1, -1, -1, -1, -1 };
    enum dashscope_result         r;

    CHECK(dashscope_chat_open(c, &q, &s) == DASHSCOPE_OK);
    CHECK(dashscope_chat_open(c, &q, &other) == DASHSCOPE_OK); /* two at once */
    CHECK(dashscope_chat_next(other, &k) == DASHSCOPE_OK);
    CHECK(dashscope_chat_open(c, &wrong, &never) == DASHSCOPE_INPUT); /* is not these streams' error */
    while ((r = dashscope_chat_next(s, &k)) == DASHSCOPE_OK) {
        CHECK(strlen(k->json) == k->json_len && k->json[0] == '{');
        CHECK(strlen(k->request_id) > 30);
        gather(k, &g);
        if (k->usage.input_tokens >= 0)
            usage = k->usage;
    }
    CHECK(r == DASHSCOPE_END && dashscope_last_error(c)->result == DASHSCOPE_OK);
    CHECK(dashscope_chat_open(c, &wrong, &never) == DASHSCOPE_INPUT);
    CHECK(dashscope_chat_next(s, &k) == DASHSCOPE_END); /* again and again */
    CHECK(strcmp(g.text, "A piano.") == 0);
    CHECK(strcmp(g.reasoning, "It has keys and opens nothing. So it plays.") == 0);
    CHECK(usage.input_tokens > 0 && usage.output_tokens > 0 && usage.reasoning_tokens > 0);
    CHECK(usage.total_tokens == usage.input_tokens + usage.output_tokens);
    dashscope_chat_close(s);
    CHECK(dashscope_chat_next(other, &k) == DASHSCOPE_OK);
    dashscope_chat_close(other); /* before its end */
}

/* Of several choices the first is the text; the others are in the JSON. */
static void first_choice(struct dashscope *c, enum dashscope_protocol protocol)
{
    struct dashscope_message    m = { "user", "hello" };
    struct dashscope_chat_input q = question("qwen3-32b", &m, protocol);
    struct gathered             g = { .stop_after = 0 };

    q.parameters = "{\"n\":2,\"enable_thinking\":false}";
    CHECK(dashscope_chat(c, &q, gather, &g) == DASHSCOPE_OK);
    CHECK(strcmp(g.text, "dashbox stand-in: hello") == 0 && strcmp(g.finish, "stop") == 0);
}

static void messages_as_json(struct dashscope *c)
{
    struct gathered             g = { .stop_after = 0 }, many = { .stop_after = 0 };
    struct dashscope_chat_input q = { .model = "qwen-plus",
                                      .messages_json = "[{\"role\":\"user\",\"content\":\"count to ten\"}]" };
    struct dashscope_message    m = { "user", "count to ten" };
    struct dashscope_chat_input seeing = question("qwen3-vl-plus", &m, DASHSCOPE_NATIVE);

    CHECK(dashscope_chat(c, &q, gather, &g) == DASHSCOPE_OK && strncmp(g.text, "one two", 7) == 0);
    seeing.multimodal = true;
    CHECK(dashscope_chat(c, &seeing, gather, &many) == DASHSCOPE_OK && strncmp(many.text, "one two", 7) == 0);
}

/* ---- failures ---- */

static void refusals(struct dashscope *c, enum dashscope_protocol protocol)
{
    struct dashscope_message      m = { "user", "hello" };
    struct dashscope_chat_input   q = question("qwen-plus", &m, protocol);
    struct dashscope_stream      *s;
    const struct dashscope_chunk *k;
    const struct dashscope_error *e = dashscope_last_error(c);
    struct gathered               g = { .stop_after = 0 };

    q.parameters = "{\"temperature\":2}";
    for (int whole = 0; whole < 2; whole++) {
        q.whole = whole;
        CHECK(dashscope_chat_open(c, &q, &s) == DASHSCOPE_REFUSED);
        CHECK(e->status == 400 && strcmp(e->message, "Temperature should be in [0.0, 2.0)") == 0);
        CHECK(strcmp(e->code, protocol == DASHSCOPE_NATIVE ? "InvalidParameter" : "invalid_parameter_error") == 0);
        CHECK(strlen(e->request_id) == 36);
    }
    q.whole = false;
    q.parameters = "[]";
    CHECK(dashscope_chat_open(c, &q, &s) == DASHSCOPE_INPUT);
    q.parameters = NULL;
    m.content = "break off"; /* in the middle of a stream */
    CHECK(dashscope_chat_open(c, &q, &s) == DASHSCOPE_OK);
    while (dashscope_chat_next(s, &k) == DASHSCOPE_OK)
        gather(k, &g);
    CHECK(e->result == DASHSCOPE_REFUSED && *e->code && g.text[0]);
    CHECK(dashscope_chat_next(s, &k) == DASHSCOPE_REFUSED);
    dashscope_chat_close(s);
    q.model = "qwen-plus!cut@2"; /* the connection goes */
    m.content = "count to ten";
    CHECK(dashscope_chat(c, &q, gather, &g) == DASHSCOPE_UNREADABLE);
    q.model = NULL;
    CHECK(dashscope_chat_open(c, &q, &s) == DASHSCOPE_INPUT);
    q.model = "qwen-plus";
    m.content = NULL;
    CHECK(dashscope_chat_open(c, &q, &s) == DASHSCOPE_INPUT);
}

static void *cancel_soon(void *c)
{
    usleep(200 * 1000);
    dashscope_cancel(c);
    return NULL;
}

static void cancelling(struct dashscope *c)
{
    struct dashscope_message    m = { "user", "slow" };
    struct dashscope_chat_input q = question("qwen-plus", &m, DASHSCOPE_NATIVE);
    struct gathered             g = { .stop_after = 0 }, after = { .stop_after = 0 };
    pthread_t                   other;
    double                      begun = now();

    pthread_create(&other, NULL, cancel_soon, c);
    CHECK(dashscope_chat(c, &q, gather, &g) == DASHSCOPE_CANCELLED);
    pthread_join(other, NULL);
    CHECK(now() - begun < 5);
    CHECK(g.chunks > 0);
    dashscope_cancel(c); /* nothing is under way */
    m.content = "count to ten";
    CHECK(dashscope_chat(c, &q, gather, &after) == DASHSCOPE_OK);
}

static void deadlines(void)
{
    struct dashscope_options    o = { .time_ms = 300 };
    struct dashscope           *c = dashscope_open(&o);
    struct dashscope_message    m = { "user", "slow" };
    struct dashscope_chat_input q = question("qwen-plus", &m, DASHSCOPE_NATIVE);
    struct gathered             g = { .stop_after = 0 };
    double                      begun = now();

    CHECK(dashscope_chat(c, &q, gather, &g) == DASHSCOPE_TIMEOUT);
    CHECK(now() - begun >= 0.29 && now() - begun < 5);
    dashscope_close(c);
}

static void wrong_options(void)
{
    struct dashscope_message    m = { "user", "hello" };
    struct dashscope_chat_input q = question("qwen-plus", &m, DASHSCOPE_NATIVE);
    struct dashscope_stream    *s;
    const struct {
        struct dashscope_options o;
        enum dashscope_result    r;
    } all[] = {
        { { .api_key = "" }, DASHSCOPE_NO_KEY },
        { { .base_url = "nowhere" }, DASHSCOPE_INPUT },
        { { .base_url = "http://127.0.0.1:1/api/v1" }, DASHSCOPE_NO_CONNECTION },
        { { .base_url = "http://no-such-host.invalid/api/v1" }, DASHSCOPE_NO_CONNECTION },
        { { .base_url = "https://127.0.0.1:1/api/v1", .ca_file = "/nowhere.pem" }, DASHSCOPE_INPUT },
        { { .api_key = "a\nb: c" }, DASHSCOPE_INPUT },
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct dashscope *c = dashscope_open(&all[i].o);

        CHECK(dashscope_chat_open(c, &q, &s) == all[i].r);
        CHECK(dashscope_last_error(c)->message[0]);
        dashscope_close(c);
    }
    dashscope_close(NULL);
    dashscope_free(NULL);
}

/* ---- the other calls ---- */

static void calls(struct dashscope *c)
{
    const char                   *texts[] = { "the river", "the rivers", "an engine" };
    struct dashscope_embed_input  e = { .model = "text-embedding-v4", .texts = texts, .count = 3, .dimension = 64 };
    struct dashscope_rerank_input r = {
        .model = "gte-rerank-v2", .query = "river", .documents = texts, .count = 3, .top = 2
    };
    struct dashscope_request     get = { .method = "GET", .path = "/models?model=qwen-plus" };
    struct dashscope_request     wrong = { .method = "GET", .path = "/nowhere" };
    struct dashscope_vectors    *v;
    struct dashscope_ranking    *ranking;
    struct dashscope_tokens     *t;
    struct dashscope_model_list *m;
    struct dashscope_answer     *a;
    size_t                       found = 0;
    double                       length = 0;

    CHECK(dashscope_embed(c, &e, &v) == DASHSCOPE_OK && v->count == 3 && v->dimension == 64 && v->tokens > 0);
    for (size_t i = 0; i < v->dimension; i++)
        length += v->values[64 + i] * v->values[64 + i];
    CHECK(length > 0.99 && length < 1.01);
    dashscope_free(v);
    e.dimension = 63;
    CHECK(dashscope_embed(c, &e, &v) == DASHSCOPE_REFUSED);
    e.count = 0;
    CHECK(dashscope_embed(c, &e, &v) == DASHSCOPE_INPUT);
    CHECK(dashscope_rerank(c, &r, &ranking) == DASHSCOPE_OK && ranking->count == 2 && ranking->ranks[0].index == 0);
    dashscope_free(ranking);
    CHECK(dashscope_tokenize(c, "qwen-turbo", "hello world", &t) == DASHSCOPE_OK && t->count == 2);
    CHECK(t->ids[0] == 14990 && strcmp(t->texts[1], " world") == 0);
    dashscope_free(t);
    CHECK(dashscope_models(c, &m) == DASHSCOPE_OK && m->count > 100);
    for (size_t i = 0; i < m->count; i++)
        found += strcmp(m->ids[i], "qwen-plus") == 0;
    CHECK(found == 1);
    dashscope_free(m);
    CHECK(dashscope_call(c, &get, &a) == DASHSCOPE_OK && strstr(a->body, "\"qwen-plus\"") && a->len == strlen(a->body));
    CHECK(a->status == 200 && strlen(a->request_id) == 36);
    dashscope_free(a);
    CHECK(dashscope_call(c, &wrong, &a) == DASHSCOPE_REFUSED && dashscope_last_error(c)->status == 404);
    get.protocol = DASHSCOPE_COMPATIBLE;
    get.path = "/models/qwen-plus";
    CHECK(dashscope_call(c, &get, &a) == DASHSCOPE_OK && strstr(a->body, "\"object\":\"model\""));
    dashscope_free(a);
}

/* ---- tasks and files ---- */

static int count_answers(const struct dashscope_task *t, void *arg)
{
    (void)t;
    ++*(int *)arg;
    return 0;
}

static int stop_waiting(const struct dashscope_task *t, void *arg)
{
    (void)t, (void)arg;
    return 1;
}

/* A file on its way: uploaded, worked on by a task, its result downloaded. */
static void tasks_and_files(struct dashscope *c, const char *file)
{
    char                        body[1024], *address, *url, *end;
    struct dashscope_request    q = { .path = "/services/embeddings/text-embedding/text-embedding",
                                      .body = body,
                                      .oss = true };
    struct dashscope_task_query all = { .model = "text-embedding-async-v2", .page_size = 1 };
    struct dashscope_task_list *list;
    struct dashscope_task      *t, *done;
    FILE                       *out = tmpfile();
    int                         answers = 0;

    CHECK(dashscope_upload(c, "text-embedding-async-v2", file, &address) == DASHSCOPE_OK);
    CHECK(strncmp(address, "oss://", 6) == 0 && strstr(address, strrchr(file, '/')));
    snprintf(body, sizeof(body), "{\"model\":\"text-embedding-async-v2\",\"input\":{\"url\":\"%s\"}}", address);
    dashscope_free(address);
    CHECK(dashscope_task_create(c, &q, &t) == DASHSCOPE_OK);
    CHECK(strlen(t->id) == 36 && strcmp(t->status, "PENDING") == 0 && !t->ended);
    CHECK(dashscope_task_wait(c, t->id, stop_waiting, NULL, &done) == DASHSCOPE_CANCELLED);
    CHECK(dashscope_task_wait(c, t->id, count_answers, &answers, &done) == DASHSCOPE_OK);
    CHECK(answers >= 1 && done->ended && strcmp(done->status, "SUCCEEDED") == 0 && !*done->code);
    CHECK(strcmp(done->id, t->id) == 0 && strlen(done->json) == done->json_len);
    url = strstr(done->json, "\"url\":\"") + 7;
    end = strchr(url, '"');
    *end = 0;
    CHECK(dashscope_download(c, url, fileno(out)) == DASHSCOPE_OK);
    CHECK(fseek(out, 0, SEEK_SET) == 0 && fgetc(out) == 0x1f && fgetc(out) == 0x8b);
    end[-1] ^= 1; /* its signature */
    CHECK(dashscope_download(c, url, fileno(out)) == DASHSCOPE_REFUSED && dashscope_last_error(c)->status == 403);
    CHECK(dashscope_download(c, "nowhere", fileno(out)) == DASHSCOPE_INPUT);
    CHECK(dashscope_download(c, "http://127.0.0.1:1/", fileno(out)) == DASHSCOPE_NO_CONNECTION);
    CHECK(dashscope_task_cancel(c, t->id) == DASHSCOPE_REFUSED);
    CHECK(strcmp(dashscope_last_error(c)->code, "UnsupportedOperation") == 0);
    CHECK(dashscope_task_list(c, &all, &list) == DASHSCOPE_OK && list->count == 1 && list->total >= 1);
    CHECK(strcmp(list->tasks[0].id, t->id) == 0 && strcmp(list->tasks[0].status, "SUCCEEDED") == 0);
    CHECK(list->tasks[0].created > 0 && list->tasks[0].ended >= list->tasks[0].created);
    dashscope_free(list);
    dashscope_free(done);
    dashscope_free(t);
    CHECK(dashscope_task_get(c, "no-such/..?task", &t) == DASHSCOPE_OK && strcmp(t->status, "UNKNOWN") == 0 &&
          t->ended);
    dashscope_free(t);
    CHECK(dashscope_task_get(c, "", &t) == DASHSCOPE_INPUT);
    CHECK(dashscope_upload(c, "text-embedding-async-v2", "/nowhere", &address) == DASHSCOPE_INPUT);
    CHECK(dashscope_upload(c, NULL, file, &address) == DASHSCOPE_INPUT);
    q.body = "{\"model\":\"text-embedding-async-v2\",\"input\":{}}";
    CHECK(dashscope_task_create(c, &q, &t) == DASHSCOPE_REFUSED);
    fclose(out);
}

/* ---- a handle a thread ---- */

static void *thread(void *arg)
{
    struct dashscope *c = dashscope_open(NULL);

    (void)arg;
    for (int i = 0; i < 3; i++) {
        callback(c, DASHSCOPE_NATIVE);
        callback(c, DASHSCOPE_COMPATIBLE);
    }
    dashscope_close(c);
    return NULL;
}

int main(int argc, char **argv)
{
    struct dashscope *c = dashscope_open(NULL);
    pthread_t         threads[4];

    callback(c, DASHSCOPE_NATIVE);
    callback(c, DASHSCOPE_COMPATIBLE);
    pull(c, DASHSCOPE_NATIVE);
    pull(c, DASHSCOPE_COMPATIBLE);
    first_choice(c, DASHSCOPE_NATIVE);
    first_choice(c, DASHSCOPE_COMPATIBLE);
    messages_as_json(c);
    refusals(c, DASHSCOPE_NATIVE);
    refusals(c, DASHSCOPE_COMPATIBLE);
    cancelling(c);
    deadlines();
    wrong_options();
    calls(c);
    if (argc > 1)
        tasks_and_files(c, argv[1]);
    dashscope_close(c);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, thread, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    puts(failures ? "failed" : "good");
    return failures != 0;
}
