/* SPDX-License-Identifier: Apache-2.0 */
/* The interface "somebody who may find out what is wrong in a blob whose digest is wrong". Peers
 * are it: daemon/peer/verify_blob.c. */
#ifndef MATRIXFS_VERIFIER_H
#define MATRIXFS_VERIFIER_H

#include "daemon/cache/chunk_list.h"
#include "daemon/cache/store.h"
#include "daemon/hub/source.h"

/* What is to be looked into; all borrowed. */
struct doubt {
	const struct source_blob *what;
	struct blob *blob; /* all of it is here */
	struct httpc_cancel *cancel;
	/* It comes nearer to its end: who waits for that goes on waiting. */
	void (*moved)(void *arg);
	void *arg;
};

/* Who looks into it. */
struct verifier {
	/* Drops those chunks that it can tell to be wrong: how many, 0 if it cannot tell; or
	 * negative. Blocking; the doubt's `cancel` ends it. NULL: there is nobody. */
	int (*look)(void *arg, const struct doubt *d);
	/* The blob is sealed, with this digest list (or NULL: none was made): nothing is to be
	 * remembered of who gave what. No lock held. */
	void (*settled)(void *arg, const char *etag, const struct chunk_list *right);
	/* Likewise: all of it was dropped, which had these digests (NULL: not known). */
	void (*dropped)(void *arg, const char *etag, const struct chunk_list *was);
	void *arg;
};

#endif
