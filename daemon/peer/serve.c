/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/serve_priv.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/listen.h"
#include "daemon/base/log.h"
#include "daemon/peer/probe.h"

#define THREADS 2
#define BODIES_MAX 65536
#define IDLE_MS 60000 /* members ask again and again */
#define STRANGER_MS 5000
#define STRANGERS 4 /* an address gets one of so many connections for who has not signed yet, */
#define STRANGERS_MIN 16
#define SLOW_MS 10000
#define SLOW_BYTES 4096 /* in such a time */
#define STOP_MS 500
#define HELD_MS 5000

/* ---- who comes in ---- */

/* Not signed: with what? */
static void turn_away(struct httpd_request *q)
{
	struct buf body = { 0 };

	buf_add_str(&body, "this port is for members of the cluster\n");
	httpd_reply(q, WIRE_KEY, "text/plain; charset=utf-8", &body, NULL);
}

/* Whom a request was for, by the address that it was sent to. */
enum addressee {
	THIS_NODE,
	ANOTHER, /* whoever sends it here has listened on that one's line */
	UNKNOWN, /* a member that was never heard of: it may be this node under another name */
};

/* A name that is not in the list may be this node's in another one's; of who cannot be reached
 * nobody can tell whether it is. */
static enum addressee addressee_of(const struct serve *s, const char *to)
{
	const struct membership *members = members_now(s->conf.members);
	int at = membership_find(members, to);
	struct member *m = at < 0 || (uint32_t)at == members->self ? NULL : members->members[at];
	enum addressee ret = !m ? THIS_NODE : member_is_another(m) ? ANOTHER : UNKNOWN;

	if (ret == UNKNOWN && member_is_doubted(m))
		ret = THIS_NODE;
	if (ret == UNKNOWN)
		probes_meet(s->conf.probes, m);
	membership_unref(members);
	return ret;
}

/* Answers a request that is not to be heard; false: it is. What is asked of a member to find out
 * which one it is does no harm. */
static bool object(struct guest *g, enum cluster_verdict verdict, const char *to)
{
	enum addressee who = verdict == CLUSTER_TRUE ? addressee_of(g->serve, to) : THIS_NODE;
	bool late = who == UNKNOWN && strcmp(httpd_target(g->http), PROBE_TARGET) != 0;

	if (verdict == CLUSTER_FULL)
		serve_cause(g, WIRE_BUSY, "nonces");
	else if (verdict != CLUSTER_TRUE)
		serve_cause(g, WIRE_KEY, verdict == CLUSTER_STALE ? "stale" : "replayed");
	else if (who == ANOTHER)
		serve_cause(g, WIRE_KEY, "elsewhere");
	else if (late)
		serve_cause(g, WIRE_BUSY, "name");
	return verdict != CLUSTER_TRUE || who == ANOTHER || late;
}

/* True if a member asks, us, and this once. */
static bool knows_key(struct guest *g, const char *range)
{
	const char *authorization = httpd_field(g->http, "Authorization");
	struct cluster_words words = {
		.method = httpd_method(g->http),
		.target = httpd_target(g->http),
		.range = range,
		.zone = httpd_field(g->http, WIRE_ZONE),
	};
	struct cluster_heard heard;
	enum cluster_verdict verdict = cluster_key_verify(g->serve->conf.key, &words, authorization,
							  clock_wall_ms(), &heard);

	memcpy(g->address, heard.node, sizeof(heard.node));
	memcpy(g->nonce, heard.nonce, sizeof(heard.nonce));
	if (verdict == CLUSTER_FALSE) {
		metrics_add(&g->serve->conf.counts->refused, 1);
		turn_away(g->http);
		return false;
	}
	httpd_know(g->http);
	return !object(g, verdict, heard.to);
}

static void note_caller(const struct guest *g)
{
	char from[HTTPD_ADDRESS_MAX], other[HTTPD_ADDRESS_MAX];

	httpd_address(g->http, from);
	if (callers_note(&g->serve->callers, placement_key(g->address), from, clock_ms(), other))
		log_line(LOG_LEVEL_WARN, NULL,
			 "peer=%s asks from %s and from %s in turns: have two nodes the same "
			 "--peer-address?",
			 g->address, from, other);
}

