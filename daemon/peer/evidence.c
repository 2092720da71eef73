/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/evidence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/cache/chunk.h"

/* Names of who gave what is remembered: more than a list has members. */
#define GIVERS_MAX 16384
#define DROPS_MAX 256
#define DROPS_AT_ONCE_MAX 64 /* of one blob, so that others are remembered */
#define LOST_MAX 64          /* blobs of which it is remembered that drops were forgotten */

/* A giver is a number: one of these, or a name's and FIRST_NAME. */
enum { NOBODY, HUB, DROPPED, FIRST_NAME };

/* What a chunk must be. */
struct known {
	uint8_t word; /* enum evidence_word */
	uint8_t digest[CHUNK_LIST_DIGEST];
};

/* What is remembered of one blob. */
struct dossier {
	struct dossier *newer, **older; /* in a list, noted longest ago first */
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t size;
	uint32_t count;
	struct known *known;       /* one a chunk; NULL: nothing is */
	struct chunk_list *former; /* as it was when all of it was dropped; NULL: it was not */
	uint16_t givers[];
};

struct name {
	uint16_t number;
	bool used; /* while that is looked for */
	char text[MEMBER_ADDRESS_MAX + 1];
};

/* A chunk that was dropped. */
struct drop {
	char etag[DIGEST_HEX_MAX + 1];
	uint32_t chunk;
	uint8_t was[CHUNK_LIST_DIGEST]; /* all zero: not known */
	bool proven;                    /* that it was wrong */
};

struct evidence {
	uint64_t bytes_max;
	struct lock lock;
	/* Guarded by lock. */
	uint64_t bytes;
	struct map by_etag;
	struct dossier *oldest, **newest;
	struct map by_name;
	struct name *names[GIVERS_MAX]; /* NULL: free */
	unsigned next_name;             /* where a free one is looked for */
	struct drop drops[DROPS_MAX];   /* the latest */
	unsigned drop_count;
	char lost[LOST_MAX][DIGEST_HEX_MAX + 1]; /* of these something is not remembered any more */
	unsigned lost_count;
};

int evidence_new(uint64_t bytes_max, struct evidence **ret)
{
	struct evidence *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->bytes_max = bytes_max;
	e->newest = &e->oldest;
	lock_init(&e->lock, LOCK_EVIDENCE);
	*ret = e;
	return 0;
}

/* ---- dossiers ---- */

static uint64_t weight(const struct dossier *d)
{
	return sizeof(*d) + d->count * sizeof(d->givers[0]) +
	       (d->known ? d->count * sizeof(d->known[0]) : 0) +
	       (d->former ? (uint64_t)d->count * CHUNK_LIST_DIGEST : 0);
}

static bool is_lost_locked(const struct evidence *e, const char *etag)
{
	bool so = false;

	for (unsigned i = 0; !so && i < LOST_MAX; i++)
		so = strcmp(e->lost[i], etag) == 0;
	return so;
}

/* Not all that was dropped of a blob is remembered. */
static void lose_locked(struct evidence *e, const char *etag)
{
	if (*etag && !is_lost_locked(e, etag))
		snprintf(e->lost[e->lost_count++ % LOST_MAX], sizeof(e->lost[0]), "%s", etag);
}

static void unlink_locked(struct evidence *e, struct dossier *d)
{
	*d->older = d->newer;
	if (d->newer)
		d->newer->older = d->older;
	else
		e->newest = d->older;
}

static void link_newest_locked(struct evidence *e, struct dossier *d)
{
	d->newer = NULL;
	d->older = e->newest;
	*e->newest = d;
	e->newest = &d->newer;
}

static void forget_locked(struct evidence *e, struct dossier *d)
{
	e->bytes -= weight(d);
	unlink_locked(e, d);
	map_del_str(&e->by_etag, d->etag);
	chunk_list_free(d->former);
	free(d->known);
	free(d);
}

/* As far as others than this one can go. */
static void make_room_locked(struct evidence *e, const struct dossier *keep)
{
	while (e->bytes > e->bytes_max && e->oldest != keep) {
		if (e->oldest->former)
			lose_locked(e, e->oldest->etag);
		forget_locked(e, e->oldest);
	}
}

static struct dossier *new_locked(struct evidence *e, const char *etag, uint64_t size)
{
	uint32_t count = chunk_count(size);
	struct dossier *d = calloc(1, sizeof(*d) + count * sizeof(d->givers[0]));

	if (!d)
		return NULL;
	snprintf(d->etag, sizeof(d->etag), "%s", etag);
	d->size = size;
	d->count = count;
	if (map_put_str(&e->by_etag, d->etag, d) < 0) {
		free(d);
		return NULL;
	}
	link_newest_locked(e, d);
	e->bytes += weight(d);
	return d;
}

