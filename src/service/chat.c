/* chat.c - text chat.
 *
 * Spec: chat.md §3.2, §3.4-3.9, §8.5 (order of checks), §9.4-9.6, §10.1; models.md §3.
 */
#include "service/chat.h"

#include "access/admission.h"
#include "access/faults.h"
#include "base/num.h"
#include "contract/chat_params.gen.h"
#include "contract/chat_content.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "contract/ocr.h"
#include "contract/translation.h"
#include "loop/loop.h"
#include "service/document_chat.h"
#include "service/guard.h"
#include "service/picture.h"
#include "service/services.h"
#include "service/text2sql.h"
#include "service/uploads.h"
#include "service/vision.h"

/* ---- thinking ---- */

/* The words that a refusal names. */
static str effort_choices(struct arena *a, str words)
{
    struct buf b;

    buf_init(&b, a, 256);
    while (words.len) {
        if (b.len)
            buf_add(&b, S(", "));
        json_add_str(&b, str_cut(&words, ' '));
    }
    return buf_str(&b);
}

static enum err check_budget(struct request *rq, const struct chat_input *in)
{
    int64_t limit = in->model->thinking == MODEL_THINKING_NONE ? 0 : in->model->budget_max;

    if (!in->thinking_budget.set)
        return OK;
    if (in->model->thinking == MODEL_THINKING_NONE || in->thinking_budget.v < 1)
        return fail_thinking_budget_range(&rq->fault, limit); /* REF: E002 */
    if (in->reasoning_effort.len && in->model->effort.len)
        return fail_reasoning_effort_with_budget(&rq->fault);
    return OK;
}

static enum err decide_thinking(struct request *rq, struct chat_input *in)
{
    const struct model *m = in->model;

    if (in->reasoning_effort.len && m->effort.len) {
        if (!model_takes_effort(m, in->reasoning_effort))
            return fail_reasoning_effort_invalid(&rq->fault, effort_choices(rq->arena, m->effort));
        in->thinking_max = model_effort_budget(m, in->reasoning_effort);
        if (!in->enable_thinking.set && m->thinking == MODEL_THINKING_HYBRID)
            in->enable_thinking = (opt_bool){ .v = !str_eq(in->reasoning_effort, S("none")), .set = true };
    }
    switch (m->thinking) {
    case MODEL_THINKING_NONE:
        if (in->enable_thinking.set && in->enable_thinking.v)
            return fail_thinking_unsupported(&rq->fault, in->model_name); /* REF: E097 */
        in->thinking = false;
        break;
    case MODEL_THINKING_HYBRID:
        in->thinking = in->enable_thinking.set ? in->enable_thinking.v : m->thinking_default;
        break;
    case MODEL_THINKING_ONLY:
        if (in->enable_thinking.set && !in->enable_thinking.v)
            return fail_thinking_always_on(&rq->fault); /* REF: E028 */
        in->thinking = true;
        break;
    }
    if (in->thinking_budget.set)
        in->thinking_max = in->thinking_budget.v;
    else if (!in->thinking_max)
        in->thinking_max = m->budget_max;
    return OK;
}

/* ---- streams ---- */

/* REF: E001, E003, E022, E029: what can only be had as a stream. */
static enum err check_stream(struct request *rq, const struct chat_input *in)
{
    const struct model *m = in->model;
    bool                native = rq->surface == SURFACE_NATIVE;

    if (in->stream || rq->admission->deferred) /* no connection waits for a line of a batch */
        return OK;
    if (in->audio_out)
        return fail_audio_needs_stream(&rq->fault);
    if (m->stream_only == MODEL_STREAM_BREAKS)
        return fail_internal_error(&rq->fault); /* REF: E212 */
    if (m->stream_only == MODEL_STREAM_ONLY || in->skill)
        return native ? fail_http_call_unsupported(&rq->fault) : fail_stream_only_model(&rq->fault);
    if (m->stream_only == MODEL_STREAM_THINKING && in->thinking)
        return native ? fail_thinking_needs_stream_native(&rq->fault) : fail_thinking_needs_stream(&rq->fault);
    return OK;
}

/* How an answer is shaped, and what thinking asks of that. REF: E006, E007, E032. */
static enum err decide_form(struct request *rq, struct chat_input *in)
{
    const struct model *m = in->model;

    if (in->tool_count)
        in->n.v = 1; /* whatever is asked (chat.md §3.4) */
    if (m->incremental == MODEL_INCREMENTAL_NEVER)
        in->incremental = (opt_bool){ .v = false, .set = true };
    if (rq->surface != SURFACE_NATIVE) {
        in->incremental = (opt_bool){ .v = m->incremental != MODEL_INCREMENTAL_NEVER, .set = true };
        in->result_format = CHAT_RESULT_MESSAGE;
        return OK;
    }
    if (in->stream && in->incremental.set && !in->incremental.v && m->incremental == MODEL_INCREMENTAL_ONLY &&
        (!in->thinking || m->thinking == MODEL_THINKING_ONLY))
        return fail_incremental_false_refused(&rq->fault);
    if (!in->incremental.set)
        in->incremental = (opt_bool){ .v = m->incremental != MODEL_INCREMENTAL_OFF, .set = true };
    if (in->stream && in->thinking && !in->incremental.v)
        return fail_incremental_with_thinking(&rq->fault);
    if (in->multimodal || m->result == MODEL_RESULT_ALWAYS)
        in->result_format = CHAT_RESULT_MESSAGE;
    else if (in->result_format == CHAT_RESULT_UNSET)
        in->result_format = m->result == MODEL_RESULT_TEXT ? CHAT_RESULT_TEXT : CHAT_RESULT_MESSAGE;
    if (in->thinking && in->result_format == CHAT_RESULT_TEXT)
        return fail_result_format_with_thinking(&rq->fault);
    if (in->tool_count)
        in->result_format = CHAT_RESULT_MESSAGE; /* the text form has no place for calls */
    if (in->result_format == CHAT_RESULT_TEXT)
        in->n.v = 1; /* … nor for a second choice: it is neither made nor counted */
    return OK;
}

