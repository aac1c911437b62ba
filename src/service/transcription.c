/* transcription.c - each file: downloaded, looked into, a channel decoded, listened to, written down.
 *
 * A file that fails has its code in its place of the results; when that is so of all, the task has failed.
 */
#include "service/transcription.h"

#include "base/num.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/params.h"
#include "contract/transcription_params.gen.h"
#include "engine/speech/speech.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "service/media.h"
#include "service/recognition.h"
#include "service/transcript.h"
#include "store/results.h"

#include <stdio.h>
#include <unistd.h>

enum { READ = 64 * 1024 }; /* bytes that are listened to at once: two seconds */

/* ---- what is asked ---- */

static bool has_strange_member(yyjson_val *object, str known)
{
    size_t      i, n;
    yyjson_val *key, *v;

    yyjson_obj_foreach(object, i, n, key, v)
    {
        if (!words_have(known, json_str(key)))
            return true;
    }
    return false;
}

static bool is_filetrans(const struct model *m)
{
    return str_find_str(m->id, S("filetrans")) != STR_NONE;
}

enum err transcription_read(struct request *rq, yyjson_val *body, const struct model *m, struct transcription *ret)
{
    yyjson_val *input = json_get(body, "input"), *v;
    size_t      i, n;

    *ret = (struct transcription){ .parameters = json_get(body, "parameters") };
    if (!input)
        return fail_input_missing(&rq->fault);
    if (!yyjson_is_obj(input))
        return fail_input_not_object(&rq->fault);
    if (ret->parameters && !yyjson_is_obj(ret->parameters))
        return fail_parameter_missing_named(&rq->fault, S("parameters"));
    ret->misspelt = has_strange_member(input, TRANSCRIPTION_INPUT_MEMBERS) ||
                    has_strange_member(ret->parameters, TRANSCRIPTION_PARAMETERS);
    if (is_filetrans(m)) {
        ret->url = json_str(json_get(input, "file_url"));
        return ret->url.len ? OK : fail_parameter_missing_named(&rq->fault, S("file_url"));
    }
    ret->urls = json_get(input, "file_urls");
    n = yyjson_arr_size(ret->urls);
    if (!n)
        return fail_asr_file_urls_missing(&rq->fault); /* REF: E040 */
    if (n > TRANSCRIPTION_URLS_MAX)
        return fail_parameter_missing_named(&rq->fault, S("file_urls"));
    yyjson_arr_foreach(ret->urls, i, n, v)
    {
        if (!yyjson_is_str(v))
            return fail_parameter_missing_named(&rq->fault, S("file_urls"));
    }
    return OK;
}

/* ---- one file ---- */

struct run {
    struct task              *t;
    struct request           *rq;
    const struct model       *model;
    struct transcription      asked;
    struct recogniser_options listener;
    struct transcript_options written;
    bool                      diarization, words;
    int                       channels[TRANSCRIPTION_CHANNELS_MAX];
    size_t                    channel_count;
    int64_t                   heard_ms; /* of all files: sound of all channels */
};

struct source {
    struct media_file file;
    struct fault      fault; /* why it cannot be transcribed */
    struct buf        transcripts;
    int64_t           speech_ms;
    bool              spoken, worded;
};

/* Fun-ASR says of a download that fails in words what Paraformer says in its code. REF: E263, E266, E265, E267, E103, E256, E264,
 * E258. */
static enum err refuse_download(struct source *s, const struct model *m)
{
    switch (s->file.fetch) {
    case FETCH_URL:
    case FETCH_SCHEME:
        return fail_asr_file_url_invalid(&s->fault);
    case FETCH_TOO_LARGE:
        return fail_asr_file_too_large(&s->fault);
    case FETCH_BROKEN:
        return fail_asr_content_length(&s->fault);
    case FETCH_GONE:
        return fail_asr_file_not_found(&s->fault);
    case FETCH_DENIED:
    case FETCH_STATUS:
        if (s->file.file.status == 403)
            return fail_asr_file_forbidden(&s->fault);
        if (s->file.file.status == 404)
            return fail_asr_file_not_found(&s->fault);
        if (s->file.file.status >= 500)
            return fail_asr_file_server_error(&s->fault);
        break;
    default:
        break;
    }
    (void)(str_starts(m->id, S("fun-asr")) ? fail_asr_file_download(&s->fault) : fail_asr_download_failed(&s->fault));
    return fault_detail(&s->fault, fetch_error_text(s->file.fetch));
}

