/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/listen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/workdir.h"

static int listen_here(const struct workdir *d)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	return listen_path(d->path, "control", &why);
}

static bool answers(const struct workdir *d)
{
	CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/control", d->path);
	return connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}

static void the_socket_is_for_this_user_alone(void **state)
{
	const struct workdir *d = *state;
	mode_t old = umask(0);
	int fd = listen_here(d);
	struct stat st;

	umask(old);
	assert_true(fd >= 0);
	assert_int_equal(fstatat(d->dirfd, "control", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(answers(d));
	close(fd);
}

static void a_dead_socket_is_replaced_a_live_one_is_not(void **state)
{
	const struct workdir *d = *state;
	int fd = listen_here(d), second;

	assert_true(fd >= 0);
	assert_int_equal(listen_here(d), -EADDRINUSE);
	assert_true(answers(d));
	close(fd);
	assert_false(answers(d));
	second = listen_here(d);
	assert_true(second >= 0);
	assert_true(answers(d));
	close(second);
}

static void what_is_no_socket_stays(void **state)
{
	const struct workdir *d = *state;
	CLEANUP(buf_free) struct buf why = { 0 };

	close(openat(d->dirfd, "control", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(listen_path(d->path, "control", &why), -EADDRINUSE);
	assert_non_null(strstr(buf_str(&why), "/control: there is something that is no socket"));
	listen_unlink(d->path, "control");
	assert_int_equal(faccessat(d->dirfd, "control", F_OK, 0), 0);
}

static void only_a_dead_socket_is_taken_away(void **state)
{
	const struct workdir *d = *state;
	int fd = listen_here(d);

	listen_unlink(d->path, "control");
	assert_true(answers(d));
	close(fd);
	listen_unlink(d->path, "control");
	assert_int_equal(faccessat(d->dirfd, "control", F_OK, 0), -1);
}

static void a_long_path_is_no_obstacle(void **state)
{
	const struct workdir *d = *state;
	CLEANUP(buf_free) struct buf dir = { 0 }, why = { 0 };
	int fd;

	buf_printf(&dir, "%s/", d->path);
	for (int i = 0; i < 200; i++)
		buf_add_str(&dir, "x");
	assert_int_equal(mkdir(buf_str(&dir), 0700), 0);
	fd = listen_path(buf_str(&dir), "control", &why);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(listen_path("/nonexistent", "control", &why), -ENOENT);
	assert_non_null(strstr(buf_str(&why), "cannot listen on /nonexistent/control: No such"));
}

static void an_address_is_listened_on_and_port_0_is_any(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 }, again = { 0 };
	struct sockaddr_in at = { 0 };
	socklen_t len = sizeof(at);
	int fd = listen_address("127.0.0.1:0", &why);

	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(at.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_true(at.sin_port);
	buf_printf(&again, "127.0.0.1:%d", ntohs(at.sin_port));
	assert_int_equal(listen_address(buf_str(&again), &why), -EADDRINUSE);
	assert_non_null(strstr(buf_str(&why), buf_str(&again)));
	close(fd);
	fd = listen_address(":0", &why);
	assert_true(fd >= 0);
	close(fd);
}

static int connect_to(int family, uint16_t port)
{
	struct sockaddr_in old = { .sin_family = AF_INET,
				   .sin_port = port,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6,
				    .sin6_port = port,
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const struct sockaddr *at = family == AF_INET ? (void *)&old : (void *)&six;
	CLEANUP(closep) int fd = socket(family, SOCK_STREAM, 0);

	if (fd >= 0 && connect(fd, at, family == AF_INET ? sizeof(old) : sizeof(six)) == 0)
		return 0;
	/* There are machines without IPv6. */
	return errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL ? 0 : -errno;
}

/* Its twin names one kind. */
static void a_port_alone_is_listened_on_by_both_kinds_of_address(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct sockaddr_in6 at = { 0 };
	socklen_t len = sizeof(at);
	int fd = listen_address(":0", &why);

	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect_to(AF_INET, at.sin6_port), 0);
	assert_int_equal(connect_to(AF_INET6, at.sin6_port), 0);
	close(fd);
	fd = listen_address("0.0.0.0:0", &why);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect_to(AF_INET, at.sin6_port), 0);
	assert_true(at.sin6_family == AF_INET);
	close(fd);
}

static void what_is_no_address_is_refused_with_an_example(UNUSED void **state)
{
	static const char *const bad[] = {
		"",         "9400",           "127.0.0.1",         "127.0.0.1:",
		"::1:9400", "127.0.0.1:http", "127.0.0.1:99999999"
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(buf_free) struct buf why = { 0 };

		if (listen_address(bad[i], &why) != -EINVAL)
			fail_msg("%s", bad[i]);
		assert_non_null(strstr(buf_str(&why), "127.0.0.1:9400"));
		assert_false(listen_is_address(bad[i]));
	}
}

static void a_name_nobody_knows_is_an_address_all_the_same(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_true(listen_is_address("no such:1"));
	assert_true(listen_is_address("[::1]:9400"));
	assert_true(listen_is_address(":9400"));
	assert_int_equal(listen_address("no such:1", &why), -EINVAL);
	assert_non_null(strstr(buf_str(&why), "nobody knows the name no such"));
}

static void a_socket_of_somebody_else_is_adopted_if_it_listens(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 }, where = { 0 }, again = { 0 };
	CLEANUP(closep) int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CLEANUP(closep) int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CLEANUP(closep) int fd = listen_address("127.0.0.1:0", &why);

	fcntl(fd, F_SETFL, 0);
	assert_int_equal(listen_adopt(fd), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	listen_tell(fd, &where);
	assert_true(listen_is_address(buf_str(&where)));
	assert_int_equal(listen_address(buf_str(&where), &again), -EADDRINUSE);
	assert_int_equal(listen_adopt(datagrams), -EINVAL);
	assert_int_equal(listen_adopt(silent), -EINVAL);
	assert_int_equal(listen_adopt(STDIN_FILENO), -ENOTSOCK);
	assert_int_equal(listen_adopt(-1), -EBADF);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, workdir_setup, workdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_socket_is_for_this_user_alone),
		TEST(a_dead_socket_is_replaced_a_live_one_is_not),
		TEST(what_is_no_socket_stays),
		TEST(only_a_dead_socket_is_taken_away),
		TEST(a_long_path_is_no_obstacle),
		cmocka_unit_test(an_address_is_listened_on_and_port_0_is_any),
		cmocka_unit_test(a_port_alone_is_listened_on_by_both_kinds_of_address),
		cmocka_unit_test(a_name_nobody_knows_is_an_address_all_the_same),
		cmocka_unit_test(what_is_no_address_is_refused_with_an_example),
		TEST(a_socket_of_somebody_else_is_adopted_if_it_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
