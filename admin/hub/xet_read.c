/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet_read.h"

#include <errno.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/gated.h"
#include "admin/hub/range.h"
#include "admin/hub/trace.h"
#include "admin/hub/xet.h"
#include "admin/hub/xet_link.h"
#include "admin/hub/xet_offer.h"
#include "admin/hub/xet_plan.h"
#include "admin/hub/xet_priv.h"
#include "admin/registry/intake.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

/* ---- tokens ---- */

struct finding {
	const struct repo_id *id;
	const char *uid;
	struct registry_repo *ret;
};

static int get_repo(struct db_txn *t, void *arg)
{
	struct finding *f = arg;

	return registry_get(t, f->id, f->ret);
}

/* For who may have its files. */
static int check(struct ask *a, struct registry_repo *ret)
{
	struct finding f = { .id = repo_id_of(repo_canonical(a->repo)), .ret = ret };
	int r = ask_commit(a);

	if (r == 0)
		r = gated_pass(a);
	if (r == 0)
		r = db_read(a->server->rights.db, get_repo, &f);
	return r == -ENOENT ? ERR_NOREPO : r;
}

int xet_read_token(struct ask *a)
{
	struct registry_repo repo;
	int r;

	if (!xet_offered(a->server) || !repo_is_hosted(a->repo))
		return xet_nothing(a);
	r = check(a, &repo);
	if (r == 0)
		r = xet_give_token(a, &repo, true, 1);
	return r == ANSWERED ? 0 : r;
}

/* ---- who asks with one ---- */

static int get_now(struct db_txn *t, void *arg)
{
	struct finding *f = arg;

	return registry_now(t, f->uid, f->ret);
}

int xet_may_read(struct ask *a, const struct xet_token *by, struct registry_repo *ret)
{
	struct finding f = { .uid = by->uid, .ret = ret };
	int r = db_read(a->server->rights.db, get_now, &f);

	if (r == 0 && !a->who.known)
		r = xet_recall(a, by);
	if (r < 0)
		return r;
	a->asked.target.repo = ret->id;
	r = xet_may_have(a, &ret->id);
	a->file_wanted = true;
	if (xet_is_no(r))
		trace_failed(a, r, 403);
	return r;
}

/* ---- what a file is made of ---- */

/* Of one file, the bytes [from, to). */
struct rebuilding {
	struct ask *ask;
	struct xet_token by;
	struct registry_repo repo;
	uint8_t hash[XET_HASH];
	struct recipe recipe;
	uint64_t from, to;
	struct xet_plan plan;
	struct db_txn *txn; /* while the plan is made */
};

static void rebuilding_fini(struct rebuilding *b)
{
	xet_token_fini(&b->by);
	xet_plan_fini(&b->plan);
}

/* A file that a commit of the repository has, or had. */
int xet_find_file(struct db_txn *t, const char *uid, const struct recipe *f)
{
	int r = objects_has_file(t, uid, f->etag, f->size);

	return r < 0 ? r : r == 1 ? 0 : -ENOENT;
}

static int find_file(struct db_txn *t, void *arg)
{
	struct rebuilding *b = arg;
	int r = recipes_find(t, b->hash, &b->recipe);

	return r < 0 ? r : xet_find_file(t, b->repo.uid, &b->recipe);
}

static int get_xorb(void *arg, const uint8_t xorb[static XET_HASH], struct recipe_xorb *ret)
{
	struct rebuilding *b = arg;

	return recipes_xorb(b->txn, b->recipe.etag, xorb, ret);
}

static int make_plan(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf terms = { 0 };
	struct rebuilding *b = arg;
	int r = recipes_terms(t, b->recipe.etag, b->from, b->to, &terms);

	xet_plan_fini(&b->plan);
	b->plan = (struct xet_plan){ 0 };
	b->txn = t;
	return r < 0 ? r : xet_plan_make(&terms, b->from, b->to, get_xorb, b, &b->plan);
}

/* ---- the answer ---- */

static void write_hash(struct jwrite *w, const char *key, const uint8_t *hash)
{
	char hex[XET_HASH_HEX + 1];

	xet_hash_print(hash, hex);
	jwrite_text(w, key, hex);
}

static void write_range(struct jwrite *w, const char *key, uint64_t start, uint64_t end)
{
	jwrite_object(w, key);
	jwrite_uint(w, "start", start);
	jwrite_uint(w, "end", end);
	jwrite_object_end(w);
}

static void write_terms(struct jwrite *w, const struct xet_plan *p)
{
	const struct recipe_term *all = (const void *)p->terms.data;

	jwrite_uint(w, "offset_into_first_range", p->skip);
	jwrite_array(w, "terms");
	for (size_t i = 0; i < p->terms.len / sizeof(*all); i++) {
		jwrite_object(w, NULL);
		write_hash(w, "hash", all[i].xorb);
		jwrite_uint(w, "unpacked_length", all[i].bytes);
		write_range(w, "range", all[i].from, all[i].to);
		jwrite_object_end(w);
	}
	jwrite_array_end(w);
}

