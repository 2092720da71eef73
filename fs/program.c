/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/program.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/workers.h"
#include "daemon/standing.h"
#include "fs/background.h"
#include "fs/holder.h"
#include "fs/insight.h"
#include "fs/orphans.h"

#define SCRATCH_NODES_MAX 100000
#define JOBS_AT_ONCE 4
#define LOOKOUT_MS 10000   /* for one look through the mount */
#define FORGETTING_MS 5000 /* at a stop, for what the kernel is told */

/* ---- ready ---- */

static void on_ready(void *arg)
{
	struct program *p = arg;

	if (p->told.options.background)
		background_leave_terminal(p->told.options.cache, false);
	pulse_ready(p->pulse);
	if (p->mountpoint)
		log_info("%s mountpoint=%s hub=%s cache=%s passthrough=%s "
			 "version=" MATRIXFS_VERSION,
			 p->takeover.fd >= 0 ? "took over" : "mounted", p->mountpoint,
			 p->told.hubs[0].url, p->told.options.cache,
			 p->ops.passthrough ? "yes" : "no");
	else
		log_info("not mounted, exported alone hub=%s cache=%s version=" MATRIXFS_VERSION,
			 p->told.hubs[0].url, p->told.options.cache);
	ops_forget_left(&p->ops);
	background_tell(&p->ready_fd, 0);
}

/* What a client of NFS is told to be written is written for the next process, too. */
static void on_leaving(void *arg)
{
	struct program *p = arg;

	nfs_stop(p->nfs);
}

/* ---- the service manager ---- */

/* The way there is another one now, or not for us: that says nothing of who answers. */
static bool is_led_astray(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -EACCES || r == -ELOOP;
}

static int check_mount(void *arg)
{
	struct program *p = arg;
	int r = p->lookout ? lookout_ask(p->lookout, p->mountpoint, clock_ms() + LOOKOUT_MS)
			   : ERR_STOPPING;

	if (is_led_astray(r))
		return node_probe(p->ops.view.node);
	if (p->closing)
		return 0;
	if (r != ERR_STOPPING)
		return r;
	if (p->lookout && !p->blind)
		log_warn(0, "the process that looks through the mount is gone: that goes unseen");
	p->blind = true;
	return node_probe(p->ops.view.node);
}

static void tell_standing(void *arg, struct buf *ret)
{
	const struct program *p = arg;

	standing_tell(p->ops.view.node, "hub", ret);
	if (p->mountpoint)
		buf_printf(ret, ", mounted on %s", p->mountpoint);
	if (p->told.options.nfs)
		buf_printf(ret, ", exported on %s", p->told.options.nfs);
}

static int open_pulse(struct program *p, struct buf *why)
{
	const struct pulse_conf conf = { getenv, check_mount, tell_standing, p,
					 p->takeover.fd >= 0 ? HOLDER_START_MS : 0 };
	int r = pulse_start(&conf, &p->pulse);

	if (r < 0)
		buf_printf(why, "cannot speak to the service manager: %s", err_text(r));
	return r;
}

/* ---- a new configuration ---- */

static void on_right(void *arg)
{
	struct program *p = arg;

	if (p->takeover.held)
		mount_go_on();
	else
		log_warn(
			0,
			"the configuration is right, but nobody holds the mount: what is new in it "
			"needs a restart");
}

static int open_reload(struct program *p, struct buf *why UNUSED)
{
	const struct reload_conf conf = { p->argc, p->argv, &p->told, on_right, p };

	return reload_start(&conf, &p->reload);
}

/* ---- putting it together ---- */

static void on_forget(void *arg, const char *etag)
{
	ops_forget_pages(arg, etag);
}

static int open_node(struct program *p, struct buf *why)
{
	CLEANUP(buf_free) struct buf owner = { 0 };
	const struct options *o = &p->told.options;
	struct node_conf conf = {
		.cache_dir = o->cache,
		.hubs = p->told.hubs,
		.hub_count = p->told.hub_count,
		.offline = o->offline,
		.strict = o->verify == OPTIONS_VERIFY_STRICT,
		.peers = &o->peer,
		.hub_xet = o->hub_xet,
		.prefetch = o->prefetch,
		.cache = { o->cache_size, o->cache_min_free },
		.memory_bytes = o->memory,
		.ref_ttl_ms = o->ref_ttl * 1000,
		.timeout_ms = o->timeout * 1000,
		.on_forget = on_forget,
		.arg = &p->ops,
	};
	int r;

	buf_printf(&owner, "matrixfs (pid %d) %s %s", (int)getpid(),
		   p->mountpoint ? "mounted on" : "exporting on",
		   p->mountpoint ? p->mountpoint : o->nfs);
	conf.owner = buf_str(&owner);
	r = node_open(&conf, &p->ops.view.node, why);
	settings_forget_tokens(&p->told);
	return r;
}

