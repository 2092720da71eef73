/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that digest what arrived, behind the streams and never in a reader's way. A blob
 * whose whole digest is right is flushed, recorded and sealed. One whose digest is wrong loses the
 * chunks that have rotted here since they came. If none has it was lied to: it loses those chunks
 * that a verifier finds out (doubts.h), or else all, and from then on is served only when verified.
 * The kernel is told. */
#ifndef MATRIXFS_SEAL_H
#define MATRIXFS_SEAL_H

#include "daemon/cache/catalog.h"
#include "daemon/fetch/doubts.h"
#include "daemon/fetch/outcry.h"
#include "daemon/fetch/pull.h"
#include "daemon/fetch/stream.h"

struct sealer;

struct sealer_conf {
	struct pulls *pulls;     /* borrowed until sealer_stop */
	struct catalog *catalog; /* likewise */
	struct streams *streams; /* likewise; fetch again what was wrong */
	unsigned threads;
	unsigned source_count;
	uint64_t hearsay;     /* bit i: source i has what it gives from others */
	bool lists;           /* the digest list of what is sealed is kept, see chunk_list.h */
	struct outcry outcry; /* its metrics count what is sealed, too */
	struct httpc *http;   /* of the verifier; borrowed */
	struct verifier verifier;
};

/* Starts the threads. Errors: -ENOMEM, -EAGAIN. */
MUST_USE int sealer_start(const struct sealer_conf *conf, struct sealer **ret);
/* After pulls->stop was set: joins the threads and frees. */
void sealer_stop(struct sealer *s);

#endif
