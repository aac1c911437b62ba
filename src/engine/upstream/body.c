/* body.c - a chat_input as the body of POST …/chat/completions, or of …/completions when its prompt is raw.
 *
 * What the client left out is left out here too, so that the engine's own defaults act; thinking alone is always said to
 * an inference engine, because its template's default is not the contract's.
 */
#include "engine/upstream/body.h"

#include "contract/json.h"
#include "contract/model.h"
#include "engine/upstream/instruct.h"

/* Each member begins with its comma: "model" stands before all. */
static void add_key(struct buf *b, str key)
{
    buf_add(b, S(",\""));
    buf_add(b, key);
    buf_add(b, S("\":"));
}

static void add_str(struct buf *b, str key, str v)
{
    add_key(b, key);
    json_add_str(b, v);
}

static void add_bool(struct buf *b, str key, bool v)
{
    add_key(b, key);
    buf_add(b, v ? S("true") : S("false"));
}

static void add_num(struct buf *b, str key, opt_num v)
{
    if (!v.set)
        return;
    add_key(b, key);
    json_add_num(b, v.v);
}

static void add_int(struct buf *b, str key, opt_int v)
{
    if (!v.set)
        return;
    add_key(b, key);
    buf_add_i64(b, v.v);
}

static void add_raw(struct buf *b, str key, struct yyjson_val *v)
{
    add_key(b, key);
    buf_add(b, json_text(b->arena, v));
}

/* ---- messages ---- */

/* "wav" of "data:audio/wav;base64,…" and of "https://…/a.wav?x". */
static str audio_format(str url)
{
    str path = str_first(url, str_find(url, '?'));

    if (str_starts(url, S("data:"))) {
        str mime = str_first(str_from(url, 5), str_find(str_from(url, 5), ';'));
        str name = str_from(mime, str_find(mime, '/') == STR_NONE ? mime.len : str_find(mime, '/') + 1);

        if (str_starts(name, S("x-")))
            name = str_from(name, 2);
        return str_eq(name, S("mpeg")) ? S("mp3") : name.len ? name : S("wav");
    }
    for (size_t i = path.len; i > 0 && path.ptr[i - 1] != '/'; i--) {
        if (path.ptr[i - 1] == '.')
            return str_from(path, i);
    }
    return S("wav");
}

static void add_audio(struct buf *b, str url, const struct body_reader *to)
{
    size_t comma = str_find(url, ',');
    str    data = url;

    if (!to->cloud && !str_starts(url, S("data:"))) {
        buf_add(b, S("{\"type\":\"audio_url\",\"audio_url\":{\"url\":"));
        json_add_str(b, url);
        buf_add(b, S("}}"));
        return;
    }
    if (!to->cloud && comma != STR_NONE)
        data = str_from(url, comma + 1); /* engines want the Base64 text alone */
    buf_add(b, S("{\"type\":\"input_audio\",\"input_audio\":{\"data\":"));
    json_add_str(b, data);
    add_str(b, S("format"), audio_format(url));
    buf_add(b, S("}}"));
}

static void add_url_part(struct buf *b, str kind, str url)
{
    buf_add(b, S("{\"type\":\""));
    buf_add(b, kind);
    buf_add(b, S("\",\""));
    buf_add(b, kind);
    buf_add(b, S("\":{\"url\":"));
    json_add_str(b, url);
    buf_add(b, S("}}"));
}

static void add_mark(struct buf *b)
{
    buf_add(b, S(",\"cache_control\":{\"type\":\"ephemeral\"}"));
}

/* What stands beside an image or a video, in the contract's own names. */
static void add_options(struct buf *b, const struct chat_part *p)
{
    add_int(b, S("min_pixels"), p->options.min_pixels);
    add_int(b, S("max_pixels"), p->options.max_pixels);
    add_int(b, S("total_pixels"), p->options.total_pixels);
    add_num(b, S("fps"), p->options.fps);
    if (p->options.enable_rotate.set)
        add_bool(b, S("enable_rotate"), p->options.enable_rotate.v);
    if (p->cache)
        add_mark(b);
}

/* An image's "detail" is OpenAI's own. */
static void add_image(struct buf *b, const struct chat_part *p, const struct body_reader *to)
{
    static const str details[] = { S(""), S("auto"), S("low"), S("high") };

    buf_add(b, S("{\"type\":\"image_url\",\"image_url\":{\"url\":"));
    json_add_str(b, p->text);
    if (p->options.detail != MEDIA_DETAIL_UNSET)
        add_str(b, S("detail"), details[p->options.detail]);
    buf_add_char(b, '}');
    if (to->cloud)
        add_options(b, p);
    buf_add_char(b, '}');
}

