/* speech.c - speech over HTTP: CosyVoice's own path, Qwen-TTS and Qwen-ASR on the multimodal one; whole or as a stream of events.
 *
 * Spec: speech.md §3.2, §3.4, §3.5, §4.5.
 */
#include "access/admission.h"
#include "access/faults.h"
#include "api/body_model.h"
#include "api/native/native.h"
#include "api/reply.h"
#include "contract/base64.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "contract/params.h"
#include "contract/synthesis_params.gen.h"
#include "net/http_server.h"
#include "service/hearing.h"
#include "service/reading.h"
#include "service/services.h"
#include "service/voices.h"
#include "tokens/count_memo.h"

enum { DELTA = 24000 }; /* bytes of sound in one event */

struct answer {
    struct request *rq;
    struct reading  r;
    bool            cosyvoice; /* its events have sentences */
    str             usage;     /* JSON */
    int64_t         events, index;
};

/* ---- what it costs ---- */

static bool counts_tokens(const struct model *m)
{
    return m->prices[PRICE_CN] && m->prices[PRICE_CN]->unit == PRICE_TOKENS;
}

/* What was used by now (speech.md §1.6). */
static void count(struct answer *a, const struct model *m)
{
    struct request *rq = a->rq;
    int64_t         sound = (a->r.ms + 999) / 1000 * 50;

    if (!counts_tokens(m)) {
        rq->usage.characters = a->r.characters;
        a->usage = arena_printf(rq->arena, "{\"characters\":%lld}", (long long)a->r.characters);
        return;
    }
    rq->usage.prompt_tokens = (int64_t)count_memo_get(rq->services->memo, rq->services->tokenizer, a->r.said);
    rq->usage.completion_tokens = rq->usage.audio_out_tokens = sound;
    a->usage = arena_printf(
        rq->arena,
        "{\"total_tokens\":%lld,\"input_tokens\":%lld,\"output_tokens\":%lld,\"input_tokens_details\":{\"text_tokens\":%lld},"
        "\"output_tokens_details\":{\"audio_tokens\":%lld,\"text_tokens\":0}}",
        (long long)(rq->usage.prompt_tokens + sound), (long long)rq->usage.prompt_tokens, (long long)sound,
        (long long)rq->usage.prompt_tokens, (long long)sound);
}

/* ---- the answer ---- */

static void add_audio(struct answer *a, struct buf *b, str data, str url, int64_t expires_s)
{
    buf_add(b, S("\"audio\":{\"data\":\""));
    base64_add(b, data);
    buf_addf(b, "\",\"expires_at\":%lld,\"id\":\"audio_%s\",\"url\":", (long long)expires_s, a->rq->id);
    json_add_str(b, url);
    buf_add_char(b, '}');
}

SUSPENDS static enum err whole(struct answer *a, const struct model *m)
{
    struct buf    b;
    str           sentence, url;
    struct spoken spoken;
    int64_t       expires_s;
    enum err      e;

    do {
        e = reading_next(&a->r, &sentence, &spoken);
    } while (!e);
    if (e == ERR_EOF)
        e = reading_keep(&a->r, &url, &expires_s);
    if (!e)
        e = faults_whole(a->rq);
    if (e)
        return e;
    count(a, m);
    e = admit_charge(a->rq);
    if (e)
        return e;
    buf_init(&b, a->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"output\":{"));
    add_audio(a, &b, (str){ 0 }, url, expires_s);
    buf_add(&b, S(",\"finish_reason\":\"stop\"},\"usage\":"));
    buf_add(&b, a->usage);
    reply_add_request_id(&b, a->rq);
    return reply_json(a->rq, buf_str(&b));
}