/* ---- what the model can do ---- */

static bool has_media(const struct chat_input *in)
{
    for (size_t i = 0; i < in->message_count; i++) {
        for (size_t k = 0; k < in->messages[i].part_count; k++) {
            if (in->messages[i].parts[k].kind != CHAT_PART_TEXT)
                return true;
        }
    }
    return false;
}

/* A schema does not go with media: it silently becomes plain JSON (chat.md §3.8). */
static void decide_format(struct chat_input *in)
{
    if (in->format != CHAT_FORMAT_JSON_SCHEMA || !has_media(in))
        return;
    in->format = CHAT_FORMAT_JSON_OBJECT;
    in->format_schema = in->format_raw = NULL;
}

static bool says_json(const struct chat_input *in)
{
    for (size_t i = 0; i < in->message_count; i++) {
        if (str_find_str_nocase(in->messages[i].content, S("json")) != STR_NONE)
            return true;
    }
    return false;
}

/* REF: E044a, E044b: how many images a video has that is given as a list of them. */
static enum err check_frames(struct request *rq, const struct chat_input *in)
{
    const struct model *m = in->model;

    for (size_t i = 0; m->frames_max && i < in->message_count; i++) {
        for (size_t k = 0; k < in->messages[i].part_count; k++) {
            const struct chat_part *part = &in->messages[i].parts[k];
            int64_t                 count = (int64_t)yyjson_arr_size(part->urls);

            if (part->kind != CHAT_PART_VIDEO || !part->urls || (count >= m->frames_min && count <= m->frames_max))
                continue;
            return m->frames_narrow ? fail_video_frames_range_80(&rq->fault)
                                    : fail_video_frames_range(&rq->fault, m->frames_max);
        }
    }
    return OK;
}

static enum err check_abilities(struct request *rq, const struct chat_input *in)
{
    const struct model *m = in->model;

    if (in->enable_search.v && !m->can_search)
        return fail_search_unsupported(&rq->fault); /* REF: E004 */
    if (in->tool_count && !m->can_tools)
        return fail_tool_call_unsupported(&rq->fault); /* REF: E038 */
    if (in->code_interpreter.v && m->can_code && in->tool_count)
        return fail_code_interpreter_with_tools(&rq->fault);
    if (in->code_interpreter.v && m->can_code && (!in->thinking || !(in->stream || in->code_whole)))
        return fail_code_interpreter_needs_thinking(&rq->fault);
    if (in->thinking && in->tool_choice == CHAT_TOOLS_NAMED)
        return fail_tool_choice_invalid(&rq->fault); /* REF: E030 */
    if (in->logprobs.v && !m->can_logprobs)
        return fail_logprobs_unsupported(&rq->fault);
    if (in->format != CHAT_FORMAT_TEXT && in->thinking && !m->can_json_thinking)
        return fail_json_mode_with_thinking(&rq->fault); /* REF: E025 */
    if (in->format == CHAT_FORMAT_JSON_OBJECT && !says_json(in))
        return fail_json_word_missing(&rq->fault); /* REF: E024 */
    if (in->messages[in->message_count - 1].partial && in->thinking)
        return fail_partial_with_thinking(&rq->fault);
    return OK;
}

/* ---- the order of messages ---- */

/* Notes which call the tool message answers: the one of its id, or without an id the first that has no answer yet. False
 * when there is no such call. */
static bool answer_call(const struct chat_message *tool, const struct chat_message *caller, bool *answered)
{
    for (size_t i = 0; i < caller->tool_call_count; i++) {
        if (tool->tool_call_id.len ? str_eq(caller->tool_calls[i].id, tool->tool_call_id) : !answered[i]) {
            answered[i] = true;
            return true;
        }
    }
    return false;
}

static bool all_answered(const struct chat_message *caller, const bool *answered)
{
    for (size_t i = 0; i < caller->tool_call_count; i++) {
        if (!answered[i])
            return false;
    }
    return true;
}

/* Tool messages stand behind the assistant message whose calls they answer, and answer all of them. REF: E018. */
static enum err check_tool_order(struct request *rq, const struct chat_input *in)
{
    const struct chat_message *caller = NULL;
    bool                      *answered = NULL;

    for (size_t i = 0; i <= in->message_count; i++) {
        const struct chat_message *m = i < in->message_count ? &in->messages[i] : NULL;

        if (m && m->role == CHAT_TOOL) {
            if (!caller || !answer_call(m, caller, answered))
                return fail_tool_message_order(&rq->fault);
            continue;
        }
        if (caller && !all_answered(caller, answered))
            return fail_tool_calls_unanswered(&rq->fault, arena_printf(rq->arena, "message[%zu].role", i));
        caller = m && m->role == CHAT_ASSISTANT && m->tool_call_count ? m : NULL;
        if (caller)
            answered = arena_array(rq->arena, bool, caller->tool_call_count);
    }
    return OK;
}

