/* training_file.h - a file that a workspace has uploaded for fine-tuning. */
#ifndef DASHBOX_SERVICE_TRAINING_FILE_H
#define DASHBOX_SERVICE_TRAINING_FILE_H

#include "base/arena.h"
#include "service/services.h"

struct training_file {
    str     id, name; /* the client's name for it */
    str     hash;     /* of its content */
    int64_t bytes;
};

/* ERR_NOT_FOUND: the workspace has none of that id for fine-tuning. */
SUSPENDS enum err training_file_find(struct services *s, struct arena *a, str workspace, str id,
                                     struct training_file *ret);

/* For reading. ERR_NOT_FOUND: it has been deleted meanwhile. */
SUSPENDS enum err training_file_open(struct services *s, const struct training_file *f, int *ret_fd);

#endif
