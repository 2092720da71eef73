/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/source_peer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/decide.h"
#include "daemon/peer/question.h"
#include "daemon/peer/route.h"
#include "daemon/peer/seek.h"

#define RESTED_MS 50 /* of a rest at a time, so that its end is noticed */

struct source_peer {
	struct source source;
	struct source_peer_conf conf;
	metric raced;             /* bytes that somebody else was asked for, too, who waited */
	_Atomic int64_t usual_ms; /* from one chunk to the next, lately */
};

/* The way of one range, which lies in one segment. */
struct trip {
	struct source_peer *all;
	const struct source_ask *ask;
	const struct membership *members; /* borrowed */
	struct route route;
	uint64_t blob; /* its key */
	uint32_t segment;
	uint64_t pos, end; /* still to be given */
	char *chunk;       /* the one that pos is in, or NULL */
	size_t have;       /* of it, from its start */
	int64_t since_ms;  /* nothing was given since, or another member is asked */
	int64_t dry_ms;    /* nothing was given since, whoever is asked */
	struct question question;
	int64_t chunk_ms; /* its bytes come since */
	uint64_t came;    /* bytes of this question */
	bool slow;        /* it was ended for that */
	bool wrong;       /* likewise, */
	bool misled;      /* and who gave it may not know */
	bool looked;      /* for the blob's digest list */
	uint32_t number;  /* that it is asked with: another had said to ask there; or 0 */
	uint32_t member;  /* who is asked */
};

/* ---- bytes ---- */

static void note_usual(struct trip *t)
{
	atomic_store(&t->all->usual_ms,
		     decide_usual_ms(atomic_load(&t->all->usual_ms), clock_ms() - t->since_ms));
}

static int digest_is(enum digest_kind kind, const void *data, size_t len, const uint8_t *must)
{
	uint8_t is[DIGEST_BYTES_MAX];
	int r = digest_of(kind, data, len, is);

	return r < 0 ? r : memcmp(is, must, digest_size(kind)) == 0 ? 0 : ERR_DIGEST;
}

/* Compares a chunk that has come with what is known of it. ERR_DIGEST. */
static int check_chunk(const struct trip *t)
{
	const struct source_blob *blob = t->ask->blob;
	uint8_t must[CHUNK_LIST_DIGEST];

	if (t->have == blob->file.size)
		return digest_is(blob->file.kind, t->chunk, t->have, blob->file.digest);
	if (!evidence_knows(t->all->conf.evidence, blob->etag, chunk_of(t->pos), must))
		return 0;
	return digest_is(DIGEST_SHA256, t->chunk, t->have, must);
}

/* True if who gave a wrong chunk was to have it from others, and could not compare it. */
static bool may_be_misled(const struct trip *t)
{
	const struct member *owner = t->members->members[t->route.place.owners[0]];
	uint8_t must[CHUNK_LIST_DIGEST];

	return t->have != t->ask->blob->file.size && t->question.member != owner &&
	       evidence_knows(t->all->conf.evidence, t->ask->blob->etag, chunk_of(t->pos), must) !=
		       EVIDENCE_PUBLISHED;
}

/* Gives what is wanted of a chunk that has come, if it may be right. */
static int give_chunk(struct trip *t)
{
	uint64_t start = chunk_floor(t->pos);
	size_t skip = (size_t)(t->pos - start), len = t->have - skip;
	const struct source_blob *blob = t->ask->blob;
	int r = check_chunk(t);

	t->wrong = r == ERR_DIGEST;
	t->misled = t->wrong && may_be_misled(t);
	if (r < 0)
		return r;
	evidence_note(t->all->conf.evidence, blob->etag, blob->file.size, chunk_of(t->pos),
		      chunk_of(t->pos) + 1, member_address(t->question.member));
	r = t->ask->sink(t->ask->arg, t->chunk + skip, len);
	t->have = 0;
	t->pos += len;
	note_usual(t);
	t->since_ms = t->dry_ms = t->chunk_ms = clock_ms();
	metrics_add(&t->all->conf.counts->bytes_in, len);
	return r;
}

