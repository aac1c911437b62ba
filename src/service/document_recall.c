/* document_recall.c - the sentences that are nearest to a question. The texts are read in pieces; each piece's best go on to the final, so
 * that what is held is a piece and a few sentences. On the lane of files, a piece at a time. */
#include "service/document_chat.h"

#include "base/num.h"
#include "base/utf8.h"
#include "engine/lexical/lexical.h"
#include "loop/lane.h"
#include "service/services.h"
#include "store/blobs.h"

#include <errno.h>
#include <unistd.h>

#define PIECE         ((size_t)256 * 1024)
#define BYTES_MAX     ((int64_t)4 << 20) /* of all texts */
#define SENTENCE_MAX  ((size_t)400)      /* bytes; a longer one is cut */
#define SENTENCES_MAX 20000              /* of a piece */
#define QUESTION_MAX  ((size_t)1000)     /* bytes */

/* A sentence that may be given. */
struct finalist {
    struct finalist            *next;
    const struct chat_document *document;
    str                         text; /* in the request's arena */
};

struct recall {
    struct request             *rq;
    str                         question;
    const struct chat_document *document; /* that is being read */
    int                         fd;       /* -1: not open */
    int64_t                     at, left; /* in its text; bytes of all texts */
    bool                        ended;    /* its text */
    struct finalist            *first, **last;
    size_t                      count;
    struct chat_passage        *ret;
    size_t                      ret_count;
    enum err                    e;
};

/* How long the sentence at the start of the text is: up to the end of its line, or a full stop of some script. */
static size_t sentence_end(str text)
{
    static const str stops[] = { S("\n"), S(". "), S("! "), S("? "), S("。"), S("！"), S("？") };
    size_t           most = min_size(text.len, SENTENCE_MAX);

    for (size_t i = 0; i < most; i++) {
        for (size_t k = 0; k < ARRAY_LEN(stops); k++) {
            if (str_starts(str_from(text, i), stops[k]))
                return i + stops[k].len;
        }
    }
    return most < text.len ? max_size(utf8_cut(text, most), 1) : text.len;
}

static bool has_text(const str *sentences, const size_t *at, size_t count, str text)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(sentences[at[i]], text))
            return true;
    }
    return false;
}

/* The best of the sentences, by rank, each once; only such as have at least half as much of the question as the first. */
static size_t best_of(struct arena *a, str question, const str *sentences, size_t count, size_t ret[CHAT_PASSAGES_MAX])
{
    struct rerank_input  in = { .query = question, .documents = sentences, .document_count = count };
    struct rerank_answer ranked;
    size_t               n = 0;

    if (!count)
        return 0;
    lexical_rerank(a, &in, &ranked);
    for (size_t i = 0; i < ranked.count && n < CHAT_PASSAGES_MAX; i++) {
        const struct rerank_result *r = &ranked.results[i];

        if (r->score <= 0 || r->score < ranked.results[0].score / 2)
            break;
        if (!has_text(sentences, ret, n, sentences[r->index]))
            ret[n++] = r->index;
    }
    return n;
}

/* Sends the best of the piece on. Returns how many bytes of it were sentences: the rest may go on behind it. */
static size_t judge_piece(struct recall *r, struct arena *a, str piece)
{
    str   *sentences = arena_array(a, str, SENTENCES_MAX), rest = piece;
    size_t count = 0, best[CHAT_PASSAGES_MAX], n;

    while (rest.len && count < SENTENCES_MAX) {
        size_t end = sentence_end(rest);

        if (end == rest.len && !r->ended && count)
            break;
        sentences[count] = str_trim(str_first(rest, end));
        count += sentences[count].len > 0;
        rest = str_from(rest, end);
    }
    n = best_of(a, r->question, sentences, count, best);
    for (size_t i = 0; i < n; i++) {
        struct finalist *f = arena_new(r->rq->arena, struct finalist);

        f->document = r->document;
        f->text = arena_str(r->rq->arena, sentences[best[i]]);
        *r->last = f;
        r->last = &f->next;
        r->count++;
    }
    return piece.len - rest.len;
}

static void read_piece(void *arg)
{
    struct recall *r = arg;
    struct arena   a;
    size_t         want = (size_t)min_i64((int64_t)PIECE, r->left), used;
    char          *piece;
    int64_t        size;
    ssize_t        n;

    arena_init(&a, PIECE * 2);
    piece = arena_bytes(&a, PIECE);
    if (r->fd < 0)
        r->e = blob_read(r->rq->services->blobs, r->document->hash, &r->fd, &size);
    do {
        n = r->e ? 0 : pread(r->fd, piece, want, r->at);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        r->e = ERR_IO;
    r->ended = n < (ssize_t)want;
    if (n > 0) {
        used = judge_piece(r, &a, str_of(piece, (size_t)n));
        r->at += (int64_t)used;
        r->left -= (int64_t)used;
        r->ended = (r->ended && used == (size_t)n) || want < PIECE || r->left == 0;
    }
    if ((r->ended || r->e) && r->document->hash.len && r->fd >= 0)
        close(r->fd);
    arena_free(&a);
}

static void judge_finalists(void *arg)
{
    struct recall    *r = arg;
    struct arena      a;
    str              *sentences;
    struct finalist **all, *f = r->first;
    size_t            best[CHAT_PASSAGES_MAX], n;

    arena_init(&a, 0);
    sentences = arena_array(&a, str, r->count);
    all = arena_array(&a, struct finalist *, r->count);
    for (size_t i = 0; i < r->count; i++, f = f->next) {
        sentences[i] = f->text;
        all[i] = f;
    }
    n = best_of(&a, r->question, sentences, r->count, best);
    for (size_t i = 0; i < n; i++)
        r->ret[i] = (struct chat_passage){ all[best[i]]->document, all[best[i]]->text };
    r->ret_count = n;
    arena_free(&a);
}

SUSPENDS static void read_documents(struct recall *r, const struct chat_document *d, size_t count)
{
    for (size_t i = 0; i < count && r->left > 0 && !r->e; i++) {
        r->document = &d[i];
        r->fd = d[i].hash.len ? -1 : d[i].fd;
        r->at = 0;
        r->ended = false;
        while (!r->ended && !r->e)
            lane_run(r->rq->services->files, read_piece, r);
    }
}

enum err document_recall(struct request *rq, const struct chat_input *in, str question,
                         struct chat_passage ret[CHAT_PASSAGES_MAX], size_t *ret_count)
{
    struct recall r = { .rq = rq,
                        .question = str_first(question, utf8_cut(question, min_size(question.len, QUESTION_MAX))),
                        .left = BYTES_MAX,
                        .ret = ret };

    might_suspend();
    r.last = &r.first;
    rq->action = "looking into documents";
    for (size_t i = 0; i < in->message_count; i++) {
        const struct chat_message *m = &in->messages[i];

        read_documents(&r, m->documents, m->document_count);
        for (size_t k = 0; k < m->part_count; k++)
            read_documents(&r, m->parts[k].documents, m->parts[k].document_count);
    }
    if (!r.e)
        lane_run(rq->services->files, judge_finalists, &r);
    *ret_count = r.ret_count;
    return r.e;
}
