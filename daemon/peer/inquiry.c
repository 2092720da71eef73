/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/inquiry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/suspects.h"
#include "daemon/peer/weigh.h"

#define REST_MS 100  /* after all were asked once more, and nobody knew more */
#define EARLY_MS 500 /* while a blob is coming there is time to ask again later */

/* A blob under inquiry, or a segment of it. */
struct inquiry {
	const struct inquiry_conf *conf;
	const struct doubt *doubt;
	const struct membership *members;
	struct interviewer by;
	uint64_t blob; /* its key */
	/* As it is here, as owners vouch for it, and what is known to be right. */
	struct chunk_list *have, *vouched, *must;
	bool *disputed; /* one a segment: its owner says that something is wrong */
	uint32_t disputes;
	bool early;       /* not all of it is here, and its digest has told nothing yet */
	uint32_t voucher; /* then: the member that vouches, in the owner's place if need be */
	bool last;        /* then: witnesses are heard */
	unsigned gone;    /* then: bit i: chunk i of the segment was dropped */
	bool refuted;     /* an owner: a chunk is not as it said */
	struct suspects suspects;
	uint32_t dropped;
};

/* Who is heard of one segment, one after another. */
struct hearing {
	uint32_t segment;
	uint32_t who[PLACEMENT_OWNERS + 1]; /* members, this node last of all if it is a witness */
	unsigned count, next;
	unsigned told;  /* testimonies there are */
	uint32_t first; /* who gave the one that was contradicted */
	struct wire_digests testimony;
};

/* ---- chunks ---- */

static uint32_t chunks_in(const struct inquiry *q, uint32_t segment, uint32_t *ret_first)
{
	uint64_t size = q->doubt->what->file.size;

	*ret_first = chunk_of(segment_start(segment));
	return chunk_of(segment_end(segment, size) - 1) - *ret_first + 1;
}

/* The digest of a chunk as it is here, worked out once; NULL: it is not here, or cannot be read. */
static const uint8_t *have(struct inquiry *q, uint32_t i)
{
	struct blob *b = q->doubt->blob;
	uint8_t *digest = q->have->digests[i];
	int r = 0;

	if (chunk_digest_known(digest))
		return digest;
	blob_hold(b);
	if (blob_still_has(b, i))
		r = testimony_digest(b, i, digest);
	blob_let_go(b);
	return r == 0 && chunk_digest_known(digest) ? digest : NULL;
}

/* What hubs gave to this node is not in question. */
static bool is_hearsay(const struct inquiry *q, uint32_t i)
{
	char who[MEMBER_ADDRESS_MAX + 1];

	return evidence_giver(q->conf->evidence, q->doubt->what->etag, i, who) != EVIDENCE_HUB;
}

/* ---- suspects ---- */

/* True if it says itself that it had the chunk from a hub, as the owner of its segment. */
static bool has_vouched(const struct inquiry *q, const char *address, uint32_t chunk)
{
	uint32_t owners[PLACEMENT_OWNERS];
	const struct segment segment = { q->blob, segment_of(chunk_start(chunk)) };
	unsigned n = places_owners(q->conf->places, q->members, segment, q->doubt->what->file.size,
				   owners);
	uint32_t by = q->early ? q->voucher : n ? owners[0] : q->members->self;

	return n && chunk_digest_known(q->vouched->digests[chunk]) &&
	       strcmp(member_address(q->members->members[by]), address) == 0;
}

/* Who gave a chunk that goes. */
static void accuse(struct inquiry *q, uint32_t i)
{
	char who[MEMBER_ADDRESS_MAX + 1];
	const struct source_blob *what = q->doubt->what;
	uint8_t must[CHUNK_LIST_DIGEST];
	bool known = evidence_knows(q->conf->evidence, what->etag, i, must) == EVIDENCE_PUBLISHED &&
		     !chunk_digest_same(q->have->digests[i], must);

	if (evidence_giver(q->conf->evidence, what->etag, i, who) != EVIDENCE_MEMBER)
		return;
	if (known)
		(void)published_contradicted(q->conf->published, what->etag, i, who);
	suspects_accuse(&q->suspects, who, "wrong bytes", known || has_vouched(q, who, i), i);
}

