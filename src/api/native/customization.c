/* customization.c - vocabularies of recognition, and voices of synthesis, that clients make, look up and delete.
 *
 *      POST /api/v1/services/audio/asr/customization    model speech-biasing
 *      POST /api/v1/services/audio/tts/customization    models voice-enrollment, qwen-voice-enrollment, qwen-voice-design
 *
 * input.action says what is done.
 *
 * Spec: speech.md §3.6, §3.7, §3.8, §4.4.
 */
#include "access/admission.h"
#include "api/body_model.h"
#include "api/native/native.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/utf8.h"
#include "contract/base64.h"
#include "contract/customization_params.gen.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "contract/params.h"
#include "service/services.h"
#include "service/task_output.h"
#include "service/vocabularies.h"
#include "service/voices.h"

#include <time.h>

struct call {
    struct request   *rq;
    yyjson_val       *input, *parameters; /* parameters may be NULL */
    str               kind;               /* of the assets */
    enum voice_family family;
    struct buf        output; /* members */
    int64_t           count;  /* usage.count */
};

struct action {
    str name;
    SUSPENDS enum err (*run)(struct call *c);
};

/* ---- what they have in common ---- */

/* "Required parameter(X) missing or invalid, …" */
static enum err refuse(struct call *c, const char *name)
{
    return fail_parameter_missing_named(&c->rq->fault, str_from_cstr(name));
}

static str text(struct call *c, const char *name)
{
    return json_str(json_get(c->input, name));
}

static enum err not_found(struct call *c, enum err e, str voice)
{
    if (e != ERR_NOT_FOUND)
        return e;
    return c->family == VOICE_QWEN_CLONE || c->family == VOICE_QWEN_DESIGN
               ? fail_voice_not_found(&c->rq->fault, voice) /* REF: E182 */
               : fail_vocabulary_not_found(&c->rq->fault);  /* REF: E167 */
}

SUSPENDS static enum err find(struct call *c, str id, struct asset *ret)
{
    struct asset_get g = { .arena = c->rq->arena, .id = id, .kind = c->kind, .workspace = c->rq->workspace };
    enum err         e = store_run(c->rq->services->store, asset_get_job, &g);

    *ret = g.row;
    return not_found(c, e, id);
}

SUSPENDS static enum err delete_asset(struct call *c, const char *member)
{
    struct asset_delete d = { .id = text(c, member), .kind = c->kind, .workspace = c->rq->workspace };

    if (!d.id.len)
        return refuse(c, member);
    return not_found(c, store_run_together(c->rq->services->store, asset_delete_job, NULL, &d), d.id);
}

/* REF: E168, E169. */
SUSPENDS static enum err create_asset(struct call *c, str id, str prefix, str target_model, str body)
{
    bool                words = str_eq(c->kind, VOCABULARY_KIND);
    struct asset_create a = { .row = { .id = id,
                                       .kind = c->kind,
                                       .workspace = c->rq->workspace,
                                       .prefix = prefix,
                                       .target_model = target_model,
                                       .body = body,
                                       .created_ms = clock_unix_ms() },
                              .max = words ? c->rq->settings->speech.vocabularies_max
                                           : c->rq->settings->speech.voices_max };
    enum err            e = store_run_together(c->rq->services->store, asset_create_job, NULL, &a);

    if (e == ERR_LIMIT)
        return words ? fail_vocabulary_quota(&c->rq->fault) : fail_voice_quota(&c->rq->fault);
    return e;
}

static enum err read_page(struct call *c, struct asset_list *l)
{
    yyjson_val *index = json_get(c->input, "page_index"), *size = json_get(c->input, "page_size");
    int64_t     page = 0, rows = 10;

    if (index && (!json_to_i64(index, &page) || page < 0 || page > 1000000))
        return refuse(c, "page_index");
    if (size && (!json_to_i64(size, &rows) || rows < 1 || rows > 1000000))
        return refuse(c, "page_size");
    l->limit = min_i64(rows, CUSTOMIZATION_PAGE_SIZE_MAX);
    l->offset = page * l->limit; /* a page that is cut leaves out nothing: the next goes on behind it */
    return OK;
}

