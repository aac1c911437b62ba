/* document_chat.c - from names to texts. */
#include "service/document_chat.h"

#include "base/num.h"
#include "base/utf8.h"
#include "contract/chat_content.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "engine/document/document.h"
#include "fetch/fetch.h"
#include "loop/lane.h"
#include "service/documents.h"
#include "service/files.h"
#include "store/documents.h"

#include <errno.h>
#include <unistd.h>

/* ---- what a verdict means ---- */

/* `by_file`: it is a file of the account, and not what stands at an address. */
static enum err refuse_verdict(struct request *rq, const struct chat_input *in, enum document_verdict v, str id,
                               bool by_file)
{
    switch (v) {
    case DOCUMENT_OK:
        break;
    case DOCUMENT_FORMAT:
        if (!by_file)
            return fail_document_part_type(&rq->fault); /* REF: E158 */
        return fail_document_format_unsupported(&rq->fault, id);
    case DOCUMENT_BROKEN:
    case DOCUMENT_SCANNED:
        return fail_document_format_unsupported(&rq->fault, id); /* REF: E275 */
    case DOCUMENT_BLANK:
        return fail_document_blank(&rq->fault, id); /* REF: X060 */
    case DOCUMENT_PAGES:
        return fail_document_pages_over(&rq->fault, id, rq->settings->documents.page_max); /* REF: X059 */
    case DOCUMENT_LARGE: /* more than any model reads, or it unpacks to more */
        return fail_document_tokens_over(&rq->fault, model_input_max(in->model, in->thinking)); /* REF: X061 */
    }
    return OK;
}

/* ---- files of the account ---- */

/* A message or a part that names files. */
struct namer {
    struct chat_message *message; /* NULL: it is a part */
    struct chat_part    *part;
    size_t               first, count; /* of the names */
};

struct names {
    struct namer          *namers;
    size_t                 namer_count;
    struct document_named *all;
    size_t                 count, room;
};

static void add_name(struct request *rq, struct names *n, str id)
{
    if (n->count == n->room) {
        size_t room = n->room ? n->room * 2 : 8;

        n->all = arena_realloc(rq->arena, n->all, n->room * sizeof(*n->all), room * sizeof(*n->all));
        n->room = room;
    }
    n->all[n->count++] = (struct document_named){ .id = id };
}

static bool is_file_part(const struct chat_part *p)
{
    return p->kind == CHAT_PART_FILE && str_starts(p->text, S("fileid://"));
}

static void find_names(struct request *rq, struct chat_input *in, struct names *n)
{
    size_t most = 0;

    for (size_t i = 0; i < in->message_count; i++)
        most += 1 + in->messages[i].part_count;
    n->namers = arena_array(rq->arena, struct namer, most);
    for (size_t i = 0; i < in->message_count; i++) {
        struct chat_message *m = &in->messages[i];
        str                 *ids = NULL;
        size_t               count = chat_file_ids(rq->arena, m, &ids);

        if (count)
            n->namers[n->namer_count++] = (struct namer){ .message = m, .first = n->count, .count = count };
        for (size_t k = 0; k < count; k++)
            add_name(rq, n, ids[k]);
        for (size_t k = 0; k < m->part_count; k++) {
            if (!is_file_part(&m->parts[k]))
                continue;
            n->namers[n->namer_count++] = (struct namer){ .part = &m->parts[k], .first = n->count, .count = 1 };
            add_name(rq, n, str_from(m->parts[k].text, strlen("fileid://")));
        }
    }
}

static enum err judge(struct request *rq, const struct chat_input *in, const struct document_named *n)
{
    if (!n->known)
        return fail_document_file_invalid(&rq->fault, n->id); /* REF: X055 */
    if (n->file.deleted)
        return fail_document_file_deleted(&rq->fault, n->id); /* REF: X056 */
    if (file_purpose_of(n->file.purpose) != FILE_DOCUMENT)
        return fail_document_part_type(&rq->fault); /* REF: E158 */
    if (n->file.size > file_size_max(&rq->settings->files, FILE_DOCUMENT, n->file.name))
        return fail_document_size_over(&rq->fault, n->id); /* REF: X058 */
    return n->document.read ? refuse_verdict(rq, in, document_verdict_of(n->document.verdict), n->id, true) : OK;
}

static struct chat_document *documents_of(struct request *rq, const struct document_named *all, size_t count)
{
    struct chat_document *d = arena_array(rq->arena, struct chat_document, count);

