/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/inquiry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/weigh.h"

#define TRIES 20          /* to hear whether one stands by what it gave */
#define REST_MS 100       /* after all were asked once more, and nobody knew more */
#define ANSWER_MS 2000    /* what an answer may take */
#define SUSPECTS_MAX 16   /* that are told of at once */
#define CHUNKS_TOLD_MAX 8 /* of each */

/* Somebody who gave wrong bytes, or false witness. */
struct suspect {
	char address[MEMBER_ADDRESS_MAX + 1];
	const char *what; /* static */
	bool sure;        /* it is not another one's fault */
	uint32_t count, chunks[CHUNKS_TOLD_MAX];
};

/* One blob under inquiry. */
struct inquiry {
	const struct inquiry_conf *conf;
	const struct doubt *doubt;
	const struct membership *members;
	uint64_t blob; /* its key */
	/* As it is here, as owners vouch for it, and what is known to be right. */
	struct chunk_list *have, *vouched, *must;
	bool *disputed; /* one a segment: its owner says that something is wrong */
	uint32_t disputes;
	struct suspect suspects[SUSPECTS_MAX];
	unsigned suspect_count;
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

static bool is(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, CHUNK_LIST_DIGEST) == 0;
}

/* The digest of a chunk as it is here, worked out once; NULL: it is not here, or cannot be read. */
static const uint8_t *have(struct inquiry *q, uint32_t i)
{
	struct blob *b = q->doubt->blob;
	uint8_t *digest = q->have->digests[i];
	int r = 0;

	if (wire_digest_known(digest))
		return digest;
	blob_hold(b);
	if (blob_still_has(b, i))
		r = testimony_digest(b, i, digest);
	blob_let_go(b);
	return r == 0 && wire_digest_known(digest) ? digest : NULL;
}

/* What hubs gave to this node is not in question. */
static bool is_hearsay(const struct inquiry *q, uint32_t i)
{
	char who[MEMBER_ADDRESS_MAX + 1];

	return evidence_giver(q->conf->evidence, q->doubt->what->etag, i, who) != EVIDENCE_HUB;
}

/* ---- suspects ---- */

static void accuse(struct inquiry *q, const char *address, const char *what, bool sure,
		   uint32_t chunk)
{
	struct suspect *s = q->suspects;

	while (s < q->suspects + q->suspect_count &&
	       (s->what != what || strcmp(s->address, address) != 0))
		s++;
	if (s == q->suspects + SUSPECTS_MAX)
		return; /* their next lie will be told of */
	if (s == q->suspects + q->suspect_count) {
		q->suspect_count++;
		*s = (struct suspect){ .what = what };
		snprintf(s->address, sizeof(s->address), "%s", address);
	}
	if (s->count < CHUNKS_TOLD_MAX)
		s->chunks[s->count] = chunk;
	s->count++;
	s->sure |= sure;
}

/* True if it says itself that it had the chunk from a hub, as the owner of its segment. */
static bool has_vouched(const struct inquiry *q, const char *address, uint32_t chunk)
{
	uint32_t owners[PLACEMENT_OWNERS];
	const struct segment segment = { q->blob, segment_of(chunk_start(chunk)) };
	unsigned n = places_owners(q->conf->places, q->members, segment, q->doubt->what->file.size,
				   owners);

	return n && wire_digest_known(q->vouched->digests[chunk]) &&
	       strcmp(member_address(q->members->members[owners[0]]), address) == 0;
}

static const char wrong_bytes[] = "wrong bytes", false_witness[] = "false witness";

/* A chunk that is wrong. */
static void drop(struct inquiry *q, uint32_t i)
{
	char who[MEMBER_ADDRESS_MAX + 1];
	const struct source_blob *what = q->doubt->what;
	uint64_t size = chunk_end(i, what->file.size) - chunk_start(i);
	uint8_t must[CHUNK_LIST_DIGEST];
	bool known = evidence_knows(q->conf->evidence, what->etag, i, must) == EVIDENCE_PUBLISHED;

	if (evidence_giver(q->conf->evidence, what->etag, i, who) == EVIDENCE_MEMBER)
		accuse(q, who, wrong_bytes, known || has_vouched(q, who, i), i);
	if (blob_drop_chunk(q->doubt->blob, i) < 0)
		log_debug("the next start will have chunk %u of etag=%s again", i, what->etag);
	evidence_drop(q->conf->evidence, what->etag, i);
	metrics_add(&q->conf->counts->bytes_wrong, size);
	q->dropped++;
}

