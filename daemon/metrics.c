/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/metrics.h"

#include "daemon/base/err.h"
#include "daemon/base/own.h"

static const int64_t bounds_us[METRICS_BUCKETS] = {
	100,    500,    1000,   2500,    5000,    10000,   25000,    50000,
	100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000,
};

static enum metrics_outcome outcome_of_status(int status)
{
	if (status == 408 || status == 429)
		return METRICS_BUSY;
	if (status >= 500)
		return METRICS_SERVER;
	if (status >= 400)
		return METRICS_REFUSED;
	if (status >= 300)
		return METRICS_REDIRECT;
	return status >= 200 ? METRICS_OK : METRICS_PROTOCOL;
}

enum metrics_outcome metrics_outcome(int r, int status)
{
	switch (r) {
	case ERR_UPSTREAM:
		return METRICS_UNREACHABLE;
	case ERR_TLS:
		return METRICS_TLS;
	case ERR_TIMEOUT:
		return METRICS_TIMEOUT;
	case ERR_CUT:
		return METRICS_CUT;
	case ERR_CANCELED:
	case ERR_STOPPING:
		return METRICS_CANCELED;
	case ERR_PROTO:
		return METRICS_PROTOCOL;
	default:
		return outcome_of_status(status);
	}
}

const char *metrics_outcome_name(enum metrics_outcome outcome)
{
	static const char *const names[METRICS_OUTCOMES] = {
		[METRICS_OK] = "ok",
		[METRICS_REDIRECT] = "redirect",
		[METRICS_REFUSED] = "refused",
		[METRICS_BUSY] = "busy",
		[METRICS_SERVER] = "server_error",
		[METRICS_UNREACHABLE] = "unreachable",
		[METRICS_TLS] = "tls",
		[METRICS_TIMEOUT] = "timeout",
		[METRICS_CUT] = "cut",
		[METRICS_PROTOCOL] = "protocol",
		[METRICS_CANCELED] = "canceled",
	};

	return names[outcome];
}

void metrics_time(struct metrics_histogram *h, int64_t us)
{
	unsigned i = 0;

	while (i < METRICS_BUCKETS && us > bounds_us[i])
		i++;
	metrics_add(&h->buckets[i], 1);
	metrics_add(&h->sum_us, us > 0 ? (uint64_t)us : 0);
}

int64_t metrics_bound_us(unsigned i)
{
	return bounds_us[i];
}