/* REF: E257, E261, E260, E269, E268. */
static enum err check_file(struct source *s)
{
    const struct media_facts *f = &s->file.facts;

    if (s->file.inspected)
        return fail_asr_file_parse(&s->fault);
    if (f->kind == MEDIA_UNKNOWN || f->kind == MEDIA_IMAGE)
        return fail_asr_file_format(&s->fault);
    if (!f->audio_codec.len && f->error.len) { /* it begins well, and cannot be opened */
        (void)(str_eq(f->format, S("mkv")) || str_eq(f->format, S("webm")) ? fail_asr_mkv_parse(&s->fault)
                                                                           : fail_asr_file_parse(&s->fault));
        return fault_detail(&s->fault, f->error);
    }
    if (!f->audio_codec.len || f->sample_rate <= 0)
        return fail_asr_audio_probe(&s->fault);
    return f->duration_ms > TRANSCRIPTION_DURATION_MAX_MS ? fail_asr_audio_too_long(&s->fault) : OK;
}

/* The samples of a channel on the lane's side. */
struct samples {
    int     fd;
    char    bytes[READ];
    ssize_t count;
};

static void read_job(void *arg)
{
    struct samples *s = arg;

    s->count = read(s->fd, s->bytes, READ);
}

static void add_word(struct buf *b, const struct transcript_word *w, bool last)
{
    buf_addf(b, "{\"begin_time\":%lld,\"end_time\":%lld,\"text\":", (long long)w->begin_ms, (long long)w->end_ms);
    json_add_str(b, w->text);
    if (!last) { /* words of languages with blanks carry them */
        b->len--;
        buf_add(b, S(" \""));
    }
    buf_add(b, S(",\"punctuation\":"));
    json_add_str(b, w->punctuation);
    buf_add_char(b, '}');
}

static void add_sentence(struct run *r, struct buf *b, const struct heard *h, const struct transcript *t, int64_t id)
{
    buf_addf(b, "%s{\"sentence_id\":%lld,\"begin_time\":%lld,\"end_time\":%lld,\"text\":", id ? "," : "",
             (long long)(r->asked.urls ? id + 1 : id), (long long)h->begin_ms, (long long)h->end_ms);
    json_add_str(b, t->text);
    if (!r->asked.urls)
        buf_add(b, S(",\"language\":\"en\",\"emotion\":\"neutral\""));
    if (r->diarization)
        buf_add(b, S(",\"speaker_id\":0"));
    if (r->words) {
        buf_add(b, S(",\"words\":["));
        for (size_t i = 0; i < t->count; i++) {
            if (i)
                buf_add_char(b, ',');
            add_word(b, &t->words[i], i + 1 == t->count);
        }
        buf_add_char(b, ']');
    }
    buf_add_char(b, '}');
}

/* What is written of a channel while it is listened to. */
struct sheet {
    struct buf text, sentences;
    int64_t    count;
};

static void take_events(struct run *r, struct source *s, struct sheet *sheet, const struct heard_piece *p,
                        struct arena *a)
{
    for (size_t i = 0; i < p->count; i++) {
        struct transcript t;

        if (p->events[i].kind != HEARD_SENTENCE)
            continue;
        transcript_make(a, &p->events[i], &r->written, true, &t);
        if (!t.count)
            continue;
        s->worded = true;
        if (sheet->text.len)
            buf_add_char(&sheet->text, ' ');
        buf_add(&sheet->text, t.text);
        add_sentence(r, &sheet->sentences, &p->events[i], &t, sheet->count++);
    }
}

