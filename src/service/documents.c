/* documents.c - from files to texts. */
#include "service/documents.h"

#include "base/log.h"
#include "base/num.h"
#include "base/rand.h"
#include "engine/document/document.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "service/files.h"
#include "service/knowledge.h"
#include "store/documents.h"
#include "tokens/tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CHARACTER_MAX 4 /* bytes */
#define PIECE         ((size_t)1 << 20)
#define POLL_US \
    INT64_C(2000000) /* how late is found what another process left, and tried again what the store did not take */

/* ---- taking a text ---- */

struct taking {
    const struct tokenizer *tokenizer;
    struct blob_writer     *to;
    int                     fd;
    char                   *piece;
    size_t                  len, room; /* what lies in `piece`, not counted yet */
    int64_t                 at, tokens;
    bool                    whole; /* nothing comes any more */
    enum err                e;
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The last place where the text can be cut so that the counts of its parts add up to its own: no token lies across it, nor a character
 * that is put together of several. Behind a letter what is none begins anew; behind the end of a line what is not blank does. 0: there is
 * none. */
static size_t cut(const struct tokenizer *t, str text)
{
    for (size_t i = text.len; i > CHARACTER_MAX; i--) {
        size_t at = i - CHARACTER_MAX;
        char   before = text.ptr[at - 1], after = text.ptr[at];

        if ((is_letter(before) && !is_letter(after) && !(after & 0x80)) ||
            (before == '\n' && !tokenizer_starts_blank(t, str_from(text, at))))
            return at;
    }
    return 0;
}

static void take_piece(void *arg)
{
    struct taking *t = arg;
    size_t         end;
    ssize_t        n;

    if (t->len == t->room)
        t->piece = xrealloc(t->piece, t->room *= 2); /* a very long word, or line of another script */
    do {
        n = pread(t->fd, t->piece + t->len, t->room - t->len, t->at);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        t->e = ERR_IO;
        return;
    }
    if (n > 0 && t->to)
        t->e = blob_write(t->to, str_of(t->piece + t->len, (size_t)n));
    t->whole = n == 0;
    t->at += n;
    t->len += (size_t)n;
    end = t->whole ? t->len : t->len == t->room ? cut(t->tokenizer, str_of(t->piece, t->len)) : 0;
    t->tokens += (int64_t)tokenizer_count(t->tokenizer, str_of(t->piece, end));
    t->len -= end;
    memmove(t->piece, t->piece + end, t->len);
}

enum err document_take(struct services *s, int fd, struct blob_writer *to, int64_t *ret_tokens)
{
    struct taking t = { .tokenizer = s->tokenizer, .to = to, .fd = fd, .piece = xmalloc(PIECE), .room = PIECE };

