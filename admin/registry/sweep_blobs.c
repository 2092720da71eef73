/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/sweep_blobs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/catalogue/extracts.h"
#include "admin/registry/aside.h"
#include "admin/registry/hold.h"
#include "admin/registry/holdings.h"
#include "admin/registry/objects.h"
#include "admin/registry/owners.h"
#include "admin/registry/tally.h"
#include "admin/registry/uploads.h"
#include "admin/registry/recipes.h"
#include "admin/registry/xorb_rows.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

#define BATCH 64  /* blobs, or counts, of a transaction */
#define ROWS 4096 /* that one which writes looks at for counts, besides those of its last count */
#define UNHELD "no repository has it, and no upload waits for its commit"

/* ---- counts that are wrong ---- */

struct mend {
	char namespace[ACCOUNT_NAME_MAX + 1];
	char etag[SWEEP_ETAG];
	uint8_t id[GIT_ID]; /* of the objects that name it */
	uint64_t size;
	bool wrong;
};

struct mending {
	struct sweep *s;
	struct buf list; /* struct mend */
	size_t from, to;
	/* What came of a transaction. */
	size_t done; /* up to there */
	size_t wrong, rows;
};

static int note_mend(void *arg, const char *namespace, const char *etag, uint64_t size)
{
	struct mending *m = arg;
	struct mend one = { .size = size };
	int r = *namespace ? objects_file_id(etag, size, one.id) : 0;

	if (!*namespace || r < 0)
		return r;
	snprintf(one.namespace, sizeof(one.namespace), "%s", namespace);
	snprintf(one.etag, sizeof(one.etag), "%s", etag);
	return buf_add(&m->list, &one, sizeof(one));
}

struct counting {
	struct db_txn *txn;
	const struct mend *what;
	uint64_t count;
	size_t rows; /* that were looked at */
};

static int count_owner(void *arg, const char *uid, const struct owner *owner)
{
	struct counting *c = arg;
	char payer[ACCOUNT_NAME_MAX + 1] = "";
	int r = objects_has_id(c->txn, uid, c->what->id, payer);

	c->rows++;
	c->count += r == 1 && !strcmp(holdings_payer(payer, owner->namespace), c->what->namespace);
	return r < 0 ? r : 0;
}

static int count_upload(void *arg, const struct upload_row *u)
{
	struct counting *c = arg;

	c->rows++;
	c->count += !strcmp(u->namespace, c->what->namespace) && !strcmp(u->etag, c->what->etag);
	return 0;
}

/* Exactly, since nothing can change meanwhile. */
static int count_exactly(struct db_txn *t, struct mending *m, struct mend *what, uint64_t *ret)
{
	struct counting c = { .txn = t, .what = what };
	uint64_t now = 0;
	int r = holdings_count(t, what->namespace, what->etag, &now);

	if (r == 0)
		r = owners_each(t, count_owner, &c);
	if (r == 0)
		r = uploads_each(t, NULL, count_upload, &c);
	what->wrong = r == 0 && c.count != now;
	m->wrong += what->wrong;
	m->rows += c.rows;
	*ret = c.count;
	return r;
}

static void begin_some(struct mending *m)
{
	m->done = m->from;
	m->wrong = m->rows = 0;
}

/* Most are not wrong, but were changed while they were counted: nobody waits for those. */
static int look_at_some(struct db_txn *t, void *arg)
{
	struct mending *m = arg;
	struct mend *all = (void *)m->list.data;
	uint64_t count;
	int r = 0;

	begin_some(m);
	for (; r == 0 && m->done < m->to; m->done++)
		r = count_exactly(t, m, &all[m->done], &count);
	return r;
}

/* Those that seemed to be; others wait for so many rows at most, and those of one. */
static int mend_some(struct db_txn *t, void *arg)
{
	struct mending *m = arg;
	struct mend *all = (void *)m->list.data;
	int r = 0;

	begin_some(m);
	for (; r == 0 && m->done < m->to && m->rows < ROWS; m->done++) {
		struct mend what = all[m->done];
		uint64_t count = 0;

		if (what.wrong)
			r = count_exactly(t, m, &what, &count);
		if (r == 0 && what.wrong)
			r = holdings_set(t, what.namespace, what.etag, what.size, count);
	}
	return r;
}

static int mend_batch(struct mending *m)
{
	struct sweep *s = m->s;
	int r = db_read(s->db, look_at_some, m);
	bool wrong = m->wrong > 0;

	for (; r == 0 && wrong && m->from < m->to; m->from = m->done) {
		r = db_write(s->db, mend_some, m);
		s->counts.mended += r == 0 ? m->wrong : 0;
		if (r == 0)
			r = s->rest(s->arg, &s->counts);
	}
	return r;
}