static bool is_empty(const struct chat_message *m)
{
    return str_trim(m->content).len == 0 && m->part_count == 0 && m->tool_call_count == 0;
}

static enum err check_translation(struct request *rq, const struct chat_input *in)
{
    if (in->message_count != 1 || in->messages[0].role != CHAT_USER)
        return fail_translation_role(&rq->fault); /* REF: E222 */
    return OK;
}

enum err chat_check_messages(struct request *rq, const struct chat_input *in)
{
    const struct chat_message *last = &in->messages[in->message_count - 1];
    bool                       native = rq->surface == SURFACE_NATIVE, has_user = false;
    enum err                   e = chat_check_content(rq, in);

    if (e)
        return e;
    if (in->model->task == MODEL_TASK_TRANSLATION)
        return check_translation(rq, in);
    for (size_t i = 0; i < in->message_count; i++) {
        const struct chat_message *m = &in->messages[i];

        /* A user's message with nothing but results of tools has become those. */
        has_user = has_user || m->role == CHAT_USER || (m->role == CHAT_TOOL && rq->surface == SURFACE_ANTHROPIC);
        if (native && m->role != CHAT_ASSISTANT && m->role != CHAT_TOOL && is_empty(m))
            return fail_message_role_or_empty(&rq->fault); /* REF: E176 */
    }
    if (!has_user)
        return fail_user_message_missing(&rq->fault); /* REF: E050 */
    e = check_tool_order(rq, in);
    if (e)
        return e;
    if (last->partial && in->model->can_partial)
        return OK;
    if (last->role == CHAT_SYSTEM && rq->surface == SURFACE_ANTHROPIC)
        return OK; /* Claude Code's reminders stand behind the user's message */
    if (last->role == CHAT_ASSISTANT || last->role == CHAT_SYSTEM) {
        if (!in->model->can_partial)
            return fail_last_message_not_user(&rq->fault); /* REF: E226 */
        if (native)
            return fail_message_role_invalid(&rq->fault);
    }
    return OK;
}

/* ---- the length of the prompt ---- */

SUSPENDS static size_t count_turn(struct services *s, struct arena *a, const struct chat_message *m,
                                  bool keep_reasoning)
{
    struct chat_template_turn  turn = { .content = m->content, .call_count = m->tool_call_count };
    struct chat_template_call *calls;

    if (!m->tool_call_count && !(keep_reasoning && m->reasoning.len))
        return chat_template_message(s->memo, s->tokenizer, S("assistant"), m->content);
    calls = arena_array(a, struct chat_template_call, m->tool_call_count);
    for (size_t i = 0; i < m->tool_call_count; i++)
        calls[i] = (struct chat_template_call){ m->tool_calls[i].name, m->tool_calls[i].arguments };
    turn.calls = calls;
    turn.has_reasoning = keep_reasoning && m->reasoning.len > 0;
    turn.reasoning = m->reasoning;
    return chat_template_assistant(s->memo, s->tokenizer, &turn);
}

/* One message as the template renders it. */
SUSPENDS static size_t count_message(struct request *rq, const struct chat_input *in, size_t i, size_t last_user)
{
    struct services           *s = rq->services;
    const struct chat_message *m = &in->messages[i];

    if (m->document_count)
        return (size_t)document_chat_tokens(m) +
               m->document_count * chat_template_message(s->memo, s->tokenizer, chat_role_name(m->role), S(""));
    if (m->partial && i + 1 == in->message_count)
        return count_memo_get(s->memo, s->tokenizer, m->content);
    if (m->role == CHAT_ASSISTANT)
        return count_turn(s, rq->arena, m, in->preserve_thinking.v || i > last_user);
    if (m->role == CHAT_TOOL) {
        bool follows = i > 0 && in->messages[i - 1].role == CHAT_TOOL;
        bool followed = i + 1 < in->message_count && in->messages[i + 1].role == CHAT_TOOL;

        return chat_template_tool_result(s->memo, s->tokenizer, m->content, !follows, !followed);
    }
    return chat_template_message(s->memo, s->tokenizer, chat_role_name(m->role), m->content);
}

/* The count, exact up to `limit` (0 for none): beyond it the rest is not looked at. `ends`, unless NULL, becomes
 * in->prompt_ends. */
SUSPENDS static int64_t count_prompt(struct request *rq, const struct chat_input *in, int64_t limit, int64_t *ends)
{
    struct services *s = rq->services;
    size_t           total = CHAT_TEMPLATE_END, first = 0, last_user = 0;

    if (in->raw_prompt.len)
        return (int64_t)chat_template_raw(s->memo, s->tokenizer, in->raw_prompt);
    if (in->tool_count && in->tool_choice != CHAT_TOOLS_NONE) {
        bool has_system = in->messages[0].role == CHAT_SYSTEM;
        str *texts = arena_array(rq->arena, str, in->tool_count);

        for (size_t i = 0; i < in->tool_count; i++)
            texts[i] = in->tools[i].text;
        total += chat_template_tools(s->memo, s->tokenizer, has_system, has_system ? in->messages[0].content : S(""),
                                     texts, in->tool_count);
        first = has_system;
        if (ends)
            ends[first] = (int64_t)total - CHAT_TEMPLATE_END;
    }
    for (size_t i = first; i < in->message_count; i++) {
        if (in->messages[i].role == CHAT_USER)
            last_user = i;
    }
    for (size_t i = first; i < in->message_count && (limit <= 0 || (int64_t)total <= limit); i++) {
        total += count_message(rq, in, i, last_user);
        total += in->messages[i].part_count ? (size_t)document_chat_tokens(&in->messages[i]) : 0;
        if (ends)
            ends[i + 1] = (int64_t)total - CHAT_TEMPLATE_END;
    }
    return (int64_t)total;
}

