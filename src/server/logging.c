/* logging.c - opens the log. */
#include "server/logging.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* In the order of data/options.txt. */
enum { FORMAT_AUTO, FORMAT_TEXT, FORMAT_JSON };

/* One descriptor for the life of the process: other threads may be writing to it. */
static int log_fd = -1;

/* False: it cannot be opened. */
static bool open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    if (fd < 0) {
        log_error("%s: %s; writing to standard error", path, strerror(errno));
        return false;
    }
    if (log_fd < 0) {
        log_fd = fd;
        return true;
    }
    (void)dup3(fd, log_fd, O_CLOEXEC);
    close(fd);
    return true;
}

struct logging logging_open(const struct options *o)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    int         fd = o->log_file.len && open_file(o->log_file.ptr) ? log_fd : STDERR_FILENO;
    bool        terminal = isatty(fd);
    bool        json = o->log_format == FORMAT_JSON || (o->log_format == FORMAT_AUTO && !terminal);

    log_open(fd, (enum log_level)o->log_level, json);
    return (struct logging){
        .requests = !o->log_requests    ? REQUEST_LINES_NONE
                    : terminal && !json ? REQUEST_LINES_TEXT
                                        : REQUEST_LINES_JSON,
        .colour = !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0),
    };
}
