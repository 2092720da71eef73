/* SPDX-License-Identifier: Apache-2.0 */
/* The digest lists that hubs publish, asked for once for each blob whose bytes come from members;
 * what they say is kept with the provenance of its chunks. Hubs that know no such lists (all but
 * matrixhubd) are found out by the first question, and not asked again for an hour; nor are those
 * whose list was wrong. Threads: any. */
#ifndef MATRIXFS_DIGEST_LISTS_H
#define MATRIXFS_DIGEST_LISTS_H

#include "daemon/hub/hub.h"
#include "daemon/peer/members.h"
#include "daemon/peer/provenance.h"

#define DIGEST_LISTS_WAIT_MS 2000        /* a hub is silent for no longer */
#define DIGEST_LISTS_STRANGER_MS 3600000 /* a hub that knows no lists is left alone so long */
#define DIGEST_LISTS_DOUBTED 2           /* members that contradict a list in one chunk */
#define DIGEST_LISTS_RETRY_MS 30000      /* a list that is not there is asked for again after it, */
#define DIGEST_LISTS_KEPT_MS 600000      /* and one that is there: its hub may have a better one */

struct digest_lists;

/* All are borrowed until digest_lists_free. -ENOMEM. */
MUST_USE int digest_lists_new(struct hub *const *hubs, unsigned count, struct provenance *p,
			      struct digest_lists **ret);
void digest_lists_free(struct digest_lists *all);
/* Each list that comes is told of, on the thread that asked for it; no lock is held. To be set
 * before there are threads. */
void digest_lists_watch(struct digest_lists *all,
			void (*came)(void *arg, const struct source_blob *what), void *arg);
/* Has the list of a blob asked for, unless it was lately. True if it came just now, or came before
 * and was not forgotten since, whether or not its hub still answers. One asks, others that want the
 * same wait for it for DIGEST_LISTS_WAIT_MS, if there is none yet. Blocking: each hub may be silent
 * for as long, and a list that comes slowly take what a hub's metadata may. */
bool digest_lists_look(struct digest_lists *all, const struct source_blob *what,
		       struct httpc_cancel *cancel);
/* A member was blamed, since it gave chunk i otherwise than the list has it. True if so many
 * others have that it is to be seen whether the hub's own bytes are as its list says. */
bool digest_lists_contradicted(struct digest_lists *all, const char *etag, uint32_t i,
			       const char *member);
/* The list of a blob is wrong in chunk i, as this (static) shows: it is forgotten, who was blamed
 * by it is forgiven, and its hub is asked for no lists for DIGEST_LISTS_STRANGER_MS. */
void digest_lists_refute(struct digest_lists *all, struct members *m, const char *etag, uint32_t i,
			 const char *by);

/* True if that was so of the last list of it that came. */
MUST_USE bool digest_lists_is_refuted(struct digest_lists *all, const char *etag);

#endif
