/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told that bytes of a blob were wrong: those who keep pages of it, those who ask why, those
 * who count, the log. Threads: any. */
#ifndef MATRIXFS_OUTCRY_H
#define MATRIXFS_OUTCRY_H

#include "daemon/failures.h"
#include "daemon/metrics.h"
#include "daemon/hub/source.h"

struct outcry {
	/* Bytes of this blob that readers got were wrong: forget cached pages. Must not wait
	 * for readers. No lock held. */
	void (*on_wrong)(void *arg, const char *etag);
	void *arg;
	struct metrics *metrics;   /* counted there; borrowed; or NULL */
	struct failures *failures; /* noted there; likewise */
};

/* The digest of all was wrong, and this source gave the last of it; all was dropped. */
void outcry_lie(const struct outcry *o, const struct source_blob *what, const char *source);
/* The digest of all was wrong: which of its chunks are will be found out. */
void outcry_doubt(const struct outcry *o, const struct source_blob *what);
/* Some of its chunks were wrong, and dropped, before it was whole: who gave them is named
 * elsewhere. */
void outcry_part(const struct outcry *o, const struct source_blob *what);
/* Chunks that had been right are not any more, and were dropped. */
void outcry_rot(const struct outcry *o, const struct source_blob *what);

#endif
