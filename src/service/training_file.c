/* training_file.c - which of the account's files are for training. Spec: platform.md §1.6, §6.2. */
#include "service/training_file.h"

#include "service/files.h"

enum err training_file_find(struct services *s, struct arena *a, str workspace, str id, struct training_file *ret)
{
    struct file_get g = { .arena = a, .id = id, .workspace = workspace };
    enum err        e;

    might_suspend();
    e = store_run(s->store, file_get_job, &g);
    if (!e && (g.row.deleted || file_purpose_of(g.row.purpose) != FILE_TUNING))
        e = ERR_NOT_FOUND;
    if (!e)
        *ret = (struct training_file){ .id = g.row.id, .name = g.row.name, .hash = g.row.hash, .bytes = g.row.size };
    return e;
}

enum err training_file_open(struct services *s, const struct training_file *f, int *ret_fd)
{
    int64_t size;

    might_suspend();
    return file_open(s, f->hash, ret_fd, &size);
}