static void add_video(struct buf *b, const struct chat_part *p, const struct body_reader *to)
{
    if (p->urls) {
        buf_add(b, S("{\"type\":\"video\""));
        add_raw(b, S("video"), p->urls);
    } else {
        buf_add(b, S("{\"type\":\"video_url\",\"video_url\":{\"url\":"));
        json_add_str(b, p->text);
        buf_add_char(b, '}');
    }
    if (to->cloud)
        add_options(b, p);
    buf_add_char(b, '}');
}

static void add_documents(struct buf *b, const struct chat_part *p)
{
    if (!p->urls) {
        add_url_part(b, S("file_url"), p->text);
        return;
    }
    buf_add(b, S("{\"type\":\"doc_url\""));
    add_raw(b, S("doc_url"), p->urls);
    if (p->file_parsing_strategy.len)
        add_str(b, S("file_parsing_strategy"), p->file_parsing_strategy);
    buf_add_char(b, '}');
}

static void add_part(struct buf *b, const struct chat_part *p, const struct body_reader *to)
{
    switch (p->kind) {
    case CHAT_PART_TEXT:
        buf_add(b, S("{\"type\":\"text\",\"text\":"));
        json_add_str(b, p->text);
        if (p->cache && to->cloud)
            add_mark(b);
        buf_add_char(b, '}');
        return;
    case CHAT_PART_IMAGE:
        add_image(b, p, to);
        return;
    case CHAT_PART_VIDEO:
        add_video(b, p, to);
        return;
    case CHAT_PART_AUDIO:
        add_audio(b, p->text, to);
        return;
    case CHAT_PART_FILE:
        add_documents(b, p);
        return;
    }
}

/* Text alone goes as a string, which all engines take; but not text that is marked for the cloud's cache. */
static bool is_text(const struct chat_message *m, const struct body_reader *to)
{
    if (m->cache && to->cloud && m->content.len)
        return false;
    for (size_t i = 0; m->content_is_array && i < m->part_count; i++) {
        if (m->parts[i].kind != CHAT_PART_TEXT || (m->parts[i].cache && to->cloud))
            return false;
    }
    return true;
}

static void add_content(struct buf *b, const struct chat_message *m, const struct body_reader *to)
{
    add_key(b, S("content"));
    if (is_text(m, to)) {
        json_add_str(b, m->content);
        return;
    }
    buf_add_char(b, '[');
    if (!m->part_count)
        add_part(b, &(struct chat_part){ .kind = CHAT_PART_TEXT, .text = m->content, .cache = m->cache }, to);
    for (size_t i = 0; i < m->part_count; i++) {
        struct chat_part part = m->parts[i];

        part.cache = part.cache || (m->cache && i + 1 == m->part_count); /* the message's mark is behind all of it */
        if (i)
            buf_add_char(b, ',');
        add_part(b, &part, to);
    }
    buf_add_char(b, ']');
}

static void add_tool_calls(struct buf *b, const struct chat_message *m)
{
    add_key(b, S("tool_calls"));
    for (size_t i = 0; i < m->tool_call_count; i++) {
        const struct chat_tool_call *c = &m->tool_calls[i];

        buf_add(b, i ? S(",{\"id\":") : S("[{\"id\":"));
        json_add_str(b, c->id);
        buf_add(b, S(",\"type\":\"function\",\"function\":{\"name\":"));
        json_add_str(b, c->name);
        add_str(b, S("arguments"), c->arguments);
        buf_add(b, S("}}"));
    }
    buf_add_char(b, ']');
}

static void add_message(struct buf *b, const struct chat_message *m, const struct body_reader *to)
{
    buf_add(b, S("{\"role\":"));
    json_add_str(b, chat_role_name(m->role));
    add_content(b, m, to);
    if (m->reasoning.len && !to->strict)
        add_str(b, S("reasoning_content"), m->reasoning);
    if (m->tool_call_count)
        add_tool_calls(b, m);
    if (m->tool_call_id.len)
        add_str(b, S("tool_call_id"), m->tool_call_id);
    if (m->name.len)
        add_str(b, S("name"), m->name);
    if (m->partial && to->cloud)
        add_bool(b, S("partial"), true);
    buf_add_char(b, '}');
}

static void add_messages(struct buf *b, const struct chat_input *in, const struct body_reader *to)
{
    add_key(b, S("messages"));
    buf_add_char(b, '[');
    for (size_t i = 0; i < in->message_count; i++) {
        if (i)
            buf_add_char(b, ',');
        add_message(b, &in->messages[i], to);
    }
    buf_add_char(b, ']');
}

