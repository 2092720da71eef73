/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const char *label_of(unsigned route)
{
	return route ? "/a\"b" : "none";
}

static void note(struct meter *m, unsigned route, int status, uint64_t bytes)
{
	const struct httpd_end end = {
		.status = status, .whole = true, .bytes = bytes, .answer_us = 600, .all_us = 900
	};

	meter_end(m, route, &end);
}

static void requests_are_counted_by_route_and_status(void **state)
{
	struct meter *m = calloc(1, sizeof(*m));
	CLEANUP(buf_free) struct buf b = { 0 };

	(void)state;
	note(m, 1, 200, 5);
	note(m, 1, 200, 6);
	note(m, 1, 404, 0);
	note(m, 0, 418, 0);
	note(m, METER_ROUTES_MAX, 0, 0);
	meter_write(m, label_of, &b);
	assert_non_null(strstr(buf_str(&b), "{route=\"/a\\\"b\",status=\"200\"} 2\n"));
	assert_non_null(strstr(buf_str(&b), "{route=\"/a\\\"b\",status=\"404\"} 1\n"));
	assert_non_null(strstr(buf_str(&b), "{route=\"none\",status=\"400\"} 1\n"));
	assert_non_null(strstr(buf_str(&b), "{route=\"none\",status=\"0\"} 1\n"));
	assert_non_null(strstr(buf_str(&b), "matrixfs_http_sent_bytes_total 11\n"));
	assert_non_null(
		strstr(buf_str(&b), "http_answer_seconds_bucket{route=\"none\",le=\"0.0005\"} 0"));
	assert_non_null(
		strstr(buf_str(&b), "http_answer_seconds_bucket{route=\"none\",le=\"0.001\"} 2"));
	assert_non_null(strstr(buf_str(&b), "http_answer_seconds_count{route=\"none\"} 2"));
	free(m);
}

static void nothing_asked_is_nothing_told(void **state)
{
	struct meter *m = calloc(1, sizeof(*m));
	CLEANUP(buf_free) struct buf b = { 0 };

	(void)state;
	meter_write(m, label_of, &b);
	assert_null(strstr(buf_str(&b), "route="));
	assert_non_null(strstr(buf_str(&b), "# TYPE matrixfs_http_requests_total counter\n"));
	free(m);
}

static void what_broke_off_is_counted(void **state)
{
	struct meter *m = calloc(1, sizeof(*m));
	const struct httpd_end broken = { .status = 200, .bytes = 3 };
	const struct httpd_end left = { .status = 0 };

	(void)state;
	meter_end(m, 1, &broken);
	meter_end(m, 1, &left);
	assert_int_equal(metrics_get(&m->broken), 1);
	assert_int_equal(metrics_get(&m->sent_bytes), 3);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_counted_by_route_and_status),
		cmocka_unit_test(nothing_asked_is_nothing_told),
		cmocka_unit_test(what_broke_off_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
