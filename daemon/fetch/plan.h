/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes of a file to ask for next. A plan watches the reads of one file, tells sequential
 * streams (several may interleave) from random access, and whole files from parts, and answers each
 * read with the chunks it needs and what is worth fetching besides. Pure: numbers in, numbers out.
 * Not locked. Zeroed memory is a plan that has seen nothing. */
#ifndef MATRIXFS_PLAN_H
#define MATRIXFS_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/model/extents.h"

#define PLAN_STREAMS 8                        /* followed at once per file */
#define PLAN_WINDOW_MIN (UINT64_C(4) << 20)   /* first window of a stream, and "small file" */
#define PLAN_WINDOW_MAX (UINT64_C(128) << 20) /* bytes ahead of a steady reader */
#define PLAN_AHEAD_CAME 2                  /* but not more than so many times what came lately, */
#define PLAN_AHEAD_MIN (UINT64_C(8) << 20) /* or this */
#define PLAN_SKIP (UINT64_C(8) << 20)      /* a jump this short is still the same stream */
#define PLAN_PROOF (UINT64_C(64) << 20)    /* so much of a file tells how it is read */
#define PLAN_SWEEP (UINT64_C(16) << 20)    /* what a jump lets come behind random reads */
#define PLAN_SMALL (UINT64_C(128) << 10)   /* larger reads are the kernel's readahead */

struct plan_stream {
	uint64_t start;  /* where it began */
	uint64_t next;   /* one past the furthest byte read */
	uint64_t ahead;  /* one past the furthest byte asked for */
	uint64_t window; /* 0: seen once */
	uint64_t used;   /* when it last matched, for replacement */
};

struct plan {
	struct plan_stream streams[PLAN_STREAMS];
	uint64_t clock;
	uint64_t came;            /* bytes that came in the last seconds, as the caller says */
	uint64_t read;            /* bytes asked for by readers */
	uint64_t lowest, highest; /* of the bytes they asked for */
	/* Random reads within one domain: a tensor, or the file if none are known. */
	uint64_t domain; /* its start */
	unsigned jumps;
	uint64_t swept; /* one past what was asked for behind them */
};

struct plan_range {
	uint64_t from, to; /* chunk borders; from >= to: nothing */
};

struct plan_want {
	struct plan_range need;  /* must come for this read */
	struct plan_range ahead; /* worth having: the stream's window beyond what it was before */
	struct plan_range sweep; /* worth having, too: behind random reads */
	uint64_t run_max;        /* one request is best at most so long */
};

/* How much may be asked for ahead of its reader: what comes long before it is read takes its place
 * from what is waited for. */
uint64_t plan_ahead_max(uint64_t came);
/* Notes a read of len > 0 bytes at off (within size) and answers what to want. `tensors` may be
 * empty: unknown. */
struct plan_want plan_read(struct plan *p, uint64_t off, uint64_t len, uint64_t size,
			   const struct extents *tensors);
/* True if readers leave out parts of the file, as far as can be told. */
bool plan_has_gaps(const struct plan *p);

#endif
