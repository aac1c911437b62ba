/* reference.h - reads errors.csv, the rows of the reference, for the tests beside it. */
#ifndef DASHBOX_TEST_REFERENCE_H
#define DASHBOX_TEST_REFERENCE_H

#include "base/arena.h"

#include <stdio.h>
#include <string.h>

#define REFERENCE_MAX 400

struct reference {
    str id, status, code, compat, message;
};

/* One field of RFC 4180; *at is left behind its comma or line end. */
static str reference_field(struct arena *a, const char **at)
{
    const char *p = *at;
    char       *text = arena_bytes(a, 4096);
    size_t      len = 0;
    bool        quoted = *p == '"';

    for (p += quoted; *p; p++) {
        if (quoted && *p == '"') {
            if (p[1] != '"') {
                p++;
                break;
            }
            p++;
        } else if (!quoted && (*p == ',' || *p == '\n')) {
            break;
        }
        text[len++] = *p;
    }
    *at = *p ? p + 1 : p;
    return str_of(text, len);
}

/* Fills `rows` (REFERENCE_MAX of them) from the file beside this one; returns how many. */
static size_t reference_read(struct arena *a, struct reference *rows)
{
    char        path[1024], *text = arena_alloc_zero(a, 256u << 10);
    const char *slash = strrchr(__FILE__, '/'), *p = text;
    size_t      n = 0;
    FILE       *file;

#ifdef TEST_DATA_DIR
    (void)slash;
    snprintf(path, sizeof(path), "%s/errors.csv", TEST_DATA_DIR);
#else
    snprintf(path, sizeof(path), "%.*s/errors.csv", slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".");
#endif
    file = fopen(path, "r");
    if (!file)
        return 0;
    (void)!fread(text, 1, (256u << 10) - 1, file);
    fclose(file);
    p = strchr(p, '\n');
    for (p += p != NULL; p && *p && n < REFERENCE_MAX; n++) {
        rows[n].id = reference_field(a, &p);
        rows[n].status = reference_field(a, &p);
        rows[n].code = reference_field(a, &p);
        rows[n].compat = reference_field(a, &p);
        rows[n].message = reference_field(a, &p);
    }
    return n;
}

#endif
