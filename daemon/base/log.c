/* SPDX-License-Identifier: Apache-2.0 */
/* A line is put together on the stack and leaves in one write(2), so lines of threads do not
 * mix; a line too long for the stack buffer is cut. The lock only guards the flood counters. */
#include "daemon/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define LINE_BYTES 2048
#define FLOOD_PERIOD_MS 10000

struct line {
	char text[LINE_BYTES];
	size_t len;
};

static atomic_int threshold = LOG_LEVEL_INFO;
static pthread_mutex_t flood_mutex = PTHREAD_MUTEX_INITIALIZER;

enum log_level log_level_of(int choice)
{
	static const enum log_level levels[] = { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
						 LOG_LEVEL_DEBUG };

	return levels[choice];
}

void log_set_level(enum log_level level)
{
	atomic_store(&threshold, (int)level);
}

/* Appends what fits; always leaves room for the newline. */
PRINTF(2, 0) static void line_vprintf(struct line *l, const char *fmt, va_list ap)
{
	size_t room = sizeof(l->text) - l->len;
	int n = vsnprintf(l->text + l->len, room, fmt, ap);

	if (n > 0)
		l->len += (size_t)n < room ? (size_t)n : room - 1;
}

PRINTF(2, 3) static void line_printf(struct line *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line_vprintf(l, fmt, ap);
	va_end(ap);
}

static void line_write(struct line *l)
{
	ssize_t n;

	for (size_t i = 0; i < l->len; i++) {
		unsigned char c = (unsigned char)l->text[i];

		if (c < ' ' || c == 0x7f)
			l->text[i] = '?';
	}
	l->text[l->len++] = '\n';
	/* If stderr takes no more there is nobody left to tell. */
	do
		n = write(STDERR_FILENO, l->text, l->len);
	while (n < 0 && errno == EINTR);
}

/* True if this event is to be printed; then *ret_held is the number of events kept back before
 * it. */
static int flood_pass(struct log_flood *f, unsigned *ret_held)
{
	long long now = clock_ms();
	int pass;

	pthread_mutex_lock(&flood_mutex);
	pass = now >= f->next_ms;
	if (pass) {
		*ret_held = f->held;
		f->next_ms = now + FLOOD_PERIOD_MS;
		f->held = 0;
	} else {
		f->held++;
	}
	pthread_mutex_unlock(&flood_mutex);
	return pass;
}

/* r: 0 or the failure to name. */
PRINTF(4, 0)
static void print(enum log_level level, struct log_flood *flood, int r, const char *fmt, va_list ap)
{
	struct line l = { .len = 0 };
	unsigned held = 0;

	if ((int)level > atomic_load(&threshold))
		return;
	if (flood && !flood_pass(flood, &held))
		return;
	if (!isatty(STDERR_FILENO))
		line_printf(&l, "<%d>", (int)level);
	line_vprintf(&l, fmt, ap);
	if (r)
		line_printf(&l, ": %s", err_text(r));
	if (r && err_noted(r)[0])
		line_printf(&l, " (%s)", err_noted(r));
	if (held)
		line_printf(&l, " held_back=%u", held);
	line_write(&l);
}

void log_line(enum log_level level, struct log_flood *flood, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(level, flood, 0, fmt, ap);
	va_end(ap);
}

int log_line_err(enum log_level level, struct log_flood *flood, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(level, flood, r, fmt, ap);
	va_end(ap);
	return r;
}
