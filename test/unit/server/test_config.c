/* test_config.c - the configuration file, and what it says of mistakes in it. */
#include "server/config.c"

#include "../base/check.h"

static struct config *config;
static char           path[64];

static int setup(void **state)
{
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "/tmp/dashbox-config-XXXXXX");
    fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    config = config_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config_free(config);
    unlink(path);
    return 0;
}

static enum err read_text(const char *text, str *ret_problem)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return config_read(config, path, ret_problem);
}

static void assert_good(const char *text)
{
    str problem = { 0 };

    if (read_text(text, &problem))
        fail_msg("refused: %.*s", STR_ARG(problem));
}

/* Refused, with these words behind the file's name. */
static void assert_bad(const char *text, const char *want)
{
    str problem = { 0 };

    assert_int_equal(read_text(text, &problem), ERR_INVALID);
    assert_true(str_starts(problem, str_from_cstr(path)));
    assert_str(str_from(problem, strlen(path)), want);
}

static void assert_not_finished(const char *want)
{
    str problem = { 0 };

    assert_int_equal(config_finish(config, &problem), ERR_INVALID);
    assert_str(problem, want);
}

/* With the file's name in front. */
static void assert_not_finished_at(const char *want)
{
    str problem = { 0 };

    assert_int_equal(config_finish(config, &problem), ERR_INVALID);
    assert_true(str_starts(problem, str_from_cstr(path)));
    assert_str(str_from(problem, strlen(path)), want);
}

/* ---- options ---- */

TEST(without_a_file_the_defaults_hold)
{
    str problem;

    assert_str(config->options.listen, "127.0.0.1:8420");
    assert_int_equal(config->options.time_head_ms, 10000);
    assert_int_equal(config->options.body_max, 6291456);
    assert_false(config->options.production);
    assert_true(config->options.cors);
    assert_int_equal(config_finish(config, &problem), OK);
    assert_int_equal(config->wording.wording, WORDING_REFERENCE);
    assert_int_equal(config->wording.edition, EDITION_CURRENT);
    assert_int_equal(config->file.len, 0);
}

TEST(an_empty_file_changes_nothing)
{
    static const char *const texts[] = { "",       "\n",   "# only a comment\n", "---\n", "~\n",
                                         "null\n", "{}\n", "--- {}\n...\n" };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_good(texts[i]);
        assert_str(config->options.listen, "127.0.0.1:8420");
    }
    assert_str(config->file, path);
}

TEST(options_of_all_types_are_read)
{
    str problem;

    assert_good("listen: 0.0.0.0:80\n"
                "workers: 3\n"
                "production: yes\n"
                "cors: off\n"
                "wording: wire\n"
                "edition: 2024\n"
                "body_max: 1m\n"
                "time:\n"
                "  head: 1500ms\n"
                "  idle: 2m\n"
                "tls: { certificate: /a, key: \"/b\" }\n"
                "log:\n"
                "  level: debug\n");
    assert_str(config->options.listen, "0.0.0.0:80");
    assert_int_equal(config->options.workers, 3);
    assert_true(config->options.production);
    assert_false(config->options.cors);
    assert_int_equal(config->options.body_max, 1 << 20);
    assert_int_equal(config->options.time_head_ms, 1500);
    assert_int_equal(config->options.time_idle_ms, 120000);
    assert_str(config->options.tls_certificate, "/a");
    assert_str(config->options.tls_key, "/b");
    assert_int_equal(config_finish(config, &problem), OK);
    assert_int_equal(config->wording.wording, WORDING_WIRE);
    assert_int_equal(config->wording.edition, EDITION_2024);
}

TEST(a_dotted_name_is_not_a_nested_one)
{
    /* One spelling in the file: nesting. The command line has the dots. */
    assert_good("time.head: 2s\n");
    assert_int_equal(config->options.time_head_ms, 2000);
}

