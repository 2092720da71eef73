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
#include "daemon/base/num.h"
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

void stand_in_say(const struct stand_in *s, int fd, const char *request,
		  const struct cluster_answer *a, const char *lines)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	struct cluster_answer signed_as = *a;
	char nonce[CLUSTER_NONCE_HEX + 1];

	signed_as.node = STAND_IN_PROCESS;
	snprintf(nonce, sizeof(nonce), "%s", strstr(request, "nonce=") + 6);
	buf_printf(&head, "HTTP/1.1 %d Word\r\n%sAuthentication-Info: ", a->status, lines);
	assert_int_equal(cluster_key_sign_answer(s->key, &signed_as, nonce, &head), 0);
	buf_add_str(&head, "\r\n\r\n");
	stand_in_send(fd, head.data, head.len);
}

void stand_in_say_unsigned(int fd, int status)
{
	char text[100];

	snprintf(text, sizeof(text), "HTTP/1.1 %d Word\r\nContent-Length: 0\r\n\r\n", status);
	stand_in_send(fd, text, strlen(text));
}

void stand_in_head(const struct stand_in *s, int fd, const char *request, int status,
		   const char *range, const char *length, int64_t ahead_ms)
{
	CLEANUP(buf_free) struct buf lines = { 0 };
	const struct cluster_answer a = { .status = status,
					  .content_range = range,
					  .wall_ms = clock_wall_ms() + ahead_ms };

	buf_printf(&lines, "%s\r\n%s%s\r\n", length,
		   *range ? "Content-Range: " : "X-Nothing: ", range);
	stand_in_say(s, fd, request, &a, buf_str(&lines));
}

size_t stand_in_promise(const struct stand_in *s, int fd, const char *request, size_t size,
			size_t most)
{
	char range[64], length[64];
	unsigned long first, last;
	size_t len;

	assert_int_equal(sscanf(strstr(request, "Range: "), "Range: bytes=%lu-%lu", &first, &last),
			 2);
	len = min_u64(last - first + 1, most);
	snprintf(range, sizeof(range), "bytes %lu-%lu/%zu", first, first + len - 1, size);
	snprintf(length, sizeof(length), "Content-Length: %zu", len);
	stand_in_head(s, fd, request, 206, range, length, 0);
	return len;
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

void stand_in_listen(struct stand_in *s)
{
	struct sockaddr_in at;

	s->listener = talk_listen(&at);
	snprintf(s->address, sizeof(s->address), "127.0.0.1:%d", ntohs(at.sin_port));
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

void stand_in_hush(struct stand_in *s)
{
	s->stopping = true;
	pthread_join(s->thread, NULL);
	close(s->listener);
}

static void meet(struct stand_in *s)
{
	struct member_spec list[2] = { { "127.0.0.1:1", "", 1 }, { "", "", 1 } };

	snprintf(list[1].address, sizeof(list[1].address), "%s", s->address);
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
	stand_in_listen(s);
	meet(s);
	assert_int_equal(httpc_new(&http, &s->http), 0);
	s->asker = (struct asker){ s->key, s->http, false, "127.0.0.1:1", "", "66", NULL };
}

void stand_in_stop(struct stand_in *s)
{
	stand_in_hush(s);
	membership_unref(s->now);
	members_free(s->members);
	cluster_key_free(s->key);
	httpc_free(s->http);
	workdir_fini(&s->dir);
}

int stand_in_set_up(void **state, size_t size,
		    void (*answer)(void *arg, int fd, const char *request))
{
	struct stand_in *s = calloc(1, size);

	assert_non_null(s);
	s->answer = answer;
	s->arg = s;
	stand_in_start(s);
	*state = s;
	return 0;
}

int stand_in_tear_down(void **state)
{
	stand_in_stop(*state);
	free(*state);
	return 0;
}
