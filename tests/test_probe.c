/* SPDX-License-Identifier: Apache-2.0 */
/* Against sockets that refuse, or take a question and never answer it. That who answers is asked
 * again is shown by tests/flow_peers.py. */
#include "daemon/peer/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "tests/workdir.h"

#define SOON_MS 30000

struct fixture {
	struct workdir dir;
	struct asker who;
	struct members *members;
	struct probes *probes;
	const struct membership *now;
	struct member *one;
	int socket; /* its own */
};

/* A port of this machine at which questions are taken in, or refused. */
static int open_port(bool listens, char ret_address[static MEMBER_ADDRESS_MAX + 1])
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	if (listens)
		assert_int_equal(listen(fd, 8), 0);
	snprintf(ret_address, MEMBER_ADDRESS_MAX + 1, "127.0.0.1:%u", ntohs(at.sin_port));
	return fd;
}

static struct cluster_key *some_key(const struct fixture *f)
{
	static const char text[] = "a key of a cluster of a test";
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 };
	struct cluster_key *key;

	buf_printf(&path, "%s/key", f->dir.path);
	assert_int_equal(file_replace(AT_FDCWD, buf_str(&path), text, strlen(text), 0600), 0);
	assert_int_equal(cluster_key_open(buf_str(&path), 0, &key, &why), 0);
	return key;
}

static void begin(struct fixture *f, bool listens)
{
	static const struct member_spec self = { "self:1", "", 1 };
	const struct httpc_conf http = { .user_agent = "test/1",
					 .connect_ms = 60000,
					 .stall_ms = 60000 };
	struct member_spec one = { .weight = 1 };

	*f = (struct fixture){ .who = { .address = self.address, .zone = "", .process = "1" } };
	workdir_init(&f->dir);
	f->who.key = some_key(f);
	assert_int_equal(httpc_new(&http, &f->who.http), 0);
	assert_int_equal(members_new(&self, &f->members), 0);
	f->socket = open_port(listens, one.address);
	assert_int_equal(members_set(f->members, &one, 1), 0);
	f->now = members_now(f->members);
	f->one = f->now->members[membership_find(f->now, one.address)];
	assert_int_equal(probes_new(&f->who, f->members, &f->probes), 0);
}

static void end(struct fixture *f)
{
	probes_free(f->probes);
	membership_unref(f->now);
	members_free(f->members);
	httpc_free(f->who.http);
	cluster_key_free(f->who.key);
	close(f->socket);
	workdir_fini(&f->dir);
}

static void fall_silent(struct fixture *f)
{
	member_note(f->one, MEMBER_SILENT, 0, -1, clock_ms());
}

static void note_failures(void *arg, const struct member_status *s)
{
	if (!s->self)
		*(unsigned *)arg = s->failures;
}

static unsigned failures(struct fixture *f)
{
	unsigned count = 0;

	members_each(f->members, clock_ms(), note_failures, &count);
	return count;
}

static void who_was_not_silent_is_asked_by_who_wants_to(void **state)
{
	static struct fixture f; /* its threads outlive a test that fails */

	(void)state;
	begin(&f, false);
	assert_false(probes_take(f.probes, f.one));
	member_note(f.one, MEMBER_ANSWERED, 0, 1, clock_ms());
	assert_false(probes_take(f.probes, f.one));
	end(&f);
}

static void who_was_silent_is_tried_in_the_place_of_readers(void **state)
{
	int64_t until_ms = clock_ms() + SOON_MS;
	static struct fixture f; /* its threads outlive a test that fails */

	(void)state;
	begin(&f, false);
	fall_silent(&f);
	clock_sleep_ms(MEMBER_HICCUP_MS + 1);
	assert_true(probes_take(f.probes, f.one));
	while (failures(&f) < 2 && clock_ms() < until_ms)
		clock_sleep_ms(5);
	assert_int_equal(failures(&f), 2);
	assert_true(probes_take(f.probes, f.one)); /* and again, when its time has come */
	end(&f);
}

static void whoever_comes_meanwhile_does_not_wait(void **state)
{
	int64_t begun_ms = clock_ms();
	static struct fixture f; /* its threads outlive a test that fails */

	(void)state;
	begin(&f, true); /* and it never answers */
	fall_silent(&f);
	for (int i = 0; i < 1000; i++)
		assert_true(probes_take(f.probes, f.one));
	end(&f); /* nor does who stops */
	assert_true(clock_ms() - begun_ms < SOON_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_not_silent_is_asked_by_who_wants_to),
		cmocka_unit_test(who_was_silent_is_tried_in_the_place_of_readers),
		cmocka_unit_test(whoever_comes_meanwhile_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
