/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "daemon/base/num.h"

int64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_wall_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

static void put_digits(char *at, int count, int value)
{
	for (; count-- > 0; value /= 10)
		at[count] = (char)('0' + value % 10);
}

void clock_print_iso(int64_t wall_ms, char ret[static CLOCK_ISO_MAX])
{
	time_t s = (time_t)(max_i64(wall_ms, 0) / 1000);
	struct tm tm = { 0 };

	gmtime_r(&s, &tm);
	memcpy(ret, "0000-00-00T00:00:00.000Z", sizeof("0000-00-00T00:00:00.000Z"));
	put_digits(ret, 4, tm.tm_year + 1900);
	put_digits(ret + 5, 2, tm.tm_mon + 1);
	put_digits(ret + 8, 2, tm.tm_mday);
	put_digits(ret + 11, 2, tm.tm_hour);
	put_digits(ret + 14, 2, tm.tm_min);
	put_digits(ret + 17, 2, tm.tm_sec);
	put_digits(ret + 20, 3, (int)(max_i64(wall_ms, 0) % 1000));
}

/* True if text begins with what the pattern shows: '0' stands for any digit. */
static int matches(const char *text, const char *pattern)
{
	for (; *pattern; text++, pattern++) {
		if (*pattern == '0' ? *text < '0' || *text > '9' : *text != *pattern)
			return 0;
	}
	return 1;
}

static int two_digits(const char *text)
{
	return (text[0] - '0') * 10 + (text[1] - '0');
}

/* What may follow the seconds: a fraction, which is dropped, and the sign of UTC. */
static int is_utc_tail(const char *text)
{
	if (*text == '.') {
		size_t digits = strspn(text + 1, "0123456789");

		if (!digits)
			return 0;
		text += 1 + digits;
	}
	return !strcmp(text, "Z") || !strcmp(text, "+00:00");
}

int64_t clock_parse_iso(const char *text)
{
	static const char pattern[] = "0000-00-00T00:00:00";
	struct tm tm = { 0 };
	int day, hour, minute, second;
	int64_t midnight, ret;

	if (!matches(text, pattern) || !is_utc_tail(text + sizeof(pattern) - 1))
		return -1;
	tm.tm_year = two_digits(text) * 100 + two_digits(text + 2) - 1900;
	tm.tm_mon = two_digits(text + 5) - 1;
	tm.tm_mday = day = two_digits(text + 8);
	hour = two_digits(text + 11);
	minute = two_digits(text + 14);
	second = two_digits(text + 17);
	/* 60 is a leap second. */
	if (tm.tm_mon < 0 || tm.tm_mon > 11 || hour > 23 || minute > 59 || second > 60)
		return -1;
	/* timegm() turns a day that its month does not have into one of another month. */
	midnight = timegm(&tm);
	if (tm.tm_mday != day)
		return -1;
	ret = midnight + hour * 3600 + minute * 60 + second;
	return ret < 0 ? -1 : ret;
}

void clock_sleep_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	if (ms <= 0)
		return;
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}
