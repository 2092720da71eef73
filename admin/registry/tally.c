/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/holdings.h"
#include "admin/registry/objects.h"
#include "admin/registry/owners.h"
#include "admin/registry/uploads.h"
#include "daemon/base/digest.h"

#define ENTRIES_MAX (1024 * 1024) /* 16 MiB */
#define BYTES 256
#define SCAN_ROWS 4096 /* of one transaction */
#define UID_TEXT 32
#define MORE 1
#define ENOUGH 2

/* As much of both as tells them apart; that two look alike spares one of them. */
struct entry {
	uint64_t etag, namespace;
};

/* What goes through a transaction. */
struct filling {
	struct tally *tally;
	struct sweep *s;
	struct db_txn *txn;
	tally_fn fn;
	void *arg;
	struct buf place;   /* in the rows of objects */
	char uid[UID_TEXT]; /* whose owner that is */
	struct owner owner;
	char repo[REPO_KEY_MAX + 1]; /* in those of uploads */
	unsigned left;
};

static unsigned first_byte(const char *etag)
{
	const char two[] = { etag[0], etag[0] ? etag[1] : '\0', '\0' };

	return (unsigned)strtoul(two, NULL, 16);
}

static uint64_t start_of(const char *etag)
{
	char text[17];

	snprintf(text, sizeof(text), "%.16s", etag);
	return strtoull(text, NULL, 16);
}

static struct entry entry_of(const char *namespace, const char *etag)
{
	return (struct entry){ start_of(etag), xxh3_of(namespace, strlen(namespace)) };
}

static size_t count_of(const struct tally *t)
{
	return t->entries.len / sizeof(struct entry);
}

/* ---- counting ---- */

/* Half of them go: those that begin last. A single first byte is kept, however many they are. */
static void make_room(struct tally *t)
{
	struct entry *e = (void *)t->entries.data;
	size_t n = count_of(t), left = 0, per_byte[BYTES] = { 0 };
	unsigned to = t->from + 1;

	for (size_t i = 0; i < n; i++)
		per_byte[e[i].etag >> 56]++;
	for (size_t sum = per_byte[t->from]; to < t->to && sum + per_byte[to] <= ENTRIES_MAX / 2;)
		sum += per_byte[to++];
	t->to = to;
	for (size_t i = 0; i < n; i++)
		if (e[i].etag >> 56 < to)
			e[left++] = e[i];
	t->entries.len = left * sizeof(*e);
}

static int count(struct filling *f, const char *namespace, const char *etag, uint64_t size)
{
	struct tally *t = f->tally;
	struct entry e = entry_of(namespace, etag);
	unsigned byte = first_byte(etag);
	uint64_t holders = 0;
	int r;

	if (byte < t->from || byte >= t->to)
		return 0;
	if (count_of(t) >= ENTRIES_MAX && t->to > t->from + 1)
		make_room(t);
	r = byte < t->to ? buf_add(&t->entries, &e, sizeof(e)) : 0;
	if (r == 0)
		r = holdings_count(f->txn, namespace, etag, &holders);
	return r == 0 && !holders ? f->fn(f->arg, namespace, etag, size) : r;
}

static int count_file(void *arg, const char *uid, const char *payer, const char *etag,
		      uint64_t size)
{
	struct filling *f = arg;
	int r = 0;

	if (strcmp(f->uid, uid) != 0) {
		snprintf(f->uid, sizeof(f->uid), "%s", uid);
		r = owners_get(f->txn, uid, &f->owner);
		if (r < 0)
			f->owner = (struct owner){ .namespace = "" };
	}
	/* Nobody's objects name blobs all the same. */
	return count(f, f->owner.namespace[0] ? holdings_payer(payer, f->owner.namespace) : "",
		     etag, size);
}

static int scan_objects(struct db_txn *t, void *arg)
{
	struct filling *f = arg;

	f->txn = t;
	return objects_scan(t, &f->place, SCAN_ROWS, count_file, f);
}

