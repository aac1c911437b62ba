/* list_time.h - times in the queries of lists, which are Beijing's. Spec: media.md §1.6; platform.md §1.3, §2.5. */
#ifndef DASHBOX_API_LIST_TIME_H
#define DASHBOX_API_LIST_TIME_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* "20261124093000", "2026-11-24 09:30:00", "20261124", "2026-11-24" → milliseconds since 1970. False: it is none, or no such day. */
bool list_time_read(str text, int64_t *ret_ms);

/* "2026-11-24 09:30:00", and a NUL. */
#define LIST_TIME_LEN 19
void list_time_write(char text[LIST_TIME_LEN + 1], int64_t ms);

#endif
