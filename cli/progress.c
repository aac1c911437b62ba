/* progress.c - bars. */
#include "cli/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WIDTH   30
#define PACE_US 100000

void cli_progress_begin(struct cli_progress *p, const char *what, bool bytes)
{
    *p = (struct cli_progress){
        .what = what, .begun_us = clock_mono_us(), .terminal = isatty(STDERR_FILENO), .bytes = bytes
    };
}

static void amount(char text[32], int64_t n, bool bytes)
{
    if (bytes && n >= 1 << 20)
        snprintf(text, 32, "%.1f MB", (double)n / (1 << 20));
    else
        snprintf(text, 32, "%lld%s", (long long)n, bytes ? " B" : "");
}

void cli_progress_show(struct cli_progress *p, int64_t done, int64_t total, str behind)
{
    static const char full[] = "##############################", empty[] = "..............................";
    int64_t           now_us = clock_mono_us();
    char              done_text[32], total_text[32];
    int               part;

    static_assert(sizeof(full) == WIDTH + 1 && sizeof(empty) == WIDTH + 1, "the bar");
    if (!p->terminal || (p->there && done < total && now_us - p->shown_us < PACE_US))
        return;
    p->shown_us = now_us;
    p->there = true;
    part = total > 0 ? (int)(done * WIDTH / total) : 0;
    part = part > WIDTH ? WIDTH : part;
    amount(done_text, done, p->bytes);
    amount(total_text, total, p->bytes);
    fprintf(stderr, "\r\033[K%s [%.*s%.*s] %s of %s, %lld s%s%.*s", p->what, part, full, WIDTH - part, empty, done_text,
            total_text, (long long)((now_us - p->begun_us) / 1000000), behind.len ? ", " : "", STR_ARG(behind));
    fflush(stderr);
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->there)
        fputs("\r\033[K", stderr);
    p->there = false;
}
