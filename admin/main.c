/* SPDX-License-Identifier: Apache-2.0 */
/* matrixhubd: a hub for clients of the Hugging Face Hub. Puts the house together: configuration,
 * node, doors; and takes it apart in the opposite order. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/audit/audit_replay.h"
#include "admin/chunker.h"
#include "admin/doors.h"
#include "admin/health.h"
#include "admin/selfcheck.h"
#include "admin/checkins.h"
#include "admin/collector.h"
#include "admin/gifts.h"
#include "admin/hub/heard.h"
#include "admin/registry/aside.h"
#include "admin/registry/hosting.h"
#include "admin/hubconf.h"
#include "admin/catalogue/shelving.h"
#include "admin/registry/intake.h"
#include "admin/hub/lfs_link.h"
#include "admin/registry/parts.h"
#include "admin/registry/xorbs.h"
#include "admin/reload.h"
#include "admin/hub/roster.h"
#include "admin/hub/routes.h"
#include "admin/hub/xet_room.h"
#include "admin/rulewatch.h"
#include "admin/scrubber.h"
#include "admin/server.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/heap.h"
#include "daemon/base/httpd.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/base/pulse.h"
#include "daemon/base/tls.h"
#include "daemon/base/workers.h"
#include "daemon/keeper.h"
#include "daemon/standing.h"
#include "daemon/warmup.h"

#define EXIT_RUN 1   /* it could not be started, or broke */
#define EXIT_USAGE 2 /* bad command line or configuration: nothing was done */
#define THREADS 4
#define BODIES_MAX (64 * 1024 * 1024)
#define JOB_THREADS 3
#define ADMIN_THREADS 4
#define ADMIN_WAITING_MAX 256
#define RECEIVE_THREADS 4
#define ASSEMBLE_THREADS 3
#define ASSEMBLE_WAITING_MAX 32
#define IDLE_MS 75000
#define SLOW_MS 60000
#define SLOW_BYTES (16 * 1024)
#define REFUSAL_MS 1000                  /* at a stop, for who waited in vain to be told */
#define DISK_MS 10000                    /* and for a disk to take what is to be recorded */
#define HELD_MIN_MS 1000                 /* and for who works on a request to be done with it */
#define READY_BYTES (UINT64_C(24) << 20) /* of answers about commits */
#define DAY_S 86400

struct program {
	struct hubconf conf;
	struct hosted hosted; /* what the node learns from db */
	struct buf cache_dir, own_dir, hub_dir, owner, token;
	struct db *db;
	struct node_hub hubs[NODE_HUBS_MAX];
	struct server server;
	struct httpd *http;
	struct tls *tls; /* or NULL */
	struct reload reload;
	struct gifts gifts;
	struct buf addresses;        /* where it listens */
	struct selfcheck *selfcheck; /* or NULL, as the next */
	struct pulse *pulse;
	bool left; /* somebody may still use it: it stays to the end of the process */
};

static int fail(const struct buf *why, int status)
{
	fprintf(stderr, "matrixhubd: %s\n", buf_str(why));
	return status;
}

/* ---- putting it together ---- */

static void forget_nothing(void *arg UNUSED, const char *etag UNUSED)
{
}

