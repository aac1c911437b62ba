/* chat.c - dashbox chat: a conversation on the terminal, or one answer for a script.
 *
 * Without words, and with a terminal on both sides, it is a conversation: lines are edited by the terminal itself, "/" begins a
 * command, Ctrl-C ends an answer and Ctrl-D the program. Otherwise there is one question, from the words (where "-" is
 * standard input) or from the pipe, and standard output has the answer and nothing else.
 *
 * Memory: the conversation is in the command's arena.
 */
#include "cli/cli.h"
#include "cli/client.h"

#include "contract/json.h"
#include "contract/model.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: dashbox chat [WORD…] [OPTIONS]\n"
    "\n"
    "Without words: a conversation on the terminal (/help there), or one question from a pipe. With words: one question;\n"
    "the word - stands for standard input: dashbox chat 'sum this up:' - <report.txt\n"
    "\n"
    "  --model MODEL               [qwen-plus]\n"
    "  --system TEXT               the system message\n"
    "  --thinking                  let the model think first (enable_thinking); terminals show it dimmed\n"
    "  --json                      the answer as one object: text, reasoning, finish_reason, usage, request_id\n"
    "  --no-stream                 the answer whole, when it is complete\n"
    "  --protocol native|compatible   [native]\n"
    "  --parameters JSON           further parameters, as an object: '{\"temperature\":0.2}'\n" CLI_CLIENT_USAGE;

static const char help[] = "  /model [NAME]   who answers, or from now on another\n"
                           "  /system [TEXT]  another system message; none without TEXT\n"
                           "  /clear          forget the conversation\n"
                           "  /save FILE      write it, as a JSON array of messages\n"
                           "  /quit           or Ctrl-D\n"
                           "  A line that ends in \\ goes on in the next one. Ctrl-C stops an answer.\n";

struct call {
    int64_t    index;
    str        name;
    struct buf arguments;
};

struct chat {
    struct cli_client           client;
    struct dashscope_chat_input question;
    const char                 *system; /* NULL: none */
    bool                        thinking, json;
    bool                        terminal, color; /* standard output is one; and takes colours */
    struct dashscope_message   *messages;        /* the first is room for the system message */
    size_t                      count, cap;

    /* the answer under way */
    const struct model *model;
    struct buf          text, reasoning;
    struct call        *calls; /* of tools */
    size_t              call_count;
    bool                dimmed;
};

/* ---- the conversation ---- */

static void message_add(struct chat *c, const char *role, str content)
{
    if (c->count == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 16;

        c->messages =
            arena_realloc(&c->client.arena, c->messages, c->cap * sizeof(*c->messages), cap * sizeof(*c->messages));
        c->cap = cap;
    }
    c->messages[c->count++] = (struct dashscope_message){ role, str_to_cstr(&c->client.arena, content) };
}

static void messages_clear(struct chat *c)
{
    c->count = 0;
    message_add(c, "system", (str){ 0 });
}

/* With the system message when there is one. */
static const struct dashscope_message *messages_now(struct chat *c, size_t *ret_count)
{
    if (c->system)
        c->messages[0].content = c->system;
    *ret_count = c->count - (c->system ? 0 : 1);
    return c->messages + (c->system ? 0 : 1);
}

/* ---- an answer ---- */

static void dim(struct chat *c, bool on)
{
    if (c->dimmed == on)
        return;
    c->dimmed = on;
    if (c->color)
        fputs(on ? "\033[2m" : "\033[0m", stdout);
    if (!on)
        fputs("\n\n", stdout); /* between the thinking and the answer */
}

static void show(struct chat *c, str text, bool is_reasoning)
{
    if (!text.len || c->json || (is_reasoning && !c->terminal))
        return;
    dim(c, is_reasoning);
    (void)fwrite(text.ptr, 1, text.len, stdout); /* a failure is seen at the end */
    (void)fflush(stdout);
}

/* What a piece brings: all of it, or of models that repeat themselves what is new. */
static str take_new(const struct chat *c, struct buf *all, const char *piece, size_t len)
{
    str text = str_of(piece, len);

    if (c->model && c->model->incremental == MODEL_INCREMENTAL_NEVER && str_starts(text, buf_str(all)))
        text = str_from(text, all->len);
    buf_add(all, text);
    return text;
}

static struct call *call_of(struct chat *c, int64_t index)
{
    struct arena *a = &c->client.arena;