SUSPENDS static enum err list_assets(struct call *c, struct asset_list *l)
{
    enum err e;

    *l = (struct asset_list){
        .arena = c->rq->arena, .kind = c->kind, .workspace = c->rq->workspace, .prefix = text(c, "prefix")
    };
    e = read_page(c, l);
    return e ? e : store_run(c->rq->services->store, asset_list_job, l);
}

static void add_text(struct call *c, const char *name, str value)
{
    buf_addf(&c->output, ",\"%s\":", name);
    json_add_str(&c->output, value);
}

static void add_times(struct call *c, const struct asset *a)
{
    buf_add(&c->output, S(",\"gmt_create\":"));
    task_time_add(&c->output, a->created_ms, false);
    buf_add(&c->output, S(",\"gmt_modified\":"));
    task_time_add(&c->output, a->modified_ms, false);
}

static str unique(struct call *c)
{
    char   id[UUID_LEN + 1];
    char  *hex = arena_bytes(c->rq->arena, 32);
    size_t n = 0;

    rand_uuid(id, '4');
    for (size_t i = 0; i < UUID_LEN; i++) {
        if (id[i] != '-')
            hex[n++] = id[i];
    }
    return str_of(hex, n);
}

/* ---- vocabularies ---- */

/* {"text":…,"weight":4,"lang":…}. */
static bool is_word(yyjson_val *v)
{
    str     word = json_str(json_get(v, "text"));
    int64_t weight;
    size_t  pieces = 0;

    if (!str_trim(word).len || !json_to_i64(json_get(v, "weight"), &weight) || weight < 1 ||
        weight > CUSTOMIZATION_VOCABULARY_WEIGHT_MAX)
        return false;
    if (!utf8_is_ascii(word))
        return utf8_count(word) <= CUSTOMIZATION_VOCABULARY_TEXT_CHARS;
    while (word.len)
        pieces += str_cut(&word, ' ').len > 0;
    return pieces <= CUSTOMIZATION_VOCABULARY_TEXT_PIECES;
}

static enum err read_words(struct call *c, str *ret)
{
    yyjson_val *words = json_get(c->input, "vocabulary"), *v;
    size_t      i, n = yyjson_arr_size(words);

    if (!n || n > CUSTOMIZATION_VOCABULARY_WORDS_MAX)
        return refuse(c, "vocabulary");
    yyjson_arr_foreach(words, i, n, v)
    {
        if (!is_word(v))
            return refuse(c, "vocabulary");
    }
    *ret = json_text(c->rq->arena, words);
    return OK;
}

SUSPENDS static enum err create_vocabulary(struct call *c)
{
    str      prefix = text(c, "prefix"), model = text(c, "target_model"), words, id;
    enum err e;

    if (!model.len)
        return refuse(c, "target_model");
    if (!param_name_ok(&customization_vocabulary_prefix, prefix))
        return refuse(c, "prefix");
    e = read_words(c, &words);
    if (e)
        return e;
    id = arena_printf(c->rq->arena, "vocab-%.*s-%.*s", STR_ARG(prefix), STR_ARG(unique(c)));
    add_text(c, "vocabulary_id", id);
    return create_asset(c, id, prefix, model, words);
}

SUSPENDS static enum err list_vocabulary(struct call *c)
{
    struct asset_list l;
    enum err          e = list_assets(c, &l);

    buf_add(&c->output, S(",\"vocabulary_list\":["));
    for (size_t i = 0; i < l.count && !e; i++) {
        buf_add(&c->output, i ? S(",{\"vocabulary_id\":") : S("{\"vocabulary_id\":"));
        json_add_str(&c->output, l.rows[i].id);
        add_times(c, &l.rows[i]);
        buf_add(&c->output, S(",\"status\":\"OK\"}"));
    }
    buf_add_char(&c->output, ']');
    return e;
}

