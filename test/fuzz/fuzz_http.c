/* fuzz_http.c - HTTP/1.1 from strangers: whatever the bytes, they mean the same in one piece and cut anywhere, and what is
 * taken for a head has one meaning only.
 *
 * The first byte says whether these are requests, answers, or answers to HEAD; the second where to cut; the rest are the
 * bytes.
 */
#include "net/http1.c"

#include "../unit/net/record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what must hold for every head that is not refused ---- */

static bool is_token(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c <= 0x20 || c >= 0x7F || strchr("()<>@,;:\\\"/[]?={}", c))
            return false;
    }
    return s.len > 0;
}

static void check_head(const struct http_head *h)
{
    size_t lengths = 0, codings = 0, hosts = 0;

    for (size_t i = 0; i < h->field_count; i++) {
        str name = h->fields[i].name, value = h->fields[i].value;

        ASSERT(is_token(name));
        for (size_t k = 0; k < value.len; k++)
            ASSERT(value.ptr[k] != '\r' && value.ptr[k] != '\n' && value.ptr[k] != 0);
        ASSERT(str_eq(str_trim(value), value));
        lengths += str_eq_nocase(name, S("content-length"));
        codings += str_eq_nocase(name, S("transfer-encoding"));
        hosts += str_eq_nocase(name, S("host"));
    }
    ASSERT(h->field_count <= HTTP_FIELDS_MAX);
    ASSERT(lengths + codings <= 1);
    ASSERT((h->content_length >= 0) == (lengths == 1));
    ASSERT(h->chunked == (codings == 1));
    ASSERT(h->minor <= 1);
    if (h->status) {
        ASSERT(h->status >= 100 && h->status <= 999);
        return;
    }
    ASSERT(is_token(h->method));
    ASSERT(h->target.len > 0);
    for (size_t i = 0; i < h->target.len; i++)
        ASSERT((unsigned char)h->target.ptr[i] > 0x20 && h->target.ptr[i] != 0x7F);
    ASSERT(hosts <= 1 && (hosts == 1 || h->minor == 0));
}

static bool on_checked_head(struct http1 *p)
{
    check_head(&p->head);
    return record_head(p);
}

static void on_checked_end(struct http1 *p)
{
    struct record *r = record_of(p);

    /* A length that was stated is the length that came, where a body may be. */
    if (p->head.content_length >= 0 && !r->no_body && (p->head.status == 0 || p->head.status >= 200) &&
        p->head.status != 204 && p->head.status != 304)
        ASSERT(r->body_len == (size_t)p->head.content_length);
    record_end(p);
}

static const struct http1_events checked_events = {
    .on_begin = record_begin,
    .on_head = on_checked_head,
    .on_body = record_body,
    .on_end = on_checked_end,
};

/* ---- one reading ---- */

struct reading {
    struct record record;
    enum err      eof;
};

static void read_in(struct reading *r, uint8_t kind, const uint8_t *data, size_t size, uint64_t seed)
{
    record_init(&r->record, kind % 3 ? HTTP1_ANSWERS : HTTP1_REQUESTS);
    r->record.parser.events = &checked_events;
    r->record.no_body = kind % 3 == 2;
    for (size_t at = 0; at < size;) {
        size_t n = size - at;
        char  *piece;

        if (seed) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            n = min_size(n, 1 + (size_t)(seed >> 60) * (size_t)(seed >> 58 & 3)); /* one byte often, 46 at most */
        }
        piece = malloc(n); /* its end is the end of what may be looked at */
        memcpy(piece, data + at, n);
        record_feed(&r->record, str_of(piece, n));
        free(piece);
        at += n;
    }
    r->eof = r->record.e ? r->record.e : http1_eof(&r->record.parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole, cut;

    if (size < 3)
        return 0;
    read_in(&whole, data[0], data + 2, size - 2, 0);
    read_in(&cut, data[0], data + 2, size - 2, data[1] + 1u);
    /* Of two things wrong at one place either may be told. */
    ASSERT(!whole.record.e == !cut.record.e);
    ASSERT(whole.record.messages == cut.record.messages);
    ASSERT(str_eq(buf_str(&whole.record.text), buf_str(&cut.record.text)));
    ASSERT(!whole.eof == !cut.eof);
    record_free(&whole.record);
    record_free(&cut.record);
    return 0;
}
