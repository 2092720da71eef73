/* SPDX-License-Identifier: Apache-2.0 */
/* The face of the core: all that fs/ and admin/ need of it. Names are looked up and bytes are
 * read here; what is not at hand is fetched, and the caller's waiter is parked meanwhile.
 *
 * Calls that take a waiter answer 0 with the result, a negative error, or PARKED: then w->wake is
 * called exactly once, from any thread and possibly before the call returns, no lock held, with 0
 * ("call again": the answer is at hand now) or a negative error. Threads: any. */
#ifndef MATRIXFS_NODE_H
#define MATRIXFS_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/base/wait.h"
#include "daemon/names/discover.h"
#include "daemon/cache/docs.h"
#include "daemon/failures.h"
#include "daemon/hub/hub.h"
#include "daemon/names/known.h"
#include "daemon/node_file.h"
#include "daemon/model/repo_id.h"
#include "daemon/fetch/throttle.h"
#include "daemon/fetch/transfers.h"
#include "daemon/cache/usage.h"

struct node;
struct peers;
struct peer_settings; /* both: peers.h */

#define NODE_HUBS_MAX 63 /* sources are at most 64, and the peers are one */

struct node_hub {
	const char *url, *token; /* the token may be NULL */
};

/* Whether what is likely to be read next is brought. In the order of --prefetch's choices. */
enum node_prefetch {
	NODE_PREFETCH_NO,
	NODE_PREFETCH_YES,
	NODE_PREFETCH_ALWAYS, /* also while memory is short */
};

struct node_conf {
	const char *cache_dir;
	const char *own_dir;         /* of blobs that are not cache: see store_set_own; or NULL */
	const char *owner;           /* what a second process on the cache is told */
	const struct node_hub *hubs; /* in order of preference; copied */
	unsigned hub_count;          /* 1 ... NODE_HUBS_MAX */
	bool offline;                /* never ask a hub */
	const struct peer_settings *peers; /* who else fetches the same; NULL: nobody */
	const struct peer_host *peer_host; /* its word on that, or NULL; both until node_close */
	bool gives_only;                   /* to peers: it asks them for no bytes */
	enum node_prefetch prefetch;
	enum discover_gone gone;     /* what the hubs' word for it does */
	bool renames;                /* what has a new name is found by that, see discover.h */
	enum hub_xet hub_xet;        /* whether they are asked by a Xet store: see hub.h */
	bool lenient;                /* of hubs' lists what makes sense is believed: see hub.h */
	bool chunk_lists;            /* of what comes the digest list is kept, see chunk_list.h */
	bool strict;                 /* no byte is served before its file's digest was right */
	const struct hosted *hosted; /* or NULL: there are none; borrowed until node_close */
	struct cache_limits cache;
	uint64_t memory_bytes; /* for transfers, whatever number of files is open */
	int64_t ref_ttl_ms;    /* a ref is believed so long without asking */
	int64_t timeout_ms;    /* the longest any waiter waits */
	/* Whatever was kept of this blob outside is to be forgotten: its bytes were wrong, or
	 * are gone from the disk. Must not wait for readers. Any thread, no lock held, also
	 * before node_open returns. May be NULL only for a node that nobody reads. */
	void (*on_forget)(void *arg, const char *etag);
	void *arg;
};

/* Opens the cache and starts. Sentences in why. Errors: store_open's, catalog_open's, -EINVAL;
 * *ret is set then only if a member's request holds it: node_stop says so. */
MUST_USE int node_open(const struct node_conf *conf, struct node **ret, struct buf *why);
/* Wakes all waiters with ERR_STOPPING and ends all work; calls answer from what is known. False if
 * somebody works on a request of a member still: then the node, what it borrowed and what its
 * callbacks use stay until the process ends. It may be asked again then. */
MUST_USE bool node_stop(struct node *n);
/* After node_stop was true; all handles and snapshots have been given back. */
void node_close(struct node *n);

/* The repository of that name; ret may be another name's (repo_canonical tells). */
MUST_USE int node_repo(struct node *n, const struct repo_id *id, struct waiter *w,
		       struct repo **ret);