/* Leaves out the oldest turns, up to a user's message, so that the rest comes to `limit` tokens at most; the last turn and the
 * system's message stay. Counted from the newest back, so that no more is looked at than is kept. */
SUSPENDS static void drop_turns(struct request *rq, struct chat_input *in, int64_t limit)
{
    size_t            first = in->messages[0].role == CHAT_SYSTEM, last_user = first, cut;
    struct chat_input head = *in;
    int64_t           total;

    head.message_count = first;
    total = count_prompt(rq, &head, 0, NULL);
    for (size_t i = first; i < in->message_count; i++) {
        if (in->messages[i].role == CHAT_USER)
            last_user = i;
    }
    cut = last_user;
    for (size_t i = in->message_count; i > first && total <= limit; i--) {
        total += count_message(rq, in, i - 1, last_user);
        if (total <= limit && in->messages[i - 1].role == CHAT_USER)
            cut = i - 1;
    }
    memmove(in->messages + first, in->messages + cut, (in->message_count - cut) * sizeof(*in->messages));
    in->message_count -= cut - first;
}

/* Leaves out the first `tokens` tokens of what is said in it, in whole parts as long as there are enough. */
static void shorten_message(struct request *rq, struct chat_message *m, size_t tokens)
{
    const struct tokenizer *t = rq->services->tokenizer;

    if (!m->content_is_array) {
        m->content = str_from(m->content, tokenizer_prefix(t, m->content, tokens));
        return;
    }
    for (size_t i = 0; i < m->part_count && tokens; i++) {
        struct chat_part *p = &m->parts[i];
        size_t            count = p->kind == CHAT_PART_TEXT ? tokenizer_count(t, p->text) : 0;

        p->text = count > tokens ? str_from(p->text, tokenizer_prefix(t, p->text, tokens)) : count ? S("") : p->text;
        tokens -= min_size(count, tokens);
    }
    m->content = chat_parts_text(rq->arena, m->parts, m->part_count);
}

struct shortening {
    struct request      *rq;
    struct chat_message *m;
    size_t               tokens;
};

static void shorten_run(void *arg)
{
    struct shortening *s = arg;

    shorten_message(s->rq, s->m, s->tokens);
}

/* What is still more than `limit` tokens loses the beginning of its longest text; the system's message stays. */
SUSPENDS static void shorten(struct request *rq, struct chat_input *in, int64_t limit)
{
    size_t  first = in->messages[0].role == CHAT_SYSTEM;
    int64_t total;

    while (first < in->message_count && (total = count_prompt(rq, in, 0, NULL)) > limit) {
        struct chat_message *longest = &in->messages[first];
        struct shortening    s = { .rq = rq, .tokens = (size_t)(total - limit) };

        for (size_t i = first; i < in->message_count; i++)
            longest = in->messages[i].content.len > longest->content.len ? &in->messages[i] : longest;
        if (!longest->content.len)
            return;
        s.m = longest;
        count_memo_run(rq->services->memo, longest->content.len, shorten_run, &s);
    }
}

/* Two system messages, one of which may name files or be a document: what the user says to them is short (chat.md §5.7). */
SUSPENDS static enum err check_document_turn(struct request *rq, const struct chat_input *in)
{
    size_t systems = 0, last_user = 0;

    for (size_t i = 0; i < in->message_count; i++) {
        systems += in->messages[i].role == CHAT_SYSTEM;
        last_user = in->messages[i].role == CHAT_USER ? i : last_user;
    }
    if (systems < 2 || (int64_t)count_message(rq, in, last_user, last_user) <= CHAT_TURN_BESIDE_FILES_MAX)
        return OK;
    return fail_input_length_range(&rq->fault, CHAT_TURN_BESIDE_FILES_MAX); /* REF: E008 */
}

/* REF: E008: no text at all, or too much. */
SUSPENDS static enum err check_length(struct request *rq, struct chat_input *in)
{
    int64_t limit = model_input_max(in->model, in->thinking);
    int64_t share = in->model->context * in->window_percent / 100; /* 0: the whole, or no window is known */
    bool    all_empty = true;

    for (size_t i = 0; i < in->message_count && all_empty; i++)
        all_empty = is_empty(&in->messages[i]);
    if (all_empty)
        return fail_input_length_range(&rq->fault, limit);
    share = limit > 0 && limit < share ? limit : share;
    in->prompt_tokens = count_prompt(rq, in, share > 0 ? share : limit, NULL);
    if (share > 0 && in->prompt_tokens > share) {
        drop_turns(rq, in, share);
        shorten(rq, in, share);
        in->prompt_tokens = count_prompt(rq, in, limit, NULL);
    }
    in->prompt_tokens += in->image_tokens + in->video_tokens + in->audio_tokens;
    if (limit > 0 && in->prompt_tokens > limit)
        return in->model->task == MODEL_TASK_DOCUMENT_CHAT
                   ? fail_document_tokens_over(&rq->fault, limit) /* REF: X061 */
                   : fail_input_length_range(&rq->fault, limit);
    return in->model->task == MODEL_TASK_DOCUMENT_CHAT ? check_document_turn(rq, in) : OK;
}