    for (size_t i = 0; i < c->call_count; i++) {
        if (c->calls[i].index == index)
            return &c->calls[i];
    }
    c->calls = arena_realloc(a, c->calls, c->call_count * sizeof(*c->calls), (c->call_count + 1) * sizeof(*c->calls));
    c->calls[c->call_count] = (struct call){ .index = index };
    buf_init(&c->calls[c->call_count].arguments, a, SIZE_MAX / 2);
    return &c->calls[c->call_count++];
}

/* The library leaves calls of tools to who reads the chunks: pieces with the number of their call. */
static void take_calls(struct chat *c, str chunk)
{
    yyjson_val *root, *choice, *list, *call;
    size_t      i, n;

    if (str_find_str(chunk, S("\"tool_calls\"")) == STR_NONE)
        return;
    root = json_parse_copy(&c->client.arena, chunk);
    choice = yyjson_arr_get_first(json_get(json_get(root, "output"), "choices"));
    if (!choice)
        choice = yyjson_arr_get_first(json_get(root, "choices"));
    list = json_get(json_get(choice, "delta"), "tool_calls");
    if (!list)
        list = json_get(json_get(choice, "message"), "tool_calls");
    yyjson_arr_foreach(list, i, n, call)
    {
        yyjson_val  *function = json_get(call, "function");
        int64_t      index = (int64_t)i;
        struct call *one;

        (void)json_to_i64(json_get(call, "index"), &index); /* without one: by its place */
        one = call_of(c, index);
        if (json_str(json_get(function, "name")).len)
            one->name = arena_str(&c->client.arena, json_str(json_get(function, "name")));
        buf_add(&one->arguments, json_str(json_get(function, "arguments")));
    }
}

static void show_calls(struct chat *c)
{
    for (size_t i = 0; i < c->call_count; i++)
        printf("%.*s(%.*s)\n", STR_ARG(c->calls[i].name), STR_ARG(buf_str(&c->calls[i].arguments)));
}

static void json_calls(struct chat *c, struct buf *b)
{
    for (size_t i = 0; i < c->call_count; i++) {
        buf_add(b, i ? S(",{\"name\":") : S(",\"tool_calls\":[{\"name\":"));
        json_add_str(b, c->calls[i].name);
        buf_add(b, S(",\"arguments\":"));
        json_add_str(b, buf_str(&c->calls[i].arguments));
        buf_add(b, i + 1 < c->call_count ? S("}") : S("}]"));
    }
}

static void json_count(struct buf *b, const char *before, int64_t n)
{
    if (n >= 0)
        buf_addf(b, "%s%lld", before, (long long)n);
}

static void print_json(struct chat *c, const char *finish, const struct dashscope_usage *u, const char *request_id)
{
    struct buf b;

    buf_init(&b, &c->client.arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"model\":"));
    json_add_str(&b, str_from_cstr(c->question.model));
    buf_add(&b, S(",\"text\":"));
    json_add_str(&b, buf_str(&c->text));
    if (c->reasoning.len) {
        buf_add(&b, S(",\"reasoning\":"));
        json_add_str(&b, buf_str(&c->reasoning));
    }
    json_calls(c, &b);
    buf_add(&b, S(",\"finish_reason\":"));
    json_add_str(&b, str_from_cstr(finish));
    json_count(&b, ",\"usage\":{\"input_tokens\":", u->input_tokens);
    json_count(&b, ",\"output_tokens\":", u->output_tokens);
    json_count(&b, ",\"reasoning_tokens\":", u->reasoning_tokens);
    json_count(&b, ",\"total_tokens\":", u->total_tokens);
    buf_add(&b, u->input_tokens >= 0 ? S("}") : S(""));
    buf_add(&b, S(",\"request_id\":"));
    json_add_str(&b, str_from_cstr(request_id));
    buf_add_char(&b, '}');
    cli_print(&b);
}

/* The caller's parameters, and enable_thinking before them. */
static const char *parameters_of(struct chat *c, const char *given)
{
    str rest = str_trim(str_from_cstr(given));

    if (!c->thinking)
        return given;
    if (!rest.len)
        return "{\"enable_thinking\":true}";
    if (rest.ptr[0] != '{')
        return given; /* the library refuses it */
    rest = str_trim(str_from(rest, 1));
    return arena_printf(&c->client.arena, "{\"enable_thinking\":true%s%.*s", rest.len && rest.ptr[0] == '}' ? "" : ",",
                        STR_ARG(rest))
        .ptr;
}

