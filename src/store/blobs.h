/* blobs.h - content by its hash: DATA/blobs/AB/CDEF…, named by SHA-256. Equal content is there once.
 *
 *     blob_begin ---> blob_write … ---> blob_end ---> blob_place        blob_drop, at any time before
 *
 * What is coming lies in DATA/blobs/coming and is hashed as it comes. Who has a hash may read it; whether anybody still has is
 * the tables' business (store/files.h), so blob_place() and blob_remove() are called inside their transactions, where no other process
 * is between them.
 *
 * Thread: all of it is work for a lane. A writer is one lane's at a time.
 */
#ifndef DASHBOX_STORE_BLOBS_H
#define DASHBOX_STORE_BLOBS_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define BLOB_HASH_LEN 64 /* digits */
#define BLOB_MD5_LEN  24 /* of base64, as the native API tells it */
#define BLOB_PATH_MAX 1024

struct blobs;

enum err blobs_open(str data_folder, struct blobs **ret);
void     blobs_close(struct blobs *b);

struct blob_writer {
    int     fd; /* -1: not open */
    int64_t size;
    void   *sha256, *md5; /* of OpenSSL */
    char    path[BLOB_PATH_MAX];
    char    hash[BLOB_HASH_LEN + 1], md5_text[BLOB_MD5_LEN + 1]; /* after the end */
};

enum err blob_begin(const struct blobs *b, struct blob_writer *w);
enum err blob_write(struct blob_writer *w, str bytes);
/* All is there, and survives a power cut. It still has no name. */
enum err blob_end(struct blob_writer *w);
/* Gives it its name, and so ends the writer. */
enum err blob_place(const struct blobs *b, struct blob_writer *w);
/* It will not be: closes and removes it. Does nothing after blob_place(). */
void blob_drop(struct blob_writer *w);

/* A file without a name, for what is to be written and read once: it is gone when it is closed, also after kill -9. */
enum err blob_scratch(const struct blobs *b, int *ret_fd);

/* For reading. ERR_NOT_FOUND. */
enum err blob_read(const struct blobs *b, str hash, int *ret_fd, int64_t *ret_size);
void     blob_remove(const struct blobs *b, str hash);

/* Removes what was coming and has not been written to since then, and calls old(arg, hash) for each blob that is older than that. */
void blobs_sweep(const struct blobs *b, int64_t before_s, void (*old)(void *arg, str hash), void *arg);

#endif
