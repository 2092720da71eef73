/* SPDX-License-Identifier: Apache-2.0 */
/* The lock is not held while a text is read or written: a document whose row has gone meanwhile was
 * never there. */
#include "daemon/cache/shelf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/map.h"

#define ROW_BYTES_MAX (UINT64_C(32) << 20)  /* of a row that can be ours */
#define HELD_BYTES_MAX (UINT64_C(32) << 20) /* in memory, for want of a disk */
#define PAGE_BYTES 4096                     /* LMDB keeps long rows in pages of their own */
#define NOTE_BYTES 128                      /* in the index */

/* A text that the disk did not take. */
struct held {
	struct buf text, next;
};

struct entry {
	struct entry *prev, *next; /* by use */
	char name[DOC_NAME_HEX + 1];
	int64_t checked_ms; /* clock_ms() value; before the start of the clock, negative */
	int64_t checked_s;  /* wall clock; 0 if it is not known */
	int64_t used_s;     /* wall clock */
	int64_t failed_ms;  /* see shelf_note */
	int64_t asked_ms;   /* see shelf_note */
	uint64_t bytes;     /* of its row */
	uint64_t version;   /* see shelf_note */
	struct held *held;  /* or NULL */
	bool noted;         /* the index says the same */
};

struct shelf {
	struct catalog *catalog;
	uint64_t max_bytes;
	struct lock lock;
	/* Guarded by lock. */
	bool loaded;
	struct map entries; /* name -> struct entry */
	struct entry *first, *last;
	uint64_t total, held_total; /* bytes */
	uint64_t versions;          /* that there were */
};

/* What a row takes of the index, with its note. */
static uint64_t charge(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES + NOTE_BYTES;
}

static void held_free(struct held *h)
{
	if (!h)
		return;
	buf_free(&h->text);
	buf_free(&h->next);
	free(h);
}

/* ---- entries ---- */

static void unlink_locked(struct shelf *s, struct entry *e)
{
	*(e->prev ? &e->prev->next : &s->first) = e->next;
	*(e->next ? &e->next->prev : &s->last) = e->prev;
}

static void append_locked(struct shelf *s, struct entry *e)
{
	e->next = NULL;
	e->prev = s->last;
	*(s->last ? &s->last->next : &s->first) = e;
	s->last = e;
}

static void use_locked(struct shelf *s, struct entry *e)
{
	unlink_locked(s, e);
	append_locked(s, e);
	e->used_s = clock_wall_s();
	e->noted = false;
}

/* Another text takes the place of an entry's: of so many bytes, in the index or held. */
static void set_text_locked(struct shelf *s, struct entry *e, uint64_t bytes, struct held *h)
{
	s->total += charge(bytes) - charge(e->bytes);
	s->held_total += (h ? bytes : 0) - (e->held ? e->bytes : 0);
	held_free(e->held);
	e->held = h;
	e->bytes = bytes;
	e->version = ++s->versions;
}

static void forget_locked(struct shelf *s, struct entry *e)
{
	set_text_locked(s, e, 0, NULL);
	s->total -= charge(0);
	unlink_locked(s, e);
	map_del_str(&s->entries, e->name);
	free(e);
}

static int need_locked(struct shelf *s, const char *name, struct entry **ret)
{
	struct entry *e = map_find_str(&s->entries, name);
	int r;

	*ret = e;
	if (e)
		return 0;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	snprintf(e->name, sizeof(e->name), "%s", name);
	r = map_put_str(&s->entries, e->name, e);
	if (r < 0) {
		free(e);
		return r;
	}
	append_locked(s, e);
	s->total += charge(0);
	*ret = e;
	return 0;
}

static void forget_all_locked(struct shelf *s)
{
	while (s->first)
		forget_locked(s, s->first);
}

/* ---- start and stop ---- */

int shelf_new(struct catalog *catalog, uint64_t max_bytes, struct shelf **ret)
{
	struct shelf *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->catalog = catalog;
	s->max_bytes = max_bytes;
	lock_init(&s->lock, LOCK_DOCS);
	*ret = s;
	return 0;
}

/* The wall clock of the row is only believed where it lies in the past. */
static int load_doc(void *arg, const struct catalog_doc *row)
{
	int64_t now_s = clock_wall_s();
	bool past = row->checked_s > 0 && row->checked_s <= now_s;
	struct shelf *s = arg;
	struct entry *e;
	int r;

	if (row->bytes > ROW_BYTES_MAX)
		return 0; /* damaged: as if never asked */
	r = need_locked(s, row->name, &e);
	if (r < 0)
		return r;
	set_text_locked(s, e, row->bytes, NULL);
	e->checked_s = past ? row->checked_s : 0;
	e->checked_ms = past ? clock_ms() - (now_s - row->checked_s) * 1000 : 0;
	e->used_s = row->used_s;
	e->noted = true;
	return 0;
}

