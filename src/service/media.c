/* media.c - what a request names, downloaded and looked into. Spec: media.md §6. */
#include "service/media.h"

#include "contract/errors.gen.h"
#include "engine/media/media.h"
#include "service/services.h"

enum err media_get(struct request *rq, const struct fetch_request *f, struct media_file *ret)
{
    struct fetch_request want = *f;

    might_suspend();
    want.workspace = rq->workspace;
    want.model = rq->model_name;
    *ret = (struct media_file){ .inspected = ERR_NOT_FOUND };
    ret->fetch = fetch(rq->services->fetcher, rq->arena, &want, &ret->file);
    if (ret->fetch == FETCH_CANCELLED)
        return ERR_CANCELLED;
    if (ret->fetch || !rq->services->media)
        return OK;
    ret->inspected =
        media_inspect_hashed(rq->services->media, ret->file.fd, str_from_cstr(ret->file.hash), rq->arena, &ret->facts);
    return ret->inspected == ERR_CANCELLED ? ERR_CANCELLED : OK;
}

/* ---- the rules of a member ---- */

static enum media_fault fault_of_fetch(const struct media_file *f)
{
    switch (f->fetch) {
    case FETCH_URL:
    case FETCH_SCHEME:
        return MEDIA_FAULT_URL;
    case FETCH_REFUSED:
        return MEDIA_FAULT_REFUSED;
    case FETCH_TIMEOUT:
        return MEDIA_FAULT_TIMEOUT;
    case FETCH_DENIED:
        return MEDIA_FAULT_DENIED;
    case FETCH_TOO_LARGE:
        return MEDIA_FAULT_BYTES;
    case FETCH_GONE:
        return MEDIA_FAULT_GONE;
    case FETCH_STATUS:
        return f->file.status == 404 ? MEDIA_FAULT_GONE : MEDIA_FAULT_DOWNLOAD;
    case FETCH_TYPE:
        return MEDIA_FAULT_CONTENT_TYPE;
    case FETCH_NO_LENGTH:
        return MEDIA_FAULT_NO_LENGTH;
    case FETCH_OK:
    case FETCH_FORBIDDEN:
    case FETCH_NAME:
    case FETCH_UNREACHABLE:
    case FETCH_REDIRECTS:
    case FETCH_BROKEN:
    case FETCH_SPOOL:
    case FETCH_CANCELLED:
        break;
    }
    return MEDIA_FAULT_DOWNLOAD;
}

static bool word_of(const str *words, unsigned count, str word)
{
    for (unsigned i = 0; i < count; i++)
        if (str_eq(words[i], word))
            return true;
    return count == 0;
}

/* The first rule that the file breaks; MEDIA_FAULT_COUNT: none. */
static enum media_fault fault_of_facts(const struct media_member *m, const struct media_file *f)
{
    const struct media_facts *is = &f->facts;
    double                    seconds = (double)is->duration_ms / 1000;

    if (f->inspected || is->kind == MEDIA_UNKNOWN)
        return MEDIA_FAULT_UNKNOWN;
    if ((m->kind ? is->kind != m->kind : is->kind == MEDIA_AUDIO) || !word_of(m->formats, m->format_count, is->format))
        return MEDIA_FAULT_FORMAT;
    if (is->truncated)
        return MEDIA_FAULT_UNREADABLE;
    if (!media_in_range(&m->bytes, (double)f->file.size))
        return MEDIA_FAULT_BYTES;
    if (is->kind != MEDIA_AUDIO) {
        if (!media_in_range(&m->sides, (double)is->width) || !media_in_range(&m->sides, (double)is->height))
            return MEDIA_FAULT_SIDES;
        if (!media_in_range(&m->pixels, (double)is->width * (double)is->height))
            return MEDIA_FAULT_PIXELS;
        if (is->height > 0 && !media_in_range(&m->ratio, (double)is->width / (double)is->height))
            return MEDIA_FAULT_RATIO;
        if (is->brightness < 0)
            return MEDIA_FAULT_UNREADABLE;
    }
    if (is->kind != MEDIA_IMAGE && !media_in_range(&m->seconds, seconds))
        return MEDIA_FAULT_DURATION;
    if (is->kind == MEDIA_VIDEO) {
        if (!media_in_range(&m->fps, is->fps))
            return MEDIA_FAULT_FPS;
        if (!word_of(m->codecs, m->codec_count, is->video_codec))
            return MEDIA_FAULT_CODEC;
    }
    if ((m->alpha > 0 && !is->alpha) || (m->alpha < 0 && is->alpha))
        return MEDIA_FAULT_ALPHA;
    if (is->kind != MEDIA_AUDIO && !media_in_range(&m->brightness, is->brightness))
        return MEDIA_FAULT_DARK;
    return MEDIA_FAULT_COUNT;
}

/* A rule without a row of its own is told as its nearest. */
static const struct media_refusal *row_of(const struct media_member *m, enum media_fault fault)
{
    static const enum media_fault nearest[MEDIA_FAULT_COUNT] = {
        [MEDIA_FAULT_UNKNOWN] = MEDIA_FAULT_UNREADABLE, [MEDIA_FAULT_PIXELS] = MEDIA_FAULT_SIDES,
        [MEDIA_FAULT_RATIO] = MEDIA_FAULT_SIDES,        [MEDIA_FAULT_CODEC] = MEDIA_FAULT_FORMAT,
        [MEDIA_FAULT_ALPHA] = MEDIA_FAULT_FORMAT,       [MEDIA_FAULT_FORMAT] = MEDIA_FAULT_UNREADABLE,
        [MEDIA_FAULT_FPS] = MEDIA_FAULT_FORMAT,
    };

    while (!m->faults[fault].set && fault != MEDIA_FAULT_DOWNLOAD)
        fault = nearest[fault];
    return &m->faults[fault];
}

enum err media_file_check(struct request *rq, const struct media_member *m, str url, const struct media_file *f)
{
    enum media_fault            fault = f->fetch ? fault_of_fetch(f) : fault_of_facts(m, f);
    const struct media_refusal *r;
    enum err                    e;

    if (fault == MEDIA_FAULT_COUNT)
        return OK;
    if (!f->fetch && f->inspected && f->inspected != ERR_INVALID) { /* ours: it is not there, has crashed, or is busy */
        (void)fail_algorithm_runtime(&rq->fault);                   /* REF: E220 */
        return fault_detail(&rq->fault, str_from_cstr(err_text(f->inspected)));
    }
    r = row_of(m, fault);
    e = r->set ? media_refuse(rq, r, m, url, NULL) : fail_media_download_failed(&rq->fault);
    return e == ERR_FAULT ? fault_detail(&rq->fault, f->fetch ? fetch_error_text(f->fetch) : f->facts.error) : e;
}
