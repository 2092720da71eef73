/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/ready.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/digest.h"
#include "daemon/base/gzip.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/base/zstd.h"

#define LARGE_SHARE 4   /* what takes more than this part of the room is not kept */
#define PACK_BYTES 1024 /* less fits into one packet as it is */
#define ETAG_BYTES 24

struct packed {
	void *data; /* NULL: it is no gain, or was never tried */
	size_t len;
	bool tried;
};

struct ready_text {
	struct ready *all;
	struct ready_note note;
	char etag[ETAG_BYTES];
	char *plain;
	size_t len;
	/* Guarded by all->lock. */
	unsigned refs;
	struct packed packed[READY_PACKINGS];
	bool kept; /* in the table */
	uint64_t bytes;
	struct ready_text *prev, *next; /* by use */
	char key[];
};

struct ready {
	uint64_t max_bytes;
	struct lock lock;
	/* Guarded by lock. */
	struct map texts;
	struct ready_text *first, *last; /* used longest ago, and just now */
	uint64_t total;
	_Atomic uint64_t emptied; /* so often; changed under the lock */
};

/* ---- one text ---- */

static void text_free(struct ready_text *t)
{
	for (int i = 0; i < READY_PACKINGS; i++)
		free(t->packed[i].data);
	free(t->plain);
	free(t);
}

/* True if it was the last. */
static bool unref_locked(struct ready_text *t)
{
	return --t->refs == 0;
}

struct ready_text *ready_ref(struct ready_text *t)
{
	lock_take(&t->all->lock);
	t->refs++;
	lock_drop(&t->all->lock);
	return t;
}

void ready_unref(struct ready_text *t)
{
	struct ready *r = t ? t->all : NULL;
	bool last;

	if (!t)
		return;
	lock_take(&r->lock);
	last = unref_locked(t);
	lock_drop(&r->lock);
	if (last)
		text_free(t);
}

void ready_unrefp(struct ready_text **t)
{
	ready_unref(*t);
}

const struct ready_note *ready_note_of(const struct ready_text *t)
{
	return &t->note;
}

const char *ready_etag(const struct ready_text *t)
{
	return t->etag;
}

/* ---- the table ---- */

static void unlink_locked(struct ready *r, struct ready_text *t)
{
	*(t->prev ? &t->prev->next : &r->first) = t->next;
	*(t->next ? &t->next->prev : &r->last) = t->prev;
}

static void append_locked(struct ready *r, struct ready_text *t)
{
	t->next = NULL;
	t->prev = r->last;
	*(r->last ? &r->last->next : &r->first) = t;
	r->last = t;
}

static void forget_locked(struct ready *r, struct ready_text *t)
{
	unlink_locked(r, t);
	map_del_str(&r->texts, t->key);
	r->total -= t->bytes;
	t->kept = false;
	if (unref_locked(t))
		text_free(t);
}

static void trim_locked(struct ready *r)
{
	while (r->total > r->max_bytes)
		forget_locked(r, r->first);
}

void ready_empty(struct ready *r)
{
	lock_take(&r->lock);
	while (r->first)
		forget_locked(r, r->first);
	r->emptied++;
	lock_drop(&r->lock);
}

uint64_t ready_emptied(struct ready *r)
{
	return r->emptied;
}

int ready_new(uint64_t max_bytes, struct ready **ret)
{
	struct ready *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->max_bytes = max_bytes;
	lock_init(&r->lock, LOCK_READY);
	*ret = r;
	return 0;
}

void ready_free(struct ready *r)
{
	if (!r)
		return;
	lock_take(&r->lock);
	while (r->first)
		forget_locked(r, r->first);
	lock_drop(&r->lock);
	map_fini(&r->texts);
	lock_fini(&r->lock);
	free(r);
}

struct ready_text *ready_find(struct ready *r, const char *key)
{
	struct ready_text *t;

	lock_take(&r->lock);
	t = map_find_str(&r->texts, key);
	if (t) {
		t->refs++;
		unlink_locked(r, t);
		append_locked(r, t);
	}
	lock_drop(&r->lock);
	return t;
}

static struct ready_text *text_new(struct ready *r, const char *key, struct buf *text,
				   const struct ready_note *note)
{
	size_t key_len = strlen(key) + 1;
	struct ready_text *t = text->failed ? NULL : calloc(1, sizeof(*t) + key_len);

	if (!t)
		return NULL;
	memcpy(t->key, key, key_len);
	t->all = r;
	t->note = *note;
	t->len = text->len;
	snprintf(t->etag, sizeof(t->etag), "W/\"%016jx\"",
		 (uintmax_t)xxh3_of(buf_str(text), text->len));
	t->plain = buf_take(text);
	t->bytes = sizeof(*t) + key_len + t->len;
	t->refs = 1;
	if (t->plain)
		return t;
	free(t);
	return NULL;
}

