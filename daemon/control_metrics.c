/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus' text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Labels are
 * few: hubs by their URL, and words of our own. */
#include "daemon/control_priv.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/store.h"

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP matrixfs_%s %s\n# TYPE matrixfs_%s %s\n", name, help, name, type);
}

static void label(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			buf_add_str(b, "\\n");
		else if (*value == '"' || *value == '\\')
			buf_printf(b, "\\%c", *value);
		else
			buf_add(b, value, 1);
	}
	buf_add(b, "\"", 1);
}

static void value(struct buf *b, uint64_t v)
{
	buf_printf(b, " %ju\n", (uintmax_t)v);
}

/* A sample with one label, or with none. */
static void sample(struct buf *b, const char *name, const char *key, const char *word, uint64_t v)
{
	buf_printf(b, "matrixfs_%s", name);
	if (key) {
		buf_add(b, "{", 1);
		label(b, key, word);
		buf_add(b, "}", 1);
	}
	value(b, v);
}

static void counter(struct buf *b, const char *name, const metric *m, const char *help)
{
	head(b, name, "counter", help);
	sample(b, name, NULL, NULL, metrics_get(m));
}

static void gauge(struct buf *b, const char *name, uint64_t v, const char *help)
{
	head(b, name, "gauge", help);
	sample(b, name, NULL, NULL, v);
}

/* --- sources */

static void write_requests(struct buf *b, const char *hub, const struct metrics_source *s)
{
	for (unsigned i = 0; i < METRICS_OUTCOMES; i++) {
		buf_add_str(b, "matrixfs_source_requests_total{");
		label(b, "source", hub);
		buf_add(b, ",", 1);
		label(b, "outcome", metrics_outcome_name(i));
		buf_add(b, "}", 1);
		value(b, metrics_get(&s->requests[i]));
	}
}

static void write_sources(struct buf *b, struct node *n)
{
	const struct metrics *m = node_metrics(n);
	struct hub_health health;

	head(b, "source_bytes_total", "counter", "Bytes of files received from a source.");
	for (unsigned i = 0; i < node_hub_count(n); i++)
		sample(b, "source_bytes_total", "source", node_hub_health(n, i, &health),
		       metrics_get(&m->sources[i].bytes));
	head(b, "source_requests_total", "counter",
	     "Requests to a source and the hosts it names, by how they ended.");
	for (unsigned i = 0; i < node_hub_count(n); i++)
		write_requests(b, node_hub_health(n, i, &health), &m->sources[i]);
	head(b, "source_up", "gauge", "1 unless a source cannot be reached and is left alone.");
	for (unsigned i = 0; i < node_hub_count(n); i++) {
		const char *name = node_hub_health(n, i, &health);

		sample(b, "source_up", "source", name, health.down_ms == 0);
	}
}

/* --- reads */

static void write_read_time(struct buf *b, const struct metrics_histogram *h)
{
	uint64_t count = 0;

	head(b, "read_seconds", "histogram", "Time of the kernel's reads, from request to reply.");
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		count += metrics_get(&h->buckets[i]);
		buf_printf(b, "matrixfs_read_seconds_bucket{le=\"%g\"} %ju\n",
			   (double)metrics_bound_us(i) / 1e6, (uintmax_t)count);
	}
	count += metrics_get(&h->buckets[METRICS_BUCKETS]);
	buf_printf(b, "matrixfs_read_seconds_bucket{le=\"+Inf\"} %ju\n", (uintmax_t)count);
	buf_printf(b, "matrixfs_read_seconds_sum %.6f\n", (double)metrics_get(&h->sum_us) / 1e6);
	buf_printf(b, "matrixfs_read_seconds_count %ju\n", (uintmax_t)count);
}

