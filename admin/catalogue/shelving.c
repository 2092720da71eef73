/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/shelving.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/catalogue/downloads.h"
#include "admin/registry/likes.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/grow.h"
#include "daemon/base/log.h"

/* In one transaction, at the start. */
#define AT_ONCE 200
#define HELD_BYTES (16 << 20)

/* ---- one ---- */

/* As the catalogue has it. */
static int print_doc(const struct facts *facts, int64_t bytes, struct buf *ret)
{
	buf_printf(ret, "{%s", buf_str(&facts->doc));
	if (bytes >= 0)
		buf_printf(ret, ",\"usedStorage\":%" PRId64, bytes);
	return buf_add_str(ret, "}");
}

int shelving_describe(struct db *db, struct intake *in, const struct registry_repo *repo,
		      const char *commit, struct buf *ret, bool *ret_whole)
{
	CLEANUP(commitfacts_fini) struct commitfacts x = { .extracts = { .intake = in } };
	int r = commitfacts_ahead(db, &x,
				  &(struct commitfacts_ahead){ .type = repo->id.type,
							       .uid = repo->uid,
							       .revision = commit });

	*ret_whole = !x.extracts.failed;
	return r < 0 ? r : print_doc(&x.facts, x.counted ? x.bytes : -1, ret);
}

/* What others count of it stays. */
static void begin_entry(struct db_txn *t, const struct registry_repo *repo,
			struct catalogue_entry *ret)
{
	static const enum catalogue_number counted[] = { CATALOGUE_DOWNLOADS, CATALOGUE_LIKES,
							 CATALOGUE_LIKES_30D, CATALOGUE_TRENDING };
	struct downloads_count count;
	struct catalogue_entry old;
	uint64_t likes;
	bool had = catalogue_get(t, &repo->id, &old) == 0 && old.hosted;

	*ret = (struct catalogue_entry){ .id = repo->id,
					 .hosted = true,
					 .gated = repo->gating != REGISTRY_OPEN,
					 .manual = repo->gating == REGISTRY_GATED_MANUAL };
	for (size_t i = 0; i < ARRAY_LEN(counted); i++)
		ret->numbers[counted[i]] = had ? old.numbers[counted[i]] : 0;
	if (!had && likes_count(t, repo->uid, &likes) == 0)
		ret->numbers[CATALOGUE_LIKES] = (double)likes;
	if (!had && downloads_get(t, repo->uid, clock_wall_s(), &count) == 0) {
		ret->numbers[CATALOGUE_DOWNLOADS] = (double)count.month;
		ret->numbers[CATALOGUE_TRENDING] = (double)count.week;
	}
	ret->numbers[CATALOGUE_CREATED] = ret->numbers[CATALOGUE_MODIFIED] =
		(double)repo->created_s;
	ret->numbers[CATALOGUE_PARAMETERS] = -1;
}

/* Without a commit that can be read there is nothing to tell: *ret_told stays as it is. */
static int put_commit(struct db_txn *t, struct commitfacts *x, const struct registry_repo *repo,
		      bool anew, struct catalogue_entry *e, bool *ret_told)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct git_commit c;
	int64_t bytes;
	int r = registry_commit(t, repo->uid, e->commit, &room, &c);

	e->numbers[CATALOGUE_SIZE] = -1;
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = commitfacts_make(t, x, repo, &c, anew, &bytes);
	if (r < 0)
		return r;
	e->numbers[CATALOGUE_MODIFIED] = (double)c.committer.at_s;
	e->numbers[CATALOGUE_SIZE] = (double)bytes;
	e->numbers[CATALOGUE_PARAMETERS] = x->facts.parameters;
	*ret_told = true;
	return 0;
}

static int put(struct db_txn *t, struct commitfacts *x, const struct registry_repo *repo, bool anew)
{
	CLEANUP(buf_free) struct buf doc = { 0 };
	struct catalogue_texts texts = { "\n\n", "", "{}" };
	struct catalogue_entry e;
	bool told = false;
	int r;

	begin_entry(t, repo, &e);
	r = registry_ref(t, repo->uid, REGISTRY_MAIN, e.commit);
	if (r == 0)
		r = put_commit(t, x, repo, anew, &e, &told);
	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	if (!told)
		return catalogue_put(t, &e, &texts);
	r = print_doc(&x->facts, (int64_t)e.numbers[CATALOGUE_SIZE], &doc);
	texts = (struct catalogue_texts){ buf_str(&x->facts.tags), buf_str(&x->facts.words),
					  buf_str(&doc) };
	return r < 0 ? r : catalogue_put(t, &e, &texts);
}

static int put_or_remove(struct db_txn *t, struct commitfacts *x, const struct repo_id *id,
			 bool anew)
{
	struct catalogue_entry e;
	struct registry_repo repo;
	int r = registry_get(t, id, &repo);

	if (r == 0)
		return put(t, x, &repo, anew);
	if (r != -ENOENT)
		return r;
	r = catalogue_get(t, id, &e);
	if (r == 0 && e.hosted)
		return catalogue_remove(t, id);
	return r == -ENOENT ? 0 : r;
}

