/* SPDX-License-Identifier: Apache-2.0 */
/* Names are looked up in a scripted list: getaddrinfo() is this file's. */
#include "daemon/peer/member_list.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/peer/member_checkin.h"
#include "tests/fake_origin.h"
#include "tests/workdir.h"

/* --- a name server */

#define NAME "nodes.test"
#define NAME_PORT NAME ":9980"

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	/* Guarded by mutex. */
	const char *numbers; /* with a space behind each; NULL: there is no such name */
	bool hangs;
	unsigned asked;
	pthread_t asker; /* the last one */
} server = { .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static void serve_names(const char *numbers, bool hangs)
{
	pthread_mutex_lock(&server.mutex);
	server.numbers = numbers;
	server.hangs = hangs;
	pthread_cond_broadcast(&server.cond);
	pthread_mutex_unlock(&server.mutex);
}

/* As freeaddrinfo() frees it: one piece of memory each. */
static struct addrinfo *make_address(const char *number, size_t len)
{
	struct {
		struct addrinfo info;
		struct sockaddr_in6 room;
	} *a = calloc(1, sizeof(*a));
	struct sockaddr_in *four = (void *)&a->room;
	char text[64];

	assert_non_null(a);
	snprintf(text, sizeof(text), "%.*s", (int)len, number);
	a->info.ai_addr = (void *)&a->room;
	a->info.ai_family = memchr(number, '.', len) ? AF_INET : AF_INET6;
	assert_int_equal(inet_pton(a->info.ai_family, text,
				   a->info.ai_family == AF_INET ? (void *)&four->sin_addr
								: (void *)&a->room.sin6_addr),
			 1);
	return &a->info;
}

static int answer(struct addrinfo **ret)
{
	const char *number;

	pthread_mutex_lock(&server.mutex);
	server.asked++;
	server.asker = pthread_self();
	pthread_cond_broadcast(&server.cond);
	while (server.hangs)
		pthread_cond_wait(&server.cond, &server.mutex);
	number = server.numbers;
	pthread_mutex_unlock(&server.mutex);
	for (*ret = NULL; number && *number; number += strcspn(number, " ") + 1) {
		struct addrinfo *a = make_address(number, strcspn(number, " "));

		a->ai_next = *ret;
		*ret = a;
	}
	return number ? 0 : EAI_NONAME;
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		struct addrinfo **ret)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (host && !strcmp(host, NAME))
		return answer(ret);
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(host, port, hints, ret);
}

/* --- a name server that answers as soon as somebody who stops has let go of the lock */

static _Thread_local bool stops;
static pthread_t detached;

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	static int (*real)(pthread_mutex_t *);
	bool now = stops;
	int r;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
	r = real(mutex);
	stops = false;
	if (now) {
		serve_names("10.0.0.2 ", false);
		clock_sleep_ms(200);
	}
	return r;
}

int pthread_detach(pthread_t thread)
{
	int (*real)(pthread_t);

	detached = thread;
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_detach");
	return pthread_equal(thread, server.asker) ? real(thread) : 0;
}

/* --- members and their list */

#define PERIOD_MS 100
#define SOON_MS 10000

struct listed {
	struct workdir dir;
	struct members *members;
	struct member_list *list;
	char path[128];
	struct buf why;
};

static int setup(void **state)
{
	const struct member_spec self = { "self:1", "", 1 };
	struct listed *l = calloc(1, sizeof(*l));

	if (!l || members_new(&self, &l->members) < 0)
		return -1;
	workdir_init(&l->dir);
	snprintf(l->path, sizeof(l->path), "%s/members", l->dir.path);
	serve_names(NULL, false);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct listed *l = *state;

	member_list_stop(l->list);
	members_free(l->members);
	workdir_fini(&l->dir);
	buf_free(&l->why);
	free(l);
	return 0;
}

static int start(struct listed *l, const char *spec)
{
	const struct member_list_conf conf = { .spec = spec,
					       .members = l->members,
					       .period_ms = PERIOD_MS,
					       .self = { "self:1", "", 1 } };

	return member_list_start(&conf, &l->list, &l->why);
}

