/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/source_peer.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/answered.h"
#include "daemon/peer/chunk_in.h"
#include "daemon/peer/race.h"
#include "daemon/peer/trip.h"
#include "daemon/peer/waiting.h"

#define RESTED_MS 100 /* of a rest at a time, so that its end is noticed */

struct source_peer {
	struct source source;
	struct source_peer_conf conf;
	struct trip_node node;
};

/* A range that is being brought, and the chunk of it that comes. */
struct bringing {
	struct source_peer *all;
	const struct source_ask *ask;
	struct trip trip;
	struct peer_get question;
	struct chunk_in in;
	int64_t chunk_ms; /* its bytes come since */
	uint64_t came;    /* bytes of this question */
	bool slow;        /* it was ended for that */
	bool wrong;       /* likewise, */
	bool misled;      /* and who gave it may not know, */
	bool contested;   /* or it is the hub's list that is wrong: see what it gives */
	bool looked;      /* for the blob's digest list, */
	bool listed;      /* which was there; */
	bool unlisted;    /* it was ended since that is forgotten */
	struct race race; /* for the chunk that comes next, if it is slow to */
};

/* ---- bytes ---- */

/* True if who gave a wrong chunk may have had it from others, even as its owner (who first looks
 * for who has it by chance), and could not compare it: it may have known no list when it came. */
static bool may_be_misled(const struct bringing *b)
{
	return b->in.size != b->ask->blob->file.size;
}

/* True if it is what was found wrong here before, and no more is known of it. */
static bool goes_round(const struct bringing *b)
{
	return b->wrong && b->misled && b->in.trust == PROVENANCE_UNKNOWN;
}

/* True if a hub's list would tell whether a chunk that came is right, and it was forgotten: others
 * had to be remembered. */
static bool is_unlisted(const struct bringing *b)
{
	return b->listed && b->in.size != b->ask->blob->file.size &&
	       b->in.trust == PROVENANCE_UNKNOWN;
}

/* Bytes came of a chunk that did not become whole here. */
static void count_twice(const struct bringing *b, uint64_t bytes)
{
	metrics_add(&b->all->node.twice, bytes);
	metrics_add(&b->all->conf.counts->bytes_twice, bytes);
}

static const struct trip_heard nothing = { .answer = ROUTE_LEFT, .first_ms = -1, .quiet_ms = -1 };

/* Who was asked first has brought it, or all is over. */
static void lose_race(struct bringing *b)
{
	if (b->race.state == RACE_NONE)
		return;
	if (b->race.state == RACE_RUNS)
		(void)race_end(&b->race);
	count_twice(b, b->race.have);
	trip_race_heard(&b->trip, &nothing, clock_ms());
	race_fini(&b->race);
}

/* Gives what is wanted of a chunk whose last bytes these are, if it may be right. */
static int give_chunk(struct bringing *b, const void *last, size_t len)
{
	const struct source_blob *blob = b->ask->blob;
	uint32_t chunk = chunk_of(b->in.pos);
	uint64_t wanted = b->in.end - b->in.pos;
	int r = chunk_in_compare(&b->in, last, len);

	b->wrong = r == ERR_DIGEST;
	b->misled = b->wrong && may_be_misled(b);
	b->unlisted = r == 0 && is_unlisted(b);
	b->looked &= !b->unlisted;
	if (r < 0 || b->unlisted)
		return r < 0 ? r : -EAGAIN;
	/* Before anybody sees them, who may want to know whose they are. */
	provenance_note(b->all->conf.provenance, blob->etag, blob->file.size, chunk, chunk + 1,
			member_address(b->question.member));
	r = chunk_in_give(&b->in, last, len);
	b->chunk_ms = clock_ms();
	trip_gave(&b->trip, wanted, b->chunk_ms);
	lose_race(b);
	if (r < 0) {
		provenance_take_back(b->all->conf.provenance, blob->etag, chunk);
		return r;
	}
	metrics_add(&b->all->conf.counts->bytes_in, wanted);
	b->all->conf.watch.came(b->all->conf.watch.arg, blob, chunk);
	return r;
}

/* The time that it takes to lay bytes, or to make room for them, is not the member's. */
static int add_to_chunk(struct bringing *b, const void *data, size_t len)
{
	int64_t began_ms = clock_ms();
	int r = chunk_in_add(&b->in, data, len);
	int64_t took_ms = clock_ms() - began_ms;

	b->chunk_ms += took_ms;
	trip_was_busy(&b->trip, took_ms);
	return r;
}

