/* progress.h - a bar on a terminal, for work that takes long. On anything else than a terminal nothing is written. */
#ifndef DASHBOX_CLI_PROGRESS_H
#define DASHBOX_CLI_PROGRESS_H

#include "base/str.h"

struct cli_progress {
    const char *what; /* "uploading in.jsonl" */
    int64_t     begun_us, shown_us;
    bool        terminal, bytes; /* bytes: amounts are told as such */
    bool        there;           /* a line has been written */
};

void cli_progress_begin(struct cli_progress *p, const char *what, bool bytes);
/* Redrawn ten times a second at most; `behind` stands behind the bar. */
void cli_progress_show(struct cli_progress *p, int64_t done, int64_t total, str behind);
/* The line is gone. */
void cli_progress_end(struct cli_progress *p);

#endif