/* What it says of itself, of who is a member; what the list says of it goes before that. */
static void note_guest(struct guest *g)
{
	const char *zone = httpd_field(g->http, WIRE_ZONE);
	const struct membership *members = members_now(g->serve->conf.members);
	int at = membership_find(members, g->address);

	if (at >= 0 && zone)
		member_tell_zone(members->members[at], zone);
	if (at >= 0)
		zone = member_zone(members->members[at]);
	g->zone = placement_key(zone ? zone : "");
	membership_unref(members);
	note_caller(g);
}

static void answer_question(const struct guest *g, const char *range)
{
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 };
	struct wire_ask ask;
	int r = wire_read_ask(httpd_target(g->http), range, &ask, &path, &why);

	if (r == -EINVAL)
		serve_no_sense(g, "question", buf_str(&why));
	else if (r < 0)
		serve_fail(g, r);
	else if (ask.digests)
		serve_digests(g, &ask);
	else
		serve_bytes(g, &ask);
}

static void handle(void *arg, struct httpd_request *q)
{
	struct guest g = { .serve = arg, .http = q };
	const char *range = httpd_field(q, "Range");

	range = range ? range : "";
	if (!knows_key(&g, range))
		return;
	note_guest(&g);
	if (serve_is_work(q))
		serve_some_work(&g);
	else if (strcmp(httpd_method(q), "GET") != 0)
		serve_other_method(&g, "GET");
	else
		answer_question(&g, range);
}

static ssize_t body_max(void *arg UNUSED, const struct httpd_request *q UNUSED)
{
	return 0;
}

/* ---- limits ---- */

static uint64_t rate_now(void *arg)
{
	return serve_rate(arg);
}

/* ---- start and stop ---- */

/* Of members that come from the same address many may come at once; each signs soon. */
static unsigned strangers_max(const struct peer_settings *s)
{
	unsigned share = (unsigned)s->connections / STRANGERS;

	return share > STRANGERS_MIN ? share : STRANGERS_MIN;
}

static int start_http(struct serve *s, struct buf *why)
{
	struct httpd_conf http = {
		.door_count = 1,
		.tls = s->conf.tls,
		.threads = THREADS,
		.connections_max = (unsigned)s->conf.settings->connections,
		.strangers_max = strangers_max(s->conf.settings),
		.bodies_max = BODIES_MAX,
		.idle_ms = IDLE_MS,
		.stranger_ms = STRANGER_MS,
		.slow_ms = SLOW_MS,
		.slow_bytes = SLOW_BYTES,
		.body_max = body_max,
		.handle = handle,
		.arg = s,
	};
	int fd = listen_address(s->conf.settings->listen, why);

	if (fd < 0)
		return fd;
	http.doors[0] = (struct httpd_door){ .fd = fd, .tls = s->conf.tls };
	return httpd_start(&http, &s->http);
}

static int start_answers(struct serve *s)
{
	struct digest_answers_conf conf = {
		.opened = s->opened,
		.fetch = s->conf.fetch,
		.store = s->conf.store,
		.provenance = s->conf.provenance,
		.hubs = s->conf.hubs,
		.hub_count = s->conf.hub_count,
		.http = s->conf.http,
	};

	return digest_answers_start(&conf, &s->answers);
}

int serve_start(const struct serve_conf *conf, struct serve **ret, struct buf *why)
{
	struct serve *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	callers_init(&s->callers);
	r = fanout_new(&s->fanout);
	if (r == 0)
		r = opened_start(conf->fetch, conf->store, &s->opened);
	if (r == 0)
		r = start_answers(s);
	if (r == 0)
		r = fair_queue_start(rate_now, s, &s->queue);
	if (r == 0)
		r = start_http(s, why);
	if (r == 0)
		*ret = s;
	else
		(void)!serve_stop(s); /* nobody has asked for anything yet */
	return r;
}

bool serve_hush(struct serve *s)
{
	if (!s)
		return true;
	fair_queue_close(s->queue);
	return httpd_stop(s->http, clock_ms() + STOP_MS, HELD_MS);
}

bool serve_stop(struct serve *s)
{
	if (!s)
		return true;
	if (!serve_hush(s))
		return false;
	if (!digest_answers_stop(s->answers))
		return false;
	fair_queue_free(s->queue);
	opened_stop(s->opened);
	fanout_free(s->fanout);
	callers_fini(&s->callers);
	free(s);
	return true;
}

void serve_set_work(struct serve *s, const struct serve_work *work)
{
	atomic_store(&s->work, work);
}

unsigned serve_connections(struct serve *s)
{
	return httpd_connections(s->http);
}

struct digest_answers *serve_digest_answers(struct serve *s)
{
	return s->answers;
}
