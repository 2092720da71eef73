/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/provenance.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/lock.h"
#include "daemon/base/lru.h"
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
	uint8_t trust; /* enum provenance_trust */
	uint8_t digest[CHUNK_LIST_DIGEST];
};

/* What is remembered of one blob. */
struct record {
	struct lru_link link;
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

struct provenance {
	uint64_t bytes_max;
	struct lock lock;
	/* Guarded by lock. */
	uint64_t bytes;
	struct map by_etag;
	struct lru by_note; /* records, noted longest ago first */
	struct map by_name;
	struct name *names[GIVERS_MAX]; /* NULL: free */
	unsigned next_name;             /* where a free one is looked for */
	struct drop drops[DROPS_MAX];   /* the latest */
	unsigned drop_count;
	char lost[LOST_MAX][DIGEST_HEX_MAX + 1]; /* of these something is not remembered any more */
	unsigned lost_count;
};

int provenance_new(uint64_t bytes_max, struct provenance **ret)
{
	struct provenance *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->bytes_max = bytes_max;
	lock_init(&p->lock, LOCK_PROVENANCE);
	*ret = p;
	return 0;
}

/* ---- records ---- */

static struct record *oldest_locked(const struct provenance *p)
{
	return lru_item(p->by_note.oldest, struct record, link);
}

static uint64_t weight(const struct record *rec)
{
	return sizeof(*rec) + rec->count * sizeof(rec->givers[0]) +
	       (rec->known ? rec->count * sizeof(rec->known[0]) : 0) +
	       (rec->former ? (uint64_t)rec->count * CHUNK_LIST_DIGEST : 0);
}

static bool is_lost_locked(const struct provenance *p, const char *etag)
{
	bool so = false;

	for (unsigned i = 0; !so && i < LOST_MAX; i++)
		so = strcmp(p->lost[i], etag) == 0;
	return so;
}

/* Not all that was dropped of a blob is remembered. */
static void lose_locked(struct provenance *p, const char *etag)
{
	if (*etag && !is_lost_locked(p, etag))
		snprintf(p->lost[p->lost_count++ % LOST_MAX], sizeof(p->lost[0]), "%s", etag);
}

static void forget_locked(struct provenance *p, struct record *rec)
{
	p->bytes -= weight(rec);
	lru_remove(&p->by_note, &rec->link);
	map_del_str(&p->by_etag, rec->etag);
	chunk_list_free(rec->former);
	free(rec->known);
	free(rec);
}

/* As far as others than this one can go. */
static void make_room_locked(struct provenance *p, const struct record *keep)
{
	while (p->bytes > p->bytes_max && oldest_locked(p) != keep) {
		struct record *rec = oldest_locked(p);

		if (rec->former)
			lose_locked(p, rec->etag);
		forget_locked(p, rec);
	}
}

static struct record *new_locked(struct provenance *p, const char *etag, uint64_t size)
{
	uint32_t count = chunk_count(size);
	struct record *rec = calloc(1, sizeof(*rec) + count * sizeof(rec->givers[0]));

	if (!rec)
		return NULL;
	snprintf(rec->etag, sizeof(rec->etag), "%s", etag);
	rec->size = size;
	rec->count = count;
	if (map_put_str(&p->by_etag, rec->etag, rec) < 0) {
		free(rec);
		return NULL;
	}
	lru_add(&p->by_note, &rec->link);
	p->bytes += weight(rec);
	return rec;
}

/* The record of a blob of that size, made if need be, as the newest of all; NULL: no memory. */
static struct record *open_locked(struct provenance *p, const char *etag, uint64_t size)
{
	struct record *rec = map_find_str(&p->by_etag, etag);

