/* log.c - lines for the operator. */
#include "base/log.h"

#include "base/clock.h"
#include "base/num.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_BATCH 16384
#define MSG_MAX   1024

static const char *const level_names[] = { "debug", "info", "warn", "error" };

/* Set by log_open(), also while other threads write. */
static atomic_int  out_fd = 2;
static atomic_int  out_min = LOG_INFO;
static atomic_bool out_json;

static _Thread_local char   batch[LOG_BATCH];
static _Thread_local size_t batch_len;

void log_open(int fd, enum log_level min, bool json)
{
    out_fd = fd;
    out_min = (int)min;
    out_json = json;
}

bool log_wants(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&out_min, memory_order_relaxed);
}

static void write_all(const char *p, size_t len)
{
    while (len) {
        ssize_t n = write(out_fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody to tell */
        p += n;
        len -= (size_t)n;
    }
}

void log_flush(void)
{
    size_t len = batch_len;

    batch_len = 0;
    write_all(batch, len);
}

void log_line(str line)
{
    if (line.len > LOG_BATCH - batch_len)
        log_flush();
    if (line.len > LOG_BATCH) {
        write_all(line.ptr, line.len);
        return;
    }
    memcpy(batch + batch_len, line.ptr, line.len);
    batch_len += line.len;
}

/* Escapes into `out` what JSON wants escaped. */
static size_t escape(char *out, size_t room, const char *text)
{
    size_t n = 0;

    for (; *text && n + 7 < room; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20) {
            n += (size_t)snprintf(out + n, 7, "\\u%04x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    out[n] = 0;
    return n;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    va_list ap;
    char    text[MSG_MAX], escaped[2 * MSG_MAX], line[2 * MSG_MAX + 128], when[CLOCK_ISO_LEN + 1];
    int     len;

    if (!log_wants(level))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (out_json) {
        clock_iso(when, clock_unix_ms());
        escape(escaped, sizeof(escaped), text);
        len = snprintf(line, sizeof(line), "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":\"%s\"}\n", when,
                       level_names[level], escaped);
    } else {
        len = snprintf(line, sizeof(line), "dashbox: %s%s%s\n", level == LOG_INFO ? "" : level_names[level],
                       level == LOG_INFO ? "" : ": ", text);
    }
    log_flush();
    if (len > 0)
        write_all(line, min_size((size_t)len, sizeof(line) - 1));
}