static struct decide_way way_of(const struct trip *t, int64_t since_ms)
{
	const struct source_peer *s = t->all;

	return (struct decide_way){
		.waited_ms = clock_ms() - since_ms,
		.quiet_ms = t->question.quiet_ms,
		.number = t->number,
		.usual_ms = atomic_load(&s->usual_ms),
		.give_up_ms = s->conf.give_up_ms,
		.demand = t->ask->demand,
		.left = t->end - t->pos,
		.in = metrics_get(&s->conf.counts->bytes_in),
		.twice = metrics_get(&s->raced),
	};
}

static bool is_late(const struct trip *t)
{
	const struct decide_way way = way_of(t, t->since_ms);

	return decide_is_late(&way);
}

static uint64_t chunk_size(const struct trip *t)
{
	uint32_t i = chunk_of(t->pos);

	return chunk_end(i, t->ask->blob->file.size) - chunk_start(i);
}

/* What came before of whole chunks says nothing of this one. */
static bool is_trickle(const struct trip *t)
{
	const struct decide_way way = way_of(t, t->chunk_ms);

	return t->have && decide_is_trickle(&way, t->question.patience_ms, t->have, chunk_size(t));
}

static int on_bytes(void *arg, const void *data, size_t len)
{
	struct trip *t = arg;
	int r = 0;

	if (!t->chunk)
		t->chunk = malloc(CHUNK_BYTES);
	if (!t->chunk)
		return -ENOMEM;
	if (!t->came)
		t->chunk_ms = clock_ms();
	t->came += len;
	for (const char *from = data; r == 0 && len;) {
		size_t whole = chunk_size(t);
		size_t n = min_u64(len, whole - t->have);

		memcpy(t->chunk + t->have, from, n);
		t->have += n;
		from += n;
		len -= n;
		if (t->have == whole)
			r = give_chunk(t);
	}
	t->slow = r == 0 && is_trickle(t);
	return t->slow ? ERR_TIMEOUT : r;
}

/* ---- one question ---- */

/* Among those who want the segment; 1 if nobody has said so yet. */
static uint32_t own_number(const struct trip *t)
{
	struct trail trail;

	trails_find(t->all->conf.trails, t->blob, t->segment, clock_ms(), &trail);
	return trail.number ? trail.number : 1;
}

static void note_number(const struct trip *t, uint32_t number)
{
	trails_number(t->all->conf.trails, t->blob, t->segment, number, clock_ms());
}

static void write_ask(const struct trip *t, bool bring, struct wire_ask *ret)
{
	const struct source_blob *blob = t->ask->blob;
	uint64_t from = chunk_floor(t->pos);

	*ret = (struct wire_ask){
		.size = blob->file.size,
		.off = from,
		.len = t->end - from,
		.bring = bring,
		.number = bring && !route_was_named(&t->route) ? 0 : own_number(t),
		.repo = blob->repo,
		.path = blob->path,
	};
	memcpy(ret->etag, blob->etag, sizeof(ret->etag));
	memcpy(ret->commit, blob->commit, sizeof(ret->commit));
	for (unsigned i = 0; i < t->route.failed_count && i < WIRE_OTHERS_MAX; i++)
		snprintf(ret->failed[ret->failed_count++], sizeof(ret->failed[0]), "%s",
			 member_address(t->members->members[t->route.failed[i]]));
}

/* What an answer means for the way. */
static enum route_answer meaning(const struct trip *t, int r)
{
	if (t->wrong)
		return ROUTE_WRONG;
	if (t->slow)
		return ROUTE_SLOW;
	if (r == ERR_BUSY && !t->question.sunk)
		return ROUTE_BUSY;
	if (r < 0)
		return ROUTE_SILENT;
	switch (t->question.status) {
	case WIRE_BYTES:
		return ROUTE_GAVE;
	case WIRE_COMING:
		return ROUTE_COMING;
	case WIRE_ELSEWHERE:
		return ROUTE_ELSEWHERE;
	case WIRE_BUSY:
		return ROUTE_BUSY;
	case WIRE_FAILED:
		return ROUTE_FAILED;
	case WIRE_NOT_HERE:
	case WIRE_OTHER_SIZE:
	case WIRE_FULL:
		return ROUTE_NOT_HERE;
	default:
		return ROUTE_SILENT;
	}
}

