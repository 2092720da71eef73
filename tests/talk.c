/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/base/listen.h"

int talk_listen(struct sockaddr_in *ret_at)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	socklen_t len = sizeof(*ret_at);
	int fd = listen_address("127.0.0.1:0", &why);

	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret_at, &len), 0);
	return fd;
}

int talk_dial(const struct sockaddr_in *at)
{
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)at, sizeof(*at)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

void talk_say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

bool talk_hear(int fd, struct buf *all, const char *text)
{
	char piece[4096];

	while (!strstr(buf_str(all), text)) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);

		if (n <= 0)
			return false;
		buf_add(all, piece, (size_t)n);
	}
	return true;
}

bool talk_ends(int fd)
{
	char piece[65536];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}
