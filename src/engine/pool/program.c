/* program.c - beside ourselves first. */
#include "engine/pool/program.h"

#include <limits.h>
#include <unistd.h>

enum err pool_program(struct arena *a, const char *engine, const char **ret)
{
    char        self[PATH_MAX];
    ssize_t     n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *paths[3];

    while (n > 0 && self[n - 1] != '/')
        n--;
    n = n < 0 ? 0 : n;
    paths[0] = arena_printf(a, "%.*sdashbox-%s", (int)n, self, engine).ptr;
    paths[1] = arena_printf(a, "%.*sengines/%s/dashbox-%s", (int)n, self, engine, engine).ptr;
    paths[2] = arena_printf(a, DASHBOX_LIBEXECDIR "/dashbox-%s", engine).ptr;
    for (size_t i = n ? 0 : 2; i < ARRAY_LEN(paths); i++) {
        if (access(paths[i], X_OK) == 0) {
            *ret = paths[i];
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}
