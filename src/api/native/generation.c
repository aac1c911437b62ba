/* generation.c - POST /api/v1/services/aigc/{text,multimodal}-generation/generation.
 *
 * Spec: chat.md §3, §4, §8; wire-forms.md §3.
 */
#include "access/admission.h"
#include "access/faults.h"
#include "api/body_model.h"
#include "api/logprobs.h"
#include "api/native/native.h"
#include "api/pump.h"
#include "api/reply.h"
#include "api/tool_calls.h"
#include "api/usage.h"
#include "contract/chat_body.h"
#include "contract/media_service.h"
#include "contract/ocr.h"
#include "net/http_server.h"
#include "service/chat.h"

/* ---- the request ---- */

bool native_wants_stream(const struct request *rq)
{
    str sse = request_header(rq, S("x-dashscope-sse"));

    if (sse.len)
        return str_eq_nocase(sse, S("enable"));
    return str_find_str_nocase(request_header(rq, S("accept")), S("text/event-stream")) != STR_NONE;
}

/* REF: E159, E162, E023, E176. */
enum err native_read_input(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    yyjson_val *input = json_get(root, "input");
    yyjson_val *messages, *prompt, *history;

    if (!input)
        return fail_input_missing(&rq->fault);
    if (!yyjson_is_obj(input))
        return fail_input_not_object(&rq->fault);
    messages = json_get(input, "messages");
    prompt = json_get(input, "prompt");
    history = json_get(input, "history");
    if (messages && (!yyjson_is_arr(messages) || yyjson_arr_size(messages)))
        return chat_read_messages(rq, messages, in->multimodal ? CHAT_CONTENT_MULTIMODAL : CHAT_CONTENT_TEXT,
                                  S("input.messages"), in);
    if (prompt)
        return chat_read_prompt(rq, prompt, history, in);
    /* An empty list: the wire of 2026 names the roles (wire-forms.md §3), the reference does not know that sentence. */
    if (messages)
        return rq->settings->wording.wording == WORDING_WIRE ? fail_message_role_invalid(&rq->fault)
                                                             : fail_message_role_or_empty(&rq->fault);
    return fail_prompt_or_messages(&rq->fault);
}

static enum err read_body(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    yyjson_val *parameters = json_get(root, "parameters");
    enum err    e = native_read_input(rq, root, in);

    if (!e)
        e = chat_check_messages(rq, in);
    if (e)
        return e;
    if (parameters && !yyjson_is_obj(parameters))
        return fail_parameter_missing_named(&rq->fault, S("parameters"));
    return params_read(rq, &chat_params_native_parameters, parameters, in->model, in);
}

/* ---- the answer ---- */

struct answer {
    struct request          *rq;
    const struct chat_input *in;
    struct chat_run         *run;
    struct gathered         *choices;
    unsigned                 count;
    int64_t                  event_id;
    bool                     indexed;     /* choices[].index is there: tools, or several choices */
    bool                     sources_due; /* of a stream: the next event shows what was found */
};

static void answer_init(struct answer *a, struct request *rq, const struct chat_input *in, struct chat_run *run)
{
    *a = (struct answer){ .rq = rq, .in = in, .run = run, .count = chat_choices(in) };
    a->choices = gather_new(rq->arena, a->count);
    a->indexed = in->tool_count > 0 || a->count > 1;
}

/* The older multimodal models: three or four numbers. */
static void add_usage_flat(struct buf *b, const struct chat_usage *u)
{
    buf_add_char(b, '{');
    (void)usage_add_media(b, u);
    json_add_count(b, S("\"input_tokens\":"), u->prompt_tokens);
    json_add_count(b, S(",\"output_tokens\":"), u->completion_tokens);
    buf_add_char(b, '}');
}

