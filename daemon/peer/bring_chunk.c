/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/answered.h"
#include "daemon/peer/source_peer_priv.h"
#include "daemon/peer/trip_race.h"

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
	bring_lose_race(b);
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

/* ---- a question and its end ---- */

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
	const struct wire_ask ask = bring_ask_for(b, &a, b->trip.range.end);
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
		.tick = bring_tick,
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
		bring_count_twice(b, b->in.have);
	return answer == ROUTE_COMING ? b->ask->sink(b->ask->arg, NULL, 0) : 0;
}

/* Takes the chunk of who was asked besides, as if that one alone had been asked. */
int bring_take_from_race(struct bringing *b)
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

/* Asks a member. Non-zero: likewise. */
int bring_ask_member(struct bringing *b, uint32_t member)
{
	int r;

	look_for_list(b);
	r = put_question(b, member);
	if (b->race.state != RACE_WON)
		return conclude(b, r);
	bring_hear_outrun(b);
	return 0;
}