/* REF: E051c. Of what is named as oss://, nobody else's, and none that has expired, is taken. */
SUSPENDS static enum err check_upload(struct request *rq, str url)
{
    enum err e = str_starts(url, S("oss://")) ? upload_check(rq, url) : OK;

    return e == ERR_NOT_FOUND ? fail_media_unreachable(&rq->fault) : e;
}

SUSPENDS static enum err check_uploads(struct request *rq, const struct chat_input *in)
{
    enum err e = OK;

    for (size_t i = 0; i < in->message_count; i++) {
        const struct chat_message *m = &in->messages[i];

        for (size_t k = 0; k < m->part_count && !e; k++) {
            size_t      at, n;
            yyjson_val *url;

            if (m->parts[k].kind == CHAT_PART_TEXT)
                continue;
            e = check_upload(rq, m->parts[k].text);
            yyjson_arr_foreach(m->parts[k].urls, at, n, url)
            {
                if (!e)
                    e = check_upload(rq, json_str(url));
            }
        }
    }
    return e;
}

/* Engines elsewhere cannot read oss:// addresses. REF: E051c. */
SUSPENDS static enum err inline_upload(struct request *rq, str url, str *ret)
{
    enum err e;

    *ret = url;
    if (!str_starts(url, S("oss://")))
        return OK;
    e = upload_inline(rq, url, ret);
    if (!e || e == ERR_CANCELLED)
        return e;
    (void)fail_media_unreachable(&rq->fault);
    return fault_detail(&rq->fault, e == ERR_LIMIT
                                        ? S("the upload is too large for an engine behind (uploads.inline_max)")
                                        : str_from_cstr(err_text(e)));
}

SUSPENDS static enum err inline_list(struct request *rq, yyjson_val **urls)
{
    struct buf  b;
    enum err    e = OK;
    size_t      at, n;
    yyjson_val *url;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    yyjson_arr_foreach(*urls, at, n, url)
    {
        str uri = json_str(url);

        if (!e)
            e = inline_upload(rq, uri, &uri);
        buf_add_char(&b, at ? ',' : '[');
        json_add_str(&b, uri);
    }
    buf_add_char(&b, ']');
    if (!e)
        *urls = json_parse_copy(rq->arena, buf_str(&b));
    return e;
}

SUSPENDS static enum err inline_uploads(struct request *rq, const struct chat_input *in)
{
    enum err e = OK;

    if (!chat_resolves_uploads(rq))
        return OK;
    for (size_t i = 0; i < in->message_count; i++) {
        const struct chat_message *m = &in->messages[i];

        for (size_t k = 0; k < m->part_count && !e; k++) {
            if (m->parts[k].kind == CHAT_PART_TEXT)
                continue;
            e = m->parts[k].urls ? inline_list(rq, &m->parts[k].urls)
                                 : inline_upload(rq, m->parts[k].text, &m->parts[k].text);
        }
    }
    return e;
}

/* Everything that is known before an engine is asked. Decides in->thinking, in->incremental, in->result_format and
 * in->prompt_tokens. */
SUSPENDS static enum err chat_check(struct request *rq, struct chat_input *in, bool cloud)
{
    enum err e = decide_thinking(rq, in);

    if (!e)
        e = check_stream(rq, in);
    if (!e)
        e = decide_form(rq, in);
    if (!e)
        e = check_budget(rq, in);
    if (!e)
        e = translation_read(rq, in);
    if (!e)
        e = ocr_read(rq, in);
    if (!e)
        e = check_abilities(rq, in);
    if (!e)
        e = check_frames(rq, in);
    if (!e)
        e = check_uploads(rq, in);
    if (!e)
        e = document_chat_look(rq, in, cloud);
    if (!e)
        e = vision_look(rq, in);
    if (!e)
        decide_format(in);
    if (!e)
        e = check_length(rq, in);
    return e;
}

enum err chat_count(struct request *rq, struct chat_input *in)
{
    enum err e = decide_thinking(rq, in);

    might_suspend();
    request_phase(rq, PHASE_CHECK);
    return e ? e : check_length(rq, in);
}

/* ---- running ---- */

struct chat_choice {
    bool                      finished;
    bool                      reasoned, answered; /* has had reasoning; has had text or calls behind it */
    struct buf                arguments;          /* of the call that is being written, for its count */
    str                       call_name;
    bool                      in_call;
    int64_t                   call_tokens; /* that are in the count already */
    size_t                    speech_len;  /* Base64 */
    int64_t                   speech_tokens;
    struct moderation_stream *moderation[CHAT_EV_TOOL_ARGS + 1]; /* by kind of text; NULL: it has had none */
    struct buf                guarded;                           /* its text, for the guard model */
};

struct chat_run {
    struct request        *rq;
    struct chat_input     *in;
    struct engine_stream  *stream;
    struct chat_choice    *choices;
    unsigned               choice_count, finished;
    struct moderation_set *rules; /* that look at answers; NULL: none */
    bool                   guarded;
    bool                   counted; /* the engine's own usage has come: ours is not added to it */
    bool                   said;    /* an event has been given */
    bool                   ended;   /* by the call's time: nothing more is asked of the engine */
};

#define ARGUMENTS_MAX  ((size_t)1 << 20)
#define SPEECH_BYTES_S INT64_C(48000)
#define GUARDED_MAX    ((size_t)1 << 20) /* of an answer that the guard model sees */

unsigned chat_choices(const struct chat_input *in)
{
    return in->n.set ? (unsigned)in->n.v : 1;
}

