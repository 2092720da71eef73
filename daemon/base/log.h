/* SPDX-License-Identifier: Apache-2.0 */
/* One line an event on stderr: a sentence part, then key=value pairs. Under journald
 * ($JOURNAL_STREAM names stderr) or any stderr that is no terminal each line begins with its <n>
 * priority (sd-daemon(3)). Only the function that decides what to do about a failure logs it.
 * Secrets never come here. Threads: any. */
#ifndef MATRIXFS_LOG_H
#define MATRIXFS_LOG_H

#include "daemon/base/own.h"

/* Values are syslog priorities. */
enum log_level { LOG_LEVEL_ERR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* The same as choices of a parameter, and the level a choice is. */
#define LOG_LEVEL_CHOICES "error|warn|info|debug"
enum log_level log_level_of(int choice);

/* Per-place state of the flood limit: the first event is printed at once, then one line a period
 * with the number of events that were held back. */
struct log_flood {
	long long next_ms; /* guarded by the log's lock */
	unsigned held;
};

/* Lines less important than `level` are dropped. Default: LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
/* Prints one line; newlines and control bytes in it become '?'. With `flood`, at most one a
 * period. */
void log_line(enum log_level level, struct log_flood *flood, const char *fmt, ...) PRINTF(3, 4);
/* As log_line, appends ": <err_text(r)>", what was noted of r (err_note), and returns r. */
int log_line_err(enum log_level level, struct log_flood *flood, int r, const char *fmt, ...)
	PRINTF(4, 5);

#define LOG_ONCE_A_PERIOD_ \
	({ \
		static struct log_flood flood_; \
		&flood_; \
	})

#define log_err(r, ...) log_line_err(LOG_LEVEL_ERR, LOG_ONCE_A_PERIOD_, r, __VA_ARGS__)
#define log_warn(r, ...) log_line_err(LOG_LEVEL_WARN, LOG_ONCE_A_PERIOD_, r, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)

#endif