int shelving_put(struct db_txn *t, struct commitfacts *x, const struct repo_id *id)
{
	return put_or_remove(t, x, id, false);
}

int shelving_put_anew(struct db_txn *t, struct commitfacts *x, const struct repo_id *id)
{
	return put_or_remove(t, x, id, true);
}

/* ---- what is not as it should be ---- */

static bool is_current(struct db_txn *t, const struct registry_repo *repo,
		       const struct catalogue_entry *e)
{
	char commit[COMMIT_HEX + 1] = "";

	return registry_ref(t, repo->uid, REGISTRY_MAIN, commit) != -ENOMEM && e->hosted &&
	       !strcmp(commit, e->commit) && !strcmp(repo->id.name, e->id.name) &&
	       (double)repo->created_s == e->numbers[CATALOGUE_CREATED] &&
	       e->numbers[CATALOGUE_SIZE] >= 0 && /* else it may be known by now */
	       e->gated == (repo->gating != REGISTRY_OPEN) &&
	       e->manual == (repo->gating == REGISTRY_GATED_MANUAL);
}

/* Those that are to be put in, or out. */
struct wrong {
	struct db_txn *t;
	struct repo_id *ids;
	size_t count, cap;
};

static int add_wrong(struct wrong *w, const struct repo_id *id)
{
	int r = grow_list(w->ids, w->count, w->cap);

	if (r == 0)
		w->ids[w->count++] = *id;
	return r;
}

static int look_at_repo(void *arg, const struct registry_repo *repo)
{
	struct wrong *w = arg;
	struct catalogue_entry e;

	if (catalogue_get(w->t, &repo->id, &e) == 0 && is_current(w->t, repo, &e))
		return 0;
	return add_wrong(w, &repo->id);
}

static int look_at_entry(void *arg, const struct catalogue_entry *e)
{
	struct registry_repo repo;
	struct wrong *w = arg;

	return e->hosted && registry_get(w->t, &e->id, &repo) == -ENOENT ? add_wrong(w, &e->id) : 0;
}

static int find_wrong(struct db_txn *t, void *arg)
{
	struct wrong *w = arg;
	int r;

	w->t = t;
	r = registry_each(t, look_at_repo, w);
	return r < 0 ? r : catalogue_each(t, look_at_entry, w);
}

/* Some of them, in one transaction: as many as that, or as what they say takes memory. */
struct batch {
	struct intake *intake;
	const struct repo_id *ids;
	size_t count;
	struct commitfacts facts[AT_ONCE];
};

static void batch_clear(struct batch *b)
{
	while (b->count)
		commitfacts_fini(&b->facts[--b->count]);
}

static int put_batch(struct db_txn *t, void *arg)
{
	struct batch *b = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->count; i++)
		r = shelving_put(t, &b->facts[i], &b->ids[i]);
	return r;
}

static int find_uid(struct db_txn *t, void *arg)
{
	struct registry_repo *repo = arg;
	struct repo_id id = repo->id;

	return registry_get(t, &id, repo);
}

static int read_one_ahead(struct db *db, const struct repo_id *id, struct commitfacts *x)
{
	struct registry_repo repo = { .id = *id };
	const struct commitfacts_ahead ahead = { .type = repo.id.type,
						 .uid = repo.uid,
						 .revision = REGISTRY_MAIN };
	int r = db_read(db, find_uid, &repo);

	if (r == 0)
		r = commitfacts_ahead(db, x, &ahead);
	return r == -ENOENT ? 0 : r;
}

static int read_ahead(struct db *db, struct batch *b, size_t left)
{
	size_t held = 0;
	int r = 0;

	while (r == 0 && b->count < left && b->count < AT_ONCE && held < HELD_BYTES) {
		struct commitfacts *x = &b->facts[b->count];

		*x = (struct commitfacts){ .extracts = { .intake = b->intake } };
		r = read_one_ahead(db, &b->ids[b->count], x);
		b->count++;
		held += commitfacts_held(x);
	}
	return r;
}

static int put_all(struct db *db, struct batch *b, const struct wrong *w)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < w->count; at += b->count) {
		batch_clear(b);
		b->ids = w->ids + at;
		r = read_ahead(db, b, w->count - at);
		if (r == 0)
			r = db_write(db, put_batch, b);
	}
	batch_clear(b);
	return r;
}

int shelving_check_all(struct db *db, struct intake *in)
{
	struct batch *b = calloc(1, sizeof(*b));
	struct wrong w = { .count = 0 };
	int r = b ? db_read(db, find_wrong, &w) : -ENOMEM;

	if (r == 0) {
		b->intake = in;
		r = put_all(db, b, &w);
	}
	if (r == 0 && w.count)
		log_info("repositories=%zu were put into the catalogue anew", w.count);
	free(w.ids);
	free(b);
	return r;
}