/* What came before of whole chunks says nothing of this one. */
static bool is_trickle(const struct bringing *b)
{
	const struct chunk_in *in = &b->in;

	return in->have && trip_is_trickle(&b->trip, b->chunk_ms, in->have, in->size, clock_ms());
}

static int on_bytes(void *arg, const void *data, size_t len)
{
	struct bringing *b = arg;
	struct chunk_in *in = &b->in;
	int r = 0;

	if (!b->came)
		b->chunk_ms = clock_ms();
	b->came += len;
	for (const char *from = data; r == 0 && len;) {
		size_t n;

		if (!in->comes)
			r = chunk_in_begin(in, b->trip.range.pos, b->trip.range.end);
		if (r < 0)
			return r;
		n = min_u64(len, in->size - in->have);
		r = in->have + n < in->size ? add_to_chunk(b, from, n) : give_chunk(b, from, n);
		from += n;
		len -= n;
	}
	b->slow = r == 0 && is_trickle(b);
	return b->slow ? ERR_TIMEOUT : r;
}

/* ---- one question ---- */

/* Whole chunks are asked for, whatever is wanted of them: nothing less can be compared. */
static struct wire_ask ask_for(const struct bringing *b, const struct trip_ask *a, uint64_t end)
{
	const struct source_blob *blob = b->ask->blob;
	struct member *const *members = b->trip.members->members;
	uint64_t from = chunk_floor(b->trip.range.pos);
	uint64_t to = chunk_ceil(end, blob->file.size);
	struct wire_ask ask = wire_ask_of(blob, from, to - from);

	ask.bring = a->bring;
	ask.number = a->number;
	ask.wait_ms = (uint32_t)a->wait_ms;
	for (unsigned i = 0; i < a->failed_count && i < WIRE_OTHERS_MAX; i++)
		snprintf(ask.failed[ask.failed_count++], sizeof(ask.failed[0]), "%s",
			 member_address(members[a->failed[i]]));
	return ask;
}

/* How the question ended that peer_get_run says r of. */
static enum route_answer ending(const struct bringing *b, int r)
{
	if (goes_round(b)) /* nobody is blamed twice for it, nor for what no witness has told */
		return ROUTE_NOT_HERE;
	if (b->wrong)
		return b->misled ? ROUTE_MISLED : ROUTE_LIED;
	if (b->slow)
		return ROUTE_SLOW;
	return answered_as(&b->question, r);
}

static void report_lie(struct bringing *b)
{
	const struct source_watch *watch = &b->all->conf.watch;
	uint32_t chunk = chunk_of(b->trip.range.pos);
	const struct source_refused refused = {
		.what = b->ask->blob,
		.chunk = chunk,
		.member = member_address(b->question.member),
		.gave = b->in.is,
		.published = b->in.trust == PROVENANCE_PUBLISHED,
	};

	if (b->misled && !goes_round(b))
		b->contested |= watch->refused(watch->arg, &refused);
	metrics_add(&b->all->conf.counts->bytes_wrong, b->in.have);
	log_warn(ERR_DIGEST, "peer=%s %s wrong bytes etag=%s path=%s chunks=%u, asking others",
		 member_address(b->question.member), b->misled ? "passed on" : "gave",
		 b->ask->blob->etag, b->ask->blob->path, chunk);
}

/* Before the first bytes of a member: a blob of one chunk needs no list. */
static void look_for_list(struct bringing *b)
{
	const struct source_peer_conf *conf = &b->all->conf;
	const struct source_blob *blob = b->ask->blob;
	uint8_t must[CHUNK_LIST_DIGEST];

	if (!b->looked && blob->file.size > CHUNK_BYTES) {
		(void)digest_lists_look(conf->lists, blob, b->ask->cancel);
		b->listed = provenance_knows(conf->provenance, blob->etag,
					     chunk_of(b->trip.range.pos),
					     must) == PROVENANCE_PUBLISHED;
	}
	b->looked = true;
}

/* ---- a race ---- */

static void look_who_waits(struct bringing *b)
{
	if (b->ask->look)
		b->ask->look(b->ask->arg);
	trip_demand(&b->trip, b->ask->demand, clock_ms());
	trip_outlook(&b->trip, b->ask->failing, b->ask->until_ms);
}

