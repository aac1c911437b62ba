/* refusal.c - what the failures of an upstream become. */
#include "engine/upstream/refusal.h"

#include "base/utf8.h"
#include "contract/errors.gen.h"
#include "contract/json.h"

#define SHOWN_MAX 300                 /* bytes of a foreign text that the log shows */
#define BODY_MAX  ((size_t)64 * 1024) /* a longer error body is not read */

static str shown(str s)
{
    return str_first(s, utf8_cut(s, SHOWN_MAX));
}

/* ---- reading ---- */

/* The HTTP status that an error's "code" is, if it is one. */
static int status_of(yyjson_val *code)
{
    int64_t v = 0;

    if (yyjson_is_str(code) ? !str_to_i64(json_str(code), &v) : !json_to_i64(code, &v))
        return 0;
    return v >= 400 && v <= 599 ? (int)v : 0;
}

static bool object_read(yyjson_val *obj, struct refusal *r)
{
    yyjson_val *code = json_get(obj, "code");

    r->message = json_str(json_get(obj, "message"));
    r->type = json_str(json_get(obj, "type"));
    r->code = json_str(code);
    r->status = status_of(code);
    if (!r->status)
        r->status = status_of(json_get(obj, "status_code"));
    if (!json_to_i64(json_get(obj, "n_ctx"), &r->limit))
        r->limit = 0;
    return r->message.len || r->code.len;
}

bool refusal_read(struct yyjson_val *root, struct refusal *ret)
{
    struct refusal r = { 0 };
    yyjson_val    *error = json_get(root, "error");

    if (yyjson_is_obj(error)) {
        if (!object_read(error, &r))
            return false;
    } else if (yyjson_is_str(error)) {
        r.message = json_str(error);
    } else if (yyjson_is_arr(json_get(root, "choices")) || yyjson_is_arr(root)) {
        return false;
    } else if (!object_read(root, &r)) {
        r.message = json_str(json_get(root, "detail"));
        if (!r.message.len)
            return false;
    }
    *ret = r;
    return true;
}

/* ---- which row ---- */

static bool has_any(str s, const str *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_find_str_nocase(s, words[i]) != STR_NONE)
            return true;
    }
    return false;
}

/* An error object in a stream has no status of HTTP; most name it as their code, the others by words. */
static int status_guess(const struct refusal *r)
{
    const str busy[] = { S("throttling"), S("limit_requests"), S("limit_burst_rate"), S("insufficient_quota"),
                         S("rate_limit") };
    const str asked_wrong[] = { S("invalid_request"),   S("invalidparameter"), S("badrequest"),
                                S("invalid_parameter"), S("data_inspection"),  S("datainspection") };

    if (r->status)
        return r->status;
    if (has_any(r->code, busy, ARRAY_LEN(busy)) || has_any(r->type, busy, ARRAY_LEN(busy)))
        return 429;
    if (has_any(r->code, asked_wrong, ARRAY_LEN(asked_wrong)) || has_any(r->type, asked_wrong, ARRAY_LEN(asked_wrong)))
        return 400;
    return 500;
}