SUSPENDS static enum err query_vocabulary(struct call *c)
{
    struct asset a;
    enum err     e = text(c, "vocabulary_id").len ? find(c, text(c, "vocabulary_id"), &a) : refuse(c, "vocabulary_id");

    if (e)
        return e;
    add_times(c, &a);
    add_text(c, "status", S("OK"));
    add_text(c, "target_model", a.target_model);
    buf_add(&c->output, S(",\"vocabulary\":"));
    buf_add(&c->output, a.body);
    return OK;
}

SUSPENDS static enum err update_vocabulary(struct call *c)
{
    struct asset_update u = {
        .id = text(c, "vocabulary_id"), .kind = c->kind, .workspace = c->rq->workspace, .now_ms = clock_unix_ms()
    };
    enum err e = u.id.len ? read_words(c, &u.body) : refuse(c, "vocabulary_id");

    return e ? e : not_found(c, store_run_together(c->rq->services->store, asset_update_job, NULL, &u), u.id);
}

SUSPENDS static enum err delete_vocabulary(struct call *c)
{
    return delete_asset(c, "vocabulary_id");
}

/* ---- voices ---- */

/* A few words in the voice, as base64 (speech.md §3.7). */
SUSPENDS static enum err preview(struct call *c, str id, yyjson_val *body, str words)
{
    struct speaker_options o = { .format = SOUND_WAV, .sample_rate = 24000, .rate = 1, .pitch = 1, .volume = 50 };
    str                    format = json_str(json_get(c->parameters, "response_format"));
    int64_t                rate;
    struct speaker        *k;
    struct spoken          said, rest;
    struct buf             sound;
    enum err               e;

    if (!c->rq->services->speech)
        return fail_speech_not_here(&c->rq->fault);
    if (json_to_i64(json_get(c->parameters, "sample_rate"), &rate)) {
        if (rate < 8000 || rate > 48000)
            return refuse(c, "sample_rate");
        o.sample_rate = (int)rate;
    }
    if (str_eq(format, S("mp3")))
        o.format = SOUND_MP3;
    else if (str_eq(format, S("pcm")))
        o.format = SOUND_PCM;
    else if (str_eq(format, S("opus")))
        o.format = SOUND_OPUS;
    else
        format = S("wav");
    voices_sound(body, id, &o.voice);
    e = speaker_open(c->rq->services->speech, &o, c->rq->arena, &k);
    if (e)
        return e;
    e = speaker_say(k, str_first(words, utf8_cut(words, min_size(words.len, SPEAKER_TEXT_MAX))), c->rq->arena, &said);
    if (!e)
        e = speaker_end(k, c->rq->arena, &rest);
    speaker_close(k);
    if (e)
        return e;
    buf_add(&c->output, S(",\"preview_audio\":{\"data\":\""));
    buf_init(&sound, c->rq->arena, SIZE_MAX / 2);
    buf_add(&sound, said.sound);
    buf_add(&sound, rest.sound);
    base64_add(&c->output, buf_str(&sound));
    buf_addf(&c->output, "\",\"sample_rate\":%d,\"response_format\":", o.sample_rate);
    json_add_str(&c->output, format);
    buf_add_char(&c->output, '}');
    return OK;
}

static str languages_of(struct call *c, yyjson_val *before)
{
    str hint = json_str(yyjson_arr_get_first(json_get(c->input, "language_hints"))), language = text(c, "language");

    language = language.len ? language : hint;
    if (!language.len && before)
        return json_str(json_get(before, "languages"));
    return language.len && !str_eq(language, S("zh")) ? arena_printf(c->rq->arena, "%.*s+zh+en", STR_ARG(language))
                                                      : S("zh+en");
}