	if (rec && rec->size != size) {
		forget_locked(p, rec);
		rec = NULL;
	}
	if (!rec)
		rec = new_locked(p, etag, size);
	if (!rec)
		return NULL;
	lru_use(&p->by_note, &rec->link);
	make_room_locked(p, rec);
	return rec;
}

void provenance_forget(struct provenance *p, const char *etag)
{
	struct record *rec;

	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	if (rec)
		forget_locked(p, rec);
	lock_drop(&p->lock);
}

void provenance_free(struct provenance *p)
{
	if (!p)
		return;
	lock_take(&p->lock);
	while (p->by_note.oldest)
		forget_locked(p, oldest_locked(p));
	lock_drop(&p->lock);
	map_fini(&p->by_etag);
	lock_fini(&p->lock);
	for (unsigned i = 0; i < GIVERS_MAX; i++)
		free(p->names[i]);
	map_fini(&p->by_name);
	free(p);
}

/* ---- who gave what ---- */

static void forget_unused_names_locked(struct provenance *p)
{
	for (const struct record *rec = oldest_locked(p); rec;
	     rec = lru_item(rec->link.newer, struct record, link))
		for (uint32_t i = 0; i < rec->count; i++)
			if (rec->givers[i] >= FIRST_NAME)
				p->names[rec->givers[i] - FIRST_NAME]->used = true;
	for (struct name **n = p->names; n < p->names + GIVERS_MAX; n++) {
		if (*n && !(*n)->used) {
			map_del_str(&p->by_name, (*n)->text);
			free(steal(*n));
		}
		if (*n)
			(*n)->used = false;
	}
}

/* NULL: there is no room for it. */
static struct name *new_name_locked(struct provenance *p, const char *member)
{
	struct name *n;

	if (p->by_name.count == GIVERS_MAX)
		forget_unused_names_locked(p);
	n = p->by_name.count < GIVERS_MAX ? calloc(1, sizeof(*n)) : NULL;
	if (!n)
		return NULL;
	while (p->names[p->next_name])
		p->next_name = (p->next_name + 1) % GIVERS_MAX;
	n->number = (uint16_t)p->next_name;
	snprintf(n->text, sizeof(n->text), "%s", member);
	if (map_put_str(&p->by_name, n->text, n) < 0) {
		free(n);
		return NULL;
	}
	return p->names[n->number] = n;
}

/* The number of a name; NOBODY if it cannot be remembered. */
static uint16_t number_locked(struct provenance *p, const char *member)
{
	const struct name *n = map_find_str(&p->by_name, member);

	if (!n)
		n = new_name_locked(p, member);
	return n ? (uint16_t)(FIRST_NAME + n->number) : NOBODY;
}

void provenance_note(struct provenance *p, const char *etag, uint64_t size, uint32_t from,
		     uint32_t to, const char *member)
{
	struct record *rec;
	uint16_t giver;

	lock_take(&p->lock);
	rec = open_locked(p, etag, size);
	giver = member ? number_locked(p, member) : HUB;
	for (uint32_t i = from; rec && i < to && i < rec->count; i++)
		if (member || rec->givers[i] < FIRST_NAME)
			rec->givers[i] = giver;
	lock_drop(&p->lock);
}

void provenance_take_back(struct provenance *p, const char *etag, uint32_t i)
{
	struct record *rec;

	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	if (rec && i < rec->count)
		rec->givers[i] = NOBODY;
	lock_drop(&p->lock);
}

/* ---- what was dropped ---- */

/* The same may be dropped again and again. */
static struct drop *find_drop_locked(struct provenance *p, const char *etag, uint32_t i,
				     const uint8_t was[static CHUNK_LIST_DIGEST])
{
	for (struct drop *d = p->drops; d < p->drops + DROPS_MAX; d++)
		if (d->chunk == i && chunk_digest_same(d->was, was) && strcmp(d->etag, etag) == 0)
			return d;
	return NULL;
}

static void note_drop_locked(struct provenance *p, const char *etag, uint32_t i,
			     const uint8_t was[static CHUNK_LIST_DIGEST], bool proven)
{
	struct drop *drop = find_drop_locked(p, etag, i, was);

	if (drop) {
		drop->proven |= proven;
		return;
	}
	drop = &p->drops[p->drop_count++ % DROPS_MAX];
	lose_locked(p, drop->etag);
	*drop = (struct drop){ .chunk = i, .proven = proven };
	snprintf(drop->etag, sizeof(drop->etag), "%s", etag);
	memcpy(drop->was, was, CHUNK_LIST_DIGEST);
}

/* What a blob was, where it was not as in this list. */
static void note_former_locked(struct provenance *p, const struct record *rec,
			       const struct chunk_list *other, bool proven)
{
	unsigned noted = 0;

	for (uint32_t i = 0; i < rec->count && noted < DROPS_AT_ONCE_MAX; i++) {
		const uint8_t *was = rec->former->digests[i];

		if (chunk_digest_same(was, other->digests[i]))
			continue;
		note_drop_locked(p, rec->etag, i, was, proven);
		noted++;
	}
	if (noted == DROPS_AT_ONCE_MAX)
		lose_locked(p, rec->etag);
}

void provenance_drop(struct provenance *p, const char *etag, uint32_t i,
		     const uint8_t was[static CHUNK_LIST_DIGEST], bool proven)
{
	struct record *rec;

	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	if (rec && i < rec->count)
		rec->givers[i] = DROPPED;
	note_drop_locked(p, etag, i, was, proven);
	lock_drop(&p->lock);
}

static struct chunk_list *copy(const struct chunk_list *l)
{
	struct chunk_list *ret = chunk_list_new(l->size);

