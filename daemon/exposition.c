/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/exposition.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/cache/catalog.h"
#include "daemon/node_parts.h"
#include "daemon/cache/store.h"
#include "daemon/peer/peers.h"

void exposition_head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP matrixfs_%s %s\n# TYPE matrixfs_%s %s\n", name, help, name, type);
}

void exposition_label(struct buf *b, const char *name, const char *value)
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

void exposition_value(struct buf *b, uint64_t v)
{
	buf_printf(b, " %ju\n", (uintmax_t)v);
}

/* A sample with one label, or with none. */
void exposition_sample(struct buf *b, const char *name, const char *key, const char *word,
		       uint64_t v)
{
	buf_printf(b, "matrixfs_%s", name);
	if (key) {
		buf_add(b, "{", 1);
		exposition_label(b, key, word);
		buf_add(b, "}", 1);
	}
	exposition_value(b, v);
}

void exposition_counter(struct buf *b, const char *name, const metric *m, const char *help)
{
	exposition_head(b, name, "counter", help);
	exposition_sample(b, name, NULL, NULL, metrics_get(m));
}

void exposition_gauge(struct buf *b, const char *name, uint64_t v, const char *help)
{
	exposition_head(b, name, "gauge", help);
	exposition_sample(b, name, NULL, NULL, v);
}

void exposition_histogram(struct buf *b, const char *name, const char *key, const char *word,
			  const struct metrics_histogram *h)
{
	CLEANUP(buf_free) struct buf own = { 0 };
	uint64_t count = 0;
	const char *labels;

	if (key)
		exposition_label(&own, key, word);
	labels = buf_str(&own);
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		count += metrics_get(&h->buckets[i]);
		buf_printf(b, "matrixfs_%s_bucket{%s%sle=\"%g\"} %ju\n", name, labels,
			   key ? "," : "", (double)metrics_bound_us(i) / 1e6, (uintmax_t)count);
	}
	count += metrics_get(&h->buckets[METRICS_BUCKETS]);
	buf_printf(b, "matrixfs_%s_bucket{%s%sle=\"+Inf\"} %ju\n", name, labels, key ? "," : "",
		   (uintmax_t)count);
	buf_printf(b, "matrixfs_%s_sum%s%s%s %.6f\n", name, key ? "{" : "", labels, key ? "}" : "",
		   (double)metrics_get(&h->sum_us) / 1e6);
	buf_printf(b, "matrixfs_%s_count%s%s%s %ju\n", name, key ? "{" : "", labels, key ? "}" : "",
		   (uintmax_t)count);
}

/* --- sources */

static void write_requests(struct buf *b, const char *hub, const struct metrics_source *s)
{
	for (unsigned i = 0; i < METRICS_OUTCOMES; i++) {
		buf_add_str(b, "matrixfs_source_requests_total{");
		exposition_label(b, "source", hub);
		buf_add(b, ",", 1);
		exposition_label(b, "outcome", metrics_outcome_name(i));
		buf_add(b, "}", 1);
		exposition_value(b, metrics_get(&s->requests[i]));
	}
}

static void write_bytes(struct buf *b, const char *kind, const char *source, uint64_t bytes)
{
	buf_add_str(b, "matrixfs_source_bytes_total{");
	exposition_label(b, "kind", kind);
	buf_add(b, ",", 1);
	exposition_label(b, "source", source);
	buf_add(b, "}", 1);
	exposition_value(b, bytes);
}

/* What a hub of ours sends went upstream for once, whoever asks it: that is another kind. Peers are
 * one source: who each of them is, and gave, is asked of the control socket. */
static void write_all_bytes(struct buf *b, struct node *n)
{
	const struct metrics *m = node_metrics(n);
	struct hub_health health;
	struct peers_status s;

	exposition_head(b, "source_bytes_total", "counter",
			"Bytes of files received from a source.");
	for (unsigned i = 0; i < node_hub_count(n); i++) {
		const char *name = node_hub_health(n, i, &health);

		write_bytes(b, health.is_matrixhubd ? "hub" : "upstream", name,
			    metrics_get(&m->sources[i].bytes));
	}
	if (!node_peers(n))
		return;
	peers_status(node_peers(n), &s);
	write_bytes(b, "peer", "peers", metrics_get(&s.counts->bytes_in));
}