/* The dossier of a blob of that size, made if need be, as the newest of all; NULL: no memory. */
static struct dossier *open_locked(struct evidence *e, const char *etag, uint64_t size)
{
	struct dossier *d = map_find_str(&e->by_etag, etag);

	if (d && d->size != size) {
		forget_locked(e, d);
		d = NULL;
	}
	if (!d)
		d = new_locked(e, etag, size);
	if (!d)
		return NULL;
	unlink_locked(e, d);
	link_newest_locked(e, d);
	make_room_locked(e, d);
	return d;
}

void evidence_forget(struct evidence *e, const char *etag)
{
	struct dossier *d;

	lock_take(&e->lock);
	d = map_find_str(&e->by_etag, etag);
	if (d)
		forget_locked(e, d);
	lock_drop(&e->lock);
}

void evidence_free(struct evidence *e)
{
	if (!e)
		return;
	lock_take(&e->lock);
	while (e->oldest)
		forget_locked(e, e->oldest);
	lock_drop(&e->lock);
	map_fini(&e->by_etag);
	lock_fini(&e->lock);
	for (unsigned i = 0; i < GIVERS_MAX; i++)
		free(e->names[i]);
	map_fini(&e->by_name);
	free(e);
}

/* ---- who gave what ---- */

static void forget_unused_names_locked(struct evidence *e)
{
	for (const struct dossier *d = e->oldest; d; d = d->newer)
		for (uint32_t i = 0; i < d->count; i++)
			if (d->givers[i] >= FIRST_NAME)
				e->names[d->givers[i] - FIRST_NAME]->used = true;
	for (struct name **n = e->names; n < e->names + GIVERS_MAX; n++) {
		if (*n && !(*n)->used) {
			map_del_str(&e->by_name, (*n)->text);
			free(steal(*n));
		}
		if (*n)
			(*n)->used = false;
	}
}

/* NULL: there is no room for it. */
static struct name *new_name_locked(struct evidence *e, const char *member)
{
	struct name *n;

	if (e->by_name.count == GIVERS_MAX)
		forget_unused_names_locked(e);
	n = e->by_name.count < GIVERS_MAX ? calloc(1, sizeof(*n)) : NULL;
	if (!n)
		return NULL;
	while (e->names[e->next_name])
		e->next_name = (e->next_name + 1) % GIVERS_MAX;
	n->number = (uint16_t)e->next_name;
	snprintf(n->text, sizeof(n->text), "%s", member);
	if (map_put_str(&e->by_name, n->text, n) < 0) {
		free(n);
		return NULL;
	}
	return e->names[n->number] = n;
}

/* The number of a name; NOBODY if it cannot be remembered. */
static uint16_t number_locked(struct evidence *e, const char *member)
{
	const struct name *n = map_find_str(&e->by_name, member);

	if (!n)
		n = new_name_locked(e, member);
	return n ? (uint16_t)(FIRST_NAME + n->number) : NOBODY;
}

void evidence_note(struct evidence *e, const char *etag, uint64_t size, uint32_t from, uint32_t to,
		   const char *member)
{
	struct dossier *d;
	uint16_t giver;

	lock_take(&e->lock);
	d = open_locked(e, etag, size);
	giver = member ? number_locked(e, member) : HUB;
	for (uint32_t i = from; d && i < to && i < d->count; i++)
		if (member || d->givers[i] < FIRST_NAME)
			d->givers[i] = giver;
	lock_drop(&e->lock);
}

void evidence_take_back(struct evidence *e, const char *etag, uint32_t i)
{
	struct dossier *d;

	lock_take(&e->lock);
	d = map_find_str(&e->by_etag, etag);
	if (d && i < d->count)
		d->givers[i] = NOBODY;
	lock_drop(&e->lock);
}

/* ---- what was dropped ---- */

/* The same may be dropped again and again. */
static struct drop *find_drop_locked(struct evidence *e, const char *etag, uint32_t i,
				     const uint8_t was[static CHUNK_LIST_DIGEST])
{
	for (struct drop *d = e->drops; d < e->drops + DROPS_MAX; d++)
		if (d->chunk == i && chunk_digest_same(d->was, was) && strcmp(d->etag, etag) == 0)
			return d;
	return NULL;
}

