/* reading.c - one speaker, one text. */
#include "service/reading.h"

#include "base/clock.h"
#include "contract/errors.gen.h"
#include "loop/lane.h"
#include "service/services.h"
#include "service/whole.h"
#include "store/results.h"

#include <unistd.h>

static void close_speaker(void *speaker)
{
    speaker_close(speaker);
}

static enum err failed(struct request *rq, enum err e)
{
    if (!e || e == ERR_FAULT || e == ERR_CANCELLED)
        return e;
    if (e == ERR_INVALID)
        return fail_tts_ssml_unsupported(&rq->fault); /* markup that nobody can read. REF: E094 */
    (void)fail_algorithm_internal(&rq->fault);        /* REF: E225a */
    return fault_detail(&rq->fault, str_from_cstr(err_text(e)));
}

enum err reading_begin(struct request *rq, const struct synthesis_plan *plan, str text, struct reading *ret)
{
    enum err e;

    might_suspend();
    *ret = (struct reading){ .rq = rq, .plan = *plan, .said = text };
    if (!speech_text_audible(text, plan->ssml))
        return fail_tts_text_empty(&rq->fault);
    if (!rq->services->speech)
        return fail_speech_not_here(&rq->fault);
    e = whole_moderate(rq, &text, 1); /* all of it, before a word of it is said */
    if (e)
        return e;
    speech_text_init(&ret->text, rq->arena);
    speech_text_add(&ret->text, text);
    buf_init(&ret->sound, rq->arena, SIZE_MAX / 2);
    ret->characters = speech_text_count(text, plan->count, plan->ssml);
    rq->engine = S("speech");
    rq->action = "speaking";
    request_phase(rq, PHASE_FIRST);
    e = speaker_open(rq->services->speech, &plan->speaker, rq->arena, &ret->speaker);
    if (!e)
        arena_defer(rq->arena, close_speaker, ret->speaker);
    return failed(rq, e);
}

/* Markup is one document, whatever sentences it has. */
static bool next_text(struct reading *r, str *ret)
{
    if (!r->plan.ssml || !speech_text_is_marked_up(r->said))
        return speech_text_flush(&r->text, ret);
    *ret = str_trim(r->said);
    if (r->text.at)
        return false;
    r->text.at = 1;
    return true;
}

enum err reading_next(struct reading *r, str *ret_sentence, struct spoken *ret)
{
    enum err e;

    might_suspend();
    if (r->ended)
        return ERR_EOF;
    if (!next_text(r, ret_sentence)) {
        r->ended = true;
        *ret_sentence = (str){ 0 };
        e = speaker_end(r->speaker, r->rq->arena, ret);
    } else {
        e = speaker_say(r->speaker, *ret_sentence, r->rq->arena, ret);
    }
    if (e)
        return failed(r->rq, e);
    buf_add(&r->sound, ret->sound);
    r->ms = ret->end_ms;
    return OK;
}

/* ---- its file ---- */

void reading_wav_head(char head[READING_WAV_HEAD], int sample_rate, size_t bytes)
{
    const uint32_t numbers[] = { (uint32_t)(36 + bytes),    16,           1 | 1 << 16,    (uint32_t)sample_rate,
                                 2 * (uint32_t)sample_rate, 2 | 16 << 16, (uint32_t)bytes };
    const size_t   places[] = { 4, 16, 20, 24, 28, 32, 40 };

    memcpy(head, "RIFF....WAVEfmt ", 16);
    memcpy(head + 36, "data", 4);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        for (int k = 0; k < 4; k++)
            head[places[i] + (size_t)k] = (char)(numbers[i] >> 8 * k);
}

struct file {
    struct results *results;
    str             owner, name, parts[2];
    enum err        e;
};

static void write_job(void *arg)
{
    struct file *f = arg;
    char         path[RESULT_PATH_MAX];
    int          fd;

    f->e = results_create(f->results, f->owner, path, &fd);
    for (size_t i = 0; i < ARRAY_LEN(f->parts); i++) {
        while (!f->e && f->parts[i].len) {
            ssize_t n = write(fd, f->parts[i].ptr, f->parts[i].len);

            if (n <= 0) {
                results_drop(f->results, f->owner, path, fd);
                f->e = ERR_IO;
                return;
            }
            f->parts[i] = str_from(f->parts[i], (size_t)n);
        }
    }
    if (!f->e)
        f->e = results_keep(f->results, f->owner, path, fd, f->name);
}

enum err reading_keep(struct reading *r, str *ret_url, int64_t *ret_expires_s)
{
    static const str  ends[] = { [SOUND_PCM] = S("wav"),   [SOUND_WAV] = S("wav"), [SOUND_MP3] = S("mp3"),
                                 [SOUND_OPUS] = S("opus"), [SOUND_AAC] = S("aac"), [SOUND_FLAC] = S("flac") };
    struct request   *rq = r->rq;
    struct file      *f = arena_new(rq->arena, struct file);
    enum sound_format format = r->plan.speaker.format;
    char             *head = arena_bytes(rq->arena, READING_WAV_HEAD);

    might_suspend();
    *f = (struct file){ .results = rq->services->results,
                        .owner = str_of(rq->id, UUID_LEN),
                        .parts = { { 0 }, buf_str(&r->sound) } };
    f->name = arena_printf(rq->arena, "audio.%.*s", STR_ARG(ends[format]));
    if (format == SOUND_WAV) /* now its length is known */
        f->parts[1] = str_from(f->parts[1], READING_WAV_HEAD);
    if (format == SOUND_WAV || format == SOUND_PCM) {
        reading_wav_head(head, r->plan.speaker.sample_rate, f->parts[1].len);
        f->parts[0] = str_of(head, READING_WAV_HEAD);
    }
    lane_run(rq->services->files, write_job, f);
    if (f->e)
        return failed(rq, f->e);
    *ret_expires_s = (clock_unix_ms() + rq->settings->tasks.keep_ms) / 1000;
    *ret_url = results_url(rq->services->results, request_base(rq), f->owner, f->name, *ret_expires_s, rq->arena);
    return OK;
}