static void write_sources(struct buf *b, struct node *n)
{
	const struct metrics *m = node_metrics(n);
	struct hub_health health;

	write_all_bytes(b, n);
	exposition_head(b, "source_requests_total", "counter",
			"Requests to a source and the hosts it names, by how they ended.");
	for (unsigned i = 0; i < node_hub_count(n); i++)
		write_requests(b, node_hub_health(n, i, &health), &m->sources[i]);
	exposition_head(b, "source_up", "gauge",
			"1 unless a source cannot be reached and is left alone.");
	for (unsigned i = 0; i < node_hub_count(n); i++) {
		const char *name = node_hub_health(n, i, &health);

		exposition_sample(b, "source_up", "source", name, health.down_ms == 0);
	}
	exposition_head(b, "source_locations", "gauge",
			"Signed locations of files that are remembered.");
	for (unsigned i = 0; i < node_hub_count(n); i++) {
		const char *name = node_hub_health(n, i, &health);

		exposition_sample(b, "source_locations", "source", name, health.locations);
	}
}

/* --- peers */

static void count_state(void *arg, const struct member_status *m)
{
	uint64_t *counts = arg;

	counts[m->state]++;
}

static void write_members(struct buf *b, struct peers *p)
{
	uint64_t counts[MEMBER_STATE_COUNT] = { 0 };

	members_each(peers_members(p), clock_ms(), count_state, counts);
	exposition_head(b, "peer_members", "gauge",
			"Members of the cluster, by how they behave towards this one.");
	for (unsigned i = 0; i < MEMBER_STATE_COUNT; i++)
		exposition_sample(b, "peer_members", "state", member_state_name(i), counts[i]);
}

static void write_count(struct buf *b, const char *name, const char *kind, const char *help,
			const metric *m)
{
	if (help)
		exposition_head(b, name, "counter", help);
	if (name)
		exposition_sample(b, name, kind ? "kind" : NULL, kind, metrics_get(m));
}

static void write_peers(struct buf *b, struct peers *p)
{
	struct peers_status s;

	if (!p)
		return;
	peers_status(p, &s);
#define WRITE(field, unit, metric, kind, help) write_count(b, metric, kind, help, &s.counts->field);
	PEER_COUNTS(WRITE)
#undef WRITE
	exposition_gauge(b, "peer_connections", s.connections, "Connections of peers.");
	write_members(b, p);
}

/* --- what is kept, what is on its way */

static void write_cache(struct buf *b, struct node *n)
{
	const struct node_parts *parts = node_parts(n);
	const struct metrics *m = node_metrics(n);
	uint64_t total = 0, free_bytes = 0;

	exposition_gauge(b, "cache_bytes", store_used_bytes(parts->store),
			 "Bytes the cache takes.");
	exposition_gauge(b, "cache_limit_bytes", store_limits(parts->store).max_bytes,
			 "Most bytes it may take; 0: none.");
	if (node_space(n, &total, &free_bytes) == 0) {
		exposition_gauge(b, "disk_bytes", total, "Size of the cache's file system.");
		exposition_gauge(b, "disk_free_bytes", free_bytes, "Bytes free in it.");
	}
	exposition_gauge(b, "index_map_bytes", catalog_map_bytes(parts->catalog),
			 "Bytes the index is mapped with.");
	exposition_counter(b, "sealed_total", &m->sealed, "Files whose digest was found right.");
	exposition_counter(b, "wrong_digests_total", &m->wrong_digests,
			   "Files whose digest was wrong.");
	exposition_counter(b, "evicted_blobs_total", &m->evicted_blobs, "Files evicted.");
	exposition_counter(b, "evicted_bytes_total", &m->evicted_bytes, "Bytes that gave back.");
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
	exposition_gauge(b, "transfers", s.transfers, "Files that are being fetched.");
	exposition_gauge(b, "requests_in_flight", s.requests, "Range requests under way.");
	exposition_gauge(b, "bytes_in_flight", s.asked, "Bytes asked for that have not come.");
	exposition_gauge(b, "waiting_reads", s.waiting, "Reads that wait for bytes.");
}

void exposition_node(struct buf *b, struct node *n)
{
	write_sources(b, n);
	write_peers(b, node_peers(n));
	write_cache(b, n);
	write_transfers(b, n);
}
