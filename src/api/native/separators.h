/* separators.h - the separator of a splitter (platform.md §4.8): literal texts parted by |, as llama_index writes them: " |,|。|\n|\\?". */
#ifndef DASHBOX_API_NATIVE_SEPARATORS_H
#define DASHBOX_API_NATIVE_SEPARATORS_H

#include "base/arena.h"

/* As a JSON list; empty for an empty text. False: it is an expression that is more than that, or has too many. */
bool separators_read(struct arena *a, str text, str *ret);

/* That list. */
void separators_list(struct arena *a, str json, const str **ret, size_t *ret_count);

#endif
