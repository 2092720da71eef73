/* SPDX-License-Identifier: Apache-2.0 */
/* Finds out which chunks of a blob are wrong, when its digest is, and who gave them: by the list
 * that a hub publishes; else by what the owners of its segments say of what others gave; else by
 * witnesses, who have what is in question from upstream once more, whoever asks, and only digest
 * it. The witness of a segment follows its owner. Whom a witness contradicts may be right: then a
 * second one is heard, and two of the three have it right. The chunks that are wrong are dropped,
 * who gave them (or gave false witness) is banned, and what the digests must be is remembered. A
 * segment can also be compared with its owner's word before the blob is whole. Threads: any. */
#ifndef MATRIXFS_VERIFY_BLOB_H
#define MATRIXFS_VERIFY_BLOB_H

#include "daemon/peer/verify.h"

/* See struct verifier. */
MUST_USE int verify_blob(const struct verify_conf *conf, const struct doubt *d);

/* How often a segment has been compared. */
enum verify_time {
	VERIFY_FIRST,   /* who gave what is otherwise may yet find out that it is wrong */
	VERIFY_LAST,    /* it has had time for that: witnesses are heard */
	VERIFY_STALLED, /* likewise, and the owner has had time to say what it had: of what it gave
			    itself and still says nothing of they are heard, too */
};

/* What came of comparing one segment. */
struct verify_compared {
	struct wire_digests told; /* by its owner, as far as it was asked; kept for the next time */
	unsigned dropped;         /* bit i: its chunk i was wrong, and is gone */
	bool refuted;             /* witnesses and this node say otherwise than the owner */
	bool open;                /* it differs, and no witness has told yet: compare it later */
	bool own;                 /* the owner gave something of it */
	bool waits; /* somebody who gave of it is finding out what it holds: compare it soon */
	/* What givers said, for the next time; to be forgotten after the last. */
	struct digest_questions_held held;
};
/* Compares what members gave of one segment, while others still come, with what its owner (its
 * address) says that it had from a hub: that is one question, or none if it has told. Of what
 * differs who gave it is asked what it holds; where it stands by it witnesses are heard, as above.
 * c->told is what the owner told before, and c->held what givers did, all zero at first.
 * The doubt's blob is that of an open handle. 0; -EAGAIN: the owner is finding out, or busy;
 * -ENOENT: it has nothing to say; or how it failed. Blocking. */
MUST_USE int verify_segment(const struct verify_conf *conf, const struct doubt *d, uint32_t segment,
			    const char *owner, enum verify_time time, struct verify_compared *c);

#endif
