/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/verify_blob.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/quorum.h"

#define REST_MS 100  /* after all were asked once more, and nobody knew more */
#define EARLY_MS 500 /* while a blob is coming there is time to ask again later */

/* A blob; or one segment of it, before all is there. */
struct verification {
	struct verify verify;
	uint32_t first, count; /* segments */
	bool *disputed;        /* one for each: its owner says that something is wrong */
	uint32_t disputes;
	bool stalled; /* who vouches for the segment does not say of what, and gave of it */
	bool waits;   /* who gave of it does not say yet what it holds */
};

/* Who is heard of one segment, one after another. */
struct poll {
	uint32_t segment;
	uint32_t who[PLACEMENT_OWNERS + 1]; /* members, this node last of all if it is a witness */
	unsigned count, next;
	uint32_t asked; /* chunks that the next one is asked for, bit i; 0: it was not asked */
	unsigned told;  /* sayings there are */
	uint32_t first; /* who gave the one that was contradicted */
	struct wire_digests said;
};

static bool is_early(const struct verification *q)
{
	return q->verify.voucher != VERIFY_OWNERS;
}

/* ---- the hub's list ---- */

static void compare_published(struct verification *q)
{
	struct verify *v = &q->verify;
	uint8_t must[CHUNK_LIST_DIGEST];

	if (!digest_lists_look(v->conf->lists, v->doubt->what, v->doubt->cancel))
		return;
	for (uint32_t i = v->first; i < v->first + v->count; i++)
		if (provenance_knows(v->conf->provenance, v->doubt->what->etag, i, must) ==
		    PROVENANCE_PUBLISHED)
			verify_settle(v, i, must);
}

/* ---- polls ---- */

/* The owner of a segment vouches for what it had from a hub itself: what members gave of that is in
 * dispute if it is anything else. */
static void note_owner(struct verification *q, struct poll *h, const struct wire_digests *d)
{
	struct verify *v = &q->verify;
	uint32_t first, count = verify_chunks(v, h->segment, &first);
	bool disputed = false;

	for (uint32_t i = 0; i < count; i++) {
		memcpy(verify_digest(v, v->vouched, first + i), d->of[i], CHUNK_LIST_DIGEST);
		disputed |= verify_differs(v, first + i, d->of[i]);
	}
	q->disputed[h->segment - q->first] = disputed;
	q->disputes += disputed;
	h->next = h->count;
}

/* What a witness says of a chunk. False: another one is to be heard. */
static bool note_saying(struct verification *q, const struct poll *h, uint32_t chunk, uint32_t i,
			const uint8_t *told)
{
	struct verify *v = &q->verify;
	const struct membership *members = v->members;
	const uint8_t *first = h->said.of[i];
	enum quorum w;

	if (!chunk_digest_known(told))
		return false;
	w = quorum(&(struct quorum_sayings){
		.here = verify_have(v, chunk),
		.vouched = verify_digest(v, v->vouched, chunk),
		.first = h->told && chunk_digest_known(first) ? first : NULL,
		.told = told,
		.gave = verify_has_given(v, chunk,
					 member_address(members->members[h->who[h->next]])),
		.is_own = h->who[h->next] == members->self,
	});
	if (w == QUORUM_OPEN)
		return false;
	verify_settle(v, chunk, told);
	if (w == QUORUM_FIRST_LIED)
		verify_blame_witness(v, chunk, member_address(members->members[h->first]));
	return true;
}

/* A chunk that was given by who is to vouch for it and does not, and that nobody else has told. */
static bool is_untold(struct verify *v, uint32_t i)
{
	const char *voucher = member_address(v->members->members[v->voucher]);
	const uint8_t *mine = verify_has_given(v, i, voucher) ? verify_have(v, i) : NULL;
	uint8_t must[CHUNK_LIST_DIGEST];

	return mine && !verify_is_settled(v, i) &&
	       !(provenance_knows(v->conf->provenance, v->doubt->what->etag, i, must) &&
		 chunk_digest_same(mine, must));
}

static bool is_chunk_in_question(struct verification *q, uint32_t i)
{
	struct verify *v = &q->verify;

	if (q->stalled)
		return is_untold(v, i);
	return q->disputes ? verify_differs(v, i, verify_digest(v, v->vouched, i))
			   : verify_is_hearsay(v, i) && !verify_is_settled(v, i);
}