/* The body of the asset: what its sound is, and what was said of it. `before`: the one that it takes the place of, or NULL. */
SUSPENDS static enum err make_body(struct call *c, str url, str said, str prompt, yyjson_val *before, struct buf *b)
{
    enum err e = OK;

    buf_init(b, c->rq->arena, SIZE_MAX / 2);
    buf_add(b, S("{\"languages\":"));
    json_add_str(b, languages_of(c, before));
    if (prompt.len) {
        voices_design(prompt, b);
        buf_add(b, S(",\"voice_prompt\":"));
        json_add_str(b, prompt);
        buf_add(b, S(",\"preview_text\":"));
        json_add_str(b, text(c, "preview_text"));
    } else {
        e = voices_measure(c->rq, c->family, url, said, b);
        if (!str_starts(url, S("data:"))) {
            buf_add(b, S(",\"url\":"));
            json_add_str(b, url);
        }
    }
    buf_add(b, S(",\"language\":"));
    json_add_str(b, text(c, "language").len ? text(c, "language") : json_str(json_get(before, "language")));
    buf_add_char(b, '}');
    return e;
}

/* CosyVoice: by a sample, or by a description. */
SUSPENDS static enum err create_voice(struct call *c)
{
    str prefix = text(c, "prefix"), model = text(c, "target_model"), prompt = text(c, "voice_prompt"),
        url = text(c, "url"), id;
    struct buf body;
    enum err   e;

    if (!model.len)
        return refuse(c, "target_model");
    if (!param_name_ok(&customization_voice_prefix, prefix))
        return refuse(c, "prefix");
    if (!url.len && !prompt.len)
        return refuse(c, "url");
    if (prompt.len && !text(c, "preview_text").len)
        return refuse(c, "preview_text");
    e = make_body(c, url, (str){ 0 }, prompt, NULL, &body);
    if (e)
        return e;
    id = arena_printf(c->rq->arena, "%.*s-%.*s-%.*s", STR_ARG(model), STR_ARG(prefix), STR_ARG(unique(c)));
    add_text(c, "voice_id", id);
    if (prompt.len)
        e = preview(c, id, json_parse_copy(c->rq->arena, buf_str(&body)), text(c, "preview_text"));
    return e ? e : create_asset(c, id, prefix, model, buf_str(&body));
}

SUSPENDS static enum err list_voice(struct call *c)
{
    struct asset_list l;
    enum err          e = list_assets(c, &l);

    buf_add(&c->output, S(",\"voice_list\":["));
    for (size_t i = 0; i < l.count && !e; i++) {
        buf_add(&c->output, i ? S(",{\"voice_id\":") : S("{\"voice_id\":"));
        json_add_str(&c->output, l.rows[i].id);
        add_times(c, &l.rows[i]);
        buf_add(&c->output, S(",\"status\":\"OK\"}"));
    }
    buf_add_char(&c->output, ']');
    return e;
}

SUSPENDS static enum err query_voice(struct call *c)
{
    struct asset a;
    enum err     e = text(c, "voice_id").len ? find(c, text(c, "voice_id"), &a) : refuse(c, "voice_id");

    if (e)
        return e;
    add_times(c, &a);
    add_text(c, "resource_link", json_str(json_get(json_parse_copy(c->rq->arena, a.body), "url")));
    add_text(c, "status", S("OK"));
    add_text(c, "target_model", a.target_model);
    return OK;
}

SUSPENDS static enum err update_voice(struct call *c)
{
    struct asset_update u = {
        .id = text(c, "voice_id"), .kind = c->kind, .workspace = c->rq->workspace, .now_ms = clock_unix_ms()
    };
    struct asset a;
    struct buf   body;
    enum err     e;

    if (!u.id.len)
        return refuse(c, "voice_id");
    if (!text(c, "url").len)
        return refuse(c, "url");
    e = find(c, u.id, &a);
    if (!e)
        e = make_body(c, text(c, "url"), (str){ 0 }, (str){ 0 }, json_parse_copy(c->rq->arena, a.body), &body);
    if (e)
        return e;
    u.body = buf_str(&body);
    return not_found(c, store_run_together(c->rq->services->store, asset_update_job, NULL, &u), u.id);
}

SUSPENDS static enum err delete_voice(struct call *c)
{
    return delete_asset(c, "voice_id");
}

/* ---- Qwen's voices ---- */