/* All of the channel's samples. */
SUSPENDS static enum err listen(struct run *r, struct source *s, struct samples *in, struct sheet *sheet,
                                int64_t *ret_speech_ms)
{
    struct arena       scratch;
    struct recogniser *ear;
    struct heard_piece p = { 0 };
    enum err           e = recogniser_open(r->rq->services->speech, &r->listener, r->rq->arena, &ear);

    if (e)
        return e;
    arena_init(&scratch, 0);
    do {
        lane_run(r->rq->services->files, read_job, in);
        arena_reset(&scratch);
        e = in->count > 0 ? recogniser_hear(ear, str_of(in->bytes, (size_t)in->count), &scratch, &p)
                          : recogniser_end(ear, &scratch, &p);
        if (!e)
            take_events(r, s, sheet, &p, &scratch);
    } while (!e && in->count > 0);
    recogniser_close(ear);
    *ret_speech_ms = p.speech_ms;
    arena_free(&scratch);
    return e;
}

/* REF: E259. */
SUSPENDS static enum err one_channel(struct run *r, struct source *s, int channel, int fd)
{
    struct sheet    sheet = { 0 };
    struct samples *in = arena_new(r->rq->arena, struct samples);
    int64_t         ms, speech_ms = 0;
    enum err        e = ftruncate(fd, 0)
                            ? ERR_IO
                            : speech_decode(r->rq->services->speech, s->file.file.fd, channel, fd, r->rq->arena, &ms);

    if (e == ERR_INVALID)
        return fail_asr_file_normalize(&s->fault);
    if (e)
        return e;
    if (ms > TRANSCRIPTION_DURATION_MAX_MS)
        return fail_asr_audio_too_long(&s->fault);
    r->heard_ms += ms;
    in->fd = fd;
    buf_init(&sheet.text, r->rq->arena, SIZE_MAX / 2);
    buf_init(&sheet.sentences, r->rq->arena, SIZE_MAX / 2);
    if (lseek(fd, 0, SEEK_SET) < 0)
        return ERR_IO;
    e = listen(r, s, in, &sheet, &speech_ms);
    s->speech_ms += speech_ms;
    s->spoken = s->spoken || speech_ms > 0;
    buf_addf(&s->transcripts, "%s{\"channel_id\":%d", s->transcripts.len ? "," : "", channel);
    if (r->asked.urls)
        buf_addf(&s->transcripts, ",\"content_duration_in_milliseconds\":%lld", (long long)speech_ms);
    buf_add(&s->transcripts, S(",\"text\":"));
    json_add_str(&s->transcripts, buf_str(&sheet.text));
    buf_add(&s->transcripts, S(",\"sentences\":["));
    buf_add(&s->transcripts, buf_str(&sheet.sentences));
    buf_add(&s->transcripts, S("]}"));
    return e;
}

/* ---- results ---- */

struct output {
    struct results *results;
    str             task, name, text;
    char            path[RESULT_PATH_MAX];
    int             fd;
    enum err        e;
};

static void create_job(void *arg)
{
    struct output *o = arg;

    o->e = results_create(o->results, o->task, o->path, &o->fd);
}

static void drop_job(void *arg)
{
    struct output *o = arg;

    if (o->fd >= 0)
        results_drop(o->results, o->task, o->path, o->fd);
    o->fd = -1;
}

static void write_job(void *arg)
{
    struct output *o = arg;
    str            left = o->text;

    create_job(o);
    while (!o->e && left.len) {
        ssize_t n = write(o->fd, left.ptr, left.len);

        if (n <= 0)
            o->e = ERR_IO;
        else
            left = str_from(left, (size_t)n);
    }
    if (!o->e)
        o->e = results_keep(o->results, o->task, o->path, o->fd, o->name);
    else if (o->fd >= 0)
        results_drop(o->results, o->task, o->path, o->fd);
}

