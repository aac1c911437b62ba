/* reading.h - a document that is being read, and the readers of formats.
 *
 * A reader adds text to `out` and returns a verdict. It stops early when `out` is full. What fails says why in `error`.
 */
#ifndef DASHBOX_DOCUMENT_READING_H
#define DASHBOX_DOCUMENT_READING_H

#include "engine/document/facts.h"
#include "engines/document/out.h"

struct package;

struct reading {
    str                  bytes;     /* the whole document */
    str                  extension; /* in small letters; "-": none */
    int64_t              page_max;
    struct arena        *arena; /* of this document */
    struct out          *out;
    enum document_format format; /* set by what reads it, like what follows */
    int64_t              pages;
    const char          *error; /* static, or in the arena */
};

/* Which one it is, by its first bytes, and reads it. Not DOCUMENT_BLANK: that is seen afterwards. */
enum document_verdict reading_run(struct reading *r);

/* Libraries and tables that must be there before the sandbox is entered. */
void reading_begin(void);

/* Notes why and returns the verdict. */
enum document_verdict reading_fails(struct reading *r, enum document_verdict v, const char *why);

enum document_verdict pdf_read(struct reading *r);
enum document_verdict mobi_read(struct reading *r);
enum document_verdict epub_read(struct reading *r, struct package *p);   /* it has META-INF/container.xml */
enum document_verdict office_read(struct reading *r, struct package *p); /* it has _rels/.rels */
enum document_verdict text_read(struct reading *r);                      /* and Markdown, by its extension */

void pdf_begin(void);

#endif
