/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a question for bytes: the owner of a segment may send the guest to another one;
 * else what is there of it is sent, whole chunks from the first byte asked for on, when it is its
 * turn; else it is brought, and the guest waits for its first chunk, or is told to ask again. */
#include "daemon/peer/serve_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/base/wait.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/decide.h"
#include "daemon/peer/waiting.h"

/* A question on its way: it belongs to its waiter while that is parked, then to its answer. */
struct giving {
	struct guest guest;
	struct wire_ask ask; /* its path is not kept, */
	char *path;          /* but here, if somebody wants it; */
	uint64_t origin;     /* a number for where it is said to lie */
	bool own;            /* of those that are hosted here */
	struct pull *pull;
	struct waiter waiter;
	int64_t until_ms; /* it waits no longer than this */
	bool late;        /* it has looked once more after that */
	struct turn turn; /* to send, if as much goes out as may */
	bool may_send;    /* the bytes of its turn are booked */
	const void *data; /* what is sent, held */
	uint64_t len;
	int64_t since_ms; /* by the wall clock */
};

static void giving_free(struct giving *v)
{
	if (v->data)
		fetch_done(v->pull, v->data, v->len);
	opened_give(v->guest.serve->opened, v->pull);
	free(v->waiter.held);
	free(v->path);
	free(v);
}

static void end_failed(struct giving *v, int r)
{
	struct guest g = v->guest;

	giving_free(v);
	serve_fail(&g, r);
}

static void end_saying(struct giving *v, int status)
{
	struct guest g = v->guest;

	giving_free(v);
	serve_say(&g, status, NULL, 0);
}

/* ---- limits ---- */

uint64_t serve_rate(const struct serve *s)
{
	uint64_t rate = s->conf.settings->rate, less = s->conf.settings->rate_waiting;

	if (!less)
		less = rate / PEER_WAITING_SHARE;
	if (!less || (rate && rate < less) || !fetch_has_waiting(s->conf.fetch))
		return rate;
	return less;
}

/* So many of the bytes that there are, or are going to be, are given at once: what goes out in one
 * piece is not to be more than a second's, and where others wait for their turns not more than a
 * chunk; but by whole chunks. */
static uint64_t piece(const struct giving *v, uint64_t len)
{
	struct serve *s = v->guest.serve;
	uint64_t rate = serve_rate(s), off = v->ask.off, most;

	if (!rate)
		return len;
	most = fair_queue_is_short(s->queue) ? 1 : rate;
	return most < len ? chunk_end(chunk_of(off + most - 1), off + len) - off : len;
}

static void take_turn(struct turn *turn, int r);

/* A guest that asks to wait for long has heard for as long that it is to, and no reader of its own
 * waits, or it would not. */
static void wait_for_turn(struct giving *v, uint64_t len)
{
	v->turn = (struct turn){
		.guest = placement_key(v->guest.address),
		.off = v->ask.off,
		.bytes = len,
		.patient = v->ask.wait_ms > WAITING_DEMAND_MS,
		.until_ms = v->until_ms,
		.take = take_turn,
	};
	fair_queue_wait(v->guest.serve->queue, &v->turn);
}

/* ---- bytes ---- */

static void note_given(const struct giving *v, uint64_t sent)
{
	const struct serve_conf *conf = &v->guest.serve->conf;
	const struct membership *members = members_now(conf->members);
	int at = membership_find(members, v->guest.address);

	if (at >= 0)
		member_note_sent(members->members[at], sent);
	membership_unref(members);
	metrics_add(&conf->counts->bytes_out, sent);
}

/* Tells the program of it, that which has a say in it. */
static void tell_host(const struct giving *v, uint64_t sent)
{
	const struct peer_host *host = v->guest.serve->conf.host;
	char from[HTTPD_ADDRESS_MAX];
	struct source_blob what;
	const struct peer_gift gift = {
		.member = v->guest.address,
		.from = from,
		.blob = &what,
		.off = v->ask.off,
		.len = sent,
		.cut = sent < v->len,
		.since_ms = v->since_ms,
	};

	if (!host || wire_blob(&v->ask, &what) < 0)
		return;
	what.own = v->own;
	what.path = v->path;
	httpd_address(v->guest.http, from);
	host->gave(host->arg, &gift);
}

/* A guest that was outrun, or killed, leaves in the middle. The program hears of it also when it is
 * not known to have got anything: of a short answer that broke off nobody can tell. */
