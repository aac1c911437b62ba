/* log.h - lines for the operator.
 *
 * Two kinds: messages ("level", "msg") and whole JSON lines that a caller built (the line a request). Both go to one
 * descriptor, each line in one piece. Lines of requests are gathered a thread and written when LOG_BATCH bytes are
 * there or when log_flush() is called (the loop does so when it has nothing else to do); messages go out at once.
 * Keys, prompts, audio and images are never logged.
 */
#ifndef DASHBOX_BASE_LOG_H
#define DASHBOX_BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* `fd` is not closed. `json` selects JSON lines for messages; otherwise they are for people. */
void log_open(int fd, enum log_level min, bool json);

bool log_wants(enum log_level level);
void log_msg(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_debug(...) (log_wants(LOG_DEBUG) ? log_msg(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)

/* One whole line with its newline, gathered. */
void log_line(str line);
void log_flush(void);

#endif
