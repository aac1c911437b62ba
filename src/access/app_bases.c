/* app_bases.c - knowledge bases that applications name. */
#include "access/app_bases.h"

enum err app_bases_check(struct edit *e, str workspace, const str *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *st;
        enum err      r =
            edit_query(e, &st, "SELECT 1 FROM knowledge_bases WHERE id = ? AND workspace = ?", "ss", ids[i], workspace);
        int result;

        if (r)
            return r;
        result = sqlite3_step(st);
        sqlite3_finalize(st);
        if (result == SQLITE_DONE)
            return edit_refuse(e, ERR_INVALID, "the workspace \"%.*s\" has no knowledge base \"%.*s\"",
                               STR_ARG(workspace), STR_ARG(str_first(ids[i], 64)));
        if (store_err(e->db, result))
            return ERR_IO;
    }
    return OK;
}