    might_suspend();
    while (!t.e && !t.whole)
        lane_run(s->files, take_piece, &t);
    free(t.piece);
    *ret_tokens = t.tokens;
    return t.e;
}

/* ---- a document ---- */

struct reader {
    struct document_reader *all;
    struct fiber           *fiber; /* NULL: not started, or at its end */
};

struct document_reader {
    struct loop                   *loop;
    struct document_reader_options o;
    char                           owner[16]; /* of its claims */
    struct reader                 *readers;
    size_t                         running;
    unsigned                       news; /* how often something was said to wait */
    bool                           stopping;
    void (*then)(void *arg);
    void *then_arg;
};

/* What is open while one is read. */
struct work {
    struct services      *services;
    struct document_row  *row;
    struct document_facts facts;
    struct blob_writer    text;
    int                   scratch; /* -1: not open */
    enum err              e;
};

static void open_job(void *arg)
{
    struct work *w = arg;

    w->e = blob_scratch(w->services->blobs, &w->scratch);
    if (!w->e)
        w->e = blob_begin(w->services->blobs, &w->text);
}

static void end_job(void *arg)
{
    struct work *w = arg;

    w->e = blob_end(&w->text);
}

static void close_job(void *arg)
{
    struct work *w = arg;

    if (w->scratch >= 0)
        close(w->scratch);
    if (w->text.path[0])
        blob_drop(&w->text);
}

/* Its text in w->text, where the verdict is that it has one. */
SUSPENDS static enum err read_text(struct work *w, struct arena *a)
{
    int64_t  size;
    int      fd;
    enum err e = file_open(w->services, w->row->hash, &fd, &size);

    if (e)
        return e;
    lane_run(w->services->files, open_job, w);
    e = w->e ? w->e : document_read(w->services->documents, fd, w->row->name, w->scratch, a, &w->facts);
    close(fd);
    if (e || w->facts.verdict != DOCUMENT_OK)
        return e;
    e = document_take(w->services, w->scratch, &w->text, &w->row->tokens);
    if (!e)
        lane_run(w->services->files, end_job, w);
    return e ? e : w->e;
}

/* What the engine could not cope with is tried again, and then a broken one. */
static bool is_given_up(const struct document_row *row, enum err e)
{
    return row->tries >= DOCUMENT_TRIES_MAX &&
           (e == ERR_IO || e == ERR_TIMEOUT || e == ERR_PROTOCOL || e == ERR_INVALID || e == ERR_NOT_FOUND);
}

SUSPENDS static void end_document(struct document_reader *r, struct work *w, enum err e)
{
    struct document_row    *row = w->row;
    struct document_release release = { .number = row->number,
                                        .counts = e != ERR_CANCELLED && e != ERR_LIMIT && e != ERR_UNREACHABLE };
    struct document_keep    keep = { .blobs = r->o.blobs, .row = *row };

    if (e && !is_given_up(row, e)) {
        if (store_run(r->o.store, document_release_job, &release) == OK) /* else its files have gone */
            log_info("document %.12s: %s, tried again", row->hash.ptr, err_text(e));
        return;
    }
    if (e)
        w->facts.verdict = DOCUMENT_BROKEN;
    keep.text = w->facts.verdict == DOCUMENT_OK ? &w->text : NULL;
    keep.row.verdict = str_from_cstr(document_verdict_name(w->facts.verdict));
    keep.row.format = str_from_cstr(document_format_name(w->facts.format));
    keep.row.pages = w->facts.pages;
    e = store_run(r->o.store, document_keep_job, &keep);
    if (e && e != ERR_NOT_FOUND)
        (void)store_run(r->o.store, document_release_job, &release);
    else
        log_info("document %.12s: %s, %.*s, %lld pages, %lld tokens%s%.*s", row->hash.ptr,
                 document_format_name(w->facts.format), STR_ARG(keep.row.verdict), (long long)w->facts.pages,
                 (long long)row->tokens, w->facts.error.len ? ": " : "", STR_ARG(w->facts.error));
}

/* ERR_NOT_FOUND: nothing waits. ERR_UNREACHABLE: nobody is there who could read it. */
SUSPENDS static enum err read_one(struct document_reader *r, struct services *s)
{
    struct arena          a;
    struct document_claim claim = { .arena = &a, .owner = str_of(r->owner, sizeof(r->owner)) };
    struct work           w = { .services = s, .row = &claim.row, .scratch = -1, .text = { .fd = -1 } };
    enum err              e;

    arena_init(&a, 0);
    e = store_run(r->o.store, document_claim_job, &claim);
    if (!e) {
        /* Lost with the server so often that this may be why: it is not looked at again. */
        enum err failed = claim.row.tries > DOCUMENT_TRIES_MAX ? ERR_IO : read_text(&w, &a);

        end_document(r, &w, failed);
        knowledge_index_wake(s->indexing);
        lane_run(s->files, close_job, &w);
        e = failed == ERR_CANCELLED || failed == ERR_UNREACHABLE ? failed : OK;
    }
    arena_free(&a);
    return e;
}

/* ---- readers ---- */

static void reader_over(struct document_reader *r)
{
    if (--r->running == 0 && r->stopping)
        r->then(r->then_arg);
}

static void reader_main(void *arg)
{
    struct reader          *one = arg;
    struct document_reader *r = one->all;

    while (!r->stopping) {
        const struct request_settings *settings;
        unsigned                       news = r->news;
        struct services               *s = r->o.hold(r->o.arg, &settings);
        enum err                       e = s->documents ? read_one(r, s) : ERR_NOT_FOUND;

        r->o.release(r->o.arg, s);
        if (e && !r->stopping && news == r->news)
            (void)fiber_wait(loop_now_us(r->loop) + POLL_US);
    }
    one->fiber = NULL;
    reader_over(r);
}

struct document_reader *document_reader_open(struct loop *l, const struct document_reader_options *o)
{
    struct document_reader *r = xcalloc(1, sizeof(*r));

    r->loop = l;
    r->o = *o;
    r->readers = xcalloc(o->at_once, sizeof(*r->readers));
    rand_hex(r->owner, sizeof(r->owner));
    return r;
}

void document_reader_start(struct document_reader *r)
{
    r->running = r->o.at_once;
    for (size_t i = 0; i < r->o.at_once; i++) {
        r->readers[i].all = r;
        r->readers[i].fiber = fiber_start(r->loop, reader_main, &r->readers[i]);
    }
}

static void wake_here(void *arg)
{
    struct document_reader *r = arg;

    r->news++;
    for (size_t i = 0; i < r->o.at_once; i++) {
        if (r->readers[i].fiber)
            fiber_wake(r->readers[i].fiber);
    }
}

void document_reader_wake(struct document_reader *r)
{
    if (r)
        loop_post(r->loop, wake_here, r);
}

void document_reader_stop(struct document_reader *r, void (*then)(void *arg), void *arg)
{
    r->stopping = true;
    r->then = then;
    r->then_arg = arg;
    for (size_t i = 0; i < r->o.at_once; i++) {
        if (r->readers[i].fiber)
            fiber_cancel(r->readers[i].fiber);
    }
    if (!r->running)
        then(arg);
}

void document_reader_free(struct document_reader *r)
{
    if (!r)
        return;
    free(r->readers);
    free(r);
}