/* What an engine or a wait gave back: time-outs and lost connections become the catalogue's. */
static enum err refuse_run(struct request *rq, const struct model *m, enum err e)
{
    if (e == ERR_TIMEOUT)
        return fail_request_timeout(&rq->fault); /* REF: E230a */
    if (e == ERR_FAULT && m->failure == MODEL_FAILURE_COMPUTATION &&
        rq->fault.row == &error_rows[ERROR_ALGORITHM_INTERNAL]) {
        str detail = rq->fault.detail;

        (void)fail_computation_internal(&rq->fault); /* REF: E225d */
        return fault_detail(&rq->fault, detail);
    }
    if (e == ERR_FAULT || e == ERR_CANCELLED || e == ERR_EOF || e == OK)
        return e;
    (void)fail_internal_server_error(&rq->fault); /* REF: E213 */
    return fault_detail(&rq->fault, str_from_cstr(err_text(e)));
}

/* What an engine will see of the documents. */
SUSPENDS static enum err moderate_documents(struct request *rq, struct moderation_set *rules,
                                            const struct chat_message *m)
{
    enum err e = OK;

    for (size_t i = 0; i < m->document_count && !e; i++)
        e = admit_text(rq, rules, m->documents[i].given);
    for (size_t i = 0; i < m->part_count; i++) {
        for (size_t k = 0; k < m->parts[i].document_count && !e; k++)
            e = admit_text(rq, rules, m->parts[i].documents[k].given);
    }
    return e;
}

static enum err moderate_message(struct request *rq, struct moderation_set *rules, const struct chat_message *m)
{
    enum err e = admit_text(rq, rules, m->content);

    if (!e && m->reasoning.len)
        e = admit_text(rq, rules, m->reasoning);
    for (size_t i = 0; i < m->tool_call_count && !e; i++)
        e = admit_text(rq, rules, m->tool_calls[i].arguments);
    return e;
}

SUSPENDS static enum err moderate_pictures(struct request *rq, const struct chat_message *m)
{
    enum err e = OK;

    for (size_t i = 0; i < m->part_count && !e; i++)
        e = m->parts[i].file ? picture_moderate(rq, MODERATION_INPUT, m->parts[i].file) : OK;
    return e;
}

/* REF: E100b, E101, E179. All texts: what an earlier turn said can be what is refused. */
SUSPENDS static enum err moderate_input(struct request *rq, const struct chat_input *in)
{
    struct moderation_set *rules = admit_rules(rq);
    enum err               e = OK;

    for (size_t i = 0; i < in->message_count; i++)
        rq->multimodal = rq->multimodal || in->messages[i].content_is_array;
    if (moderation_looks_at(rules, MODERATION_INPUT)) {
        for (size_t i = 0; i < in->message_count && !e; i++)
            e = moderate_message(rq, rules, &in->messages[i]);
        for (size_t i = 0; i < in->message_count && !e; i++)
            e = moderate_documents(rq, rules, &in->messages[i]);
        for (size_t i = 0; i < in->message_count && !e; i++)
            e = moderate_pictures(rq, &in->messages[i]);
        for (size_t i = 0; i < in->tool_count && !e; i++)
            e = admit_text(rq, rules, in->tools[i].text);
        if (!e && in->translation)
            e = admit_text(rq, rules, json_text(rq->arena, in->translation));
        if (!e && in->format_schema)
            e = admit_text(rq, rules, json_text(rq->arena, in->format_schema));
    }
    if (!e && guard_looks_at(rq, MODERATION_INPUT))
        e = guard_input(rq, in);
    return e;
}

static void moderate_output(struct chat_run *run)
{
    struct moderation_set *rules = admit_rules(run->rq);

    run->guarded = guard_looks_at(run->rq, MODERATION_OUTPUT);
    for (unsigned i = 0; i < run->choice_count && run->guarded; i++)
        buf_init(&run->choices[i].guarded, run->rq->arena, GUARDED_MAX);
    run->rules = moderation_looks_at(rules, MODERATION_OUTPUT) ? rules : NULL;
}

static unsigned count_marks(const struct chat_input *in)
{
    unsigned count = 0;

    for (size_t i = 0; i < in->tool_count; i++)
        count += in->tools[i].cache;
    for (size_t i = 0; i < in->message_count; i++) {
        count += in->messages[i].cache;
        for (size_t k = 0; k < in->messages[i].part_count; k++)
            count += in->messages[i].parts[k].cache;
    }
    return count;
}

/* What the context cache needs to know (chat.md §10.6). Counted before: the memo has the long texts. */
SUSPENDS static void prepare_cache(struct request *rq, struct chat_input *in, const struct engine *engine)
{
    if (!in->model->can_cache || in->prompt_tokens < CHAT_CACHE_PREFIX_MIN)
        return;
    in->cache_marks = count_marks(in);
    if (!engine->ops->remembers)
        return;
    in->prompt_ends = arena_array(rq->arena, int64_t, in->message_count + 1);
    (void)count_prompt(rq, in, 0, in->prompt_ends);
}

enum err chat_open(struct request *rq, struct chat_input *in, struct chat_run **ret)
{
    struct chat_run *run = arena_new(rq->arena, struct chat_run);
    struct engine   *engine;
    enum err         e;

