/* reading.c - what a document is. */
#include "engines/document/reading.h"

#include "engines/document/encoding.h"
#include "engines/document/markdown.h"
#include "engines/document/package.h"

#define TEXT_ROOM    4    /* times what may be written: line ends and marks are shorter afterwards */
#define PDF_HEAD_MAX 1024 /* bytes in which %PDF- must stand, as readers have it */

enum document_verdict reading_fails(struct reading *r, enum document_verdict v, const char *why)
{
    if (!r->error)
        r->error = why;
    return v;
}

void reading_begin(void)
{
    encoding_begin();
    pdf_begin();
}

static enum document_verdict package_read(struct reading *r)
{
    struct package       *p;
    enum document_verdict v = package_open(r->bytes, &p);

    if (v)
        return reading_fails(r, v, "a ZIP archive that cannot be opened");
    if (package_has(p, "META-INF/container.xml"))
        v = epub_read(r, p);
    else if (package_has(p, "_rels/.rels"))
        v = office_read(r, p);
    else
        v = reading_fails(r, DOCUMENT_FORMAT, "a ZIP archive that is no document");
    package_close(p);
    return v;
}

enum document_verdict text_read(struct reading *r)
{
    struct buf b;
    str        text;

    buf_init(&b, r->arena, TEXT_ROOM * (size_t)r->out->max);
    r->format = DOCUMENT_FORMAT_TEXT;
    if (str_starts(r->bytes, S("{\\rtf")) || !encoding_to_utf8(r->bytes, &b, &text)) {
        r->format = DOCUMENT_FORMAT_UNKNOWN;
        return reading_fails(r, DOCUMENT_FORMAT, "neither text nor a format that is read");
    }
    if (b.full)
        return reading_fails(r, DOCUMENT_LARGE, "the text is too long");
    if (str_eq(r->extension, S("md")) || str_eq(r->extension, S("markdown"))) {
        r->format = DOCUMENT_FORMAT_MARKDOWN;
        markdown_to_text(text, r->arena, r->out);
    } else {
        out_add(r->out, text);
    }
    return DOCUMENT_OK;
}

/* Formats of which a file that calls itself so and begins otherwise is a broken one. */
static enum document_format promised(str extension)
{
    static const struct {
        const char          *extension;
        enum document_format format;
    } list[] = {
        { "pdf", DOCUMENT_FORMAT_PDF },   { "docx", DOCUMENT_FORMAT_DOCX }, { "xlsx", DOCUMENT_FORMAT_XLSX },
        { "pptx", DOCUMENT_FORMAT_PPTX }, { "epub", DOCUMENT_FORMAT_EPUB }, { "mobi", DOCUMENT_FORMAT_MOBI },
    };

    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        if (str_eq(extension, str_from_cstr(list[i].extension)))
            return list[i].format;
    }
    return DOCUMENT_FORMAT_UNKNOWN;
}

enum document_verdict reading_run(struct reading *r)
{
    str magic =
        r->bytes.len > 68 ? str_of(r->bytes.ptr + 60, 8) : (str){ 0 }; /* of a Palm database: type and creator */

    if (str_find_str(str_first(r->bytes, PDF_HEAD_MAX), S("%PDF-")) != STR_NONE)
        return pdf_read(r);
    if (str_starts(r->bytes, S("PK\3\4")))
        return package_read(r);
    if (str_eq(magic, S("BOOKMOBI")) || str_eq(magic, S("TEXtREAd")))
        return mobi_read(r);
    r->format = promised(r->extension);
    if (r->format && r->bytes.len)
        return reading_fails(r, DOCUMENT_BROKEN, "it does not begin as its name says");
    return text_read(r);
}