static enum member_outcome outcome(const struct trip *t, enum route_answer answer, int r)
{
	if (t->wrong)
		return t->misled ? MEMBER_MISLED : MEMBER_LIED;
	if (answer == ROUTE_SLOW)
		return MEMBER_VAIN;
	if (t->question.sunk < 0 || r == -ENOMEM || r == ERR_BUSY)
		return MEMBER_LEFT; /* that was our own fault, or nobody's */
	if (r == ERR_TOKEN)
		return MEMBER_REFUSED;
	if (r < 0)
		return MEMBER_SILENT;
	return t->question.status == WIRE_BYTES ? MEMBER_GAVE : MEMBER_ANSWERED;
}

static unsigned find_others(const struct trip *t, uint32_t ret[static WIRE_OTHERS_MAX])
{
	unsigned count = 0;

	for (unsigned i = 0; i < t->question.other_count; i++) {
		int at = membership_find(t->members, t->question.others[i]);

		if (at >= 0)
			ret[count++] = (uint32_t)at;
	}
	return count;
}

/* Other ranges of the segment begin with whoever gives this one, or is to. */
static void note_giver(struct trip *t, uint32_t member)
{
	trails_note(t->all->conf.trails, t->blob, t->segment, t->members->nodes[member].key,
		    clock_ms());
}

static void note_answer(struct trip *t, uint32_t member, enum route_answer answer)
{
	struct source_peer *s = t->all;

	/* Who was sent to it has the number he was sent with. */
	if (t->question.number && (answer == ROUTE_ELSEWHERE ||
				   (!t->number && (answer == ROUTE_GAVE || answer == ROUTE_COMING))))
		note_number(t, t->question.number);
	if (answer == ROUTE_GAVE)
		note_giver(t, member);
	if (answer == ROUTE_COMING && t->question.quiet_ms >= 0)
		trails_moved(s->conf.trails, t->blob, t->segment, clock_ms() - t->question.quiet_ms,
			     clock_ms());
	if (answer == ROUTE_SLOW)
		metrics_add(&s->raced, t->end - t->pos);
	/* Of a chunk that did not become whole. */
	metrics_add(&s->conf.counts->bytes_twice, t->have);
}

/* How long the answer took, as far as that was not waiting for bytes. */
static int64_t first_ms(const struct question *q)
{
	return q->first_ms > DECIDE_WAIT_MS ? -1 : q->first_ms;
}

static void report_lie(const struct trip *t)
{
	metrics_add(&t->all->conf.counts->bytes_wrong, t->have);
	log_warn(ERR_DIGEST, "peer=%s %s wrong bytes etag=%s path=%s chunks=%u, asking others",
		 member_address(t->question.member), t->misled ? "passed on" : "gave",
		 t->ask->blob->etag, t->ask->blob->path, chunk_of(t->pos));
}

/* Before the first bytes of a member: a blob of one chunk needs no list. */
static void look_for_list(struct trip *t)
{
	if (!t->looked && t->ask->blob->file.size > CHUNK_BYTES)
		(void)published_look(t->all->conf.published, t->ask->blob, t->ask->cancel);
	t->looked = true;
}