/* "qwen-tts-vc-NAME-voice-20260102150405123-9f0a" */
static str qwen_name(struct call *c, str name)
{
    bool      clone = c->family == VOICE_QWEN_CLONE;
    int64_t   now_ms = clock_unix_ms();
    time_t    seconds = (time_t)((now_ms + TASK_ZONE_MS) / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    return arena_printf(c->rq->arena, "qwen-tts-%s-%.*s-voice-%04d%02d%02d%02d%02d%02d%s-%.4s", clone ? "vc" : "vd",
                        STR_ARG(name), tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                        clone ? arena_printf(c->rq->arena, "%03d", (int)(now_ms % 1000)).ptr : "", unique(c).ptr);
}

static bool is_target(struct call *c, str model)
{
    return str_find_str(model, c->family == VOICE_QWEN_CLONE ? S("-vc-") : S("-vd-")) != STR_NONE;
}

SUSPENDS static enum err create_qwen(struct call *c)
{
    bool clone = c->family == VOICE_QWEN_CLONE;
    str  name = text(c, "preferred_name"), model = text(c, "target_model"), prompt = text(c, "voice_prompt"), voice;
    str  url = json_str(json_get(json_get(c->input, "audio"), "data"));
    struct buf body;
    enum err   e;

    if (!is_target(c, model))
        return refuse(c, "target_model");
    if (!param_name_ok(&customization_voice_name, name))
        return refuse(c, "preferred_name");
    if (text(c, "language").len && !words_have(CUSTOMIZATION_LANGUAGES, text(c, "language")))
        return refuse(c, "language");
    if (clone && !url.len)
        return refuse(c, "audio.data");
    if (!clone && (!prompt.len || utf8_count(prompt) > CUSTOMIZATION_PROMPT_MAX))
        return refuse(c, "voice_prompt");
    if (!clone && !text(c, "preview_text").len)
        return refuse(c, "preview_text");
    e = make_body(c, url, text(c, "text"), clone ? (str){ 0 } : prompt, NULL, &body);
    if (e)
        return e;
    voice = qwen_name(c, name);
    add_text(c, "voice", voice);
    add_text(c, "target_model", model);
    if (!clone)
        e = preview(c, voice, json_parse_copy(c->rq->arena, buf_str(&body)), text(c, "preview_text"));
    return e ? e : create_asset(c, voice, name, model, buf_str(&body));
}

/* One in the form of lists. */
static void add_qwen(struct call *c, const struct asset *a)
{
    yyjson_val *body = json_parse_copy(c->rq->arena, a->body);

    buf_add(&c->output, S("{\"voice\":"));
    json_add_str(&c->output, a->id);
    add_times(c, a);
    add_text(c, "language", json_str(json_get(body, "language")));
    add_text(c, "target_model", a->target_model);
    if (c->family == VOICE_QWEN_DESIGN) {
        add_text(c, "voice_prompt", json_str(json_get(body, "voice_prompt")));
        add_text(c, "preview_text", json_str(json_get(body, "preview_text")));
    }
    buf_add_char(&c->output, '}');
}

SUSPENDS static enum err list_qwen(struct call *c)
{
    struct asset_list l;
    int64_t           page = 0, rows = 10;
    enum err          e = list_assets(c, &l);

    if (e)
        return e;
    (void)json_to_i64(json_get(c->input, "page_index"), &page);
    (void)json_to_i64(json_get(c->input, "page_size"), &rows);
    buf_addf(&c->output, ",\"page_index\":%lld,\"page_size\":%lld,\"total_count\":%lld,\"voice_list\":[",
             (long long)page, (long long)rows, (long long)l.total);
    for (size_t i = 0; i < l.count; i++) {
        if (i)
            buf_add_char(&c->output, ',');
        add_qwen(c, &l.rows[i]);
    }
    buf_add_char(&c->output, ']');
    c->count = 0;
    return OK;
}

SUSPENDS static enum err query_qwen(struct call *c)
{
    struct asset a;
    enum err     e = text(c, "voice").len ? find(c, text(c, "voice"), &a) : refuse(c, "voice");

    if (e)
        return e;
    c->count = 0;
    add_qwen(c, &a);
    c->output.ptr[0] = ','; /* its members are the output's */
    c->output.len--;
    return OK;
}

SUSPENDS static enum err delete_qwen(struct call *c)
{
    enum err e = delete_asset(c, "voice");

    c->count = 0;
    if (!e && c->family == VOICE_QWEN_DESIGN)
        add_text(c, "voice", text(c, "voice"));
    return e;
}

/* ---- the call ---- */

static const struct action vocabulary_actions[] = {
    { S("create_vocabulary"), create_vocabulary }, { S("list_vocabulary"), list_vocabulary },
    { S("query_vocabulary"), query_vocabulary },   { S("update_vocabulary"), update_vocabulary },
    { S("delete_vocabulary"), delete_vocabulary }, { .run = NULL },
};
static const struct action voice_actions[] = {
    { S("create_voice"), create_voice }, { S("list_voice"), list_voice },     { S("query_voice"), query_voice },
    { S("update_voice"), update_voice }, { S("delete_voice"), delete_voice }, { .run = NULL },
};
static const struct action clone_actions[] = {
    { S("create"), create_qwen }, { S("list"), list_qwen }, { S("delete"), delete_qwen }, { .run = NULL }
};
static const struct action design_actions[] = {
    { S("create"), create_qwen }, { S("list"), list_qwen }, { S("query"), query_qwen },
    { S("delete"), delete_qwen }, { .run = NULL },
};

SUSPENDS static enum err run(struct call *c, const struct action *actions)
{
    str        name = text(c, "action");
    struct buf b;
    enum err   e;

    while (actions->name.len && !str_eq(actions->name, name))
        actions++;
    if (!actions->name.len)
        return refuse(c, "action");
    c->count = 1;
    buf_init(&c->output, c->rq->arena, SIZE_MAX / 2);
    e = actions->run(c);
    if (e)
        return e;
    buf_init(&b, c->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"output\":{"));
    buf_add(&b, str_from(buf_str(&c->output), c->output.len ? 1 : 0)); /* without the first comma */
    buf_addf(&b, "},\"usage\":{\"count\":%lld}", (long long)c->count);
    reply_add_request_id(&b, c->rq);
    return reply_json(c->rq, buf_str(&b));
}