/* The newer ones: details by modality, and images and video once more beside them. */
static void add_usage_details(struct answer *a, struct buf *b, const struct chat_usage *u)
{
    buf_add(b, S("{\"input_tokens_details\":{"));
    (void)usage_add_media(b, u);
    json_add_count(b, S("\"text_tokens\":"), usage_text_tokens(u));
    buf_add(b, S("},\"prompt_tokens_details\":{"));
    if (u->cached_tokens || u->cache_explicit)
        usage_add_cached(b, u);
    json_add_count(b, S("},\"total_tokens\":"), u->prompt_tokens + u->completion_tokens);
    json_add_count(b, S(",\"output_tokens\":"), u->completion_tokens);
    json_add_count(b, S(",\"input_tokens\":"), u->prompt_tokens);
    buf_add(b, S(",\"output_tokens_details\":{"));
    if (u->reasoning_tokens) {
        json_add_count(b, S("\"reasoning_tokens\":"), u->reasoning_tokens);
        buf_add_char(b, ',');
    }
    if (u->audio_out_tokens) {
        json_add_count(b, S("\"audio_tokens\":"), u->audio_out_tokens);
        buf_add_char(b, ',');
    }
    json_add_count(b, S("\"text_tokens\":"), u->completion_tokens - u->reasoning_tokens - u->audio_out_tokens);
    buf_add_char(b, '}');
    usage_add_plugins(b, a->in, u);
    if (u->image_tokens)
        json_add_count(b, S(",\"image_tokens\":"), u->image_tokens);
    if (u->video_tokens)
        json_add_count(b, S(",\"video_tokens\":"), u->video_tokens);
    buf_add_char(b, '}');
}

/* chat.md §4.2, in the order of recorded answers. */
static void add_usage(struct answer *a, struct buf *b, const struct chat_usage *u)
{
    buf_add(b, S("\"usage\":"));
    if (a->in->multimodal) {
        if (a->in->model->usage == MODEL_USAGE_FLAT)
            add_usage_flat(b, u);
        else
            add_usage_details(a, b, u);
        return;
    }
    json_add_count(b, S("{\"total_tokens\":"), u->prompt_tokens + u->completion_tokens);
    json_add_count(b, S(",\"output_tokens\":"), u->completion_tokens);
    json_add_count(b, S(",\"input_tokens\":"), u->prompt_tokens);
    if (u->reasoning_tokens) {
        json_add_count(b, S(",\"output_tokens_details\":{\"reasoning_tokens\":"), u->reasoning_tokens);
        buf_add_char(b, '}');
    }
    if (a->in->model->task == MODEL_TASK_DOCUMENT_CHAT) { /* chat.md §4.2 */
        json_add_count(b, S(",\"cached_tokens\":"), u->cached_tokens);
        buf_add_char(b, '}');
        return;
    }
    usage_add_plugins(b, a->in, u);
    buf_add(b, S(",\"prompt_tokens_details\":{"));
    usage_add_cached(b, u);
    buf_add(b, S("}}"));
}

static void add_end(struct answer *a, struct buf *b, const struct chat_usage *u)
{
    buf_add_char(b, ',');
    add_usage(a, b, u);
    reply_add_request_id(b, a->rq);
}

/* What stands before the text or the choices of an output. Translations say who made them (chat.md §5.6). */
static void add_output(struct answer *a, struct buf *b, enum chat_finish finish)
{
    bool names_model = a->in->model->task == MODEL_TASK_TRANSLATION;

    buf_add(b, S("{\"output\":{"));
    if (names_model || a->in->result_format == CHAT_RESULT_TEXT) {
        buf_add(b, S("\"finish_reason\":\""));
        buf_add(b, chat_finish_name(finish));
        buf_add(b, S("\","));
    }
    if (names_model) {
        buf_add(b, S("\"model_name\":"));
        json_add_str(b, a->in->model_name);
        buf_add_char(b, ',');
    }
}

