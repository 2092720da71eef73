/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/ctl/ctl_print.h"
#include "admin/hubconf.h"
#include "daemon/base/child.h"
#include "daemon/base/clock.h"
#include "daemon/base/why.h"

#define CHECK_MS 10000
#define KILL_MS 1000
#define WORDS_BYTES_MAX 65536

/* --- show */

static void add_line(const char *name, const struct jval *value, bool is_default, struct buf *ret)
{
	const char *text = jval_str(value);

	buf_printf(ret, "%s%s = ", is_default || !text ? "# " : "", name);
	ctl_print_text(text ? text : "", ret);
	buf_add_str(ret, "\n");
}

static void add_param(const struct jval *p, struct buf *ret)
{
	const struct jval *value = jval_get(p, "value");
	bool is_default = jval_bool(jval_get(p, "default")) == 1;
	const char *name = jval_get_str(p, "name");

	if (!jval_is_array(value) || !jval_count(value))
		add_line(name ? name : "?", value, is_default, ret);
	for (size_t i = 0; i < jval_count(value); i++)
		add_line(name ? name : "?", jval_at(value, i), is_default, ret);
}

int ctl_config_show(struct ctl *c)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_free) struct buf text = { 0 };
	const struct jval *list;
	int r = ctl_ask(c, "GET", "/config", NULL, &d);

	if (r < 0)
		return r;
	if (c->json)
		return ctl_show(c, "", jdoc_root(d));
	list = jval_get(jdoc_root(d), "parameters");
	for (size_t i = 0; i < jval_count(list); i++)
		add_param(jval_at(list, i), &text);
	return ctl_put(c, &text);
}

/* --- check */

/* The one beside us, else that of PATH. */
static void find_program(const char *name, struct buf *ret)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	if (strrchr(self, '/'))
		buf_printf(ret, "%.*s/%s", (int)(strrchr(self, '/') - self), self, name);
	if (!ret->len || access(buf_str(ret), X_OK) < 0) {
		buf_clear(ret);
		buf_add_str(ret, name);
	}
}

static int spawn(char *const argv[], int fd, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	int e = posix_spawn_file_actions_init(&actions);

	if (e)
		return -e;
	e = posix_spawn_file_actions_adddup2(&actions, fd, STDERR_FILENO);
	if (!e)
		e = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY,
						     0);
	if (!e)
		e = posix_spawnp(ret, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -e;
}

/* What it says until then; what is too much is left out. */
static void listen_to(int fd, int64_t until_ms, struct buf *ret)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char bytes[4096];
	ssize_t n = 1;

	while (n > 0) {
		int64_t left_ms = until_ms - clock_ms();

		if (left_ms <= 0 || poll(&p, 1, (int)left_ms) == 0)
			return;
		n = read(fd, bytes, sizeof(bytes));
		if (n > 0 && ret->len < WORDS_BYTES_MAX)
			buf_add(ret, bytes, (size_t)n);
	}
}

/* Its exit status, or ERR_TIMEOUT: one that does not end is killed. */
static int wait_for(pid_t pid, int64_t until_ms)
{
	int status, r = child_wait(pid, until_ms, &status);

	if (r == ERR_TIMEOUT)
		child_kill(pid, until_ms + KILL_MS);
	if (r < 0)
		return r;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* Runs a program that says on standard error what is wrong: its exit status, or negative. */
static int run_program(char *const argv[], struct buf *ret_said)
{
	CLEANUP(closep) int in = -1, out = -1;
	int64_t until_ms = clock_ms() + CHECK_MS;
	int fds[2], r;
	pid_t pid = 0;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	out = fds[1];
	r = spawn(argv, out, &pid);
	closep(&out);
	if (r < 0 || pid <= 0)
		return r < 0 ? r : -ECHILD;
	listen_to(in, until_ms, ret_said);
	return wait_for(pid, until_ms);
}

/* 0 if it is right, 1 with what it says if not. */
static int check_matrixfs(const char *file, struct buf *said, struct buf *why)
{
	CLEANUP(buf_free) struct buf program = { 0 }, config = { 0 };
	static const char name[] = "matrixfs: ";
	char check[] = "--check";
	char *argv[] = { NULL, check, NULL, NULL };
	int r;

	find_program("matrixfs", &program);
	if (file)
		buf_printf(&config, "--config=%s", file);
	if (program.failed || config.failed)
		return -ENOMEM;
	argv[0] = program.data;
	argv[2] = file ? config.data : NULL;
	r = run_program(argv, said);
	buf_trim_end(said);
	if (!strncmp(buf_str(said), name, strlen(name)))
		memmove(said->data, said->data + strlen(name), said->len - strlen(name) + 1);
	return r < 0 ? complain(why, "%s cannot be run: %s.", argv[0], err_text(r)) : r != 0;
}

static int check_matrixhubd(const char *file, struct buf *said)
{
	CLEANUP(hubconf_fini) struct hubconf conf = { 0 };
	CLEANUP(buf_free) struct buf config = { 0 }, token = { 0 };
	char program[] = "matrixhubd";
	char *argv[] = { program, NULL, NULL };
	enum hubconf_action action;
	int r = 0;

	if (file)
		r = buf_printf(&config, "--config=%s", file);
	argv[1] = file ? config.data : NULL;
	if (r == 0)
		r = hubconf_parse(file ? 2 : 1, argv, &conf, &action, said);
	if (r == 0)
		r = hubconf_token(&conf, &token, said);
	if (token.data)
		explicit_bzero(token.data, token.cap);
	return r == -ENOMEM ? r : r < 0;
}

static int put_json(struct ctl *c, const char *program, const char *file, bool right,
		    const char *said)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct jwrite w = { .to = &text };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "program", program);
	jwrite_text(&w, "file", file);
	jwrite_bool(&w, "right", right);
	jwrite_text(&w, "error", right ? NULL : said);
	jwrite_object_end(&w);
	buf_add_str(&text, "\n");
	return ctl_put(c, &text);
}

int ctl_config_check(struct ctl *c)
{
	const char *file = ctl_operand(c->line, "FILE");
	const char *program = ctl_option(c->line, "program");
	CLEANUP(buf_free) struct buf said = { 0 }, done = { 0 };
	bool hub = program && !strcmp(program, "matrixhubd");
	int wrong = hub ? check_matrixhubd(file, &said) : check_matrixfs(file, &said, &c->why);
	int r = 0;

	if (wrong < 0)
		return wrong;
	if (c->json)
		r = put_json(c, hub ? "matrixhubd" : "matrixfs", file, !wrong, buf_str(&said));
	if (r < 0 || wrong)
		return r < 0 ? r : complain_ended(&c->why, "%s", buf_str(&said));
	buf_add_str(&done, "The configuration is right.\n");
	return c->json ? 0 : ctl_put(c, &done);
}