static int open_node(struct program *p, struct buf *why)
{
	const struct hubconf *c = &p->conf;
	struct node_conf conf = {
		.hubs = p->hubs,
		.hub_count = (unsigned)c->upstreams.count,
		.offline = c->offline,
		.gone = c->keep_gone ? DISCOVER_GONE_STAYS : DISCOVER_GONE_GOES,
		.renames = true,
		.chunk_lists = true,
		.peers = &c->peer,
		.peer_host = &p->gifts.host,
		.gives_only = true, /* they wait for this hub as its clients */
		.hub_xet = c->upstream_xet,
		.lenient = true, /* one bad name must not keep all the others from its clients */
		.cache = { c->cache_size, c->cache_min_free },
		.memory_bytes = c->memory,
		.ref_ttl_ms = c->ref_ttl * 1000,
		.timeout_ms = c->timeout * 1000,
		.on_forget = forget_nothing,
	};
	int r;

	for (unsigned i = 0; i < conf.hub_count && i < NODE_HUBS_MAX; i++)
		p->hubs[i] = (struct node_hub){ c->upstreams.items[i],
						i == 0 && p->token.len ? p->token.data : NULL };
	gifts_init(&p->gifts, &p->server);
	buf_printf(&p->cache_dir, "%s/cache", c->data);
	buf_printf(&p->owner, "matrixhubd (pid %d)", (int)getpid());
	conf.cache_dir = buf_str(&p->cache_dir);
	conf.own_dir = buf_str(&p->own_dir);
	p->hosted = hosting_of(p->db);
	conf.hosted = &p->hosted;
	conf.owner = buf_str(&p->owner);
	r = node_open(&conf, &p->server.node, why);
	if (p->token.data)
		explicit_bzero(p->token.data, p->token.cap);
	return r;
}

/* For what waits for a disk: the admin API, notes of tokens; bodies that come in, each with at most
 * one piece of work at a time; and files that are made of what came. */
static int open_workers(struct program *p, struct buf *why UNUSED)
{
	const struct workers_conf conf = { "mfs-admin", ADMIN_THREADS, ADMIN_WAITING_MAX, false };
	const struct workers_conf receivers = { "mfs-receive", RECEIVE_THREADS, UINT_MAX, false };
	const struct workers_conf assemblers = { "mfs-assemble", ASSEMBLE_THREADS,
						 ASSEMBLE_WAITING_MAX, false };
	int r = workers_start(&conf, &p->server.workers);

	if (r == 0)
		r = workers_start(&receivers, &p->server.receivers);
	return r < 0 ? r : workers_start(&assemblers, &p->server.assemblers);
}

static int open_intake(struct program *p, struct buf *why)
{
	int r = buf_printf(&p->own_dir, "%s/own", p->conf.data);

	if (r == 0)
		r = intake_open(buf_str(&p->own_dir), &p->server.intake, why);
	if (r == 0)
		r = parts_new(p->server.intake, &p->server.parts);
	if (r == 0)
		r = xorbs_new(p->server.intake, &p->server.xorbs);
	if (r == 0)
		r = xet_room_new(&p->server.xet_room);
	if (r == 0)
		aside_restore(p->server.intake);
	return r;
}

/* What was said of names that somebody gave up is not said of who takes them. */
static int open_names(struct program *p, struct buf *why)
{
	int r = rights_forget_names(p->db, &p->server.names_kept);

	if (r < 0)
		buf_printf(why, "cannot forget who might read what was given up in %s: %s",
			   p->conf.data, err_text(r));
	return r;
}

/* What was committed before there was a catalogue, or beside it. */
static int open_catalogue(struct program *p, struct buf *why)
{
	int r = shelving_check_all(p->db, p->server.intake);

	if (r < 0)
		buf_printf(why, "cannot make the catalogue in %s: %s", p->conf.data, err_text(r));
	return r;
}

static int open_keeper(struct program *p, struct buf *why UNUSED)
{
	struct keeper_conf conf = {
		.node = p->server.node,
		.threads = JOB_THREADS,
		.wants = gifts_may_be_brought,
		.arg = &p->server,
	};

	int r = keeper_start(&conf, &p->server.keeper);

	return r < 0 ? r : warmups_new(p->server.node, p->server.keeper, &p->server.warmups);
}

static int open_rulewatch(struct program *p, struct buf *why UNUSED)
{
	const struct rulewatch_conf conf = { p->db, p->server.workers, clock_ms };
	int r = rulewatch_new(&conf, &p->server.rulewatch);

	if (r == 0)
		rulewatch_look(p->server.rulewatch);
	return r;
}

/* Who has the cluster's key may be told who else has: this hub need not be one of them. */
static int open_checkins(struct program *p, struct buf *why)
{
	const char *key_file = p->conf.peer.key_file;

	return key_file ? checkins_open(key_file, clock_ms(), &p->server.checkins, why) : 0;
}