static int open_keeper(struct program *p, struct buf *why UNUSED)
{
	struct keeper_conf conf = {
		.node = p->ops.view.node,
		.threads = JOBS_AT_ONCE,
	};

	int r = keeper_start(&conf, &p->keeper);

	return r < 0 ? r : warmups_new(p->ops.view.node, p->keeper, &p->warmups);
}

static int start_watching(struct program *p, struct buf *why UNUSED)
{
	p->ops.metrics = node_metrics(p->ops.view.node);
	return underway_start(&p->ops.underway, p->told.options.slow_op * 1000, p->ops.metrics);
}

/* Before the control socket, which tells of them. */
static int open_nfs_clients(struct program *p, struct buf *why)
{
	struct view theirs = p->ops.view;
	int r = 0;

	if (!p->told.options.nfs)
		return 0;
	theirs.hub_alone = !p->told.options.nfs_beside_hub;
	r = scope_rules_new(&p->told.options.nfs_export, &p->nfs_rules, why);
	return r < 0 ? r : nfs_clients_new(p->nfs_rules, &theirs, p->ops.metrics, &p->nfs_clients);
}

static void tell_held(void *arg, struct control_held *ret)
{
	const struct takeover *t = arg;

	ret->takeovers = t->generation;
	if (!t->held)
		return;
	ret->holder_pid = takeover_holder(getenv);
	ret->by = ret->holder_pid ? "holder" : "systemd";
}

static int open_control(struct program *p, struct buf *why)
{
	const struct options *o = &p->told.options;
	const struct control_conf conf = {
		.node = p->ops.view.node,
		.keeper = p->keeper,
		.warmups = p->warmups,
		.face = &p->face,
		.parameters = &options_table,
		.values = o,
		.cache_dir = o->cache,
		.listen = o->control_listen,
		.timeout_ms = o->timeout * 1000,
		.offline = o->offline,
		.strict = o->verify == OPTIONS_VERIFY_STRICT,
	};

	insight_face(&p->ops, p->mountpoint, p->nfs_clients, &p->face);
	p->face.held = tell_held;
	p->face.holding = &p->takeover;
	return control_start(&conf, &p->control, why);
}

static int open_tree(struct program *p, struct buf *why UNUSED)
{
	struct scratch_conf scratch = {
		.max_bytes = p->told.options.scratch_size,
		.max_nodes = SCRATCH_NODES_MAX,
		.uid = getuid(),
		.gid = getgid(),
	};
	struct view *v = &p->ops.view;
	int r = scratch_new(&scratch, &v->scratch);

	v->strict_ro = p->told.options.strict_ro;
	v->uid = getuid();
	v->gid = getgid();
	v->since_s = clock_wall_s();
	p->ops.passthrough = p->told.options.passthrough;
	p->ops.passthrough_why_not = "not mounted yet";
	p->ops.timeout_ms = p->told.options.timeout * 1000;
	if (r == 0)
		r = inodes_new(view_root(), &p->ops.inodes);
	if (r == 0)
		r = scratch_inherit(v->scratch, p->takeover.estate);
	return r < 0 ? r : ops_start_forgetting(&p->ops);
}

static int open_mount(struct program *p, struct buf *why)
{
	struct mount_conf conf = {
		.asked = p->told.options.mountpoint,
		.mountpoint = p->mountpoint,
		.takeover = &p->takeover,
		.options = p->told.options.fuse_options,
		.allow_other = p->told.options.allow_other,
		.read_only = p->told.options.strict_ro,
		.ops = &p->ops,
		.ready = on_ready,
		.leaving = on_leaving,
		.arg = p,
	};

	return mount_open(&conf, &p->mount, why);
}

static int open_nfs(struct program *p, struct buf *why)
{
	const struct options *o = &p->told.options;
	const struct nfs_conf conf = {
		.listen = o->nfs,
		.allow = o->nfs_allow.items,
		.allow_count = o->nfs_allow.count,
		.rules = p->nfs_rules,
		.clients = p->nfs_clients,
		.portmap = o->nfs_portmap,
		.key_file = o->nfs_key_file,
		.cache_dir = o->cache,
		.view = &p->ops.view,
		.underway = &p->ops.underway,
		.metrics = p->ops.metrics,
		.timeout_ms = p->ops.timeout_ms,
	};

	return o->nfs ? nfs_start(&conf, &p->nfs, why) : 0;
}

static void go_on_no_more(struct program *p)
{
	if (p->goes_on)
		notify_stopping(&p->notify);
	p->goes_on = false;
}

static void leave(struct program *p)
{
	p->left = true;
	go_on_no_more(p);
	log_err(ERR_TIMEOUT, "something has not ended: it ends with the process");
}

