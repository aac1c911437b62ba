/* documents.h - reads what is uploaded as documents, once for each content, behind the uploads' backs. Spec: platform.md §1.1, §1.7.
 *
 *     store: waiting ---> dashbox-document writes the text ---> copied, hashed and counted, a piece at a time ---> store: read
 *
 * One worker has the readers, as many as children that it may have; the others wake them. What was being read when the process ended is
 * found at the next start. A document that costs the engine its life DOCUMENT_TRIES_MAX times, or the server, is a broken one.
 *
 * Memory: a piece of a text, and what the engine's children take.
 */
#ifndef DASHBOX_SERVICE_DOCUMENTS_H
#define DASHBOX_SERVICE_DOCUMENTS_H

#include "base/arena.h"
#include "contract/request.h"
#include "engine/document/facts.h"
#include "service/services.h"

#define DOCUMENT_TRIES_MAX 3

struct blob_writer;

/* A text that dashbox-document has written is copied to `to` (NULL: to nowhere), and its tokens are counted: the same as of the whole. On
 * the lane of files, a piece of it at a time, so that others' files wait for no more than one. */
SUSPENDS enum err document_take(struct services *s, int fd, struct blob_writer *to, int64_t *ret_tokens);

/* ---- the readers of a process ---- */

struct document_reader_options {
    struct store       *store;
    const struct blobs *blobs;
    size_t              at_once;
    /* The newest configuration's services, until they are given back. */
    struct services *(*hold)(void *arg, const struct request_settings **ret_settings);
    void (*release)(void *arg, struct services *s);
    void *arg;
};

struct document_reader *document_reader_open(struct loop *l, const struct document_reader_options *o);
/* Reads from now on. */
void document_reader_start(struct document_reader *r);
/* Something waits. From any thread, as long as its loop runs. Accepts NULL. */
void document_reader_wake(struct document_reader *r);
/* Cancels what is being read; then(arg) when nothing is any more. Once. Also for one that was never started. */
void document_reader_stop(struct document_reader *r, void (*then)(void *arg), void *arg);
void document_reader_free(struct document_reader *r); /* accepts NULL */

#endif
