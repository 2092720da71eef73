/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs that are open because members ask for them. One stays open for a few seconds after the last
 * question: what it waits for goes on being fetched until it is asked for again. It makes way for
 * who opens it here with another size; for another member, while nobody uses it. When as many are
 * open as may be, an idle one makes room. Threads: any. */
#ifndef MATRIXFS_OPENED_H
#define MATRIXFS_OPENED_H

#include "daemon/fetch/fetch.h"

#define OPENED_IDLE_MS 5000
#define OPENED_MAX 1024 /* at once, in use or not */
/* Of those one member had made, and that are not whole: so many, and of so many bytes. */
#define OPENED_OF_MEMBER (OPENED_MAX / 8)
#define OPENED_BYTES_OF_MEMBER (UINT64_C(4) << 40)

struct opened;

/* Both are borrowed until opened_stop. -ENOMEM, -EAGAIN (no thread). */
MUST_USE int opened_start(struct fetch *f, struct store *s, struct opened **ret);
/* Closes all; nobody uses one any more. NULL is fine. */
void opened_stop(struct opened *o);
/* The blob, which is opened if it is kept here (what->own: where those are), or else for `maker`,
 * the key of a member: then it may be brought from where `what` says, too; 0: nobody has it made.
 * Give it back. -ENOENT; ERR_SIZE: it has another one, as far as is known here; -EMFILE: so many
 * are in use, or made for that member; and what fetch_open says. */
MUST_USE int opened_take(struct opened *o, const struct source_blob *what, uint64_t maker,
			 struct pull **ret);
void opened_give(struct opened *o, struct pull *p);

#endif