/* A chunk that is wrong, or may be. What is sealed is right. */
static void drop(struct inquiry *q, uint32_t i, bool proven)
{
	const struct source_blob *what = q->doubt->what;

	if (blob_is_sealed(q->doubt->blob))
		return;
	if (blob_drop_chunk(q->doubt->blob, i) < 0)
		log_debug("the next start will have chunk %u of etag=%s again", i, what->etag);
	evidence_drop(q->conf->evidence, what->etag, i, q->have->digests[i], proven);
	metrics_add(&q->conf->counts->bytes_wrong, chunk_end(i, what->file.size) - chunk_start(i));
	q->gone |= 1U << i % WIRE_CHUNKS;
	q->dropped++;
}

/* What a chunk must be; it goes if it is here and is not. */
static void settle(struct inquiry *q, uint32_t i, const uint8_t *must)
{
	const uint8_t *mine = have(q, i);

	memcpy(q->must->digests[i], must, CHUNK_LIST_DIGEST);
	q->refuted |= chunk_digest_known(q->vouched->digests[i]) &&
		      !chunk_digest_same(q->vouched->digests[i], must);
	if (!mine || chunk_digest_same(mine, must))
		return;
	accuse(q, i);
	drop(q, i, true);
}

/* ---- the hub's list ---- */

static void compare_published(struct inquiry *q)
{
	uint8_t must[CHUNK_LIST_DIGEST];

	if (!published_look(q->conf->published, q->doubt->what, q->doubt->cancel))
		return;
	for (uint32_t i = 0; i < q->have->count; i++)
		if (evidence_knows(q->conf->evidence, q->doubt->what->etag, i, must))
			settle(q, i, must);
}

/* ---- hearings ---- */

/* As it is here it is not as told, it is what came, and nothing else has settled it. */
static bool differs(struct inquiry *q, uint32_t i, const uint8_t *told)
{
	struct blob *b = q->doubt->blob;
	bool counts = chunk_digest_known(told) && !chunk_digest_known(q->must->digests[i]);
	const uint8_t *mine = counts && is_hearsay(q, i) ? have(q, i) : NULL;
	bool intact;

	if (!mine || chunk_digest_same(mine, told))
		return false;
	blob_hold(b);
	intact = blob_check(b, i);
	blob_let_go(b);
	return intact;
}

/* The owner of a segment vouches for what it had from a hub itself: what members gave of that is in
 * dispute if it is anything else. */
static void hear_owner(struct inquiry *q, struct hearing *h, const struct wire_digests *d)
{
	uint32_t first, count = chunks_in(q, h->segment, &first);
	bool disputed = false;

	for (uint32_t i = 0; i < count; i++) {
		memcpy(q->vouched->digests[first + i], d->of[i], CHUNK_LIST_DIGEST);
		disputed |= differs(q, first + i, d->of[i]);
	}
	q->disputed[h->segment] = disputed;
	q->disputes += disputed;
	h->next = h->count;
}

/* Who is heard gave the chunk itself. */
static bool has_given(const struct inquiry *q, const struct hearing *h, uint32_t chunk)
{
	char who[MEMBER_ADDRESS_MAX + 1];
	const char *witness = member_address(q->members->members[h->who[h->next]]);

	return evidence_giver(q->conf->evidence, q->doubt->what->etag, chunk, who) ==
		       EVIDENCE_MEMBER &&
	       strcmp(who, witness) == 0;
}

/* What a witness says of a chunk. False: another one is to be heard. */
static bool hear_of(struct inquiry *q, const struct hearing *h, uint32_t chunk, uint32_t i,
		    const uint8_t *told)
{
	const uint8_t *first = h->testimony.of[i];
	enum weighed w;

	if (!chunk_digest_known(told))
		return false;
	w = weigh(&(struct sayings){
		.here = have(q, chunk),
		.vouched = q->vouched->digests[chunk],
		.first = h->told && chunk_digest_known(first) ? first : NULL,
		.told = told,
		.gave = has_given(q, h, chunk),
		.is_own = h->who[h->next] == q->members->self,
	});
	if (w == WEIGH_OPEN)
		return false;
	settle(q, chunk, told);
	if (w == WEIGH_FIRST_LIED)
		suspects_accuse(&q->suspects, member_address(q->members->members[h->first]),
				"false witness", true, chunk);
	return true;
}

/* What is not here yet is nobody's word against another's, while it is still coming. */
static bool is_in_hearing(struct inquiry *q, uint32_t i)
{
	return is_hearsay(q, i) && !chunk_digest_known(q->must->digests[i]) &&
	       (!q->early || have(q, i));
}

