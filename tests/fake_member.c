/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake_member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "tests/talk.h"

#define LOOK_MS 20

static void say_full(int fd)
{
	talk_say(fd, "HTTP/1.1 503 Word\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

static void say(struct fake_member *m, int fd, const char *request, int status, const char *digests)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	const struct cluster_answer a = {
		.status = status,
		.content_range = "",
		.others = digests,
		.zone = "",
		.number = "",
		.quiet = "",
		.node = "77",
		.wall_ms = clock_wall_ms(),
	};
	char nonce[CLUSTER_NONCE_HEX + 1];

	snprintf(nonce, sizeof(nonce), "%s", strstr(request, "nonce=") + 6);
	buf_printf(&head, "HTTP/1.1 %d Word\r\nContent-Length: 0\r\nConnection: close\r\n", status);
	if (*digests)
		buf_printf(&head, WIRE_DIGESTS ": %s\r\n", digests);
	buf_add_str(&head, "Authentication-Info: ");
	assert_int_equal(cluster_key_sign_answer(m->key, &a, nonce, &head), 0);
	buf_add_str(&head, "\r\n\r\n");
	talk_say(fd, buf_str(&head));
}

static void answer(struct fake_member *m, int fd, const char *request)
{
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 }, digests = { 0 };
	static const struct wire_digests none;
	char target[2048];
	struct wire_ask ask;
	enum fake_role role;

	assert_int_equal(sscanf(request, "GET %2047s", target), 1);
	assert_int_equal(wire_read_ask(target, "", &ask, &path, &why), 0);
	role = ask.witness ? FAKE_WITNESS : ask.held ? FAKE_HOLDER : FAKE_VOUCHER;
	m->asked[role]++;
	if (m->full) {
		m->full--;
		say_full(fd);
		return;
	}
	if (memcmp(&m->says[role], &none, sizeof(none)) != 0)
		wire_write_digests(&ask, &m->says[role], &digests);
	say(m, fd, request, digests.len ? WIRE_TOLD : WIRE_NOT_HERE, buf_str(&digests));
}

static void *serve(void *arg)
{
	struct fake_member *m = arg;
	struct pollfd p = { .fd = m->listener, .events = POLLIN };

	while (!m->stopping) {
		CLEANUP(buf_free) struct buf request = { 0 };
		int fd = poll(&p, 1, LOOK_MS) > 0 ? accept(m->listener, NULL, NULL) : -1;

		if (fd < 0)
			continue;
		if (talk_hear(fd, &request, "\r\n\r\n"))
			answer(m, fd, buf_str(&request));
		close(fd);
	}
	return NULL;
}

void fake_member_start(struct fake_member *m, struct cluster_key *key)
{
	struct sockaddr_in at;

	m->key = key;
	m->listener = talk_listen(&at);
	snprintf(m->address, sizeof(m->address), "127.0.0.1:%d", ntohs(at.sin_port));
	assert_int_equal(pthread_create(&m->thread, NULL, serve, m), 0);
}

void fake_member_stop(struct fake_member *m)
{
	m->stopping = true;
	assert_int_equal(pthread_join(m->thread, NULL), 0);
	close(m->listener);
}