/* ---- parameters ---- */

static void add_tools(struct buf *b, const struct chat_input *in)
{
    if (in->tool_count == 0)
        return;
    add_key(b, S("tools"));
    for (size_t i = 0; i < in->tool_count; i++) {
        buf_add_char(b, i ? ',' : '[');
        buf_add(b, in->tools[i].raw ? json_text(b->arena, in->tools[i].raw) : in->tools[i].text);
    }
    buf_add_char(b, ']');
    switch (in->tool_choice) {
    case CHAT_TOOLS_AUTO:
        break;
    case CHAT_TOOLS_NONE:
        add_str(b, S("tool_choice"), S("none"));
        break;
    case CHAT_TOOLS_REQUIRED:
        add_str(b, S("tool_choice"), S("required"));
        break;
    case CHAT_TOOLS_NAMED:
        add_key(b, S("tool_choice"));
        buf_add(b, S("{\"type\":\"function\",\"function\":{\"name\":"));
        json_add_str(b, in->tool_choice_name);
        buf_add(b, S("}}"));
        break;
    }
    if (in->parallel_tool_calls.set)
        add_bool(b, S("parallel_tool_calls"), in->parallel_tool_calls.v);
}

static void add_format(struct buf *b, const struct chat_input *in)
{
    if (in->format_raw) {
        add_raw(b, S("response_format"), in->format_raw);
        return;
    }
    switch (in->format) {
    case CHAT_FORMAT_TEXT:
        break;
    case CHAT_FORMAT_JSON_OBJECT:
        add_key(b, S("response_format"));
        buf_add(b, S("{\"type\":\"json_object\"}"));
        break;
    case CHAT_FORMAT_JSON_SCHEMA:
        add_key(b, S("response_format"));
        buf_add(b, S("{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\""));
        if (in->format_schema)
            add_raw(b, S("schema"), in->format_schema);
        buf_add(b, S("}}"));
        break;
    }
}

/* vLLM and SGLang take single ids under a name of their own; no engine takes rows of them. */
static void add_stop_ids(struct buf *b, const struct chat_input *in)
{
    bool first = true;

    add_key(b, S("stop_token_ids"));
    buf_add_char(b, '[');
    for (size_t i = 0; i < in->stop_ids_count; i++) {
        if (in->stop_ids[i].count != 1)
            continue;
        if (!first)
            buf_add_char(b, ',');
        first = false;
        buf_add_i64(b, in->stop_ids[i].ids[0]);
    }
    buf_add_char(b, ']');
}

static void add_stop(struct buf *b, const struct chat_input *in, const struct body_reader *to)
{
    if (in->stop_ids_count && !to->cloud) {
        if (!to->strict)
            add_stop_ids(b, in);
        return;
    }
    if (in->stop_raw) {
        add_raw(b, S("stop"), in->stop_raw);
        return;
    }
    if (in->stop_count == 0)
        return;
    add_key(b, S("stop"));
    for (size_t i = 0; i < in->stop_count; i++) {
        buf_add_char(b, i ? ',' : '[');
        json_add_str(b, in->stop[i]);
    }
    buf_add_char(b, ']');
}

/* The contract has two names for one limit. An engine may know only the older, OpenAI refuses both at once. */
static void add_limits(struct buf *b, const struct chat_input *in, const struct body_reader *to)
{
    opt_int older = in->max_tokens, newer = in->max_completion_tokens;

    if (to->strict && newer.set)
        older.set = false;
    if (!to->strict && !to->cloud && newer.set && !older.set)
        older = newer;
    add_int(b, S("max_tokens"), older);
    add_int(b, S("max_completion_tokens"), newer);
}

/* What the client has set of it, be it by a word. */
static opt_int thinking_limit(const struct chat_input *in)
{
    if (in->thinking_budget.set || !in->reasoning_effort.len || !in->model)
        return in->thinking_budget;
    return (opt_int){ .v = in->thinking_max, .set = model_effort_budget(in->model, in->reasoning_effort) > 0 };
}