static int open_caretakers(struct program *p, struct buf *why UNUSED)
{
	const struct collector_conf conf = {
		.server = &p->server,
		.grace_s = p->conf.collect_grace,
		.every_s = p->conf.collect_every,
	};
	const struct scrubber_conf scrub = { &p->server, p->conf.scrub_every, p->conf.scrub_rate };
	int r = chunker_start(p->server.node, p->server.intake, &p->server.chunker);

	if (r == 0)
		r = collector_new(&conf, &p->server.collector);
	if (r == 0)
		r = scrubber_new(&scrub, &p->server.scrubber);
	if (r < 0)
		return r;
	collector_begin(p->server.collector);
	scrubber_begin(p->server.scrubber);
	return 0;
}

static int open_filter(struct program *p, struct buf *why)
{
	struct filter *filter;
	int r = filter_new(&p->conf.allow, &p->conf.deny, &filter, why);

	if (r == 0)
		filter_change(&p->server.filter, filter);
	return r;
}

static int open_auth(struct program *p, struct buf *why)
{
	struct db_conf conf = { .rehearse = MATRIXFS_REHEARSE };
	bool made = false;
	int r = buf_printf(&p->hub_dir, "%s/hub", p->conf.data);

	conf.dir = buf_str(&p->hub_dir);
	if (r == 0)
		r = db_open(&conf, &p->db, why);
	p->server.rights = (struct rights){
		.db = p->db,
		.closed = p->conf.anonymous == HUBCONF_ANONYMOUS_NONE,
		.guarded = p->token.len > 0,
	};
	if (r == 0)
		r = lfs_link_key(p->db, p->server.link_key);
	if (r == 0)
		r = heard_new(p->db, p->server.workers, &p->server.rights.heard);
	if (r == 0)
		r = auth_open(p->conf.data, p->db, p->server.workers, &p->server.auth, &made, why);
	if (r == 0 && made)
		log_info("made the administrator's token file=%s/" AUTH_ADMIN_FILE, p->conf.data);
	return r;
}

static int open_audit(struct program *p, struct buf *why)
{
	const struct audit_conf conf = {
		.dir = p->conf.data,
		.segment_bytes = p->conf.audit_segment,
		.keep_s = p->conf.audit_keep * DAY_S,
		.strict = p->conf.audit == HUBCONF_AUDIT_STRICT,
		.db = p->db,
	};
	unsigned replayed = 0;
	int r = 0;

	if (p->conf.audit != HUBCONF_AUDIT_OFF)
		r = audit_open(&conf, &p->server.audit, why);
	if (r == 0)
		r = audit_replay(conf.dir, p->db, p->server.audit, &replayed);
	if (r == 0)
		r = audit_debts_new(p->db, p->server.audit, p->server.workers, &p->server.debts);
	if (replayed)
		log_info("recorded what a hub that was killed could not changes=%u", replayed);
	if (r == 0 && p->conf.access_log)
		r = access_open(p->conf.access_log, &p->server.access, why);
	return r;
}

static int open_gifts(struct program *p, struct buf *why UNUSED)
{
	gifts_begin(&p->gifts);
	return 0;
}

static int open_doors(struct program *p, struct buf *why)
{
	struct httpd_conf conf = {
		.threads = THREADS,
		.connections_max = (unsigned)p->conf.connections,
		.address_max = (unsigned)p->conf.address_connections,
		.bodies_max = BODIES_MAX,
		.idle_ms = IDLE_MS,
		.slow_ms = SLOW_MS,
		.slow_bytes = SLOW_BYTES,
		.body_max = routes_body_max,
		.handle = routes_handle,
		.ended = routes_ended,
		.error_is_sentence = true,
		.arg = &p->server,
	};
	int r = 0;

	if (p->conf.tls_cert)
		r = tls_new(p->conf.tls_cert, p->conf.tls_key, &p->tls, why);
	conf.tls = p->tls;
	if (r == 0)
		r = doors_open(&p->conf, getenv, conf.doors, &conf.door_count, why);
	if (r == 0)
		r = selfcheck_new(&conf.doors[0], &p->selfcheck);
	if (r < 0) {
		doors_close(conf.doors, conf.door_count);
		return r;
	}
	doors_tell(conf.doors, conf.door_count, &p->addresses);
	r = httpd_start(&conf, &p->http);
	p->server.http = p->http;
	if (r == 0)
		log_info("listening address=%s", buf_str(&p->addresses));
	return r;
}

