/* clock.h - the only source of time, so that tests can hold it still. */
#ifndef DASHBOX_BASE_CLOCK_H
#define DASHBOX_BASE_CLOCK_H

#include "base/str.h"

/* Monotonic, for durations and deadlines. */
int64_t clock_mono_us(void);

/* Since 1970-01-01T00:00:00Z, for dates. */
int64_t clock_unix_ms(void);

/* The machine's own, whatever tests do to the one above: for what several processes must agree on, such as leases. */
int64_t clock_machine_ms(void);

/* The wall clock can be set, moved and stopped, so that minutes, expiries and months pass without waiting: by tests, and by
 * users through the admin API. Durations and deadlines (clock_mono_us) go on as ever. From any thread. */
struct clock_state {
    int64_t now_ms;    /* what clock_unix_ms() says */
    int64_t offset_ms; /* against the machine's clock */
    bool    stopped;
};
void               clock_set(int64_t unix_ms); /* and goes on, or stands still, from there */
void               clock_advance(int64_t ms);  /* negative: back */
void               clock_stop(bool stopped);
void               clock_reset(void); /* the machine's time, running */
struct clock_state clock_state_now(void);

/* Stops the wall clock at this time; 0 is clock_reset(). */
void clock_fix(int64_t unix_ms);

/* "Tue, 24 Nov 2026 20:00:57 GMT" (RFC 9110 §5.6.7): 29 characters and a NUL. */
#define CLOCK_HTTP_LEN 29
void clock_http(char text[CLOCK_HTTP_LEN + 1], int64_t unix_s);

/* "2026-11-24T20:00:57.123Z": 24 characters and a NUL. */
#define CLOCK_ISO_LEN 24
void clock_iso(char text[CLOCK_ISO_LEN + 1], int64_t unix_ms);

#endif
