/* SPDX-License-Identifier: Apache-2.0 */
/* The interface "something that can give a range of a blob". Hubs are one, the peers together
 * another, and tests/fake_source.c is the third. */
#ifndef MATRIXFS_SOURCE_H
#define MATRIXFS_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/httpc.h"
#include "daemon/model/manifest.h"
#include "daemon/model/repo_id.h"

/* Which bytes: the blob by its digest and size, and one place where a hub shows it. */
struct source_blob {
	struct repo_id repo;
	char commit[COMMIT_HEX + 1];
	const char *path;
	struct manifest_file file;
	char etag[DIGEST_HEX_MAX + 1];
	bool own; /* of a repository that is hosted here: it lies where those are kept */
};

/* What a source answers, without a word and at once, that is not the one to ask for these bytes:
 * the next one is, and nothing has failed. */
#define SOURCE_PASS 2

/* A run may be cut while a piece is written: it is cut further away than this. */
#define SOURCE_PIECE_MAX (UINT64_C(1) << 20)
/* Bytes a second: who gives less is left. */
#define SOURCE_TRICKLE_RATE 16384

struct source_ask {
	const struct source_blob *blob;
	uint64_t off, len; /* len > 0, within the file */
	int64_t deadline_ms;
	/* The sink may change these, and so does look(arg), which who hears nothing for long calls
	 * (NULL: nothing does). */
	void (*look)(void *arg);
	bool demand;      /* somebody waits for them */
	bool failing;     /* the sources that come after this one failed lately */
	int64_t until_ms; /* clock_ms() value: who asks gives up then */
	struct httpc_cancel *cancel;
	/* Receives the bytes in order, at most SOURCE_PIECE_MAX at a time, borrowed until it
	 * returns; none at all says that they are known to be on their way. Non-zero ends the call
	 * and becomes its result: how a caller says it has enough. */
	int (*sink)(void *arg, const void *data, size_t len);
	/* The same for bytes that nobody has compared yet, of a chunk that is wanted whole: all of
	 * it but the last ones. Nobody sees them before the sink has taken those. NULL: there is no
	 * place for such. */
	int (*lay)(void *arg, const void *data, size_t len);
	/* What was laid of a chunk is worth nothing. Called before `get` ends, or begins that chunk
	 * anew, unless the sink has taken its last bytes. */
	void (*take_back)(void *arg);
	void *arg;
};

struct source {
	const char *name; /* for logs, xattrs and metrics: a hub's URL without credentials */
	/* Gives exactly the bytes asked for, or fails: 0 after the last byte, else negative or
	 * SOURCE_PASS (a part may have reached the sink). Bytes beyond the range never reach it.
	 * `ret_wait_ms` gets how long the server asked to stay away, or -1. Blocking; any number of
	 * threads at once. */
	int (*get)(struct source *s, const struct source_ask *ask, int64_t *ret_wait_ms);
	/* True if it had better be asked after others: it is silent. NULL: never. */
	bool (*is_slow)(struct source *s);
	/* It gives what it had from others: of wrong bytes it is blamed before those who had not.
	 */
	bool hearsay;
	/* So many requests besides those that it is asked by it may have at once: each holds a
	 * piece, and a connection. To be set before it is asked. */
	unsigned besides_max;
};

#endif
