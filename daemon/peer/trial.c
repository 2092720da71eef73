/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/trial.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"

/* ---- chunks ---- */

uint32_t trial_chunks(const struct trial *t, uint32_t segment, uint32_t *ret_first)
{
	uint64_t size = t->doubt->what->file.size;

	*ret_first = chunk_of(segment_start(segment));
	return chunk_of(segment_end(segment, size) - 1) - *ret_first + 1;
}

const uint8_t *trial_have(struct trial *t, uint32_t i)
{
	uint8_t *digest = t->have->digests[i];

	if (chunk_digest_known(digest))
		return digest;
	return testimony_digest(t->doubt->blob, i, digest) == 0 ? digest : NULL;
}

bool trial_is_hearsay(const struct trial *t, uint32_t i)
{
	char who[MEMBER_ADDRESS_MAX + 1];

	return evidence_giver(t->conf->evidence, t->doubt->what->etag, i, who) != EVIDENCE_HUB;
}

bool trial_has_given(const struct trial *t, uint32_t i, const char *address)
{
	char who[MEMBER_ADDRESS_MAX + 1];

	return evidence_giver(t->conf->evidence, t->doubt->what->etag, i, who) == EVIDENCE_MEMBER &&
	       strcmp(who, address) == 0;
}

bool trial_is_settled(const struct trial *t, uint32_t i)
{
	return chunk_digest_known(t->must->digests[i]);
}

bool trial_differs(struct trial *t, uint32_t i, const uint8_t told[static CHUNK_LIST_DIGEST])
{
	struct blob *b = t->doubt->blob;
	bool counts = chunk_digest_known(told) && !trial_is_settled(t, i);
	const uint8_t *mine = counts && trial_is_hearsay(t, i) ? trial_have(t, i) : NULL;
	bool intact;

	if (!mine || chunk_digest_same(mine, told))
		return false;
	blob_hold(b);
	intact = blob_check(b, i);
	blob_let_go(b);
	return intact;
}

/* ---- what is wrong ---- */

/* True if it says itself that it had the chunk from a hub just as it gave it, as the owner of its
 * segment. Who vouches for other bytes may have given those that somebody else had by chance,
 * before it had its own. */
static bool has_vouched(const struct trial *t, const char *address, uint32_t chunk)
{
	uint32_t owners[PLACEMENT_OWNERS];
	const struct segment segment = { t->blob, segment_of(chunk_start(chunk)) };
	unsigned n = places_owners(t->conf->places, t->members, segment, t->doubt->what->file.size,
				   owners);
	uint32_t by = t->voucher != TRIAL_OWNERS ? t->voucher : n ? owners[0] : t->members->self;

	return n && chunk_digest_known(t->vouched->digests[chunk]) &&
	       chunk_digest_same(t->vouched->digests[chunk], t->have->digests[chunk]) &&
	       strcmp(member_address(t->members->members[by]), address) == 0;
}

/* Who gave a chunk that goes. That a list says otherwise makes nobody guilty: he may not have had
 * it yet. */
static void accuse(struct trial *t, uint32_t i)
{
	char who[MEMBER_ADDRESS_MAX + 1];
	const struct source_blob *what = t->doubt->what;
	uint8_t must[CHUNK_LIST_DIGEST];
	bool known = evidence_knows(t->conf->evidence, what->etag, i, must) == EVIDENCE_PUBLISHED &&
		     !chunk_digest_same(t->have->digests[i], must);

	if (evidence_giver(t->conf->evidence, what->etag, i, who) != EVIDENCE_MEMBER)
		return;
	if (known)
		(void)published_contradicted(t->conf->published, what->etag, i, who);
	suspects_accuse(&t->suspects, who, "wrong bytes", has_vouched(t, who, i), i);
}

void trial_accuse_witness(struct trial *t, uint32_t i, const char *address)
{
	suspects_accuse(&t->suspects, address, "false witness", true, i);
}

