/* SPDX-License-Identifier: Apache-2.0 */
/* What a node remembers of each segment that it wants: which member gave bytes of it last (that one
 * is asked first for the rest), how often members were asked for it in vain, and which number this
 * node has among those who want it. Numbers keep members from waiting for each other in a ring: who
 * asks upstream has 0, who is sent to a member has a higher one than that, and a node waits only
 * for one of a lower number. A small memory that forgets after a minute, and where it is full what
 * was asked for longest ago.
 * Threads: any. */
#ifndef MATRIXFS_SEGMENT_NOTES_H
#define MATRIXFS_SEGMENT_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/lock.h"
#include "daemon/peer/placement.h"

#define SEGMENT_NOTES_MAX 1024
#define SEGMENT_NOTES_WAYS 8 /* each may be in one of so many places */
#define SEGMENT_NOTES_MS 60000
#define SEGMENT_NOTES_NUMBER_MAX \
	(UINT32_MAX / 2)             /* higher ones count as it: what is added stays above */
#define SEGMENT_NOTES_FAILED_MS 5000 /* so long upstream is thought to fail, unless bytes come */
#define SEGMENT_NOTES_VAIN_MS 5000   /* so long nobody is asked again for what nobody had, */
#define SEGMENT_NOTES_AGAIN_MS 500   /* but for the same, after so long for each time in vain */

struct segment_notes {
	struct lock lock;
	/* Guarded by lock: each segment has a row of SEGMENT_NOTES_WAYS slots it may be in. */
	struct segment_note {
		struct segment segment;
		uint64_t giver;   /* key of a member's address; 0: asked for, and not yet given */
		int64_t since_ms; /* 0: free */
		uint32_t number;
		int64_t failed_ms;  /* members said then that upstream fails, */
		uint64_t failed_at; /* for this origin: see wire_origin */
		int64_t moved_ms;   /* bytes came then to those whom this node waits for */
		uint64_t sought;    /* the byte that others were asked for in vain, */
		uint64_t sought_at; /* and the origin that was to be asked then */
		unsigned vain;      /* how often in a row, lately */
		int64_t sought_ms;
		int64_t missed_ms; /* nobody had them, and this node asked upstream */
	} slots[SEGMENT_NOTES_MAX];
};

/* Nothing is remembered. */
void segment_notes_init(struct segment_notes *t);
void segment_notes_fini(struct segment_notes *t);
/* The segment is asked for here, or `giver` (not 0) gives it. */
void segment_notes_put(struct segment_notes *t, struct segment segment, uint64_t giver,
		       int64_t now_ms);
/* The bytes from `pos` on are to be had from nobody who is to bring them, and upstream from
 * `origin`: how often others were asked for them in vain before that. -1: others of the segment
 * have just been, or these too often, and nobody had them. */
int segment_notes_seek(struct segment_notes *t, struct segment segment, uint64_t pos,
		       uint64_t origin, int64_t now_ms);
/* This node has that number from now on; if it has asked for the segment. 0: it asks upstream,
 * since nobody has what was sought. */
void segment_notes_number(struct segment_notes *t, struct segment segment, uint32_t number,
			  int64_t now_ms);
/* Whom this node waits for says that bytes came to him at moved_ms. */
void segment_notes_moved(struct segment_notes *t, struct segment segment, int64_t moved_ms,
			 int64_t now_ms);
/* Members say that upstream fails for who asks for that origin: it may be that origin. */
void segment_notes_failed(struct segment_notes *t, struct segment segment, uint64_t origin,
			  int64_t now_ms);
/* They do not any more. */
void segment_notes_well(struct segment_notes *t, struct segment segment, int64_t now_ms);
/* True if it was asked for here lately; *ret is what is remembered. Else *ret is zeroed. */
bool segment_notes_find(struct segment_notes *t, struct segment segment, int64_t now_ms,
			struct segment_note *ret);
/* True if upstream failed lately for that origin, and nobody gave bytes since. */
bool segment_note_has_failed(const struct segment_note *t, uint64_t origin, int64_t now_ms);
/* Who gave what of a blob is not to be asked first any more: some of it was wrong. */
void segment_notes_forget(struct segment_notes *t, uint64_t blob);

#endif