/* If a reader waits for the chunk for long, another member is asked for it besides. */
static void begin_race(struct bringing *b)
{
	const struct source_peer_conf *conf = &b->all->conf;
	uint64_t size = b->ask->blob->file.size, pos = b->trip.range.pos;
	uint32_t racer;
	struct member *member;
	struct trip_ask a;
	struct wire_ask ask;

	look_who_waits(b);
	racer = trip_race(&b->trip, clock_ms());
	if (racer == ROUTE_NOBODY)
		return;
	member = b->trip.members->members[racer];
	if (probes_take(conf->probes, member)) {
		trip_race_skip(&b->trip);
		return;
	}
	a = trip_race_ask(&b->trip, clock_ms());
	ask = ask_for(b, &a, chunk_end(chunk_of(pos), size));
	log_debug("peer=%s is asked besides peer=%s etag=%s pos=%llu", member_address(member),
		  member_address(b->trip.members->members[b->trip.member]), b->ask->blob->etag,
		  (unsigned long long)pos);
	if (race_begin(&b->race, member, &ask, a.patience_ms, a.connect_ms, conf->asker) < 0) {
		trip_race_heard(&b->trip, &nothing, clock_ms());
		return;
	}
	metrics_add(&conf->counts->asked, 1);
	metrics_add(&conf->counts->raced, 1);
}

/* It has ended, or is to, as `slow` as it is: who was asked besides has brought all of the chunk,
 * or nothing of use. */
static void hear_race(struct bringing *b, bool slow)
{
	struct race *race = &b->race;
	uint32_t others[WIRE_OTHERS_MAX];
	int r = race_end(race);
	struct trip_heard heard = {
		.answer = answered_as(&race->question, r),
		.others = others,
		.other_count = answered_others(b->trip.members, &race->question, others),
		.number = race->question.number,
		.first_ms = race->question.first_ms,
		.quiet_ms = race->question.quiet_ms,
	};

	if (race->state == RACE_WON)
		return;
	if (slow || heard.answer == ROUTE_GAVE)
		heard.answer = slow ? ROUTE_SLOW : ROUTE_SCANT;
	count_twice(b, race->have);
	trip_race_heard(&b->trip, &heard, clock_ms());
	race_fini(race);
}

static void look_at_race(struct bringing *b)
{
	struct race *race = &b->race;
	bool slow = race->have &&
		    trip_is_trickle(&b->trip, race->began_ms, race->have, race->size, clock_ms());

	if (race_has_ended(race) || slow)
		hear_race(b, slow && !race_has_ended(race));
}

static int on_tick(void *arg)
{
	struct bringing *b = arg;

	if (b->race.state == RACE_RUNS)
		look_at_race(b);
	else
		begin_race(b);
	return b->race.state == RACE_WON ? ERR_TIMEOUT : 0;
}

/* ---- a question and its end ---- */

static void begin_hearing(struct bringing *b)
{
	b->in = (struct chunk_in){ .ask = b->ask, .provenance = b->all->conf.provenance };
	b->came = 0;
	b->slow = b->wrong = b->unlisted = false;
}

/* What peer_get_run says. Most of a way is waiting: between questions no chunk is kept. */
static int put_question(struct bringing *b, uint32_t member)
{
	const struct source_peer_conf *conf = &b->all->conf;
	const struct trip_ask a = trip_ask(&b->trip, clock_ms());
	const struct wire_ask ask = ask_for(b, &a, b->trip.range.end);
	struct peer_get *q = &b->question;
	int r;

	begin_hearing(b);
	*q = (struct peer_get){
		.member = b->trip.members->members[member],
		.ask = &ask,
		.cancel = b->ask->cancel,
		.patience_ms = a.patience_ms,
		.connect_ms = a.connect_ms,
		.sink = on_bytes,
		.tick = on_tick,
		.arg = b,
	};
	metrics_add(&conf->counts->asked, 1);
	r = peer_get_run(q, conf->asker);
	q->ask = NULL;
	chunk_in_end(&b->in);
	return r;
}

/* Tells the way how a question ended that peer_get_run says r of. */
static enum route_answer hear(struct bringing *b, int r)
{
	uint32_t others[WIRE_OTHERS_MAX];
	const struct trip_heard heard = {
		.answer = ending(b, r),
		.others = others,
		.other_count = answered_others(b->trip.members, &b->question, others),
		.number = b->question.number,
		.quiet_ms = b->question.quiet_ms,
		.first_ms = b->question.first_ms,
		.bytes = b->wrong ? b->in.have : b->came,
	};
	enum route_answer a = trip_heard(&b->trip, &heard, clock_ms());

