/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/stand_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "tests/talk.h"

#define KEY "the first key of 16 bytes or more\n"
#define DRIP_MS 50

bool stand_in_send(int fd, const void *data, size_t len)
{
	for (const char *at = data; len;) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

void stand_in_drip(const struct stand_in *s, int fd, const char *drop)
{
	while (!s->stopping && stand_in_send(fd, drop, strlen(drop)))
		clock_sleep_ms(DRIP_MS);
}

void stand_in_head(const struct stand_in *s, int fd, const char *request, int status,
		   const char *range, const char *length, int64_t ahead_ms)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	const struct cluster_answer a = { .status = status,
					  .content_range = range,
					  .node = STAND_IN_PROCESS,
					  .wall_ms = clock_wall_ms() + ahead_ms };
	char nonce[CLUSTER_NONCE_HEX + 1];

	snprintf(nonce, sizeof(nonce), "%s", strstr(request, "nonce=") + 6);
	buf_printf(&head, "HTTP/1.1 %d Word\r\n%s\r\nAuthentication-Info: ", status, length);
	assert_int_equal(cluster_key_sign_answer(s->key, &a, nonce, &head), 0);
	buf_printf(&head, "\r\n%s%s\r\n\r\n", *range ? "Content-Range: " : "X-Nothing: ", range);
	stand_in_send(fd, head.data, head.len);
}

static void *serve(void *arg)
{
	struct stand_in *s = arg;
	struct pollfd p = { .fd = s->listener, .events = POLLIN };

	while (!s->stopping) {
		CLEANUP(buf_free) struct buf request = { 0 };
		int fd = poll(&p, 1, DRIP_MS) > 0 ? accept(s->listener, NULL, NULL) : -1;

		if (fd < 0)
			continue;
		if (talk_hear(fd, &request, "\r\n\r\n"))
			s->answer(s->arg, fd, buf_str(&request));
		close(fd);
	}
	return NULL;
}

static void open_key(struct stand_in *s)
{
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 };

	buf_printf(&path, "%s/key", s->dir.path);
	assert_int_equal(file_replace(AT_FDCWD, buf_str(&path), KEY, strlen(KEY), 0600), 0);
	assert_int_equal(cluster_key_open(buf_str(&path), 0, &s->key, &why), 0);
}

static void meet(struct stand_in *s)
{
	struct member_spec list[2] = { { "127.0.0.1:1", "", 1 }, { "", "", 1 } };
	struct sockaddr_in at;

	s->listener = talk_listen(&at);
	snprintf(list[1].address, sizeof(list[1].address), "127.0.0.1:%d", ntohs(at.sin_port));
	assert_int_equal(members_new(&list[0], &s->members), 0);
	assert_int_equal(members_set(s->members, list, 2), 0);
	s->now = members_now(s->members);
	s->member = s->now->members[1 - s->now->self];
}

void stand_in_start(struct stand_in *s)
{
	const struct httpc_conf http = { .connect_ms = 1000, .stall_ms = 5000 };

	workdir_init(&s->dir);
	open_key(s);
	meet(s);
	assert_int_equal(httpc_new(&http, &s->http), 0);
	s->asker = (struct asker){ s->key, s->http, false, "127.0.0.1:1", "", "66" };
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

void stand_in_stop(struct stand_in *s)
{
	s->stopping = true;
	pthread_join(s->thread, NULL);
	close(s->listener);
	membership_unref(s->now);
	members_free(s->members);
	cluster_key_free(s->key);
	httpc_free(s->http);
	workdir_fini(&s->dir);
}