    might_suspend();
    if (in->model->served.len)
        in->model_name = in->model->served;
    engine = rq->services->engine_for(rq->services->engine_arg, in->model_name);
    request_phase(rq, PHASE_CHECK);
    e = chat_check(rq, in, engine->cloud);
    rq->usage = (struct chat_usage){ .prompt_tokens = in->prompt_tokens,
                                     .image_tokens = in->image_tokens,
                                     .video_tokens = in->video_tokens,
                                     .audio_tokens = in->audio_tokens };
    if (!e)
        e = admit_prompt(rq);
    if (e)
        return e;
    if (!in->stream && rq->settings->call_ms > 0)
        fiber_deadline_set(loop_now_us(fiber_loop()) + rq->settings->call_ms * 1000);
    if (!engine->ops->here || moderation_looks_at(admit_rules(rq), MODERATION_INPUT))
        e = document_chat_load(rq, in);
    e = refuse_run(rq, in->model, e ? e : moderate_input(rq, in));
    if (e) {
        fiber_deadline_set(DEADLINE_NONE);
        return e;
    }
    request_phase(rq, PHASE_FIRST);
    run->rq = rq;
    run->in = in;
    run->choice_count = chat_choices(in);
    run->choices = arena_array(rq->arena, struct chat_choice, run->choice_count);
    moderate_output(run);
    rq->engine = engine->name;
    rq->action = "waiting for the engine";
    prepare_cache(rq, in, engine);
    if (in->sql)
        engine = text2sql_engine(rq, engine);
    if (!engine->ops->here)
        document_chat_inline(rq, in);
    e = engine->ops->here ? OK : inline_uploads(rq, in);
    e = refuse_run(rq, in->model, e ? e : engine->ops->open(engine, rq, in, &run->stream));
    if (e) {
        fiber_deadline_set(DEADLINE_NONE);
        return e;
    }
    rq->usage.cached_tokens = run->stream->cached_tokens;
    rq->usage.cache_created_tokens = run->stream->cache_created_tokens;
    rq->usage.cache_explicit = in->cache_marks > 0;
    rq->action = "passing the answer on";
    *ret = run;
    return OK;
}

SUSPENDS static int64_t count_text(struct chat_run *run, const struct chat_event *ev)
{
    struct services *s = run->rq->services;

    if (ev->tokens >= 0)
        return ev->tokens;
    if (run->in->stream)
        return (int64_t)tokenizer_count(s->tokenizer, ev->text);
    return (int64_t)count_memo_get(s->memo, s->tokenizer, ev->text);
}

/* A streamed call is counted as it comes, so that each event tells what has been written (chat.md §4.3). */
SUSPENDS static void begin_call(struct chat_run *run, struct chat_choice *c, str name)
{
    struct services *s = run->rq->services;

    if (!c->arguments.arena)
        buf_init(&c->arguments, run->rq->arena, ARGUMENTS_MAX);
    c->call_name = arena_str(run->rq->arena, name);
    c->in_call = true;
    c->call_tokens = 0;
    if (!run->in->stream || run->counted)
        return;
    c->call_tokens = (int64_t)chat_template_call_begin(s->memo, s->tokenizer, c->call_name);
    run->rq->usage.completion_tokens += c->call_tokens;
}

SUSPENDS static void go_on_with_call(struct chat_run *run, struct chat_choice *c, const struct chat_event *ev)
{
    int64_t tokens;

    buf_add(&c->arguments, ev->text);
    if (!run->in->stream || run->counted)
        return;
    tokens = count_text(run, ev);
    c->call_tokens += tokens;
    run->rq->usage.completion_tokens += tokens;
}

/* Counts the call that has just been completed, as the model wrote it. */
SUSPENDS static void end_call(struct chat_run *run, struct chat_choice *c)
{
    struct services          *s = run->rq->services;
    struct chat_template_call call = { .name = c->call_name, .arguments = buf_str(&c->arguments) };
    struct chat_template_turn turn = { .calls = &call, .call_count = 1 };

    if (!c->in_call)
        return;
    c->in_call = false;
    if (!run->counted)
        run->rq->usage.completion_tokens +=
            (int64_t)chat_template_answer(s->memo, s->tokenizer, &turn) - c->call_tokens;
    buf_reset(&c->arguments);
}

/* The end of reasoning is two tokens that nobody sees: the marker and the empty line behind it. */
static void begin_answer(struct chat_run *run, struct chat_choice *c)
{
    if (c->reasoned && !c->answered && !run->counted)
        run->rq->usage.completion_tokens += 2;
    c->answered = true;
}

/* Speech costs by its length, a second at least (chat.md §10.4): 24000 samples of two bytes a second, in Base64. */
static void account_audio(struct chat_run *run, struct chat_choice *c, str base64)
{
    struct chat_usage *u = &run->rq->usage;
    int64_t            before = c->speech_tokens, bytes;

    if (run->counted)
        return;
    c->speech_len += base64.len;
    bytes = max_i64((int64_t)(c->speech_len / 4 * 3), SPEECH_BYTES_S);
    c->speech_tokens = (bytes * run->in->model->speech_mtokens + SPEECH_BYTES_S * 1000 - 1) / (SPEECH_BYTES_S * 1000);
    u->audio_out_tokens += c->speech_tokens - before;
    u->completion_tokens += c->speech_tokens - before;
}

/* Code that the model has written to be run is output that only native answers show. */
SUSPENDS static void count_code(struct chat_run *run, const struct chat_event *ev)
{
    if (run->counted)
        return;
    run->rq->usage.code_runs++;
    run->rq->usage.completion_tokens += count_text(run, ev);
}

