/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/doors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/listen.h"
#include "daemon/base/own.h"

#define FIRST 3 /* descriptor that is passed */

static char pid[16], fds[16], names[64];

static char *test_env(const char *name)
{
	if (!fds[0])
		return NULL;
	if (strcmp(name, "LISTEN_PID") == 0)
		return pid;
	if (strcmp(name, "LISTEN_FDS") == 0)
		return fds;
	return strcmp(name, "LISTEN_FDNAMES") == 0 ? names : NULL;
}

struct asked {
	struct hubconf conf;
	struct httpd_door doors[HTTPD_DOORS_MAX];
	unsigned count;
	struct buf why;
};

static int setup(void **state)
{
	struct asked *a = calloc(1, sizeof(*a));
	static char program[] = "matrixhubd", config[] = "--config=/dev/null",
		    listen[] = "--listen=127.0.0.1:0";
	char *argv[] = { program, config, listen };
	enum hubconf_action action;

	fds[0] = '\0';
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(hubconf_parse(ARRAY_LEN(argv), argv, &a->conf, &action, &a->why), 0);
	*state = a;
	return 0;
}

static int teardown(void **state)
{
	struct asked *a = *state;

	doors_close(a->doors, a->count);
	hubconf_fini(&a->conf);
	buf_free(&a->why);
	free(a);
	return 0;
}

/* Puts `count` listening sockets where a service manager does. */
static void pass(int count, const char *their_names)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	for (int fd = FIRST; fd < FIRST + count; fd++) {
		int one = listen_address("127.0.0.1:0", &why);

		assert_true(one >= 0);
		if (one != fd) {
			assert_int_equal(dup2(one, fd), fd);
			close(one);
		}
	}
	snprintf(fds, sizeof(fds), "%d", count);
	snprintf(names, sizeof(names), "%s", their_names);
}

static int open_them(struct asked *a)
{
	return doors_open(&a->conf, test_env, a->doors, &a->count, &a->why);
}

static void without_a_manager_the_parameter_says_where(void **state)
{
	struct asked *a = *state;
	CLEANUP(buf_free) struct buf where = { 0 };

	assert_int_equal(open_them(a), 0);
	assert_int_equal(a->count, 1);
	doors_tell(a->doors, a->count, &where);
	assert_int_equal(strncmp(buf_str(&where), "127.0.0.1:", 10), 0);
}

static void what_is_passed_takes_the_parameter_s_place(void **state)
{
	struct asked *a = *state;
	CLEANUP(buf_free) struct buf where = { 0 };

	pass(2, "matrixhubd.socket:http");
	assert_int_equal(open_them(a), 0);
	assert_int_equal(a->count, 2);
	assert_int_equal(a->doors[0].fd, FIRST);
	assert_int_equal(a->doors[1].fd, FIRST + 1);
	assert_false(a->doors[0].tls || a->doors[1].tls);
	doors_tell(a->doors, a->count, &where);
	assert_non_null(strstr(buf_str(&where), ",127.0.0.1:"));
}

static void with_a_certificate_only_one_named_http_is_plain(void **state)
{
	struct asked *a = *state;

	pass(3, "any:http:https");
	a->conf.tls_cert = strdup("cert.pem");
	assert_int_equal(open_them(a), 0);
	assert_true(a->doors[0].tls);
	assert_false(a->doors[1].tls);
	assert_true(a->doors[2].tls);
}

/* Its twin is the one above. */
static void one_named_https_wants_a_certificate(void **state)
{
	struct asked *a = *state;

	pass(1, "https");
	assert_int_equal(open_them(a), -EINVAL);
	assert_non_null(strstr(buf_str(&a->why), "tls-cert"));
}

static void what_does_not_listen_is_refused(void **state)
{
	struct asked *a = *state;

	pass(1, "any");
	assert_int_equal(dup2(STDERR_FILENO, FIRST), FIRST);
	assert_int_equal(open_them(a), -EINVAL);
	assert_non_null(strstr(buf_str(&a->why), "descriptor 3"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_manager_the_parameter_says_where),
		TEST(what_is_passed_takes_the_parameter_s_place),
		TEST(with_a_certificate_only_one_named_http_is_plain),
		TEST(one_named_https_wants_a_certificate),
		TEST(what_does_not_listen_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
