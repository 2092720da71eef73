/* SPDX-License-Identifier: Apache-2.0 */
/* Who may not unmount has it done. */
#include "fs/unmount.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/workdir.h"

#define NOBODY 65534
#define TOO_LONG_MS 20000

static void install(const struct workdir *d, const char *script)
{
	int fd = openat(d->dirfd, "fusermount3", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_true(dprintf(fd, "#!/bin/sh\n%s\n", script) > 0);
	assert_int_equal(fchmod(fd, 0755), 0);
	assert_int_equal(fchmod(d->dirfd, 0755), 0);
	close(fd);
}

/* What it says to somebody without rights; signals are blocked as a holder has them. */
static int as_nobody(const struct workdir *d)
{
	static const int known[] = { 0, -EPERM, ERR_TIMEOUT };
	char path[WORKDIR_PATH_MAX + 32];
	sigset_t all;
	int status, r;
	pid_t pid = fork();

	if (pid == 0) {
		snprintf(path, sizeof(path), "%s:/usr/bin:/bin", d->path);
		setenv("PATH", path, 1);
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		if (getuid() == 0 && setuid(NOBODY) < 0)
			_exit(99);
		r = unmount_detach("/");
		for (int i = 0; i < (int)ARRAY_LEN(known); i++)
			if (r == known[i])
				_exit(i);
		_exit(98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < (int)ARRAY_LEN(known));
	return known[WEXITSTATUS(status)];
}

static void who_does_it_is_believed(void **state)
{
	install(*state, "[ \"$*\" = '-u -z -q -- /' ]");
	assert_int_equal(as_nobody(*state), 0);
	install(*state, "exit 1");
	assert_int_equal(as_nobody(*state), -EPERM);
}

static void who_does_not_end_is_not_waited_for(void **state)
{
	int64_t began_ms = clock_ms();

	install(*state, "exec sleep 60");
	assert_int_equal(as_nobody(*state), ERR_TIMEOUT);
	assert_true(clock_ms() < began_ms + TOO_LONG_MS);
}

static void who_does_it_gets_its_signals(void **state)
{
	install(*state, "kill $$; exit 0");
	assert_int_equal(as_nobody(*state), -EPERM);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_does_it_is_believed, workdir_setup,
						workdir_teardown),
		cmocka_unit_test_setup_teardown(who_does_not_end_is_not_waited_for, workdir_setup,
						workdir_teardown),
		cmocka_unit_test_setup_teardown(who_does_it_gets_its_signals, workdir_setup,
						workdir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