/* What a chunk must be; it goes if it is not. */
static void settle(struct inquiry *q, uint32_t i, const uint8_t *must)
{
	const uint8_t *mine = have(q, i);

	memcpy(q->must->digests[i], must, CHUNK_LIST_DIGEST);
	if (!mine || !is(mine, must))
		drop(q, i);
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

static void write_ask(const struct inquiry *q, const struct hearing *h, bool witness,
		      struct wire_ask *ret)
{
	const struct source_blob *what = q->doubt->what;

	*ret = (struct wire_ask){
		.digests = true,
		.witness = witness,
		.size = what->file.size,
		.off = segment_start(h->segment),
		.lfs = what->file.kind == DIGEST_SHA256,
		.repo = what->repo,
		.path = what->path,
	};
	ret->len = segment_end(h->segment, what->file.size) - ret->off;
	memcpy(ret->etag, what->etag, sizeof(ret->etag));
	memcpy(ret->commit, what->commit, sizeof(ret->commit));
}

/* 0: it has told; -EAGAIN: it will; else it has nothing to say. */
static int ask_member(const struct inquiry *q, const struct wire_ask *ask, uint32_t member,
		      struct wire_digests *ret)
{
	struct question question = {
		.member = q->members->members[member],
		.ask = ask,
		.cancel = q->doubt->cancel,
		.patience_ms = ANSWER_MS,
	};
	int r;

	if (!member_may_ask(question.member, clock_ms()))
		return -ENOENT;
	r = question_ask(&question, q->conf->asker);
	if (r == ERR_CANCELED)
		return r;
	member_note(question.member, r < 0 ? MEMBER_SILENT : MEMBER_ANSWERED, 0, -1, clock_ms());
	if (r < 0)
		return r;
	*ret = question.digests;
	return question.status == WIRE_TOLD                                     ? 0
	       : question.status == WIRE_COMING || question.status == WIRE_BUSY ? -EAGAIN
										: -ENOENT;
}

static int ask_next(const struct inquiry *q, const struct hearing *h, bool witness,
		    struct wire_digests *ret)
{
	uint32_t who = h->who[h->next];
	struct wire_ask ask;

	write_ask(q, h, witness, &ask);
	return who == q->members->self ? testimony_ask(q->conf->testimony, &ask, ret)
				       : ask_member(q, &ask, who, ret);
}

/* The owner of a segment vouches for what it had from a hub itself: what members gave of that is in
 * dispute if it is anything else. */
static void hear_owner(struct inquiry *q, struct hearing *h, const struct wire_digests *d)
{
	uint32_t first, count = chunks_in(q, h->segment, &first);
	bool differs = false;

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *mine = have(q, first + i);

		memcpy(q->vouched->digests[first + i], d->of[i], CHUNK_LIST_DIGEST);
		differs |= wire_digest_known(d->of[i]) && is_hearsay(q, first + i) && mine &&
			   !is(mine, d->of[i]);
	}
	q->disputed[h->segment] = differs;
	q->disputes += differs;
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

	if (!wire_digest_known(told))
		return false;
	w = weigh(&(struct sayings){
		.here = have(q, chunk),
		.vouched = q->vouched->digests[chunk],
		.first = h->told && wire_digest_known(first) ? first : NULL,
		.told = told,
		.gave = has_given(q, h, chunk),
		.is_own = h->who[h->next] == q->members->self,
	});
	if (w == WEIGH_OPEN)
		return false;
	settle(q, chunk, told);
	if (w == WEIGH_FIRST_LIED)
		accuse(q, member_address(q->members->members[h->first]), false_witness, true,
		       chunk);
	return true;
}

