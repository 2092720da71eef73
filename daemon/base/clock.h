/* SPDX-License-Identifier: Apache-2.0 */
/* Time. Deadlines and intervals use the monotonic clock; what is shown or stored uses wall time. */
#ifndef MATRIXFS_CLOCK_H
#define MATRIXFS_CLOCK_H

#include <stdint.h>

#define CLOCK_FOREVER INT64_MAX

/* Milliseconds of the monotonic clock (CLOCK_MONOTONIC). */
int64_t clock_ms(void);
/* The same clock in microseconds, to measure with. */
int64_t clock_us(void);
/* Seconds since 1970 of the wall clock, and milliseconds. */
int64_t clock_wall_s(void);
int64_t clock_wall_ms(void);
/* Parses "2024-01-02T03:04:05.000Z" (RFC 3339, UTC; fraction optional) to seconds since 1970, or
 * -1. */
int64_t clock_parse_iso(const char *text);
/* The inverse, of milliseconds: always with three digits of fraction, and "Z". */
#define CLOCK_ISO_MAX 32 /* with its NUL */
void clock_print_iso(int64_t wall_ms, char ret[static CLOCK_ISO_MAX]);
/* Sleeps; only `retry` and tests should. */
void clock_sleep_ms(int64_t ms);

#endif
