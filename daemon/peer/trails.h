/* SPDX-License-Identifier: Apache-2.0 */
/* What a node remembers of each segment that it wants: which member gave bytes of it last (that one
 * is asked first for the rest), how often members were asked for it in vain, and which number this
 * node has among those who want it. Numbers keep members from waiting for each other in a ring: who
 * asks upstream has 0, who is sent to a member has a higher one than that, and a node waits only
 * for one of a lower number. A small memory that forgets when it is full, and after a minute.
 * Threads: any. */
#ifndef MATRIXFS_TRAILS_H
#define MATRIXFS_TRAILS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/lock.h"
#include "daemon/peer/placement.h"

#define TRAILS_MAX 1024
#define TRAILS_MS 60000
#define TRAILS_NUMBER_MAX (UINT32_MAX / 2) /* higher ones count as it: what is added stays above */
#define TRAILS_FAILED_MS 1000              /* so long upstream is thought to fail */
#define TRAILS_VAIN_MS 5000                /* so long nobody is asked again for what nobody had */

struct trails {
	struct lock lock;
	/* Guarded by lock: each segment has one slot it may be in. */
	struct trail {
		struct segment segment;
		uint64_t giver;   /* key of a member's address; 0: asked for, and not yet given */
		int64_t since_ms; /* 0: free */
		uint32_t number;
		int64_t failed_ms; /* members said then that upstream fails */
		int64_t moved_ms;  /* bytes came then to those whom this node waits for */
		uint64_t sought;   /* the byte that others were asked for in vain */
		unsigned vain;     /* how often in a row, lately */
		int64_t sought_ms;
	} slots[TRAILS_MAX];
};

/* Nothing is remembered. */
void trails_init(struct trails *t);
void trails_fini(struct trails *t);
/* The segment is asked for here, or `giver` (not 0) gives it. */
void trails_note(struct trails *t, struct segment segment, uint64_t giver, int64_t now_ms);
/* The bytes from `pos` on are to be had from nobody who is to bring them: how often others were
 * asked for them in vain before. -1: others of the segment have just been, and nobody had them. */
int trails_seek(struct trails *t, struct segment segment, uint64_t pos, int64_t now_ms);
/* This node has that number from now on; if it has asked for the segment. */
void trails_number(struct trails *t, struct segment segment, uint32_t number, int64_t now_ms);
/* Whom this node waits for says that bytes came to him at moved_ms. */
void trails_moved(struct trails *t, struct segment segment, int64_t moved_ms, int64_t now_ms);
/* Members say that upstream fails. */
void trails_failed(struct trails *t, struct segment segment, int64_t now_ms);
/* True if it was asked for here lately; *ret is what is remembered. Else *ret is zeroed. */
bool trails_find(struct trails *t, struct segment segment, int64_t now_ms, struct trail *ret);
/* True if upstream failed lately: it would be in vain to ask members. */
bool trail_has_failed(const struct trail *t, int64_t now_ms);
/* Who gave what of a blob is not to be asked first any more: some of it was wrong. */
void trails_forget(struct trails *t, uint64_t blob);

#endif