/* Parked requests are answered before the session goes, the session before what it uses. */
static void close_all(struct program *p)
{
	bool over = true;

	if (p->goes_on)
		pulse_reloading(p->pulse);
	else
		pulse_stopping(p->pulse);
	p->closing = true;
	lookout_stop(p->lookout);
	nfs_stop(p->nfs);
	keeper_stop(p->keeper);
	if (p->ops.view.node)
		over = node_stop(p->ops.view.node);
	over = control_stop(p->control) && over;
	over = workers_stop(p->ops.forgetting, clock_ms() + FORGETTING_MS) && over;
	over = reload_stop(p->reload, clock_ms() + FORGETTING_MS) && over;
	if (!over) {
		leave(p);
		mount_leave(p->mount);
		return;
	}
	mount_close(p->mount);
	over = pulse_free(p->pulse, clock_ms() + FORGETTING_MS);
	over = nfs_free(p->nfs) && over;
	if (!over) {
		leave(p);
		return;
	}
	nfs_clients_free(p->nfs_clients);
	scope_rules_free(p->nfs_rules);
	underway_stop(&p->ops.underway);
	op_close_files(&p->ops);
	openfiles_fini(&p->ops.files);
	lookout_free(p->lookout);
	inodes_free(p->ops.inodes);
	free(p->ops.left_blobs);
	if (p->ops.view.scratch)
		scratch_free(p->ops.view.scratch);
	warmups_free(p->warmups);
	keeper_free(p->keeper);
	if (p->ops.view.node)
		node_close(p->ops.view.node);
}

static void stop_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGUSR2); /* there is nothing to hand over */
}

void program_defer_signals(bool all)
{
	sigset_t set;

	stop_signals(&set);
	if (!all) {
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
	}
	sigaddset(&set, SIGHUP); /* for good: reload.h */
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* There is a mount that it does not serve yet, or no more, and it is told to end for good: nobody
 * else would take that away. */
static bool told_to_end(const struct program *p)
{
	sigset_t set;

	if (p->takeover.fd < 0)
		return false;
	return mount_told_to_end() || (sigpending(&set) == 0 && (sigismember(&set, SIGTERM) == 1 ||
								 sigismember(&set, SIGINT) == 1));
}

static int serve_export(struct program *p)
{
	sigset_t set;
	int sig;

	stop_signals(&set);
	on_ready(p);
	return -sigwait(&set, &sig);
}

static int serve_mount(struct program *p, struct buf *why)
{
	int r = open_mount(p, why);

	if (r == 0)
		r = mount_serve(p->mount);
	p->goes_on = r == MOUNT_GOES_ON;
	if (p->goes_on)
		log_info("going on with the configuration as it is now mountpoint=%s",
			 p->mountpoint);
	else if (r > 0)
		log_info("handing over mountpoint=%s", p->mountpoint);
	else if (p->mount)
		log_info("unmounting mountpoint=%s", p->mountpoint);
	return r;
}

/* It was not served: the next one takes over what this one found, whatever ends here. */
static bool leave_as_found(struct program *p)
{
	return p->mount || p->takeover.fd < 0 || estate_leave(p->takeover.estate) == 0;
}

static int inherit(struct program *p, struct buf *why UNUSED)
{
	const struct takeover *t = &p->takeover;
	int r = ops_inherit(&p->ops, t->estate, t->generation, t->fd);

	return r < 0 ? r : orphans_sweep(t->estate);
}

/* Each may use what those before it opened: the tree is told by the node what to forget; the
 * control socket tells of who comes by NFS. */
static int (*const steps[])(struct program *p, struct buf *why) = {
	open_pulse,     open_tree,        open_node,    inherit,  open_keeper,
	start_watching, open_nfs_clients, open_control, open_nfs, open_reload,
};

static int open_all(struct program *p, struct buf *why)
{
	int r = 0;

	openfiles_init(&p->ops.files);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(steps) && !told_to_end(p); i++)
		r = steps[i](p, why);
	return r;
}

static int end_unserved(struct program *p)
{
	go_on_no_more(p);
	log_info("unmounting mountpoint=%s", p->mountpoint);
	takeover_unmount(&p->takeover, p->takeover.fd, p->mountpoint);
	return 0;
}

int program_serve(struct program *p, struct buf *why)
{
	bool taken = p->takeover.fd >= 0;
	int r = open_all(p, why);

	if (r == 0 && !told_to_end(p))
		r = p->mountpoint ? serve_mount(p, why) : serve_export(p);
	if (r == MOUNT_LEFT || (r < 0 && !leave_as_found(p)))
		p->left = true;
	else
		close_all(p);
	if (p->goes_on) /* what comes from here on, the one that it is next hears */
		program_defer_signals(true);
	if (told_to_end(p))
		return end_unserved(p);
	if (mount_is_awaited())
		go_on_no_more(p);
	if (r >= 0)
		return r > 0 ? HOLDER_AGAIN : 0;
	if (!why->len)
		buf_printf(why, "stopped: %s", err_text(r));
	/* What could not be taken over is mounted anew by a process that knows nothing of it. */
	return taken ? HOLDER_AGAIN : EXIT_RUN;
}
