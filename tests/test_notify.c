/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "tests/workdir.h"

/* --- an environment of the test's own */

struct setting {
	const char *name;
	char value[128];
};

static struct setting settings[8];

static char *test_env(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (settings[i].name && strcmp(settings[i].name, name) == 0)
			return settings[i].value;
	return NULL;
}

PRINTF(2, 3) static void set(const char *name, const char *fmt, ...)
{
	struct setting *s = settings;
	va_list ap;

	while (s->name && strcmp(s->name, name) != 0)
		s++;
	assert_true(s < settings + ARRAY_LEN(settings));
	s->name = name;
	va_start(ap, fmt);
	vsnprintf(s->value, sizeof(s->value), fmt, ap);
	va_end(ap);
}

/* --- a manager */

struct manager {
	struct workdir dir;
	struct notify notify;
	int fd;
	char heard[512];
	int got[4]; /* descriptors that came with it */
	int got_count;
};

static void listen_at(struct manager *m, const struct sockaddr_un *at, size_t len)
{
	const struct timeval patience = { .tv_sec = 5 };

	m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(m->fd, (const struct sockaddr *)at, (socklen_t)len), 0);
	setsockopt(m->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static void listen_on_path(struct manager *m)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/notify", m->dir.path);
	listen_at(m, &at, sizeof(at));
	set("NOTIFY_SOCKET", "%s", at.sun_path);
}

static int setup(void **state)
{
	struct manager *m = calloc(1, sizeof(*m));

	memset(settings, 0, sizeof(settings));
	workdir_init(&m->dir);
	listen_on_path(m);
	assert_int_equal(notify_open(&m->notify, test_env), 0);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct manager *m = *state;

	notify_close(&m->notify);
	closep(&m->fd);
	for (int i = 0; i < m->got_count; i++)
		close(m->got[i]);
	workdir_fini(&m->dir);
	free(m);
	return 0;
}

static const char *hear(struct manager *m)
{
	char beside[CMSG_SPACE(sizeof(m->got))];
	struct iovec part = { m->heard, sizeof(m->heard) - 1 };
	struct msghdr msg = { .msg_iov = &part,
			      .msg_iovlen = 1,
			      .msg_control = beside,
			      .msg_controllen = sizeof(beside) };
	ssize_t n = recvmsg(m->fd, &msg, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *head = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);

	assert_true(n >= 0);
	m->heard[n > 0 ? n : 0] = '\0';
	if (head && head->cmsg_type == SCM_RIGHTS) {
		m->got_count = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(m->got, CMSG_DATA(head), (size_t)m->got_count * sizeof(int));
	}
	return m->heard;
}

static bool is_silent(const struct manager *m)
{
	char byte;

	return recv(m->fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* --- stories */

static void each_word_is_one_message(void **state)
{
	struct manager *m = *state;

	assert_true(notify_heard(&m->notify));
	assert_int_equal(notify_status(&m->notify, "3 hubs, 2 of 3 reachable\nREADY=1"), 0);
	assert_string_equal(hear(m), "STATUS=3 hubs, 2 of 3 reachable");
	assert_int_equal(notify_ready(&m->notify), 0);
	assert_string_equal(hear(m), "READY=1");
	assert_int_equal(notify_alive(&m->notify), 0);
	assert_string_equal(hear(m), "WATCHDOG=1");
	assert_int_equal(notify_main_pid(&m->notify, 4711), 0);
	assert_string_equal(hear(m), "MAINPID=4711");
	assert_int_equal(notify_stopping(&m->notify), 0);
	assert_string_equal(hear(m), "STOPPING=1");
	assert_true(is_silent(m));
}

static void a_reload_says_since_when(void **state)
{
	struct manager *m = *state;
	int64_t before = clock_us();
	long long since = 0;

	assert_int_equal(notify_reloading(&m->notify), 0);
	assert_int_equal(sscanf(hear(m), "RELOADING=1\nMONOTONIC_USEC=%lld", &since), 1);
	assert_true(since >= before && since <= clock_us());
}

static void without_a_manager_nothing_is_said_and_all_is_well(void **state)
{
	struct manager *m = *state;
	struct notify n;

	set("NOTIFY_SOCKET", "%s", "");
	assert_int_equal(notify_open(&n, test_env), 0);
	assert_false(notify_heard(&n));
	assert_int_equal(notify_ready(&n), 0);
	notify_close(&n);
	assert_true(is_silent(m));
}

static void an_abstract_name_is_heard_too(void **state)
{
	struct manager *m = *state;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct notify n;
	int len = snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "mfs-%d", (int)getpid());

	close(m->fd);
	listen_at(m, &at, offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
	set("NOTIFY_SOCKET", "@%s", at.sun_path + 1);
	assert_int_equal(notify_open(&n, test_env), 0);
	assert_int_equal(notify_ready(&n), 0);
	assert_string_equal(hear(m), "READY=1");
	notify_close(&n);
}

static void what_is_no_address_is_refused_and_says_nothing(void **state)
{
	static const char *const bad[] = { "relative", "vsock:2:1234", "/", "@" };
	struct manager *m = *state;
	struct notify n;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		set("NOTIFY_SOCKET", "%s", bad[i]);
		assert_int_equal(notify_open(&n, test_env), -EINVAL);
		assert_int_equal(notify_ready(&n), 0);
	}
	set("NOTIFY_SOCKET", "/%0120d", 0);
	assert_int_equal(notify_open(&n, test_env), -ENAMETOOLONG);
	assert_true(is_silent(m));
}

static void a_manager_that_went_is_an_error_and_one_that_came_back_is_heard(void **state)
{
	struct manager *m = *state;

	close(m->fd);
	assert_int_equal(notify_alive(&m->notify), -ECONNREFUSED);
	unlink(test_env("NOTIFY_SOCKET"));
	assert_int_equal(notify_alive(&m->notify), -ENOENT);
	listen_on_path(m);
	assert_int_equal(notify_alive(&m->notify), 0);
	assert_string_equal(hear(m), "WATCHDOG=1");
}

static void a_manager_that_does_not_read_delays_it_by_a_second(void **state)
{
	struct manager *m = *state;
	int64_t start = clock_ms();
	int r = 0;

	for (int i = 0; r == 0 && i < 100000; i++)
		r = notify_alive(&m->notify);
	assert_int_equal(r, -EAGAIN);
	assert_true(clock_ms() - start < 5000);
}

static bool is_same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

static void descriptors_are_kept_under_a_name(void **state)
{
	struct manager *m = *state;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(notify_keep_fds(&m->notify, "fuse", fds, 2, false), 0);
	assert_string_equal(hear(m), "FDSTORE=1\nFDNAME=fuse\nFDPOLL=0");
	assert_int_equal(m->got_count, 2);
	assert_true(is_same_file(fds[0], m->got[0]));
	assert_true(is_same_file(fds[1], m->got[1]));
	assert_int_equal(notify_keep_fds(&m->notify, "state", fds, 1, true), 0);
	close(m->got[0]);
	close(m->got[1]);
	assert_string_equal(hear(m), "FDSTORE=1\nFDNAME=state");
	assert_int_equal(m->got_count, 1);
	assert_int_equal(notify_drop_fds(&m->notify, "fuse"), 0);
	assert_string_equal(hear(m), "FDSTOREREMOVE=1\nFDNAME=fuse");
	close(fds[0]);
	close(fds[1]);
}

/* A name with a line of its own would say another thing. */
static void a_name_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = { "", "a:b", "a\nREADY=1" };
	struct manager *m = *state;
	int fd = m->fd;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(notify_keep_fds(&m->notify, bad[i], &fd, 1, true), -EINVAL);
		assert_int_equal(notify_drop_fds(&m->notify, bad[i]), -EINVAL);
	}
	assert_int_equal(notify_keep_fds(&m->notify, "a", &fd, 0, true), -EINVAL);
	assert_int_equal(notify_keep_fds(&m->notify, "a", &fd, NOTIFY_FDS_MAX + 1, true), -EINVAL);
	assert_true(is_silent(m));
}