	if (ret)
		memcpy(ret->digests, l->digests, l->count * sizeof(l->digests[0]));
	return ret;
}

void provenance_drop_all(struct provenance *p, const char *etag, const struct chunk_list *was)
{
	struct record *rec;

	if (!was) {
		provenance_forget(p, etag);
		return;
	}
	lock_take(&p->lock);
	rec = open_locked(p, etag, was->size);
	if (rec && rec->former)
		note_former_locked(p, rec, was, false);
	if (rec) {
		memset(rec->givers, 0, rec->count * sizeof(rec->givers[0]));
		p->bytes -= weight(rec);
		free(steal(rec->known));
		chunk_list_free(rec->former);
		rec->former = copy(was);
		p->bytes += weight(rec);
		make_room_locked(p, rec);
	}
	lock_drop(&p->lock);
}

bool provenance_former(struct provenance *p, const char *etag, uint32_t i,
		       uint8_t ret[static CHUNK_LIST_DIGEST])
{
	const struct record *rec;
	bool known;

	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	known = rec && rec->former && i < rec->count;
	if (known)
		memcpy(ret, rec->former->digests[i], CHUNK_LIST_DIGEST);
	lock_drop(&p->lock);
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

static bool has_dropped(struct provenance *p, const char *etag, uint32_t i,
			bool (*fits)(const struct drop *d, const uint8_t *digest),
			const uint8_t *digest)
{
	bool so = false;

	lock_take(&p->lock);
	for (unsigned k = 0; !so && k < DROPS_MAX; k++)
		so = p->drops[k].chunk == i && strcmp(p->drops[k].etag, etag) == 0 &&
		     fits(&p->drops[k], digest);
	lock_drop(&p->lock);
	return so;
}

bool provenance_dropped(struct provenance *p, const char *etag, uint32_t i)
{
	return has_dropped(p, etag, i, is_any, NULL);
}

bool provenance_was_wrong(struct provenance *p, const char *etag, uint32_t i,
			  const uint8_t is[static CHUNK_LIST_DIGEST])
{
	return has_dropped(p, etag, i, is_wrong, is);
}

bool provenance_was_other(struct provenance *p, const char *etag, uint32_t i,
			  const uint8_t is[static CHUNK_LIST_DIGEST])
{
	uint8_t former[CHUNK_LIST_DIGEST];
	bool lost;

	lock_take(&p->lock);
	lost = is_lost_locked(p, etag);
	lock_drop(&p->lock);
	return lost || has_dropped(p, etag, i, is_other, is) ||
	       (provenance_former(p, etag, i, former) && !chunk_digest_same(former, is));
}

void provenance_confirm(struct provenance *p, const char *etag, const struct chunk_list *right)
{
	struct record *record;

	lock_take(&p->lock);
	for (struct drop *d = p->drops; d < p->drops + DROPS_MAX; d++)
		if (strcmp(d->etag, etag) == 0 && d->chunk < right->count &&
		    was(d, right->digests[d->chunk]))
			*d = (struct drop){ 0 };
	record = map_find_str(&p->by_etag, etag);
	if (record && record->former && record->size == right->size)
		note_former_locked(p, record, right, true);
	lock_drop(&p->lock);
}

bool provenance_whole(struct provenance *p, const char *etag, uint32_t from, uint32_t to)
{
	const struct record *rec;
	bool so;

	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	so = rec && to <= rec->count;
	for (uint32_t i = from; so && i < to; i++)
		so = rec->givers[i] == HUB || rec->givers[i] >= FIRST_NAME;
	lock_drop(&p->lock);
	return so;
}

enum provenance_giver provenance_giver(struct provenance *p, const char *etag, uint32_t i,
				       char ret[static MEMBER_ADDRESS_MAX + 1])
{
	const struct record *rec;
	uint16_t giver;

	*ret = '\0';
	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	giver = rec && i < rec->count ? rec->givers[i] : NOBODY;
	if (giver >= FIRST_NAME)
		snprintf(ret, MEMBER_ADDRESS_MAX + 1, "%s", p->names[giver - FIRST_NAME]->text);
	lock_drop(&p->lock);
	return giver >= FIRST_NAME ? PROVENANCE_MEMBER
	       : giver == HUB      ? PROVENANCE_HUB
	       : giver == DROPPED  ? PROVENANCE_DROPPED
				   : PROVENANCE_NOBODY;
}

uint32_t provenance_next_given(struct provenance *p, const char *etag, uint32_t from)
{
	const struct record *rec;
	uint32_t i = from, count;

	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	count = rec ? rec->count : 0;
	while (i < count && rec->givers[i] < FIRST_NAME)
		i++;
	lock_drop(&p->lock);
	return i < count ? i : UINT32_MAX;
}

bool provenance_has(struct provenance *p, const char *etag, uint64_t size)
{
	const struct record *rec;
	bool has;

	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	has = rec && rec->size == size;
	lock_drop(&p->lock);
	return has;
}

/* ---- what they must be ---- */

static bool has_known_locked(struct provenance *p, struct record *rec)
{
	if (rec->known)
		return true;
	p->bytes -= weight(rec);
	rec->known = calloc(rec->count, sizeof(*rec->known));
	p->bytes += weight(rec);
	make_room_locked(p, rec);
	return rec->known;
}

static void learn_chunk(struct known *known, const uint8_t *digest, enum provenance_trust trust)
{
	if (!chunk_digest_known(digest) || trust < known->trust)
		return;
	memcpy(known->digest, digest, CHUNK_LIST_DIGEST);
	known->trust = (uint8_t)trust;
}

void provenance_learn_part(struct provenance *p, const char *etag, uint64_t size, uint32_t first,
			   uint32_t count, const uint8_t (*digests)[CHUNK_LIST_DIGEST],
			   enum provenance_trust trust)
{
	struct record *rec;

	lock_take(&p->lock);
	rec = open_locked(p, etag, size);
	if (rec && has_known_locked(p, rec))
		for (uint32_t i = 0; i < count && first + i < rec->count; i++)
			learn_chunk(&rec->known[first + i], digests[i], trust);
	lock_drop(&p->lock);
}

void provenance_learn(struct provenance *p, const char *etag, const struct chunk_list *l,
		      enum provenance_trust trust)
{
	provenance_learn_part(p, etag, l->size, 0, l->count, l->digests, trust);
}

enum provenance_trust provenance_knows(struct provenance *p, const char *etag, uint32_t i,
				       uint8_t ret[static CHUNK_LIST_DIGEST])
{
	enum provenance_trust trust = PROVENANCE_UNKNOWN;
	const struct record *rec;

	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	if (rec && rec->known && i < rec->count)
		trust = rec->known[i].trust;
	if (trust)
		memcpy(ret, rec->known[i].digest, CHUNK_LIST_DIGEST);
	lock_drop(&p->lock);
	return trust;
}

void provenance_unlearn(struct provenance *p, const char *etag)
{
	struct record *rec;

	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	if (rec) {
		p->bytes -= weight(rec);
		free(steal(rec->known));
		p->bytes += weight(rec);
	}
	lock_drop(&p->lock);
}

int64_t provenance_contradicts(struct provenance *p, const char *etag,
			       const struct chunk_list *right)
{
	const struct record *rec;
	int64_t at = -1;
	bool known;

	lock_take(&p->lock);
	rec = map_find_str(&p->by_etag, etag);
	known = rec && rec->known && rec->size == right->size;
	for (uint32_t i = 0; known && at < 0 && i < rec->count; i++)
		if (rec->known[i].trust == PROVENANCE_PUBLISHED &&
		    !chunk_digest_same(rec->known[i].digest, right->digests[i]))
			at = i;
	lock_drop(&p->lock);
	return at;
}
