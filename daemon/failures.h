/* SPDX-License-Identifier: Apache-2.0 */
/* What lately went wrong with which blob, the last of each, for people who ask why. A short memory:
 * the oldest goes when a new one comes. Threads: any. */
#ifndef MATRIXFS_FAILURES_H
#define MATRIXFS_FAILURES_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/digest.h"
#include "daemon/base/lock.h"

#define FAILURES_KEPT 64
#define FAILURE_TEXT_MAX 255

struct failure {
	char etag[DIGEST_HEX_MAX + 1];
	char source[FAILURE_TEXT_MAX + 1]; /* that was asked, or "" */
	char text[FAILURE_TEXT_MAX + 1];
	int64_t at_s; /* wall clock */
};

struct failures {
	struct lock lock;
	struct failure list[FAILURES_KEPT]; /* oldest first; guarded by lock, as is the next */
	unsigned count;
};

/* An empty memory. */
void failures_init(struct failures *f);
void failures_fini(struct failures *f);
/* Notes failure r of this blob, with what err_noted(r) says, in place of an earlier one. */
void failures_note(struct failures *f, const char *etag, const char *source, int r);
/* The last one of a blob; false if there is none. */
bool failures_get(struct failures *f, const char *etag, struct failure *ret);

#endif