static str result_text(struct run *r, struct source *s, str url)
{
    const struct media_facts *f = &s->file.facts;
    struct buf                b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"file_url\":"));
    json_add_str(&b, url);
    if (r->asked.urls) {
        buf_add(&b, S(",\"properties\":{\"audio_format\":"));
        json_add_str(&b, f->audio_codec);
        buf_add(&b, S(",\"channels\":["));
        for (int64_t i = 0; i < f->channels; i++)
            buf_addf(&b, "%s%lld", i ? "," : "", (long long)i);
        buf_addf(&b, "],\"original_sampling_rate\":%lld,\"original_duration_in_milliseconds\":%lld}",
                 (long long)f->sample_rate, (long long)f->duration_ms);
    } else {
        buf_add(&b, S(",\"audio_info\":{\"format\":"));
        json_add_str(&b, f->format);
        buf_addf(&b, ",\"sample_rate\":%lld}", (long long)f->sample_rate);
    }
    buf_add(&b, S(",\"transcripts\":["));
    buf_add(&b, buf_str(&s->transcripts));
    buf_add(&b, S("]}"));
    return buf_str(&b);
}

/* ---- the run ---- */

/* ERR_FAULT: the file's, in s->fault. REF: E254, E255. */
SUSPENDS static enum err one_file(struct run *r, str url, struct source *s)
{
    struct fetch_request want = { .url = url,
                                  .size_max = TRANSCRIPTION_BYTES_MAX,
                                  .time_ms = r->rq->settings->tasks.fetch_ms };
    struct output       *pcm = arena_new(r->rq->arena, struct output);
    enum err             e;

    *s = (struct source){ 0 };
    buf_init(&s->transcripts, r->rq->arena, SIZE_MAX / 2);
    r->rq->action = "downloading a file to transcribe";
    e = media_get(r->rq, &want, &s->file);
    if (e)
        return e;
    if (s->file.fetch)
        return refuse_download(s, r->model);
    e = check_file(s);
    if (e)
        return e;
    r->rq->action = "transcribing a file";
    *pcm = (struct output){ .results = r->rq->services->results, .task = r->t->row->id, .fd = -1 };
    lane_run(r->rq->services->files, create_job, pcm);
    e = pcm->e;
    for (size_t i = 0; !e && i < r->channel_count; i++)
        e = one_channel(r, s, r->channels[i], pcm->fd);
    lane_run(r->rq->services->files, drop_job, pcm);
    if (e)
        return e;
    if (!s->spoken)
        return fail_asr_no_speech_file(&s->fault);
    return s->worded ? OK : fail_asr_empty_transcript(&s->fault);
}

SUSPENDS static enum err keep_result(struct run *r, struct source *s, str url, size_t i, str *ret_url)
{
    struct output *o = arena_new(r->rq->arena, struct output);

    *o = (struct output){ .results = r->rq->services->results,
                          .task = r->t->row->id,
                          .text = result_text(r, s, url),
                          .name = arena_printf(r->rq->arena, "%zu.json", i) };
    lane_run(r->rq->services->files, write_job, o);
    *ret_url = task_result_url(r->t, o->name);
    return o->e;
}

static void add_result(struct run *r, const char *member, str url)
{
    buf_addf(&r->t->output, ",\"%s\":", member);
    json_add_str(&r->t->output, url);
}

/* {"file_url":…,"transcription_url":…,"subtask_status":"SUCCEEDED"} or with code and message. */
SUSPENDS static enum err subtask(struct run *r, str url, size_t i)
{
    struct source     s;
    struct fault_view v;
    str               result;
    enum err          e = one_file(r, url, &s);

    if (!e)
        e = keep_result(r, &s, url, i, &result);
    if (e && e != ERR_FAULT)
        return e;
    buf_add(&r->t->output, i ? S(",{\"file_url\":") : S("{\"file_url\":"));
    json_add_str(&r->t->output, url);
    if (e) {
        fault_render(&s.fault, &r->rq->settings->wording, r->rq->arena, &v);
        add_result(r, "code", v.code);
        add_result(r, "message", v.message);
        buf_add(&r->t->output, S(",\"subtask_status\":\"FAILED\"}"));
        r->t->failed++;
        r->rq->fault = s.fault; /* the task's, when no file succeeds */
        return OK;
    }
    add_result(r, "transcription_url", result);
    buf_add(&r->t->output, S(",\"subtask_status\":\"SUCCEEDED\"}"));
    r->t->succeeded++;
    return OK;
}

