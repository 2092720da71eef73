/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/meter.h"

#include <stdio.h>

#include "daemon/exposition.h"

/* Others are counted as the first of their hundred; 0: no answer. */
static const int statuses[] = {
	0,   100, 200, 201, 202, 204, 206, 300, 301, 302, 304, 307, 308, 400, 401, 403,
	404, 405, 409, 410, 412, 413, 416, 422, 429, 431, 499, 500, 501, 502, 503, 507,
};
_Static_assert(ARRAY_LEN(statuses) == METER_STATUSES, "a status has no place");

static unsigned find(int status)
{
	for (unsigned i = 0; i < METER_STATUSES; i++)
		if (statuses[i] == status)
			return i;
	return METER_STATUSES;
}

static unsigned index_of(int status)
{
	unsigned i = find(status);

	if (i == METER_STATUSES)
		i = find(status / 100 * 100);
	return i == METER_STATUSES ? 0 : i;
}

void meter_end(struct meter *m, unsigned route, const struct httpd_end *end)
{
	if (route >= METER_ROUTES_MAX)
		route = 0;
	metrics_add(&m->requests[route][index_of(end->status)], 1);
	metrics_add(&m->sent_bytes, end->bytes);
	metrics_add(&m->broken, end->status && !end->whole);
	metrics_time(&m->answer_time[route], end->answer_us);
}

static void write_requests(const struct meter *m, unsigned route, const char *label,
			   struct buf *ret)
{
	for (unsigned i = 0; i < METER_STATUSES; i++) {
		uint64_t count = metrics_get(&m->requests[route][i]);

		if (!count)
			continue;
		buf_add_str(ret, "matrixfs_http_requests_total{");
		exposition_label(ret, "route", label);
		buf_printf(ret, ",status=\"%d\"}", statuses[i]);
		exposition_value(ret, count);
	}
}

static bool has_been_asked(const struct meter *m, unsigned route)
{
	for (unsigned i = 0; i < METER_STATUSES; i++)
		if (metrics_get(&m->requests[route][i]))
			return true;
	return false;
}

void meter_write(const struct meter *m, const char *(*label_of)(unsigned route), struct buf *ret)
{
	exposition_head(ret, "http_requests_total", "counter",
			"Requests by route and status; 0: the client left before its answer.");
	for (unsigned i = 0; i < METER_ROUTES_MAX; i++)
		if (has_been_asked(m, i))
			write_requests(m, i, label_of(i), ret);
	exposition_head(ret, "http_answer_seconds", "histogram",
			"From the head of a request to the beginning of its answer.");
	for (unsigned i = 0; i < METER_ROUTES_MAX; i++)
		if (has_been_asked(m, i))
			exposition_histogram(ret, "http_answer_seconds", "route", label_of(i),
					     &m->answer_time[i]);
	exposition_counter(ret, "http_sent_bytes_total", &m->sent_bytes,
			   "Bytes of answers' bodies.");
	exposition_counter(ret, "http_broken_answers_total", &m->broken,
			   "Answers that did not go out to their end.");
	exposition_counter(ret, "http_stale_answers_total", &m->stale,
			   "Answers that were too old, since no upstream could be asked.");
}
