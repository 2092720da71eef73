/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/inquiry.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/weigh.h"

#define REST_MS 100  /* after all were asked once more, and nobody knew more */
#define EARLY_MS 500 /* while a blob is coming there is time to ask again later */

/* A blob; or one segment of it, before all is there. */
struct inquiry {
	struct trial trial;
	bool *disputed; /* one a segment: its owner says that something is wrong */
	uint32_t disputes;
	bool stalled; /* who vouches for the segment does not say of what, and gave of it */
};

/* Who is heard of one segment, one after another. */
struct hearing {
	uint32_t segment;
	uint32_t who[PLACEMENT_OWNERS + 1]; /* members, this node last of all if it is a witness */
	unsigned count, next;
	uint32_t asked; /* chunks that the next one is asked for, bit i; 0: it was not asked */
	unsigned told;  /* testimonies there are */
	uint32_t first; /* who gave the one that was contradicted */
	struct wire_digests testimony;
};

static bool is_early(const struct inquiry *q)
{
	return q->trial.voucher != TRIAL_OWNERS;
}

/* ---- the hub's list ---- */

static void compare_published(struct inquiry *q)
{
	struct trial *t = &q->trial;
	uint8_t must[CHUNK_LIST_DIGEST];

	if (!published_look(t->conf->published, t->doubt->what, t->doubt->cancel))
		return;
	for (uint32_t i = 0; i < t->have->count; i++)
		if (evidence_knows(t->conf->evidence, t->doubt->what->etag, i, must) ==
		    EVIDENCE_PUBLISHED)
			trial_settle(t, i, must);
}

/* ---- hearings ---- */

/* The owner of a segment vouches for what it had from a hub itself: what members gave of that is in
 * dispute if it is anything else. */
static void hear_owner(struct inquiry *q, struct hearing *h, const struct wire_digests *d)
{
	struct trial *t = &q->trial;
	uint32_t first, count = trial_chunks(t, h->segment, &first);
	bool disputed = false;

	for (uint32_t i = 0; i < count; i++) {
		memcpy(t->vouched->digests[first + i], d->of[i], CHUNK_LIST_DIGEST);
		disputed |= trial_differs(t, first + i, d->of[i]);
	}
	q->disputed[h->segment] = disputed;
	q->disputes += disputed;
	h->next = h->count;
}

/* What a witness says of a chunk. False: another one is to be heard. */
static bool hear_of(struct inquiry *q, const struct hearing *h, uint32_t chunk, uint32_t i,
		    const uint8_t *told)
{
	struct trial *t = &q->trial;
	const struct membership *members = t->members;
	const uint8_t *first = h->testimony.of[i];
	enum weighed w;

	if (!chunk_digest_known(told))
		return false;
	w = weigh(&(struct sayings){
		.here = trial_have(t, chunk),
		.vouched = t->vouched->digests[chunk],
		.first = h->told && chunk_digest_known(first) ? first : NULL,
		.told = told,
		.gave = trial_has_given(t, chunk,
					member_address(members->members[h->who[h->next]])),
		.is_own = h->who[h->next] == members->self,
	});
	if (w == WEIGH_OPEN)
		return false;
	trial_settle(t, chunk, told);
	if (w == WEIGH_FIRST_LIED)
		trial_accuse_witness(t, chunk, member_address(members->members[h->first]));
	return true;
}

/* A chunk that was given by who is to vouch for it and does not, and that nobody else has told. */
static bool is_untold(struct trial *t, uint32_t i)
{
	const char *voucher = member_address(t->members->members[t->voucher]);
	const uint8_t *mine = trial_has_given(t, i, voucher) ? trial_have(t, i) : NULL;
	uint8_t must[CHUNK_LIST_DIGEST];

	return mine && !trial_is_settled(t, i) &&
	       !(evidence_knows(t->conf->evidence, t->doubt->what->etag, i, must) &&
		 chunk_digest_same(mine, must));
}

static bool is_chunk_in_question(struct inquiry *q, uint32_t i)
{
	struct trial *t = &q->trial;

	if (q->stalled)
		return is_untold(t, i);
	return q->disputes ? trial_differs(t, i, t->vouched->digests[i])
			   : trial_is_hearsay(t, i) && !trial_is_settled(t, i);
}