static int count_upload(void *arg, const struct upload_row *u)
{
	struct filling *f = arg;

	/* Those of one repository are counted together. */
	if (strcmp(u->repo, f->repo) != 0) {
		if (f->left == 0)
			return MORE;
		snprintf(f->repo, sizeof(f->repo), "%s", u->repo);
	}
	f->left -= f->left > 0;
	return count(f, u->namespace, u->etag, u->size);
}

static int scan_uploads(struct db_txn *t, void *arg)
{
	struct filling *f = arg;
	char after[REPO_KEY_MAX + 1];

	snprintf(after, sizeof(after), "%s", f->repo);
	f->txn = t;
	f->left = SCAN_ROWS;
	return uploads_each(t, after[0] ? after : NULL, count_upload, f);
}

static int scan_all(struct filling *f, db_fn scan)
{
	int r = MORE;

	while (r == MORE) {
		r = db_read(f->s->db, scan, f);
		if (r >= 0) {
			int rest = f->s->rest(f->s->arg, &f->s->counts);

			r = rest < 0 ? rest : r;
		}
	}
	return r;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct entry));
}

int tally_fill(struct tally *t, struct sweep *s, tally_fn fn, void *arg)
{
	struct filling f = { .tally = t, .s = s, .fn = fn, .arg = arg };
	int r;

	t->to = BYTES;
	buf_clear(&t->entries);
	/* First what moves into the other: it is missed in neither. */
	r = scan_all(&f, scan_uploads);
	if (r == 0)
		r = scan_all(&f, scan_objects);
	buf_free(&f.place);
	if (r == 0 && t->entries.len)
		qsort(t->entries.data, count_of(t), sizeof(struct entry), compare);
	return r;
}

void tally_fini(struct tally *t)
{
	buf_free(&t->entries);
}

/* ---- asking ---- */

/* The first that is not less. */
static size_t lower_bound(const struct tally *t, const struct entry *e, size_t len)
{
	const struct entry *all = (const void *)t->entries.data;
	size_t from = 0, to = count_of(t);

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (memcmp(&all[mid], e, len) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

bool tally_names(const struct tally *t, const char *etag)
{
	const struct entry e = { .etag = start_of(etag) }, *all = (const void *)t->entries.data;
	size_t i = lower_bound(t, &e, sizeof(e.etag));

	return i < count_of(t) && all[i].etag == e.etag;
}

static uint64_t times(const struct tally *t, const char *namespace, const char *etag)
{
	const struct entry e = entry_of(namespace, etag), *all = (const void *)t->entries.data;
	uint64_t n = 0;

	for (size_t i = lower_bound(t, &e, sizeof(e)); i < count_of(t) && !compare(&all[i], &e);
	     i++)
		n++;
	return n;
}

struct comparing {
	const struct tally *tally;
	tally_fn fn;
	void *arg;
	struct buf key; /* of the row that was looked at last */
	unsigned left;
};

static int compare_row(void *arg, const char *etag, const char *namespace, uint64_t holders,
		       uint64_t size)
{
	struct comparing *c = arg;
	int r = 0;

	if (first_byte(etag) >= c->tally->to)
		return ENOUGH; /* they come by etag: the rest is another part's */
	if (c->left-- == 0)
		return MORE;
	if (times(c->tally, namespace, etag) != holders)
		r = c->fn(c->arg, namespace, etag, size);
	holdings_key(&c->key, etag, namespace);
	return r;
}

static int compare_some(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf after = { 0 };
	struct comparing *c = arg;
	int r = buf_add(&after, c->key.data, c->key.len);

	c->left = SCAN_ROWS;
	return r < 0 ? r
		     : holdings_each(t, (struct db_key){ after.data, after.len }, compare_row, c);
}

int tally_compare(const struct tally *t, struct sweep *s, tally_fn fn, void *arg)
{
	struct comparing c = { .tally = t, .fn = fn, .arg = arg };
	int r = buf_printf(&c.key, "%02x", t->from);

	if (r == 0)
		r = MORE;
	while (r == MORE) {
		r = db_read(s->db, compare_some, &c);
		if (r >= 0) {
			int rest = s->rest(s->arg, &s->counts);

			r = rest < 0 ? rest : r;
		}
	}
	buf_free(&c.key);
	return r == ENOUGH ? 0 : r;
}