static void add_thinking(struct buf *b, const struct chat_input *in, const struct body_reader *to)
{
    if (to->strict || in->raw_prompt.len)
        return;
    if (in->enable_thinking.set)
        add_bool(b, S("enable_thinking"), in->enable_thinking.v);
    add_int(b, S("thinking_budget"), in->thinking_budget);
    if (to->cloud) {
        if (in->preserve_thinking.set)
            add_bool(b, S("preserve_thinking"), in->preserve_thinking.v);
        return;
    }
    add_key(b, S("chat_template_kwargs"));
    buf_add(b, in->thinking ? S("{\"enable_thinking\":true") : S("{\"enable_thinking\":false"));
    add_int(b, S("thinking_budget"), thinking_limit(in));
    buf_add_char(b, '}');
}

/* The options of special models. */
static void add_special(struct buf *b, const struct chat_input *in)
{
    if (in->translation)
        add_raw(b, S("translation_options"), in->translation);
    if (in->ocr_options)
        add_raw(b, S("ocr_options"), in->ocr_options);
    if (in->skill)
        add_raw(b, S("skill"), in->skill);
    if (in->audio_out) {
        add_key(b, S("modalities"));
        buf_add(b, S("[\"text\",\"audio\"],\"audio\":{\"format\":\"wav\""));
        if (in->voice.len)
            add_str(b, S("voice"), in->voice);
        buf_add_char(b, '}');
    }
}

static void add_extensions(struct buf *b, const struct chat_input *in, const struct body_reader *to)
{
    const struct chat_message *last = in->message_count ? &in->messages[in->message_count - 1] : NULL;

    if (to->strict)
        return;
    add_int(b, S("top_k"), in->top_k);
    add_num(b, S("repetition_penalty"), in->repetition_penalty);
    if (to->cloud) {
        if (in->enable_search.set)
            add_bool(b, S("enable_search"), in->enable_search.v);
        if (in->text_image_mixed.set)
            add_bool(b, S("enable_text_image_mixed"), in->text_image_mixed.v);
        if (in->search_options)
            add_raw(b, S("search_options"), in->search_options);
        if (in->code_interpreter.set)
            add_bool(b, S("enable_code_interpreter"), in->code_interpreter.v);
        if (in->tool_stream.set)
            add_bool(b, S("tool_stream"), in->tool_stream.v);
        if (in->vl_high_resolution_images.set)
            add_bool(b, S("vl_high_resolution_images"), in->vl_high_resolution_images.v);
        add_special(b, in);
        return;
    }
    add_num(b, S("repeat_penalty"), in->repetition_penalty); /* llama-server's name for it */
    if (last && last->partial) { /* vLLM and SGLang must be told; llama-server goes on by itself */
        add_bool(b, S("add_generation_prompt"), false);
        add_bool(b, S("continue_final_message"), true);
    }
}

/* A guess that is right for most: the text doubles its size only when all of it must be escaped. */
static size_t size_guess(const struct chat_input *in)
{
    size_t size = 512;

    for (size_t i = 0; i < in->message_count; i++)
        size += in->messages[i].content.len + 64;
    return size + size / 16;
}

str body_write(struct arena *a, const struct chat_input *in, str model, const struct body_reader *to)
{
    struct buf b;

    if (!to->cloud)
        in = instruct(a, in);
    buf_init(&b, a, SIZE_MAX / 2); /* the input had its ceiling */
    (void)buf_room(&b, size_guess(in));
    buf_add(&b, S("{\"model\":"));
    json_add_str(&b, model);
    if (in->raw_prompt.len)
        add_str(&b, S("prompt"), in->raw_prompt);
    else
        add_messages(&b, in, to);
    if (in->stream) {
        add_bool(&b, S("stream"), true);
        add_key(&b, S("stream_options"));
        buf_add(&b, S("{\"include_usage\":true}"));
    }
    add_tools(&b, in);
    add_format(&b, in);
    add_num(&b, S("temperature"), in->temperature);
    add_num(&b, S("top_p"), in->top_p);
    add_num(&b, S("presence_penalty"), in->presence_penalty);
    add_num(&b, S("frequency_penalty"), in->frequency_penalty);
    add_int(&b, S("seed"), in->seed);
    if (in->n.set && in->n.v != 1)
        add_int(&b, S("n"), in->n);
    add_limits(&b, in, to);
    add_stop(&b, in, to);
    if (in->logprobs.set)
        add_bool(&b, S("logprobs"), in->logprobs.v);
    add_int(&b, S("top_logprobs"), in->top_logprobs);
    if (in->logit_bias)
        add_raw(&b, S("logit_bias"), in->logit_bias);
    if (in->reasoning_effort.len)
        add_str(&b, S("reasoning_effort"), in->reasoning_effort);
    add_thinking(&b, in, to);
    add_extensions(&b, in, to);
    buf_add_char(&b, '}');
    return buf_str(&b);
}