/* A witness has each chunk from upstream: it is asked for those that are in dispute, if any are,
 * and else for all that nobody has settled. What is not here yet is nobody's word against
 * another's. */
static uint32_t in_question(struct inquiry *q, uint32_t segment)
{
	uint32_t first, count = trial_chunks(&q->trial, segment, &first), bits = 0;

	for (uint32_t i = first; i < first + count; i++)
		bits |= is_chunk_in_question(q, i) ? 1U << (i - first) : 0;
	return bits;
}

static void hear_witness(struct inquiry *q, struct hearing *h, const struct wire_digests *d)
{
	uint32_t first, count = trial_chunks(&q->trial, h->segment, &first);
	bool settled = true;

	for (uint32_t i = 0; i < count; i++)
		if (h->asked & 1U << i)
			settled &= hear_of(q, h, first + i, i, d->of[i]);
	if (!h->told) {
		h->testimony = *d;
		h->first = h->who[h->next];
	}
	h->told++;
	h->next = settled ? h->count : h->next + 1;
}

/* As interview() says, of a witness; 0 if there is nothing to ask. */
static int ask_witness(struct inquiry *q, struct hearing *h, struct wire_digests *ret)
{
	if (!h->asked) /* the same until it has told: it may be finding that out */
		h->asked = in_question(q, h->segment);
	return h->asked
		       ? interview_witness(&q->trial.by, h->who[h->next], h->segment, h->asked, ret)
		       : 0;
}

/* One step. True if it went on. */
static bool hear(struct inquiry *q, struct hearing *h, bool witness)
{
	struct wire_digests d;
	int r = witness ? ask_witness(q, h, &d)
			: interview(&q->trial.by, h->who[h->next], h->segment, AS_OWNER, &d);

	if (r == -EAGAIN)
		return false;
	if (r < 0)
		h->next++;
	else if (!witness)
		hear_owner(q, h, &d);
	else if (h->asked)
		hear_witness(q, h, &d);
	else
		h->next = h->count;
	h->asked = 0;
	return true;
}

/* Asks round and round until all are heard, or nobody says anything more. */
static int hear_all(struct inquiry *q, struct hearing *all, uint32_t count, bool witness)
{
	const struct doubt *doubt = q->trial.doubt;
	int64_t moved_ms = clock_ms();
	int64_t patience_ms = is_early(q) ? EARLY_MS : q->trial.conf->give_up_ms;
	bool open = true;

	while (open && clock_ms() - moved_ms < patience_ms) {
		bool moved = open = false;

		for (uint32_t i = 0; i < count; i++) {
			struct hearing *h = &all[i];

			if (atomic_load(&doubt->cancel->canceled))
				return ERR_CANCELED;
			if (h->next < h->count)
				moved |= hear(q, h, witness);
			open |= h->next < h->count;
		}
		if (moved) {
			moved_ms = clock_ms();
			doubt->moved(doubt->arg);
		} else if (open) {
			clock_sleep_ms(REST_MS);
		}
	}
	return 0;
}

/* ---- who is heard ---- */

/* Something of it is here that no hub gave. */
static bool is_in_question(const struct inquiry *q, uint32_t segment)
{
	uint32_t first, count = trial_chunks(&q->trial, segment, &first);
	bool so = false;

	for (uint32_t i = 0; i < count; i++)
		so |= trial_is_hearsay(&q->trial, first + i);
	return so;
}

/* The first of its owners that are to be heard, and as a witness this node after all others. Who
 * vouches for the segment is no witness of that. */
static void call(const struct inquiry *q, const uint32_t *owners, unsigned owner_count,
		 unsigned from, struct hearing *h)
{
	uint32_t self = q->trial.members->self;
	bool called = false;

	if (from == 0 && owners[0] != self)
		h->who[h->count++] = owners[0];
	for (unsigned i = from; from && !called && i < owner_count; i++) {
		called = owners[i] == self;
		if (owners[i] != q->trial.voucher)
			h->who[h->count++] = owners[i];
	}
	if (from && !called && !is_early(q)) /* each node would ask its hub for all of it */
		h->who[h->count++] = self;
}

/* Of each segment that is in question its owner is heard (from == 0), or witnesses: those that
 * follow the owner, from that one on. */
