/* special.c - answers in place of models that do not simply talk. */
#include "engine/standin/special.h"

#include "base/utf8.h"
#include "contract/json.h"
#include "contract/model.h"
#include "contract/ocr.h"
#include "engine/standin/seen.h"

#define STANDIN_WORD   "dashbox stand-in"
#define FILLED_MAX     ((size_t)8 << 20) /* a template came in a body with a ceiling */
#define QUESTION_SHOWN 200               /* bytes of the question that a query repeats */
#define STEPS_MAX      16

/* ---- text recognition ---- */

/* The template, in which each text is what the picture says behind the member's name, or the stand-in's word. Its depth has been
 * checked. */
static void add_filled(struct buf *b, yyjson_val *template, str name, const struct picture *seen)
{
    size_t      i, n;
    yyjson_val *key, *member;

    if (!yyjson_is_obj(template)) {
        str value = seen ? seen_value(seen, name) : S("");

        json_add_str(b, value.len ? value : S(STANDIN_WORD));
        return;
    }
    buf_add_char(b, '{');
    yyjson_obj_foreach(template, i, n, key, member)
    {
        if (i)
            buf_add(b, S(", "));
        json_add_str(b, json_str(key));
        buf_add(b, S(": "));
        add_filled(b, member, json_str(key), seen);
    }
    buf_add_char(b, '}');
}

bool special_ocr_text(struct arena *a, const struct chat_input *in, const struct picture *seen, str said, str *ret)
{
    struct buf b;

    if (seen)
        said = seen_text(a, seen);
    if (in->ocr.task != OCR_KEY_INFORMATION_EXTRACTION && in->ocr.task != OCR_ADVANCED_RECOGNITION) {
        *ret = said;
        return seen && in->model && in->model->task == MODEL_TASK_OCR_VISION && said.len;
    }
    buf_init(&b, a, FILLED_MAX);
    buf_add(&b, S("```json\n"));
    if (in->ocr.task == OCR_ADVANCED_RECOGNITION && seen) {
        seen_add_words(&b, seen);
    } else if (in->ocr.task == OCR_ADVANCED_RECOGNITION) {
        buf_add(&b, S("[\n\t{\"rotate_rect\": [50, 10, 20, 100, 90], "
                      "\"location\": [0, 0, 100, 0, 100, 20, 0, 20], \"text\": "));
        json_add_str(&b, said);
        buf_add(&b, S("}\n]"));
    } else if (ocr_schema(in)) {
        add_filled(&b, ocr_schema(in), (str){ 0 }, seen);
    } else {
        buf_add(&b, S("{\"text\": "));
        json_add_str(&b, said);
        buf_add_char(&b, '}');
    }
    buf_add(&b, S("\n```"));
    *ret = buf_str(&b);
    return true;
}

/* ---- research ---- */

struct steps {
    struct special_step *at;
    size_t               count;
};

static void add_step(struct steps *s, str phase, str status, str extra, str text)
{
    ASSERT(s->count < STEPS_MAX);
    s->at[s->count++] = (struct special_step){ .step = { phase, status, extra }, .text = text };
}

static str query_json(struct arena *a, str question)
{
    struct buf b;

    buf_init(&b, a, FILLED_MAX);
    buf_add(&b, S("\"research\":{\"id\":1,\"query\":"));
    json_add_str(&b, question);
    buf_add_char(&b, '}');
    return buf_str(&b);
}

#define SITE "\"title\":\"" STANDIN_WORD "\",\"description\":\"No page was read.\",\"url\":\"https://example.com/\""

/* The first turn of the conversation is what is researched. */
static str asked(const struct chat_input *in)
{
    for (size_t i = 0; i < in->message_count; i++) {
        if (in->messages[i].role == CHAT_USER)
            return str_first(in->messages[i].content, utf8_cut(in->messages[i].content, QUESTION_SHOWN));
    }
    return S("");
}

static bool is_first_call(const struct chat_input *in)
{
    for (size_t i = 0; i < in->message_count; i++) {
        if (in->messages[i].role == CHAT_ASSISTANT)
            return false;
    }
    return true;
}

struct special_step *special_research(struct arena *a, const struct chat_input *in, str plan, str report, size_t *ret)
{
    struct steps s = { arena_array(a, struct special_step, STEPS_MAX), 0 };

    if (!is_first_call(in)) {
        if (!plan.len)
            plan = S("dashbox stand-in: one search, then a report.");
        add_step(&s, S("ResearchPlanning"), S("typing"), S(""), plan);
        add_step(&s, S("ResearchPlanning"), S("finished"), S(""), S(""));
        add_step(&s, S("KeepAlive"), S("typing"), S(""), S(""));
        add_step(&s, S("WebResearch"), S("streamingQueries"), query_json(a, asked(in)), S(""));
        add_step(&s, S("WebResearch"), S("streamingQueries"),
                 S("\"research\":{\"researchGoal\":\"" STANDIN_WORD "\",\"id\":1,\"query\":\"\"}"), S(""));
        add_step(&s, S("WebResearch"), S("streamingWebResult"),
                 S("\"research\":{\"id\":1,\"webSites\":[{" SITE ",\"favicon\":\"\"}]}"), S(""));
        add_step(&s, S("WebResearch"), S("streamingWebResult"),
                 S("\"research\":{\"id\":1,\"learningMap\":{\"1\":\"" STANDIN_WORD "\"}}"), S(""));
        add_step(&s, S("WebResearch"), S("WebResultFinished"), S("\"research\":{\"id\":1}"), S(""));
        add_step(&s, S("KeepAlive"), S("typing"), S(""), S(""));
        add_step(&s, S("answer"), S("typing"), S("\"references\":[{\"index_number\":1," SITE ",\"icon\":\"\"}]"),
                 S(""));
    }
    add_step(&s, S("answer"), S("typing"), S(""), report);
    add_step(&s, S("answer"), S("finished"), S(""), S(""));
    *ret = s.count;
    return s.at;
}