/* One event. `type`: of CosyVoice's sentences; NULL: Qwen-TTS has none. */
SUSPENDS static enum err event(struct answer *a, const char *type, str original, str data, str url, int64_t expires_s)
{
    struct buf *b = http_stream_buf(a->rq->x);
    enum err    e = faults_step(a->rq);

    if (e)
        return e;
    reply_native_event(b, ++a->events, S("result"), 200);
    buf_add(b, S("{\"output\":{"));
    if (type) {
        buf_addf(b, "\"type\":\"%s\",\"sentence\":{\"index\":%lld,\"words\":[]},", type, (long long)a->index);
        if (original.len) {
            buf_add(b, S("\"original_text\":"));
            json_add_str(b, original);
            buf_add_char(b, ',');
        }
    }
    add_audio(a, b, data, url, expires_s);
    buf_add(b, url.len ? S(",\"finish_reason\":\"stop\"}") : S(",\"finish_reason\":\"null\"}"));
    if (a->usage.len) {
        buf_add(b, S(",\"usage\":"));
        buf_add(b, a->usage);
    }
    reply_add_request_id(b, a->rq);
    buf_add(b, S("\n\n"));
    return http_stream_flush(a->rq->x);
}

SUSPENDS static enum err send_sound(struct answer *a, str sound, int64_t expires_s)
{
    enum err e = OK;

    while (!e && sound.len) {
        str piece = str_first(sound, DELTA);

        e = event(a, a->cosyvoice ? "sentence-synthesis" : NULL, (str){ 0 }, piece, (str){ 0 }, expires_s);
        sound = str_from(sound, piece.len);
    }
    return e;
}

SUSPENDS static enum err stream(struct answer *a, const struct model *m)
{
    int64_t       expires_s = a->rq->arrived_ms / 1000 + a->rq->settings->tasks.keep_ms / 1000;
    str           sentence, url;
    struct spoken spoken;
    enum err      e = reading_next(&a->r, &sentence, &spoken); /* the first may be refused as HTTP */

    if (e)
        return e;
    request_phase(a->rq, PHASE_STREAM);
    reply_stream_begin(a->rq, 200);
    while (!e) {
        if (a->cosyvoice && sentence.len)
            e = event(a, "sentence-begin", sentence, (str){ 0 }, (str){ 0 }, expires_s);
        if (!e)
            e = send_sound(a, spoken.sound, expires_s);
        if (!e && a->cosyvoice && sentence.len) {
            e = event(a, "sentence-end", sentence, (str){ 0 }, (str){ 0 }, expires_s);
            a->index++;
        }
        if (!e)
            e = reading_next(&a->r, &sentence, &spoken);
    }
    if (e == ERR_EOF)
        e = reading_keep(&a->r, &url, &expires_s);
    if (!e)
        e = faults_last(a->rq);
    if (!e) {
        count(a, m);
        e = admit_charge(a->rq);
    }
    if (e == ERR_FAULT) {
        struct fault_view v;

        fault_render(&a->rq->fault, &a->rq->settings->wording, a->rq->arena, &v);
        reply_native_fault(a->rq, http_stream_buf(a->rq->x), ++a->events, &v);
        return http_stream_end(a->rq->x);
    }
    if (!e)
        e = event(a, NULL, (str){ 0 }, (str){ 0 }, url, expires_s);
    return e ? e : http_stream_end(a->rq->x);
}

SUSPENDS static enum err run(struct request *rq, const struct model *m, const struct synthesis_plan *plan, str text,
                             bool cosyvoice)
{
    struct answer *a = arena_new(rq->arena, struct answer);
    enum err       e = reading_begin(rq, plan, text, &a->r);

    a->rq = rq;
    a->cosyvoice = cosyvoice;
    if (e)
        return e;
    e = rq->stream ? stream(a, m) : whole(a, m);
    if (e == ERR_FAULT && rq->stream && !http_begun(rq->x))
        return reply_fault(rq, true);
    return e;
}

/* ---- CosyVoice ---- */

/* Everything stands in input. REF: E272, E084, E087, W446. */
enum err handle_native_speech_synthesizer(struct request *rq)
{
    struct synthesis_input in = { 0 };
    struct synthesis_plan  plan;
    const struct model    *m;
    yyjson_val            *root, *input;
    enum err               e = request_json(rq, &root);