static void model_set(struct chat *c, const char *name)
{
    c->question.model = name;
    c->model = model_find(str_from_cstr(name));
    c->question.multimodal =
        c->model && !model_on_path(c->model, MODEL_PATH_TEXT) && model_on_path(c->model, MODEL_PATH_MULTIMODAL);
}

static int answer(struct chat *c)
{
    struct dashscope_stream      *s;
    const struct dashscope_chunk *k;
    struct dashscope_usage        counts = { -1, -1, -1, -1, -1 };
    struct buf                    finish, id;
    enum dashscope_result         r;

    buf_init(&c->text, &c->client.arena, SIZE_MAX / 2);
    buf_init(&c->reasoning, &c->client.arena, SIZE_MAX / 2);
    buf_init(&finish, &c->client.arena, SIZE_MAX / 2);
    buf_init(&id, &c->client.arena, SIZE_MAX / 2);
    c->call_count = 0;
    c->question.messages = messages_now(c, &c->question.message_count);
    (void)cli_client_interrupted(); /* what came before is over */
    if (dashscope_chat_open(c->client.handle, &c->question, &s))
        return cli_client_failed(&c->client);
    while (!(r = dashscope_chat_next(s, &k))) {
        show(c, take_new(c, &c->reasoning, k->reasoning, k->reasoning_len), true);
        show(c, take_new(c, &c->text, k->text, k->text_len), false);
        take_calls(c, str_of(k->json, k->json_len));
        if (k->usage.input_tokens >= 0)
            counts = k->usage;
        if (k->finish_reason) {
            buf_reset(&finish);
            buf_add(&finish, str_from_cstr(k->finish_reason));
        }
        buf_reset(&id);
        buf_add(&id, str_from_cstr(k->request_id));
    }
    dim(c, false);
    dashscope_chat_close(s);
    if (!c->json && c->text.len && c->text.ptr[c->text.len - 1] != '\n')
        putchar('\n');
    if (!c->json)
        show_calls(c);
    if (r != DASHSCOPE_END)
        return cli_client_failed(&c->client);
    if (c->json)
        print_json(c, str_to_cstr(&c->client.arena, buf_str(&finish)), &counts,
                   str_to_cstr(&c->client.arena, buf_str(&id)));
    return CLI_DONE;
}

/* ---- one question ---- */

static int ask_once(struct chat *c)
{
    struct buf b;
    str        input;

    buf_init(&b, &c->client.arena, SIZE_MAX / 2);
    if (!c->client.word_count)
        c->client.words[c->client.word_count++] = "-";
    for (size_t i = 0; i < c->client.word_count; i++) {
        const char *word = c->client.words[i];

        buf_add(&b, i ? S(" ") : S(""));
        input = str_from_cstr(word);
        if (strcmp(word, "-") == 0 && !cli_client_read(&c->client, word, &input))
            return CLI_FAILED;
        buf_add(&b, strcmp(word, "-") == 0 ? str_trim(input) : input);
    }
    if (b.len)
        message_add(c, "user", buf_str(&b));
    else
        c->system = NULL; /* nothing is asked, and the library says so */
    cli_client_catch_interrupt(&c->client);
    return answer(c);
}

/* ---- a conversation ---- */

static void save(struct chat *c, const char *path)
{
    size_t                          count;
    const struct dashscope_message *m = messages_now(c, &count);
    struct buf                      b;
    FILE                           *f;
    bool                            good;

    buf_init(&b, &c->client.arena, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        buf_add(&b, i ? S(",\n {\"role\":") : S("[{\"role\":"));
        json_add_str(&b, str_from_cstr(m[i].role));
        buf_add(&b, S(",\"content\":"));
        json_add_str(&b, str_from_cstr(m[i].content));
        buf_add_char(&b, '}');
    }
    buf_add(&b, count ? S("]\n") : S("[]\n"));
    f = fopen(path, "w");
    good = f && fwrite(b.ptr, 1, b.len, f) == b.len;
    good = f && fclose(f) == 0 && good;
    if (good)
        printf("%zu messages in %s\n", count, path);
    else
        cli_client_complain(&c->client, 0, "%s: %s", path, strerror(errno));
}

