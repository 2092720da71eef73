/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/serve_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/listen.h"
#include "daemon/base/log.h"

#define THREADS 2
#define BODIES_MAX 65536
#define IDLE_MS 60000 /* members ask again and again */
#define SLOW_MS 10000
#define SLOW_BYTES 4096 /* in such a time */
#define STOP_MS 500
#define HELD_MS 5000

/* ---- answers ---- */

int serve_head(const struct guest *g, int status, const char *content_range, const char *others,
	       struct httpd_head *ret)
{
	CLEANUP(buf_free) struct buf info = { 0 };
	const struct serve *s = g->serve;
	struct cluster_answer answer = {
		.status = status,
		.content_range = content_range,
		.others = others,
		.node = s->process,
		.wall_ms = clock_wall_ms(),
	};
	int r = cluster_key_sign_answer(s->conf.key, &answer, g->nonce, &info);

	*ret = (struct httpd_head){ .status = status };
	if (r == 0)
		r = httpd_head_add(ret, "Authentication-Info", "%s", buf_str(&info));
	if (r == 0 && *content_range)
		r = httpd_head_add(ret, "Content-Range", "%s", content_range);
	if (r == 0 && *others)
		r = httpd_head_add(ret, WIRE_OTHERS, "%s", others);
	if (r == 0 && *s->conf.zone)
		r = httpd_head_add(ret, WIRE_ZONE, "%s", s->conf.zone);
	return r;
}

/* Ends a request whose answer could not be written. */
static void break_off(const struct guest *g)
{
	struct buf body = { 0 };

	httpd_reply(g->http, 500, "text/plain", &body, NULL);
}

static void say(const struct guest *g, int status, const char *others, const char *cause)
{
	struct httpd_head head;
	struct buf body = { 0 };
	int r = serve_head(g, status, "", others, &head);

	if (r == 0 && *cause)
		r = httpd_head_add(&head, WIRE_CAUSE, "%s", cause);
	if (r < 0) {
		httpd_head_free(&head);
		break_off(g);
		return;
	}
	httpd_reply_head(g->http, &head, &body);
}

void serve_say(const struct guest *g, int status, const char (*others)[MEMBER_ADDRESS_MAX + 1],
	       unsigned count)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct peer_counts *counts = g->serve->conf.counts;

	wire_write_others(others, count, &text);
	metrics_add(status == WIRE_COMING      ? &counts->waits
		    : status == WIRE_ELSEWHERE ? &counts->redirects
					       : &counts->refused,
		    1);
	say(g, status, buf_str(&text), "");
}

void serve_fail(const struct guest *g, int r)
{
	int status = r == -ENOENT     ? WIRE_NOT_HERE
		     : r == ERR_SIZE  ? WIRE_OTHER_SIZE
		     : err_is_disk(r) ? WIRE_FULL
				      : WIRE_FAILED;

	metrics_add(&g->serve->conf.counts->refused, 1);
	say(g, status, "", err_word(err_index(r)));
}

/* ---- who comes in ---- */

static void refuse(struct httpd_request *q, int status, const char *sentence)
{
	struct buf body = { 0 };

	buf_printf(&body, "%s\n", sentence);
	httpd_reply(q, status, "text/plain; charset=utf-8", &body, NULL);
}

/* True if a member asks, and this once. */
static bool knows_key(struct guest *g, const char *range)
{
	struct cluster_words words = {
		.method = httpd_method(g->http),
		.target = httpd_target(g->http),
		.range = range,
	};
	const char *authorization = httpd_field(g->http, "Authorization");
	enum cluster_verdict verdict =
		authorization ? cluster_key_verify(g->serve->conf.key, &words, authorization,
						   clock_wall_ms(), g->address, g->nonce)
			      : CLUSTER_FALSE;

	if (verdict == CLUSTER_TRUE)
		return true;
	metrics_add(&g->serve->conf.counts->refused, 1);
	if (verdict == CLUSTER_FALSE)
		refuse(g->http, WIRE_KEY, "this port is for members of the cluster");
	else
		say(g, WIRE_KEY, "", verdict == CLUSTER_STALE ? "stale" : "replayed");
	return false;
}

/* What it says of itself, of who is a member. */
static void note_guest(struct guest *g)
{
	const char *zone = httpd_field(g->http, WIRE_ZONE);
	const struct membership *members = members_now(g->serve->conf.members);
	int at = membership_find(members, g->address);

	g->zone = placement_key(zone ? zone : "");
	if (at >= 0 && zone)
		member_tell_zone(members->members[at], zone);
	membership_unref(members);
}

static void handle(void *arg, struct httpd_request *q)
{
	struct guest g = { .serve = arg, .http = q };
	const char *range = httpd_field(q, "Range");
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 };
	struct wire_ask ask;

	range = range ? range : "";
	if (!knows_key(&g, range))
		return;
	note_guest(&g);
	if (strcmp(httpd_method(q), "GET") != 0)
		refuse(q, 405, "blobs are only read");
	else if (wire_read_ask(httpd_target(q), range, &ask, &path, &why) < 0)
		serve_say(&g, WIRE_BAD, NULL, 0);
	else
		serve_bytes(&g, &ask);
}

static ssize_t body_max(void *arg UNUSED, const struct httpd_request *q UNUSED)
{
	return 0;
}

/* ---- start and stop ---- */

static int start_http(struct serve *s, struct buf *why)
{
	struct httpd_conf http = {
		.door_count = 1,
		.threads = THREADS,
		.connections_max = s->conf.connections,
		.bodies_max = BODIES_MAX,
		.idle_ms = IDLE_MS,
		.slow_ms = SLOW_MS,
		.slow_bytes = SLOW_BYTES,
		.body_max = body_max,
		.handle = handle,
		.arg = s,
	};
	int fd = listen_address(s->conf.listen, why);

	if (fd < 0)
		return fd;
	http.doors[0] = (struct httpd_door){ .fd = fd };
	return httpd_start(&http, &s->http);
}

static int name_process(struct serve *s)
{
	uint64_t number[2];

	if (getrandom(number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	snprintf(s->process, sizeof(s->process), "%016jx%016jx", (uintmax_t)number[0],
		 (uintmax_t)number[1]);
	return 0;
}

int serve_start(const struct serve_conf *conf, struct serve **ret, struct buf *why)
{
	struct serve *s = calloc(1, sizeof(*s));
	int r = s ? name_process(s) : -ENOMEM;

	if (r < 0) {
		free(s);
		return r;
	}
	s->conf = *conf;
	lock_init(&s->lock, LOCK_CROWD);
	r = crowd_new(&s->crowd);
	if (r == 0)
		r = opened_start(conf->fetch, conf->store, &s->opened);
	if (r == 0)
		r = start_http(s, why);
	if (r < 0 && serve_stop(s)) /* nobody is here to hold a request */
		return r;
	*ret = s;
	return 0;
}

bool serve_stop(struct serve *s)
{
	if (!s)
		return true;
	if (!httpd_stop(s->http, clock_ms() + STOP_MS, HELD_MS))
		return false;
	opened_stop(s->opened);
	crowd_free(s->crowd);
	lock_fini(&s->lock);
	free(s);
	return true;
}

unsigned serve_connections(struct serve *s)
{
	return httpd_connections(s->http);
}
