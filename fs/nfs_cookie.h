/* SPDX-License-Identifier: Apache-2.0 */
/* Cookies of READDIR: from where one goes on in a listing that may be made anew. A commit's
 * directory never changes: there a cookie is a number in order. Elsewhere names come and go: there
 * it is a number of the name itself, and entries are listed in the order of these, so that whoever
 * goes on behind one sees each name once that was there all the time, whatever came and went. Who
 * has not the key cannot make two names of one number, of which the second might be left out.
 * Pure. */
#ifndef MATRIXFS_NFS_COOKIE_H
#define MATRIXFS_NFS_COOKIE_H

#include <stdint.h>

#include "daemon/base/own.h"

#define NFS_COOKIE_DOT 1  /* of "." ... */
#define NFS_COOKIE_DOTS 2 /* ... and ".."; all others have larger ones */

/* What makes numbers of names; the same after a restart, and on every node with the same key of
 * handles. */
struct nfs_cookie_key {
	uint8_t secret[32];
	uint64_t verifier; /* tells its cookies from those of another one */
};

/* From a key of handles, NFS_KEY bytes. -EIO if there is no digest. */
MUST_USE int nfs_cookie_key_make(const uint8_t *key, struct nfs_cookie_key *ret);

struct nfs_cookie {
	uint64_t value; /* one goes on behind the entry with it */
	uint32_t index; /* of the entry, in its listing */
};

/* Entries as they are to be listed. */
struct nfs_cookies {
	struct nfs_cookie *items;
	uint32_t count;
};

/* An empty list with room for so many. -ENOMEM. */
MUST_USE int nfs_cookies_init(struct nfs_cookies *c, uint32_t room);
void nfs_cookies_fini(struct nfs_cookies *c);
/* Adds the entries behind a cookie of a listing that never changes, and has so many. */
void nfs_cookies_add_rest(struct nfs_cookies *c, uint32_t count, uint64_t cookie);
/* Adds an entry of one that does / brings those into their order, when all were added. -EIO if
 * there is no digest. */
MUST_USE int nfs_cookies_add_name(struct nfs_cookies *c, const struct nfs_cookie_key *key,
				  const char *name, uint32_t index);
void nfs_cookies_sort(struct nfs_cookies *c);
/* Which of the items is the first behind a cookie; their count, if none is. */
uint32_t nfs_cookies_after(const struct nfs_cookies *c, uint64_t cookie);

#endif