/* How servers say that the prompt, or it and max_tokens together, exceed the context. */
static const str too_long_types[] = {
    S("exceed_context_size_error"), /* llama-server; with "n_ctx" */
    S("context_length_exceeded"),   /* OpenAI's, and who follows it */
};
static const str too_long_words[] = {
    S("exceeds the available context size"), /* llama-server */
    S("exceeds the context length"),         /* Ollama */
    S("exceeds maximum context length"),     /* Ollama */
};
/* What the limit stands behind. */
static const str limit_after[] = {
    S("maximum context length is "),     /* vLLM */
    S("context length is only "),        /* vLLM */
    S("maximum model length of "),       /* vLLM */
    S("maximum context length of "),     /* SGLang */
    S("model's context length ("),       /* SGLang */
    S("available context size ("),       /* llama-server */
    S("of input length should be [1, "), /* another dashbox */
};
/* What the length of the prompt stands before, when max_tokens is named beside it. */
static const str prompt_before[] = {
    S(" in the messages"),                /* vLLM */
    S(" input tokens"),                   /* vLLM */
    S(" tokens from the input messages"), /* SGLang */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int64_t number_after(str s, str words)
{
    size_t  at = str_find_str_nocase(s, words), n = 0;
    int64_t v;

    if (at == STR_NONE)
        return 0;
    s = str_from(s, at + words.len);
    while (n < s.len && is_digit(s.ptr[n]))
        n++;
    return str_to_i64(str_first(s, n), &v) ? v : 0;
}

static int64_t number_before(str s, str words)
{
    size_t  end = str_find_str_nocase(s, words), begin;
    int64_t v;

    if (end == STR_NONE)
        return 0;
    for (begin = end; begin > 0 && is_digit(s.ptr[begin - 1]);)
        begin--;
    return str_to_i64(str_of(s.ptr + begin, end - begin), &v) ? v : 0;
}

/* REF: E008, E009. False: it is about something else, or no limit is known. */
static bool raise_too_long(struct fault *f, int64_t input_max, const struct refusal *r)
{
    bool said = has_any(r->type, too_long_types, ARRAY_LEN(too_long_types)) ||
                has_any(r->code, too_long_types, ARRAY_LEN(too_long_types)) ||
                has_any(r->message, too_long_words, ARRAY_LEN(too_long_words));
    int64_t limit = r->limit, prompt = 0;

    for (size_t i = 0; i < ARRAY_LEN(limit_after) && limit <= 0; i++)
        limit = number_after(r->message, limit_after[i]);
    for (size_t i = 0; i < ARRAY_LEN(prompt_before) && !prompt; i++)
        prompt = number_before(r->message, prompt_before[i]);
    if (limit <= 0 && said)
        limit = input_max;
    if (limit <= 0)
        return false;
    if (prompt > 0 && prompt < limit)
        (void)fail_max_tokens_range(f, limit - prompt);
    else
        (void)fail_input_length_range(f, limit);
    return true;
}

static enum err raise_status(struct fault *f, int status, bool said)
{
    switch (status) {
    case 400:
    case 409:
    case 413:
    case 422:
        return fail_engine_rejected(f);
    case 404:
    case 502:
    case 503:
        return fail_model_unavailable(f);
    case 408:
    case 504:
        return fail_request_timeout(f);
    case 429:
        return fail_model_serving_busy(f);
    }
    if (status < 400)
        return fail_backend_no_response(f);
    if (status < 500)
        return fail_system_error(f);
    return said ? fail_inference_internal(f) : fail_algorithm_internal(f);
}

static enum err raise_said(struct fault *f, struct arena *a, bool cloud, int64_t input_max, int status,
                           const struct refusal *r)
{
    if (cloud && status != 401 && r->message.len && (r->code.len || r->type.len)) {
        (void)fault_raise_foreign(f, status, arena_str(a, r->code), arena_str(a, r->type), arena_str(a, r->message));
        return fault_detail(f, S("passed on from the upstream"));
    }
    if (!raise_too_long(f, input_max, r))
        (void)raise_status(f, status, true);
    return fault_detail(f, arena_printf(a, "the upstream refused with %d: %.*s%s%.*s", status,
                                        STR_ARG(shown(r->code.len ? r->code : r->type)),
                                        r->code.len || r->type.len ? ": " : "", STR_ARG(shown(r->message))));
}

enum err refusal_of_answer(struct fault *f, struct arena *a, bool cloud, int64_t input_max, int status, str body)
{
    yyjson_val    *root = body.len <= BODY_MAX ? json_parse_copy(a, body) : NULL;
    struct refusal r;

    if (status >= 400 && status <= 599 && refusal_read(root, &r))
        return raise_said(f, a, cloud, input_max, status, &r);
    (void)raise_status(f, status, false);
    return fault_detail(f, arena_printf(a, "the upstream answered %d: %.*s", status, STR_ARG(shown(body))));
}

enum err refusal_in_answer(struct fault *f, struct arena *a, bool cloud, int64_t input_max, const struct refusal *r)
{
    return raise_said(f, a, cloud, input_max, status_guess(r), r);
}

enum err refusal_of_protocol(struct fault *f, struct arena *a, const char *what, str text)
{
    (void)fail_backend_no_response(f);
    if (!text.len)
        return fault_detail(f, arena_printf(a, "the upstream's answer: %s", what));
    return fault_detail(f, arena_printf(a, "the upstream's answer: %s: %.*s", what, STR_ARG(shown(text))));
}