	if (b->wrong)
		report_lie(b);
	log_debug("peer=%s etag=%s segment=%u pos=%llu answer=%s status=%d r=%d",
		  member_address(b->question.member), b->ask->blob->etag,
		  b->trip.range.segment.index, (unsigned long long)b->trip.range.pos,
		  route_answer_name(a), b->question.status, r);
	return a;
}

/* After a question that peer_get_run says r of. Non-zero: the run ends with it. */
static int conclude(struct bringing *b, int r)
{
	enum route_answer answer = hear(b, r);

	if (r == ERR_CANCELED)
		return r;
	if (b->question.sunk && !b->slow && !b->wrong && !b->unlisted)
		return b->question.sunk;
	if (!b->wrong)
		count_twice(b, b->in.have);
	return answer == ROUTE_COMING ? b->ask->sink(b->ask->arg, NULL, 0) : 0;
}

/* Takes the chunk of who was asked besides, as if that one alone had been asked. */
static int take_from_race(struct bringing *b)
{
	struct race *race = &b->race;
	int r;

	trip_race_won(&b->trip);
	race->state = RACE_NONE;
	b->question = race->question;
	b->question.ask = NULL;
	begin_hearing(b);
	r = b->question.sunk = on_bytes(b, race->bytes, race->have);
	chunk_in_end(&b->in);
	race_fini(race);
	return conclude(b, r);
}

/* Of a question that was ended since another one has brought the chunk. */
static void hear_outrun(struct bringing *b)
{
	const struct peer_get *q = &b->question;
	const struct trip_heard heard = {
		.answer = q->status ? ROUTE_LEFT : ROUTE_SILENT,
		.number = q->number,
		.quiet_ms = q->quiet_ms,
		.first_ms = q->first_ms,
		.bytes = b->came,
	};

	count_twice(b, b->in.have);
	trip_outrun(&b->trip, &heard, clock_ms());
}

/* Asks a member. Non-zero: likewise. */
static int ask_member(struct bringing *b, uint32_t member)
{
	int r;

	look_for_list(b);
	r = put_question(b, member);
	if (b->race.state != RACE_WON)
		return conclude(b, r);
	hear_outrun(b);
	return 0;
}

/* No reader waits to see whether a member that was silent is so still. Who has just given bytes to
 * this one is asked on. */
static bool is_tried_by_others(const struct bringing *b, const struct trip_step *step)
{
	return !step->goes_on &&
	       probes_take(b->all->conf.probes, b->trip.members->members[step->member]);
}

/* ---- the way ---- */

/* Leaves what is asked for from `from` on to the hubs. */
static int pass(const struct source_peer *s, const struct source_ask *ask, uint64_t from)
{
	metrics_add(&s->conf.counts->passed, 1);
	provenance_note(s->conf.provenance, ask->blob->etag, ask->blob->file.size, chunk_of(from),
			chunk_of(ask->off + ask->len - 1) + 1, NULL);
	return SOURCE_PASS;
}

/* The same of all of it: members may wait here for it, as with who asks upstream. */
static int pass_all(const struct source_peer *s, const struct source_ask *ask)
{
	struct segment segment = { placement_key(ask->blob->etag), segment_of(ask->off) };

	for (; segment.index <= segment_of(ask->off + ask->len - 1); segment.index++)
		segment_notes_put(s->conf.notes, segment, 0, clock_ms());
	return pass(s, ask, ask->off);
}

static int rest(struct bringing *b, int64_t ms)
{
	int64_t end = clock_ms() + ms;

	for (int64_t left = ms; left > 0 && b->race.state != RACE_WON; left = end - clock_ms()) {
		if (atomic_load(&b->ask->cancel->canceled))
			return ERR_CANCELED;
		clock_sleep_ms(min_i64(RESTED_MS, left));
		if (b->trip.again_ms) /* it is for who has bytes coming */
			(void)on_tick(b);
	}
	return 0;
}

