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
	struct xet_token *by; /* borrowed */
	struct registry_repo repo;
	uint8_t hash[XET_HASH];
	struct recipe recipe;
	uint64_t from, to;
	struct xet_plan plan;
	struct db_txn *txn; /* while the plan is made */
};

static void rebuilding_fini(struct rebuilding *b)
{
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

static void write_terms(struct jwrite *w, const char *key, const struct xet_plan *p)
{
	const struct recipe_term *all = (const void *)p->terms.data;

	jwrite_array(w, key);
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

/* Ranges of one xorb, as a file has it. */
static int write_ranges(struct jwrite *w, const struct rebuilding *b, const struct xet_range *all,
			size_t count, write_fn write)
{
	CLEANUP(buf_free) struct buf link = { 0 };
	struct xet_link l = { .of = *b->by };
	int r;

	l.of.expires_s = clock_wall_s() + XET_LINK_S;
	memcpy(l.xorb, all->xorb, XET_HASH);
	memcpy(l.etag, b->recipe.etag, sizeof(l.etag));
	r = xet_link_print(b->ask->server->link_key, b->ask->asked.origin, &l, &link);
	if (r == 0)
		write(w, buf_str(&link), all, count);
	return r;
}

/* How many of these are of the first one's xorb. */
static size_t ranges_of_one(const struct xet_range *all, size_t left)
{
	size_t n = 1;

	while (n < left && !memcmp(all[n].xorb, all->xorb, XET_HASH))
		n++;
	return n;
}

static int write_xorb(struct jwrite *w, const struct rebuilding *b, const struct xet_range *all,
		      size_t count, write_fn write)
{
	char hex[XET_HASH_HEX + 1];
	int r;

	xet_hash_print(all->xorb, hex);
	jwrite_array(w, hex);
	r = write_ranges(w, b, all, count, write);
	jwrite_array_end(w);
	return r;
}

static int write_all(const struct rebuilding *b, const char *key, write_fn write, struct buf *ret)
{
	const struct xet_range *all = (const void *)b->plan.ranges.data;
	size_t count = b->plan.ranges.len / sizeof(*all), n = 0;
	struct jwrite w = { .to = ret };
	int r = 0;

	jwrite_object(&w, NULL);
	jwrite_uint(&w, "offset_into_first_range", b->plan.skip);
	write_terms(&w, "terms", &b->plan);
	jwrite_object(&w, key);
	for (size_t i = 0; r == 0 && i < count; i += n) {
		n = ranges_of_one(&all[i], count - i);
		r = write_xorb(&w, b, &all[i], n, write);
	}
	jwrite_object_end(&w);
	jwrite_object_end(&w);
	return r < 0 ? r : ret->failed;
}

/* ---- a request ---- */

static int find_whole(struct ask *a, const char *name, struct rebuilding *b)
{
	int r = xet_hash_parse(name, b->hash) < 0 ? -ENOENT : 0;

	if (r == 0)
		r = db_read(a->server->rights.db, find_file, b);
	if (r == 0 && !intake_is_there(a->server->intake, b->recipe.etag))
		r = -ENOENT;
	b->to = b->recipe.size;
	return r;
}

/* By whose token it is asked, and of which repository they may have the files. */
static int admit(struct ask *a, struct xet_token *by, struct registry_repo *ret)
{
	int r = xet_read_bearer(a, by);

	return r == 0 ? xet_may_read(a, by, ret) : r;
}

static int find(struct ask *a, struct rebuilding *b)
{
	struct ranges ranges;
	int r = admit(a, b->by, &b->repo);

	if (r == 0)
		r = find_whole(a, a->asked.target.path, b);
	if (r != 0)
		return r;
	r = ranges_parse(a->asked.range, b->recipe.size, &ranges);
	if (ranges.count == 1) {
		b->from = ranges.at[0].from;
		b->to = ranges.at[0].to;
	}
	return r;
}

static int refuse(struct ask *a, int r)
{
	if (xet_is_no(r) || r == -ENOENT)
		answer_refuse(a, 404,
			      "no file of that hash is here, or the token does not open it");
	else if (r == -E2BIG)
		answer_refuse(a, 413,
			      "that is made of too much to tell at once: ask for a Range, or for "
			      "fewer files");
	else if (r == -ERANGE)
		answer_refuse(a, 416, "the file has not so many bytes");
	else
		return log_err(r, "cannot tell what a file is made of repo=%s",
			       a->asked.target.repo.name);
	return 0;
}

/* Answers with that, if it could be made. */
static int give(struct ask *a, int r, struct buf *json)
{
	if (r == 0)
		answer_json(a, 200, json);
	else
		buf_free(json);
	return r < 0 ? refuse(a, r) : 0;
}

static int rebuild(struct ask *a, const char *key, write_fn write)
{
	CLEANUP(xet_token_fini) struct xet_token by = { 0 };
	CLEANUP(rebuilding_fini) struct rebuilding b = { .ask = a, .by = &by };
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
	return give(a, r, &json);
}

int xet_reconstruct(struct ask *a)
{
	return rebuild(a, "fetch_info", write_v1);
}

int xet_reconstruct_v2(struct ask *a)
{
	return rebuild(a, "xorbs", write_v2);
}

/* ---- several files at once ---- */

#define BATCH_MAX 64 /* files of a question, as far as its address has room for them */

struct batch {
	struct xet_token by;
	struct registry_repo repo;
	struct rebuilding all[BATCH_MAX];
	size_t asked, count, terms; /* files asked for, those that are there, and of them */
	struct buf runs;            /* struct run, by their xorbs */
};

/* Ranges of one xorb, as one of the files has it. */
struct run {
	const struct xet_range *all;
	size_t count;
	const struct rebuilding *of;
};

static void batch_free(struct batch **b)
{
	for (size_t i = 0; *b && i < (*b)->count; i++)
		rebuilding_fini(&(*b)->all[i]);
	if (*b) {
		buf_free(&(*b)->runs);
		xet_token_fini(&(*b)->by);
	}
	free(*b);
}

static bool has_file(const struct batch *x, const struct rebuilding *b)
{
	for (size_t i = 0; i < x->count; i++)
		if (!memcmp(x->all[i].hash, b->hash, XET_HASH))
			return true;
	return false;
}

/* One that is not here, or not for them, is left out. */
static int add_file(struct ask *a, const char *name, struct batch *x)
{
	struct rebuilding *b = &x->all[x->count];
	int r;

	if (++x->asked > BATCH_MAX)
		return -E2BIG;
	*b = (struct rebuilding){ .ask = a, .by = &x->by, .repo = x->repo };
	r = find_whole(a, name, b);
	if (r == 0 && !has_file(x, b))
		r = db_read(a->server->rights.db, make_plan, b);
	else if (r == 0)
		r = -ENOENT;
	if (r == 0) {
		x->count++;
		x->terms += b->plan.terms.len / sizeof(struct recipe_term);
		return x->terms > RECIPE_TERMS_MAX ? -E2BIG : 0;
	}
	rebuilding_fini(b);
	return r == -ENOENT ? 0 : r;
}

static int add_files(struct ask *a, struct batch *x)
{
	static const char name[] = "file_id=";
	int r = 0;

	for (const char *at = a->asked.query; r == 0 && *at; at += *at == '&') {
		size_t len = strcspn(at, "&");
		CLEANUP(freep) char *id = strndup(at, len);

		if (!id)
			return -ENOMEM;
		if (!strncmp(id, name, sizeof(name) - 1))
			r = add_file(a, id + sizeof(name) - 1, x);
		at += len;
	}
	return r;
}

static int compare_runs(const void *x, const void *y)
{
	const struct run *a = x, *b = y;

	return memcmp(a->all->xorb, b->all->xorb, XET_HASH);
}

static int sort_runs(struct batch *x)
{
	for (size_t i = 0; i < x->count; i++) {
		const struct buf *ranges = &x->all[i].plan.ranges;
		const struct xet_range *all = (const void *)ranges->data;
		size_t count = ranges->len / sizeof(*all);
		struct run n = { .of = &x->all[i] };

		for (size_t at = 0; at < count; at += n.count) {
			n.all = &all[at];
			n.count = ranges_of_one(n.all, count - at);
			if (buf_add(&x->runs, &n, sizeof(n)) < 0)
				return -ENOMEM;
		}
	}
	if (x->runs.len)
		qsort(x->runs.data, x->runs.len / sizeof(struct run), sizeof(struct run),
		      compare_runs);
	return 0;
}

static int write_runs(struct jwrite *w, const struct batch *x)
{
	const struct run *all = (const void *)x->runs.data;
	size_t count = x->runs.len / sizeof(*all);
	char hex[XET_HASH_HEX + 1];
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		xet_hash_print(all[i].all->xorb, hex);
		if (i == 0 || compare_runs(&all[i - 1], &all[i]) != 0)
			jwrite_array(w, hex);
		r = write_ranges(w, all[i].of, all[i].all, all[i].count, write_v1);
		if (i + 1 == count || compare_runs(&all[i], &all[i + 1]) != 0)
			jwrite_array_end(w);
	}
	return r;
}

static int write_batch(struct batch *x, struct buf *ret)
{
	struct jwrite w = { .to = ret };
	char hex[XET_HASH_HEX + 1];
	int r = sort_runs(x);

	jwrite_object(&w, NULL);
	jwrite_object(&w, "files");
	for (size_t i = 0; i < x->count; i++) {
		xet_hash_print(x->all[i].hash, hex);
		write_terms(&w, hex, &x->all[i].plan);
	}
	jwrite_object_end(&w);
	jwrite_object(&w, "fetch_info");
	if (r == 0)
		r = write_runs(&w, x);
	jwrite_object_end(&w);
	jwrite_object_end(&w);
	return r < 0 ? r : ret->failed;
}

int xet_reconstruct_all(struct ask *a)
{
	CLEANUP(batch_free) struct batch *x = NULL;
	struct buf json = { 0 };
	int r = 0;

	if (!xet_offered(a->server))
		return xet_nothing(a);
	if (!ask_aside(a, 0, &r))
		return r;
	x = calloc(1, sizeof(*x));
	r = x ? admit(a, &x->by, &x->repo) : -ENOMEM;
	if (r == 0)
		r = add_files(a, x);
	if (r == 0 && !x->count)
		r = -ENOENT;
	if (r == 0)
		r = write_batch(x, &json);
	return give(a, r, &json);
}