/* Asks a member; with `bring` it is to fetch what it has not. Non-zero: the run ends with it. */
static int ask_member(struct trip *t, uint32_t member, bool bring, enum route_answer *ret)
{
	const struct source_peer_conf *conf = &t->all->conf;
	struct question *q = &t->question;
	struct wire_ask ask;
	int64_t connect_ms;
	int r;

	look_for_list(t);
	write_ask(t, bring, &ask);
	t->number = ask.number;
	if (member != t->member)
		t->since_ms = clock_ms();
	t->member = member;
	ask.wait_ms = (uint32_t)decide_wait_ms(clock_ms() - t->since_ms, t->ask->demand);
	t->have = 0;
	t->came = 0;
	t->slow = t->wrong = false;
	*q = (struct question){
		.member = t->members->members[member],
		.ask = &ask,
		.cancel = t->ask->cancel,
		.patience_ms = ask.wait_ms + DECIDE_ANSWER_MS +
			       member_patience_ms(t->members->members[member], &connect_ms),
		.sink = on_bytes,
		.arg = t,
	};
	q->connect_ms = connect_ms;
	metrics_add(&conf->counts->asked, 1);
	r = question_ask(q, conf->asker);
	q->ask = NULL;
	free(steal(t->chunk)); /* a way is long, and mostly waiting */
	if (r == ERR_CANCELED) {
		member_note(q->member, MEMBER_LEFT, t->came, -1, clock_ms());
		return r;
	}
	*ret = meaning(t, r);
	if (*ret == ROUTE_COMING && is_late(t))
		*ret = ROUTE_SLOW;
	if (t->wrong)
		report_lie(t);
	member_note(q->member, outcome(t, *ret, r), t->wrong ? t->have : t->came, first_ms(q),
		    clock_ms());
	/* It may have turned out to be this node, which is not to wait for itself. */
	if (*ret == ROUTE_COMING && !member_may_ask(q->member, clock_ms()))
		*ret = ROUTE_NOT_HERE;
	if (q->sunk && !t->slow && !t->wrong)
		return q->sunk;
	if (*ret == ROUTE_COMING) {
		r = t->ask->sink(t->ask->arg, NULL, 0);
		if (r != 0)
			return r;
	}
	note_answer(t, member, *ret);
	log_debug("peer=%s etag=%s segment=%u pos=%llu answer=%d status=%d r=%d",
		  member_address(q->member), t->ask->blob->etag, t->segment,
		  (unsigned long long)t->pos, (int)*ret, q->status, r);
	return 0;
}

/* No reader waits to see whether a member that was silent is so still. Who has just given bytes to
 * this one is asked on. */
static bool is_tried_by_others(const struct trip *t, uint32_t member)
{
	return (member != t->member || !t->came) &&
	       tryouts_take(t->all->conf.tryouts, t->members->members[member]);
}

/* Asks whom the way names, and tells it what came of that. */
static int ask_on_way(struct trip *t, uint32_t member)
{
	uint32_t others[WIRE_OTHERS_MAX];
	enum route_answer answer;
	unsigned count;
	int r;

	if (is_tried_by_others(t, member)) {
		route_heard(&t->route, ROUTE_SILENT, NULL, 0);
		return 0;
	}
	r = ask_member(t, member, true, &answer);
	if (r != 0)
		return r;
	count = find_others(t, others);
	if (answer == ROUTE_ELSEWHERE && count && others[0] != t->members->self)
		note_giver(t, others[0]);
	route_heard(&t->route, answer, others, count);
	if (route_has_failed(&t->route))
		trails_failed(t->all->conf.trails, t->blob, t->segment, clock_ms());
	return 0;
}

/* ---- those who may have it ---- */

/* Takes of a member what it has. Non-zero: the run ends with it. */
static int take_from(struct trip *t, uint32_t member)
{
	enum route_answer answer = ROUTE_GAVE;
	int r = 0;

	while (r == 0 && answer == ROUTE_GAVE && t->pos < t->end)
		r = ask_member(t, member, false, &answer);
	return r;
}

/* Leaves the rest to the hubs. */
static int pass(const struct trip *t)
{
	const struct source_ask *ask = t->ask;
	const struct source_peer_conf *conf = &t->all->conf;

	metrics_add(&conf->counts->passed, 1);
	evidence_note(conf->evidence, ask->blob->etag, ask->blob->file.size, chunk_of(t->pos),
		      chunk_of(ask->off + ask->len - 1) + 1, NULL);
	return SOURCE_PASS;
}