TEST(times_and_sizes_have_units)
{
    static const struct {
        const char *text;
        int64_t     ms;
    } times_of[] = { { "100", 100 },   { "100ms", 100 },  { "10s", 10000 }, { "10S", 10000 },
                     { "2m", 120000 }, { "1h", 3600000 }, { "010s", 10000 } };
    static const struct {
        const char *text;
        int64_t     bytes;
    } sizes_of[] = { { "2048", 2048 },    { "2k", 2048 },    { "2KiB", 2048 },   { "3M", 3 << 20 },
                     { "3mib", 3 << 20 }, { "1g", 1 << 30 }, { "1GiB", 1 << 30 } };
    static const char *const bad[] = {
        "", "s", "1.5s", "-1s", "1 s", "10d", "10sec", "99999999999999999999s", "9223372036854775807h", "+1s", "0x10"
    };
    str problem;

    for (size_t i = 0; i < ARRAY_LEN(times_of); i++) {
        assert_int_equal(config_set(config, S("time.head"), str_from_cstr(times_of[i].text), &problem), OK);
        assert_int_equal(config->options.time_head_ms, times_of[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes_of); i++) {
        assert_int_equal(config_set(config, S("body_max"), str_from_cstr(sizes_of[i].text), &problem), OK);
        assert_int_equal(config->options.body_max, sizes_of[i].bytes);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (config_set(config, S("time.head"), str_from_cstr(bad[i]), &problem) != ERR_INVALID)
            fail_msg("\"%s\" is a time", bad[i]);
    }
    assert_int_equal(config->options.time_head_ms, 10000); /* the last good one */
}

TEST(the_command_line_says_what_is_wrong)
{
    str problem = { 0 };

    assert_int_equal(config_set(config, S("workers"), S("300"), &problem), ERR_INVALID);
    assert_str(problem, "workers: \"300\" is not between 0 and 256");
    assert_int_equal(config_set(config, S("workers"), S("many"), &problem), ERR_INVALID);
    assert_str(problem, "workers: \"many\" is not a number (with a unit, such as 10s or 6m, where that fits)");
    assert_int_equal(config_set(config, S("wording"), S("loud"), &problem), ERR_INVALID);
    assert_str(problem, "wording: \"loud\" is none of reference, wire");
    assert_int_equal(config_set(config, S("cors"), S("maybe"), &problem), ERR_INVALID);
    assert_str(problem, "cors: \"maybe\" is not true or false");
    assert_int_equal(config_set(config, S("corps"), S("x"), &problem), ERR_INVALID);
    assert_str(problem, "there is no option \"corps\"; did you mean \"cors\"?");
    assert_int_equal(config->options.workers, 0);
    assert_true(config->options.cors); /* as it was */
}

TEST(every_option_can_be_set_to_its_own_bounds)
{
    str problem;

    for (unsigned i = 0; i < option_count; i++) {
        const struct option *o = &option_rows[i];
        char                 text[32];

        switch (o->type) {
        case OPTION_TEXT:
        case OPTION_PATH:
        case OPTION_BOOL:
            assert_int_equal(config_set(config, o->name, S("true"), &problem), OK);
            break;
        case OPTION_CHOICE:
            assert_true(o->choice_count > 1);
            for (unsigned k = 0; k < o->choice_count; k++)
                assert_int_equal(config_set(config, o->name, o->choices[k], &problem), OK);
            break;
        case OPTION_INT:
        case OPTION_MS:
        case OPTION_BYTES:
            snprintf(text, sizeof(text), "%lld", (long long)o->min);
            assert_int_equal(config_set(config, o->name, str_from_cstr(text), &problem), OK);
            snprintf(text, sizeof(text), "%lld", (long long)o->max);
            assert_int_equal(config_set(config, o->name, str_from_cstr(text), &problem), OK);
            if (o->max < INT64_MAX) {
                snprintf(text, sizeof(text), "%lld", (long long)o->max + 1);
                assert_int_equal(config_set(config, o->name, str_from_cstr(text), &problem), ERR_INVALID);
            }
            break;
        }
    }
}

/* ---- mistakes, with their lines ---- */

TEST(an_unknown_name_is_refused_with_its_line_and_the_nearest_one)
{
    assert_bad("listen: 127.0.0.1:1\nlisten_on: x\n", ":2: unknown option \"listen_on\"; did you mean \"listen\"?");
    assert_bad("# c\n\n\nworker: 3\n", ":4: unknown option \"worker\"; did you mean \"workers\"?");
    assert_bad("time:\n  head: 1s\n  hed: 1s\n", ":3: unknown option \"time.hed\"; did you mean \"time.head\"?");
    assert_bad("engine:\n- name: x\n", ":1: unknown option \"engine\"; did you mean \"engines\"?");
    assert_bad("somethingelse: 1\n", ":1: unknown option \"somethingelse\"");
    assert_bad("time: 5\n", ":1: unknown option \"time\"");
    assert_bad("tls:\n  pem: x\n", ":2: unknown option \"tls.pem\"; did you mean \"tls.key\"?");
}

TEST(a_wrong_value_is_refused_with_its_line)
{
    assert_bad("cors: true\nworkers: several\n",
               ":2: workers is not a number (with a unit, such as 10s or 6m, where that fits)");
    assert_bad("workers: 257\n", ":1: workers is not between 0 and 256");
    assert_bad("workers: -1\n", ":1: workers is not between 0 and 256");
    assert_bad("workers: 1.5\n", ":1: workers is not a number (with a unit, such as 10s or 6m, where that fits)");
    assert_bad("cors: perhaps\n", ":1: cors is not true or false");
    assert_bad("edition: 1999\n", ":1: edition is none of current, 2024");
    assert_bad("workers: [1]\n", ":1: workers takes one value");
    assert_bad("workers: { a: 1 }\n", ":1: workers takes one value");
    assert_bad("- a\n- b\n", ":1: expected options with values");
    assert_bad("just text\n", ":1: expected options with values");
    assert_bad("a: { b: { c: { d: { e: { f: 1 } } } } }\n", ":1: expected options with values");
    assert_bad("? [a, b]\n: 1\n", ":1: unknown option \"\"");
}

TEST(what_is_not_yaml_is_refused_with_its_line)
{
    str problem = { 0 };

    assert_int_equal(read_text("listen: [\n\n", &problem), ERR_INVALID);
    assert_true(str_starts(str_from(problem, strlen(path)), S(":3: ")));
    assert_int_equal(read_text("a: b: c\n", &problem), ERR_INVALID);
    assert_int_equal(read_text("\tlisten: x\n", &problem), ERR_INVALID);
    assert_int_equal(read_text("a: *nobody\n", &problem), ERR_INVALID);
    assert_int_equal(read_text("a: \xFF\n", &problem), ERR_INVALID);
    assert_true(problem.len > strlen(path));
    assert_int_equal(config_read(config, "/nonexistent/dashbox.yaml", &problem), ERR_NOT_FOUND);
    assert_str(problem, "/nonexistent/dashbox.yaml: No such file or directory");
}

TEST(aliases_do_not_lead_in_circles)
{
    assert_bad("a: &x { b: *x }\n", ":1: expected options with values");
    assert_good("log: &l { level: warn }\n");
}

/* ---- lists ---- */

TEST(engines_are_read)
{
    const struct config_engine *e;

    assert_good("engines:\n"
                "- name: local\n"
                "  upstream: http://127.0.0.1:8000/v1\n"
                "- name: pool\n"
                "  upstream:\n"
                "  - http://a/v1\n"
                "  - { url: http://b/v1, api_key: b-key, weight: 3 }\n"
                "  api_key: common\n"
                "  models: { qwen-plus: Qwen/Qwen3, 'qwen3-*': big }\n"
                "  headers:\n"
                "    X-Team: blue\n"
                "  cloud: true\n"
                "  first_timeout: 90s\n"
                "  retries: 2\n"
                "  fallback: llama\n"
                "- name: llama\n"
                "  command: llama-server -m {model} --port {port}\n"
                "  model_file: /m.gguf\n"
                "  lazy: true\n");
    assert_int_equal(config->engine_count, 3);
    e = &config->engines[0];
    assert_str(e->name, "local");
    assert_int_equal(e->endpoint_count, 1);
    assert_str(e->endpoints[0].url, "http://127.0.0.1:8000/v1");
    assert_int_equal(e->endpoints[0].api_key.len, 0);
    assert_int_equal(e->retries, 1); /* unless said otherwise */
    e = &config->engines[1];
    assert_int_equal(e->endpoint_count, 2);
    assert_str(e->endpoints[0].api_key, "common");
    assert_str(e->endpoints[1].url, "http://b/v1");
    assert_str(e->endpoints[1].api_key, "b-key");
    assert_int_equal(e->endpoints[1].weight, 3);
    assert_int_equal(e->model_count, 2);
    assert_str(e->models[1].from, "qwen3-*");
    assert_str(e->models[1].to, "big");
    assert_int_equal(e->header_count, 1);
    assert_str(e->headers[0].from, "X-Team");
    assert_true(e->cloud);
    assert_int_equal(e->first_ms, 90000);
    assert_int_equal(e->retries, 2);
    assert_str(e->fallback, "llama");
    e = &config->engines[2];
    assert_str(e->command, "llama-server -m {model} --port {port}");
    assert_str(e->model_file, "/m.gguf");
    assert_true(e->lazy);
}

TEST(an_engines_key_counts_wherever_it_stands)
{
    assert_good(
        "engines:\n- api_key: first\n  name: a\n  upstream: [http://a/v1, { url: http://b/v1, api_key: own }]\n");
    assert_str(config->engines[0].endpoints[0].api_key, "first");
    assert_str(config->engines[0].endpoints[1].api_key, "own");
}

TEST(an_engines_key_may_come_from_the_environment)
{
    setenv("DASHBOX_TEST_KEY", "sk-secret", 1);
    unsetenv("DASHBOX_TEST_NO_KEY");
    assert_good("engines:\n- name: a\n  upstream: http://a/v1\n  api_key: ${DASHBOX_TEST_KEY}\n");
    assert_str(config->engines[0].endpoints[0].api_key, "sk-secret");
    assert_good("engines:\n- name: a\n  upstream: http://a/v1\n  api_key: ${DASHBOX_TEST_NO_KEY}\n");
    assert_not_finished_at(":4: the environment has no DASHBOX_TEST_NO_KEY");
}

TEST(a_key_from_the_environment_has_a_name)
{
    assert_good("engines:\n- name: a\n  upstream: http://a/v1\n  api_key: ${}\n");
    assert_not_finished_at(":4: the environment has no ");
}

TEST(an_endpoints_key_may_come_from_the_environment_too)
{
    setenv("DASHBOX_TEST_KEY", "sk-secret", 1);
    assert_good("engines:\n- name: a\n  upstream: [{ url: http://a/v1, api_key: '${DASHBOX_TEST_KEY}' }]\n");
    assert_str(config->engines[0].endpoints[0].api_key, "sk-secret");
}

TEST(a_command_is_cut_into_words)
{
    const struct config_engine *e;

    assert_good("engines:\n- name: a\n  command: \" run  'a b' --x=\\\"c d\\\" '' {port} \"\n");
    e = &config->engines[0];
    assert_int_equal(e->word_count, 5);
    assert_str(e->words[0], "run");
    assert_str(e->words[1], "a b");
    assert_str(e->words[2], "--x=c d");
    assert_str(e->words[3], "");
    assert_str(e->words[4], "{port}");
}

TEST(what_a_reload_cannot_change_is_told_apart)
{
    struct options other;
    struct arena   a;
    unsigned       until_restart = 0, differ = 0;

    arena_init(&a, 0);
    options_copy(&a, &other, &config->options);
    for (unsigned i = 0; i < option_count; i++)
        assert_true(option_equal(&option_rows[i], &other, &config->options));
    assert_good("listen: 127.0.0.1:1\nworkers: 7\ntime: { idle: 3s }\ncors: false\nwording: wire\n");
    for (unsigned i = 0; i < option_count; i++) {
        differ += !option_equal(&option_rows[i], &other, &config->options);
        until_restart += option_rows[i].until_restart && !option_equal(&option_rows[i], &other, &config->options);
    }
    assert_int_equal(differ, 5);
    assert_int_equal(until_restart, 2);
    arena_free(&a);
}

TEST(a_key_that_no_header_can_carry_is_refused)
{
    config_add_key(config, S("has space"));
    assert_not_finished("an API key is printable ASCII without blanks, and not empty");
    config->api_key_count = 0;
    config_add_key(config, S(""));
    assert_not_finished("an API key is printable ASCII without blanks, and not empty");
}

TEST(a_folder_is_no_configuration)
{
    str problem = { 0 };

    assert_int_equal(config_read(config, "/tmp", &problem), ERR_INVALID);
    assert_str(problem, "/tmp: Is a directory");
}

TEST(mistakes_in_engines_are_refused_with_their_line)
{
    assert_bad("engines: x\n", ":1: engines is a list");
    assert_bad("engines:\n- x\n", ":2: expected names with values");
    assert_bad("engines:\n- upstream: http://a\n", ":2: an engine needs a name, and \"standin\" is taken");
    assert_bad("engines:\n- name: standin\n  upstream: http://a\n",
               ":2: an engine needs a name, and \"standin\" is taken");
    assert_bad("engines:\n- name: a\n",
               ":2: engine a needs an upstream (a server's URL) or a command (a child to start)");
    assert_bad("engines:\n- name: a\n  upstream: []\n", ":3: upstream is empty");
    assert_bad("engines:\n- name: a\n  upstream: ''\n", ":3: an upstream's URL is empty");
    assert_bad("engines:\n- name: a\n  command: ' '\n", ":3: command is empty");
    assert_bad("engines:\n- name: a\n  command: [run]\n", ":3: \"command\" takes one value");
    assert_bad("engines:\n- name: a\n  upstream: http://a\n  command: b\n",
               ":2: engine a has both an upstream and a command; one of them is to go");
    assert_bad("engines:\n- name: a\n  upsteam: http://a\n",
               ":3: unknown name \"upsteam\"; did you mean \"upstream\"?");
    assert_bad("engines:\n- name: a\n  upstream: { url: x }\n", ":3: upstream is a URL or a list of them");
    assert_bad("engines:\n- name: a\n  upstream:\n  - weight: 1\n", ":4: an endpoint needs a url");
    assert_bad("engines:\n- name: a\n  upstream: http://a\n  retries: many\n", ":4: \"retries\" is not a whole number");
    assert_bad("engines:\n- name: a\n  upstream: http://a\n  retries: -1\n", ":4: \"retries\" is not between 0 and 63");
    assert_bad("engines:\n- name: a\n  upstream: [{ url: http://a, weight: 0 }]\n",
               ":3: \"weight\" is not between 1 and 1000");
    assert_bad("engines:\n- { name: a, upstream: http://a }\n- { name: a, upstream: http://b }\n",
               ":3: there is another engine a");
    assert_bad("engines:\n- name: a\n  command: run 'x {port}\n", ":2: engine a: a quote in its command has no end");
    assert_bad("engines:\n- name: a\n  upstream: http://a\n  lazy: 2\n", ":4: \"lazy\" is not true or false");
    assert_bad("engines:\n- name: a\n  upstream: http://a\n  first_timeout: soon\n",
               ":4: \"first_timeout\" is not a time such as 500ms or 10s");
    assert_bad("engines:\n- name: a\n  upstream: http://a\n  models: [b]\n", ":4: expected names with values");
    assert_bad("engines:\n- name: a\n  upstream: http://a\n  models: { b: [c] }\n", ":4: expected one value");
    assert_bad("engines:\n- name: [a]\n  upstream: http://a\n", ":2: \"name\" takes one value");
}

TEST(what_no_engine_can_be_opened_with_is_refused_with_its_line)
{
    char   text[4096];
    size_t len = (size_t)snprintf(text, sizeof(text), "engines:\n- name: a\n  upstream: [http://a");

    assert_bad("engines:\n- { name: a, command: run }\n",
               ":2: engine a: its command must say where it listens, with {port} or with {socket}");
    assert_bad("engines:\n- name: a\n  command: run {port} {socket}\n",
               ":2: engine a: its command must say where it listens, with {port} or with {socket}");
    assert_bad("engines:\n- name: a\n  upstream: http://a\n  health_path: \"/a\\n\"\n",
               ":2: engine a: headers, keys and paths have no line breaks");
    assert_bad("engines:\n- name: a\n  upstream: http://a\n  headers: { x: \"a\\rb\" }\n",
               ":2: engine a: headers, keys and paths have no line breaks");
    assert_bad("engines:\n- name: a\n  upstream: http://a\n  api_key: \"a\\nb\"\n",
               ":2: engine a: headers, keys and paths have no line breaks");
    for (int i = 0; i < UPSTREAM_ENDPOINTS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ", http://a");
    snprintf(text + len, sizeof(text) - len, "]\n");
    assert_bad(text, ":2: engine a has too many upstreams");
}

TEST(routes_keep_their_order_and_name_engines_that_are_there)
{
    assert_good(
        "engines:\n- name: big\n  upstream: http://a/v1\nroute:\n  qwen-max: big\n  'qwen3-*': standin\n  '*': big\n");
    assert_int_equal(config->route_count, 3);
    assert_str(config->routes[0].model, "qwen-max");
    assert_str(config->routes[1].engine, "standin");
    assert_str(config->routes[2].model, "*");
    assert_bad("cors: true\nroute:\n  a: nobody\n", ":3: route a: there is no engine \"nobody\"");
    assert_bad("route: { a: bg }\nengines:\n- name: big\n  upstream: http://a/v1\n",
               ":1: route a: there is no engine \"bg\"; did you mean \"big\"?");
}

TEST(a_fallback_is_an_engine_that_is_there)
{
    assert_bad("engines:\n- name: a\n  upstream: http://a/v1\n  fallback: b\n",
               ":4: engine a: there is no engine \"b\" behind it to fall back to");
    assert_bad("engines:\n- name: a\n  upstream: http://a/v1\n  fallback: stadnin\n",
               ":4: engine a: there is no engine \"stadnin\" behind it to fall back to; did you mean \"standin\"?");
}

TEST(what_an_engine_cannot_use_is_refused)
{
    assert_bad("engines:\n- name: a\n  upstream: http://a/v1\n  lazy: true\n",
               ":2: engine a: lazy, model_file, ready_timeout and wait_timeout are of a command");
    assert_bad("engines:\n- name: a\n  command: run {model} {port}\n",
               ":2: engine a: {model} in its command and model_file go together");
    assert_bad("engines:\n- name: a\n  command: run {port}\n  model_file: /m\n",
               ":2: engine a: {model} in its command and model_file go together");
    assert_bad("engines:\n- name: a\n  upstream: localhost:8000\n",
               ":3: \"localhost:8000\" is no URL such as http://127.0.0.1:8000/v1 or unix:/run/x.sock:/v1");
    assert_bad("engines:\n- name: a\n  upstream:\n  - http://a/v1\n  - { weight: 2, url: 'ftp://x' }\n",
               ":5: \"ftp://x\" is no URL such as http://127.0.0.1:8000/v1 or unix:/run/x.sock:/v1");
}

TEST(a_name_that_stands_twice_is_refused)
{
    assert_bad("cors: true\nlisten: 127.0.0.1:1\ncors: false\n", ":3: \"cors\" stands here a second time");
    assert_bad("time: { head: 1s, head: 2s }\n", ":1: \"head\" stands here a second time");
    assert_bad("engines:\n- name: a\n  upstream: http://a/v1\n  name: b\n", ":4: \"name\" stands here a second time");
    assert_bad("route:\n  a: standin\n  a: standin\n", ":3: \"a\" stands here a second time");
}

TEST(a_file_is_utf_8)
{
    FILE *f = fopen(path, "w");
    str   problem = { 0 };

    assert_non_null(f);
    fwrite("\xff\xfe"
           "c\0o\0r\0s\0:\0 \0y\0e\0s\0",
           1, 20, f); /* UTF-16 with its mark */
    fclose(f);
    assert_int_equal(config_read(config, path, &problem), ERR_INVALID);
    assert_bad("cors: true\n\nhelp_base: caf\xe9 au lait\n", ":3: invalid trailing UTF-8 octet");
    assert_good("\xef\xbb\xbf"
                "cors: false\n"); /* a mark of UTF-8 */
    assert_false(config->options.cors);
}

TEST(paths_of_the_file_are_relative_to_its_folder)
{
    str problem;

    assert_good("scenario: s.yaml\ndata: sub/d\ntokenizer: /t\nlog: { file: ~/l }\nlisten: here:1\n"
                "engines:\n- name: a\n  command: run {model} {port}\n  model_file: m.gguf\n");
    assert_int_equal(config_set(config, S("tls.key"), S("k"), &problem), OK); /* on the command line */
    assert_int_equal(config_set(config, S("tls.certificate"), S("c"), &problem), OK);
    setenv("HOME", "/home/somebody", 1);
    assert_int_equal(config_finish(config, &problem), OK);
    assert_str(config->options.scenario, "/tmp/s.yaml");
    assert_str(config->options.data, "/tmp/sub/d");
    assert_str(config->options.tokenizer, "/t");
    assert_str(config->options.log_file, "/home/somebody/l");
    assert_str(config->options.listen, "here:1");
    assert_str(config->options.tls_key, "k");
    assert_str(config->engines[0].model_file, "/tmp/m.gguf");
}

TEST(models_and_keys_are_read)
{
    assert_good("models:\n- { id: mine, like: qwen-plus, limits: { context: 1000, output: 10 } }\n"
                "api_keys: [sk-1, 'sk-2']\n");
    assert_int_equal(config->model_count, 1);
    assert_str(config->models[0].id, "mine");
    assert_str(config->models[0].like, "qwen-plus");
    assert_int_equal(config->models[0].context, 1000);
    assert_int_equal(config->models[0].input, 0);
    assert_int_equal(config->models[0].output, 10);
    assert_int_equal(config->api_key_count, 2);
    assert_str(config->api_keys[1], "sk-2");
    config_add_key(config, S("sk-3"));
    assert_int_equal(config->api_key_count, 3);
    assert_str(config->api_keys[0], "sk-1");
    assert_str(config->api_keys[2], "sk-3");
    assert_bad("models:\n- id: mine\n  like: qwen-pluss\n",
               ":3: there is no model \"qwen-pluss\"; did you mean \"qwen-plus\"?");
    assert_bad("models:\n- id: mine\n  like: qwen-plus\n  limits: { contxt: 1 }\n",
               ":4: unknown name \"contxt\"; did you mean \"context\"?");
    assert_bad("models:\n- id: mine\n  like: qwen-plus\n  limits: { output: many }\n",
               ":4: \"output\" is not a whole number");
    assert_bad("models:\n- id: my model\n  like: qwen-plus\n", ":2: the id of a model has no blanks: \"my model\"");
    assert_bad("models:\n- id: mine\n", ":2: a model needs an id and a known model that it is like");
    assert_bad("api_keys: sk-1\n", ":1: api_keys is a list");
    assert_bad("api_keys:\n- sk-1\n- ''\n", ":3: a key is a text");
    assert_bad("api_keys:\n- sk-1\n- sk 2\n", ":3: an API key is printable ASCII without blanks, and not empty");
    assert_good("api_keys:\nengines: ~\n");
}

/* ---- after all has been read ---- */

TEST(a_certificate_and_its_key_go_together)
{
    assert_good("tls: { key: /k }\n");
    assert_not_finished("tls.certificate and tls.key go together");
}

TEST(production_has_no_scenario)
{
    assert_good("production: true\nscenario: x.yaml\n");
    assert_not_finished("a scenario file is refused with --production");
}

TEST(production_has_no_replay_but_may_record)
{
    str problem = { 0 };

    assert_good("replay: /nowhere\n");
    assert_not_finished("replay: the folder /nowhere cannot be read");
    assert_good("record: x\n"); /* read over what is there */
    assert_not_finished("record and replay exclude each other");
    assert_good("production: true\n");
    assert_not_finished("replay is refused with --production: its clients expect answers, not recordings");
    assert_good("replay: ''\n");
    assert_int_equal(config_finish(config, &problem), OK);
}

TEST(a_replayed_engine_needs_neither_its_key_nor_its_child)
{
    str problem = { 0 };

    unsetenv("DASHBOX_TEST_NO_KEY");
    assert_good(
        "replay: /nowhere\nengines:\n- { name: a, upstream: http://a/v1, api_key: '${DASHBOX_TEST_NO_KEY}', health_path: /h }\n"
        "- { name: b, command: 'b {port}' }\nroute: { x: a, y: b }\n");
    assert_int_equal(config_finish(config, &problem), OK);
    assert_int_equal(config->engine_count, 2);
    assert_int_equal(config->route_count, 2);
    assert_str(config->engines[0].endpoints[0].url, "http://a/v1");
    assert_int_equal(config->engines[0].health_path.len, 0);
    assert_int_equal(config->engines[1].command.len, 0);
    assert_int_equal(config->engines[1].endpoint_count, 1);
}

static void put(const char *folder, const char *name, const char *text)
{
    char  file[256];
    FILE *f;

    snprintf(file, sizeof(file), "%s/%s", folder, name);
    f = fopen(file, "w");
    fputs(text, f);
    fclose(f);
}

#define RECORDING(engine, more, model, theirs)                                                                     \
    "version: 1\nengine: " engine "\n" more "model: " model "\nrequest: { body: '{\"model\": \"" theirs "\"}' }\n" \
    "answer: { status: 200 }\n"

TEST(without_engines_they_are_those_of_the_recordings)
{
    char folder[] = "/tmp/dashbox-config-XXXXXX", text[64], file[64];
    str  problem = { 0 };

    assert_non_null(mkdtemp(folder));
    put(folder, "a-00000000-00000000.yaml", RECORDING("cloud", "cloud: true\n", "qwen-plus", "qwen-plus"));
    put(folder, "b-00000000-00000000.yaml", RECORDING("local", "", "qwen-flash", "theirs"));
    put(folder, "c-00000000-00000000.yaml", RECORDING("local", "", "qwen-max", "their-max"));
    put(folder, "c-00000000-00000000.2.yaml", "a take is not looked at");
    snprintf(text, sizeof(text), "replay: %s\n", folder);
    assert_good(text);
    assert_int_equal(config_finish(config, &problem), OK);
    assert_int_equal(config->engine_count, 2);
    assert_str(config->engines[0].name, "cloud");
    assert_true(config->engines[0].cloud);
    assert_str(config->engines[1].name, "local");
    assert_false(config->engines[1].cloud);
    assert_int_equal(config->engines[1].model_count, 2);
    assert_str(config->engines[1].models[1].from, "qwen-max");
    assert_str(config->engines[1].models[1].to, "their-max");
    assert_int_equal(config->route_count, 4);
    assert_str(config->routes[1].model, "qwen-flash");
    assert_str(config->routes[1].engine, "local");
    assert_str(config->routes[3].model, "*");
    assert_str(config->routes[3].engine, "cloud");
    for (const char *name = "abc"; *name; name++) {
        snprintf(file, sizeof(file), "%s/%c-00000000-00000000.yaml", folder, *name);
        assert_int_equal(unlink(file), 0);
    }
    snprintf(file, sizeof(file), "%s/c-00000000-00000000.2.yaml", folder);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(folder), 0);
}

