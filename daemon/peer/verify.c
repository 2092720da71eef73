/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/verify.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/cache/blob_lists.h"
#include "daemon/cache/chunk.h"

/* ---- chunks ---- */

uint32_t verify_chunks(const struct verify *v, uint32_t segment, uint32_t *ret_first)
{
	uint64_t size = v->doubt->what->file.size;

	*ret_first = chunk_of(segment_start(segment));
	return chunk_of(segment_end(segment, size) - 1) - *ret_first + 1;
}

const uint8_t *verify_have(struct verify *v, uint32_t i)
{
	uint8_t *digest = verify_digest(v, v->have, i);

	if (chunk_digest_known(digest))
		return digest;
	return blob_chunk_digest(v->doubt->blob, i, digest) == 0 ? digest : NULL;
}

bool verify_is_hearsay(const struct verify *v, uint32_t i)
{
	char who[MEMBER_ADDRESS_MAX + 1];

	return provenance_giver(v->conf->provenance, v->doubt->what->etag, i, who) !=
	       PROVENANCE_HUB;
}

bool verify_has_given(const struct verify *v, uint32_t i, const char *address)
{
	char who[MEMBER_ADDRESS_MAX + 1];

	return provenance_giver(v->conf->provenance, v->doubt->what->etag, i, who) ==
		       PROVENANCE_MEMBER &&
	       strcmp(who, address) == 0;
}

bool verify_is_settled(const struct verify *v, uint32_t i)
{
	return chunk_digest_known(verify_digest(v, v->must, i));
}