/* Nobody is to bring it but us: whoever has it all the same gives it. What is left then is to be
 * had from upstream. */
static int seek(struct trip *t)
{
	CLEANUP(freep) uint32_t *list = NULL;
	int vain = trails_seek(t->all->conf.trails, t->blob, t->segment, t->pos, clock_ms());
	int count = vain < 0 ? 0
			     : seek_list(t->members, t->blob, t->segment,
					 seek_width((unsigned)vain), &list);
	int r = 0;

	if (vain >= SEEK_FAILED)
		trails_failed(t->all->conf.trails, t->blob, t->segment, clock_ms());
	for (int i = 0; r == 0 && i < count && t->pos < t->end; i++)
		if (member_may_ask(t->members->members[list[i]], clock_ms()) &&
		    !is_tried_by_others(t, list[i]))
			r = take_from(t, list[i]);
	if (r != 0 || t->pos == t->end)
		return r;
	note_number(t, 0);
	return pass(t);
}

/* ---- the way ---- */

static int rest(const struct trip *t, int64_t ms)
{
	for (int64_t end = clock_ms() + ms; clock_ms() < end;) {
		if (atomic_load(&t->ask->cancel->canceled))
			return ERR_CANCELED;
		clock_sleep_ms(RESTED_MS);
	}
	return 0;
}

static int go(struct trip *t)
{
	int r = 0;

	while (r == 0 && t->pos < t->end) {
		struct route_step step;

		if (decide_is_dry(clock_ms() - t->dry_ms, t->all->conf.give_up_ms))
			route_to_source(&t->route);
		step = route_next(&t->route, clock_ms());
		if (step.kind == ROUTE_SOURCE)
			return seek(t);
		r = step.kind == ROUTE_REST ? rest(t, step.rest_ms) : ask_on_way(t, step.member);
	}
	return r;
}

/* Where the way goes first, by what was heard lately. */
static void begin(struct trip *t, const struct route_place *place)
{
	struct trails *trails = t->all->conf.trails;
	struct trail trail;
	int giver;

	trails_find(trails, t->blob, t->segment, clock_ms(), &trail);
	giver = trail.giver ? placement_find(t->members->nodes, t->members->count, trail.giver)
			    : -ENOENT;
	route_init(&t->route, t->members, place, giver >= 0 ? (uint32_t)giver : ROUTE_NOBODY);
	if (trail_has_failed(&trail, clock_ms()))
		route_to_source(&t->route);
	trails_note(trails, t->blob, t->segment, 0, clock_ms());
}

/* Brings the part of the range that lies in the segment of t->pos. */
static int bring(struct trip *t)
{
	const struct source_peer_conf *conf = &t->all->conf;
	struct route_place place = { .blob = t->blob };

	t->segment = place.segment = segment_of(t->pos);
	t->end = min_u64(t->ask->off + t->ask->len,
			 segment_end(t->segment, t->ask->blob->file.size));
	t->since_ms = t->dry_ms = clock_ms();
	place.owner_count = places_owners(conf->places, t->members, t->blob,
					  t->ask->blob->file.size, t->segment, place.owners);
	begin(t, &place);
	return go(t);
}

static int get(struct source *s, const struct source_ask *ask, int64_t *ret_wait_ms)
{
	struct source_peer *all = container_of(s, struct source_peer, source);
	struct trip t = { .all = all, .ask = ask, .pos = ask->off, .member = ROUTE_NOBODY };
	int r = 0;

	*ret_wait_ms = -1;
	if (ask->blob->own)
		return SOURCE_PASS;
	t.blob = placement_key(ask->blob->etag);
	t.members = members_now(all->conf.members);
	while (r == 0 && t.pos < ask->off + ask->len)
		r = bring(&t);
	membership_unref(t.members);
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
	*ret = (struct source *)s; /* its first member, named so that gcc's analyzer sees no leak */
	return 0;
}

void source_peer_free(struct source *s)
{
	if (s)
		free(container_of(s, struct source_peer, source));
}