/* The names of all, this node last, with a space behind each. */
static const char *names(struct listed *l)
{
	static char text[1024];
	const struct membership *ms = members_now(l->members);
	size_t len = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < ms->count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s ",
					member_address(ms->members[i]));
	membership_unref(ms);
	return text;
}

static void wait_for(struct listed *l, const char *wanted)
{
	int64_t until_ms = clock_ms() + SOON_MS;

	while (strcmp(names(l), wanted) != 0 && clock_ms() < until_ms)
		clock_sleep_ms(20);
	assert_string_equal(names(l), wanted);
}

/* As somebody does who writes in place. */
static void put(struct listed *l, const char *text)
{
	int fd = open(l->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(file_pwrite(fd, text, strlen(text), 0), 0);
	close(fd);
}

/* --- forms */

static void a_list_has_one_of_four_forms(void **state)
{
	static const char *const right[] = { "a:1", "a:1,b:2, [::1]:3 ,", "hub", "dns:nodes.x:1",
					     "file:members" };
	static const char *const wrong[] = {
		"",       ",",           "a",     "a:1,b", "dns:a",
		"dns::1", "dns:[::1]:1", "file:", "hub:a", "dns:a b:1"
	};
	struct listed *l = *state;

	for (size_t i = 0; i < ARRAY_LEN(right); i++)
		assert_int_equal(member_list_check(right[i], &l->why), 0);
	assert_int_equal(l->why.len, 0);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		buf_clear(&l->why);
		assert_int_equal(member_list_check(wrong[i], &l->why), ERR_CONF);
		assert_int_equal(l->why.data[l->why.len - 1], '.'); /* a sentence */
		assert_int_equal(start(l, wrong[i]), ERR_CONF);
		assert_null(l->list);
	}
}

static void members_that_are_told_are_there_at_once(void **state)
{
	struct listed *l = *state;

	assert_int_equal(start(l, "b:1, A:1,self:1,b:1"), 0);
	assert_string_equal(names(l), "a:1 b:1 self:1 ");
}

/* --- names */

static void a_name_stands_for_its_addresses(void **state)
{
	struct listed *l = *state;

	serve_names("10.0.0.2 10.0.0.1 10.0.0.2 ", false);
	assert_int_equal(start(l, "dns:" NAME_PORT), 0);
	assert_string_equal(names(l), "10.0.0.1:9980 10.0.0.2:9980 self:1 ");
	serve_names("10.0.0.3 ", false); /* it is asked again */
	wait_for(l, "10.0.0.3:9980 self:1 ");
}

static void a_node_with_two_kinds_of_addresses_is_there_once(void **state)
{
	struct listed *l = *state;

	serve_names("2001:db8::1 10.0.0.1 ", false);
	assert_int_equal(start(l, "dns:" NAME_PORT), 0);
	assert_string_equal(names(l), "10.0.0.1:9980 self:1 ");
}

static void a_node_with_the_other_kind_alone_is_there_too(void **state)
{
	struct listed *l = *state;

	serve_names("2001:db8::2 2001:db8:0::1 ", false);
	assert_int_equal(start(l, "dns:" NAME_PORT), 0);
	assert_string_equal(names(l), "[2001:db8::1]:9980 [2001:db8::2]:9980 self:1 ");
}

/* Until somebody asks who has not asked yet. */
static void wait_for_question(void)
{
	int64_t until_ms = clock_ms() + SOON_MS;
	unsigned now, before = 0;

	do {
		pthread_mutex_lock(&server.mutex);
		now = server.asked;
		pthread_mutex_unlock(&server.mutex);
		before = before ? before : now;
		clock_sleep_ms(5);
	} while (now == before && clock_ms() < until_ms);
	assert_true(now > before);
}

