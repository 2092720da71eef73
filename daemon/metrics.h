/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted while it happens: plain atomics, added to without a lock and read one by one, so
 * that counting costs an instruction and a reading is never a consistent cut. Sources are few and
 * numbered, no label is free text. Names and meaning for people: docs/control.md. Threads: any. */
#ifndef MATRIXFS_METRICS_H
#define MATRIXFS_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#define METRICS_SOURCES_MAX 64
#define METRICS_BUCKETS 16
#define METRICS_ERRORS_MAX 64

typedef atomic_ullong metric;

/* How a request to a source ended; up to METRICS_REFUSED the source has answered well. */
enum metrics_outcome {
	METRICS_OK,       /* 2xx */
	METRICS_REDIRECT, /* 3xx */
	METRICS_REFUSED,  /* 4xx, but for the next */
	METRICS_BUSY,     /* 408, 429 */
	METRICS_SERVER,   /* 5xx */
	METRICS_UNREACHABLE,
	METRICS_TLS,
	METRICS_TIMEOUT,
	METRICS_CUT,
	METRICS_PROTOCOL,
	METRICS_CANCELED, /* by us */
	METRICS_OUTCOMES
};

struct metrics_source {
	metric bytes; /* of files, as they came in */
	metric requests[METRICS_OUTCOMES];
};

struct metrics_histogram {
	metric buckets[METRICS_BUCKETS + 1]; /* the last one: longer than any bound */
	metric sum_us;
};

/* Zeroed memory has counted nothing. */
struct metrics {
	struct metrics_source sources[METRICS_SOURCES_MAX];
	metric reads_hit;    /* answered at once */
	metric reads_waited; /* parked first */
	struct metrics_histogram read_time;
	metric errors[METRICS_ERRORS_MAX]; /* answered to the kernel, by err_index() */
	metric opens, opens_passthrough;
	metric slow_ops;
	metric wedged; /* waits that nobody ended in time: a bug, each of them */
	metric sealed, wrong_digests;
	metric evicted_blobs, evicted_bytes;
	metric nfs_clients; /* connections there are */
	metric nfs_hosts;   /* addresses they come from */
	metric nfs_refused; /* ... that none of the networks allowed */
	metric nfs_denied;  /* calls about what the client may not see */
	metric nfs_requests, nfs_bytes_out;
	metric nfs_read_bytes; /* of files */
};

static inline void metrics_add(metric *m, uint64_t n)
{
	atomic_fetch_add_explicit(m, n, memory_order_relaxed);
}

static inline uint64_t metrics_get(const metric *m)
{
	return atomic_load_explicit(m, memory_order_relaxed);
}

/* Adds to a field of *m, unless m is NULL: nobody counts. */
#define metrics_count(m, field, n) \
	do { \
		if (m) \
			metrics_add(&(m)->field, n); \
	} while (0)

/* What httpc_run's answer means; status is that of the head, 0 if none came. */
enum metrics_outcome metrics_outcome(int r, int status);
/* The word for it: "ok", "busy". */
const char *metrics_outcome_name(enum metrics_outcome outcome);
/* Counts a duration. */
void metrics_time(struct metrics_histogram *h, int64_t us);
/* The upper bound of bucket i < METRICS_BUCKETS, in microseconds. */
int64_t metrics_bound_us(unsigned i);

#endif
