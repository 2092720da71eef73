/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/retry.h"

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/random.h"

#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 5000
#define STOP_POLL_MS 100

int retry_passes(int r)
{
	switch (r) {
	case ERR_UPSTREAM:
	case ERR_TIMEOUT:
	case ERR_CUT:
	case ERR_BUSY:
	case ERR_SERVER:
	case ERR_EXPIRED:
	case -EAGAIN:
	case -ECONNABORTED:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EHOSTUNREACH:
	case -ENETDOWN:
	case -ENETRESET:
	case -ENETUNREACH:
	case -EPIPE:
	case -ETIMEDOUT:
		return 1;
	default:
		return 0;
	}
}

void retry_init(struct retry *t, unsigned failures_max, int64_t deadline_ms, uint64_t seed)
{
	*t = (struct retry){
		.failures_max = failures_max,
		.deadline_ms = deadline_ms,
		.asked_ms = -1,
		.random = seed,
	};
}

void retry_reset(struct retry *t)
{
	t->failures = 0;
	t->asked_ms = -1;
}

int64_t retry_pause_ms(struct retry *t)
{
	int64_t pause = PAUSE_FIRST_MS;

	for (unsigned i = 1; i < t->failures && pause < PAUSE_MAX_MS; i++)
		pause *= 2;
	if (pause > PAUSE_MAX_MS)
		pause = PAUSE_MAX_MS;
	pause = random_near(&t->random, pause, 50);
	return t->asked_ms > pause ? t->asked_ms : pause;
}

static int is_stopped(const struct retry *t)
{
	return t->stop && atomic_load(t->stop);
}

/* Sleeps in short pieces, so that a stop is noticed soon. */
static int sleep_until(const struct retry *t, int64_t end_ms)
{
	int64_t left;

	while (!is_stopped(t) && (left = end_ms - clock_ms()) > 0)
		clock_sleep_ms(left < STOP_POLL_MS ? left : STOP_POLL_MS);
	return is_stopped(t) ? ERR_CANCELED : 0;
}

int retry_wait(struct retry *t, int r)
{
	int64_t now = clock_ms();
	int64_t pause;

	if (!retry_passes(r))
		return r;
	t->failures++;
	pause = retry_pause_ms(t);
	/* What the server asked for answers this failure, not the next one. */
	t->asked_ms = -1;
	if (t->failures > t->failures_max || pause >= t->deadline_ms - now)
		return is_stopped(t) ? ERR_CANCELED : r;
	return sleep_until(t, now + pause);
}
