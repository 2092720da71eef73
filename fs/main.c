/* SPDX-License-Identifier: Apache-2.0 */
/* matrixfs: mounts the models of Hugging Face compatible hubs. From the command line to the process
 * that serves: in the foreground or the background, held or not. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/heap.h"
#include "daemon/base/log.h"
#include "fs/background.h"
#include "fs/holder.h"
#include "fs/program.h"
#include "fs/secret.h"

static int fail(struct buf *why, int status)
{
	secret_hide(why);
	fprintf(stderr, "matrixfs: %s\n", buf_str(why));
	return status;
}

/* With what is kept of a mount it is started again until it can go on: that it cannot do so now is
 * no reason to drop it. */
static int refuse(struct buf *why)
{
	return fail(why, takeover_is_passed(getenv) ? EXIT_RUN : EXIT_USAGE);
}

/* The daemon of this holder is ready. The next one is to find the same relative paths. */
static void on_held(void *arg)
{
	struct program *p = arg;

	if (p->told.options.background)
		background_leave_terminal(p->told.options.cache, true);
	background_tell(&p->ready_fd, 0);
}

/* The mount of the process before is not asked anything: nobody answers yet. */
static int find_mount(struct program *p, struct buf *why)
{
	int r = notify_open(&p->notify, getenv);

	if (r < 0)
		log_warn(r, "what NOTIFY_SOCKET says is no use");
	if (!p->told.options.mountpoint)
		return 0;
	takeover_begin(&p->takeover, &p->notify, p->told.options.mountpoint, getenv);
	if (p->takeover.fd < 0)
		return mount_find(p->told.options.mountpoint, &p->mountpoint, why);
	p->mountpoint = strdup(p->takeover.mountpoint);
	return p->mountpoint ? 0 : -ENOMEM;
}

static int prepare(struct program *p, struct buf *why)
{
	int r = 0;

	/* Of the program that this process was before a new configuration. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
	if (p->told.options.mountpoint && getenv("NOTIFY_SOCKET"))
		r = lookout_start(&p->lookout); /* it is to know nothing */
	if (r == 0)
		r = settings_find_tokens(&p->told, why);
	return r == 0 ? find_mount(p, why) : r;
}

static int fail_at_start(int r, struct buf *why)
{
	if (!why->len)
		buf_add_str(why, err_text(r));
	return r == ERR_CONF ? refuse(why) : fail(why, EXIT_RUN);
}

/* One that was replaced is where it belongs already. */
static int start_background(struct program *p, struct buf *why)
{
	if (!p->told.options.background || p->held || holder_resumes(getenv) ||
	    background_go(&p->ready_fd) == 0)
		return 0;
	buf_printf(why, "cannot go to the background: %s", strerror(errno));
	return -errno;
}

static bool wants_holder(const struct program *p)
{
	int holder = p->told.options.holder;

	if (p->held || !p->told.options.mountpoint || holder == OPTIONS_HOLDER_NO)
		return false;
	return holder == OPTIONS_HOLDER_YES || p->told.options.background;
}

static int hold(struct program *p)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct holder_conf conf = {
		.argv = p->argv,
		.mountpoint = p->told.options.mountpoint,
		.ready = on_held,
		.arg = p,
		.stop_ms = HOLDER_STOP_MS,
		.watch_ms = HOLDER_WATCH_MS,
		.start_ms = HOLDER_START_MS,
	};
	int status, r = start_background(p, &why);

	if (r < 0)
		return fail_at_start(r, &why);
	status = holder_run(&conf);
	background_tell(&p->ready_fd, (unsigned char)status);
	return status;
}

static int run(struct program *p)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int r;

	program_defer_signals(!p->told.options.mountpoint || takeover_is_passed(getenv));
	r = prepare(p, &why);

	if (r < 0)
		return fail_at_start(r, &why);
	if (file_raise_limit() < 0)
		log_debug("the limit of open files stays as it is");
	signal(SIGPIPE, SIG_IGN);
	heap_keep_little();
	r = start_background(p, &why);
	if (r < 0)
		return fail_at_start(r, &why);
	r = program_serve(p, &why);
	return why.len ? fail(&why, r) : r;
}

/* The same program, from its beginning, in the same process: to whoever started it nothing has
 * ended. Returns if that cannot be; then they start it. */
static void begin_again(struct program *p)
{
	int r = takeover_pass(&p->takeover);

	if (r == 0)
		execv("/proc/self/exe", p->argv);
	log_warn(r < 0 ? r : -errno, "cannot go on in this process");
	notify_stopping(&p->notify);
}

static int hold_or_run(struct program *p)
{
	int status;

	log_set_level(log_level_of(p->told.options.log_level));
	p->held = takeover_is_held(getenv);
	if (wants_holder(p))
		return hold(p);
	status = run(p);
	if (p->goes_on)
		begin_again(p);
	if (!p->left)
		takeover_end(&p->takeover);
	notify_close(&p->notify);
	return status;
}

/* All that can be known without doing anything. */
static int check_and_exit(struct program *p)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	if (settings_check(&p->told, &why) < 0)
		return fail(&why, EXIT_USAGE);
	puts("The configuration is right.");
	return 0;
}

int main(int argc, char *argv[])
{
	CLEANUP(buf_free) struct buf why = { 0 }, text = { 0 };
	static struct program p = { .ready_fd = -1,
				    .notify = { .fd = -1 },
				    .takeover = { .fd = -1 } };
	enum options_action action;
	int status = 0, r = options_parse(argc, argv, getenv, &p.told.options, &action, &why);

	prctl(PR_SET_NAME, program_invocation_short_name); /* also if it was begun again */
	p.argc = argc;
	p.argv = argv;
	if (r < 0)
		status = refuse(&why);
	else if (action == OPTIONS_CHECK)
		status = check_and_exit(&p);
	else if (action != OPTIONS_RUN)
		options_text(action, &text);
	else
		status = hold_or_run(&p);
	fputs(buf_str(&text), stdout);
	if (p.left)
		_exit(status); /* exit handlers of libraries would free what it uses, too */
	settings_fini(&p.told);
	free(p.mountpoint);
	return status;
}
