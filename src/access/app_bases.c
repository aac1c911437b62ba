/* app_bases.c - knowledge bases that applications name. Until this dashbox has any, none is a workspace's. */
#include "access/app_bases.h"

enum err app_bases_check(struct edit *e, str workspace, const str *ids, size_t count)
{
    if (!count)
        return OK;
    return edit_refuse(e, ERR_INVALID, "the workspace \"%.*s\" has no knowledge base \"%.*s\"", STR_ARG(workspace),
                       STR_ARG(str_first(ids[0], 64)));
}
