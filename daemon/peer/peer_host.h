/* SPDX-License-Identifier: Apache-2.0 */
/* What the program that a node is in has to say of what members get here. Functions are called from
 * any thread, no lock held, until serve_stop; they must not block for long. */
#ifndef MATRIXFS_PEER_HOST_H
#define MATRIXFS_PEER_HOST_H

#include "daemon/hub/source.h"

/* A member, and what it wants; borrowed for the call. The blob is known by its digest and size;
 * where it lies is the member's word. */
struct peer_gift {
	const char *member;             /* its address, which is signed */
	const char *from;               /* where its connection comes from */
	const struct source_blob *blob; /* own: it is of those that are hosted here */
	uint64_t off, len;              /* of what it was given; 0, 0 while nothing is */
	bool cut;                       /* it broke off */
	int64_t since_ms;               /* when it began, in ms of the wall clock */
};

struct peer_host {
	/* Before anything is looked for: 0, or why it gets nothing; -EAGAIN: not yet. */
	int (*may)(void *arg, const struct peer_gift *gift);
	/* An answer with bytes is over: of one that broke off about so many went out, 0 if that is
	 * not known. */
	void (*gave)(void *arg, const struct peer_gift *gift);
	void *arg;
};

#endif
