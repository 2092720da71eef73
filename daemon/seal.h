/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that digest what arrived, behind the streams and never in a reader's way. A blob
 * whose whole digest is right is flushed, recorded and sealed; one whose digest is wrong loses
 * all its bytes, the kernel is told, and it is served from then on only when verified. */
#ifndef MATRIXFS_SEAL_H
#define MATRIXFS_SEAL_H

#include "daemon/catalog.h"
#include "daemon/failures.h"
#include "daemon/metrics.h"
#include "daemon/pull.h"
#include "daemon/stream.h"

struct sealer;

struct sealer_conf {
	struct pulls *pulls;     /* borrowed until sealer_free */
	struct catalog *catalog; /* likewise */
	struct streams *streams; /* likewise; fetch again what was wrong */
	unsigned threads;
	unsigned source_count;
	struct metrics *metrics; /* counted and noted there; borrowed; or NULL */
	struct failures *failures;
	/* Bytes of this blob that readers got were wrong: forget cached pages. Must not wait
	 * for readers. No lock held. */
	void (*on_wrong)(void *arg, const char *etag);
	void *arg;
};

/* Starts the threads. Errors: -ENOMEM, -EAGAIN. */
MUST_USE int sealer_start(const struct sealer_conf *conf, struct sealer **ret);
/* After pulls->stop was set: joins the threads and frees. */
void sealer_stop(struct sealer *s);

#endif
