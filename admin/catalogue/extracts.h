/* SPDX-License-Identifier: Apache-2.0 */
/* What facts need of the bytes of files: the text of a README.md or a config.json, what the header
 * of weights says. It is read outside of transactions, ahead of the one that wants it; what weights
 * say is kept beside that in a row of their blob, and read once as long as that is there. Threads:
 * the owner's. */
#ifndef MATRIXFS_EXTRACTS_H
#define MATRIXFS_EXTRACTS_H

#include "admin/db.h"
#include "admin/registry/intake.h"
#include "daemon/base/map.h"
#include "daemon/model/gguf.h"
#include "daemon/model/manifest.h"
#include "daemon/model/safetensors.h"

struct extract;

/* Zeroed but for its intake it holds nothing. */
struct extracts {
	struct intake *intake;
	struct map map;
	struct extract *first;
	uint64_t reads, failed; /* of files, so far */
	size_t held;            /* bytes in memory of what they say */
};

/* Frees what it holds. */
void extracts_fini(struct extracts *x);

/* A transaction that asks. */
struct extracts_in {
	struct extracts *x;
	struct db_txn *txn;
	/* Inside db_write what is not known is read, and what weights say gets its row; else it is
	 * noted, for extracts_read. */
	bool writes;
};
/* Appends the text of a small file. -EAGAIN: it was noted; -ENOMEM. Of a large file, and of one
 * that cannot be read, it is empty. */
MUST_USE int extracts_text(const struct extracts_in *in, const struct manifest_file *f,
			   struct buf *ret);
/* Adds what a safetensors file holds; one that is none adds nothing. -EAGAIN, -ENOMEM. */
MUST_USE int extracts_tensors(const struct extracts_in *in, const struct manifest_file *f,
			      struct safetensors_counts *counts);
/* -ENOENT: the file says nothing; -EAGAIN, -ENOMEM. */
MUST_USE int extracts_gguf(const struct extracts_in *in, const struct manifest_file *f,
			   struct gguf_facts *ret);
/* Reads what was noted, outside of any transaction: 1, or 0 if nothing was; -ENOMEM. */
MUST_USE int extracts_read(struct extracts *x);
/* Inside db_write: a blob goes, and its rows with it. */
MUST_USE int extracts_forget(struct db_txn *t, const char *etag);

#endif