/* One link for each range. */
static void write_v1(struct jwrite *w, const char *link, const struct xet_range *all, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		jwrite_object(w, NULL);
		write_range(w, "range", all[i].from, all[i].to);
		jwrite_text(w, "url", link);
		write_range(w, "url_range", all[i].first, all[i].last);
		jwrite_object_end(w);
	}
}

/* One link for as many ranges as a request may ask for. */
static void write_v2(struct jwrite *w, const char *link, const struct xet_range *all, size_t count)
{
	for (size_t i = 0; i < count;) {
		jwrite_object(w, NULL);
		jwrite_text(w, "url", link);
		jwrite_array(w, "ranges");
		do {
			jwrite_object(w, NULL);
			write_range(w, "chunks", all[i].from, all[i].to);
			write_range(w, "bytes", all[i].first, all[i].last);
			jwrite_object_end(w);
		} while (++i < count && i % RANGES_MAX);
		jwrite_array_end(w);
		jwrite_object_end(w);
	}
}

typedef void (*write_fn)(struct jwrite *w, const char *link, const struct xet_range *all,
			 size_t count);

/* All ranges of one xorb; *ret_count of them. */
static int write_xorb(struct jwrite *w, const struct rebuilding *b, const struct xet_range *all,
		      size_t left, write_fn write, size_t *ret_count)
{
	CLEANUP(buf_free) struct buf link = { 0 };
	struct xet_link l = { .of = b->by };
	char hex[XET_HASH_HEX + 1];
	size_t n = 1;
	int r;

	while (n < left && !memcmp(all[n].xorb, all->xorb, XET_HASH))
		n++;
	*ret_count = n;
	l.of.expires_s = clock_wall_s() + XET_LINK_S;
	memcpy(l.xorb, all->xorb, XET_HASH);
	memcpy(l.etag, b->recipe.etag, sizeof(l.etag));
	r = xet_link_print(b->ask->server->link_key, b->ask->asked.origin, &l, &link);
	if (r < 0)
		return r;
	xet_hash_print(all->xorb, hex);
	jwrite_array(w, hex);
	write(w, buf_str(&link), all, n);
	jwrite_array_end(w);
	return 0;
}

static int write_all(const struct rebuilding *b, const char *key, write_fn write, struct buf *ret)
{
	const struct xet_range *all = (const void *)b->plan.ranges.data;
	size_t count = b->plan.ranges.len / sizeof(*all), n = 0;
	struct jwrite w = { .to = ret };
	int r = 0;

	jwrite_object(&w, NULL);
	write_terms(&w, &b->plan);
	jwrite_object(&w, key);
	for (size_t i = 0; r == 0 && i < count; i += n)
		r = write_xorb(&w, b, &all[i], count - i, write, &n);
	jwrite_object_end(&w);
	jwrite_object_end(&w);
	return r < 0 ? r : ret->failed;
}

/* ---- a request ---- */

static int find(struct ask *a, struct rebuilding *b)
{
	struct ranges ranges;
	int r = xet_read_bearer(a, &b->by);

	if (r != 0)
		return r;
	r = xet_hash_parse(a->asked.target.path, b->hash) < 0 ? -ENOENT : 0;
	if (r == 0)
		r = xet_may_read(a, &b->by, &b->repo);
	if (r == 0)
		r = db_read(a->server->rights.db, find_file, b);
	if (r == 0 && !intake_is_there(a->server->intake, b->recipe.etag))
		r = -ENOENT;
	if (r < 0)
		return r;
	b->to = b->recipe.size;
	r = ranges_parse(a->asked.range, b->recipe.size, &ranges);
	if (ranges.count == 1) {
		b->from = ranges.at[0].from;
		b->to = ranges.at[0].to;
	}
	return r;
}

static int refuse(struct ask *a, const struct rebuilding *b, int r)
{
	if (xet_is_no(r) || r == -ENOENT)
		answer_refuse(a, 404,
			      "no file of that hash is here, or the token does not open it");
	else if (r == -E2BIG)
		answer_refuse(a, 413, "that is made of too much to tell at once: ask for a Range");
	else if (r == -ERANGE)
		answer_refuse(a, 416, "the file has not so many bytes");
	else
		return log_err(r, "cannot tell what a file is made of repo=%s", b->by.uid);
	return 0;
}

static int rebuild(struct ask *a, const char *key, write_fn write)
{
	CLEANUP(rebuilding_fini) struct rebuilding b = { .ask = a };
	struct buf json = { 0 };
	int r = 0;

	if (!xet_offered(a->server))
		return xet_nothing(a);
	if (!ask_aside(a, 0, &r))
		return r;
	r = find(a, &b);
	if (r == 0)
		r = db_read(a->server->rights.db, make_plan, &b);
	if (r == 0)
		r = write_all(&b, key, write, &json);
	if (r == 0)
		answer_json(a, 200, &json);
	else
		buf_free(&json);
	return r < 0 ? refuse(a, &b, r) : 0;
}

int xet_reconstruct(struct ask *a)
{
	return rebuild(a, "fetch_info", write_v1);
}

int xet_reconstruct_v2(struct ask *a)
{
	return rebuild(a, "xorbs", write_v2);
}