static void add_sources(struct buf *b, const struct gathered *g)
{
    buf_add(b, S("\"search_results\":["));
    for (size_t i = 0; i < g->source_count; i++) {
        const struct chat_source *p = &g->sources[i];

        buf_add(b, i ? S(",{\"icon\":") : S("{\"icon\":"));
        json_add_str(b, p->icon);
        buf_add(b, S(",\"site_name\":"));
        json_add_str(b, p->site_name.len ? p->site_name : CHAT_SITE_NAME_UNKNOWN);
        json_add_count(b, S(",\"index\":"), p->index);
        buf_add(b, S(",\"title\":"));
        json_add_str(b, p->title);
        buf_add(b, S(",\"url\":"));
        json_add_str(b, p->url);
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
}

static void add_found(struct buf *b, const struct gathered *g)
{
    buf_add(b, S("\"extra_tool_info\":["));
    for (size_t i = 0; i < g->found_count; i++) {
        buf_add(b, i ? S(",{\"result\":") : S("{\"result\":"));
        json_add_str(b, g->found[i].result);
        buf_add(b, S(",\"tool\":"));
        json_add_str(b, g->found[i].tool);
        buf_add_char(b, '}');
    }
    buf_add(b, S("],"));
}

/* What stands behind the text or the choices of an output: what was searched for and what was run (chat.md §4.7). `found`:
 * the pages themselves; otherwise that they have been shown. Both are the first choice's. */
static void add_tools_used(struct answer *a, struct buf *b, bool found)
{
    const struct gathered *g = &a->choices[0];

    if (UNLIKELY(g->searched && a->in->search.source)) {
        const struct gathered none = { 0 };

        buf_add(b, S(",\"search_info\":{"));
        add_found(b, found ? g : &none);
        add_sources(b, found ? g : &none);
        buf_add_char(b, '}');
    }
    if (LIKELY(!g->code_count))
        return;
    buf_add(b, S(",\"tool_info\":["));
    for (size_t i = 0; i < g->code_count; i++) {
        buf_add(b, i ? S(",{\"code_interpreter\":{\"code\":") : S("{\"code_interpreter\":{\"code\":"));
        json_add_str(b, g->code[i]);
        buf_add(b, S("},\"type\":\"code_interpreter\"}"));
    }
    buf_add_char(b, ']');
}

static void add_logprobs(struct buf *b, const struct chat_logprob *all, size_t count)
{
    if (LIKELY(!count))
        return;
    buf_add(b, S(",\"logprobs\":"));
    logprobs_add_native(b, all, count);
}

/* The height and width at which each image was seen; of a video, and of what was not looked at, an empty list. */
static void add_image_sizes(struct buf *b, const struct chat_input *in)
{
    char before = '[';

    buf_add(b, S("{\"image_hw\":"));
    for (size_t i = 0; i < in->message_count; i++) {
        for (size_t k = 0; k < in->messages[i].part_count; k++) {
            const struct chat_part *p = &in->messages[i].parts[k];

            if (p->kind != CHAT_PART_IMAGE && p->kind != CHAT_PART_VIDEO)
                continue;
            buf_add_char(b, before);
            before = ',';
            buf_add_char(b, '[');
            if (p->height) {
                buf_add_i64(b, p->height);
                json_add_count(b, S(","), p->width);
            }
            buf_add_char(b, ']');
        }
    }
    buf_add(b, before == '[' ? S("[]}") : S("]}"));
}

/* "content": a string, or on the multimodal endpoint an array of at most one text, and with the last of it the sizes of images,
 * if they are asked for. `whole` is all the text, when this is the end of it: what is recognised in it stands beside the text
 * (chat.md §5.2). */
static void add_content(struct answer *a, struct buf *b, str text, str whole, bool last)
{
    bool   sizes = last && a->in->image_hw.v;
    size_t begin = b->len;

    if (!a->in->multimodal) {
        json_add_str(b, text);
        return;
    }
    buf_add(b, S("[{"));
    ocr_add_result(b, a->in, whole);
    if (!text.len && b->len == begin + 2) {
        b->len = begin;
        buf_add_char(b, '[');
    } else {
        buf_add(b, S("\"text\":"));
        json_add_str(b, text);
        buf_add(b, sizes ? S("},") : S("}"));
    }
    if (sizes)
        add_image_sizes(b, a->in);
    buf_add_char(b, ']');
}

/* ---- whole ---- */

static void add_choice(struct answer *a, struct buf *b, unsigned index)
{
    const struct gathered *c = &a->choices[index];

    buf_add(b, S("{\"finish_reason\":\""));
    buf_add(b, chat_finish_name(c->finish));
    buf_add(b, S("\",\"message\":{\"role\":\"assistant\""));
    tool_calls_add_member(b, c);
    buf_add(b, S(",\"content\":"));
    add_content(a, b, buf_str(&c->text), buf_str(&c->text), true);
    if (c->reasoned) {
        buf_add(b, S(",\"reasoning_content\":"));
        json_add_str(b, buf_str(&c->reasoning));
    }
    buf_add_char(b, '}');
    if (a->indexed) {
        buf_add(b, S(",\"index\":"));
        buf_add_i64(b, index);
    }
    add_logprobs(b, c->logprobs, c->logprob_count);
    buf_add_char(b, '}');
}

static enum err answer_whole(struct answer *a)
{
    struct buf b;
    enum err   e = pump_whole(a->choices, a->run);

    if (e)
        return e;
    buf_init(&b, a->rq->arena, SIZE_MAX / 2);
    (void)buf_room(&b, a->choices[0].text.len + 512); /* an ordinary answer: one allocation */
    add_output(a, &b, a->choices[0].finish);
    if (a->in->result_format == CHAT_RESULT_TEXT) {
        buf_add(&b, S("\"text\":"));
        json_add_str(&b, buf_str(&a->choices[0].text));
    } else {
        buf_add(&b, S("\"choices\":["));
        for (unsigned i = 0; i < a->count; i++) {
            if (i)
                buf_add_char(&b, ',');
            add_choice(a, &b, i);
        }
        buf_add_char(&b, ']');
    }
    add_tools_used(a, &b, true);
    buf_add_char(&b, '}');
    add_end(a, &b, &a->rq->usage);
    return reply_json(a->rq, buf_str(&b));
}

/* ---- stream ---- */

/* What a frame shows of its choice; `calls` is JSON. */
struct frame {
    str                        text, reasoning, calls;
    const struct chat_logprob *logprobs;
    size_t                     logprob_count;
    const struct chat_usage   *usage;        /* NULL: of all that there has been */
    bool                       only_sources; /* nothing has been said or counted yet */
};

static void add_frame(struct answer *a, unsigned index, const struct frame *f, enum chat_finish finish)
{
    struct buf            *b = http_stream_buf(a->rq->x);
    const struct gathered *c = &a->choices[index];

    reply_native_event(b, ++a->event_id, S("result"), 200);
    add_output(a, b, finish);
    if (a->in->result_format == CHAT_RESULT_TEXT) {
        buf_add(b, S("\"text\":"));
        json_add_str(b, f->text);
    } else {
        buf_add(b, S("\"choices\":[{\"message\":{\"content\":"));
        add_content(a, b, f->text, finish == CHAT_FINISH_NONE ? S("") : buf_str(&c->text), finish != CHAT_FINISH_NONE);
        if (c->reasoned) {
            buf_add(b, S(",\"reasoning_content\":"));
            json_add_str(b, f->reasoning);
        }
        if (f->calls.len) {
            buf_add(b, S(",\"tool_calls\":["));
            buf_add(b, f->calls);
            buf_add_char(b, ']');
        }
        buf_add(b, S(",\"role\":\"assistant\"}"));
        if (a->indexed) {
            buf_add(b, S(",\"index\":"));
            buf_add_i64(b, index);
        }
        buf_add(b, S(",\"finish_reason\":\""));
        buf_add(b, chat_finish_name(finish));
        buf_add_char(b, '"');
        add_logprobs(b, f->logprobs, f->logprob_count);
        buf_add(b, S("}]"));
    }
    add_tools_used(a, b, a->sources_due);
    a->sources_due = false;
    buf_add_char(b, '}');
    if (UNLIKELY(f->only_sources)) {
        buf_add(b, S(",\"usage\":{}"));
        reply_add_request_id(b, a->rq);
    } else {
        add_end(a, b, f->usage ? f->usage : &a->rq->usage);
    }
    buf_add(b, S("\n\n"));
}

/* A piece of speech: an item of its own (chat.md §5.5). */
static void add_audio_frame(struct answer *a, const struct chat_event *ev)
{
    struct buf *b = http_stream_buf(a->rq->x);

    reply_native_event(b, ++a->event_id, S("result"), 200);
    buf_add(b, S("{\"output\":{\"choices\":[{\"message\":{\"content\":[{\"audio\":{\"data\":"));
    json_add_str(b, ev->text);
    buf_add(b, S("}}],\"role\":\"assistant\"},\"finish_reason\":\"null\"}]}"));
    add_end(a, b, &a->rq->usage);
    buf_add(b, S("\n\n"));
}

/* All that there is of the choice so far. */
static struct frame frame_all(const struct gathered *c)
{
    return (struct frame){ .text = buf_str(&c->text),
                           .reasoning = buf_str(&c->reasoning),
                           .logprobs = c->logprobs,
                           .logprob_count = c->logprob_count };
}

/* The calls of a frame: what is new of one, or all there is so far. */
static str frame_calls(struct answer *a, const struct gathered *c, unsigned index, bool first, str piece)
{
    struct buf b;

    buf_init(&b, a->rq->arena, SIZE_MAX / 2);
    if (!a->in->incremental.v)
        tool_calls_add(&b, c);
    else if (index < c->call_count)
        tool_call_add_piece(&b, index, first ? c->calls[index].id : S(""), first ? c->calls[index].name : S(""), piece);
    return buf_str(&b);
}

/* What may share a frame with the next event waits here for it: a call's beginning for the first of its arguments, their
 * last piece for the finish (chat.md §4.6), and so do the texts of the older multimodal models (§4.4). */
struct held {
    bool       set, text;
    unsigned   choice, call;
    bool       first; /* of its call */
    struct buf piece;
    size_t     logprob_count; /* of the text: the last that its choice has */

    struct chat_usage usage; /* when it came: what sends it off has been counted since */
};

static void hold(struct answer *a, struct held *h, const struct chat_event *ev)
{
    *h = (struct held){ .set = true, .choice = ev->choice, .call = ev->tool_index, .logprob_count = ev->logprob_count };
    h->usage = a->rq->usage;
    h->text = ev->kind == CHAT_EV_TEXT;
    h->first = ev->kind == CHAT_EV_TOOL_CALL;
    buf_init(&h->piece, a->rq->arena, SIZE_MAX / 2);
    buf_add(&h->piece, ev->text);
}

/* Whether the event goes out in the frame that waits. */
static bool held_takes(const struct held *h, const struct chat_event *ev)
{
    if (ev->choice != h->choice)
        return false;
    return ev->kind == CHAT_EV_FINISH ||
           (ev->kind == CHAT_EV_TOOL_ARGS && ev->tool_index == h->call && h->first && !h->piece.len);
}

static void send_held(struct answer *a, struct held *h, enum chat_finish finish)
{
    const struct gathered *c = &a->choices[h->choice];
    struct frame           f = a->in->incremental.v ? (struct frame){ 0 } : frame_all(c);

    if (!h->set)
        return;
    h->set = false;
    if (h->text && a->in->incremental.v)
        f = (struct frame){ .text = buf_str(&h->piece),
                            .logprobs = h->logprob_count ? &c->logprobs[c->logprob_count - h->logprob_count] : NULL,
                            .logprob_count = h->logprob_count };
    else if (!h->text)
        f.calls = frame_calls(a, c, h->call, h->first, buf_str(&h->piece));
    if (finish == CHAT_FINISH_NONE)
        f.usage = &h->usage;
    add_frame(a, h->choice, &f, finish);
    buf_reset(&h->piece);
}

struct sending {
    struct answer *answer;
    struct held    held;
};

static void send_event(void *arg, const struct chat_event *ev)
{
    struct sending  *st = arg;
    struct answer   *a = st->answer;
    struct held     *h = &st->held;
    struct gathered *c = &a->choices[ev->choice];
    bool             all = !a->in->incremental.v;
    struct frame     f = { 0 };

    if (h->set && !held_takes(h, ev))
        send_held(a, h, CHAT_FINISH_NONE);
    gather_event(a->choices, ev);
    switch (ev->kind) {
    case CHAT_EV_REASONING:
        f.reasoning = all ? buf_str(&c->reasoning) : ev->text;
        add_frame(a, ev->choice, &f, CHAT_FINISH_NONE);
        break;
    case CHAT_EV_TEXT:
        if (a->in->multimodal && a->in->model->usage == MODEL_USAGE_FLAT) {
            hold(a, h, ev);
            break;
        }
        if (all)
            f = frame_all(c);
        else
            f = (struct frame){ .text = ev->text, .logprobs = ev->logprobs, .logprob_count = ev->logprob_count };
        add_frame(a, ev->choice, &f, CHAT_FINISH_NONE);
        break;
    case CHAT_EV_SEARCH:
        a->sources_due = a->in->search.source;
        f.only_sources = a->in->search.prepend;
        if (a->sources_due && f.only_sources)
            add_frame(a, ev->choice, &f, CHAT_FINISH_NONE);
        break;
    case CHAT_EV_CODE:
        if (all)
            f = frame_all(c);
        add_frame(a, ev->choice, &f, CHAT_FINISH_NONE);
        break;
    case CHAT_EV_TOOL_CALL:
        hold(a, h, ev);
        break;
    case CHAT_EV_TOOL_ARGS:
        if (h->set) {
            buf_add(&h->piece, ev->text);
            h->usage = a->rq->usage;
        } else {
            hold(a, h, ev);
        }
        break;
    case CHAT_EV_FINISH:
        if (h->set) {
            send_held(a, h, ev->finish);
        } else {
            if (all)
                f = frame_all(c);
            add_frame(a, ev->choice, &f, ev->finish);
        }
        break;
    case CHAT_EV_AUDIO:
        add_audio_frame(a, ev);
        break;
    case CHAT_EV_IMAGES:
    case CHAT_EV_STEP:
    case CHAT_EV_USAGE:
        break;
    }
}

static void add_fault_frame(struct answer *a)
{
    struct buf       *b = http_stream_buf(a->rq->x);
    struct fault_view v;

    fault_render(&a->rq->fault, &a->rq->settings->wording, a->rq->arena, &v);
    reply_native_fault(a->rq, b, ++a->event_id, &v);
}

static enum err answer_stream(struct answer *a)
{
    struct sending st = { .answer = a };
    enum err       e = pump_stream(a->rq, a->run, send_event, &st);

    if (!http_begun(a->rq->x) || (e != ERR_FAULT && e != ERR_EOF))
        return e;
    if (e == ERR_FAULT) {
        send_held(a, &st.held, CHAT_FINISH_NONE);
        add_fault_frame(a);
    }
    return http_stream_end(a->rq->x);
}

/* ---- the handlers ---- */

static enum err run(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    struct chat_run *run;
    struct answer    a;
    enum err         e = read_body(rq, root, in);

    if (!e)
        e = chat_open(rq, in, &run);
    if (e)
        return e;
    if (in->model->task == MODEL_TASK_DEEP_RESEARCH)
        return deep_research_answer(rq, run);
    answer_init(&a, rq, in, run);
    return in->stream ? answer_stream(&a) : answer_whole(&a);
}

static enum err generate(struct request *rq, enum model_path path)
{
    struct chat_input *in = arena_new(rq->arena, struct chat_input);
    yyjson_val        *root;
    enum err           e = request_json(rq, &root);

    if (e)
        return e;
    rq->stream = in->stream = native_wants_stream(rq);
    rq->multimodal = in->multimodal = path == MODEL_PATH_MULTIMODAL;
    e = body_model_native(rq, root, path, &in->model);
    in->model_name = rq->model_name;
    if (!e && media_service_find(in->model->id, path, root)) /* a picture is made of what the message asks for */
        return native_media(rq, root, in->model, path);
    if (!e && in->model->task == MODEL_TASK_TTS)
        return native_tts(rq, root, in->model);
    if (!e && in->model->task == MODEL_TASK_ASR_SYNC)
        return native_asr(rq, root, in->model);
    if (!e)
        e = admit(rq, in->model);
    if (e)
        return e;
    e = run(rq, root, in);
    /* From the input on a refusal of a streaming call is an event (chat.md §8.4). */
    if (e == ERR_FAULT && in->stream && !http_begun(rq->x))
        return reply_fault(rq, true);
    return e;
}

enum err handle_native_text_generation(struct request *rq)
{
    return generate(rq, MODEL_PATH_TEXT);
}

enum err handle_native_multimodal_generation(struct request *rq)
{
    return generate(rq, MODEL_PATH_MULTIMODAL);
}