    for (size_t i = 0; i < count; i++)
        d[i] = (struct chat_document){ .id = all[i].id,
                                       .name = all[i].file.name,
                                       .format = all[i].document.format,
                                       .pages = all[i].document.pages,
                                       .tokens = all[i].document.tokens,
                                       .text_bytes = all[i].document.text_bytes,
                                       .hash = all[i].document.text,
                                       .fd = -1 };
    return d;
}

/* Whether the cloud is to say what they are: one of them is not ours. */
static bool is_left(const struct names *n, const struct namer *by, bool cloud)
{
    for (size_t i = 0; cloud && i < by->count; i++) {
        if (!n->all[by->first + i].known)
            return true;
    }
    return false;
}

SUSPENDS static enum err look_at_files(struct request *rq, struct chat_input *in, bool cloud)
{
    struct names         n = { 0 };
    struct document_find f = { .arena = rq->arena,
                               .workspace = rq->settings->files.per_workspace ? rq->workspace : (str){ 0 } };
    bool                 waits = false;
    enum err             e;

    find_names(rq, in, &n);
    if (!n.count)
        return OK;
    f.all = n.all;
    f.count = n.count;
    e = store_run(rq->services->store, document_find_job, &f);
    for (size_t i = 0; i < n.namer_count && !e; i++) {
        struct namer *by = &n.namers[i];

        if (is_left(&n, by, cloud))
            continue;
        for (size_t k = 0; k < by->count && !e; k++) {
            e = judge(rq, in, &n.all[by->first + k]);
            waits = waits || !n.all[by->first + k].document.read;
        }
        if (by->message) {
            by->message->documents = documents_of(rq, n.all + by->first, by->count);
            by->message->document_count = by->count;
        } else {
            by->part->documents = documents_of(rq, n.all + by->first, by->count);
            by->part->document_count = by->count;
        }
    }
    if (!e && waits)
        return rq->services->documents ? fail_file_still_parsing(&rq->fault) /* REF: E034 */
                                       : fail_documents_not_here(&rq->fault);
    return e;
}

/* ---- addresses ---- */

struct scratch {
    struct services *services;
    int              fd;
    enum err         e;
};

static void scratch_job(void *arg)
{
    struct scratch *s = arg;

    s->e = blob_scratch(s->services->blobs, &s->fd);
}

static void close_scratch(void *fd)
{
    close(*(int *)fd);
}

/* What refusals and answers call it: an address, or the beginning of a data URI. */
static str id_of(str url)
{
    return str_starts_nocase(url, S("data:")) ? str_first(url, str_find(url, ',')) : url;
}

/* What its last part says that it is called. */
static str name_of(str url)
{
    size_t from = 0;

    url = str_first(str_first(url, str_find(url, '?')), str_find(url, '#'));
    for (size_t i = 0; i < url.len; i++)
        from = url.ptr[i] == '/' ? i + 1 : from;
    return str_starts_nocase(url, S("data:")) ? (str){ 0 } : str_from(url, from);
}

static enum err refuse_fetch(struct request *rq, str url, enum fetch_error f, int status)
{
    switch (f) {
    case FETCH_TOO_LARGE:
        return fail_document_size_over(&rq->fault, id_of(url));
    case FETCH_URL:
    case FETCH_SCHEME:
        return fail_media_url_invalid(&rq->fault); /* REF: E041 */
    case FETCH_TIMEOUT:
        return fail_media_download_timeout(&rq->fault); /* REF: E051b */
    case FETCH_DENIED:
        return fail_media_access_denied(&rq->fault); /* REF: E053 */
    case FETCH_GONE:
        return fail_media_not_found(&rq->fault); /* REF: X062 */
    case FETCH_STATUS:
        if (status == 404)
            return fail_media_not_found(&rq->fault);
        break;
    case FETCH_OK:
    case FETCH_FORBIDDEN:
    case FETCH_NAME:
    case FETCH_REFUSED:
    case FETCH_UNREACHABLE:
    case FETCH_REDIRECTS:
    case FETCH_TYPE:
    case FETCH_NO_LENGTH:
    case FETCH_BROKEN:
    case FETCH_SPOOL:
    case FETCH_CANCELLED:
        break;
    }
    return fail_media_unreachable(&rq->fault); /* REF: E051c */
}

/* What a laptop without a network cannot have. */
static bool on_trust(const struct request *rq, enum fetch_error f)
{
    return rq->settings->media_chat != REQUEST_MEDIA_ALL &&
           (f == FETCH_NAME || f == FETCH_UNREACHABLE || f == FETCH_FORBIDDEN);
}