static void on_sent(void *arg, uint64_t sent)
{
	struct giving *v = arg;

	if (sent)
		note_given(v, sent);
	tell_host(v, sent);
	giving_free(v);
}

/* Sends what is held. */
static void send_bytes(struct giving *v)
{
	int fd = blob_fd(fetch_blob(v->pull));
	uint64_t off = v->ask.off;
	struct httpd_head head;
	char range[80];
	int r;

	snprintf(range, sizeof(range), "bytes %ju-%ju/%ju", (uintmax_t)off,
		 (uintmax_t)(off + v->len - 1), (uintmax_t)v->ask.size);
	r = serve_head(&v->guest, WIRE_BYTES, range, "", &head);
	if (r < 0) {
		httpd_head_free(&head);
		end_failed(v, r);
		return;
	}
	metrics_add(&v->guest.serve->conf.counts->answers, 1);
	v->since_ms = clock_wall_ms();
	httpd_reply_file(v->guest.http, &head, fd, off, v->len, on_sent, v);
}

/* How many of the bytes asked for are there, by whole chunks from the first on. */
static uint64_t present(const struct giving *v)
{
	struct blob *blob = fetch_blob(v->pull);
	uint64_t end = v->ask.off + v->ask.len, at = v->ask.off;

	if (blob_is_sealed(blob))
		return v->ask.len;
	while (at < end && blob_may_have(blob, chunk_of(at)))
		at = chunk_end(chunk_of(at), end);
	return at - v->ask.off;
}

/* Sends what has been read. */
static void give(struct giving *v, const void *data, uint64_t len)
{
	v->data = data;
	v->len = len;
	if (!fetch_keeps(v->pull, data))
		end_failed(v, ERR_FULL);
	else
		send_bytes(v);
}

/* Reads what there is, or waits for the first chunk of it. */
static void read_bytes(struct giving *v, uint64_t len)
{
	struct fetch *fetch = v->guest.serve->conf.fetch;
	bool here = len;
	const void *data;
	int r;

	if (!len)
		len = chunk_end(chunk_of(v->ask.off), v->ask.off + v->ask.len) - v->ask.off;
	len = v->may_send ? min_u64(len, v->turn.bytes) : piece(v, len);
	if (here && !v->may_send && serve_rate(v->guest.serve)) {
		wait_for_turn(v, len);
		return; /* it may be over already */
	}
	r = fetch_read(fetch, v->pull, v->ask.off, len, &v->waiter, &data, &len);
	if (r == PARKED)
		return; /* likewise */
	if (r < 0)
		end_failed(v, r);
	else
		give(v, data, len);
}

/* Tells the guest to ask again, and whether that is worth it. */
static void end_quiet(struct giving *v, int64_t quiet_ms)
{
	v->guest.quiet_ms = quiet_ms;
	v->guest.quiet_known = quiet_ms >= 0;
	end_saying(v, WIRE_COMING);
}

static void end_coming(struct giving *v)
{
	end_quiet(v, decide_quiet_ms(v->guest.serve->conf.notes, wire_segment(&v->ask),
				     fetch_moved_ms(v->pull, v->ask.off), clock_ms()));
}

/* ---- what becomes of it ---- */

static struct decide_here here_of(const struct serve *s, const struct membership *members)
{
	return (struct decide_here){ members, s->conf.placement, s->conf.notes, s->fanout };
}

static struct decide_ask question_of(const struct guest *g, const struct wire_ask *ask)
{
	return (struct decide_ask){
		.segment = wire_segment(ask),
		.size = ask->size,
		.guest = placement_key(g->address),
		.zone = g->zone,
		.number = ask->number,
		.bring = ask->bring,
	};
}

/* What the disk does not take would be brought for this guest alone, and for the next one again. */
static enum decision decide(struct giving *v, uint64_t len)
{
	const struct serve *s = v->guest.serve;
	const struct membership *members = members_now(s->conf.members);
	const struct decide_here here = here_of(s, members);
	struct decide_ask ask = question_of(&v->guest, &v->ask);
	const struct decide_held held = {
		.present = len,
		.hidden = !fetch_shows(v->pull, &v->waiter),
		.failing = v->late && fetch_is_failing(v->pull, v->ask.off),
		.full = !len && fetch_is_refused(v->pull),
	};
	enum decision d;

	ask.origin = v->origin;
	d = decide_bytes(&here, &ask, &held, v->late, clock_ms(), &v->guest.number);

	membership_unref(members);
	return d;
}

