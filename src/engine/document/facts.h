/* facts.h - what the document engine says of a document: words that both sides know, and how the server reads them. */
#ifndef DASHBOX_ENGINE_DOCUMENT_FACTS_H
#define DASHBOX_ENGINE_DOCUMENT_FACTS_H

#include "base/arena.h"
#include "base/err.h"

#define DOCUMENT_VERDICTS(X)                                                            \
    X(OK, "ok")           /* its text is there */                                       \
    X(FORMAT, "format")   /* nothing that is read: a picture, a program, an old .doc */ \
    X(BROKEN, "broken")   /* it is no whole file of its format, or is locked */         \
    X(SCANNED, "scanned") /* a PDF whose pages are pictures */                          \
    X(BLANK, "blank")     /* there is no character in it */                             \
    X(PAGES, "pages")     /* it has more pages than are read */                         \
    X(LARGE, "large")     /* its text is longer, or it unpacks to more, than is read */

enum document_verdict {
#define X(name, word) DOCUMENT_##name,
    DOCUMENT_VERDICTS(X)
#undef X
};

#define DOCUMENT_FORMATS(X)                                             \
    X(UNKNOWN, "unknown")                                               \
    X(TEXT, "text") /* with CSV and JSON, which are read as they are */ \
    X(MARKDOWN, "markdown")                                             \
    X(PDF, "pdf")                                                       \
    X(DOCX, "docx")                                                     \
    X(XLSX, "xlsx")                                                     \
    X(PPTX, "pptx")                                                     \
    X(EPUB, "epub")                                                     \
    X(MOBI, "mobi")

enum document_format {
#define X(name, word) DOCUMENT_FORMAT_##name,
    DOCUMENT_FORMATS(X)
#undef X
};

struct document_facts {
    enum document_verdict verdict;
    enum document_format  format;
    int64_t               pages;      /* of a PDF; slides, sheets, and parts of a book; else 0 */
    int64_t               text_bytes; /* of UTF-8; 0 unless the verdict is OK */
    int64_t               cpu_us;     /* processor time of the engine */
    bool                  scanned;    /* the verdict is SCANNED */
    str                   error;      /* for the log: in English, what is wrong; else empty */
};

/* Static text. */
const char *document_verdict_name(enum document_verdict v);
const char *document_format_name(enum document_format f);
/* Of the word; one that there is not is a broken document's. */
enum document_verdict document_verdict_of(str word);

/* Reads the engine's answer, which has looked at untrusted bytes and is believed as little. `error` goes to the arena.
 * ERR_PROTOCOL when it is none. */
enum err document_facts_read(struct arena *a, str json, struct document_facts *ret);

#endif
