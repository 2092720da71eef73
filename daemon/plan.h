/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes of a file to ask for next. A plan watches the reads of one file, tells sequential
 * streams (several may interleave) from random access, and answers each read with the chunks it
 * needs and the window worth fetching ahead of it. Pure: numbers in, numbers out. Not locked. */
#ifndef MATRIXFS_PLAN_H
#define MATRIXFS_PLAN_H

#include <stdint.h>

#define PLAN_STREAMS 8                       /* followed at once per file */
#define PLAN_WINDOW_MIN (UINT64_C(4) << 20)  /* first window of a stream, and "small file" */
#define PLAN_WINDOW_MAX (UINT64_C(64) << 20) /* bytes ahead of a steady reader */
#define PLAN_SKIP (UINT64_C(8) << 20)        /* a jump this short is still the same stream */

struct plan_stream {
	uint64_t next;   /* one past the furthest byte read */
	uint64_t ahead;  /* one past the furthest byte asked for */
	uint64_t window; /* 0: seen once */
	uint64_t used;   /* when it last matched, for replacement */
};

struct plan {
	struct plan_stream streams[PLAN_STREAMS];
	uint64_t clock;
};

/* [need, need_end) must come for this read; [need_end, ahead_end) is worth having. Chunk
 * borders. */
struct plan_want {
	uint64_t need, need_end, ahead_end;
};

/* Notes a read of len > 0 bytes at off (within size) and answers what to want. Zeroed memory is a
 * plan that has seen nothing. */
struct plan_want plan_read(struct plan *p, uint64_t off, uint64_t len, uint64_t size);

#endif
