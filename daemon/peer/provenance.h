/* SPDX-License-Identifier: Apache-2.0 */
/* Of blobs that are not sealed yet: which of their chunks came from which member, or from a hub,
 * and what is known of the digests they must have. A bounded memory: the blob that was noted
 * longest ago is forgotten first, and of what is forgotten nobody is blamed. Threads: any. */
#ifndef MATRIXFS_PROVENANCE_H
#define MATRIXFS_PROVENANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/cache/chunk_list.h"
#include "daemon/peer/member_spec.h"

struct provenance;

/* Remembers so many bytes, about. -ENOMEM. */
MUST_USE int provenance_new(uint64_t bytes_max, struct provenance **ret);
void provenance_free(struct provenance *p);

/* Chunks [from, to) of a blob of that size come from this member; NULL: they are left to hubs, but
 * for those that members have given meanwhile. */
void provenance_note(struct provenance *p, const char *etag, uint64_t size, uint32_t from,
		     uint32_t to, const char *member);

/* What was noted of chunk i did not come to be. */
void provenance_take_back(struct provenance *p, const char *etag, uint32_t i);

/* What came as chunk i is not there any more: it was wrong, or (proven false) only nobody stood by
 * it. It had this digest; all zero: that is not known. */
void provenance_drop(struct provenance *p, const char *etag, uint32_t i,
		     const uint8_t was[static CHUNK_LIST_DIGEST], bool proven);
/* True if that was so lately, whatever came since: also when the blob is forgotten. */
bool provenance_dropped(struct provenance *p, const char *etag, uint32_t i);
/* Likewise, of what had this digest and was proven wrong. */
bool provenance_was_wrong(struct provenance *p, const char *etag, uint32_t i,
			  const uint8_t is[static CHUNK_LIST_DIGEST]);
/* Likewise, of what had another digest than this, or was dropped with all of the blob: chunk i was
 * not always as it is; also if more was dropped of the blob than is remembered, so that nobody can
 * tell. */
bool provenance_was_other(struct provenance *p, const char *etag, uint32_t i,
			  const uint8_t is[static CHUNK_LIST_DIGEST]);
/* All of a blob was dropped: nothing that is known of it says anything about what comes now, but
 * that its chunks had these digests (NULL: not known). Copied. */
void provenance_drop_all(struct provenance *p, const char *etag, const struct chunk_list *was);
/* True if all of a blob was dropped, and its chunk i had the digest that ret gets. */
bool provenance_former(struct provenance *p, const char *etag, uint32_t i,
		       uint8_t ret[static CHUNK_LIST_DIGEST]);
/* The digests of a blob are those: that a chunk of it was dropped that was right is forgotten, and
 * what else was dropped with all of it is proven wrong. */
void provenance_confirm(struct provenance *p, const char *etag, const struct chunk_list *right);

enum provenance_giver { PROVENANCE_NOBODY, PROVENANCE_HUB, PROVENANCE_DROPPED, PROVENANCE_MEMBER };
/* Who gave chunk i: nobody that is remembered, a hub, somebody who was wrong, or the member whose
 * address ret gets. */
enum provenance_giver provenance_giver(struct provenance *p, const char *etag, uint32_t i,
				       char ret[static MEMBER_ADDRESS_MAX + 1]);
/* True if of each of the chunks [from, to) somebody is remembered who gave it. */
bool provenance_whole(struct provenance *p, const char *etag, uint32_t from, uint32_t to);
/* The first chunk from that one on that a member gave; UINT32_MAX: there is none. */
uint32_t provenance_next_given(struct provenance *p, const char *etag, uint32_t from);
/* True if anything of a blob of that size is remembered. */
bool provenance_has(struct provenance *p, const char *etag, uint64_t size);

/* How the digest of a chunk is known: the later, the better. */
enum provenance_trust {
	PROVENANCE_UNKNOWN = 0,
	PROVENANCE_BELIEVED,  /* members say so that have no reason to lie together */
	PROVENANCE_WITNESSED, /* a hub gave it to this node, which digested it */
	PROVENANCE_PUBLISHED, /* a hub tells it everybody */
};
/* What the digests of a blob of l->size must be; those that are all zero are not known, and what
 * was known of them stands, as does what is known better. Copied. */
void provenance_learn(struct provenance *p, const char *etag, const struct chunk_list *l,
		      enum provenance_trust trust);
/* The same of `count` chunks of a blob of that size, from `first` on. */
void provenance_learn_part(struct provenance *p, const char *etag, uint64_t size, uint32_t first,
			   uint32_t count, const uint8_t (*digests)[CHUNK_LIST_DIGEST],
			   enum provenance_trust trust);
/* How the digest of chunk i is known, and if it is, ret gets it. */
enum provenance_trust provenance_knows(struct provenance *p, const char *etag, uint32_t i,
				       uint8_t ret[static CHUNK_LIST_DIGEST]);
/* What a hub tells everybody of a blob is not so: its digests are not known any more. */
void provenance_unlearn(struct provenance *p, const char *etag);
/* The first chunk of a blob that hubs say is otherwise than in this list, which is right; -1: there
 * is none, or none of them says anything. */
int64_t provenance_contradicts(struct provenance *p, const char *etag,
			       const struct chunk_list *right);
/* Forgets a blob. */
void provenance_forget(struct provenance *p, const char *etag);

#endif