/* What the engine could not cope with. */
static enum err refuse_reading(struct request *rq, str url, enum err e)
{
    if (e == ERR_CANCELLED)
        return e;
    if (e == ERR_LIMIT || e == ERR_UNREACHABLE)
        (void)fail_algorithm_runtime(&rq->fault); /* REF: E220 */
    else
        (void)fail_document_format_unsupported(&rq->fault, id_of(url));
    return fault_detail(&rq->fault, str_from_cstr(err_text(e)));
}

/* *ret_there: its text is. */
SUSPENDS static enum err look_at_address(struct request *rq, const struct chat_input *in, str url,
                                         struct chat_document *ret, bool *ret_there)
{
    struct fetch_request  want = { .url = url,
                                   .workspace = rq->workspace,
                                   .model = rq->model_name,
                                   .size_max = rq->settings->files.document_max,
                                   .time_ms = rq->settings->tasks.fetch_ms };
    struct fetched        got = { 0 };
    struct document_facts is;
    struct scratch       *s = arena_new(rq->arena, struct scratch);
    enum fetch_error      f;
    enum err              e;

    *ret_there = false;
    rq->action = "downloading a document";
    f = fetch(rq->services->fetcher, rq->arena, &want, &got);
    if (f == FETCH_CANCELLED)
        return ERR_CANCELLED;
    if (f && on_trust(rq, f))
        return OK;
    if (f) {
        (void)refuse_fetch(rq, url, f, got.status);
        return fault_detail(&rq->fault, fetch_error_text(f));
    }
    if (!rq->services->documents)
        return fail_documents_not_here(&rq->fault);
    s->services = rq->services;
    lane_run(rq->services->files, scratch_job, s);
    if (s->e)
        return s->e;
    arena_defer(rq->arena, close_scratch, &s->fd);
    rq->action = "reading a document";
    e = document_read(rq->services->documents, got.fd, name_of(url), s->fd, rq->arena, &is);
    if (e)
        return refuse_reading(rq, url, e);
    e = refuse_verdict(rq, in, is.verdict, id_of(url), false);
    if (e)
        return e;
    *ret = (struct chat_document){ .id = id_of(url),
                                   .name = name_of(url),
                                   .format = str_from_cstr(document_format_name(is.format)),
                                   .pages = is.pages,
                                   .text_bytes = is.text_bytes,
                                   .fd = s->fd };
    *ret_there = true;
    return document_take(rq->services, s->fd, NULL, &ret->tokens);
}

SUSPENDS static enum err look_at_part(struct request *rq, const struct chat_input *in, struct chat_part *p)
{
    size_t      count = p->urls ? yyjson_arr_size(p->urls) : 1, i, n;
    yyjson_val *url;
    enum err    e = OK;
    bool        there;

    p->documents = arena_array(rq->arena, struct chat_document, count);
    if (!p->urls) {
        e = look_at_address(rq, in, p->text, &p->documents[0], &there);
        p->document_count = !e && there;
        return e;
    }
    yyjson_arr_foreach(p->urls, i, n, url)
    {
        if (e)
            break;
        e = look_at_address(rq, in, json_str(url), &p->documents[p->document_count], &there);
        p->document_count += !e && there;
    }
    return e;
}

enum err document_chat_look(struct request *rq, struct chat_input *in, bool cloud)
{
    enum err e;

    might_suspend();
    if (in->model->task != MODEL_TASK_DOCUMENT_CHAT)
        return OK;
    e = look_at_files(rq, in, cloud);
    if (cloud || rq->settings->media_chat == REQUEST_MEDIA_OFF)
        return e;
    for (size_t i = 0; i < in->message_count; i++) {
        struct chat_message *m = &in->messages[i];

        for (size_t k = 0; k < m->part_count && !e; k++) {
            if (m->parts[k].kind == CHAT_PART_FILE && !is_file_part(&m->parts[k]))
                e = look_at_part(rq, in, &m->parts[k]);
        }
    }
    return e;
}

int64_t document_chat_tokens(const struct chat_message *m)
{
    int64_t sum = 0;

    for (size_t i = 0; i < m->document_count; i++)
        sum += m->documents[i].tokens;
    for (size_t i = 0; i < m->part_count; i++) {
        for (size_t k = 0; k < m->parts[i].document_count; k++)
            sum += m->parts[i].documents[k].tokens;
    }
    return sum;
}

/* ---- their texts ---- */

struct loading {
    struct request       *rq;
    struct chat_document *d;
    size_t                most;
    enum err              e;
};

