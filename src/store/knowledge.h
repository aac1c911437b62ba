/* knowledge.h - knowledge bases, as rows: bases, their documents, chunks of these with vectors, and the words of chunks (SQLite's FTS5).
 * Spec: platform.md §4.8.
 *
 *     a file of the account is put into a base ---> WAITING ---- claim, put …, end ----> READY
 *                                                      |    ^             |
 *                                                      |    '--release----'-----------> FAILED (the problem says why)
 *                                                      '-- until its text is there (store/documents.h)
 *
 * Searches see READY documents alone. What a claim has put is visible to nobody until its end, which is one statement; the next claim
 * begins anew. So a process that ends in the middle leaves nothing half. A document goes with its base and with its file, its chunks and
 * their words with it, in the same transaction (triggers of the tables).
 *
 * A claim is its owner's. An owner's name begins with when its process has begun: what a process had that is older is taken over
 * by the younger, never the other way.
 *
 * Jobs (struct …_job) are for store_run(). The searching functions take a connection of any lane (store_reader_open()).
 */
#ifndef DASHBOX_STORE_KNOWLEDGE_H
#define DASHBOX_STORE_KNOWLEDGE_H

#include "base/arena.h"
#include "store/store.h"

/* Texts are in the arena of whoever asked. */
struct knowledge_base {
    int64_t number;
    str     id, workspace, name;
    str     model;     /* of embeddings */
    int64_t dimension; /* 0: the model's own */
    int64_t chunk_size, overlap;
    str     separators; /* JSON: a list of texts; empty: the usual ones */
    str     way;        /* JSON: how it is asked (contract/knowledge.h); may be empty */
    bool    called;     /* a call has made it, and a reset takes it away */
    int64_t created_ms;
    int64_t documents, waiting, failed, chunks; /* of a list: how many there are */
};

enum knowledge_state { KNOWLEDGE_WAITING, KNOWLEDGE_READY, KNOWLEDGE_FAILED };

struct knowledge_document {
    int64_t              number, base;
    str                  file, name;
    str                  tags, details; /* JSON: a list of texts, an object */
    str                  job;           /* the id of what it was added with */
    enum knowledge_state state;
    str                  problem;
    int64_t              chunks, created_ms, tries;
};

/* ---- indexing ---- */

/* What waits longest and has a text, or a verdict. ERR_NOT_FOUND: nothing does. */
struct knowledge_claim {
    struct arena             *arena;
    str                       owner;
    struct knowledge_document document; /* out */
    struct knowledge_base     base;
    str                       text, verdict; /* the text's hash; why there is none (engine/document/facts.h) */
    int64_t                   text_bytes;
};
enum err knowledge_claim_job(sqlite3 *db, void *knowledge_claim);

/* A piece of the document of a claim; ERR_NOT_FOUND: it has gone, or is another's. */
struct knowledge_chunk {
    str         title, text, words;
    const void *vector; /* floats; the bytes of one: */
    size_t      vector_bytes;
};
struct knowledge_put {
    str                           owner;
    int64_t                       document, base;
    int64_t                       position; /* of the first, from 0 */
    const struct knowledge_chunk *chunks;
    size_t                        count;
};
enum err knowledge_put_job(sqlite3 *db, void *knowledge_put);

/* READY with what was put; or FAILED, when there is a problem; or it waits again (`again`; `counts`: it was a try). ERR_NOT_FOUND
 * likewise. */
struct knowledge_end {
    str     owner;
    int64_t document, chunks;
    str     problem;
    bool    again, counts;
};
enum err knowledge_end_job(sqlite3 *db, void *knowledge_end);

/* Bases that calls have made, and all leases. Documents go with their files. */
enum err knowledge_reset_job(sqlite3 *db, void *unused);

/* ---- places for uploads ---- */

/* ERR_NOT_FOUND: there is none, or no more. `put` forgets those whose time is over; `fill` says which file has come. An empty workspace
 * is any. */
struct knowledge_lease {
    struct arena *arena;
    str           id, workspace, name, md5;
    int64_t       size, now_ms, until_ms;
    str           file; /* empty: nothing has come */
};
enum err knowledge_lease_put_job(sqlite3 *db, void *knowledge_lease);
enum err knowledge_lease_get_job(sqlite3 *db, void *knowledge_lease);
enum err knowledge_lease_fill_job(sqlite3 *db, void *knowledge_lease);

/* ---- searching ---- */

/* Of the workspace, by their ids. ERR_NOT_FOUND: *ret_missing is none of it. */
enum err knowledge_bases_get(sqlite3 *db, struct arena *a, str workspace, const str *ids, size_t count,
                             struct knowledge_base *ret, str *ret_missing);

/* All documents of a base that are READY, by their numbers. */
enum err knowledge_ready(sqlite3 *db, struct arena *a, int64_t base, struct knowledge_document **ret,
                         size_t *ret_count);

/* The chunks of those documents with any of the words, best first by BM25; equals in their order. `words` as knowledge_chunk.words. */
struct knowledge_hit {
    int64_t chunk;
    double  score;
};
enum err knowledge_match(sqlite3 *db, struct arena *a, const int64_t *bases, size_t base_count, str words,
                         const int64_t *documents, size_t document_count, size_t most, struct knowledge_hit *ret,
                         size_t *ret_count);

/* take(arg, chunk, floats, how many) for each chunk of the document. */
enum err knowledge_vectors(sqlite3 *db, int64_t                                                            document,
                           void (*take)(void *arg, int64_t chunk, const void *floats, size_t count), void *arg);

/* ERR_NOT_FOUND. */
struct knowledge_text {
    int64_t document, position;
    str     title, text;
};
enum err knowledge_text_get(sqlite3 *db, struct arena *a, int64_t chunk, struct knowledge_text *ret);

#endif
