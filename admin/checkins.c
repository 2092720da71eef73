/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/checkins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/grow.h"
#include "daemon/base/lock.h"
#include "daemon/peer/member_checkin.h"

struct checkin {
	struct member_spec spec;
	int64_t came_ms;
	char source[CLIENT_ADDRESS_MAX];  /* from where, or "" */
	char network[CLIENT_ADDRESS_MAX]; /* client_address_network of that */
};

struct checkins {
	struct cluster_key *key;
	int64_t begun_ms;
	struct lock lock;
	/* Guarded by lock. */
	struct checkin *list; /* by address */
	size_t count, cap;
	struct buf text; /* as it is told, and its digest */
	char digest[DIGEST_HEX_MAX + 1];
	bool changed; /* since that was written */
};

int checkins_open(const char *key_file, int64_t now_ms, struct checkins **ret, struct buf *why)
{
	struct checkins *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	r = cluster_key_open(key_file, clock_wall_ms(), &c->key, why);
	if (r < 0) {
		free(c);
		return r;
	}
	c->begun_ms = now_ms;
	c->changed = true;
	lock_init(&c->lock, LOCK_CHECKINS);
	*ret = c;
	return 0;
}

void checkins_free(struct checkins *c)
{
	if (!c)
		return;
	cluster_key_free(c->key);
	lock_fini(&c->lock);
	buf_free(&c->text);
	free(c->list);
	free(c);
}

struct cluster_key *checkins_key(struct checkins *c)
{
	return c->key;
}

bool checkins_gathers(const struct checkins *c, int64_t now_ms)
{
	return now_ms - c->begun_ms < CHECKINS_GATHER_MS;
}

/* --- the list */

/* The first that is not before that address. */
static size_t seek_locked(const struct checkins *c, const char *address)
{
	size_t low = 0, high = c->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(c->list[middle].spec.address, address) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Forgets who has not come for too long. */
static void sweep_locked(struct checkins *c, int64_t now_ms)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->count; i++)
		if (now_ms - c->list[i].came_ms < CHECKINS_TTL_MS)
			c->list[kept++] = c->list[i];
	c->changed |= kept != c->count;
	c->count = kept;
}

static bool is_same(const struct member_spec *a, const struct member_spec *b)
{
	return a->weight == b->weight && !strcmp(a->zone, b->zone);
}

/* True if as many others as may be have come from there. */
static bool is_crowded_locked(const struct checkins *c, const struct checkin *new)
{
	size_t there = 0, beside = 0;

	if (!*new->source)
		return false;
	for (size_t i = 0; i < c->count; i++) {
		const struct checkin *one = &c->list[i];

		if (!strcmp(one->spec.address, new->spec.address))
			continue;
		there += !strcmp(one->source, new->source);
		beside += !strcmp(one->network, new->network);
	}
	return there >= CHECKINS_SOURCE_MAX || beside >= CHECKINS_NETWORK_MAX;
}

static int insert_locked(struct checkins *c, size_t at, const struct checkin *new)
{
	if (c->count == MEMBERS_MAX)
		return -ENOSPC;
	if (grow_list(c->list, c->count, c->cap) < 0)
		return -ENOMEM;
	memmove(c->list + at + 1, c->list + at, (c->count - at) * sizeof(*c->list));
	c->list[at] = *new;
	c->count++;
	c->changed = true;
	return 0;
}

int checkins_note(struct checkins *c, const struct member_spec *s, const char *source,
		  int64_t now_ms)
{
	struct checkin new = { .spec = *s, .came_ms = now_ms };
	size_t at;
	int r = 0;

	snprintf(new.source, sizeof(new.source), "%s", source);
	client_address_network(source, new.network);
	lock_take(&c->lock);
	sweep_locked(c, now_ms);
	at = seek_locked(c, s->address);
	if (is_crowded_locked(c, &new)) {
		r = -EDQUOT;
	} else if (at < c->count && !strcmp(c->list[at].spec.address, s->address)) {
		c->changed |= !is_same(&c->list[at].spec, s);
		c->list[at] = new;
	} else {
		r = insert_locked(c, at, &new);
	}
	lock_drop(&c->lock);
	return r;
}

/* --- what is told of it */

static int write_locked(struct checkins *c)
{
	int r;

	buf_free(&c->text);
	for (size_t i = 0; i < c->count; i++)
		member_spec_write(&c->list[i].spec, &c->text);
	r = c->text.failed;
	if (r == 0)
		r = member_checkin_digest(buf_str(&c->text), c->text.len, c->digest);
	c->changed = r < 0;
	return r;
}

int checkins_tell(struct checkins *c, const char *known, int64_t now_ms, struct buf *ret,
		  char ret_digest[static DIGEST_HEX_MAX + 1])
{
	int r = 0;

	lock_take(&c->lock);
	sweep_locked(c, now_ms);
	if (c->changed)
		r = write_locked(c);
	if (r == 0)
		memcpy(ret_digest, c->digest, sizeof(c->digest));
	if (r == 0 && strcmp(known, c->digest) != 0)
		r = buf_add(ret, buf_str(&c->text), c->text.len);
	lock_drop(&c->lock);
	return r;
}

bool checkins_next(struct checkins *c, const char *after, int64_t now_ms, struct member_spec *ret,
		   int64_t *ret_age_ms)
{
	size_t at = 0;
	bool found;

	lock_take(&c->lock);
	sweep_locked(c, now_ms);
	if (after)
		at = seek_locked(c, after);
	if (after && at < c->count && !strcmp(c->list[at].spec.address, after))
		at++;
	found = at < c->count;
	if (found) {
		*ret = c->list[at].spec;
		*ret_age_ms = now_ms - c->list[at].came_ms;
	}
	lock_drop(&c->lock);
	return found;
}

size_t checkins_count(struct checkins *c, int64_t now_ms)
{
	size_t count;

	lock_take(&c->lock);
	sweep_locked(c, now_ms);
	count = c->count;
	lock_drop(&c->lock);
	return count;
}