static void load_job(void *arg)
{
    struct loading *l = arg;
    char           *text = arena_bytes(l->rq->arena, l->most);
    int64_t         size;
    size_t          len = 0;
    int             fd = l->d->fd;
    ssize_t         n = 1;

    if (l->d->hash.len)
        l->e = blob_read(l->rq->services->blobs, l->d->hash, &fd, &size);
    if (l->e)
        return;
    while (len < l->most && n > 0) {
        n = pread(fd, text + len, l->most - len, (off_t)len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else
            len += n > 0 ? (size_t)n : 0;
    }
    if (l->d->hash.len)
        close(fd);
    l->e = n < 0 ? ERR_IO : OK;
    l->d->given = str_of(text, (int64_t)len < l->d->text_bytes ? utf8_cut(str_of(text, len), len) : len);
}

/* How much there is of all of them. */
static int64_t bytes_of(const struct chat_document *d, size_t count)
{
    int64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += d[i].text_bytes;
    return sum;
}

/* REF: X056: it has been deleted since it was looked for. */
SUSPENDS static enum err load(struct request *rq, struct chat_document *d, size_t count, int64_t all)
{
    int64_t  most = rq->settings->documents.inline_max;
    enum err e = OK;

    for (size_t i = 0; i < count && !e; i++) {
        int64_t share = all <= most ? d[i].text_bytes : (int64_t)((double)d[i].text_bytes / (double)all * (double)most);
        struct loading l = { .rq = rq, .d = &d[i], .most = (size_t)share };

        lane_run(rq->services->files, load_job, &l);
        e = l.e == ERR_NOT_FOUND ? fail_document_file_deleted(&rq->fault, d[i].id) : l.e;
    }
    return e;
}

enum err document_chat_load(struct request *rq, struct chat_input *in)
{
    int64_t  all = 0;
    enum err e = OK;

    might_suspend();
    for (size_t i = 0; i < in->message_count; i++) {
        const struct chat_message *m = &in->messages[i];

        all += bytes_of(m->documents, m->document_count);
        for (size_t k = 0; k < m->part_count; k++)
            all += bytes_of(m->parts[k].documents, m->parts[k].document_count);
    }
    for (size_t i = 0; i < in->message_count && all && !e; i++) {
        struct chat_message *m = &in->messages[i];

        e = load(rq, m->documents, m->document_count, all);
        for (size_t k = 0; k < m->part_count && !e; k++)
            e = load(rq, m->parts[k].documents, m->parts[k].document_count, all);
    }
    return e;
}

/* ---- for an engine ---- */

/* Its name, since a question may be about one of several, and what there is of its text. */
static void add_text(struct buf *b, const struct chat_document *d)
{
    buf_addf(b, "[%.*s]\n", STR_ARG(d->name.len ? d->name : d->id));
    buf_add(b, d->given);
    if ((int64_t)d->given.len < d->text_bytes)
        buf_addf(b, "\n[… the first %zu of %lld bytes]", d->given.len, (long long)d->text_bytes);
}

static void inline_message(struct request *rq, const struct chat_message *m, struct chat_message *to)
{
    for (size_t i = 0; i < m->document_count; i++) {
        struct buf b;

        buf_init(&b, rq->arena, SIZE_MAX / 2);
        add_text(&b, &m->documents[i]);
        to[i] = (struct chat_message){ .role = CHAT_SYSTEM, .content = buf_str(&b) };
    }
}

static void inline_parts(struct request *rq, struct chat_message *m)
{
    bool any = false;

    for (size_t i = 0; i < m->part_count; i++) {
        struct chat_part *p = &m->parts[i];
        struct buf        b;

        if (!p->document_count || (p->urls && p->document_count < yyjson_arr_size(p->urls)))
            continue; /* what was taken on trust is the engine's to fetch */
        buf_init(&b, rq->arena, SIZE_MAX / 2);
        for (size_t k = 0; k < p->document_count; k++) {
            add_text(&b, &p->documents[k]);
            buf_add(&b, S("\n\n"));
        }
        *p = (struct chat_part){ .kind = CHAT_PART_TEXT, .text = buf_str(&b), .cache = p->cache };
        any = true;
    }
    if (any)
        m->content = chat_parts_text(rq->arena, m->parts, m->part_count);
}

void document_chat_inline(struct request *rq, struct chat_input *in)
{
    size_t               count = 0, at = 0;
    struct chat_message *all;

    for (size_t i = 0; i < in->message_count; i++)
        count += max_size(in->messages[i].document_count, 1);
    all = count > in->message_count ? arena_array(rq->arena, struct chat_message, count) : in->messages;
    for (size_t i = 0; i < in->message_count; i++) {
        struct chat_message m = in->messages[i];

        if (m.document_count) {
            inline_message(rq, &m, all + at);
            at += m.document_count;
            continue;
        }
        inline_parts(rq, &m);
        all[at++] = m;
    }
    in->messages = all;
    in->message_count = count;
}
