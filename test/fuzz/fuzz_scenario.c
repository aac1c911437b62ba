/* fuzz_scenario.c - any bytes as a scenario: they are refused with a line, or loaded, matched and filled in. */
#include "contract/catalog.h"
#include "engine/standin/scenario.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static str header_of(void *arg, str name)
{
    (void)arg;
    return name;
}

static void answer_read(struct arena *a, const struct scenario_hit *hit, const struct scenario_question *q)
{
    const struct scenario_answer *answer = hit->answer;

    (void)scenario_fill(a, &answer->text, false, q, hit->call);
    (void)scenario_fill(a, &answer->reasoning, false, q, hit->call);
    for (size_t i = 0; i < answer->call_count; i++)
        (void)scenario_fill(a, &answer->calls[i].arguments, answer->calls[i].is_json, q, hit->call);
    if (answer->error.given)
        ASSERT(answer->error.row ? answer->error.arg_count == answer->error.row->arg_count
                                 : answer->error.foreign.status >= 400);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct scenario_options options = { .error_find = error_find };
    static const struct chat_tool        tools[] = { { .name = { "get_weather", 11 } } };
    struct scenario_question             q = { .model = S("qwen-plus"),
                                               .message = S("What is the weather in \"Paris\"?\n"),
                                               .system = S("You are terse."),
                                               .tool_result = S("ok"),
                                               .tools = tools,
                                               .tool_count = 1,
                                               .header = header_of };
    struct arena                         arena;
    struct scenario                     *s = NULL;
    str                                  why = S("");

    arena_init(&arena, 0);
    if (scenario_parse(&arena, S("s.yaml"), str_of((const char *)data, size), &options, &s, &why)) {
        ASSERT(str_starts(why, S("s.yaml:")));
    } else {
        for (int i = 0; i < 6; i++) {
            struct scenario_hit hit;

            q.stream = i & 1;
            q.has_tool_result = i & 2;
            if (scenario_match(s, &q, &hit))
                answer_read(&arena, &hit, &q);
        }
    }
    arena_free(&arena);
    return 0;
}
