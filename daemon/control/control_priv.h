/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the control socket: control.c (sockets, routes), control_reply.c (answers) and the
 * handlers by topic. Nobody else includes this. */
#ifndef MATRIXFS_CONTROL_PRIV_H
#define MATRIXFS_CONTROL_PRIV_H

#include <stdatomic.h>

#include "daemon/base/httpd.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/workers.h"
#include "daemon/control/control.h"
#include "daemon/node_parts.h"

struct control {
	struct control_conf conf;
	int64_t since_s;               /* wall clock */
	int64_t since_ms;              /* clock_ms() */
	struct httpd *local, *address; /* or NULL */
	atomic_uint watchers;          /* streams of events */
	struct workers *askers;        /* of peers and hubs, for who must not wait */
};

/* Answers with what was written, which is taken; an error if there was no memory for it. */
void control_reply(struct httpd_request *q, int status, struct buf *json);
/* Answers with an error: its word ("not_found") and a sentence. */
void control_refuse(struct httpd_request *q, int status, const char *error, const char *fmt, ...)
	PRINTF(4, 5);
/* The same for a method that is none of those allowed. */
void control_refuse_method(struct httpd_request *q, const char *allow);
/* The same for failure r. */
void control_fail(struct httpd_request *q, int r);

/* The body, which must be one JSON object with no other members than these: 0, or -EINVAL after
 * having answered. */
MUST_USE int control_take_object(struct httpd_request *q, const char *const *known, size_t count,
				 struct jdoc **ret);
/* A member that is a number of bytes per second (0: no limit): what it says, `otherwise` if it is
 * not there, or -EINVAL after having answered. */
#define CONTROL_RATE_MAX (INT64_C(1) << 50)
MUST_USE int64_t control_take_rate(struct httpd_request *q, const struct jval *object,
				   const char *name, int64_t otherwise);
/* The last failure of a blob, or null. */
void control_write_failure(struct jwrite *w, const struct failure *f);
/* What a request names: a revision of a repository. */
struct control_wish {
	struct repo_id id;
	char revision[256];
	bool all_nodes, share; /* only of a pull */
};
/* The same of a query, ?repo=ORG/NAME[&type=][&revision=]: 0, or -EINVAL after having answered. */
MUST_USE int control_query_wish(struct httpd_request *q, struct control_wish *ret);
/* Answers that it failed with r; no hub was asked, so ERR_NOREPO and ERR_NOREV are about what is
 * known here. */
void control_refuse_unknown(struct httpd_request *q, const struct control_wish *wish, int r);
/* How much of the whole this is; of nothing, all. */
void control_write_percent(struct jwrite *w, uint64_t part, uint64_t whole);

/* A handler: it answers q. rest is what follows the route's prefix in the path. */
typedef void control_fn(struct control *c, struct httpd_request *q, const char *rest);

/* How things are. */
control_fn control_health, control_status, control_transfers, control_cache, control_why;
/* Which repositories are known here, and which files of one. */
control_fn control_repos, control_files;
/* Looks up ?path=PATH and gives what it is to `found`, which answers q, as this does if it is not
 * there. Any thread. */
typedef void control_found_fn(struct control *c, struct httpd_request *q,
			      const struct control_file *f);
void control_find(struct control *c, struct httpd_request *q, control_found_fn *found);
/* The members that say how far a transfer is and who waits for it, into an open object. */
void control_write_progress(struct jwrite *w, const struct transfer *t);
/* The node's peers; NULL, after having answered, if it has none. */
struct peers *control_peers_of(struct control *c, struct httpd_request *q);
/* Peers, where a file lies among them, and bans. */
control_fn control_peers, control_peer_owners, control_forgive_peers;
/* Who comes by NFS. */
control_fn control_nfs;
/* The parameters it runs with. */
control_fn control_config;
/* Whether the hubs can be asked, tried now. */
control_fn control_check_hubs;
/* Bytes per second, to see and to set. */
control_fn control_limits, control_set_limits;
void control_write_limits(struct jwrite *w, const char *key, struct node *n);
/* The same for Prometheus. */
control_fn control_metrics;
/* Things to do, and how far they are. */
control_fn control_pull, control_pin, control_unpin, control_evict, control_scrub;
control_fn control_jobs, control_job, control_job_events, control_job_nodes, control_cancel_job;

#endif