SUSPENDS static void account(struct chat_run *run, const struct chat_event *ev)
{
    struct chat_usage  *u = &run->rq->usage;
    struct chat_choice *c = &run->choices[ev->choice];
    int64_t             tokens;

    switch (ev->kind) {
    case CHAT_EV_REASONING:
        c->reasoned = true;
        tokens = run->counted ? 0 : count_text(run, ev);
        u->completion_tokens += tokens;
        u->reasoning_tokens += tokens;
        break;
    case CHAT_EV_TEXT:
        begin_answer(run, c);
        u->completion_tokens += run->counted ? 0 : count_text(run, ev);
        break;
    case CHAT_EV_TOOL_CALL:
        begin_answer(run, c);
        end_call(run, c);
        begin_call(run, c, ev->tool_name);
        break;
    case CHAT_EV_TOOL_ARGS:
        go_on_with_call(run, c, ev);
        break;
    case CHAT_EV_FINISH:
        end_call(run, c);
        c->finished = true;
        run->finished++;
        break;
    case CHAT_EV_AUDIO:
        account_audio(run, c, ev->text);
        break;
    case CHAT_EV_STEP:
        u->completion_tokens += run->counted ? 0 : count_text(run, ev);
        break;
    case CHAT_EV_SEARCH:
        u->searches += !run->counted;
        break;
    case CHAT_EV_IMAGES:
        u->image_searches += !run->counted;
        break;
    case CHAT_EV_CODE:
        count_code(run, ev);
        break;
    case CHAT_EV_USAGE:
        *u = ev->usage;
        u->cache_explicit = run->in->cache_marks > 0 || u->cache_created_tokens > 0;
        run->counted = true;
        break;
    }
}

/* The end of a choice: rules that wait for it, and the guard model. */
static enum err moderate_finish(struct chat_run *run, struct chat_choice *c)
{
    struct moderation_verdict v;

    for (size_t k = 0; k < ARRAY_LEN(c->moderation); k++) {
        if (c->moderation[k] && moderation_stream_end(c->moderation[k], &v))
            return admit_refuse_text(run->rq, &v);
    }
    return run->guarded ? guard_output(run->rq, run->in, buf_str(&c->guarded)) : OK;
}

/* REF: E100a, E100c: what was found is not given, nor anything behind it. */
static enum err moderate_event(struct chat_run *run, const struct chat_event *ev)
{
    struct chat_choice       *c = &run->choices[ev->choice];
    enum chat_event_kind      kind = ev->kind == CHAT_EV_STEP ? CHAT_EV_TEXT : ev->kind;
    struct moderation_verdict v;

    if (kind == CHAT_EV_FINISH)
        return moderate_finish(run, c);
    if (run->guarded && kind == CHAT_EV_TEXT)
        buf_add(&c->guarded, ev->text);
    if (!run->rules || (kind != CHAT_EV_REASONING && kind != CHAT_EV_TEXT && kind != CHAT_EV_TOOL_ARGS))
        return OK;
    if (!c->moderation[kind])
        c->moderation[kind] = moderation_stream_open(run->rules, MODERATION_OUTPUT, run->rq->arena);
    return moderation_stream_feed(c->moderation[kind], ev->text, &v) ? admit_refuse_text(run->rq, &v) : OK;
}

/* Ends the choices that the engine had no time for, one with each call (chat.md §4.9). */
static enum err end_partial(struct chat_run *run, struct chat_event *ret)
{
    for (unsigned i = 0; i < run->choice_count; i++) {
        if (run->choices[i].finished)
            continue;
        *ret = (struct chat_event){ .kind = CHAT_EV_FINISH, .choice = i, .finish = CHAT_FINISH_LENGTH };
        return OK;
    }
    return ERR_EOF;
}

/* The engine's next event. A whole answer whose time is over is given as far as it is, if its model is one of those. */
SUSPENDS static enum err step(struct chat_run *run, struct chat_event *ret)
{
    enum err e;

    if (UNLIKELY(run->ended))
        return end_partial(run, ret);
    e = run->stream->ops->next(run->stream, ret);
    if (e == ERR_TIMEOUT && run->said && !run->in->stream && run->in->model->partial_answer) {
        fiber_deadline_set(DEADLINE_NONE);
        run->ended = run->rq->partial = true;
        return end_partial(run, ret);
    }
    run->said = true;
    return e;
}

enum err chat_next(struct chat_run *run, struct chat_event *ret)
{
    might_suspend();
    for (;;) {
        enum err e = faults_step(run->rq);

        if (!e)
            e = refuse_run(run->rq, run->in->model, step(run, ret));
        if (e)
            fiber_deadline_set(DEADLINE_NONE); /* the call's time is the engine's: a slow client has its own */
        if (e == ERR_EOF && run->finished < run->choice_count) {
            (void)fail_backend_no_response(&run->rq->fault); /* REF: E224 */
            return fault_detail(&run->rq->fault, S("the engine's answer ended without a finish"));
        }
        if (e == ERR_EOF) {
            enum err unbooked;

            e = faults_last(run->rq);
            if (e)
                return e;
            unbooked = admit_charge(run->rq);
            return unbooked ? refuse_run(run->rq, run->in->model, unbooked) : ERR_EOF;
        }
        if (e)
            return e;
        if (ret->choice >= run->choice_count)
            continue; /* an upstream that answers more choices than asked for */
        account(run, ret);
        if (run->rules || run->guarded) {
            e = refuse_run(run->rq, run->in->model, moderate_event(run, ret));
            if (e) {
                fiber_deadline_set(DEADLINE_NONE);
                return e;
            }
        }
        if (ret->kind != CHAT_EV_USAGE)
            return OK;
    }
}

bool chat_ready(const struct chat_run *run)
{
    return run->stream->ops->ready(run->stream);
}
