/* SPDX-License-Identifier: Apache-2.0 */
/* The server of a node for its peers: whole chunks of what it keeps, sent by the kernel from the
 * cache's files; and what it is to bring for others, given as it comes. Threads: any. */
#ifndef MATRIXFS_SERVE_H
#define MATRIXFS_SERVE_H

#include "daemon/base/buf.h"
#include "daemon/fetch/fetch.h"
#include "daemon/job.h"
#include "daemon/peer/cluster_key.h"
#include "daemon/peer/members.h"
#include "daemon/peer/peer_counts.h"
#include "daemon/peer/peer_host.h"
#include "daemon/peer/peer_settings.h"
#include "daemon/peer/placement_cache.h"
#include "daemon/peer/provenance.h"
#include "daemon/peer/segment_notes.h"

struct probes;
struct serve;
struct digest_answers;
struct tls;

/* What members may have this node do; functions are called from any thread. */
struct serve_work {
	/* Starts a job that fetches a revision, or what of it is this node's to bring. */
	int (*pull)(void *arg, const struct repo_id *id, const char *revision, bool share,
		    uint64_t *ret_id);
	/* How far a job is; -ENOENT. */
	int (*job)(void *arg, uint64_t id, struct job_progress *ret);
	/* Appends what is here of a blob, a character a segment: '1' is all of it, else '0'.
	 * -ENOMEM. */
	int (*held)(void *arg, const char *etag, uint64_t size, struct buf *ret);
	void *arg;
};

struct serve_conf {
	const struct peer_settings *settings; /* borrowed until serve_stop */
	struct tls *tls;                      /* or NULL: it speaks none; borrowed likewise */
	const char *zone;                     /* of this node, or "" */
	const char *process; /* what answers are signed by: tells this process from others */
	struct fetch *fetch; /* borrowed until serve_stop, like all below */
	struct store *store;
	struct members *members;
	struct probes *probes;
	struct placement_cache *placement;
	struct segment_notes *notes; /* what is asked for here, too */
	struct provenance *provenance;
	struct source *const *hubs; /* for who asks this node as a witness */
	unsigned hub_count;
	struct httpc *http;
	struct cluster_key *key;
	struct peer_counts *counts;
	const struct peer_host *host; /* or NULL: members get what is here */
	int64_t timeout_ms;           /* for bytes that have to be brought */
};

/* Listens and answers. Sentences in why. */
MUST_USE int serve_start(const struct serve_conf *conf, struct serve **ret, struct buf *why);
/* After fetch_stop, so that nothing waits any more. False if somebody works on a request still:
 * then what was borrowed stays so until the process ends. NULL is fine. */
MUST_USE bool serve_stop(struct serve *s);
/* The same where somebody else uses its answers still: it answers nobody any more, and all of it
 * stays until the process ends. */
bool serve_hush(struct serve *s);
/* Members may ask for work from now on; borrowed until serve_stop. */
void serve_set_work(struct serve *s, const struct serve_work *work);
unsigned serve_connections(struct serve *s);
/* What this node says of digests itself; borrowed until serve_stop. */
struct digest_answers *serve_digest_answers(struct serve *s);

#endif
