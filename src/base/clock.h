/* clock.h - the only source of time, so that tests can hold it still. */
#ifndef DASHBOX_BASE_CLOCK_H
#define DASHBOX_BASE_CLOCK_H

#include "base/str.h"

/* Monotonic, for durations and deadlines. */
int64_t clock_mono_us(void);

/* Since 1970-01-01T00:00:00Z, for dates. */
int64_t clock_unix_ms(void);
/* Stops the wall clock at this time, for tests; 0 lets it run again. */
void clock_fix(int64_t unix_ms);

/* "Tue, 24 Nov 2026 20:00:57 GMT" (RFC 9110 §5.6.7): 29 characters and a NUL. */
#define CLOCK_HTTP_LEN 29
void clock_http(char text[CLOCK_HTTP_LEN + 1], int64_t unix_s);

/* "2026-11-24T20:00:57.123Z": 24 characters and a NUL. */
#define CLOCK_ISO_LEN 24
void clock_iso(char text[CLOCK_ISO_LEN + 1], int64_t unix_ms);

#endif