static bool flag(yyjson_val *parameters, const char *name)
{
    return yyjson_is_true(json_get(parameters, name));
}

/* [0] unless said otherwise. */
static void read_channels(struct run *r)
{
    yyjson_val *list = json_get(r->asked.parameters, "channel_id"), *v;
    size_t      i, n;

    yyjson_arr_foreach(list, i, n, v)
    {
        if (yyjson_is_int(v) && r->channel_count < ARRAY_LEN(r->channels))
            r->channels[r->channel_count++] = (int)yyjson_get_sint(v);
    }
    if (!r->channel_count)
        r->channel_count = 1;
}

SUSPENDS static enum err prepare(struct run *r)
{
    struct request *rq = r->rq;
    yyjson_val     *p;
    enum err        e;

    r->model = request_model(rq, rq->model_name);
    if (!r->model)
        return fail_model_not_found_404(&rq->fault); /* gone since it was asked for */
    e = transcription_read(rq, r->t->body, r->model, &r->asked);
    if (e)
        return e;
    if (r->asked.misspelt)
        return fail_asr_parameter_misspelt(&rq->fault); /* REF: E252 */
    if (!rq->services->speech)
        return fail_speech_not_here(&rq->fault);
    p = r->asked.parameters;
    read_channels(r);
    r->diarization = flag(p, "diarization_enabled");
    r->words = r->asked.urls || flag(p, "enable_words");
    r->written = (struct transcript_options){ .punctuation = true,
                                              .no_fillers = flag(p, "disfluency_removal_enabled"),
                                              .filter = recognition_filter(rq, json_get(p, "special_word_filter")) };
    r->listener = (struct recogniser_options){ .format = SOUND_PCM,
                                               .sample_rate = 16000,
                                               .silence_ms = TRANSCRIPTION_SILENCE_MS };
    return recognition_words(rq, r->model, json_str(json_get(p, "vocabulary_id")), json_get(r->t->body, "resources"),
                             &r->listener);
}

/* Of filetrans: one file, whose failure is the task's. */
SUSPENDS static enum err run_one(struct run *r)
{
    struct source s;
    str           result;
    enum err      e = one_file(r, r->asked.url, &s);

    if (e == ERR_FAULT)
        r->rq->fault = s.fault;
    if (!e)
        e = keep_result(r, &s, r->asked.url, 0, &result);
    if (e)
        return e;
    buf_add(&r->t->output, S(",\"result\":{\"transcription_url\":"));
    json_add_str(&r->t->output, result);
    buf_add_char(&r->t->output, '}');
    return OK;
}

SUSPENDS static enum err run_all(struct run *r)
{
    size_t      i, n;
    yyjson_val *v;
    enum err    e = OK;

    buf_add(&r->t->output, S(",\"results\":["));
    yyjson_arr_foreach(r->asked.urls, i, n, v)
    {
        if (!e)
            e = subtask(r, json_str(v), i);
    }
    buf_add_char(&r->t->output, ']');
    r->t->total = (int64_t)yyjson_arr_size(r->asked.urls);
    return e || r->t->succeeded ? e : ERR_FAULT;
}

enum err transcription_run(struct task *t)
{
    struct run r = { .t = t, .rq = t->rq };
    enum err   e;

    might_suspend();
    e = prepare(&r);
    if (!e)
        e = r.asked.urls ? run_all(&r) : run_one(&r);
    if (e)
        return e;
    t->rq->fault = (struct fault){ 0 }; /* that of a file among others */
    t->rq->usage.play_ms = r.heard_ms;
    t->usage = arena_printf(t->rq->arena, "{\"%s\":%lld}", r.asked.urls ? "duration" : "seconds",
                            (long long)((r.heard_ms + 999) / 1000));
    return OK;
}