static int hold_hearings(struct inquiry *q, unsigned from)
{
	const struct trial *t = &q->trial;
	uint64_t size = t->doubt->what->file.size;
	uint32_t count = segment_count(size);
	CLEANUP(freep) struct hearing *all = calloc(count, sizeof(*all));

	if (!all)
		return -ENOMEM;
	for (uint32_t k = 0; k < count; k++) {
		uint32_t owners[PLACEMENT_OWNERS];
		const struct segment segment = { t->blob, k };
		unsigned n = 0;

		all[k].segment = k;
		if ((!q->disputes || q->disputed[k]) && is_in_question(q, k))
			n = places_owners(t->conf->places, t->members, segment, size, owners);
		if (n)
			call(q, owners, n, from, &all[k]);
	}
	return hear_all(q, all, count, from > 0);
}

/* ---- all of it ---- */

/* What witnesses said may be a lie; what this node has seen is none. */
static void begin_anew(struct inquiry *q)
{
	struct trial *t = &q->trial;

	memset(t->must->digests, 0, t->must->count * sizeof(t->must->digests[0]));
	trial_heed(t, 0, t->must->count, EVIDENCE_WITNESSED);
}

/* Where the owners see nothing wrong they may be who lied; and where the first witnesses see
 * nothing they may be. */
static int inquire(struct inquiry *q)
{
	struct trial *t = &q->trial;
	int r = 0;

	compare_published(q);
	if (!t->dropped) {
		begin_anew(q);
		r = hold_hearings(q, 0);
	}
	if (r == 0 && q->disputes)
		r = hold_hearings(q, 1);
	q->disputes = 0;
	/* What has gone meanwhile, as wrong, is what the digest of all spoke of. */
	for (unsigned from = 1; r == 0 && !t->dropped && blob_digest_stands(t->doubt->blob) &&
				from <= PLACEMENT_OWNERS;
	     from++) {
		begin_anew(q);
		r = hold_hearings(q, from);
	}
	return r;
}

static void end(struct inquiry *q)
{
	free(q->disputed);
	trial_end(&q->trial);
}

/* As trial_begin. */
static int begin(struct inquiry *q, const struct trial_conf *conf, const struct doubt *d)
{
	int r = trial_begin(&q->trial, conf, d);

	if (r < 0)
		return r;
	q->disputed = calloc(segment_count(d->what->file.size), sizeof(*q->disputed));
	if (q->disputed)
		return 0;
	end(q);
	return -ENOMEM;
}

int inquiry_look(const struct trial_conf *conf, const struct doubt *d)
{
	CLEANUP(freep) struct inquiry *q = calloc(1, sizeof(*q));
	int r = q ? begin(q, conf, d) : -ENOMEM;

	if (r < 0)
		return r == -ENODATA ? 0 : r;
	r = inquire(q);
	trial_conclude(&q->trial);
	if (r == 0)
		r = (int)q->trial.dropped;
	end(q);
	return r;
}

/* ---- one segment, before all is there ---- */

/* The owner need not be asked about what it has told already, or a hub. */
static bool has_told(struct inquiry *q, uint32_t segment, const struct wire_digests *told)
{
	const struct trial *t = &q->trial;
	uint32_t first, count = trial_chunks(t, segment, &first);
	bool so = true;

	for (uint32_t i = 0; so && i < count; i++)
		so = chunk_digest_known(told->of[i]) || trial_is_settled(t, first + i) ||
		     !trial_is_hearsay(t, first + i) || !blob_may_have(t->doubt->blob, first + i);
	return so;
}

/* Who gave a chunk that is not as the owner of its segment had it is asked what it holds itself. If
 * that is what the owner says, it has changed it on its way. If it does not stand by what it gave,
 * that goes for once, and comes from elsewhere: that costs less than a witness, and proves nothing.
 * So it does if the owner gave it, which contradicts itself then. */
