/* training_file.c - where training files are. Spec: platform.md §1.6. */
#include "service/training_file.h"

/* The files of /api/v1/files are not served yet (data/routes/routes.txt): no id is known. */
enum err training_file_find(struct services *s, struct arena *a, str workspace, str id, struct training_file *ret)
{
    (void)s, (void)a, (void)workspace, (void)id, (void)ret;
    might_suspend();
    return ERR_NOT_FOUND;
}

enum err training_file_open(struct services *s, const struct training_file *f, int *ret_fd)
{
    (void)s, (void)f, (void)ret_fd;
    might_suspend();
    return ERR_NOT_FOUND;
}