static void hear_witness(struct inquiry *q, struct hearing *h, const struct wire_digests *d)
{
	uint32_t first, count = chunks_in(q, h->segment, &first);
	bool settled = true;

	for (uint32_t i = 0; i < count; i++)
		if (is_hearsay(q, first + i) && !wire_digest_known(q->must->digests[first + i]))
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
	int r = ask_next(q, h, witness, &d);

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
	int64_t moved_ms = clock_ms();
	bool open = true;

	while (open && clock_ms() - moved_ms < q->conf->give_up_ms) {
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

/* The first of its owners that are to be heard, and as a witness this node after all others. */
static void call(const struct inquiry *q, const uint32_t *owners, unsigned owner_count,
		 unsigned from, struct hearing *h)
{
	uint32_t self = q->members->self;
	bool called = false;

	if (from == 0 && owners[0] != self)
		h->who[h->count++] = owners[0];
	for (unsigned i = from; from && !called && i < owner_count; i++) {
		called = owners[i] == self;
		h->who[h->count++] = owners[i];
	}
	if (from && !called)
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
		unsigned n = places_owners(q->conf->places, q->members, segment, size, owners);

		all[k].segment = k;
		if (n && is_in_question(q, k) && (!q->disputes || q->disputed[k]))
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
	for (unsigned from = 1; r == 0 && !q->dropped && from <= PLACEMENT_OWNERS; from++) {
		memset(q->must->digests, 0, q->must->count * sizeof(q->must->digests[0]));
		r = hold_hearings(q, from);
	}
	return r;
}

/* ---- sentences ---- */

/* True if it vouches for what it gave: it claims to have that from a hub, or to have verified
 * it. */
static bool stands_by(struct inquiry *q, const struct suspect *s, uint32_t member)
{
	struct hearing h = { .segment = segment_of(chunk_start(s->chunks[0])), .who = { member } };
	uint32_t first;
	struct wire_digests d;
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < TRIES; i++) {
		if (i)
			clock_sleep_ms(REST_MS);
		r = ask_next(q, &h, false, &d);
	}
	chunks_in(q, h.segment, &first);
	return r == 0 && is(d.of[s->chunks[0] - first], q->have->digests[s->chunks[0]]);
}

static void convict(struct inquiry *q, const struct suspect *s)
{
	CLEANUP(buf_free) struct buf chunks = { 0 };
	int at = membership_find(q->members, s->address);
	bool sure = s->sure || (at >= 0 && stands_by(q, s, (uint32_t)at));

	for (uint32_t i = 0; i < s->count && i < CHUNKS_TOLD_MAX; i++)
		buf_printf(&chunks, "%s%u", i ? "," : "", s->chunks[i]);
	log_warn(ERR_DIGEST, "peer=%s %s %s etag=%s path=%s chunks=%s%s (%u)", s->address,
		 sure ? "gave" : "passed on", s->what, q->doubt->what->etag, q->doubt->what->path,
		 buf_str(&chunks), s->count > CHUNKS_TOLD_MAX ? ",..." : "", s->count);
	if (at >= 0)
		member_note(q->members->members[at], sure ? MEMBER_LIED : MEMBER_MISLED,
			    s->count * CHUNK_BYTES, -1, clock_ms());
}

/* ---- the inquiry ---- */

static int conclude(struct inquiry *q, int r)
{
	for (unsigned i = 0; i < q->suspect_count; i++)
		convict(q, &q->suspects[i]);
	evidence_learn(q->conf->evidence, q->doubt->what->etag, q->must, EVIDENCE_WITNESSED);
	trails_forget(q->conf->trails, q->blob);
	log_info("inquiry etag=%s path=%s: %u chunks of %u are wrong", q->doubt->what->etag,
		 q->doubt->what->path, q->dropped, q->have->count);
	return r < 0 ? r : (int)q->dropped;
}

int inquiry_look(const struct inquiry_conf *conf, const struct doubt *d)
{
	CLEANUP(chunk_list_freep) struct chunk_list *have = chunk_list_new(d->what->file.size);
	CLEANUP(chunk_list_freep) struct chunk_list *vouched = chunk_list_new(d->what->file.size);
	CLEANUP(chunk_list_freep) struct chunk_list *must = chunk_list_new(d->what->file.size);
	CLEANUP(freep) struct inquiry *q = calloc(1, sizeof(*q));
	CLEANUP(freep) bool *disputed = calloc(segment_count(d->what->file.size) + 1, 1);
	int r;

	if (!have || !vouched || !must || !q || !disputed)
		return -ENOMEM;
	if (have->count < 2)
		return 0; /* it was compared when it came */
	q->conf = conf;
	q->doubt = d;
	q->have = have;
	q->vouched = vouched;
	q->must = must;
	q->disputed = disputed;
	q->blob = placement_key(d->what->etag);
	q->members = members_now(conf->members);
	r = conclude(q, inquire(q));
	membership_unref(q->members);
	return r;
}