static void the_watchdog_is_for_who_it_names(UNUSED void **state)
{
	assert_int_equal(notify_watchdog_ms(test_env), 0);
	set("WATCHDOG_USEC", "30000000");
	assert_int_equal(notify_watchdog_ms(test_env), 30000);
	set("WATCHDOG_PID", "%d", (int)getpid());
	assert_int_equal(notify_watchdog_ms(test_env), 30000);
	set("WATCHDOG_PID", "%d", (int)getppid());
	assert_int_equal(notify_watchdog_ms(test_env), 0);
	set("WATCHDOG_PID", "%d", (int)getpid());
	set("WATCHDOG_USEC", "soon");
	assert_int_equal(notify_watchdog_ms(test_env), 0);
}

/* Only numbers are compared, so these need not be open but for the mark they get. */
static void passed_descriptors_are_found_by_name(UNUSED void **state)
{
	for (int fd = 3; fd < 6; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			assert_int_equal(dup2(STDERR_FILENO, fd), fd);
	set("LISTEN_PID", "%d", (int)getpid());
	set("LISTEN_FDS", "3");
	set("LISTEN_FDNAMES", "http:fuse:http");
	assert_int_equal(notify_passed(test_env, "http", 0), 3);
	assert_int_equal(notify_passed(test_env, "http", 1), 5);
	assert_int_equal(notify_passed(test_env, "http", 2), -ENOENT);
	assert_int_equal(notify_passed(test_env, "fuse", 0), 4);
	assert_int_equal(fcntl(4, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(notify_passed(test_env, "fus", 0), -ENOENT);
	assert_int_equal(notify_passed(test_env, NULL, 2), 5);
	assert_int_equal(notify_passed(test_env, NULL, 3), -ENOENT);
	set("LISTEN_PID", "%d", (int)getppid());
	assert_int_equal(notify_passed(test_env, "fuse", 0), -ENOENT);
}

/* What is started without a manager has neither number. */
static void nothing_is_passed_without_a_manager(UNUSED void **state)
{
	assert_int_equal(notify_passed(test_env, NULL, 0), -ENOENT);
	set("LISTEN_PID", "%d", (int)getpid());
	set("LISTEN_FDS", "many");
	assert_int_equal(notify_passed(test_env, NULL, 0), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_word_is_one_message),
		TEST(a_reload_says_since_when),
		TEST(without_a_manager_nothing_is_said_and_all_is_well),
		TEST(an_abstract_name_is_heard_too),
		TEST(what_is_no_address_is_refused_and_says_nothing),
		TEST(a_manager_that_went_is_an_error_and_one_that_came_back_is_heard),
		TEST(a_manager_that_does_not_read_delays_it_by_a_second),
		TEST(descriptors_are_kept_under_a_name),
		TEST(a_name_that_is_none_is_refused),
		TEST(the_watchdog_is_for_who_it_names),
		TEST(passed_descriptors_are_found_by_name),
		TEST(nothing_is_passed_without_a_manager),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
