/* results.h - files that tasks have made, and the URLs under which clients get them.
 *
 * A result is DATA/results/TASK/NAME. It is there whole or not at all, and before the task's end is committed. Its URL,
 * BASE/files/TASK/NAME?Expires=…&Signature=…, is good without a key until it expires: whoever has it may read the file.
 * What a run that was lost has left is overwritten by the next, or goes with the task. What belongs to no task, such as the results of
 * synchronous calls, goes when it is as old as they are kept (service/tasks.c).
 *
 * Temporary uploads (store/uploads.h) lie in the same way in a folder of their own, each as if it were a task's only result.
 *
 * Thread: all but the URLs is work for a lane.
 */
#ifndef DASHBOX_STORE_RESULTS_H
#define DASHBOX_STORE_RESULTS_H

#include "base/arena.h"
#include "base/err.h"
#include "store/store.h"

struct results;

/* The folder DATA/NAME. Reads, or makes, the secret that its URLs are signed with. Before the loops start. */
enum err results_open(struct store *s, str name, struct results **ret);
void     results_close(struct results *r);

/* A file to write to; `path` gets where it lies. Names are ours, not a client's. */
#define RESULT_PATH_MAX 1024
enum err results_create(const struct results *r, str task, char path[RESULT_PATH_MAX], int *ret_fd);
/* It is whole: from now on it is called `name`, and survives a power cut. Closes it. */
enum err results_keep(const struct results *r, str task, const char *path, int fd, str name);
/* It will not be: closes and removes it. */
void results_drop(const struct results *r, str task, const char *path, int fd);
/* For reading. ERR_NOT_FOUND. */
enum err results_read(const struct results *r, str task, str name, int *ret_fd, int64_t *ret_size);
/* All of a task; of every task when `task` is empty. */
void results_remove(const struct results *r, str task);

/* Tasks whose folders nobody has written to since then, at most `max`. */
size_t results_old(const struct results *r, int64_t before_s, struct arena *a, str *ret, size_t max);

/* base64 of HMAC-SHA1 over the text, with a secret that is this folder's and the key's: as object stores sign a policy for the
 * owner of an access key. */
str results_sign_policy(const struct results *r, str access_key, str policy, struct arena *a);

/* The task of what belongs to none: files of the account (store/files.h), by their ids. */
#define RESULTS_ACCOUNT S("account")

str results_url(const struct results *r, str base, str task, str name, int64_t expires_s, struct arena *a);
/* What stands behind /files/ in the URL, and the query: false unless the signature is ours and has not expired. */
bool results_url_read(const struct results *r, str path, str query, int64_t now_s, str *ret_task, str *ret_name);

#endif