/* False if somebody works on one still. */
static bool end_requests(struct program *p)
{
	int64_t held_ms = max_i64(p->conf.stop_timeout * 1000, HELD_MIN_MS);
	bool over = httpd_stop(p->http, clock_ms() + REFUSAL_MS, held_ms);

	int64_t until_ms = clock_ms() + (over ? held_ms : 0);

	over = workers_stop(p->server.receivers, until_ms) && over;
	over = workers_stop(p->server.assemblers, until_ms) && over;
	over = workers_stop(p->server.workers, until_ms) && over;
	return chunker_stop(p->server.chunker, until_ms) && over;
}

/* False if a disk hangs. */
static bool end_trails(struct program *p)
{
	int64_t until_ms = clock_ms() + DISK_MS;
	bool over = audit_stop(p->server.audit, until_ms);

	return access_stop(p->server.access, until_ms) && over;
}

/* ---- the service manager ---- */

static int check_self(void *arg)
{
	struct program *p = arg;

	return selfcheck_ask(p->selfcheck);
}

static void tell_standing(void *arg, struct buf *ret)
{
	const struct program *p = arg;

	standing_tell(p->server.node, "upstream", ret);
	buf_printf(ret, ", %u connections to %s", httpd_connections(p->http),
		   buf_str(&p->addresses));
	if (server_read_only(&p->server) < 0)
		buf_add_str(ret, ", no room for changes");
}

static int open_pulse(struct program *p, struct buf *why)
{
	const struct pulse_conf conf = { getenv, check_self, tell_standing, p, 0 };
	int r = pulse_start(&conf, &p->pulse);

	if (r < 0)
		buf_printf(why, "cannot speak to the service manager: %s", err_text(r));
	return r;
}

/* In three steps: nobody comes in any more, and what is under way may end; then those who still
 * wait for something are told that it will not come; then all is taken apart. */
static void close_all(struct program *p)
{
	pulse_stopping(p->pulse);
	if (p->http) {
		httpd_close(p->http);
		if (!httpd_drain(p->http, clock_ms() + p->conf.stop_timeout * 1000))
			log_info("requests that are under way are broken off");
	}
	keeper_stop(p->server.keeper);
	p->left = p->server.node && !node_stop(p->server.node);
	p->left |= !end_requests(p);
	p->left |= !end_trails(p);
	p->left |= !pulse_free(p->pulse, clock_ms() + HELD_MIN_MS);
	if (p->left) {
		log_err(ERR_TIMEOUT, "something has not ended: it ends with the process");
		return;
	}
	selfcheck_free(p->selfcheck);
	heard_free(p->server.rights.heard);
	warmups_free(p->server.warmups);
	keeper_free(p->server.keeper);
	collector_free(p->server.collector);
	scrubber_free(p->server.scrubber);
	chunker_free(p->server.chunker);
	rulewatch_free(p->server.rulewatch);
	checkins_free(p->server.checkins);
	roster_free(p->server.roster);
	downloads_free(p->server.downloads);
	if (p->server.node)
		node_close(p->server.node);
	xorbs_free(p->server.xorbs);
	xet_room_free(p->server.xet_room);
	parts_free(p->server.parts);
	intake_close(p->server.intake);
	ready_free(p->server.ready);
	auth_close(p->server.auth);
	audit_debts_free(p->server.debts);
	audit_free(p->server.audit);
	db_close(p->db);
	access_free(p->server.access);
	filter_now_fini(&p->server.filter);
	tls_free(p->tls);
}

static void choose_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

static void wait_for_end(struct program *p)
{
	sigset_t set;
	int signal = SIGHUP;

	choose_signals(&set);
	while (sigwait(&set, &signal) == 0 && signal == SIGHUP)
		reload_now(&p->reload);
	log_info("stopping");
}