static int by_use(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return ((*x)->used_s > (*y)->used_s) - ((*x)->used_s < (*y)->used_s);
}

static int sort_locked(struct shelf *s)
{
	CLEANUP(freep) struct entry **list = calloc(s->entries.count + 1, sizeof(struct entry *));
	size_t count = 0;

	if (!list)
		return -ENOMEM;
	for (struct entry *e = s->first; e; e = e->next)
		list[count++] = e;
	qsort(list, count, sizeof(struct entry *), by_use);
	s->first = s->last = NULL;
	for (size_t i = 0; i < count; i++)
		append_locked(s, list[i]);
	return 0;
}

static int load_locked(struct shelf *s)
{
	int r;

	if (s->loaded)
		return 0;
	r = catalog_each_doc(s->catalog, load_doc, s);
	if (r == 0)
		r = sort_locked(s);
	if (r < 0)
		forget_all_locked(s);
	s->loaded = r == 0;
	return r;
}

static void note_all(struct shelf *s)
{
	CLEANUP(freep) struct catalog_doc *rows = calloc(s->entries.count + 1, sizeof(*rows));
	size_t count = 0;

	for (struct entry *e = rows ? s->first : NULL; e; e = e->next) {
		if (e->noted || e->held)
			continue;
		rows[count] = (struct catalog_doc){
			.checked_s = e->checked_s,
			.used_s = e->used_s,
			.bytes = e->bytes,
		};
		memcpy(rows[count++].name, e->name, sizeof(e->name));
	}
	if (count && catalog_note_docs(s->catalog, rows, count) < 0)
		log_debug("the last uses of documents cannot be noted count=%zu", count);
}

void shelf_free(struct shelf *s)
{
	if (!s)
		return;
	note_all(s);
	forget_all_locked(s);
	map_fini(&s->entries);
	lock_fini(&s->lock);
	free(s);
}

/* ---- what is there ---- */

int shelf_find(struct shelf *s, const char *name, struct shelf_note *ret)
{
	const struct entry *e;
	int r;

	lock_take(&s->lock);
	r = load_locked(s);
	e = map_find_str(&s->entries, name);
	if (e)
		*ret = (struct shelf_note){
			.age_ms = e->checked_s ? clock_ms() - e->checked_ms : CLOCK_FOREVER,
			.checked_ms = e->checked_ms,
			.failed_ms = e->failed_ms,
			.asked_ms = e->asked_ms,
			.version = e->version,
		};
	lock_drop(&s->lock);
	return r < 0 ? r : e ? 0 : -ENOENT;
}

uint64_t shelf_versions(struct shelf *s)
{
	uint64_t versions;

	lock_take(&s->lock);
	versions = s->versions;
	lock_drop(&s->lock);
	return versions;
}

void shelf_use(struct shelf *s, const char *name)
{
	struct entry *e;

	lock_take(&s->lock);
	e = map_find_str(&s->entries, name);
	if (e)
		use_locked(s, e);
	lock_drop(&s->lock);
}

static int copy_held(const struct held *h, struct buf *ret_text, struct buf *ret_next)
{
	buf_add(ret_text, buf_str(&h->text), h->text.len);
	buf_add(ret_next, buf_str(&h->next), h->next.len);
	return ret_text->failed ? ret_text->failed : ret_next->failed;
}

static void forget(struct shelf *s, const char *name)
{
	struct entry *e;

	lock_take(&s->lock);
	e = map_find_str(&s->entries, name);
	if (e)
		forget_locked(s, e);
	lock_drop(&s->lock);
}

int shelf_get(struct shelf *s, const char *name, struct buf *ret_text, struct buf *ret_next)
{
	bool is_in_index = false;
	struct entry *e;
	int r = -ENOENT;

	lock_take(&s->lock);
	e = map_find_str(&s->entries, name);
	if (e) {
		use_locked(s, e);
		is_in_index = !e->held;
		r = e->held ? copy_held(e->held, ret_text, ret_next) : 0;
	}
	lock_drop(&s->lock);
	if (!is_in_index)
		return r;
	r = catalog_get_doc(s->catalog, name, ret_text, ret_next);
	if (r != -ENOENT && r != ERR_CORRUPT)
		return r;
	forget(s, name);
	buf_clear(ret_text);
	return -ENOENT;
}

/* ---- what the hubs say ---- */

static bool is_same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && memcmp(buf_str(a), buf_str(b), a->len) == 0;
}

