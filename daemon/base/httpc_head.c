/* SPDX-License-Identifier: Apache-2.0 */
/* What a head's fields mean. Numbers are read strictly: a length that is half a number is none. */
#include "daemon/base/httpc.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "daemon/base/clock.h"

#define WAIT_S_MAX (24 * 3600)

/* Reads decimal digits at *at and moves behind them; -1 if there are none or they are too many. */
static int64_t take_number(const char **at)
{
	const char *start = *at;
	int64_t value = 0;

	while (**at >= '0' && **at <= '9') {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, **at - '0', &value))
			return -1;
		(*at)++;
	}
	return *at == start ? -1 : value;
}

int64_t httpc_content_length(const struct httpc_response *r)
{
	const char *text = httpc_header(r, "Content-Length");
	int64_t value = text ? take_number(&text) : -1;

	return text && *text == '\0' ? value : -1;
}

static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

int httpc_content_range(const struct httpc_response *r, uint64_t *ret_first, uint64_t *ret_last,
			int64_t *ret_total)
{
	const char *at = httpc_header(r, "Content-Range");
	int64_t first, last, total;

	if (!at || strncasecmp(at, "bytes ", 6) != 0)
		return -EINVAL;
	at += 6;
	first = take_number(&at);
	if (first < 0 || !take_char(&at, '-'))
		return -EINVAL;
	last = take_number(&at);
	if (last < first || !take_char(&at, '/'))
		return -EINVAL;
	total = *at == '*' ? -1 : take_number(&at);
	if (total < 0 && !take_char(&at, '*'))
		return -EINVAL;
	if (*at || (total >= 0 && last >= total))
		return -EINVAL;
	*ret_first = (uint64_t)first;
	*ret_last = (uint64_t)last;
	*ret_total = total;
	return 0;
}

static int64_t wait_ms(int64_t seconds)
{
	if (seconds < 0)
		seconds = 0;
	return (seconds < WAIT_S_MAX ? seconds : WAIT_S_MAX) * 1000;
}

/* 'RateLimit: "api";r=0;t=55': t counts only when nothing is left. */
static int64_t ratelimit_ms(const char *text)
{
	const char *left = strstr(text, "r="), *until = strstr(text, "t=");
	int64_t seconds;

	if (left && left[2] != '0')
		return -1;
	if (!until)
		return -1;
	until += 2;
	seconds = take_number(&until);
	return seconds < 0 ? -1 : wait_ms(seconds);
}

/* "Sat, 01 Jan 2000 00:00:00 GMT", the one form that RFC 9110 lets a sender use. */
static int64_t parse_date(const char *text)
{
	struct tm tm = { 0 };
	const char *end = text ? strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;

	return end && *end == '\0' ? timegm(&tm) : -1;
}

static int64_t until_date_ms(const char *text)
{
	int64_t date_s = parse_date(text);

	return date_s < 0 ? -1 : wait_ms(date_s - clock_wall_s());
}

int64_t httpc_date_s(const struct httpc_response *r)
{
	return parse_date(httpc_header(r, "Date"));
}

int64_t httpc_retry_after_ms(const struct httpc_response *r)
{
	const char *text = httpc_header(r, "Retry-After");
	const char *limit = httpc_header(r, "RateLimit");
	int64_t seconds;

	if (!text)
		return limit ? ratelimit_ms(limit) : -1;
	seconds = take_number(&text);
	if (seconds >= 0)
		return *text == '\0' ? wait_ms(seconds) : -1;
	return until_date_ms(text);
}