static void a_name_that_is_lost_leaves_the_list_as_it_was(void **state)
{
	struct listed *l = *state;

	serve_names("10.0.0.1 ", false);
	assert_int_equal(start(l, "dns:" NAME_PORT), 0);
	serve_names(NULL, false);
	wait_for_question();
	serve_names("", false); /* nor does one without addresses empty it */
	wait_for_question();
	wait_for_question(); /* the one before has been taken */
	assert_string_equal(names(l), "10.0.0.1:9980 self:1 ");
}

static void a_name_that_nobody_knows_is_no_reason_not_to_start(void **state)
{
	struct listed *l = *state;

	assert_int_equal(start(l, "dns:" NAME_PORT), 0);
	assert_string_equal(names(l), "self:1 ");
}

/* Nothing of the caller's is touched once it has stopped. */
static void a_name_server_that_hangs_does_not_hold_up_a_stop(void **state)
{
	struct listed *l = *state;
	int64_t begun_ms;

	serve_names("10.0.0.1 ", false);
	assert_int_equal(start(l, "dns:" NAME_PORT), 0);
	serve_names("10.0.0.2 ", true);
	wait_for_question();
	begun_ms = clock_ms();
	member_list_stop(steal(l->list));
	assert_true(clock_ms() - begun_ms < 1000);
	serve_names("10.0.0.2 ", false);
	clock_sleep_ms(100);
	assert_string_equal(names(l), "10.0.0.1:9980 self:1 ");
}

/* The look ends, and frees what is its own, while whoever stops it is still about to leave it. */
static void a_name_server_may_answer_while_it_is_left_to_itself(void **state)
{
	struct listed *l = *state;

	serve_names("10.0.0.1 ", false);
	assert_int_equal(start(l, "dns:" NAME_PORT), 0);
	serve_names("10.0.0.2 ", true);
	wait_for_question();
	mallopt(M_PERTURB, 0xa5); /* what is freed is nobody's any more */
	stops = true;
	member_list_stop(steal(l->list));
	mallopt(M_PERTURB, 0);
	assert_true(pthread_equal(detached, server.asker));
	assert_string_equal(names(l), "10.0.0.1:9980 self:1 ");
}

static void a_name_server_that_is_slow_is_waited_for(void **state)
{
	struct listed *l = *state;
	int64_t begun_ms = clock_ms();

	serve_names("10.0.0.1 ", true);
	assert_int_equal(start(l, "dns:" NAME_PORT), 0);
	assert_in_range(clock_ms() - begun_ms, MEMBER_LIST_FIRST_MS - 1,
			MEMBER_LIST_FIRST_MS + 2000);
	assert_string_equal(names(l), "self:1 ");
	serve_names("10.0.0.1 ", false);
	wait_for(l, "10.0.0.1:9980 self:1 ");
}

/* --- files: one look after another, so nobody waits */

static void a_file_is_read_when_it_has_changed_and_is_still(void **state)
{
	struct listed *l = *state;
	struct member_file f = { .path = l->path };
	struct member_look k = { 0 };

	put(l, "a:1\n");
	assert_int_equal(member_look_file(&f, &k), MEMBER_FOUND);
	assert_int_equal(k.count, 1);
	member_look_fini(&k);
	assert_int_equal(member_look_file(&f, &k), MEMBER_AS_IT_WAS);
	put(l, "a:1\nb:1\nc"); /* half of it */
	assert_int_equal(member_look_file(&f, &k), MEMBER_UNDER_WAY);
	put(l, "a:1\nb:1\nc:1\nd:1\n");
	assert_int_equal(member_look_file(&f, &k), MEMBER_UNDER_WAY);
	assert_null(k.list);
	assert_int_equal(member_look_file(&f, &k), MEMBER_FOUND);
	assert_int_equal(k.count, 4);
	member_look_fini(&k);
	assert_int_equal(member_look_file(&f, &k), MEMBER_AS_IT_WAS);
}

