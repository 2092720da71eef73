/* SPDX-License-Identifier: Apache-2.0 */
/* Signed locations: where a hub last sent us for a file's bytes. Each is kept until shortly
 * before it expires, the least recently used goes first when there are too many. Time comes in
 * as an argument. Threads: any. */
#ifndef MATRIXFS_LOCATION_H
#define MATRIXFS_LOCATION_H

#include <stdint.h>

#include "daemon/base/buf.h"

struct location_memory;

/* Makes an empty memory for at most max locations. 0 or -ENOMEM. */
MUST_USE int location_memory_new(unsigned max, struct location_memory **ret);
void location_memory_free(struct location_memory *m);

/* Appends the URL remembered under key, if one is and it is still good at now_ms (clock_ms()); ""
 * is the hub itself. -ENOENT: nobody knows, and the caller is to ask and to say location_asked().
 * Whoever comes meanwhile waits for him here, but no longer than until_ms; then it is -ENOENT,
 * too. */
MUST_USE int location_get(struct location_memory *m, const char *key, int64_t now_ms,
			  int64_t until_ms, struct buf *ret);
/* The hub was asked: those who wait for the answer go on. Nothing happens if nobody asks. */
void location_asked(struct location_memory *m, const char *key);
/* Remembers url under key for life_ms, replacing what was there. A life too short to be of use,
 * or lack of memory, means that it is not remembered. */
void location_put(struct location_memory *m, const char *key, const char *url, int64_t now_ms,
		  int64_t life_ms);
/* Forgets key if it is still url: somebody may have put a newer one. */
void location_forget(struct location_memory *m, const char *key, const char *url);
/* Compares the ETag that url just answered with the first one it did: 0, or ERR_CHANGED. */
MUST_USE int location_check_etag(struct location_memory *m, const char *key, const char *url,
				 const char *etag);
/* Number of locations remembered, good or not. */
unsigned location_count(struct location_memory *m);

/* How long a location may be used, in ms: what its signature says (X-Amz-*, X-Goog-*, Expires),
 * else Cache-Control's max-age less Age, else ten minutes; less a margin, and never above an
 * hour. cache_control and age are header values or NULL; now_s is wall time. Pure. */
int64_t location_life_ms(const char *url, const char *cache_control, const char *age,
			 int64_t now_s);

#endif
