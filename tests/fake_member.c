/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake_member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "tests/talk.h"

#define NO_BODY "Content-Length: 0\r\nConnection: close\r\n"

static void say(struct fake_member *m, int fd, const char *request, bool stalls,
		const char *digests)
{
	CLEANUP(buf_free) struct buf lines = { 0 };
	const struct cluster_answer a = {
		.status = stalls     ? WIRE_COMING
			  : *digests ? WIRE_TOLD
				     : WIRE_NOT_HERE,
		.content_range = "",
		.others = digests,
		.wall_ms = clock_wall_ms(),
	};

	buf_add_str(&lines, NO_BODY);
	if (*digests)
		buf_printf(&lines, WIRE_DIGESTS ": %s\r\n", digests);
	stand_in_say(&m->played, fd, request, &a, buf_str(&lines));
}

static void answer(void *arg, int fd, const char *request)
{
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 }, digests = { 0 };
	static const struct wire_digests none;
	char target[2048];
	struct fake_member *m = arg;
	struct wire_ask ask;
	enum fake_role role;
	bool stalls;

	assert_int_equal(sscanf(request, "GET %2047s", target), 1);
	assert_int_equal(wire_read_ask(target, "", &ask, &path, &why), 0);
	role = ask.witness ? FAKE_WITNESS : ask.held ? FAKE_HOLDER : FAKE_VOUCHER;
	m->asked[role]++;
	if (ask.witness)
		m->chunks = ask.chunks;
	if (m->full) {
		m->full--;
		talk_say(fd, "HTTP/1.1 503 Word\r\n" NO_BODY "\r\n");
		return;
	}
	if (m->strange) {
		talk_say(fd, "HTTP/1.1 200 Word\r\n" NO_BODY "\r\n");
		return;
	}
	stalls = (m->stalls && role == FAKE_VOUCHER) || (m->hides && role == FAKE_HOLDER);
	if (!stalls && memcmp(&m->says[role], &none, sizeof(none)) != 0)
		wire_write_digests(&ask, &m->says[role], &digests);
	say(m, fd, request, stalls, m->raves ? "none" : buf_str(&digests));
}

void fake_member_start(struct fake_member *m, struct cluster_key *key)
{
	m->played = (struct stand_in){ .answer = answer, .arg = m, .key = key };
	stand_in_listen(&m->played);
	m->address = m->played.address;
}

void fake_member_stop(struct fake_member *m)
{
	stand_in_hush(&m->played);
}