/* A line that begins with "/". False to quit. */
static bool command(struct chat *c, str line)
{
    str name = str_cut(&line, ' '), rest = str_trim(line);

    if (str_eq(name, S("/quit")))
        return false;
    if (str_eq(name, S("/model"))) {
        if (rest.len)
            model_set(c, str_to_cstr(&c->client.arena, rest));
        printf("%s\n", c->question.model);
    } else if (str_eq(name, S("/system"))) {
        c->system = rest.len ? str_to_cstr(&c->client.arena, rest) : NULL;
    } else if (str_eq(name, S("/clear"))) {
        messages_clear(c);
    } else if (str_eq(name, S("/save")) && rest.len) {
        save(c, str_to_cstr(&c->client.arena, rest));
    } else {
        fputs(help, stdout);
    }
    return true;
}

/* A question that was not answered is forgotten; what of an answer came before it was stopped is kept. */
static void turn(struct chat *c, str line)
{
    size_t before = c->count;

    message_add(c, "user", line);
    (void)answer(c); /* it has said what was wrong; the conversation goes on */
    if (c->text.len)
        message_add(c, "assistant", buf_str(&c->text));
    else
        c->count = before;
}

/* A line, or several joined by a "\" at their ends. False at the end of the input. SIGINT is let through only while it waits, so that
   none comes unseen between the prompt and the waiting; a terminal gives whole lines, so getline() does not wait after it. */
static bool read_line(struct chat *c, str *ret)
{
    struct pollfd wait = { .fd = STDIN_FILENO, .events = POLLIN };
    sigset_t      interrupt, before;
    struct buf    b;
    char         *line = NULL;
    size_t        size = 0;
    ssize_t       n;

    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &before);
    (void)cli_client_interrupted(); /* what came before is over */
    buf_init(&b, &c->client.arena, SIZE_MAX / 2);
    for (;;) {
        fputs(b.len ? ". " : "> ", stdout);
        (void)fflush(stdout);
        if (ppoll(&wait, 1, NULL, &before) < 0 && cli_client_interrupted()) { /* Ctrl-C throws away what was typed */
            putchar('\n');
            buf_reset(&b);
            continue;
        }
        n = getline(&line, &size, stdin);
        if (n > 1 && line[n - 1] == '\n' && line[n - 2] == '\\') {
            buf_add_bytes(&b, line, (size_t)n - 2);
            buf_add_char(&b, '\n');
            continue;
        }
        if (n > 0)
            buf_add_bytes(&b, line, (size_t)n);
        break;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(line);
    *ret = str_trim(buf_str(&b));
    return n >= 0 || b.len;
}

static int converse(struct chat *c)
{
    str line;

    cli_client_catch_interrupt(&c->client);
    printf("%s, %s protocol; /help says more\n", c->question.model,
           c->question.protocol == DASHSCOPE_NATIVE ? "native" : "compatible");
    while (read_line(c, &line)) {
        if (line.len && line.ptr[0] == '/') {
            if (!command(c, line))
                return CLI_DONE;
        } else if (line.len) {
            turn(c, line);
        }
    }
    putchar('\n');
    return CLI_DONE;
}

static bool takes_color(void)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

    return !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

int cli_chat(int argc, char **argv)
{
    struct chat             c = { .question = { .model = "qwen-plus" } };
    const char             *model = "qwen-plus", *protocol = "native", *parameters = NULL;
    const struct cli_option options[] = {
        { "--model", &model, NULL },
        { "--system", &c.system, NULL },
        { "--protocol", &protocol, NULL },
        { "--parameters", &parameters, NULL },
        { "--thinking", NULL, &c.thinking },
        { "--json", NULL, &c.json },
        { "--no-stream", NULL, &c.question.whole },
    };
    int status;

    if (!cli_client_begin(&c.client, argc, argv, usage, options, ARRAY_LEN(options), &status))
        return status;
    if (strcmp(protocol, "compatible") == 0)
        c.question.protocol = DASHSCOPE_COMPATIBLE;
    else if (strcmp(protocol, "native") != 0)
        return cli_client_end(
            &c.client,
            cli_client_complain(&c.client, CLI_USAGE, "--protocol is native or compatible, not \"%s\"", protocol));
    model_set(&c, model);
    c.question.parameters = parameters_of(&c, parameters);
    c.terminal = isatty(STDOUT_FILENO);
    c.color = c.terminal && takes_color();
    messages_clear(&c);
    if (!c.client.word_count && c.terminal && isatty(STDIN_FILENO) && !c.json)
        return cli_client_end(&c.client, converse(&c));
    return cli_client_end(&c.client, ask_once(&c));
}