    if (!e)
        e = body_model_native(rq, root, MODEL_PATH_SPEECH_SYNTHESIS, &m);
    if (!e)
        e = admit(rq, m);
    if (e)
        return e;
    rq->stream = native_wants_stream(rq);
    input = json_get(root, "input");
    if (!yyjson_is_obj(input))
        return input ? fail_input_not_object(&rq->fault) : fail_input_missing(&rq->fault);
    e = params_read(rq, &synthesis_params_native_parameters, input, m, &in);
    if (!e && (in.format == SYNTHESIS_FORMAT_UNSET || in.format == SYNTHESIS_FORMAT_DEFAULT))
        in.format = SYNTHESIS_WAV;
    if (!e && !in.sample_rate.set)
        in.sample_rate = (opt_int){ 24000, true };
    if (!e)
        e = synthesis_plan_make(rq, m, &in, &plan);
    if (!e && speech_text_is_marked_up(json_str(json_get(input, "text"))) && !plan.marked_up)
        e = fail_tts_ssml_unsupported(&rq->fault);
    return e ? e : run(rq, m, &plan, json_str(json_get(input, "text")), true);
}

/* ---- Qwen-TTS ---- */

static str language_of(str type)
{
    return str_eq(type, S("English"))      ? S("en")
           : str_eq(type, S("Chinese"))    ? S("zh")
           : str_eq(type, S("German"))     ? S("de")
           : str_eq(type, S("Italian"))    ? S("it")
           : str_eq(type, S("Portuguese")) ? S("pt")
           : str_eq(type, S("Spanish"))    ? S("es")
           : str_eq(type, S("Japanese"))   ? S("ja")
           : str_eq(type, S("Korean"))     ? S("ko")
           : str_eq(type, S("French"))     ? S("fr")
           : str_eq(type, S("Russian"))    ? S("ru")
                                           : (str){ 0 };
}

/* REF: E098, E008. */
enum err native_tts(struct request *rq, yyjson_val *root, const struct model *m)
{
    yyjson_val           *input = json_get(root, "input"), *parameters = json_get(root, "parameters");
    str                   text = json_str(json_get(input, "text")), voice = json_str(json_get(input, "voice"));
    struct synthesis_plan plan = {
        .count = SPEECH_COUNT_HAN_2,
        .speaker = { .format = SOUND_PCM, .sample_rate = 24000, .rate = 1, .pitch = 1, .volume = 50 }
    };
    enum err e = admit(rq, m);

    might_suspend();
    if (e)
        return e;
    if (!yyjson_is_obj(input))
        return input ? fail_input_not_object(&rq->fault) : fail_input_missing(&rq->fault);
    if (!voice.len) /* where the Java SDK puts a cloned one */
        voice = json_str(json_get(parameters, "voice"));
    if (!text.len)
        return fail_parameter_missing_named(&rq->fault, S("text"));
    if (!voice.len)
        return fail_parameter_missing_named(&rq->fault, S("voice"));
    if (counts_tokens(m)
            ? (int64_t)count_memo_get(rq->services->memo, rq->services->tokenizer, text) > SYNTHESIS_QWEN_TOKENS_MAX
            : speech_text_count(text, SPEECH_COUNT_EACH_1, false) > SYNTHESIS_QWEN_TEXT_MAX)
        return fail_input_length_range(&rq->fault,
                                       counts_tokens(m) ? SYNTHESIS_QWEN_TOKENS_MAX : SYNTHESIS_QWEN_TEXT_MAX);
    e = voices_find(rq, m->id, voice, &plan.speaker.voice);
    if (e == ERR_NOT_FOUND)
        return fail_voice_unsupported(&rq->fault, voice);
    if (e)
        return e;
    plan.speaker.language = language_of(json_str(json_get(input, "language_type")));
    return run(rq, m, &plan, text, false);
}