static void hear_witness(struct inquiry *q, struct hearing *h, const struct wire_digests *d)
{
	uint32_t first, count = chunks_in(q, h->segment, &first);
	bool settled = true;

	for (uint32_t i = 0; i < count; i++)
		if (is_in_hearing(q, first + i))
			settled &= hear_of(q, h, first + i, i, d->of[i]);
	if (!h->told) {
		h->testimony = *d;
		h->first = h->who[h->next];
	}
	h->told++;
	h->next = settled ? h->count : h->next + 1;
}

/* One step. True if it went on. */
static bool hear(struct inquiry *q, struct hearing *h, bool witness)
{
	struct wire_digests d;
	int r = interview(&q->by, h->who[h->next], h->segment, witness ? AS_WITNESS : AS_OWNER, &d);

	if (r == -EAGAIN)
		return false;
	if (r < 0)
		h->next++;
	else if (witness)
		hear_witness(q, h, &d);
	else
		hear_owner(q, h, &d);
	return true;
}

/* Asks round and round until all are heard, or nobody says anything more. */
static int hear_all(struct inquiry *q, struct hearing *all, uint32_t count, bool witness)
{
	int64_t moved_ms = clock_ms(), patience_ms = q->early ? EARLY_MS : q->conf->give_up_ms;
	bool open = true;

	while (open && clock_ms() - moved_ms < patience_ms) {
		bool moved = open = false;

		for (uint32_t i = 0; i < count; i++) {
			struct hearing *h = &all[i];

			if (atomic_load(&q->doubt->cancel->canceled))
				return ERR_CANCELED;
			if (h->next < h->count)
				moved |= hear(q, h, witness);
			open |= h->next < h->count;
		}
		if (moved) {
			moved_ms = clock_ms();
			q->doubt->moved(q->doubt->arg);
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
	uint32_t first, count = chunks_in(q, segment, &first);
	bool so = false;

	for (uint32_t i = 0; i < count; i++)
		so |= is_hearsay(q, first + i);
	return so;
}

/* The first of its owners that are to be heard, and as a witness this node after all others. Who
 * vouches for the segment is no witness of that. */
static void call(const struct inquiry *q, const uint32_t *owners, unsigned owner_count,
		 unsigned from, struct hearing *h)
{
	uint32_t self = q->members->self;
	bool called = false;

	if (from == 0 && owners[0] != self)
		h->who[h->count++] = owners[0];
	for (unsigned i = from; from && !called && i < owner_count; i++) {
		called = owners[i] == self;
		if (!q->early || owners[i] != q->voucher)
			h->who[h->count++] = owners[i];
	}
	if (from && !called && !q->early) /* each node would ask its hub for all of it */
		h->who[h->count++] = self;
}

/* Of each segment that is in question its owner is heard (from == 0), or witnesses: those that
 * follow the owner, from that one on. */
static int hold_hearings(struct inquiry *q, unsigned from)
{
	uint64_t size = q->doubt->what->file.size;
	uint32_t count = segment_count(size);
	CLEANUP(freep) struct hearing *all = calloc(count, sizeof(*all));

	if (!all)
		return -ENOMEM;
	for (uint32_t k = 0; k < count; k++) {
		uint32_t owners[PLACEMENT_OWNERS];
		const struct segment segment = { q->blob, k };
		unsigned n = 0;

		all[k].segment = k;
		if ((!q->disputes || q->disputed[k]) && is_in_question(q, k))
			n = places_owners(q->conf->places, q->members, segment, size, owners);
		if (n)
			call(q, owners, n, from, &all[k]);
	}
	return hear_all(q, all, count, from > 0);
}

/* Where the owners see nothing wrong they may be who lied; and where the first witnesses see
 * nothing they may be. */
static int inquire(struct inquiry *q)
{
	int r = 0;

	compare_published(q);
	if (!q->dropped)
		r = hold_hearings(q, 0);
	if (r == 0 && !q->dropped && q->disputes)
		r = hold_hearings(q, 1);
	q->disputes = 0;
	/* What has gone meanwhile, as wrong, is what the digest of all spoke of. */
	for (unsigned from = 1; r == 0 && !q->dropped && blob_digest_stands(q->doubt->blob) &&
				from <= PLACEMENT_OWNERS;
	     from++) {
		memset(q->must->digests, 0, q->must->count * sizeof(q->must->digests[0]));
		r = hold_hearings(q, from);
	}
	return r;
}

/* ---- sentences ---- */

/* True if it was its own doing: it holds other bytes than it gave, and says that it never held
 * those; or it vouches for them: it claims to have them from a hub, or to have verified them. */
static bool stands_by(const struct inquiry *q, const struct suspect *s, uint32_t member)
{
	uint32_t chunk = s->chunks[0], segment = segment_of(chunk_start(chunk));
	struct wire_digests d;
	const uint8_t *told = d.of[chunk % WIRE_CHUNKS], *gave = q->have->digests[chunk];

	if (!chunk_digest_known(gave))
		return false;
	if (interview_patiently(&q->by, member, segment, AS_HOLDER, &d) == 0 &&
	    chunk_digest_known(told) && !chunk_digest_same(told, gave))
		return true;
	return interview_patiently(&q->by, member, segment, AS_OWNER, &d) == 0 &&
	       chunk_digest_same(told, gave);
}

static void convict(struct inquiry *q, const struct suspect *s)
{
	int at = membership_find(q->members, s->address);
	bool sure = s->sure || (at >= 0 && stands_by(q, s, (uint32_t)at));

	suspect_tell(s, sure, q->doubt->what);
	if (at >= 0)
		member_note(q->members->members[at], sure ? MEMBER_LIED : MEMBER_MISLED,
			    s->count * CHUNK_BYTES, -1, clock_ms());
}

/* ---- the inquiry ---- */

static int conclude(struct inquiry *q, int r)
{
	bool over = blob_is_sealed(q->doubt->blob); /* the digest of all has told meanwhile */

	for (unsigned i = 0; !over && i < q->suspects.count; i++)
		convict(q, &q->suspects.of[i]);
	if (!over)
		evidence_learn(q->conf->evidence, q->doubt->what->etag, q->must,
			       EVIDENCE_WITNESSED);
	segment_notes_forget(q->conf->notes, q->blob);
	if (!q->early || q->dropped)
		log_info("inquiry etag=%s path=%s: %u chunks of %u are wrong", q->doubt->what->etag,
			 q->doubt->what->path, q->dropped, q->have->count);
	return r < 0 ? r : (int)q->dropped;
}

static void end(struct inquiry *q)
{
	chunk_list_free(q->have);
	chunk_list_free(q->vouched);
	chunk_list_free(q->must);
	free(q->disputed);
	membership_unref(q->members);
}

/* -ENOMEM; -ENODATA: a blob of one chunk was compared when it came. */
static int begin(struct inquiry *q, const struct inquiry_conf *conf, const struct doubt *d)
{
	uint64_t size = d->what->file.size;

	if (chunk_count(size) < 2)
		return -ENODATA;
	*q = (struct inquiry){
		.conf = conf,
		.doubt = d,
		.blob = placement_key(d->what->etag),
		.have = chunk_list_new(size),
		.vouched = chunk_list_new(size),
		.must = chunk_list_new(size),
		.disputed = calloc(segment_count(size), sizeof(*q->disputed)),
		.members = members_now(conf->members),
	};
	q->by = (struct interviewer){
		.asker = conf->asker,
		.members = q->members,
		.what = d->what,
		.testimony = conf->testimony,
		.cancel = d->cancel,
		.counts = conf->counts,
	};
	if (q->have && q->vouched && q->must && q->disputed)
		return 0;
	end(q);
	return -ENOMEM;
}

int inquiry_look(const struct inquiry_conf *conf, const struct doubt *d)
{
	CLEANUP(freep) struct inquiry *q = calloc(1, sizeof(*q));
	int r = q ? begin(q, conf, d) : -ENOMEM;

	if (r < 0)
		return r == -ENODATA ? 0 : r;
	r = conclude(q, inquire(q));
	end(q);
	return r;
}

/* ---- one segment, before all is there ---- */

/* What came before a hub published the list is as that says, or goes: no word of a member counts
 * beside it. */
static void heed_published(struct inquiry *q, uint32_t segment)
{
	uint32_t first, count = chunks_in(q, segment, &first);
	uint8_t must[CHUNK_LIST_DIGEST];

	for (uint32_t i = first; i < first + count; i++) {
		bool known = evidence_knows(q->conf->evidence, q->doubt->what->etag, i, must) ==
			     EVIDENCE_PUBLISHED;

		if (known && differs(q, i, must))
			settle(q, i, must);
		else if (known)
			memcpy(q->must->digests[i], must, CHUNK_LIST_DIGEST);
	}
}

/* The owner need not be asked about what it has told already, or a hub. */
static bool has_told(struct inquiry *q, uint32_t segment, const struct wire_digests *told)
{
	uint32_t first, count = chunks_in(q, segment, &first);
	bool so = true;

	for (uint32_t i = 0; so && i < count; i++)
		so = chunk_digest_known(told->of[i]) ||
		     chunk_digest_known(q->must->digests[first + i]) || !is_hearsay(q, first + i) ||
		     !blob_may_have(q->doubt->blob, first + i);
	return so;
}

/* Who gave a chunk that is not as the owner of its segment had it is asked what it holds itself. If
 * that is what the owner says, it has changed it on its way. If it does not stand by what it gave,
 * that goes for once, and comes from elsewhere: that costs less than a witness, and proves nothing.
 * So it does if the owner gave it, which contradicts itself then. */
static void hear_giver(struct inquiry *q, uint32_t chunk, struct interview_held *held)
{
	const uint8_t *vouched = q->vouched->digests[chunk], *gave = q->have->digests[chunk];
	const uint8_t *holds = held->d.of[chunk % WIRE_CHUNKS];
	const char *etag = q->doubt->what->etag;
	char who[MEMBER_ADDRESS_MAX + 1];
	bool vouches;
	int at = -ENOENT;

	if (evidence_giver(q->conf->evidence, etag, chunk, who) == EVIDENCE_MEMBER)
		at = membership_find(q->members, who);
	if (at < 0)
		return;
	vouches = at == (int)q->voucher;
	if (!vouches)
		interview_holder(&q->by, (uint32_t)at, segment_of(chunk_start(chunk)), held);
	if (!vouches && chunk_digest_same(holds, vouched)) {
		settle(q, chunk, vouched);
	} else if ((vouches || !chunk_digest_same(holds, gave)) &&
		   !evidence_dropped(q->conf->evidence, etag, chunk)) {
		if (vouches)
			accuse(q, chunk);
		drop(q, chunk, false);
	}
}

/* Of the chunks that are not as the owner says. */
static void hear_givers(struct inquiry *q, uint32_t segment)
{
	uint32_t first, count = chunks_in(q, segment, &first);
	struct interview_held held = { 0 };

	for (uint32_t i = first; i < first + count; i++)
		if (differs(q, i, q->vouched->digests[i]))
			hear_giver(q, i, &held);
}

/* True if a chunk is not as the owner says, and nobody knows yet which of the two is right. */
static bool is_open(struct inquiry *q, uint32_t segment)
{
	uint32_t first, count = chunks_in(q, segment, &first);
	bool open = false;

	for (uint32_t i = first; q->disputes && i < first + count; i++)
		open |= !(q->gone & 1U << i % WIRE_CHUNKS) && differs(q, i, q->vouched->digests[i]);
	return open;
}

/* 0; or as inquiry_compare. */
static int hear_early(struct inquiry *q, uint32_t segment, struct wire_digests *told)
{
	struct hearing h = { .segment = segment };
	int r = 0;

	heed_published(q, segment);
	if (!has_told(q, segment, told))
		r = interview(&q->by, q->voucher, segment, AS_OWNER, told);
	if (r == 0)
		hear_owner(q, &h, told);
	if (q->disputes)
		hear_givers(q, segment);
	if (q->last && is_open(q, segment))
		r = hold_hearings(q, 1);
	if (q->disputes || q->dropped)
		r = conclude(q, r);
	return r < 0 ? r : 0;
}

int inquiry_compare(const struct inquiry_conf *conf, const struct doubt *d, uint32_t segment,
		    const char *owner, bool last, struct inquiry_compared *c)
{
	CLEANUP(freep) struct inquiry *q = calloc(1, sizeof(*q));
	int r = q ? begin(q, conf, d) : -ENOMEM, at;

	c->dropped = 0;
	c->refuted = c->open = false;
	if (r < 0)
		return r;
	q->early = true;
	q->last = last;
	at = membership_find(q->members, owner);
	q->voucher = at < 0 ? q->members->self : (uint32_t)at;
	r = at < 0 ? at : hear_early(q, segment, &c->told);
	c->open = r == 0 && is_open(q, segment);
	c->dropped = q->gone;
	c->refuted = q->refuted;
	end(q);
	return r;
}