static void hear_giver(struct inquiry *q, uint32_t chunk, struct interview_held *held)
{
	struct trial *t = &q->trial;
	const uint8_t *vouched = t->vouched->digests[chunk], *gave = t->have->digests[chunk];
	const uint8_t *holds = held->d.of[chunk % WIRE_CHUNKS];
	const char *etag = t->doubt->what->etag;
	char who[MEMBER_ADDRESS_MAX + 1];
	bool vouches;
	int at = -ENOENT;

	if (evidence_giver(t->conf->evidence, etag, chunk, who) == EVIDENCE_MEMBER)
		at = membership_find(t->members, who);
	if (at < 0)
		return;
	vouches = at == (int)t->voucher;
	if (!vouches)
		interview_holder(&t->by, (uint32_t)at, segment_of(chunk_start(chunk)), held);
	if (!vouches && chunk_digest_same(holds, vouched))
		trial_settle(t, chunk, vouched);
	else if ((vouches || !chunk_digest_same(holds, gave)) &&
		 !evidence_dropped(t->conf->evidence, etag, chunk))
		trial_drop(t, chunk, vouches);
}

/* Of the chunks that are not as the owner says. */
static void hear_givers(struct inquiry *q, uint32_t segment)
{
	struct trial *t = &q->trial;
	uint32_t first, count = trial_chunks(t, segment, &first);
	struct interview_held held = { 0 };

	for (uint32_t i = first; i < first + count; i++)
		if (trial_differs(t, i, t->vouched->digests[i]))
			hear_giver(q, i, &held);
}

/* True if a chunk is not as the owner says (or it does not say), and nobody knows yet which of the
 * two is right. */
static bool is_open(struct inquiry *q, uint32_t segment)
{
	struct trial *t = &q->trial;
	uint32_t first, count = trial_chunks(t, segment, &first);
	bool open = false;

	for (uint32_t i = first; q->disputes && i < first + count; i++)
		open |= !(t->gone & 1U << i % WIRE_CHUNKS) && is_chunk_in_question(q, i);
	return open;
}

/* Witnesses are heard of what it gave itself. */
static void stall(struct inquiry *q, uint32_t segment)
{
	q->stalled = true;
	q->disputed[segment] = in_question(q, segment);
	q->disputes = q->disputed[segment];
}

/* What came before a hub published the list, or gave it to this node as a witness, is as that says,
 * or goes: no word of a member counts beside it. 0; or as inquiry_compare. */
static int hear_early(struct inquiry *q, uint32_t segment, enum inquiry_time time,
		      struct wire_digests *told)
{
	struct trial *t = &q->trial;
	struct hearing h = { .segment = segment };
	uint32_t first, count = trial_chunks(t, segment, &first);
	int r = 0;

	trial_heed(t, first, first + count, EVIDENCE_WITNESSED);
	if (!has_told(q, segment, told))
		r = interview(&t->by, t->voucher, segment, AS_OWNER, told);
	if (r == -EAGAIN && time == INQUIRY_STALLED)
		stall(q, segment);
	if (r == 0)
		hear_owner(q, &h, told);
	if (q->disputes && !q->stalled)
		hear_givers(q, segment);
	if (q->disputes && q->stalled)
		r = 0;
	if (time != INQUIRY_FIRST && is_open(q, segment))
		r = hold_hearings(q, 1);
	if (q->disputes || t->dropped)
		trial_conclude(t);
	return r;
}

static bool has_given(const struct trial *t, uint32_t segment, const char *owner)
{
	uint32_t first, count = trial_chunks(t, segment, &first);
	bool so = false;

	for (uint32_t i = first; !so && i < first + count; i++)
		so = trial_has_given(t, i, owner);
	return so;
}

int inquiry_compare(const struct trial_conf *conf, const struct doubt *d, uint32_t segment,
		    const char *owner, enum inquiry_time time, struct inquiry_compared *c)
{
	CLEANUP(freep) struct inquiry *q = calloc(1, sizeof(*q));
	int r = q ? begin(q, conf, d) : -ENOMEM, at;

	c->dropped = 0;
	c->refuted = c->open = c->own = false;
	if (r < 0)
		return r;
	at = membership_find(q->trial.members, owner);
	if (at >= 0) {
		q->trial.voucher = (uint32_t)at;
		r = hear_early(q, segment, time, &c->told);
		c->open = r == 0 && is_open(q, segment);
		c->own = has_given(&q->trial, segment, owner);
	}
	c->dropped = q->trial.gone;
	c->refuted = q->trial.refuted;
	end(q);
	return at < 0 ? at : r;
}
