/* SPDX-License-Identifier: Apache-2.0 */
/* Guesses from what is read what will be, and brings it: the header of a file of tensors, the
 * directory at the end of a zip, the small files beside a config, the next shards. What it guesses
 * by, and when it stops, is told in docs/decisions.md. One thread does the work; what readers call
 * only notes that they read. Threads: any. */
#ifndef MATRIXFS_PREFETCH_H
#define MATRIXFS_PREFETCH_H

#include "daemon/fetch/fetch.h"
#include "daemon/model/snapshot.h"
#include "daemon/cache/store.h"

struct prefetch;
struct watch;

struct prefetch_conf {
	struct fetch *fetch; /* borrowed until prefetch_stop */
	struct store *store; /* likewise */
	const char *root;    /* see pressure.h; borrowed until prefetch_free */
	bool always;         /* also while memory is short */
};

/* Starts the thread. -ENOMEM, -EAGAIN. */
MUST_USE int prefetch_start(const struct prefetch_conf *conf, struct prefetch **ret);
/* Joins the thread and gives up all that is under way. Reading goes on without guesses. */
void prefetch_stop(struct prefetch *p);
/* All watches must have been left. */
void prefetch_free(struct prefetch *p);

/* Somebody begins to read a file: the same watch for all who read it. Leave it with
 * prefetch_leave. NULL if nothing can be guessed from this file. */
struct watch *prefetch_watch(struct prefetch *p, struct snapshot *s, uint32_t file);
/* Somebody got len bytes of it. */
void prefetch_read(struct prefetch *p, struct watch *w, uint64_t len);
void prefetch_leave(struct prefetch *p, struct watch *w);

#endif