static void note_drop_locked(struct evidence *e, const char *etag, uint32_t i,
			     const uint8_t was[static CHUNK_LIST_DIGEST], bool proven)
{
	struct drop *drop = find_drop_locked(e, etag, i, was);

	if (drop) {
		drop->proven |= proven;
		return;
	}
	drop = &e->drops[e->drop_count++ % DROPS_MAX];
	lose_locked(e, drop->etag);
	*drop = (struct drop){ .chunk = i, .proven = proven };
	snprintf(drop->etag, sizeof(drop->etag), "%s", etag);
	memcpy(drop->was, was, CHUNK_LIST_DIGEST);
}

/* What a blob was, where it was not as in this list. */
static void note_former_locked(struct evidence *e, const struct dossier *d,
			       const struct chunk_list *other, bool proven)
{
	unsigned noted = 0;

	for (uint32_t i = 0; i < d->count && noted < DROPS_AT_ONCE_MAX; i++) {
		const uint8_t *was = d->former->digests[i];

		if (chunk_digest_same(was, other->digests[i]))
			continue;
		note_drop_locked(e, d->etag, i, was, proven);
		noted++;
	}
	if (noted == DROPS_AT_ONCE_MAX)
		lose_locked(e, d->etag);
}

void evidence_drop(struct evidence *e, const char *etag, uint32_t i,
		   const uint8_t was[static CHUNK_LIST_DIGEST], bool proven)
{
	struct dossier *d;

	lock_take(&e->lock);
	d = map_find_str(&e->by_etag, etag);
	if (d && i < d->count)
		d->givers[i] = DROPPED;
	note_drop_locked(e, etag, i, was, proven);
	lock_drop(&e->lock);
}

static struct chunk_list *copy(const struct chunk_list *l)
{
	struct chunk_list *ret = chunk_list_new(l->size);

	if (ret)
		memcpy(ret->digests, l->digests, l->count * sizeof(l->digests[0]));
	return ret;
}

void evidence_drop_all(struct evidence *e, const char *etag, const struct chunk_list *was)
{
	struct dossier *d;

	if (!was) {
		evidence_forget(e, etag);
		return;
	}
	lock_take(&e->lock);
	d = open_locked(e, etag, was->size);
	if (d && d->former)
		note_former_locked(e, d, was, false);
	if (d) {
		memset(d->givers, 0, d->count * sizeof(d->givers[0]));
		e->bytes -= weight(d);
		free(steal(d->known));
		chunk_list_free(d->former);
		d->former = copy(was);
		e->bytes += weight(d);
		make_room_locked(e, d);
	}
	lock_drop(&e->lock);
}

bool evidence_former(struct evidence *e, const char *etag, uint32_t i,
		     uint8_t ret[static CHUNK_LIST_DIGEST])
{
	const struct dossier *d;
	bool known;

	lock_take(&e->lock);
	d = map_find_str(&e->by_etag, etag);
	known = d && d->former && i < d->count;
	if (known)
		memcpy(ret, d->former->digests[i], CHUNK_LIST_DIGEST);
	lock_drop(&e->lock);
	return known;
}

static bool was(const struct drop *d, const uint8_t *digest)
{
	return chunk_digest_same(d->was, digest);
}

static bool is_any(UNUSED const struct drop *d, UNUSED const uint8_t *digest)
{
	return true;
}

static bool is_wrong(const struct drop *d, const uint8_t *digest)
{
	return d->proven && was(d, digest);
}

static bool is_other(const struct drop *d, const uint8_t *digest)
{
	return !was(d, digest);
}

static bool has_dropped(struct evidence *e, const char *etag, uint32_t i,
			bool (*fits)(const struct drop *d, const uint8_t *digest),
			const uint8_t *digest)
{
	bool so = false;

	lock_take(&e->lock);
	for (unsigned k = 0; !so && k < DROPS_MAX; k++)
		so = e->drops[k].chunk == i && strcmp(e->drops[k].etag, etag) == 0 &&
		     fits(&e->drops[k], digest);
	lock_drop(&e->lock);
	return so;
}

bool evidence_dropped(struct evidence *e, const char *etag, uint32_t i)
{
	return has_dropped(e, etag, i, is_any, NULL);
}

bool evidence_was_wrong(struct evidence *e, const char *etag, uint32_t i,
			const uint8_t is[static CHUNK_LIST_DIGEST])
{
	return has_dropped(e, etag, i, is_wrong, is);
}

bool evidence_was_other(struct evidence *e, const char *etag, uint32_t i,
			const uint8_t is[static CHUNK_LIST_DIGEST])
{
	uint8_t former[CHUNK_LIST_DIGEST];
	bool lost;

	lock_take(&e->lock);
	lost = is_lost_locked(e, etag);
	lock_drop(&e->lock);
	return lost || has_dropped(e, etag, i, is_other, is) ||
	       (evidence_former(e, etag, i, former) && !chunk_digest_same(former, is));
}

