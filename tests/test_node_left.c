/* SPDX-License-Identifier: Apache-2.0 */
/* A node that is stopped while it works on a request of another that does not end. */
#include "daemon/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/lock.h"
#include "daemon/peer/peers.h"
#include "daemon/peer/wire.h"
#include "tests/workdir.h"

#define KEY "a-key-of-a-cluster-of-two-0123456789\n"
#define WAIT_MS 10000

static const struct node_hub hub = { .url = "http://127.0.0.1:9" };

/* Who is asked, who asks, and the one request. */
struct world {
	struct workdir dir[2];
	char address[2][32], list[70], key_file[PATH_MAX];
	struct peer_settings settings[2];
	struct node *asked, *asking;
	struct serve_work work;
	pthread_t asker;
	struct lock lock;
	struct cond changed;
	bool begun, may_end; /* guarded by lock */
	int answer;
};

/* What one leaves to the end of the process. */
static struct world *left;

static int look_long(void *arg, uint64_t id UNUSED, struct job_progress *ret UNUSED)
{
	struct world *w = arg;

	lock_take(&w->lock);
	w->begun = true;
	cond_wake_all(&w->changed);
	while (!w->may_end)
		cond_wait(&w->changed, &w->lock, CLOCK_FOREVER);
	lock_drop(&w->lock);
	return -ENOENT;
}

static void choose_address(char *ret, size_t size)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(ret, size, "127.0.0.1:%d", ntohs(a.sin_port));
	close(fd);
}

static void write_key(struct world *w)
{
	int fd;

	snprintf(w->key_file, sizeof(w->key_file), "%s/key", w->dir[0].path);
	fd = open(w->key_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, KEY, strlen(KEY)), strlen(KEY));
	close(fd);
}

static struct node *start(struct world *w, int i)
{
	w->settings[i] = (struct peer_settings){
		.listen = w->address[i],
		.members = w->list,
		.key_file = w->key_file,
		.weight = 1,
		.connections = 8,
	};
	const struct node_conf conf = {
		.cache_dir = w->dir[i].path,
		.owner = "test",
		.hubs = &hub,
		.hub_count = 1,
		.peers = &w->settings[i],
		.ref_ttl_ms = 10,
		.timeout_ms = 2000,
		.memory_bytes = UINT64_C(8) << 20,
	};
	CLEANUP(buf_free) struct buf why = { 0 };
	struct node *n = NULL;

	if (node_open(&conf, &n, &why) < 0)
		fail_msg("%s", buf_str(&why));
	return n;
}

static void *ask(void *arg)
{
	CLEANUP(buf_free) struct buf answer = { 0 };
	struct world *w = arg;
	const struct membership *ms = members_now(peers_members(node_peers(w->asking)));
	int at = membership_find(ms, w->address[0]);
	struct peer_call e = {
		.member = ms->members[at < 0 ? 0 : at],
		.method = "GET",
		.target = WIRE_ROOT "jobs/1",
		.patience_ms = 6 * WAIT_MS,
	};

	w->answer = peers_ask(node_peers(w->asking), &e, &answer);
	membership_unref(ms);
	return NULL;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	lock_init(&w->lock, LOCK_TEST);
	cond_init(&w->changed);
	for (int i = 0; i < 2; i++) {
		workdir_init(&w->dir[i]);
		choose_address(w->address[i], sizeof(w->address[i]));
	}
	snprintf(w->list, sizeof(w->list), "%s,%s", w->address[0], w->address[1]);
	write_key(w);
	w->asked = start(w, 0);
	w->asking = start(w, 1);
	w->work = (struct serve_work){ .job = look_long, .arg = w };
	peers_set_work(node_peers(w->asked), &w->work);
	*state = w;
	return 0;
}

static void begin(struct world *w)
{
	int64_t deadline = clock_ms() + WAIT_MS;
	bool begun;

	assert_int_equal(pthread_create(&w->asker, NULL, ask, w), 0);
	lock_take(&w->lock);
	while (!w->begun && cond_wait(&w->changed, &w->lock, deadline) == 0)
		;
	begun = w->begun;
	lock_drop(&w->lock);
	assert_true(begun);
}

static void let_end(struct world *w)
{
	lock_take(&w->lock);
	w->may_end = true;
	cond_wake_all(&w->changed);
	lock_drop(&w->lock);
	pthread_join(w->asker, NULL);
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (node_stop(w->asking))
		node_close(w->asking);
	workdir_fini(&w->dir[0]);
	workdir_fini(&w->dir[1]);
	if (w == left)
		return 0;
	cond_fini(&w->changed);
	lock_fini(&w->lock);
	free(w);
	return 0;
}

static void a_node_that_somebody_works_on_says_so_and_stays(void **state)
{
	struct world *w = *state;

	begin(w);
	assert_false(node_stop(w->asked));
	left = w;
	let_end(w);
	assert_false(node_stop(w->asked)); /* it has been said */
}

/* The twin. */
static void a_node_whose_requests_have_ended_can_be_closed(void **state)
{
	struct world *w = *state;

	begin(w);
	let_end(w);
	assert_int_equal(w->answer, WIRE_NOT_HERE);
	assert_true(node_stop(w->asked));
	node_close(w->asked);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_node_that_somebody_works_on_says_so_and_stays),
		TEST(a_node_whose_requests_have_ended_can_be_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
