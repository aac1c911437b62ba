/* documents.h - what has been read out of the account's files, by the hash of their content. Jobs for store_run(). Spec: platform.md §1.7.
 *
 *     a file for reading is kept ---> WAITING --- claim ---> (being read) --- keep ---> READ
 *                                        ^                        |
 *                                        '-------- release -------'
 *
 * A row comes in the transaction of the first file of its content that is to be read, and goes in that of the last file's deletion, so
 * that equal files are read once. The text is a blob (store/blobs.h), named by its own hash, which a file may have too.
 *
 * A claim is its owner's, and nobody else's of the same process; a start of the server is a new owner, which finds again what the
 * last was at. How often a row was claimed is counted, so that what costs the server its life is not read for ever. Several processes on one
 * store may read the same: the first to keep it wins, and what it says is the same.
 */
#ifndef DASHBOX_STORE_DOCUMENTS_H
#define DASHBOX_STORE_DOCUMENTS_H

#include "store/files.h"

/* Texts are in the arena of whoever asked. */
struct document_row {
    int64_t number;
    str     hash, name;      /* of the content; of the first file that had it: its ending may say what it is */
    bool    read;            /* what follows is known */
    str     verdict, format; /* the words of engine/document/facts.h */
    int64_t pages, tokens;
    str     text; /* the hash of the text; empty: there is none */
    int64_t text_bytes, tries;
};

/* What waits longest. ERR_NOT_FOUND: nothing waits. */
struct document_claim {
    struct arena       *arena;
    str                 owner;
    struct document_row row; /* out; `tries` with this one */
};
enum err document_claim_job(sqlite3 *db, void *document_claim);

/* It waits again; `counts`: this try was one. */
struct document_release {
    int64_t number;
    bool    counts;
};
enum err document_release_job(sqlite3 *db, void *document_release);

/* It has been read, and its text, where there is one, becomes a blob, in one transaction. ERR_NOT_FOUND: its files have gone, or somebody
 * else was first. */
struct document_keep {
    const struct blobs *blobs;
    struct blob_writer *text; /* NULL: there is none */
    struct document_row row;
};
enum err document_keep_job(sqlite3 *db, void *document_keep);

/* Files as a chat names them, and what has been read out of them. */
struct document_named {
    str                 id;
    bool                known; /* out: also when it is deleted */
    struct file_row     file;  /* out */
    struct document_row document;
};
struct document_find {
    struct arena          *arena;
    str                    workspace; /* empty: any */
    struct document_named *all;
    size_t                 count;
};
enum err document_find_job(sqlite3 *db, void *document_find);

/* ---- within transactions of store/files.c ---- */

/* A file of that content is to be read. */
enum err document_want_within(sqlite3 *db, str hash, str name);

/* The last file of that content has gone, unless there is another: then nothing happens. *ret_text is the hash of the text that nobody
 * may have any more, in the arena; empty: none. */
enum err document_forget_within(sqlite3 *db, struct arena *a, str hash, str *ret_text);

#endif
