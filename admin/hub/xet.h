/* SPDX-License-Identifier: Apache-2.0 */
/* The Xet store, as far as clients bring files to it: tokens, xorbs, shards. What they bring
 * becomes blobs like any other; the store is a way to send them. Its address ends with a number N:
 * what clients remember of a store they remember by its address, so when something of it has gone
 * they are given another one, and forget. Handlers: see ask_fn; all but the first are asked with a
 * token of ours (xet_token.h), and so with ask_start_keyed. */
#ifndef MATRIXFS_XET_H
#define MATRIXFS_XET_H

#include "admin/hub/ask.h"
#include "admin/registry/registry.h"

/* GET .../xet-write-token/REV: a token, and where the store is. */
int xet_write_token(struct ask *a);
/* The same for who is asked about git-lfs objects, by whom the repository may be changed. Freed by
 * xet_pass_fini; zeroed it is none. The fields are known by these names. */
#define XET_PASS_URL "X-Xet-Cas-Url"
#define XET_PASS_TOKEN "X-Xet-Access-Token"
#define XET_PASS_EXPIRES "X-Xet-Token-Expiration"
struct xet_pass {
	struct buf token, url;
	int64_t expires_s; /* as clients are told: wall clock */
};
void xet_pass_fini(struct xet_pass *p);
MUST_USE int xet_pass(struct ask *a, struct registry_repo *repo, struct xet_pass *ret);

/* POST N/v1/xorbs/default/HASH: chunks. */
int xet_put_xorb(struct ask *a);
/* POST N/shards, N/v1/shards, N/v2/shards: which files are made of them. */
int xet_put_shard(struct ask *a);
int xet_put_shard_v2(struct ask *a);
/* GET N/v1/chunks/default/HASH: whether that chunk is here, and which others are. */
int xet_find_chunk(struct ask *a);
/* Anything else: it is not offered, by whatever method, which clients want to hear as a 404. */
int xet_nothing(struct ask *a);

#endif
