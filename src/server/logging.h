/* logging.h - where the log goes and how the lines of requests look; by the options log.*. */
#ifndef DASHBOX_SERVER_LOGGING_H
#define DASHBOX_SERVER_LOGGING_H

#include "server/options.gen.h"

#include <stdbool.h>

enum request_lines { REQUEST_LINES_NONE, REQUEST_LINES_JSON, REQUEST_LINES_TEXT };

struct logging {
    enum request_lines requests;
    bool               colour; /* of text */
};

/* Opens the log, or opens it again: also while other threads write. From the main thread. */
struct logging logging_open(const struct options *o);

#endif
