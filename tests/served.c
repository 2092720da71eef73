/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/served.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/clock.h"

static ssize_t body_max(void *arg UNUSED, const struct httpd_request *q UNUSED)
{
	return 0;
}

void served_start(struct served *s, void (*handle)(void *arg, struct httpd_request *q), void *arg)
{
	struct httpd_conf http = {
		.door_count = 1,
		.threads = 1,
		.connections_max = 8,
		.bodies_max = 65536,
		.idle_ms = 10000,
		.slow_ms = 10000,
		.body_max = body_max,
		.handle = handle,
		.arg = arg,
	};

	http.doors[0].fd = talk_listen(&s->at);
	assert_int_equal(httpd_start(&http, &s->http), 0);
}

void served_stop(struct served *s)
{
	assert_true(httpd_stop(s->http, clock_ms() + 1000, 10000));
	buf_free(&s->answer);
}

int served_ask(struct served *s, const char *method, const char *target)
{
	CLEANUP(buf_free) struct buf request = { 0 };
	int fd = talk_dial(&s->at), status = 0;

	buf_clear(&s->answer);
	buf_printf(&request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method,
		   target);
	talk_say(fd, buf_str(&request));
	assert_false(talk_hear(fd, &s->answer, "no such text"));
	close(fd);
	sscanf(buf_str(&s->answer), "HTTP/1.1 %d", &status);
	return status;
}

bool served_says(const struct served *s, const char *text)
{
	return strstr(buf_str(&s->answer), text);
}
