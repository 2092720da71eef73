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
#include "daemon/failures.h"
#include "daemon/hub.h"
#include "daemon/known.h"
#include "daemon/repo_id.h"
#include "daemon/throttle.h"
#include "daemon/transfers.h"

struct node;
struct handle;

struct node_hub {
	const char *url;
	const char *token; /* or NULL */
};

struct node_conf {
	const char *cache_dir;
	const char *owner;           /* what a second process on the cache is told */
	const struct node_hub *hubs; /* in order of preference; copied */
	unsigned hub_count;          /* 1 ... 64 */
	bool offline;                /* never ask a hub */
	bool prefetch;               /* bring what is likely to be read next */
	bool strict;                 /* no byte is served before its file's digest was right */
	uint64_t cache_max_bytes;    /* 0: no limit */
	uint64_t cache_min_free_bytes;
	uint64_t memory_bytes; /* for transfers, whatever number of files is open */
	int64_t ref_ttl_ms;    /* a ref is believed so long without asking */
	int64_t timeout_ms;    /* the longest any waiter waits */
	/* Whatever was kept of this blob outside is to be forgotten: its bytes were wrong, or
	 * are gone from the disk. Must not wait for readers. Any thread, no lock held, also
	 * before node_open returns. May be NULL only for a node that nobody reads. */
	void (*on_forget)(void *arg, const char *etag);
	void *arg;
};

/* Opens the cache and starts. Sentences in why. Errors: store_open's, catalog_open's, -EINVAL. */
MUST_USE int node_open(const struct node_conf *conf, struct node **ret, struct buf *why);
/* Wakes all waiters with ERR_STOPPING and ends all work; calls keep answering from what is
 * known. */
void node_stop(struct node *n);
/* After node_stop; all handles and snapshots must have been given back. */
void node_close(struct node *n);

/* The repository of that name; ret may be another name's (repo_canonical tells). */
MUST_USE int node_repo(struct node *n, const struct repo_id *id, struct waiter *w,
		       struct repo **ret);
/* The commit of a branch, tag or refs/..., at most ref_ttl_ms old, or the last known when no hub
 * can be asked. Its snapshot is known. */
MUST_USE int node_ref(struct node *n, struct repo *r, const char *ref, struct waiter *w,
		      char ret[static COMMIT_HEX + 1]);
/* The files of a commit, owned. */
MUST_USE int node_snapshot(struct node *n, struct repo *r, const char *commit, struct waiter *w,
			   struct snapshot **ret);
/* Where everything about this node is counted; borrowed until node_close. */
struct metrics *node_metrics(struct node *n);
/* What is being fetched: see transfers.h; and the last failure of a blob, if it is remembered. */
int node_each_transfer(struct node *n, int (*fn)(void *arg, const struct transfer *t), void *arg);
bool node_transfer(struct node *n, const char *etag, struct transfer *ret);
bool node_failure(struct node *n, const char *etag, struct failure *ret);
/* The hubs that are asked (none when offline): the name of hub i < count and how it is. */
unsigned node_hub_count(const struct node *n);
const char *node_hub_health(struct node *n, unsigned i, struct hub_health *ret);
/* What is known, for listings: see known.h. Borrowed until node_close. */
struct known *node_known(struct node *n);
/* Takes w out of a wait for one of the three calls above: 1 if it will not be woken. */
int node_leave_lookup(struct node *n, struct waiter *w);

/* Opens a file of a snapshot (a node of its manifest) for reading; no network. */
MUST_USE int node_open_file(struct node *n, struct snapshot *s, uint32_t file, struct handle **ret);
/* Tells the handle of another place where the same blob lies: it is fetched there if it cannot be
 * had at the first. */
MUST_USE int node_also_file(struct node *n, struct handle *h, struct snapshot *s, uint32_t file);
void node_close_file(struct node *n, struct handle *h);
/* The same handle once more: it stays until each has been closed. */
struct handle *node_ref_file(struct handle *h);
/* A descriptor of the whole verified file, borrowed until the handle is closed, or -1 while it is
 * not sealed. */
int node_sealed_fd(const struct handle *h);
/* Bytes [off, off + len) of the file (cut at its end, *ret_len tells; 0 there), mapped; borrowed
 * until node_done. With a NULL waiter PARKED only means "would wait". */
MUST_USE int node_read(struct node *n, struct handle *h, uint64_t off, uint64_t len,
		       struct waiter *w, const void **ret, uint64_t *ret_len);
/* The bytes given by node_read were used. */
void node_done(struct handle *h, const void *data, uint64_t len);
/* Takes w out of a wait for node_read: 1 if it will not be woken. */
int node_leave_read(struct node *n, struct waiter *w);

/* Limits of transfers in bytes per second; they count from now on. */
void node_set_limits(struct node *n, const struct throttle_limits *limits);
struct throttle_limits node_limits(struct node *n);

/* Queues all that is absent of the file, for nobody in particular: it comes while the handle is
 * open and nothing more urgent does. */
MUST_USE int node_fetch_file(struct node *n, struct handle *h);
/* Bytes of its chunks that are there, sealed or not. */
uint64_t node_file_present(const struct handle *h);

/* What the cache holds of a blob, open or not. */
struct node_blob {
	uint64_t disk_bytes; /* what its file takes, at most the file's size */
	bool sealed;
	char source[256]; /* name of the source of its last bytes, "" if unknown */
};
/* Looks at the disk and the index; `size` is the file's. */
void node_blob(struct node *n, const char *etag, uint64_t size, struct node_blob *ret);
/* Bytes of it that are there for good: of whole chunks. */
uint64_t node_present_bytes(struct node *n, const char *etag, uint64_t size);
/* Size and free bytes of the cache's file system. */
MUST_USE int node_space(struct node *n, uint64_t *ret_total, uint64_t *ret_free);

/* What those who look after the cache work with; borrowed until node_close. */
struct node_parts {
	struct store *store;
	struct catalog *catalog;
	struct pins *pins;
	struct evict *evict;
	uint64_t cache_max_bytes, cache_min_free_bytes;
	void (*on_forget)(void *arg, const char *etag); /* node_conf's, never NULL */
	void *arg;
	int64_t timeout_ms;
};
/* The same from node_open to node_close. */
const struct node_parts *node_parts(const struct node *n);

#endif
