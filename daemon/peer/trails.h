/* SPDX-License-Identifier: Apache-2.0 */
/* Who gave this node which segment last: it is asked first for the rest; and how often others were
 * asked for it in vain. A small memory that forgets when it is full, and after a minute. Threads:
 * any. */
#ifndef MATRIXFS_TRAILS_H
#define MATRIXFS_TRAILS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/lock.h"

#define TRAILS_MAX 1024
#define TRAILS_MS 60000
#define TRAILS_VAIN_MS 5000 /* so long nobody is asked again for what nobody had */

struct trails {
	struct lock lock;
	/* Guarded by lock: each pair of blob and segment has one slot it may be in. */
	struct trail {
		uint64_t blob;
		uint32_t segment;
		uint64_t giver;   /* key of a member's address; 0: asked for, and not yet given */
		int64_t since_ms; /* 0: free */
		uint64_t sought;  /* the byte that others were asked for in vain */
		unsigned vain;    /* how often in a row, lately */
		int64_t sought_ms;
	} slots[TRAILS_MAX];
};

/* Nothing is remembered. */
void trails_init(struct trails *t);
void trails_fini(struct trails *t);
/* The segment is asked for here, or `giver` (not 0) gives it. */
void trails_note(struct trails *t, uint64_t blob, uint32_t segment, uint64_t giver, int64_t now_ms);
/* The bytes from `pos` on are to be had from nobody who is to bring them: how often others were
 * asked for them in vain before. -1: others of the segment have just been, and nobody had them. */
int trails_seek(struct trails *t, uint64_t blob, uint32_t segment, uint64_t pos, int64_t now_ms);
/* True if it was asked for here lately; *ret_giver is who gives it, or 0. */
bool trails_find(struct trails *t, uint64_t blob, uint32_t segment, int64_t now_ms,
		 uint64_t *ret_giver);
/* Who gave what of a blob is not to be asked first any more: some of it was wrong. */
void trails_forget(struct trails *t, uint64_t blob);

#endif