static void block_signals(void)
{
	sigset_t set;

	choose_signals(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int open_data(struct program *p, struct buf *why)
{
	int r = file_mkdirs(p->conf.data);

	if (r < 0)
		buf_printf(why, "cannot make the data directory %s: %s", p->conf.data, err_text(r));
	return r < 0 ? r : hubconf_token(&p->conf, &p->token, why);
}

static int open_ready(struct program *p, struct buf *why UNUSED)
{
	return ready_new(READY_BYTES, &p->server.ready);
}

static int open_lists(struct program *p, struct buf *why UNUSED)
{
	struct server *s = &p->server;
	int r = roster_new(s->node, p->db, &s->roster);

	return r < 0 ? r : downloads_new(p->db, s->workers, &s->downloads);
}

/* Each may use what those before it opened; the doors come last. */
static int (*const steps[])(struct program *p, struct buf *why) = {
	open_pulse,  open_data,      open_filter,    open_workers,    open_auth,   open_ready,
	open_intake, open_names,     open_catalogue, open_node,       open_keeper, open_lists,
	open_audit,  open_rulewatch, open_checkins,  open_caretakers, open_gifts,  open_doors,
};

static int serve(struct program *p)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(steps); i++)
		r = steps[i](p, &why);
	p->reload.tls = p->tls;
	if (r == 0) {
		pulse_ready(p->pulse);
		wait_for_end(p);
	}
	close_all(p);
	if (r == 0)
		return 0;
	if (!why.len)
		buf_printf(&why, "stopped: %s", err_text(r));
	return fail(&why, EXIT_RUN);
}

static int run(struct program *p, int argc, char *const argv[])
{
	log_set_level((enum log_level)p->conf.log_level);
	if (file_raise_limit() < 0)
		log_debug("the limit of open files stays as it is");
	block_signals();
	heap_keep_little();
	filter_now_init(&p->server.filter);
	p->server.data = p->conf.data;
	p->server.part_bytes = p->conf.upload_part;
	p->server.public_url = p->conf.public_url;
	p->server.keeps_gone = p->conf.keep_gone;
	p->server.takes_xet = p->conf.xet;
	p->server.xet_above = p->conf.xet_above;
	p->server.ref_ttl_ms = p->conf.ref_ttl * 1000;
	p->server.timeout_ms = p->conf.timeout * 1000;
	p->server.proxies = p->conf.proxies;
	p->server.since_s = clock_wall_s();
	p->reload = (struct reload){ argc, argv, &p->conf, &p->server, NULL };
	return serve(p);
}

static int print_and_exit(enum hubconf_action action)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	if (action == HUBCONF_HELP)
		hubconf_help(&text);
	else if (action == HUBCONF_MAN)
		hubconf_man(&text);
	else
		buf_add_str(&text, "matrixhubd " MATRIXFS_VERSION "\n");
	fputs(buf_str(&text), stdout);
	return 0;
}

/* All that can be known without doing anything. */
static int check_and_exit(const struct program *p)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	if (reload_check(&p->conf, &why) < 0)
		return fail(&why, EXIT_USAGE);
	puts("The configuration is right.");
	return 0;
}

int main(int argc, char *argv[])
{
	CLEANUP(buf_free) struct buf why = { 0 };
	static struct program p;
	enum hubconf_action action;
	int status, r = hubconf_parse(argc, argv, &p.conf, &action, &why);

	if (r < 0)
		status = fail(&why, EXIT_USAGE);
	else if (action == HUBCONF_CHECK)
		status = check_and_exit(&p);
	else if (action != HUBCONF_RUN)
		status = print_and_exit(action);
	else
		status = run(&p, argc, argv);
	if (p.left)
		_exit(status); /* exit handlers of libraries would free what it uses, too */
	hubconf_fini(&p.conf);
	buf_free(&p.addresses);
	buf_free(&p.cache_dir);
	buf_free(&p.own_dir);
	buf_free(&p.hub_dir);
	buf_free(&p.owner);
	buf_free(&p.token);
	return status;
}
