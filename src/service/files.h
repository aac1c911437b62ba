/* files.h - the files of the account: taken as they come, kept whole, read, removed. Spec: platform.md §1.
 *
 *     file_begin ---> file_write … ---> file_end ---> file_keep        file_drop, at any time, and after all of it
 *
 * A form may say the purpose behind its file, so that is judged last.
 */
#ifndef DASHBOX_SERVICE_FILES_H
#define DASHBOX_SERVICE_FILES_H

#include "contract/request.h"
#include "service/services.h"
#include "store/files.h"

enum file_purpose { FILE_PURPOSE_NONE, FILE_DOCUMENT, FILE_BATCH, FILE_TUNING, FILE_OUTPUT };

/* Of the wire's word; NONE: there is no such purpose. */
enum file_purpose file_purpose_of(str word);
str               file_purpose_word(enum file_purpose p);
/* An id in the form of that purpose. */
str file_new_id(struct arena *a, enum file_purpose p);
/* Whether the name ends in a dot and one of the words. */
bool file_ends_in(str name, str words);

/* Bytes that a file of that purpose and name may have. */
int64_t file_size_max(const struct request_files *s, enum file_purpose p, str name);

struct file_coming {
    struct services   *services;
    char               reservation[UUID_LEN + 1]; /* empty: there is none */
    str                name;
    bool               native;
    int64_t            size, reserved, size_max;
    char              *buffer; /* what has not been written yet: a form may come in very small pieces */
    size_t             buffered;
    struct blob_writer content;
};

/* `size`: at least so many bytes are announced; `purpose` may be NONE, it is not known yet. E247a, E247b; natively W264, W265; E214. */
SUSPENDS enum err file_begin(struct request *rq, str name, int64_t size, enum file_purpose purpose, bool native,
                             struct file_coming *ret);
/* E166, and as above. */
SUSPENDS enum err file_write(struct request *rq, struct file_coming *f, str bytes);
/* All of it has come. */
SUSPENDS enum err file_end(struct request *rq, struct file_coming *f);
/* It is a file from now on; row.purpose, description: as said. W260, E165, E166. */
SUSPENDS enum err file_keep(struct request *rq, struct file_coming *f, enum file_purpose purpose, str description,
                            struct file_row *ret);
/* It will not be. Nothing happens to what has been kept. */
SUSPENDS void file_drop(struct file_coming *f);

/* Refuses with the surface's "File not found." */
enum err file_fail_not_found(struct request *rq);
/* A file that is there: W261, W262. */
SUSPENDS enum err file_get(struct request *rq, str id, struct file_row *ret);
/* Likewise. */
SUSPENDS enum err file_delete(struct request *rq, str id);
/* `after` that is none: W261. The rest of the list's members are the caller's. */
SUSPENDS enum err file_list(struct request *rq, struct file_list *l);
/* For reading. ERR_NOT_FOUND. */
SUSPENDS enum err file_open(struct services *s, str hash, int *ret_fd, int64_t *ret_size);

/* What is too old goes; all of it goes. */
SUSPENDS void     files_sweep(struct services *s);
SUSPENDS enum err files_forget(struct services *s);

#endif
