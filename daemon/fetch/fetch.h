/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of blobs, fetched once whoever asks. Puts together the table of pulls, the stream threads
 * and the sealer, and wakes readers whose deadline has passed. Threads: any. */
#ifndef MATRIXFS_FETCH_H
#define MATRIXFS_FETCH_H

#include "daemon/cache/catalog.h"
#include "daemon/cache/store.h"
#include "daemon/fetch/outcry.h"
#include "daemon/fetch/throttle.h"
#include "daemon/fetch/urgency.h"
#include "daemon/fetch/verifier.h"
#include "daemon/hub/source.h"
#include "daemon/model/extents.h"

struct fetch;
struct pull;
struct waiter;

struct fetch_conf {
	struct store *store; /* borrowed until fetch_free, like the next three */
	struct catalog *catalog;
	struct httpc *http;
	struct source *const *sources; /* in order of preference; none when offline */
	unsigned source_count;         /* <= 64 */
	uint64_t border; /* of whom else a run asks than its neighbour: none goes over one; or 0 */
	int64_t timeout_ms;    /* a run gives up after so long without progress */
	bool strict;           /* no byte is served before its blob's digest was right */
	bool lists;            /* of what is sealed the digest list is kept */
	uint64_t memory_bytes; /* for transfers, whatever number of files is open */
	int (*make_room)(void *arg, int r); /* see stream.h */
	void *make_room_arg;
	struct outcry outcry;     /* failures of sources are noted there, too */
	struct verifier verifier; /* of blobs whose digest is wrong, if there is one */
};

/* Starts the threads. Errors: -ENOMEM, -EAGAIN (no threads). */
MUST_USE int fetch_new(const struct fetch_conf *conf, struct fetch **ret);
/* Wakes all readers with ERR_STOPPING, ends running requests, joins all threads. */
void fetch_stop(struct fetch *f);
/* All handles must have been closed. */
void fetch_free(struct fetch *f);

/* Opens a blob for reading; close it with fetch_close. No network, but who has it open for others
 * with another size is given a second to leave it. ERR_SIZE: it is known with another size and in
 * use; -EROFS and the like from the cache directory. */
MUST_USE int fetch_open(struct fetch *f, const struct source_blob *what, struct pull **ret);
/* The same for others: nobody has to leave it, and it does not wait. */
MUST_USE int fetch_open_for_guest(struct fetch *f, const struct source_blob *what,
				  struct pull **ret);
/* Whom make_way.h asks before a blob that is open with another size is refused. */
void fetch_set_make_way(struct fetch *f, bool (*fn)(void *arg, const char *etag, bool in_use),
			void *arg);
/* Ends what is done with a blob through its only handle, which stays open: who waits is told r, and
 * so is whoever asks for what is not there from now on. False if there are other handles. */
MUST_USE bool fetch_expel(struct fetch *f, struct pull *p, int r);
/* Tells another place where the blob of a handle lies; of that who has it fetched for others knows:
 * readers' own places are asked for first. */
MUST_USE int fetch_also(struct fetch *f, struct pull *p, const struct source_blob *what);
MUST_USE int fetch_also_for_guest(struct fetch *f, struct pull *p, const struct source_blob *what);
void fetch_close(struct fetch *f, struct pull *p);
/* The same of what was a guess, or has no place any more: if nobody else has it open, not even what
 * is on its way comes. */
void fetch_give_up(struct fetch *f, struct pull *p);
/* The blob behind a handle; borrowed until fetch_close. */
struct blob *fetch_blob(const struct pull *p);
/* How often bytes of it were dropped since its first handle was opened, because they were wrong. */
unsigned fetch_drops(const struct pull *p);
/* Of its chunks those were dropped, because they are wrong, while others still come: bit i is chunk
 * first + i. Who keeps pages of it forgets them, and they come again while somebody reads it. */
void fetch_lost(struct fetch *f, struct pull *p, uint32_t first, unsigned which);
/* For a reader who opens the file: true if others had bytes of it that were not kept, so that no
 * digest speaks for any of it: he is to have none of those. What is kept of it goes, too, unless
 * somebody else has it open. */
bool fetch_begin_anew(struct fetch *f, struct pull *p);
/* Name of the source that gave the last bytes of a blob that is being fetched; "" if it is not. */
#define FETCH_SOURCE_MAX 255
void fetch_source_of(struct fetch *f, const char *etag, char ret[static FETCH_SOURCE_MAX + 1]);

