/* file_form.h - a form of files, read as it comes: they go to disk, its fields stay in memory. */
#ifndef DASHBOX_API_FILE_FORM_H
#define DASHBOX_API_FILE_FORM_H

#include "service/files.h"

struct form_file {
    struct file_coming coming;
    struct fault       fault; /* why it is refused, by itself; natively alone */
    str                description;
};

struct file_form {
    str               purpose;
    struct form_file *files;
    size_t            file_count;
    size_t            description_count; /* of which the first belongs to the first file */
};

/* Reads the body to its end. `native`: any number of parts "files", with as many "descriptions", each of which may be refused alone;
 * else one part "file". Whatever comes of it, file_form_drop() is called at the end. E019, E039, and those of service/files.h. */
SUSPENDS enum err file_form_read(struct request *rq, bool native, struct file_form *ret);
SUSPENDS void     file_form_drop(struct file_form *f);

#endif