/* Without memory for its place it is not kept. */
static void keep_locked(struct ready *r, struct ready_text *t)
{
	struct ready_text *old = map_find_str(&r->texts, t->key);

	if (old)
		forget_locked(r, old);
	if (t->bytes > r->max_bytes / LARGE_SHARE || map_put_str(&r->texts, t->key, t) < 0)
		return;
	append_locked(r, t);
	t->kept = true;
	t->refs++;
	r->total += t->bytes;
	trim_locked(r);
}

static int put(struct ready *r, const uint64_t *emptied, const char *key, struct buf *text,
	       const struct ready_note *note, struct ready_text **ret)
{
	struct ready_text *t = text_new(r, key, text, note);

	buf_free(text);
	if (!t)
		return -ENOMEM;
	lock_take(&r->lock);
	if (!emptied || *emptied == r->emptied)
		keep_locked(r, t);
	lock_drop(&r->lock);
	*ret = t;
	return 0;
}

int ready_put(struct ready *r, const char *key, struct buf *text, const struct ready_note *note,
	      struct ready_text **ret)
{
	return put(r, NULL, key, text, note, ret);
}

int ready_put_since(struct ready *r, uint64_t emptied, const char *key, struct buf *text,
		    const struct ready_note *note, struct ready_text **ret)
{
	return put(r, &emptied, key, text, note, ret);
}

/* ---- packing ---- */

/* Without memory, or gain, it stays plain. */
static struct packed pack(const struct ready_text *t, enum ready_packing how)
{
	struct packed p = { .tried = true };
	int r = t->len < PACK_BYTES ? -EINVAL
		: how == READY_GZIP ? gzip_pack(t->plain, t->len, &p.data, &p.len)
				    : zstd_pack(t->plain, t->len, &p.data, &p.len);

	if (r == 0 && p.len >= t->len)
		free(steal(p.data));
	return p;
}

/* Another thread may have been faster: then its bytes are the same. */
static void note_packed_locked(struct ready_text *t, enum ready_packing how, struct packed p)
{
	if (t->packed[how].tried) {
		free(p.data);
		return;
	}
	t->packed[how] = p;
	if (!t->kept || !p.data)
		return;
	t->bytes += p.len;
	t->all->total += p.len;
	trim_locked(t->all);
}

enum ready_packing ready_bytes(struct ready_text *t, enum ready_packing wanted, const void **ret,
			       size_t *ret_len)
{
	struct packed p = { .tried = wanted == READY_PLAIN };

	lock_take(&t->all->lock);
	if (!p.tried)
		p = t->packed[wanted];
	lock_drop(&t->all->lock);
	if (!p.tried) {
		p = pack(t, wanted);
		lock_take(&t->all->lock);
		note_packed_locked(t, wanted, p);
		p = t->packed[wanted];
		lock_drop(&t->all->lock);
	}
	*ret = p.data ? p.data : t->plain;
	*ret_len = p.data ? p.len : t->len;
	return p.data ? wanted : READY_PLAIN;
}

/* ---- what clients take ---- */

static const char *const names[READY_PACKINGS] = { [READY_GZIP] = "gzip", [READY_ZSTD] = "zstd" };

const char *ready_packing_name(enum ready_packing p)
{
	return names[p];
}

/* True if an item of the list, of len bytes, is this coding and not refused (RFC 9110 §12.5.3). */
static bool takes(const char *item, size_t len, const char *name)
{
	size_t n = strlen(name);
	const char *weight;

	if (len < n || strncasecmp(item, name, n) != 0)
		return false;
	weight = item + n + strspn(item + n, " \t;");
	if (weight >= item + len)
		return true;
	return weight > item + n && strncasecmp(weight, "q=", 2) == 0 &&
	       strtod(weight + 2, NULL) > 0;
}

enum ready_packing ready_accepted(const char *field)
{
	enum ready_packing best = READY_PLAIN;

	while (field && *field) {
		size_t len;

		field += strspn(field, " \t,");
		len = strcspn(field, ",");
		for (int p = READY_PLAIN + 1; p < READY_PACKINGS; p++)
			if (p > (int)best && takes(field, len, names[p]))
				best = (enum ready_packing)p;
		field += len;
	}
	return best;
}