/* The twin: by its size and its time it is the one before. */
static void a_file_that_was_replaced_by_one_alike_is_read(void **state)
{
	struct listed *l = *state;
	struct member_file f = { .path = l->path };
	struct member_look k = { 0 };
	struct stat st;
	char other[160];

	put(l, "a:1\n");
	assert_int_equal(member_look_file(&f, &k), MEMBER_FOUND);
	member_look_fini(&k);
	assert_int_equal(stat(l->path, &st), 0);
	snprintf(other, sizeof(other), "%s.old", l->path);
	assert_int_equal(rename(l->path, other), 0);
	put(l, "b:1\n");
	assert_int_equal(
		utimensat(AT_FDCWD, l->path, (struct timespec[]){ st.st_atim, st.st_mtim }, 0), 0);
	assert_int_equal(member_look_file(&f, &k), MEMBER_UNDER_WAY);
	assert_int_equal(member_look_file(&f, &k), MEMBER_FOUND);
	assert_string_equal(k.list[0].address, "b:1");
	member_look_fini(&k);
}

static void a_file_without_sense_is_complained_of_once(void **state)
{
	struct listed *l = *state;
	struct member_file f = { .path = l->path };
	struct member_look k = { 0 };

	assert_int_equal(member_look_file(&f, &k), -ENOENT);
	assert_int_equal(mkdir(l->path, 0700), 0);
	assert_int_equal(member_look_file(&f, &k), -EINVAL);
	assert_int_equal(rmdir(l->path), 0);
	put(l, "a:1\nwhat is this\n");
	buf_clear(&k.why);
	assert_int_equal(member_look_file(&f, &k), ERR_CONF);
	assert_non_null(strstr(buf_str(&k.why), "members, line 2: \"what\" is no address"));
	assert_int_equal(member_look_file(&f, &k), MEMBER_AS_IT_WAS);
	put(l, "# nobody\n");
	assert_int_equal(member_look_file(&f, &k), MEMBER_UNDER_WAY);
	assert_int_equal(member_look_file(&f, &k), ERR_CONF); /* nor is it an empty cluster */
	member_look_fini(&k);
}

static void a_file_is_looked_at_again(void **state)
{
	struct listed *l = *state;
	char spec[160];

	snprintf(spec, sizeof(spec), "file:%s", l->path);
	put(l, "a:1 weight=3 zone=east\n");
	assert_int_equal(start(l, spec), 0);
	assert_string_equal(names(l), "a:1 self:1 ");
	put(l, "b:1\n");
	wait_for(l, "b:1 self:1 ");
	put(l, "");
	clock_sleep_ms(MEMBER_FILE_STILL_MS + 4 * PERIOD_MS);
	assert_string_equal(names(l), "b:1 self:1 ");
	assert_int_equal(unlink(l->path), 0);
	put(l, "c:1\n");
	wait_for(l, "c:1 self:1 ");
}

static void a_file_that_is_missing_may_come(void **state)
{
	struct listed *l = *state;
	char spec[160];
	int64_t begun_ms = clock_ms();

	snprintf(spec, sizeof(spec), "file:%s", l->path);
	assert_int_equal(start(l, spec), 0);
	assert_true(clock_ms() - begun_ms < 1000);
	assert_string_equal(names(l), "self:1 ");
	put(l, "a:1\n");
	wait_for(l, "a:1 self:1 ");
	begun_ms = clock_ms();
	member_list_stop(steal(l->list));
	assert_true(clock_ms() - begun_ms < 1000);
}

/* --- a hub that does not do its part; what one does, flow_peers_members.py tells */

#define KEY "0123456789abcdef0123456789abcdef\n"

struct hub {
	struct fake_origin *origin;
	struct httpc *http;
	struct cluster_key *key;
	struct member_checkin checkin;
};

static void begin_hub(struct listed *l, struct hub *h)
{
	const struct httpc_conf conf = { .user_agent = "test",
					 .connect_ms = 1000,
					 .stall_ms = 10000 };

	h->origin = fake_origin_start();
	assert_int_equal(httpc_new(&conf, &h->http), 0);
	put(l, KEY);
	assert_int_equal(chmod(l->path, 0600), 0);
	assert_int_equal(cluster_key_open(l->path, 0, &h->key, &l->why), 0);
	h->checkin = (struct member_checkin){ .http = h->http,
					      .key = h->key,
					      .hub_url = fake_origin_url(h->origin),
					      .self = { "self:1", "east", 3 } };
}

