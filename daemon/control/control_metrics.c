/* SPDX-License-Identifier: Apache-2.0 */
/* Counters for Prometheus. */
#include "daemon/base/err.h"
#include "daemon/control/control_priv.h"
#include "daemon/exposition.h"

static void write_reads(struct buf *b, const struct metrics *m)
{
	uint64_t hit = metrics_get(&m->reads_hit), waited = metrics_get(&m->reads_waited);
	uint64_t all = hit + waited;

	exposition_head(
		b, "reads_total", "counter",
		"Reads the daemon answered: at once (hit) or after a wait. Passthrough is not "
		"seen.");
	exposition_sample(b, "reads_total", "result", "hit", hit);
	exposition_sample(b, "reads_total", "result", "waited", waited);
	exposition_head(b, "read_hit_ratio", "gauge",
			"Part of the reads that was answered at once.");
	buf_printf(b, "matrixfs_read_hit_ratio %.6f\n", all ? (double)hit / (double)all : 1);
	exposition_head(b, "read_seconds", "histogram",
			"Time of the kernel's reads, from request to reply.");
	exposition_histogram(b, "read_seconds", NULL, NULL, &m->read_time);
	exposition_head(b, "opens_total", "counter",
			"Opens of files of a hub, by how the kernel reads them.");
	exposition_sample(b, "opens_total", "mode", "cached", metrics_get(&m->opens));
	exposition_sample(b, "opens_total", "mode", "passthrough",
			  metrics_get(&m->opens_passthrough));
	exposition_head(b, "errors_total", "counter", "Failures told to the kernel, by kind.");
	for (unsigned i = 0; i < err_count(); i++)
		exposition_sample(b, "errors_total", "kind", err_word(i),
				  metrics_get(&m->errors[i]));
	exposition_counter(b, "slow_ops_total", &m->slow_ops,
			   "Requests that took longer than slow-op.");
	exposition_counter(b, "wedged_waits_total", &m->wedged,
			   "Requests that were not answered at their deadline. Must stay 0.");
}

static void write_self(struct buf *b, struct control *c)
{
	const struct control_face *face = c->conf.face;
	struct control_counts counts;
	int64_t oldest_ms;

	face->count(face->arg, &counts);
	exposition_head(b, "build_info", "gauge", "1, with the version.");
	exposition_sample(b, "build_info", "version", MATRIXFS_VERSION, 1);
	exposition_gauge(b, "start_time_seconds", (uint64_t)c->since_s, "When it was started.");
	exposition_gauge(b, "passthrough", !face->passthrough_why_not(face->arg),
			 "1 if the kernel reads verified files by itself.");
	exposition_gauge(b, "requests_under_way", face->under_way(face->arg, &oldest_ms),
			 "Requests of the kernel that are not answered yet.");
	exposition_gauge(b, "inodes", counts.inodes, "Files and directories the kernel knows.");
	exposition_gauge(b, "scratch_bytes", counts.scratch_bytes,
			 "Bytes of metadata that clients wrote, in memory.");
	exposition_gauge(b, "scratch_nodes", counts.scratch_nodes, "Files and directories of it.");
}

static void write_nfs(struct buf *b, const struct metrics *m)
{
	exposition_gauge(b, "nfs_clients", metrics_get(&m->nfs_clients),
			 "Connections of NFS clients.");
	exposition_gauge(b, "nfs_hosts", metrics_get(&m->nfs_hosts),
			 "Addresses that NFS clients are connected from.");
	exposition_counter(b, "nfs_refused_total", &m->nfs_refused,
			   "Connections from outside the networks of nfs-allow.");
	exposition_counter(b, "nfs_denied_total", &m->nfs_denied,
			   "Requests of NFS clients about what nfs-export does not give them.");
	exposition_counter(b, "nfs_requests_total", &m->nfs_requests,
			   "Requests of NFS clients, whatever the answer.");
	exposition_counter(b, "nfs_sent_bytes_total", &m->nfs_bytes_out,
			   "Bytes sent to NFS clients.");
	exposition_counter(b, "nfs_read_bytes_total", &m->nfs_read_bytes,
			   "Bytes of files that NFS clients were given.");
}

void control_metrics(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct node *n = c->conf.node;

	write_self(&b, c);
	exposition_node(&b, n);
	write_reads(&b, node_metrics(n));
	write_nfs(&b, node_metrics(n));
	if (b.failed)
		control_fail(q, b.failed);
	else
		httpd_reply(q, 200, EXPOSITION_TYPE, &b, NULL);
}