static int mend_all(struct mending *m)
{
	size_t count = m->list.len / sizeof(struct mend);
	struct sweep *s = m->s;
	int r = 0;

	for (m->from = 0; r == 0 && m->from < count && !s->dry; m->from = m->to) {
		m->to = count - m->from < BATCH ? count : m->from + BATCH;
		r = mend_batch(m);
		if (r == 0)
			r = s->rest(s->arg, &s->counts);
	}
	buf_clear(&m->list);
	return r;
}

/* ---- blobs that nobody holds ---- */

struct blob {
	char etag[SWEEP_ETAG];
	uint64_t size;
	bool aside;
};

struct taking {
	struct sweep *s;
	const struct tally *tally;
	struct buf found; /* struct blob */
	size_t from, to;
	/* Of a transaction: how many more rows of xorbs go in it; whether there are others. */
	unsigned xorbs_left;
	bool xorbs_more;
};

static struct blob *blob_at(const struct taking *k, size_t i)
{
	return (struct blob *)(void *)k->found.data + i;
}

struct holders {
	const char *etag;
	uint64_t count;
};

/* Rows come by etag: behind it there are none of it. */
static int add_holders(void *arg, const char *etag, const char *namespace UNUSED, uint64_t count,
		       uint64_t size UNUSED)
{
	struct holders *h = arg;

	if (strcmp(etag, h->etag) != 0)
		return 1;
	h->count += count;
	return 0;
}

