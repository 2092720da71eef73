/* SPDX-License-Identifier: Apache-2.0 */
/* Handles: blobs opened and closed, and other places where they lie. */
#include "daemon/fetch/fetch_priv.h"

#include <errno.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"
#include "daemon/fetch/stream.h"

#define LEAVE_MS 1000 /* who has to leave a blob has so long to do it */
#define LEAVE_LOOK_MS 2

/* The blob of a pull, sealed if the catalog says so. */
static int open_blob(struct fetch *f, const struct source_blob *what, struct blob **ret,
		     bool *ret_distrusted)
{
	struct catalog_blob row = { 0 };
	int r = catalog_get_blob(f->conf.catalog, what->etag, &row);

	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	*ret_distrusted = row.distrusted;
	if (row.sealed && row.size != what->file.size)
		return ERR_SIZE; /* its digest was right with another: this listing lies */
	r = store_blob(f->conf.store, what->etag, what->file.size, row.sealed, ret);
	/* The row of a file that is gone would vouch for what is going to be in its place. */
	if (r == 0 && row.sealed && blob_present_bytes(*ret) < what->file.size &&
	    catalog_unseal_blob(f->conf.catalog, what->etag) < 0)
		log_debug("a stale row is left etag=%s", what->etag);
	return r == -EBUSY ? ERR_SIZE : r;
}

/* Its readers are served all the same, if need be past a full disk. */
static int open_somewhere(struct fetch *f, const struct source_blob *what, struct blob **ret,
			  bool *ret_distrusted)
{
	int r = open_blob(f, what, ret, ret_distrusted);

	if (err_is_disk(r) && f->conf.make_room(f->conf.make_room_arg, r))
		r = open_blob(f, what, ret, ret_distrusted);
	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	log_warn(r,
		 "no file for etag=%s in the cache (make room on its disk, or give it less: "
		 "--cache-size)",
		 what->etag);
	return store_blob_homeless(f->conf.store, what->etag, what->file.size, ret);
}

/* One of our own that is gone is nobody else's to bring. */
static int open_own(struct fetch *f, const struct source_blob *what, struct blob **ret)
{
	int r = store_own_blob(f->conf.store, what->etag, what->file.size, ret);

	return r == -ENOENT || r == -EBUSY ? ERR_CORRUPT : r;
}

void fetch_set_make_way(struct fetch *f, bool (*fn)(void *arg, const char *etag, bool in_use),
			void *arg)
{
	make_way_set(&f->make_way, fn, arg);
}

bool fetch_expel(struct fetch *f, struct pull *p, int r)
{
	struct waitlist settled = { 0 };
	bool so;

	lock_take(&f->pulls.lock);
	so = p->readers == 1;
	if (so) {
		p->expelled = r;
		fill_give_up(&p->fill);
		for (struct run *run = p->fill.runs; run; run = run->next)
			httpc_cancel(f->conf.http, &run->cancel);
		waitlist_settle_all(&p->waiters, r, &settled);
	}
	lock_drop(&f->pulls.lock);
	waitlist_wake(&settled);
	return so;
}

/* What others have open with another size is left by them, when their requests have ended. */
static int open_in_its_way(struct fetch *f, const struct source_blob *what, bool guest,
			   struct blob **ret, bool *ret_distrusted)
{
	int64_t until = guest ? 0 : clock_ms() + LEAVE_MS;
	int r = open_somewhere(f, what, ret, ret_distrusted);

	if (r != ERR_SIZE || !make_way_ask(&f->make_way, what->etag, !guest))
		return r;
	while ((r = open_somewhere(f, what, ret, ret_distrusted)) == ERR_SIZE && clock_ms() < until)
		clock_sleep_ms(LEAVE_LOOK_MS);
	return r;
}

static int open_as(struct fetch *f, const struct source_blob *what, bool guest, struct pull **ret)
{
	struct blob *blob;
	bool distrusted = false;
	int r = what->own ? open_own(f, what, &blob)
			  : open_in_its_way(f, what, guest, &blob, &distrusted);

	if (r < 0)
		return r;
	lock_take(&f->pulls.lock);
	r = pull_join_locked(&f->pulls, what, guest, blob, ret);
	if (r == 0 && distrusted && !blob_is_sealed(blob))
		pull_distrust_locked(*ret);
	if (r == 0 && blob_present_bytes(blob) == what->file.size)
		pull_hash_kick_locked(*ret);
	lock_drop(&f->pulls.lock);
	blob_unref(blob);
	return r;
}

int fetch_open(struct fetch *f, const struct source_blob *what, struct pull **ret)
{
	return open_as(f, what, false, ret);
}

int fetch_open_for_guest(struct fetch *f, const struct source_blob *what, struct pull **ret)
{
	return open_as(f, what, true, ret);
}

static int also_as(struct fetch *f, struct pull *p, const struct source_blob *what, bool guest)
{
	int r;

	lock_take(&f->pulls.lock);
	r = pull_add_origin_locked(p, what, guest);
	lock_drop(&f->pulls.lock);
	return r;
}

int fetch_also(struct fetch *f, struct pull *p, const struct source_blob *what)
{
	return also_as(f, p, what, false);
}

int fetch_also_for_guest(struct fetch *f, struct pull *p, const struct source_blob *what)
{
	return also_as(f, p, what, true);
}

static void close_by(struct fetch *f, struct pull *p, void (*leave_locked)(struct pull *p))
{
	struct pull *idle;

	lock_take(&f->pulls.lock);
	leave_locked(p);
	idle = pull_if_idle_locked(p);
	lock_drop(&f->pulls.lock);
	pull_free(idle);
}

void fetch_close(struct fetch *f, struct pull *p)
{
	close_by(f, p, pull_leave_locked);
}

void fetch_give_up(struct fetch *f, struct pull *p)
{
	close_by(f, p, pull_give_up_locked);
}

struct blob *fetch_blob(const struct pull *p)
{
	return p->blob;
}

unsigned fetch_drops(const struct pull *p)
{
	return atomic_load(&p->drops);
}

static int want_again_locked(struct pull *p, uint32_t first, unsigned which)
{
	int r = 0;

	for (uint32_t i = first; r == 0 && which; i++, which >>= 1)
		if (which & 1)
			r = fill_want(&p->fill, chunk_start(i), chunk_end(i, p->what.file.size),
				      URGENCY_AHEAD, RUN_BYTES_MAX);
	return r;
}

void fetch_lost(struct fetch *f, struct pull *p, uint32_t first, unsigned which)
{
	int r;

	lock_take(&f->pulls.lock);
	atomic_fetch_add(&p->drops, 1);
	p->all_wanted = false;
	p->distrust.trimmed = true; /* pages that are being filled now go when it is sealed */
	r = want_again_locked(p, first, which);
	if (r == 0)
		r = streams_kick_locked(f->streams);
	lock_drop(&f->pulls.lock);
	if (r < 0)
		log_debug("what was wrong is not asked for again: %s", err_text(r));
	outcry_part(&f->conf.outcry, &p->what);
}

bool fetch_begin_anew(struct fetch *f, struct pull *p)
{
	bool so;

	lock_take(&f->pulls.lock);
	so = p->distrust.unverified && !blob_is_sealed(p->blob);
	if (so && p->readers == 1)
		pull_begin_anew_locked(p);
	lock_drop(&f->pulls.lock);
	return so;
}
