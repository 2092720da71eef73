/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus' text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Labels are
 * few: hubs by their URL, and words of our own. Names are given without "matrixfs_". */
#ifndef MATRIXFS_EXPOSITION_H
#define MATRIXFS_EXPOSITION_H

#include "daemon/base/buf.h"
#include "daemon/metrics.h"
#include "daemon/node.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* What a metric is; its samples follow. */
void exposition_head(struct buf *b, const char *name, const char *type, const char *help);
/* A sample with one label, or with none (key is NULL). */
void exposition_sample(struct buf *b, const char *name, const char *key, const char *word,
		       uint64_t v);
/* Its parts, for samples with more labels: name="value", and what ends the line. */
void exposition_label(struct buf *b, const char *name, const char *value);
void exposition_value(struct buf *b, uint64_t v);
/* A whole metric without labels. */
void exposition_counter(struct buf *b, const char *name, const metric *m, const char *help);
void exposition_gauge(struct buf *b, const char *name, uint64_t v, const char *help);
/* The samples of a histogram of seconds, with one label or none. */
void exposition_histogram(struct buf *b, const char *name, const char *key, const char *word,
			  const struct metrics_histogram *h);
/* All about a node: its sources, what is kept, what is on its way. */
void exposition_node(struct buf *b, struct node *n);

#endif