static int compare_etags(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* They are sorted. */
static uint64_t times_doomed(const struct sweep *s, const char *etag)
{
	const char *all = s->doomed.data, *at, *from;
	uint64_t n = 1;

	at = all ? bsearch(etag, all, s->doomed.len / SWEEP_ETAG, SWEEP_ETAG, compare_etags) : NULL;
	if (!at)
		return 0;
	for (from = at; from > all && !strcmp(from - SWEEP_ETAG, etag); from -= SWEEP_ETAG)
		n++;
	for (at += SWEEP_ETAG; at < all + s->doomed.len && !strcmp(at, etag); at += SWEEP_ETAG)
		n++;
	return n;
}

/* 1 if it is held, but for those of a dry run that would let it go. */
static int is_held(struct db_txn *t, const struct sweep *s, const char *etag)
{
	struct holders h = { .etag = etag };
	CLEANUP(buf_free) struct buf room = { 0 };
	int r;

	if (!s->dry)
		return holdings_any(t, etag);
	r = buf_add_str(&room, etag);
	if (r == 0)
		r = holdings_each(t, (struct db_key){ room.data, room.len }, add_holders, &h);
	return r < 0 ? r : h.count > times_doomed(s, etag);
}

/* Inside the transaction, since a commit that begins after it finds the blob gone, and one before
 * it has made it held. It may run again: what it has set aside by then stays so only if it still is
 * nobody's. */
static int take_one(struct db_txn *t, struct taking *k, struct blob *b)
{
	struct sweep *s = k->s;
	int r = is_held(t, s, b->etag);

	if (r < 0)
		return r;
	if (r == 1) {
		if (b->aside)
			aside_put_back(s->intake, b->etag);
		b->aside = false;
	} else if (!b->aside && s->dry) {
		b->aside = true;
	} else if (!b->aside) {
		r = aside_take(s->intake, b->etag, s->before_s);
		b->aside = r == 1;
	}
	if (r < 0 || s->dry || !b->aside)
		return r < 0 ? r : 0;
	r = extracts_forget(t, b->etag);
	if (r == 0)
		r = recipes_forget(t, b->etag);
	if (r == 0) /* of what came since most of it was forgotten */
		r = xorb_rows_forget(t, b->etag, &k->xorbs_left);
	return r < 0 ? r : 0;
}

static int check_hold(struct db_txn *t, const struct sweep *s)
{
	int64_t held_until_s = 0;
	int r = s->dry ? 0 : hold_get(t, clock_wall_s(), &held_until_s);

	return r == 0 && held_until_s ? -EBUSY : r;
}

static int take_some(struct db_txn *t, void *arg)
{
	struct taking *k = arg;
	int r = check_hold(t, k->s);

	k->xorbs_left = XORB_ROWS_SOME;
	for (size_t i = k->from; r == 0 && i < k->to; i++)
		r = take_one(t, k, blob_at(k, i));
	return r;
}

static void end_one(struct sweep *s, const struct blob *b, bool stands)
{
	const struct sweep_item item = { "blob", b->etag, NULL, b->size, UNHELD };

	if (!b->aside)
		return;
	if (!stands) {
		if (!s->dry)
			aside_put_back(s->intake, b->etag);
		return;
	}
	if (!s->dry)
		aside_remove(s->intake, b->etag);
	s->counts.blobs++;
	s->counts.bytes += b->size;
	s->tell(s->arg, &item);
}

/* What xorbs have in one that nobody holds. What is forgotten too early is brought again. */
static int forget_of(struct db_txn *t, struct taking *k, const char *etag)
{
	int r = holdings_any(t, etag);

	return r == 0 ? xorb_rows_forget(t, etag, &k->xorbs_left) : r < 0 ? r : 0;
}

static int forget_some(struct db_txn *t, void *arg)
{
	struct taking *k = arg;
	int r = check_hold(t, k->s);

	k->xorbs_left = XORB_ROWS_SOME;
	for (size_t i = k->from; r == 0 && i < k->to; i++)
		r = forget_of(t, k, blob_at(k, i)->etag);
	k->xorbs_more = r == 1;
	return r < 0 ? r : 0;
}

static int has_any(struct db_txn *t, void *arg)
{
	const struct taking *k = arg;
	int r = 0;

	for (size_t i = k->from; r == 0 && i < k->to; i++)
		r = xorb_rows_any(t, blob_at(k, i)->etag);
	return r;
}

/* A large blob has chunks of thousands of xorbs: others wait for some of them at a time. */
static int forget_batch(struct taking *k)
{
	struct sweep *s = k->s;
	int r = s->dry ? 0 : db_read(s->db, has_any, k);

	k->xorbs_more = r == 1;
	r = r < 0 ? r : 0;
	while (r == 0 && k->xorbs_more) {
		r = db_write(s->db, forget_some, k);
		if (r == 0)
			r = s->rest(s->arg, &s->counts);
	}
	return r;
}

static int take_batch(struct taking *k)
{
	struct sweep *s = k->s;
	int r = forget_batch(k);

	if (r == 0)
		r = s->dry ? db_read(s->db, take_some, k) : db_write(s->db, take_some, k);

	for (size_t i = k->from; i < k->to; i++)
		end_one(s, blob_at(k, i), r == 0);
	return r < 0 ? r : s->rest(s->arg, &s->counts);
}

static int look(void *arg, const char *etag, uint64_t size, int64_t spoken_s)
{
	struct taking *k = arg;
	struct blob b = { .size = size };

	k->s->counts.looked++;
	k->s->counts.looked_bytes += size;
	if (tally_names(k->tally, etag) && (!k->s->dry || !times_doomed(k->s, etag)))
		return 0;
	if (spoken_s >= k->s->before_s) {
		k->s->counts.spared++;
		return 0;
	}
	snprintf(b.etag, sizeof(b.etag), "%s", etag);
	return buf_add(&k->found, &b, sizeof(b));
}

static int take_byte(struct taking *k, unsigned byte)
{
	size_t count;
	int r;

	buf_clear(&k->found);
	r = aside_each(k->s->intake, byte, look, k);
	count = k->found.len / sizeof(struct blob);
	for (k->from = 0; r == 0 && k->from < count; k->from = k->to) {
		k->to = count - k->from < BATCH ? count : k->from + BATCH;
		r = take_batch(k);
	}
	return r < 0 ? r : k->s->rest(k->s->arg, &k->s->counts);
}

/* ---- a part after another ---- */

static int sweep_part(struct sweep *s, struct tally *tally, bool mend_only)
{
	struct mending m = { .s = s };
	struct taking k = { .s = s, .tally = tally };
	int r = tally_fill(tally, s, note_mend, &m);

	if (r == 0)
		r = mend_all(&m);
	if (r == 0)
		r = tally_compare(tally, s, note_mend, &m);
	if (r == 0)
		r = mend_all(&m);
	for (unsigned byte = tally->from; r == 0 && byte < tally->to && !mend_only; byte++)
		r = take_byte(&k, byte);
	buf_free(&m.list);
	buf_free(&k.found);
	return r;
}

int sweep_blobs(struct sweep *s, bool mend_only)
{
	struct tally tally = { .from = 0 };
	int r = 0;

	if (s->doomed.len)
		qsort(s->doomed.data, s->doomed.len / SWEEP_ETAG, SWEEP_ETAG, compare_etags);
	while (r == 0 && tally.from < 256) {
		r = sweep_part(s, &tally, mend_only);
		tally.from = tally.to;
	}
	tally_fini(&tally);
	if (s->counts.mended)
		log_warn(0, "counts of who holds what were wrong, and were mended counts=%llu",
			 (unsigned long long)s->counts.mended);
	return r;
}