/* The table of what is being fetched, for transfers.h; borrowed until fetch_free. */
struct pulls *fetch_pulls(struct fetch *f);

/* Makes [off, off + len) of an open blob readable (len > 0, within the file): 0 with where it lies,
 * borrowed until fetch_done, if it is; PARKED if w waits for it (wake: 0, ERR_DIGEST, ERR_TIMEOUT,
 * ERR_STOPPING or the reason it cannot be had), or negative. A NULL w only asks: 0, or PARKED for
 * "would wait", and nothing is started. When the disk takes nothing the bytes are brought for this
 * reader alone, unless only verified ones may be served. A waiter that was woken with 0 must call
 * again: it may own such bytes. *ret_len are there: all, but for a w to which some of them are
 * enough (w->some), which is woken with the first when the others do not follow at once. */
MUST_USE int fetch_read(struct fetch *f, struct pull *p, uint64_t off, uint64_t len,
			struct waiter *w, const void **ret, uint64_t *ret_len);
/* Copies what fetch_read gave, not through the mapping: its pages would have to be mapped here and
 * be taken out again on all processors. -EIO. */
MUST_USE int fetch_copy(const struct pull *p, const void *data, uint64_t len, void *to);
/* True if w may have bytes before the digest of all has told that they are right, or it has. */
bool fetch_shows(const struct pull *p, const struct waiter *w);
/* True while the cache takes no bytes of the blob: it has refused some just now. */
bool fetch_is_refused(struct pull *p);
/* When bytes last came by the run that is to bring the byte at off, or it began; if there is none
 * yet, of all runs that it may have to wait for. clock_ms() value; 0: nothing is on its way. */
int64_t fetch_moved_ms(struct pull *p, uint64_t off);
/* True if hubs fail the run that is to bring the byte at off, or let it wait; if there is none yet,
 * any that it may have to wait for. */
bool fetch_is_failing(struct pull *p, uint64_t off);
/* True if what fetch_read gave lies in the cache, not only in this reader's memory. */
bool fetch_keeps(const struct pull *p, const void *data);
/* True if the disk still has what fetch_read gave, as far as the length of its file tells. */
bool fetch_reaches(const struct pull *p, const void *data, uint64_t len);
/* Bytes [off, off + len) cannot be read from the disk: what is damaged is absent from now on, and
 * comes anew when it is read. */
void fetch_lose(struct fetch *f, struct pull *p, uint64_t off, uint64_t len);
/* The bytes given by fetch_read were used. */
void fetch_done(const struct pull *p, const void *data, uint64_t len);
/* Bytes per second, from now on. */
void fetch_set_limits(struct fetch *f, const struct throttle_limits *limits);
struct throttle_limits fetch_limits(struct fetch *f);
/* Books bytes that came for nobody who waits, outside of any handle: for how many ms whoever took
 * them is to take no more. */
int64_t fetch_pause_ms(struct fetch *f, uint64_t bytes);
/* Wants the absent chunks of [from, to), within the file, without waiting for them: they come while
 * the handle is open, unless a run fails. Nothing happens when offline or while nobody may be
 * asked. ERR_FULL, -ENOSPC and the like if the cache has just refused bytes of it. */
MUST_USE int fetch_want(struct fetch *f, struct pull *p, uint64_t from, uint64_t to,
			enum urgency urgency);
/* Tells where the tensors of a handle's file lie; what `e` owns is taken. The first telling
 * counts. */
void fetch_tell_extents(struct fetch *f, struct pull *p, struct extents *e);

/* What readers made of a file so far. */
struct fetch_use {
	uint64_t present; /* bytes of whole chunks that are there */
	uint64_t came;    /* bytes that came in the last seconds */
	bool gaps;        /* they skip parts: it is not read whole */
};
/* The same now. Nothing of it is exact while bytes come. */
void fetch_use(struct fetch *f, struct pull *p, struct fetch_use *ret);
/* Waits until all bytes are there and the digest has told: 0 if they are right, ERR_DIGEST if some
 * that were given are wrong. Nothing is fetched for it. */
MUST_USE int fetch_verdict(struct fetch *f, struct pull *p, struct waiter *w);
/* True if somebody waits for bytes who is no member of the cluster (w->only). No lock needed. */
bool fetch_has_waiting(struct fetch *f);
/* Takes w out if it waits for bytes: 1, and it will not be woken; 0 if it does not. */
int fetch_leave(struct fetch *f, struct waiter *w);

#endif