/* A witness has each chunk from upstream: it is asked for those that are in dispute, if any are,
 * and else for all that nobody has settled. What is not here yet is nobody's word against
 * another's. */
static uint32_t in_question(struct verification *q, uint32_t segment)
{
	uint32_t first, count = verify_chunks(&q->verify, segment, &first), bits = 0;

	for (uint32_t i = first; i < first + count; i++)
		bits |= is_chunk_in_question(q, i) ? 1U << (i - first) : 0;
	return bits;
}

static void note_witness(struct verification *q, struct poll *h, const struct wire_digests *d)
{
	uint32_t first, count = verify_chunks(&q->verify, h->segment, &first);
	bool settled = true;

	for (uint32_t i = 0; i < count; i++)
		if (h->asked & 1U << i)
			settled &= note_saying(q, h, first + i, i, d->of[i]);
	if (!h->told) {
		h->said = *d;
		h->first = h->who[h->next];
	}
	h->told++;
	h->next = settled ? h->count : h->next + 1;
}

/* As digest_questions_ask() says, of a witness; 0 if there is nothing to ask. */
static int ask_witness(struct verification *q, struct poll *h, struct wire_digests *ret)
{
	if (!h->asked) /* the same until it has told: it may be finding that out */
		h->asked = in_question(q, h->segment);
	return h->asked ? digest_questions_ask_witness(&q->verify.by, h->who[h->next], h->segment,
						       h->asked, ret)
			: 0;
}

/* One step. True if it went on. */
static bool poll(struct verification *q, struct poll *h, bool witness)
{
	struct wire_digests d;
	int r = witness ? ask_witness(q, h, &d)
			: digest_questions_ask(&q->verify.by, h->who[h->next], h->segment, AS_OWNER,
					       &d);

	if (r == -EAGAIN)
		return false;
	if (r < 0)
		h->next++;
	else if (!witness)
		note_owner(q, h, &d);
	else if (h->asked)
		note_witness(q, h, &d);
	else
		h->next = h->count;
	h->asked = 0;
	return true;
}

