/* document.h - the text of documents: asks dashbox-document (engines/document), a program that reads them in a sandbox.
 *
 * Its children are a pool (engine/pool), each of which reads one document at a time; one that crashes, hangs or answers nonsense
 * costs that one document.
 *
 * Thread: one loop for life.
 * Limits: `queue_max` documents wait for a child; `text_max` bytes of text and `page_max` pages a document.
 */
#ifndef DASHBOX_ENGINE_DOCUMENT_DOCUMENT_H
#define DASHBOX_ENGINE_DOCUMENT_DOCUMENT_H

#include "engine/document/facts.h"
#include "loop/fiber.h"

struct documents;

/* Zero stands for the value in brackets. */
struct document_options {
    const char *program;       /* path of dashbox-document [pool_program()] */
    size_t      process_max;   /* children [1] */
    size_t      queue_max;     /* documents that wait [64] */
    int64_t     read_ms;       /* for one document, from when a child has it [120 s] */
    int64_t     text_max;      /* bytes of a document's text [64 MiB] */
    int64_t     page_max;      /* of a document [15,000] */
    int64_t     start_ms;      /* until a child is ready [10 s] */
    int64_t     backoff_ms;    /* after one that was not, doubled each time up to a minute [1 s] */
    int64_t     retire_cpu_ms; /* processor time after which a child is replaced; it ends itself at 600 s [60 s] */
    int64_t     idle_ms;       /* after which one that has nothing to do is ended [5 min] */
};

/* ERR_NOT_FOUND: there is no such program. Nothing is started yet. */
enum err document_open(struct loop *l, const struct document_options *o, struct documents **ret);

/* Reads the text of a document, from its beginning, whatever its offset, which stays. `filename` is what the client calls it: only its
 * extension counts, and only where the content leaves open what it is (Markdown). `text_fd` is a file that is empty and can be written (a
 * memfd): the text goes there, as UTF-8 with \n between lines, and is there when the verdict is DOCUMENT_OK; otherwise what lies
 * there means nothing. Both stay the caller's. `error` goes to the arena.
 * ERR_INVALID      `fd` is no regular file that can be read, or `text_fd` none that is empty
 * ERR_IO           the engine has crashed over it
 * ERR_UNREACHABLE  it cannot be started, for now
 * ERR_TIMEOUT      it has not answered in time
 * ERR_PROTOCOL     it has answered nonsense
 * ERR_LIMIT        too many wait already
 * ERR_CANCELLED    the fiber was
 * The reason is in the log. What a document lacks is no error but a verdict. */
SUSPENDS enum err document_read(struct documents *d, int fd, str filename, int text_fd, struct arena *a,
                                struct document_facts *ret);

/* Process ids of the children that are there, for tests and metrics; at most `max`. Returns how many. */
size_t document_pids(const struct documents *d, int *ret, size_t max);

/* No document is being read. Ends the children. Accepts NULL. */
void document_close(struct documents *d);

#endif