/* True if there is nobody left to be asked but who is asked besides. */
static bool is_left_to_race(const struct bringing *b, const struct trip_step *step)
{
	return b->race.state == RACE_RUNS &&
	       (step->kind == TRIP_SOURCE ||
		(step->kind == TRIP_ASK && step->member == b->trip.racer));
}

/* For a moment: what is to be done besides is asked anew then. When that is the last, a reader goes
 * on to the source unless it gets on. */
static int await_race(struct bringing *b, const struct trip_step *step)
{
	const struct race *race = &b->race;
	bool last = b->trip.seeks && race->have < race->size / 2;

	if (atomic_load(&b->ask->cancel->canceled))
		return ERR_CANCELED;
	clock_sleep_ms(RESTED_MS);
	look_at_race(b);
	if (!last || race->state != RACE_RUNS || clock_ms() <= race->began_ms + WAITING_DEMAND_MS)
		return 0;
	lose_race(b);
	if (step->kind == TRIP_ASK)
		trip_skip(&b->trip);
	return 0;
}

/* Non-zero: the run ends with it. */
static int take_step(struct bringing *b, const struct trip_step *step)
{
	if (is_left_to_race(b, step))
		return await_race(b, step);
	if (step->kind == TRIP_SOURCE || b->contested)
		return pass(b->all, b->ask, b->trip.range.pos);
	if (step->kind == TRIP_REST)
		return rest(b, step->rest_ms);
	if (!is_tried_by_others(b, step))
		return ask_member(b, step->member);
	trip_skip(&b->trip);
	return 0;
}

static int go(struct bringing *b)
{
	struct trip_step step;
	int r = 0;

	while (r == 0) {
		if (b->race.state == RACE_WON && (r = take_from_race(b)) != 0)
			return r;
		look_who_waits(b);
		step = trip_next(&b->trip, clock_ms());
		if (step.kind == TRIP_THERE)
			return 0;
		if (step.kind == TRIP_OVER)
			return ERR_UPSTREAM;
		r = take_step(b, &step);
	}
	return r;
}

/* Brings the part of what is asked for that lies in the segment of the byte at pos. */
static int bring(struct bringing *b, const struct membership *members, uint64_t pos)
{
	const struct source_ask *ask = b->ask;
	const struct wire_ask words = wire_ask_of(ask->blob, pos, 1);
	struct trip_range range = {
		.segment = { placement_key(ask->blob->etag), segment_of(pos) },
		.origin = wire_origin(&words),
		.size = ask->blob->file.size,
		.pos = pos,
	};
	int r;

	range.end = min_u64(ask->off + ask->len, segment_end(range.segment.index, range.size));
	trip_begin(&b->trip, &b->all->node, members, &range, clock_ms());
	r = go(b);
	lose_race(b);
	trip_end(&b->trip);
	return r;
}

/* If the list has this node under another name alone, nobody else asks that whether it still is. */
static void try_own_name(const struct source_peer *s, const struct membership *members)
{
	struct member *own = members->members[members->self];

	if (member_may_ask(own, clock_ms()) && !probes_take(s->conf.probes, own))
		log_debug("nobody tries peer=%s", member_address(own));
}

static int get(struct source *s, const struct source_ask *ask, int64_t *ret_wait_ms)
{
	struct source_peer *all = container_of(s, struct source_peer, source);
	struct bringing b = { .all = all, .ask = ask };
	const struct membership *members;
	uint64_t at = ask->off;
	int r = 0;

	*ret_wait_ms = -1;
	if (ask->blob->own)
		return SOURCE_PASS;
	if (all->conf.gives_only)
		return pass_all(all, ask);
	members = members_now(all->conf.members);
	try_own_name(all, members);
	for (; r == 0 && at < ask->off + ask->len; at = b.trip.range.end)
		r = bring(&b, members, at);
	membership_unref(members);
	return r;
}

int source_peer_new(const struct source_peer_conf *conf, struct source **ret)
{
	struct source_peer *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->source.name = SOURCE_PEER_NAME;
	s->source.get = get;
	s->source.hearsay = true;
	s->conf = *conf;
	s->node.placement = conf->placement;
	s->node.notes = conf->notes;
	s->node.give_up_ms = conf->give_up_ms;
	s->node.races_max = &s->source.besides_max;
	*ret = (struct source *)s; /* its first member, named so that gcc's analyzer sees no leak */
	return 0;
}

void source_peer_free(struct source *s)
{
	if (s)
		free(container_of(s, struct source_peer, source));
}