TEST(a_tilde_is_the_home_of_whoever_runs_it)
{
    str problem;

    setenv("HOME", "/home/somebody", 1);
    assert_good("data: ~/data\nscenario: '/~other/x'\ntokenizer: /a/~/b\nlog: { file: ~/log }\n");
    assert_int_equal(config_finish(config, &problem), OK);
    assert_str(config->options.data, "/home/somebody/data");
    assert_str(config->options.log_file, "/home/somebody/log");
    assert_str(config->options.scenario, "/~other/x");
    assert_str(config->options.tokenizer, "/a/~/b");
}

TEST(patterns_match_with_stars)
{
    static const struct {
        const char *pattern, *text;
        bool        fits;
    } cases[] = {
        { "qwen-plus", "qwen-plus", true },
        { "qwen-plus", "qwen-plus2", false },
        { "qwen-plus", "qwen-plu", false },
        { "*", "", true },
        { "*", "anything", true },
        { "", "", true },
        { "", "a", false },
        { "qwen3-*", "qwen3-", true },
        { "qwen3-*", "qwen3-8b", true },
        { "qwen3-*", "qwen3", false },
        { "*-turbo", "qwen-turbo", true },
        { "*-turbo", "qwen-turbo-x", false },
        { "q*n*s", "qwen-plus", true },
        { "q*n*s", "qwen-plug", false },
        { "a*a*a", "aa", false },
        { "a*a*a", "aaa", true },
        { "**", "x", true },
        { "a**b", "ab", true },
        { "*ab", "aab", true },
        { "*aab", "aaaab", true },
        { "Qwen*", "qwen", false },
        { "a*b*c*d", "a-b-b-c-c-d-d", true },
        { "a*b*c*d", "a-b-b-c-c-d-e", false },
        { "?", "a", false },
    };
    char many[300], stars[200];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (str_glob(str_from_cstr(cases[i].pattern), str_from_cstr(cases[i].text)) != cases[i].fits)
            fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].text);
    }
    /* No pattern takes for ever. */
    memset(many, 'a', sizeof(many));
    for (size_t i = 0; i < sizeof(stars); i++)
        stars[i] = i & 1 ? 'a' : '*';
    stars[sizeof(stars) - 1] = 'b';
    assert_false(str_glob(str_of(stars, sizeof(stars)), str_of(many, sizeof(many))));
}

