/* hearing.c - decoded into memory, heard in pieces. */
#include "service/hearing.h"

#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/recognition_params.gen.h"
#include "engine/speech/speech.h"
#include "loop/lane.h"
#include "service/media.h"
#include "service/services.h"

#include <sys/mman.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

struct piece {
    int     fd;
    char   *bytes;
    ssize_t count;
};

static void read_job(void *arg)
{
    struct piece *p = arg;

    p->count = read(p->fd, p->bytes, PIECE);
}

static void take_sentences(struct request *rq, const struct heard_piece *p, struct hearing *ret, struct buf *text)
{
    static const struct transcript_options o = { .punctuation = true };

    for (size_t i = 0; i < p->count; i++) {
        const struct heard *h = &p->events[i];
        struct transcript   t;

        if (h->kind != HEARD_SENTENCE)
            continue;
        transcript_make(rq->arena, h, &o, true, &t);
        if (!t.count)
            continue;
        if (text->len)
            buf_add_char(text, ' ');
        buf_add(text, t.text);
        if (ret->count % 16 == 0)
            ret->sentences = arena_realloc(rq->arena, ret->sentences, ret->count * sizeof(*ret->sentences),
                                           (ret->count + 16) * sizeof(*ret->sentences));
        ret->sentences[ret->count++] = (struct hearing_sentence){ t.text, t.words, t.count, h->begin_ms, h->end_ms };
    }
}

SUSPENDS static enum err listen(struct request *rq, int pcm, struct hearing *ret)
{
    struct recogniser_options o = { .format = SOUND_PCM, .sample_rate = 16000, .silence_ms = 800 };
    struct piece              p = { .fd = pcm, .bytes = arena_bytes(rq->arena, PIECE) };
    struct heard_piece        heard = { 0 };
    struct recogniser        *ear;
    struct buf                text;
    enum err e = lseek(pcm, 0, SEEK_SET) < 0 ? ERR_IO : recogniser_open(rq->services->speech, &o, rq->arena, &ear);

    if (e)
        return e;
    buf_init(&text, rq->arena, SIZE_MAX / 2);
    do {
        lane_run(rq->services->files, read_job, &p);
        e = p.count > 0 ? recogniser_hear(ear, str_of(p.bytes, (size_t)p.count), rq->arena, &heard)
                        : recogniser_end(ear, rq->arena, &heard);
        if (!e)
            take_sentences(rq, &heard, ret, &text);
    } while (!e && p.count > 0);
    recogniser_close(ear);
    ret->text = buf_str(&text);
    ret->speech_ms = heard.speech_ms;
    return e;
}

enum err hearing_listen(struct request *rq, int fd, struct hearing *ret)
{
    int      pcm = memfd_create("sound", MFD_CLOEXEC);
    enum err e = pcm < 0 ? ERR_IO : speech_decode(rq->services->speech, fd, 0, pcm, rq->arena, &ret->audio_ms);

    might_suspend();
    ret->sentences = NULL;
    ret->count = 0;
    if (!e)
        e = listen(rq, pcm, ret);
    if (pcm >= 0)
        close(pcm);
    return e;
}

/* REF: E063, E073 and the rows of downloads: data/media/chat.txt. */
enum err hearing_fetch(struct request *rq, const struct model *m, str url, struct hearing *ret)
{
    struct fetch_request want = { .url = url,
                                  .size_max = RECOGNITION_SYNC_BYTES_MAX,
                                  .time_ms = rq->settings->tasks.fetch_ms };
    struct media_file    f;
    enum err             e;

    might_suspend();
    (void)m;
    rq->action = "downloading a sound";
    e = media_get(rq, &want, &f);
    if (e)
        return e;
    if (f.fetch == FETCH_TOO_LARGE)
        return fail_media_file_too_large(&rq->fault);
    if (f.fetch == FETCH_URL || f.fetch == FETCH_SCHEME)
        return fail_url_invalid(&rq->fault);
    if (f.fetch) {
        (void)fail_media_unreachable(&rq->fault);
        return fault_detail(&rq->fault, fetch_error_text(f.fetch));
    }
    if (!f.file.size)
        return fail_audio_empty(&rq->fault);
    if (f.inspected || f.facts.kind == MEDIA_UNKNOWN || !f.facts.audio_codec.len)
        return fail_audio_file_illegal(&rq->fault);
    if (f.facts.duration_ms < RECOGNITION_SYNC_MS_MIN || f.facts.duration_ms > RECOGNITION_SYNC_MS_MAX)
        return fail_file_audio_length_300(&rq->fault);
    if (!rq->services->speech)
        return fail_speech_not_here(&rq->fault);
    rq->action = "listening";
    rq->engine = S("speech");
    e = hearing_listen(rq, f.file.fd, ret);
    if (e == ERR_INVALID)
        return fail_audio_file_illegal(&rq->fault);
    if (e && e != ERR_CANCELLED && e != ERR_FAULT) {
        (void)fail_algorithm_internal(&rq->fault);
        return fault_detail(&rq->fault, str_from_cstr(err_text(e)));
    }
    return e;
}