/* What who may not see the repository of that name is answered, after all hubs were asked for it:
 * see discover_nothing. Never 0 without a wait. */
MUST_USE int node_nothing(struct node *n, const struct repo_id *id, bool open_counts,
			  struct waiter *w);
/* The commit of a branch, tag or refs/..., at most ref_ttl_ms old, or the last known when no hub
 * can be asked or none answers for two seconds. Its snapshot is known. */
MUST_USE int node_ref(struct node *n, struct repo *r, const char *ref, struct waiter *w,
		      char ret[static COMMIT_HEX + 1]);
/* The files of a commit, owned. */
MUST_USE int node_snapshot(struct node *n, struct repo *r, const char *commit, struct waiter *w,
			   struct snapshot **ret);
/* What a hub answers about a repository, kept as it came: see docs_get and docs_kept. */
MUST_USE int node_doc(struct node *n, struct repo *r, const char *tail, int64_t max_age_ms,
		      struct waiter *w, struct doc *ret);
MUST_USE int node_doc_kept(struct node *n, struct repo *r, const char *tail, struct buf *ret);
/* Which of them is kept, and whether anything of that has changed: see docs_version and
 * docs_changes. */
uint64_t node_doc_version(struct node *n, const char *name);
uint64_t node_doc_changes(struct node *n);
/* Its peers; NULL: it has none. Borrowed until node_close. */
struct peers *node_peers(struct node *n);
/* Where all about this node is counted; borrowed until node_close. */
struct metrics *node_metrics(struct node *n);
/* What is being fetched: see transfers.h; and the last failure of a blob, if it is remembered. */
int node_each_transfer(struct node *n, int (*fn)(void *arg, const struct transfer *t), void *arg);
bool node_transfer(struct node *n, const char *etag, struct transfer *ret);
bool node_failure(struct node *n, const char *etag, struct failure *ret);
/* The hubs that are asked (none when offline): the name of hub i < count and how it is. */
unsigned node_hub_count(const struct node *n);
const char *node_hub_health(struct node *n, unsigned i, struct hub_health *ret);
/* A repository that is hosted here was made, changed or deleted, which counts when this returns; no
 * lock held. Errors: -ENOMEM, the host's: then what was known of it stands. */
MUST_USE int node_renew(struct node *n, const struct repo_id *id);
/* What is known, for listings: see known.h. Borrowed until node_close. */
struct known *node_known(struct node *n);
/* Takes w out of a wait for one of the calls above about names: 1 if it will not be woken. */
int node_leave_lookup(struct node *n, struct waiter *w);

/* What counts from now on: limits of transfers in bytes per second, what the cache may take, how
 * long a ref is believed, the token for hub i < count. */
void node_set_limits(struct node *n, const struct throttle_limits *limits);
struct throttle_limits node_limits(struct node *n);
void node_set_cache(struct node *n, const struct cache_limits *limits);
void node_set_ref_ttl(struct node *n, int64_t ref_ttl_ms);
MUST_USE int node_set_token(struct node *n, unsigned i, const char *token);

/* What the cache holds of a blob, open or not. */
struct node_blob {
	uint64_t disk_bytes; /* what its file takes, at most the file's size */
	bool sealed;
	bool was_wrong;   /* its digest was wrong once */
	char source[256]; /* name of the source of its last bytes, "" if unknown */
};
/* Looks at the disk and the index; `size` is the file's. And bytes of it there for good. */
void node_blob(struct node *n, const char *etag, uint64_t size, struct node_blob *ret);
uint64_t node_present_bytes(struct node *n, const char *etag, uint64_t size);
/* Bytes the cache may take at most, by its limits and by what the disk has left. */
uint64_t node_capacity(struct node *n);
/* 0 if the index can be read; size and free bytes of the cache's file system. */
MUST_USE int node_probe(struct node *n);
/* Frees so many bytes of its disk, of what was used longest ago, if it may: how many. Waits. */
uint64_t node_make_room(struct node *n, uint64_t bytes);
MUST_USE int node_space(struct node *n, uint64_t *ret_total, uint64_t *ret_free);

#endif
