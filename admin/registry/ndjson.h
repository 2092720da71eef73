/* SPDX-License-Identifier: Apache-2.0 */
/* The body of POST .../commit/...: a header and what is to be done, one JSON object a line
 * ("application/x-ndjson"), read as it comes: the bytes of a file pass through, and no line is
 * held, however long it is. Who reads it is told of each line by a function. Pure but for these. */
#ifndef MATRIXFS_NDJSON_H
#define MATRIXFS_NDJSON_H

#include <stdint.h>

#include "daemon/base/buf.h"

#define NDJSON_TEXT_MAX (64 << 10) /* bytes of a summary, or of a description */

struct ndjson;

/* The first line. Borrowed until the function returns, as all below. */
struct ndjson_header {
	const char *summary, *description; /* "" : none */
	const char *parent;                /* "" : whatever it is */
};

enum ndjson_kind {
	NDJSON_FILE,     /* its bytes came before */
	NDJSON_LFS_FILE, /* which is stored already */
	NDJSON_DELETED_FILE,
	NDJSON_DELETED_FOLDER,
	NDJSON_COPY_FILE,
};

struct ndjson_op {
	enum ndjson_kind kind;
	uint64_t line;               /* for people */
	const char *path;            /* checked: git allows its names */
	const char *oid;             /* of an LFS file: 64 hex digits */
	int64_t size;                /* of an LFS file, -1 if it is not said */
	const char *source;          /* of a copy: a path, checked */
	const char *source_revision; /* of a copy, "" : the one that is changed */
};

/* 0, or a failure that ndjson_take returns. */
struct ndjson_events {
	int (*header)(void *arg, const struct ndjson_header *h);
	/* The next bytes of a file, which `op` will name: its line says that at the end. */
	int (*bytes)(void *arg, const void *data, size_t len);
	int (*op)(void *arg, const struct ndjson_op *op);
};

/* -ENOMEM. */
MUST_USE int ndjson_new(const struct ndjson_events *events, void *arg, struct ndjson **ret);
void ndjson_free(struct ndjson *n);
void ndjson_freep(struct ndjson **n);

/* The next bytes of the body. -EILSEQ for a path that no file can have, else -EINVAL, with a
 * sentence in why, which says the line: then no more may come. */
MUST_USE int ndjson_take(struct ndjson *n, const void *data, size_t len, struct buf *why);
/* There are no more. As above. */
MUST_USE int ndjson_end(struct ndjson *n, struct buf *why);

#endif
