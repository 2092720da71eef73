/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of a cluster, as far as this one knows: whom the list names, and how each has behaved
 * when it was asked. No messages are sent to find that out: it follows from real requests. Who is
 * silent is left alone for a while, longer each time (member_health.h tells how long), then one
 * request tries it again. Who gave wrong bytes is banned for a minute, then
 * for longer.
 * Times are clock_ms() values that the caller gives, so that a simulation can have its own.
 * Threads: any. */
#ifndef MATRIXFS_MEMBERS_H
#define MATRIXFS_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/peer/member_health.h"
#include "daemon/peer/member_spec.h"
#include "daemon/peer/placement.h"

struct members;
struct member;

/* `self` is this node, which counts as a member whatever the list says; copied. -ENOMEM. */
MUST_USE int members_new(const struct member_spec *self, struct members **ret);
/* All memberships have been given back. */
void members_free(struct members *m);
/* Who is a member from now on. Names that are there twice count once, the first of them. What the
 * list says of this node counts, since the others go by it; if it has it only under a name that
 * turned out to be its own (member_is_self), that is its name. Who stays keeps his past, and so do
 * the last MEMBERS_GONE of those who went and come back. A list that says the same as the one
 * before changes nothing. -ENOMEM: all stays as it was. */
#define MEMBERS_GONE 1024
MUST_USE int members_set(struct members *m, const struct member_spec *list, size_t count);

/* Who is a member at one time, ordered by address; nothing of it changes. */
struct membership {
	uint64_t version;     /* another one: the list has changed */
	uint32_t count, self; /* self: index of this node */
	const struct placement_node *nodes;
	struct member *const *members;
};
/* The members now; borrowed until membership_unref. */
const struct membership *members_now(struct members *m);
void membership_unref(const struct membership *ms);
/* The index of the member of that address; -ENOENT. */
MUST_USE int membership_find(const struct membership *ms, const char *address);

/* What it is called, and what is said of it; the same for all its life. */
const char *member_address(const struct member *m);
/* Its zone, as the list has it or, if that is silent, as it says itself; "" if nobody does.
 * Borrowed until members_free. */
const char *member_zone(const struct member *m);
/* It has told its zone. Heard only while the list says nothing, and if it is a zone's name. */
void member_tell_zone(struct member *m, const char *zone);
/* It has answered as this node, so that is another name of it: it stands for it where the list has
 * no other, and is not asked but by one request each MEMBER_ALIAS_MS, whether it still is. Who told
 * his clock less than MEMBER_ANOTHER_MS ago is another node all the same. */
#define MEMBER_ALIAS_MS (10 * 1000)
#define MEMBER_ANOTHER_MS (600 * 1000)
void member_is_self(struct member *m, int64_t now_ms);

/* True if it may be asked now: it is neither this node nor silent nor banned, or it is time for one
 * request to try; that is this one then, until it is noted how it ended, at most for
 * MEMBER_TURN_MS. */
MUST_USE bool member_may_ask(struct member *m, int64_t now_ms);
/* True if others have been faster than it again and again: those that are named with it are asked
 * before it, and it if there are none. */
bool member_lags(const struct member *m, int64_t now_ms);
/* True if its last request failed, or it seemed to be this node: whoever may ask it is the one who
 * tries it. */
bool member_is_doubted(const struct member *m);
/* True if it gave wrong bytes, and is asked for none now. */
bool member_is_banned(const struct member *m, int64_t now_ms);
/* Notes how a request ended: bytes it gave, and how long it took to the first of them (-1: not
 * known, or not its fault). */
void member_note(struct member *m, enum member_outcome outcome, uint64_t bytes, int64_t first_ms,
		 int64_t now_ms);
/* Bytes that were given to it. */
void member_note_sent(struct member *m, uint64_t bytes);
/* So long silence is usual with it: several times what it took lately, 250 ms to 5 s. And so long
 * it may take to reach it; 0: likewise. */
int64_t member_patience_ms(struct member *m, int64_t *ret_connect_ms);
/* How far its wall clock is ahead of ours, in ms, as it last told. Who tells it is another node. */
int64_t member_clock_ahead_ms(const struct member *m);
void member_tell_clock(struct member *m, int64_t ahead_ms, int64_t now_ms);
/* True if it is known to be another node than this: it has told its clock, and was not found to be
 * this one since. */
bool member_is_another(const struct member *m);

/* For people. */
struct member_status {
	const char *address, *zone; /* borrowed */
	uint32_t weight;
	bool self;
	enum member_state state;
	int64_t state_until_ms; /* when a silent, refused or banned one is tried again */
	unsigned failures;      /* in a row */
	unsigned bans;
	int64_t first_ms; /* usual time to the first byte; -1: not known */
	uint64_t bytes_in, bytes_out, bytes_wrong;
	uint64_t requests;
};
/* Calls fn for each member, by address. */
void members_each(struct members *m, int64_t now_ms,
		  void (*fn)(void *arg, const struct member_status *s), void *arg);
/* Takes one's bans back (by address), or all (NULL): true if there was one. */
bool members_forgive(struct members *m, const char *address);

#endif