/* Asks round and round until all are heard, or nobody says anything more. */
static int poll_all(struct verification *q, struct poll *all, uint32_t count, bool witness)
{
	const struct doubt *doubt = q->verify.doubt;
	int64_t moved_ms = clock_ms();
	int64_t patience_ms = is_early(q) ? EARLY_MS : q->verify.conf->give_up_ms;
	bool open = true;

	while (open && clock_ms() - moved_ms < patience_ms) {
		bool moved = open = false;

		for (uint32_t i = 0; i < count; i++) {
			struct poll *h = &all[i];

			if (atomic_load(&doubt->cancel->canceled))
				return ERR_CANCELED;
			if (h->next < h->count)
				moved |= poll(q, h, witness);
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
static bool is_in_question(const struct verification *q, uint32_t segment)
{
	uint32_t first, count = verify_chunks(&q->verify, segment, &first);
	bool so = false;

	for (uint32_t i = 0; i < count; i++)
		so |= verify_is_hearsay(&q->verify, first + i);
	return so;
}

/* The first of its owners that are to be heard, and as a witness this node after all others. Who
 * vouches for the segment is no witness of that. */
static void choose_polled(const struct verification *q, const uint32_t *owners,
			  unsigned owner_count, unsigned from, struct poll *h)
{
	uint32_t self = q->verify.members->self;
	bool called = false;

	if (from == 0 && owners[0] != self)
		h->who[h->count++] = owners[0];
	for (unsigned i = from; from && !called && i < owner_count; i++) {
		called = owners[i] == self;
		if (owners[i] != q->verify.voucher)
			h->who[h->count++] = owners[i];
	}
	if (from && !called && !is_early(q)) /* each node would ask its hub for all of it */
		h->who[h->count++] = self;
}

/* Of each segment that is in question its owner is heard (from == 0), or witnesses: those that
 * follow the owner, from that one on. */
static int poll_segments(struct verification *q, unsigned from)
{
	const struct verify *v = &q->verify;
	uint64_t size = v->doubt->what->file.size;
	CLEANUP(freep) struct poll *all = calloc(q->count, sizeof(*all));

	if (!all)
		return -ENOMEM;
	for (uint32_t k = 0; k < q->count; k++) {
		uint32_t owners[PLACEMENT_OWNERS];
		const struct segment segment = { v->blob, q->first + k };
		unsigned n = 0;

		all[k].segment = segment.index;
		if ((!q->disputes || q->disputed[k]) && is_in_question(q, segment.index))
			n = placement_cache_owners(v->conf->placement, v->members, segment, size,
						   owners);
		if (n)
			choose_polled(q, owners, n, from, &all[k]);
	}
	return poll_all(q, all, q->count, from > 0);
}

/* ---- all of it ---- */

/* What witnesses said may be a lie; what this node has seen is none. */
static void begin_anew(struct verification *q)
{
	struct verify *v = &q->verify;

	memset(v->must, 0, v->count * sizeof(*v->must));
	verify_apply(v, v->first, v->first + v->count, PROVENANCE_WITNESSED);
}

/* Where the owners see nothing wrong they may be who lied; and where the first witnesses see
 * nothing they may be. */
static int find_wrong(struct verification *q)
{
	struct verify *v = &q->verify;
	int r = 0;

	compare_published(q);
	if (!v->dropped) {
		begin_anew(q);
		r = poll_segments(q, 0);
	}
	if (r == 0 && q->disputes)
		r = poll_segments(q, 1);
	q->disputes = 0;
	/* What has gone meanwhile, as wrong, is what the digest of all spoke of. */
	for (unsigned from = 1; r == 0 && !v->dropped && blob_digest_stands(v->doubt->blob) &&
				from <= PLACEMENT_OWNERS;
	     from++) {
		begin_anew(q);
		r = poll_segments(q, from);
	}
	return r;
}

static void end(struct verification *q)
{
	free(q->disputed);
	verify_end(&q->verify);
}

/* The segments [from, to), as verify_begin. */
static int begin(struct verification *q, const struct verify_conf *conf, const struct doubt *d,
		 uint32_t from, uint32_t to)
{
	int r = verify_begin(&q->verify, conf, d, from, to);

	if (r < 0)
		return r;
	q->first = from;
	q->count = to - from;
	q->disputed = calloc(q->count, sizeof(*q->disputed));
	if (q->disputed)
		return 0;
	end(q);
	return -ENOMEM;
}

int verify_blob(const struct verify_conf *conf, const struct doubt *d)
{
	CLEANUP(freep) struct verification *q = calloc(1, sizeof(*q));
	int r = q ? begin(q, conf, d, 0, segment_count(d->what->file.size)) : -ENOMEM;

	if (r < 0)
		return r == -ENODATA ? 0 : r;
	r = find_wrong(q);
	verify_conclude(&q->verify);
	if (r == 0)
		r = (int)q->verify.dropped;
	end(q);
	return r;
}

/* ---- one segment, before all is there ---- */

/* The owner need not be asked about what it has told already, or a hub. */
static bool has_told(struct verification *q, uint32_t segment, const struct wire_digests *told)
{
	const struct verify *v = &q->verify;
	uint32_t first, count = verify_chunks(v, segment, &first);
	bool so = true;

	for (uint32_t i = 0; so && i < count; i++)
		so = chunk_digest_known(told->of[i]) || verify_is_settled(v, first + i) ||
		     !verify_is_hearsay(v, first + i) || !blob_may_have(v->doubt->blob, first + i);
	return so;
}

/* Who gave a chunk that is not as the owner of its segment had it is asked what it holds itself. If
 * that is what the owner says, it has changed it on its way. If it does not stand by what it gave,
 * that goes for once, and comes from elsewhere: that costs less than a witness, and proves nothing.
 * So it does if the owner gave it, which contradicts itself then. */
static void ask_giver(struct verification *q, uint32_t chunk, struct digest_questions_held *held)
{
	struct verify *v = &q->verify;
	const uint8_t *vouched = verify_digest(v, v->vouched, chunk),
		      *gave = verify_digest(v, v->have, chunk);
	const struct wire_digests *says = &digest_questions_nothing;
	const uint8_t *holds;
	const char *etag = v->doubt->what->etag;
	char who[MEMBER_ADDRESS_MAX + 1];
	bool vouches;
	int at = -ENOENT;

	if (provenance_giver(v->conf->provenance, etag, chunk, who) == PROVENANCE_MEMBER)
		at = membership_find(v->members, who);
	if (at < 0)
		return;
	vouches = at == (int)v->voucher;
	if (!vouches)
		says = digest_questions_ask_holder(&v->by, (uint32_t)at,
						   segment_of(chunk_start(chunk)), held);
	q->waits |= !says;
	if (!says)
		return;
	holds = says->of[chunk % WIRE_CHUNKS];
	if (!vouches && chunk_digest_same(holds, vouched))
		verify_settle(v, chunk, vouched);
	else if ((vouches || !chunk_digest_same(holds, gave)) &&
		 !provenance_dropped(v->conf->provenance, etag, chunk))
		verify_drop(v, chunk, vouches);
}

/* Of the chunks that are not as the owner says. */
static void ask_givers(struct verification *q, uint32_t segment, struct digest_questions_held *held)
{
	struct verify *v = &q->verify;
	uint32_t first, count = verify_chunks(v, segment, &first);

	for (uint32_t i = first; i < first + count; i++)
		if (verify_differs(v, i, verify_digest(v, v->vouched, i)))
			ask_giver(q, i, held);
}

/* True if a chunk is not as the owner says (or it does not say), and nobody knows yet which of the
 * two is right. */
static bool is_open(struct verification *q, uint32_t segment)
{
	struct verify *v = &q->verify;
	uint32_t first, count = verify_chunks(v, segment, &first);
	bool open = false;

	for (uint32_t i = first; q->disputes && i < first + count; i++)
		open |= !(v->gone & 1U << i % WIRE_CHUNKS) && is_chunk_in_question(q, i);
	return open;
}

/* Witnesses are heard of what it gave itself. */
static void stall(struct verification *q, uint32_t segment)
{
	q->stalled = true;
	q->disputed[0] = in_question(q, segment);
	q->disputes = q->disputed[0];
}

/* What came before a hub published the list, or gave it to this node as a witness, is as that says,
 * or goes: no word of a member counts beside it. 0; or as verify_segment. */
static int verify_early(struct verification *q, uint32_t segment, enum verify_time time,
			struct verify_compared *c)
{
	struct verify *v = &q->verify;
	struct wire_digests *told = &c->told;
	struct poll h = { .segment = segment };
	uint32_t first, count = verify_chunks(v, segment, &first);
	int r = 0;

	verify_apply(v, first, first + count, PROVENANCE_WITNESSED);
	if (!has_told(q, segment, told))
		r = digest_questions_ask(&v->by, v->voucher, segment, AS_OWNER, told);
	if (r == -EAGAIN && time == VERIFY_STALLED)
		stall(q, segment);
	if (r == 0)
		note_owner(q, &h, told);
	if (q->disputes && !q->stalled)
		ask_givers(q, segment, &c->held);
	if (q->disputes && q->stalled)
		r = 0;
	if (time != VERIFY_FIRST && !q->waits && is_open(q, segment))
		r = poll_segments(q, 1);
	if (q->disputes || v->dropped)
		verify_conclude(v);
	return r;
}

static bool has_given(const struct verify *v, uint32_t segment, const char *owner)
{
	uint32_t first, count = verify_chunks(v, segment, &first);
	bool so = false;

	for (uint32_t i = first; !so && i < first + count; i++)
		so = verify_has_given(v, i, owner);
	return so;
}

int verify_segment(const struct verify_conf *conf, const struct doubt *d, uint32_t segment,
		   const char *owner, enum verify_time time, struct verify_compared *c)
{
	CLEANUP(freep) struct verification *q = calloc(1, sizeof(*q));
	int r = q ? begin(q, conf, d, segment, segment + 1) : -ENOMEM, at;

	c->dropped = 0;
	c->refuted = c->open = c->own = c->waits = false;
	if (r < 0)
		return r;
	at = membership_find(q->verify.members, owner);
	if (at >= 0) {
		q->verify.voucher = (uint32_t)at;
		r = verify_early(q, segment, time, c);
		c->open = r == 0 && is_open(q, segment);
		c->own = has_given(&q->verify, segment, owner);
	}
	c->dropped = q->verify.gone;
	c->refuted = q->verify.refuted;
	c->waits = q->waits;
	end(q);
	return at < 0 ? at : r;
}