bool verify_differs(struct verify *v, uint32_t i, const uint8_t told[static CHUNK_LIST_DIGEST])
{
	struct blob *b = v->doubt->blob;
	bool counts = chunk_digest_known(told) && !verify_is_settled(v, i);
	const uint8_t *mine = counts && verify_is_hearsay(v, i) ? verify_have(v, i) : NULL;
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
static bool has_vouched(const struct verify *v, const char *address, uint32_t chunk)
{
	uint32_t owners[PLACEMENT_OWNERS];
	const struct segment segment = { v->blob, segment_of(chunk_start(chunk)) };
	unsigned n = placement_cache_owners(v->conf->placement, v->members, segment,
					    v->doubt->what->file.size, owners);
	uint32_t by = v->voucher != VERIFY_OWNERS ? v->voucher : n ? owners[0] : v->members->self;

	return n && chunk_digest_known(verify_digest(v, v->vouched, chunk)) &&
	       chunk_digest_same(verify_digest(v, v->vouched, chunk),
				 verify_digest(v, v->have, chunk)) &&
	       strcmp(member_address(v->members->members[by]), address) == 0;
}

/* Who gave a chunk that goes. That a list says otherwise is nobody's fault: he may not have had
 * it yet. */
static void blame_giver(struct verify *v, uint32_t i)
{
	char who[MEMBER_ADDRESS_MAX + 1];
	const struct source_blob *what = v->doubt->what;
	uint8_t must[CHUNK_LIST_DIGEST];
	bool known = provenance_knows(v->conf->provenance, what->etag, i, must) ==
			     PROVENANCE_PUBLISHED &&
		     !chunk_digest_same(verify_digest(v, v->have, i), must);

	if (provenance_giver(v->conf->provenance, what->etag, i, who) != PROVENANCE_MEMBER)
		return;
	if (known)
		(void)digest_lists_contradicted(v->conf->lists, what->etag, i, who);
	blame_add(&v->blame, who, "wrong bytes", has_vouched(v, who, i), i);
}

void verify_blame_witness(struct verify *v, uint32_t i, const char *address)
{
	blame_add(&v->blame, address, "false witness", true, i);
}

/* A chunk that is wrong, or may be. What is sealed is right. */
static void drop(struct verify *v, uint32_t i, bool proven)
{
	const struct source_blob *what = v->doubt->what;

	if (blob_is_sealed(v->doubt->blob))
		return;
	if (blob_drop_chunk(v->doubt->blob, i) < 0)
		log_debug("the next start will have chunk %u of etag=%s again", i, what->etag);
	provenance_drop(v->conf->provenance, what->etag, i, verify_digest(v, v->have, i), proven);
	metrics_add(&v->conf->counts->bytes_wrong, chunk_end(i, what->file.size) - chunk_start(i));
	v->gone |= 1U << i % WIRE_CHUNKS;
	v->dropped++;
}

void verify_drop(struct verify *v, uint32_t i, bool blamed)
{
	if (blamed)
		blame_giver(v, i);
	drop(v, i, false);
}

void verify_settle(struct verify *v, uint32_t i, const uint8_t must[static CHUNK_LIST_DIGEST])
{
	const uint8_t *mine = verify_have(v, i);

	memcpy(verify_digest(v, v->must, i), must, CHUNK_LIST_DIGEST);
	v->refuted |= chunk_digest_known(verify_digest(v, v->vouched, i)) &&
		      !chunk_digest_same(verify_digest(v, v->vouched, i), must);
	if (!mine || chunk_digest_same(mine, must))
		return;
	blame_giver(v, i);
	drop(v, i, true);
}

void verify_apply(struct verify *v, uint32_t from, uint32_t to, enum provenance_trust trust)
{
	uint8_t must[CHUNK_LIST_DIGEST];

	for (uint32_t i = from; i < to; i++) {
		if (provenance_knows(v->conf->provenance, v->doubt->what->etag, i, must) < trust)
			continue;
		if (verify_differs(v, i, must))
			verify_settle(v, i, must);
		else
			memcpy(verify_digest(v, v->must, i), must, CHUNK_LIST_DIGEST);
	}
}

/* ---- blame ---- */

/* Other segments do not wait until a giver has said what it holds: it may take its time. */
static bool is_to_blame(struct verify *v, const struct blamed *s, uint32_t member)
{
	const struct source_refused r = {
		.what = v->doubt->what,
		.chunk = s->chunks[0],
		.member = s->address,
		.gave = verify_digest(v, v->have, s->chunks[0]),
	};

	if (v->voucher == VERIFY_OWNERS || !v->conf->suspect)
		return digest_questions_is_to_blame(&v->by, member, r.chunk, r.gave);
	log_info("peer=%s passed on wrong bytes, it is asked what it holds etag=%s chunk=%u",
		 s->address, r.what->etag, r.chunk);
	v->conf->suspect(v->conf->arg, &r);
	return false;
}

static void ban(struct verify *v, const struct blamed *s)
{
	int at = membership_find(v->members, s->address);
	bool sure = s->sure || (at >= 0 && is_to_blame(v, s, (uint32_t)at));

	/* Of whom it is asked yet it is told then: a second warning at once would be held back. Who
	 * is not a member any more is not asked. */
	if (sure || at < 0 || v->voucher == VERIFY_OWNERS || !v->conf->suspect)
		blame_tell(s, sure, v->doubt->what);
	if (at >= 0)
		member_note(v->members->members[at], sure ? MEMBER_LIED : MEMBER_MISLED,
			    s->count * CHUNK_BYTES, -1, clock_ms());
}

void verify_conclude(struct verify *v)
{
	const struct source_blob *what = v->doubt->what;
	bool over = blob_is_sealed(v->doubt->blob); /* the digest of all has told meanwhile */

	for (unsigned i = 0; !over && i < v->blame.count; i++) {
		v->doubt->moved(v->doubt->arg);
		ban(v, &v->blame.of[i]);
	}
	if (!over)
		provenance_learn_part(v->conf->provenance, what->etag, what->file.size, v->first,
				      v->count, v->must, PROVENANCE_BELIEVED);
	segment_notes_forget(v->conf->notes, v->blob);
	if (v->voucher == VERIFY_OWNERS || v->dropped)
		log_info("verified etag=%s path=%s: %u chunks of %u are wrong", what->etag,
			 what->path, v->dropped, v->count);
}

/* ---- begin and end ---- */

void verify_end(struct verify *v)
{
	free(v->have);
	free(v->vouched);
	free(v->must);
	membership_unref(v->members);
}

int verify_begin(struct verify *v, const struct verify_conf *conf, const struct doubt *d,
		 uint32_t from, uint32_t to)
{
	uint64_t size = d->what->file.size;
	uint32_t first, count;

	if (chunk_count(size) < 2)
		return -ENODATA;
	first = chunk_of(segment_start(from));
	count = chunk_of(segment_end(to - 1, size) - 1) + 1 - first;
	*v = (struct verify){
		.conf = conf,
		.doubt = d,
		.blob = placement_key(d->what->etag),
		.voucher = VERIFY_OWNERS,
		.first = first,
		.count = count,
		.have = calloc(count, sizeof(*v->have)),
		.vouched = calloc(count, sizeof(*v->vouched)),
		.must = calloc(count, sizeof(*v->must)),
		.members = members_now(conf->members),
	};
	v->by = (struct digest_questions){
		.asker = conf->asker,
		.members = v->members,
		.what = d->what,
		.answers = conf->answers,
		.cancel = d->cancel,
		.counts = conf->counts,
	};
	if (v->have && v->vouched && v->must)
		return 0;
	verify_end(v);
	return -ENOMEM;
}
