/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that wait for a whole head of their client, by how long they have waited. So that
 * silent or trickling clients cannot keep the places of a server, who has waited longest can be
 * sent away: strangers before those who are known to want something. Whoever watches a connection
 * sees its end and closes it. Not locked: the owner's lock guards all of it. */
#ifndef MATRIXFS_IDLERS_H
#define MATRIXFS_IDLERS_H

#include <stdbool.h>
#include <stdint.h>

struct idler {
	struct idler *prev, *next; /* in its row */
	int fd;                    /* borrowed: open as long as it is listed */
	bool listed;
	bool known; /* else it is a stranger; set by idlers_know */
	int64_t since_ms;
};

struct idlers_row {
	struct idler *first, *last;
};

/* Zeroed memory is an empty list. */
struct idlers {
	struct idlers_row strangers, known;
	unsigned count;
};

/* It begins to wait: listed as the last. NULL is fine, as below. now_ms never goes back. */
void idlers_add(struct idlers *all, struct idler *i, int64_t now_ms);
/* It waits no more; nothing happens if it is not listed. */
void idlers_del(struct idlers *all, struct idler *i);
/* It is no stranger from now on; and is not listed. */
void idlers_know(struct idlers *all, struct idler *i);
/* Shuts down the connection that has waited longest, of strangers if there is one, and returns it;
 * NULL if none waits. */
struct idler *idlers_end_first(struct idlers *all);
/* Shuts down those that have waited since `ms` or longer: strangers since `strangers_ms`. */
void idlers_end_since(struct idlers *all, int64_t ms, int64_t strangers_ms);
/* Nobody shall begin anything any more: what has come can still be read, then there is an end. All
 * stay listed. */
void idlers_hear_no_more(const struct idlers *all);

#endif
