/* SPDX-License-Identifier: Apache-2.0 */
/* What peers say to each other, as texts of HTTP/1.1 (docs/peers.md has the protocol). Questions
 * for bytes and digests are written and read here and nowhere else; pure. */
#ifndef MATRIXFS_WIRE_H
#define MATRIXFS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/cache/chunk_list.h"
#include "daemon/hub/source.h"
#include "daemon/peer/members.h"

#define WIRE_ROOT "/peer/v1/"
#define WIRE_PULL WIRE_ROOT "pull"  /* POST: a job that fetches a revision begins */
#define WIRE_JOBS WIRE_ROOT "jobs/" /* GET, and behind it a number: how far it is */
#define WIRE_HELD WIRE_ROOT "held/" /* GET, and behind it a blob: which segments are whole there */
#define WIRE_CHUNKS 16              /* of a segment: SEGMENT_BYTES in chunks */
#define WIRE_WAIT_MAX_MS 10000
#define WIRE_SIZE_MAX (UINT64_C(1) << 40) /* of a blob: who is asked places its segments */
#define WIRE_OTHERS_MAX 8 /* members an answer names, and a request as those that failed */

/* Fields of requests and answers. */
#define WIRE_OTHERS "Peer-Others"   /* "ADDR:PORT, ADDR:PORT": who else has it, or gets it */
#define WIRE_DIGESTS "Peer-Digests" /* "HEX,-,HEX": of the chunks of a segment; -: not known */
#define WIRE_NUMBER "Peer-Number"   /* which who asks has from now on, see segment_notes.h */
#define WIRE_QUIET "Peer-Quiet"     /* ms since bytes last came that lead to those asked for */
#define WIRE_ZONE "Peer-Zone"       /* of who asks, and of who answers */
#define WIRE_CAUSE "Peer-Cause"     /* of a failure: the word of its error (err_word) */

/* Statuses of answers to GET blobs/ETAG and digests/ETAG; anything else makes no sense. */
enum wire_status {
	WIRE_TOLD = 200,      /* Peer-Digests, or JSON of what is no question for bytes */
	WIRE_BYTES = 206,     /* the first bytes asked for, perhaps not all: Content-Range tells */
	WIRE_COMING = 202,    /* they are on their way here: ask again, at once */
	WIRE_ELSEWHERE = 300, /* ask those of Peer-Others */
	WIRE_BAD = 400,
	WIRE_KEY = 401, /* the key is not ours, or the clocks differ, or it was sent before */
	WIRE_NOT_HERE = 404,
	WIRE_METHOD = 405,
	WIRE_OTHER_SIZE = 409,
	WIRE_FAILED = 502, /* it cannot be had from upstream, as that says: Peer-Cause */
	WIRE_BUSY = 503,   /* something hinders it: Peer-Cause */
	WIRE_FULL = 507,   /* nothing more can be kept here */
};

/* What is asked for: a range of a blob within one segment, or the digests of a whole one. */
struct wire_ask {
	bool digests;    /* of the chunks; what follows is of no use then but for a witness: */
	bool witness;    /* who is asked gets them from upstream itself, if it must */
	uint32_t chunks; /* as a witness of these of the segment, bit i: its chunk i; 0: of all */
	bool held; /* what it holds is asked for, whoever gave it, but for what it has dropped */
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t size; /* of the blob */
	uint64_t off, len;
	bool bring;          /* if it is not there, fetch it: from upstream, or as a member does */
	struct repo_id repo; /* where the blob lies upstream */
	char commit[COMMIT_HEX + 1];
	const char *path; /* owned by the buffer it was read into, or borrowed */
	/* Another member said to ask here: who is asked gives it, and names nobody. The number of
	 * who asks, see segment_notes.h; 0: nobody said so. */
	uint32_t number;
	uint32_t wait_ms; /* for bytes that are coming; at most WIRE_WAIT_MAX_MS; 0: as usual */
	bool lfs; /* the etag is a SHA-256, else git's SHA-1; read only: its length says so */
	/* Members that were tried for it and failed: not to be named again. */
	char failed[WIRE_OTHERS_MAX][MEMBER_ADDRESS_MAX + 1];
	unsigned failed_count;
};

/* Appends the target: "/peer/v1/blobs/ETAG?size=...", and the value of the Range field. */
MUST_USE int wire_write_ask(const struct wire_ask *ask, struct buf *ret_target,
			    struct buf *ret_range);
/* Reads both. -EINVAL, with what is wrong in why as the end of a sentence ("its range is none"):
 * nothing of a request is believed but what has its form, a range is within the blob and one
 * segment. `path` gets the bytes of ret->path instead of what it held. */
MUST_USE int wire_read_ask(const char *target, const char *range, struct wire_ask *ret,
			   struct buf *path, struct buf *why);
/* True if it is in the form of a blob's digest. */
bool wire_is_etag(const char *text);
/* A number for the origin that a question names: where the blob lies upstream. */
uint64_t wire_origin(const struct wire_ask *ask);
/* The segment that is asked for, or that the range lies in. */
struct segment wire_segment(const struct wire_ask *ask);
/* How many chunks the range lies in; it is not empty. */
uint32_t wire_chunks(const struct wire_ask *ask);
/* The blob that is asked for, as its digest and its origin say; borrows ask->path. -EINVAL. */
MUST_USE int wire_blob(const struct wire_ask *ask, struct source_blob *ret);
/* The other way round: a question for that range of a blob, and no more; borrows its path. */
struct wire_ask wire_ask_of(const struct source_blob *blob, uint64_t off, uint64_t len);

/* The SHA-256 of each chunk of a segment, all zero if it is not known. */
struct wire_digests {
	uint8_t of[WIRE_CHUNKS][CHUNK_LIST_DIGEST];
};
/* Appends those of the segment that is asked for; and reads them: false if they have not their
 * form, or are not as many. */
void wire_write_digests(const struct wire_ask *ask, const struct wire_digests *d, struct buf *ret);
MUST_USE bool wire_read_digests(const struct wire_ask *ask, const char *text,
				struct wire_digests *ret);
/* Appends "a, b"; and reads it: addresses that have no form of one are left out. How many. */
void wire_write_others(const char (*others)[MEMBER_ADDRESS_MAX + 1], unsigned count,
		       struct buf *ret);
unsigned wire_read_others(const char *text,
			  char ret[static WIRE_OTHERS_MAX][MEMBER_ADDRESS_MAX + 1]);
/* The value of a Peer-Number field; 0 if it is none. */
uint32_t wire_read_number(const char *text);
/* That of a Peer-Quiet field; -1 if it is none. */
int64_t wire_read_quiet(const char *text);

#endif
