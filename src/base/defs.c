/* defs.c - the end of the process when one of our own assumptions fails. */
#include "base/defs.h"

#include <stdio.h>
#include <stdlib.h>

static void (*panic_note)(void);

void panic_note_set(void (*note)(void))
{
    panic_note = note;
}

void panic(const char *file, int line, const char *func, const char *what)
{
    fprintf(stderr, "dashbox: panic at %s:%d in %s: %s\n", file, line, func, what);
    if (panic_note)
        panic_note();
    abort();
}