static void look(struct giving *v)
{
	uint64_t len = present(v);

	switch (decide(v, len)) {
	case DECIDE_GIVE:
	case DECIDE_WAIT:
		read_bytes(v, len);
		break;
	case DECIDE_COMING:
		end_coming(v);
		break;
	case DECIDE_FAILED:
		end_failed(v, ERR_UPSTREAM);
		break;
	case DECIDE_NOT_HERE:
		end_saying(v, WIRE_NOT_HERE);
		break;
	case DECIDE_FULL:
		end_failed(v, ERR_FULL);
		break;
	}
}

/* What was here may not be any more. */
static void take_turn(struct turn *turn, int r)
{
	struct giving *v = container_of(turn, struct giving, turn);

	if (r == ERR_TIMEOUT) {
		end_quiet(v, fair_queue_quiet_ms(v->guest.serve->queue));
	} else if (r < 0) {
		end_failed(v, r);
	} else {
		v->may_send = true;
		look(v);
	}
}

static void wake(struct waiter *w, int r)
{
	struct giving *v = container_of(w, struct giving, waiter);
	bool late = clock_ms() >= v->until_ms;

	if (r < 0) {
		end_failed(v, r);
		return;
	}
	/* What is there may still not be shown, when only verified bytes may. */
	if (late && v->late) {
		end_coming(v);
		return;
	}
	v->late = late;
	look(v);
}

/* ---- beginning ---- */

int serve_may(const struct guest *g, const struct source_blob *what)
{
	const struct peer_host *host = g->serve->conf.host;
	char from[HTTPD_ADDRESS_MAX];
	const struct peer_gift gift = { .member = g->address, .from = from, .blob = what };

	if (!host)
		return 0;
	httpd_address(g->http, from);
	return host->may(host->arg, &gift);
}

static int open_what(struct giving *v, const struct guest *g, const struct wire_ask *ask)
{
	const struct serve *s = g->serve;
	uint64_t maker = ask->bring ? placement_key(g->address) : 0;
	struct source_blob what;
	int r = wire_blob(ask, &what);

	if (r < 0)
		return r;
	what.own = v->own = store_has_own(s->conf.store, what.etag, what.file.size);
	r = serve_may(g, &what);
	if (r == 0 && s->conf.host) {
		v->path = strdup(ask->path);
		r = v->path ? 0 : -ENOMEM;
	}
	return r < 0 ? r : opened_take(s->opened, &what, maker, &v->pull);
}

static int giving_new(const struct guest *g, const struct wire_ask *ask, struct giving **ret)
{
	struct giving *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->guest = *g;
	v->ask = *ask;
	v->ask.path = NULL;
	v->origin = wire_origin(ask);
	r = open_what(v, g, ask);
	if (r < 0) {
		free(v->path);
		free(v);
		return r;
	}
	waiter_init(&v->waiter, g->serve->conf.timeout_ms, wake);
	v->waiter.only = ask->len;
	v->until_ms = clock_ms() + (ask->wait_ms ? ask->wait_ms : WAITING_POLL_MS);
	v->waiter.patient_until_ms = v->until_ms;
	*ret = v;
	return 0;
}

/* Sends the guest to others, if that is how it is arranged here. */
static bool send_elsewhere(const struct guest *g, const struct wire_ask *ask)
{
	const struct membership *members = members_now(g->serve->conf.members);
	const struct decide_here here = here_of(g->serve, members);
	char others[FANOUT_NAMES_MAX][MEMBER_ADDRESS_MAX + 1];
	uint64_t failed[WIRE_OTHERS_MAX];
	uint32_t at[FANOUT_NAMES_MAX];
	struct decide_ask question = question_of(g, ask);
	struct guest sent = *g;
	unsigned count;

	for (; question.failed_count < ask->failed_count; question.failed_count++)
		failed[question.failed_count] = placement_key(ask->failed[question.failed_count]);
	question.failed = failed;
	count = decide_others(&here, &question, clock_ms(), at, &sent.number);
	for (unsigned i = 0; i < count; i++)
		snprintf(others[i], sizeof(others[i]), "%s",
			 member_address(members->members[at[i]]));
	membership_unref(members);
	if (count)
		serve_say(&sent, WIRE_ELSEWHERE, others, count);
	return count;
}

void serve_bytes(const struct guest *g, const struct wire_ask *ask)
{
	struct giving *v;
	int r;

	if (send_elsewhere(g, ask))
		return;
	r = giving_new(g, ask, &v);
	if (r < 0)
		serve_fail(g, r);
	else
		look(v);
}