static void end_hub(struct hub *h)
{
	cluster_key_free(h->key);
	httpc_free(h->http);
	fake_origin_stop(h->origin);
}

static void check_in(struct hub *h, struct fake_answer a, int wanted, const char *why)
{
	struct member_look k = { 0 };

	fake_origin_clear(h->origin, MEMBER_CHECKIN_TARGET);
	fake_origin_add(h->origin, MEMBER_CHECKIN_TARGET, a);
	assert_int_equal(member_look_hub(&h->checkin, &k), wanted);
	assert_non_null(strstr(buf_str(&k.why), why));
	assert_null(k.list);
	member_look_fini(&k);
}

static void a_hub_that_has_not_our_key_is_not_believed(void **state)
{
	const char *forged = "Authentication-Info: MatrixFS key=00000000, node=\"hub\", time=1, "
			     "mac=00000000000000000000000000000000000000000000000000000000000000"
			     "00\r\n";
	struct hub h;

	begin_hub(*state, &h);
	check_in(&h, (struct fake_answer){ .status = 200, .body = "evil:1\n" }, ERR_CONF,
		 "another cluster key");
	assert_true(
		fake_origin_saw(h.origin, MEMBER_CHECKIN_TARGET, "Authorization: MatrixFS key="));
	check_in(&h, (struct fake_answer){ .status = 200, .headers = forged, .body = "evil:1\n" },
		 ERR_CONF, "another cluster key");
	check_in(&h, (struct fake_answer){ .status = 401 }, ERR_CONF, "another cluster key");
	check_in(&h, (struct fake_answer){ .status = 404 }, ERR_CONF, "--cluster-key-file");
	check_in(&h, (struct fake_answer){ .status = 503 }, ERR_PROTO, "with 503");
	check_in(&h, (struct fake_answer){ .status = 0 }, ERR_CUT, "cannot be asked");
	end_hub(&h);
}

static void a_hub_that_hangs_does_not_hold_up_a_stop(void **state)
{
	struct listed *l = *state;
	struct member_list_conf conf = { .spec = "hub", .members = l->members };
	struct hub h;
	int64_t begun_ms;

	begin_hub(l, &h);
	fake_origin_add(h.origin, MEMBER_CHECKIN_TARGET,
			(struct fake_answer){ .status = 200, .before_ms = 20000 });
	conf.self = h.checkin.self;
	conf.hub_url = h.checkin.hub_url;
	conf.http = h.http;
	conf.key = h.key;
	assert_int_equal(member_list_start(&conf, &l->list, &l->why), 0);
	begun_ms = clock_ms();
	member_list_stop(steal(l->list));
	assert_true(clock_ms() - begun_ms < 1000);
	assert_string_equal(names(l), "self:1 ");
	end_hub(&h);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_list_has_one_of_four_forms),
		STORY(members_that_are_told_are_there_at_once),
		STORY(a_name_stands_for_its_addresses),
		STORY(a_node_with_two_kinds_of_addresses_is_there_once),
		STORY(a_node_with_the_other_kind_alone_is_there_too),
		STORY(a_name_that_is_lost_leaves_the_list_as_it_was),
		STORY(a_name_that_nobody_knows_is_no_reason_not_to_start),
		STORY(a_name_server_that_hangs_does_not_hold_up_a_stop),
		STORY(a_name_server_may_answer_while_it_is_left_to_itself),
		STORY(a_name_server_that_is_slow_is_waited_for),
		STORY(a_file_is_read_when_it_has_changed_and_is_still),
		STORY(a_file_that_was_replaced_by_one_alike_is_read),
		STORY(a_file_without_sense_is_complained_of_once),
		STORY(a_file_is_looked_at_again),
		STORY(a_file_that_is_missing_may_come),
		STORY(a_hub_that_has_not_our_key_is_not_believed),
		STORY(a_hub_that_hangs_does_not_hold_up_a_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