static bool is_unchanged(struct shelf *s, const char *name, const struct buf *text,
			 const struct buf *next)
{
	CLEANUP(buf_free) struct buf old_text = { 0 };
	CLEANUP(buf_free) struct buf old_next = { 0 };
	const struct entry *e;
	bool is_in_index;

	lock_take(&s->lock);
	e = map_find_str(&s->entries, name);
	is_in_index = e && !e->held && e->bytes == text->len + 1 + next->len;
	lock_drop(&s->lock);
	return is_in_index && catalog_get_doc(s->catalog, name, &old_text, &old_next) == 0 &&
	       is_same(&old_text, text) && is_same(&old_next, next);
}

/* Forgets those that must go when one of so many bytes comes in the place of `name`; their names,
 * each with its NUL. */
static int make_room(struct shelf *s, const char *name, uint64_t bytes, struct buf *gone)
{
	const struct entry *old;
	uint64_t more;

	lock_take(&s->lock);
	old = map_find_str(&s->entries, name);
	more = charge(bytes) - (old ? charge(old->bytes) : 0);
	for (struct entry *e = s->first, *next; e && s->total + more > s->max_bytes; e = next) {
		next = e->next;
		if (e == old)
			continue;
		buf_add(gone, e->name, sizeof(e->name));
		forget_locked(s, e);
	}
	lock_drop(&s->lock);
	return gone->failed;
}

static int hold(const struct buf *text, const struct buf *next, struct held **ret)
{
	struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	buf_add(&h->text, buf_str(text), text->len);
	buf_add(&h->next, buf_str(next), next->len);
	if (h->text.failed || h->next.failed) {
		held_free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

/* Puts the text on the disk, or where there is no room for it into *ret_held. */
static int put_text(struct shelf *s, const char *name, const struct buf *text,
		    const struct buf *next, struct held **ret_held)
{
	CLEANUP(buf_free) struct buf gone = { 0 };
	struct catalog_doc row = {
		.checked_s = clock_wall_s(),
		.used_s = clock_wall_s(),
		.bytes = text->len + 1 + next->len,
	};
	int r = make_room(s, name, row.bytes, &gone);

	if (r < 0)
		return r;
	memcpy(row.name, name, sizeof(row.name));
	r = catalog_put_doc(s->catalog, &row, text, next, &gone);
	if (!err_is_disk(r))
		return r;
	log_warn(r, "what the hubs said cannot be written to the index, and is known until the "
		    "stop only");
	return hold(text, next, ret_held);
}

static void trim_held_locked(struct shelf *s, const struct entry *but)
{
	for (struct entry *e = s->first, *next; e && s->held_total > HELD_BYTES_MAX; e = next) {
		next = e->next;
		if (e->held && e != but)
			forget_locked(s, e);
	}
}

static void note_checked_locked(struct shelf *s, struct entry *e)
{
	e->checked_ms = clock_ms();
	e->checked_s = clock_wall_s();
	e->failed_ms = e->asked_ms = 0;
	use_locked(s, e);
}

/* True if the document is there still. */
static bool note_unchanged(struct shelf *s, const char *name)
{
	struct entry *e;

	lock_take(&s->lock);
	e = map_find_str(&s->entries, name);
	if (e)
		note_checked_locked(s, e);
	lock_drop(&s->lock);
	return e;
}

int shelf_put(struct shelf *s, const char *name, const struct buf *text, const struct buf *next)
{
	struct held *held = NULL;
	struct entry *e;
	int r;

	if (is_unchanged(s, name, text, next) && note_unchanged(s, name))
		return 0;
	r = put_text(s, name, text, next, &held);
	if (r < 0)
		return r;
	lock_take(&s->lock);
	r = need_locked(s, name, &e);
	if (r == 0) {
		set_text_locked(s, e, text->len + 1 + next->len, steal(held));
		trim_held_locked(s, e);
		note_checked_locked(s, e);
	}
	lock_drop(&s->lock);
	held_free(held);
	return r;
}

int shelf_drop(struct shelf *s, const char *name)
{
	CLEANUP(buf_free) struct buf gone = { 0 };

	forget(s, name);
	if (buf_add(&gone, name, DOC_NAME_HEX + 1) < 0)
		return -ENOMEM;
	return catalog_del_docs(s->catalog, &gone);
}

/* Since when hubs are asked, or have failed; 0 leaves the latter as it is. */
static bool note(struct shelf *s, const char *name, int64_t asked_ms, int64_t failed_ms)
{
	struct entry *e;

	lock_take(&s->lock);
	e = map_find_str(&s->entries, name);
	if (e) {
		e->asked_ms = asked_ms;
		e->failed_ms = failed_ms ? failed_ms : e->failed_ms;
	}
	lock_drop(&s->lock);
	return e;
}

bool shelf_asks(struct shelf *s, const char *name)
{
	return note(s, name, clock_ms(), 0);
}

bool shelf_failed(struct shelf *s, const char *name)
{
	return note(s, name, 0, clock_ms());
}