void evidence_acquit(struct evidence *e, const char *etag, const struct chunk_list *right)
{
	struct dossier *dossier;

	lock_take(&e->lock);
	for (struct drop *d = e->drops; d < e->drops + DROPS_MAX; d++)
		if (strcmp(d->etag, etag) == 0 && d->chunk < right->count &&
		    was(d, right->digests[d->chunk]))
			*d = (struct drop){ 0 };
	dossier = map_find_str(&e->by_etag, etag);
	if (dossier && dossier->former && dossier->size == right->size)
		note_former_locked(e, dossier, right, true);
	lock_drop(&e->lock);
}

bool evidence_whole(struct evidence *e, const char *etag, uint32_t from, uint32_t to)
{
	const struct dossier *d;
	bool so;

	lock_take(&e->lock);
	d = map_find_str(&e->by_etag, etag);
	so = d && to <= d->count;
	for (uint32_t i = from; so && i < to; i++)
		so = d->givers[i] == HUB || d->givers[i] >= FIRST_NAME;
	lock_drop(&e->lock);
	return so;
}

enum evidence_giver evidence_giver(struct evidence *e, const char *etag, uint32_t i,
				   char ret[static MEMBER_ADDRESS_MAX + 1])
{
	const struct dossier *d;
	uint16_t giver;

	*ret = '\0';
	lock_take(&e->lock);
	d = map_find_str(&e->by_etag, etag);
	giver = d && i < d->count ? d->givers[i] : NOBODY;
	if (giver >= FIRST_NAME)
		snprintf(ret, MEMBER_ADDRESS_MAX + 1, "%s", e->names[giver - FIRST_NAME]->text);
	lock_drop(&e->lock);
	return giver >= FIRST_NAME ? EVIDENCE_MEMBER
	       : giver == HUB      ? EVIDENCE_HUB
	       : giver == DROPPED  ? EVIDENCE_DROPPED
				   : EVIDENCE_NOBODY;
}

bool evidence_has(struct evidence *e, const char *etag, uint64_t size)
{
	const struct dossier *d;
	bool has;

	lock_take(&e->lock);
	d = map_find_str(&e->by_etag, etag);
	has = d && d->size == size;
	lock_drop(&e->lock);
	return has;
}

/* ---- what they must be ---- */

static bool has_known_locked(struct evidence *e, struct dossier *d)
{
	if (d->known)
		return true;
	e->bytes -= weight(d);
	d->known = calloc(d->count, sizeof(*d->known));
	e->bytes += weight(d);
	make_room_locked(e, d);
	return d->known;
}

void evidence_learn(struct evidence *e, const char *etag, const struct chunk_list *l,
		    enum evidence_word word)
{
	struct dossier *d;

	lock_take(&e->lock);
	d = open_locked(e, etag, l->size);
	if (d && has_known_locked(e, d))
		for (uint32_t i = 0; i < d->count; i++)
			if (chunk_digest_known(l->digests[i]) && word >= d->known[i].word) {
				memcpy(d->known[i].digest, l->digests[i], CHUNK_LIST_DIGEST);
				d->known[i].word = (uint8_t)word;
			}
	lock_drop(&e->lock);
}

enum evidence_word evidence_knows(struct evidence *e, const char *etag, uint32_t i,
				  uint8_t ret[static CHUNK_LIST_DIGEST])
{
	enum evidence_word word = EVIDENCE_UNKNOWN;
	const struct dossier *d;

	lock_take(&e->lock);
	d = map_find_str(&e->by_etag, etag);
	if (d && d->known && i < d->count)
		word = d->known[i].word;
	if (word)
		memcpy(ret, d->known[i].digest, CHUNK_LIST_DIGEST);
	lock_drop(&e->lock);
	return word;
}

void evidence_unlearn(struct evidence *e, const char *etag)
{
	struct dossier *d;

	lock_take(&e->lock);
	d = map_find_str(&e->by_etag, etag);
	if (d) {
		e->bytes -= weight(d);
		free(steal(d->known));
		e->bytes += weight(d);
	}
	lock_drop(&e->lock);
}

int64_t evidence_contradicts(struct evidence *e, const char *etag, const struct chunk_list *right)
{
	const struct dossier *d;
	int64_t at = -1;
	bool known;

	lock_take(&e->lock);
	d = map_find_str(&e->by_etag, etag);
	known = d && d->known && d->size == right->size;
	for (uint32_t i = 0; known && at < 0 && i < d->count; i++)
		if (d->known[i].word == EVIDENCE_PUBLISHED &&
		    !chunk_digest_same(d->known[i].digest, right->digests[i]))
			at = i;
	lock_drop(&e->lock);
	return at;
}
