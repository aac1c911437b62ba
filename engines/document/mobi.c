/* mobi.c - MOBI, AZW and AZW3 without their locks, and the older PalmDOC: libmobi unpacks the markup, which is HTML. */
#include "base/buf.h"
#include "engines/document/encoding.h"
#include "engines/document/html.h"
#include "engines/document/reading.h"

#include <mobi.h>
#include <stdlib.h>

/* In the head of a Palm database: where it says how many records it has, and their places. */
#define RECORD_COUNT 76
#define RECORDS      78
#define RECORD_BYTES 8

#define TEXT_MAX ((size_t)256 * 1024 * 1024) /* as UTF-8 */

static bool is_utf8(const MOBIData *m)
{
    return m->mh && m->mh->text_encoding && *m->mh->text_encoding == MOBI_UTF8;
}

static enum document_verdict markup_read(struct reading *r, const MOBIData *m, str markup)
{
    struct buf b;
    str        text = markup;

    buf_init(&b, r->arena, TEXT_MAX);
    if (!is_utf8(m) && !encoding_to_utf8(markup, &b, &text))
        return reading_fails(r, DOCUMENT_BROKEN, "a book whose text is none");
    if (b.full)
        return reading_fails(r, DOCUMENT_LARGE, "the text is too long");
    if (mobi_is_mobipocket(m))
        html_to_text(text, r->out);
    else
        out_add(r->out, text);
    return DOCUMENT_OK;
}

static enum document_verdict loaded_read(struct reading *r, const MOBIData *m)
{
    enum document_verdict v;
    size_t                len = mobi_get_text_maxsize(m);
    char                 *markup;

    if (mobi_is_encrypted(m))
        return reading_fails(r, DOCUMENT_BROKEN, "a book that is locked");
    if (mobi_is_replica(m))
        return reading_fails(r, DOCUMENT_FORMAT, "a book of printed pages");
    if (len == MOBI_NOTSET || !len)
        return reading_fails(r, DOCUMENT_BROKEN, "a book without text");
    markup = malloc(len + 1);
    if (!markup)
        return reading_fails(r, DOCUMENT_LARGE, "a book that unpacks to too much");
    if (mobi_get_rawml(m, markup, &len) == MOBI_SUCCESS)
        v = markup_read(r, m, str_of(markup, len));
    else
        v = reading_fails(r, DOCUMENT_BROKEN, "a book that cannot be unpacked");
    free(markup);
    return v;
}

static uint32_t number_at(str bytes, size_t at, size_t len)
{
    uint32_t n = 0;

    for (size_t i = 0; i < len; i++)
        n = n << 8 | (unsigned char)bytes.ptr[at + i];
    return n;
}

/* Its records lie one behind the other, in the file: libmobi takes memory for what lies between their beginnings. */
static bool records_are_in(str bytes)
{
    size_t   count = number_at(bytes, RECORD_COUNT, 2);
    uint32_t before = 0;

    if (RECORDS + count * RECORD_BYTES > bytes.len)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint32_t at = number_at(bytes, RECORDS + i * RECORD_BYTES, 4);

        if (at < before || at > bytes.len)
            return false;
        before = at;
    }
    return count > 0;
}

enum document_verdict mobi_read(struct reading *r)
{
    FILE                 *f;
    MOBIData             *m;
    enum document_verdict v = DOCUMENT_BROKEN;

    r->format = DOCUMENT_FORMAT_MOBI;
    if (r->bytes.len < RECORDS || !records_are_in(r->bytes))
        return reading_fails(r, v, "a book that is cut");
    f = fmemopen((void *)r->bytes.ptr, r->bytes.len, "rb"); /* to read: it stays as it is */
    m = mobi_init();
    if (f && m && mobi_load_file(m, f) == MOBI_SUCCESS)
        v = loaded_read(r, m);
    mobi_free(m);
    if (f)
        fclose(f);
    return v ? reading_fails(r, v, "a book that cannot be opened") : v;
}