#define config_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        config_test(without_a_file_the_defaults_hold),
        config_test(an_empty_file_changes_nothing),
        config_test(options_of_all_types_are_read),
        config_test(a_dotted_name_is_not_a_nested_one),
        config_test(times_and_sizes_have_units),
        config_test(the_command_line_says_what_is_wrong),
        config_test(every_option_can_be_set_to_its_own_bounds),
        config_test(an_unknown_name_is_refused_with_its_line_and_the_nearest_one),
        config_test(a_wrong_value_is_refused_with_its_line),
        config_test(what_is_not_yaml_is_refused_with_its_line),
        config_test(aliases_do_not_lead_in_circles),
        config_test(engines_are_read),
        config_test(an_engines_key_counts_wherever_it_stands),
        config_test(an_engines_key_may_come_from_the_environment),
        config_test(a_key_from_the_environment_has_a_name),
        config_test(an_endpoints_key_may_come_from_the_environment_too),
        config_test(a_command_is_cut_into_words),
        config_test(what_a_reload_cannot_change_is_told_apart),
        config_test(a_key_that_no_header_can_carry_is_refused),
        config_test(a_folder_is_no_configuration),
        config_test(mistakes_in_engines_are_refused_with_their_line),
        config_test(what_no_engine_can_be_opened_with_is_refused_with_its_line),
        config_test(routes_keep_their_order_and_name_engines_that_are_there),
        config_test(a_fallback_is_an_engine_that_is_there),
        config_test(what_an_engine_cannot_use_is_refused),
        config_test(a_name_that_stands_twice_is_refused),
        config_test(a_file_is_utf_8),
        config_test(paths_of_the_file_are_relative_to_its_folder),
        config_test(models_and_keys_are_read),
        config_test(a_certificate_and_its_key_go_together),
        config_test(production_has_no_scenario),
        config_test(production_has_no_replay_but_may_record),
        config_test(a_replayed_engine_needs_neither_its_key_nor_its_child),
        config_test(without_engines_they_are_those_of_the_recordings),
        config_test(a_tilde_is_the_home_of_whoever_runs_it),
        config_test(patterns_match_with_stars),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