SUSPENDS static enum err begin(struct request *rq, enum model_path path, struct call *c, const struct model **ret)
{
    yyjson_val *root;
    enum err    e = request_json(rq, &root);

    *c = (struct call){ .rq = rq, .family = VOICE_FAMILIES };
    if (!e)
        e = body_model_native(rq, root, path, ret);
    if (!e)
        e = admit(rq, *ret);
    if (e)
        return e;
    c->input = json_get(root, "input");
    c->parameters = json_get(root, "parameters");
    return !c->input                  ? fail_input_missing(&rq->fault)
           : !yyjson_is_obj(c->input) ? fail_input_not_object(&rq->fault)
                                      : OK;
}

enum err handle_native_vocabularies(struct request *rq)
{
    struct call         c;
    const struct model *m;
    enum err            e = begin(rq, MODEL_PATH_VOCABULARY, &c, &m);

    c.kind = VOCABULARY_KIND;
    return e ? e : run(&c, vocabulary_actions);
}

enum err handle_native_voices(struct request *rq)
{
    struct call         c;
    const struct model *m;
    enum err            e = begin(rq, MODEL_PATH_VOICE_CUSTOMIZATION, &c, &m);

    if (e)
        return e;
    c.family = str_eq(m->id, S("qwen-voice-enrollment")) ? VOICE_QWEN_CLONE
               : str_eq(m->id, S("qwen-voice-design"))   ? VOICE_QWEN_DESIGN
                                                         : VOICE_COSYVOICE;
    c.kind = voice_kinds[c.family];
    return run(&c, c.family == VOICE_QWEN_CLONE    ? clone_actions
                   : c.family == VOICE_QWEN_DESIGN ? design_actions
                                                   : voice_actions);
}
