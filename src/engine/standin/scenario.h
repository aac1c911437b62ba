/* scenario.h - the stand-in's script: which question gets which answer.
 *
 * A YAML file, read whole and checked whole when the server starts or reloads; doc/scenarios.md describes it for
 * people. In short:
 *
 *   rules:                          # tried in order, the first that matches answers
 *     - name: weather               # for the log
 *       match:                      # all that is given must hold; nothing given matches all
 *         model: qwen-*             # * and ?; or a list of such
 *         message: { contains: weather }  # the last user message; "text" exactly, "~ regex", "~* regex in any case",
 *                                         # or { exact: | contains: | regex: | glob: }
 *         system: …                 # the system text, written the same way
 *         tool_result: …            # the last message is a tool's result, with this text
 *         tools: [get_weather]      # all of these are offered; [] for "none is"
 *         headers: { x-test: "a*" }
 *         call: 2-3                 # the second and third time that the rest of the match holds; also 1 and 4-
 *         stream: true
 *       answer:                     # or answers: [ …, … ], used in turn
 *         text: "You said {{message}}."   # {{message}} {{model}} {{call}} {{tool_result}}
 *         search: [{ title: …, url: …, site_name: …, icon: … }]  # when enable_search is on
 *         query: …                  # what was searched for; else the user's last words
 *         images: [{ title: …, url: … }]  # pictures between the texts, with enable_text_image_mixed
 *         found: [{ tool: weather, result: … }]  # the same, with enable_search_extension
 *         code: [{ code: print(1), output: "1" }]  # what the code interpreter ran, when it is on; or print(1)
 *         reasoning: …
 *         audio: UklGRg==           # Base64 of 16 bit PCM at 24 kHz, for requests that ask for speech
 *         tool_calls: [{ name: get_weather, arguments: { city: Paris } }]
 *         finish_reason: stop
 *         usage: { prompt_tokens: 1, completion_tokens: 2 }
 *         error: E219               # or { name:, args:, after_tokens: } or { status:, code:, type:, message:, … }
 *         first_token: 200ms
 *         between_tokens: 1.5s
 *
 * What an answer leaves out comes from the stand-in's fixed rules.
 *
 * Thread: after scenario_parse() the only thing that changes is a counter a rule, which is atomic; share it freely.
 * Memory: all of it in the arena given, which must outlive the requests that are being answered from it.
 * Limits: SCENARIO_SIZE_MAX bytes; aliases are followed, but no more than SCENARIO_NODES_MAX nodes are looked at and
 *         values nest at most SCENARIO_DEPTH_MAX deep, so a file of aliases of aliases is refused. Loading needs half
 *         a MiB of stack: not on a fiber. Matching is for fibers; a regex sees the first SCENARIO_REGEX_TEXT_MAX bytes.
 */
#ifndef DASHBOX_ENGINE_STANDIN_SCENARIO_H
#define DASHBOX_ENGINE_STANDIN_SCENARIO_H

#include "base/arena.h"
#include "contract/chat.h"
#include "contract/fault.h"

#define SCENARIO_SIZE_MAX       ((size_t)4 * 1024 * 1024)
#define SCENARIO_NODES_MAX      200000
#define SCENARIO_TEXT_MAX       ((size_t)32 * 1024 * 1024) /* bytes of all texts, counting what aliases repeat */
#define SCENARIO_DEPTH_MAX      32
#define SCENARIO_REGEX_TEXT_MAX ((size_t)16 * 1024)
#define SCENARIO_FILLED_MAX     ((size_t)1024 * 1024) /* bytes of a text after its placeholders are filled in */

struct error_row;
struct scenario;

struct scenario_options {
    /* The row of the catalogue by its name or E-number, NULL when there is none. May be NULL: then no error has a
     * name. */
    const struct error_row *(*error_find)(str name);
};

/* A text of the file, perhaps with placeholders. */
struct scenario_text {
    str  raw;
    bool given, has_holes;
};

struct scenario_call {
    str                  name, id; /* id empty: made up */
    struct scenario_text arguments;
    bool                 is_json; /* arguments are JSON: what is filled in is escaped */
};

struct scenario_error {
    bool                    given;
    const struct error_row *row; /* NULL: `foreign` */
    struct fault_arg        args[FAULT_ARGS_MAX];
    unsigned                arg_count;
    struct fault_foreign    foreign;
    int64_t                 after_tokens; /* 0: instead of an answer */
};

struct scenario_answer {
    struct scenario_text text, reasoning, audio,
        query;                     /* audio: Base64 of PCM, given when the request asks for speech */
    struct chat_source   *sources; /* numbered from 1 */
    size_t                source_count;
    struct chat_found    *found;
    size_t                found_count;
    struct chat_source   *images; /* of which title and url are given */
    size_t                image_count;
    struct chat_code     *code;
    size_t                code_count;
    struct scenario_call *calls;
    size_t                call_count;
    enum chat_finish      finish; /* CHAT_FINISH_NONE when not given */
    bool                  has_usage;
    struct chat_usage     usage; /* -1 where not given */
    struct scenario_error error;
    int64_t               first_token_us, between_tokens_us;
};

/* What the rules look at. */
struct scenario_question {
    str                     model, message, system, tool_result;
    bool                    has_tool_result;
    const struct chat_tool *tools;
    size_t                  tool_count;
    bool                    stream;
    str (*header)(void *arg, str name); /* a request header, empty when absent; NULL: there are none */
    void *header_arg;
};

struct scenario_hit {
    const struct scenario_answer *answer;
    str                           rule; /* its name, or "rule 3" */
    int64_t                       call; /* the how-manieth time, from 1 */
};

/* Reads and checks a scenario. On ERR_INVALID, *why is a line for the operator:
 * `scenario.yaml:12: unknown key "mesage" in match; did you mean "message"?` */
enum err scenario_parse(struct arena *a, str name, str yaml, const struct scenario_options *o, struct scenario **ret,
                        str *why);

/* The same for a file; ERR_IO or ERR_LIMIT, and why, when it cannot be read. */
enum err scenario_load(struct arena *a, const char *path, const struct scenario_options *o, struct scenario **ret,
                       str *why);

/* Calls are counted from 1 again. */
void scenario_reset(struct scenario *s);

/* The first rule that matches; counts the call. False when none does. */
bool scenario_match(struct scenario *s, const struct scenario_question *q, struct scenario_hit *ret);

/* The text with its placeholders filled in; a view of the file when it has none. */
str scenario_fill(struct arena *a, const struct scenario_text *t, bool is_json, const struct scenario_question *q,
                  int64_t call);

#endif