static void write_reads(struct buf *b, const struct metrics *m)
{
	uint64_t hit = metrics_get(&m->reads_hit), waited = metrics_get(&m->reads_waited);
	uint64_t all = hit + waited;

	head(b, "reads_total", "counter",
	     "Reads the daemon answered: at once (hit) or after a wait. Passthrough is not seen.");
	sample(b, "reads_total", "result", "hit", hit);
	sample(b, "reads_total", "result", "waited", waited);
	head(b, "read_hit_ratio", "gauge", "Part of the reads that was answered at once.");
	buf_printf(b, "matrixfs_read_hit_ratio %.6f\n", all ? (double)hit / (double)all : 1);
	write_read_time(b, &m->read_time);
	head(b, "opens_total", "counter", "Opens of files of a hub, by how the kernel reads them.");
	sample(b, "opens_total", "mode", "cached", metrics_get(&m->opens));
	sample(b, "opens_total", "mode", "passthrough", metrics_get(&m->opens_passthrough));
	head(b, "errors_total", "counter", "Failures told to the kernel, by kind.");
	for (unsigned i = 0; i < err_count(); i++)
		sample(b, "errors_total", "kind", err_word(i), metrics_get(&m->errors[i]));
	counter(b, "slow_ops_total", &m->slow_ops, "Requests that took longer than slow-op.");
	counter(b, "wedged_waits_total", &m->wedged,
		"Requests that were not answered at their deadline. Must stay 0.");
}

/* --- what is kept, what is on its way */

static void write_cache(struct buf *b, struct node *n)
{
	const struct node_parts *parts = node_parts(n);
	const struct metrics *m = node_metrics(n);
	uint64_t total = 0, free_bytes = 0;

	gauge(b, "cache_bytes", store_used_bytes(parts->store), "Bytes the cache takes.");
	gauge(b, "cache_limit_bytes", parts->cache_max_bytes, "Most bytes it may take; 0: none.");
	if (node_space(n, &total, &free_bytes) == 0) {
		gauge(b, "disk_bytes", total, "Size of the cache's file system.");
		gauge(b, "disk_free_bytes", free_bytes, "Bytes free in it.");
	}
	counter(b, "sealed_total", &m->sealed, "Files whose digest was found right.");
	counter(b, "wrong_digests_total", &m->wrong_digests, "Files whose digest was wrong.");
	counter(b, "evicted_blobs_total", &m->evicted_blobs, "Files evicted.");
	counter(b, "evicted_bytes_total", &m->evicted_bytes, "Bytes that gave back.");
}

struct sums {
	uint64_t transfers, waiting, requests, asked;
};

static int add_transfer(void *arg, const struct transfer *t)
{
	struct sums *s = arg;

	s->transfers++;
	s->waiting += t->waiting;
	s->requests += t->requests;
	s->asked += t->asked;
	return 0;
}

static void write_transfers(struct buf *b, struct node *n)
{
	struct sums s = { 0 };

	if (node_each_transfer(n, add_transfer, &s) < 0)
		return;
	gauge(b, "transfers", s.transfers, "Files that are being fetched.");
	gauge(b, "requests_in_flight", s.requests, "Range requests under way.");
	gauge(b, "bytes_in_flight", s.asked, "Bytes asked for that have not come.");
	gauge(b, "waiting_reads", s.waiting, "Reads that wait for bytes.");
}

static void write_self(struct buf *b, struct control *c)
{
	const struct control_face *face = c->conf.face;
	int64_t oldest_ms;

	head(b, "build_info", "gauge", "1, with the version.");
	sample(b, "build_info", "version", MATRIXFS_VERSION, 1);
	gauge(b, "start_time_seconds", (uint64_t)c->since_s, "When it was started.");
	gauge(b, "passthrough", !face->passthrough_why_not(face->arg),
	      "1 if the kernel reads verified files by itself.");
	gauge(b, "requests_under_way", face->under_way(face->arg, &oldest_ms),
	      "Requests of the kernel that are not answered yet.");
}

void control_metrics(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct node *n = c->conf.node;

	write_self(&b, c);
	write_sources(&b, n);
	write_reads(&b, node_metrics(n));
	write_cache(&b, n);
	write_transfers(&b, n);
	if (b.failed)
		control_fail(q, b.failed);
	else
		httpd_reply(q, 200, "text/plain; version=0.0.4; charset=utf-8", &b, NULL);
}