/* A chunk that is wrong, or may be. What is sealed is right. */
static void drop(struct trial *t, uint32_t i, bool proven)
{
	const struct source_blob *what = t->doubt->what;

	if (blob_is_sealed(t->doubt->blob))
		return;
	if (blob_drop_chunk(t->doubt->blob, i) < 0)
		log_debug("the next start will have chunk %u of etag=%s again", i, what->etag);
	evidence_drop(t->conf->evidence, what->etag, i, t->have->digests[i], proven);
	metrics_add(&t->conf->counts->bytes_wrong, chunk_end(i, what->file.size) - chunk_start(i));
	t->gone |= 1U << i % WIRE_CHUNKS;
	t->dropped++;
}

void trial_drop(struct trial *t, uint32_t i, bool accused)
{
	if (accused)
		accuse(t, i);
	drop(t, i, false);
}

void trial_settle(struct trial *t, uint32_t i, const uint8_t must[static CHUNK_LIST_DIGEST])
{
	const uint8_t *mine = trial_have(t, i);

	memcpy(t->must->digests[i], must, CHUNK_LIST_DIGEST);
	t->refuted |= chunk_digest_known(t->vouched->digests[i]) &&
		      !chunk_digest_same(t->vouched->digests[i], must);
	if (!mine || chunk_digest_same(mine, must))
		return;
	accuse(t, i);
	drop(t, i, true);
}

void trial_heed(struct trial *t, uint32_t from, uint32_t to, enum evidence_word word)
{
	uint8_t must[CHUNK_LIST_DIGEST];

	for (uint32_t i = from; i < to; i++) {
		if (evidence_knows(t->conf->evidence, t->doubt->what->etag, i, must) < word)
			continue;
		if (trial_differs(t, i, must))
			trial_settle(t, i, must);
		else
			memcpy(t->must->digests[i], must, CHUNK_LIST_DIGEST);
	}
}

/* ---- sentences ---- */

static void convict(struct trial *t, const struct suspect *s)
{
	int at = membership_find(t->members, s->address);
	bool sure = s->sure || (at >= 0 && interview_convicts(&t->by, (uint32_t)at, s->chunks[0],
							      t->have->digests[s->chunks[0]]));

	suspect_tell(s, sure, t->doubt->what);
	if (at >= 0)
		member_note(t->members->members[at], sure ? MEMBER_LIED : MEMBER_MISLED,
			    s->count * CHUNK_BYTES, -1, clock_ms());
}

void trial_conclude(struct trial *t)
{
	const struct source_blob *what = t->doubt->what;
	bool over = blob_is_sealed(t->doubt->blob); /* the digest of all has told meanwhile */

	for (unsigned i = 0; !over && i < t->suspects.count; i++)
		convict(t, &t->suspects.of[i]);
	if (!over)
		evidence_learn(t->conf->evidence, what->etag, t->must, EVIDENCE_BELIEVED);
	segment_notes_forget(t->conf->notes, t->blob);
	if (t->voucher == TRIAL_OWNERS || t->dropped)
		log_info("inquiry etag=%s path=%s: %u chunks of %u are wrong", what->etag,
			 what->path, t->dropped, t->have->count);
}

/* ---- begin and end ---- */

void trial_end(struct trial *t)
{
	chunk_list_free(t->have);
	chunk_list_free(t->vouched);
	chunk_list_free(t->must);
	membership_unref(t->members);
}

int trial_begin(struct trial *t, const struct trial_conf *conf, const struct doubt *d)
{
	uint64_t size = d->what->file.size;

	if (chunk_count(size) < 2)
		return -ENODATA;
	*t = (struct trial){
		.conf = conf,
		.doubt = d,
		.blob = placement_key(d->what->etag),
		.voucher = TRIAL_OWNERS,
		.have = chunk_list_new(size),
		.vouched = chunk_list_new(size),
		.must = chunk_list_new(size),
		.members = members_now(conf->members),
	};
	t->by = (struct interviewer){
		.asker = conf->asker,
		.members = t->members,
		.what = d->what,
		.testimony = conf->testimony,
		.cancel = d->cancel,
		.counts = conf->counts,
	};
	if (t->have && t->vouched && t->must)
		return 0;
	trial_end(t);
	return -ENOMEM;
}