/* ---- Qwen-ASR ---- */

/* The sound of the last message that has one: {"audio": "…"}. */
static str sound_of(yyjson_val *messages)
{
    size_t      i, n, k, m;
    yyjson_val *message, *part;
    str         url = { 0 };

    yyjson_arr_foreach(messages, i, n, message)
    {
        yyjson_arr_foreach(json_get(message, "content"), k, m, part)
        {
            if (yyjson_is_str(json_get(part, "audio")))
                url = json_str(json_get(part, "audio"));
        }
    }
    return url;
}

static void add_heard(struct request *rq, struct buf *b, str text, const struct hearing *h, bool last, int64_t tokens)
{
    buf_addf(
        b,
        "{\"output\":{\"choices\":[{\"finish_reason\":\"%s\",\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":",
        last ? "stop" : "null");
    json_add_str(b, text);
    buf_add(
        b,
        S("}],\"annotations\":[{\"type\":\"audio_info\",\"language\":\"en\",\"emotion\":\"neutral\"}]}}]},\"usage\":{\"input_tokens_details\":{\"text_tokens\":0},"));
    buf_addf(b, "\"output_tokens_details\":{\"text_tokens\":%lld},\"seconds\":%lld}", (long long)tokens,
             (long long)((h->audio_ms + 999) / 1000));
    reply_add_request_id(b, rq);
}

/* A sentence an event; each has all that was heard by then, unless increments are asked for. */
SUSPENDS static enum err stream_heard(struct request *rq, yyjson_val *parameters, const struct hearing *h,
                                      int64_t tokens)
{
    bool       increments = yyjson_is_true(json_get(parameters, "incremental_output"));
    struct buf all;

    buf_init(&all, rq->arena, SIZE_MAX / 2);
    request_phase(rq, PHASE_STREAM);
    reply_stream_begin(rq, 200);
    for (size_t i = 0; i <= h->count; i++) {
        struct buf *b = http_stream_buf(rq->x);
        bool        last = i == h->count;
        str         piece = last ? (str){ 0 } : h->sentences[i].text;
        enum err    e;

        if (all.len && piece.len)
            buf_add_char(&all, ' ');
        buf_add(&all, piece);
        reply_native_event(b, (int64_t)i + 1, S("result"), 200);
        add_heard(rq, b,
                  increments ? (i && piece.len ? arena_printf(rq->arena, " %.*s", STR_ARG(piece)) : piece)
                             : buf_str(&all),
                  h, last, tokens);
        buf_add(b, S("\n\n"));
        e = http_stream_flush(rq->x);
        if (e)
            return e;
    }
    return http_stream_end(rq->x);
}

/* REF: E103, E042 and what hearing_fetch() refuses. */
enum err native_asr(struct request *rq, yyjson_val *root, const struct model *m)
{
    yyjson_val    *input = json_get(root, "input");
    struct hearing h;
    struct buf     b;
    int64_t        tokens;
    str            url;
    enum err       e = admit(rq, m);

    might_suspend();
    if (e)
        return e;
    if (!yyjson_is_obj(input))
        return input ? fail_input_not_object(&rq->fault) : fail_input_missing(&rq->fault);
    url = sound_of(json_get(input, "messages"));
    e = url.len ? hearing_fetch(rq, m, url, &h) : fail_audio_empty(&rq->fault);
    if (e)
        return e;
    tokens = (int64_t)count_memo_get(rq->services->memo, rq->services->tokenizer, h.text);
    rq->usage.play_ms = h.audio_ms;
    e = faults_whole(rq);
    if (!e)
        e = admit_charge(rq);
    if (e)
        return e;
    if (rq->stream)
        return stream_heard(rq, json_get(root, "parameters"), &h, tokens);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    add_heard(rq, &b, h.text, &h, true, tokens);
    return reply_json(rq, buf_str(&b));
}
