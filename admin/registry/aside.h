/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs of people on their way out: OWN/incoming/aside-ETAG. One that is set aside is found by
 * nobody, but is not lost yet: if what was thought of it proves wrong, or the hub is killed, it
 * comes back. And those whose bytes are not what their name says: OWN/damaged/ETAG, which nobody
 * is given, until the same bytes have come again. Threads: any, one at a time for each blob; all
 * wait for the disk. */
#ifndef MATRIXFS_ASIDE_H
#define MATRIXFS_ASIDE_H

#include "admin/registry/intake.h"

typedef int (*aside_fn)(void *arg, const char *etag, uint64_t size, int64_t spoken_s);
/* Calls fn for each blob whose etag begins with that byte, with the second when it was last spoken
 * of, in no order, until it returns non-zero, and returns that. */
MUST_USE int aside_each(struct intake *in, unsigned first_byte, aside_fn fn, void *arg);
/* The second when a blob was last spoken of, -1 if it is not there. */
int64_t aside_spoken_s(struct intake *in, const char *etag);
/* Sets one aside of which nobody has spoken since that second: 1; 0 if it stays, or is not there.
 */
MUST_USE int aside_take(struct intake *in, const char *etag, int64_t before_s);
/* It comes back, unless another has come meanwhile. What is not aside stays as it is. */
void aside_put_back(struct intake *in, const char *etag);
/* It goes for good. */
void aside_remove(struct intake *in, const char *etag);
/* Puts back all that a former process had set aside. */
void aside_restore(struct intake *in);

/* Sets a damaged one aside: the file that fd is of, if it is still the one of that name. 1; 0 if
 * another has come. */
MUST_USE int aside_damaged(struct intake *in, const char *etag, int fd);
/* True if it was damaged, whether it came again or not. */
bool aside_was_damaged(struct intake *in, const char *etag);
/* Calls fn for each that is damaged and has not come again, until it returns non-zero, and returns
 * that. */
MUST_USE int aside_each_damaged(struct intake *in, int (*fn)(void *arg, const char *etag),
				void *arg);
/* The same for each that has come again; fn may forget it. */
MUST_USE int aside_each_healed(struct intake *in, int (*fn)(void *arg, const char *etag),
			       void *arg);
void aside_forget_damaged(struct intake *in, const char *etag);

#endif
