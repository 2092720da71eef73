/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/shelving.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/catalogue/commitfacts.h"
#include "admin/catalogue/downloads.h"
#include "admin/registry/likes.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

#define AT_ONCE 200 /* in one transaction, at the start */

/* ---- one ---- */

/* From the commit that the catalogue has. False: it has none, or does not know how large it is. */
static bool find_base(struct db_txn *t, const struct registry_repo *repo,
		      struct commitfacts_base *ret)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct catalogue_entry e;
	struct git_commit c;

	if (catalogue_get(t, &repo->id, &e) < 0 || !e.hosted || !e.commit[0] ||
	    e.numbers[CATALOGUE_SIZE] < 0 || registry_commit(t, repo->uid, e.commit, &room, &c) < 0)
		return false;
	memcpy(ret->tree, c.tree, GIT_ID);
	ret->bytes = (int64_t)e.numbers[CATALOGUE_SIZE];
	return true;
}

static int make_facts(struct db_txn *t, struct extracts *x, const struct registry_repo *repo,
		      const struct git_commit *c, const struct commitfacts_base *base,
		      int64_t *bytes, struct facts *ret)
{
	CLEANUP(facts_source_fini) struct facts_source source;
	int r = commitfacts_read(t, x, repo, c, base, &source);

	*bytes = source.bytes;
	return r < 0 ? r : facts_make(&source, ret);
}

int shelving_describe(struct db_txn *t, struct extracts *x, const struct registry_repo *repo,
		      const char *commit, struct facts *ret)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct commitfacts_base base;
	struct git_commit c;
	int64_t bytes;
	int r = registry_commit(t, repo->uid, commit, &room, &c);

	*ret = (struct facts){ .parameters = -1 };
	x->mode = EXTRACTS_NOW;
	return r < 0 ? r
		     : make_facts(t, x, repo, &c, find_base(t, repo, &base) ? &base : NULL, &bytes,
				  ret);
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

static int put_commit(struct db_txn *t, struct extracts *x, const struct registry_repo *repo,
		      bool anew, struct catalogue_entry *e, struct facts *facts)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct commitfacts_base base;
	bool based = !anew && find_base(t, repo, &base);
	struct git_commit c;
	int64_t bytes;
	int r = registry_commit(t, repo->uid, e->commit, &room, &c);

	e->numbers[CATALOGUE_SIZE] = -1;
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = make_facts(t, x, repo, &c, based ? &base : NULL, &bytes, facts);
	e->numbers[CATALOGUE_MODIFIED] = (double)c.committer.at_s;
	e->numbers[CATALOGUE_SIZE] = (double)bytes;
	e->numbers[CATALOGUE_PARAMETERS] = facts->parameters;
	return r;
}

static int put(struct db_txn *t, struct extracts *x, const struct registry_repo *repo, bool anew)
{
	CLEANUP(facts_fini) struct facts facts = { .parameters = -1 };
	CLEANUP(buf_free) struct buf doc = { 0 };
	struct catalogue_entry e;
	struct catalogue_texts texts;
	int r;

	begin_entry(t, repo, &e);
	r = registry_ref(t, repo->uid, REGISTRY_MAIN, e.commit);
	if (r == 0)
		r = put_commit(t, x, repo, anew, &e, &facts);
	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	buf_printf(&doc, "{%s}", buf_str(&facts.doc));
	texts = (struct catalogue_texts){ facts.tags.len ? buf_str(&facts.tags) : "\n\n",
					  buf_str(&facts.words), buf_str(&doc) };
	return doc.failed ? doc.failed : catalogue_put(t, &e, &texts);
}

static int put_or_remove(struct db_txn *t, struct extracts *x, const struct repo_id *id, bool anew)
{
	struct catalogue_entry e;
	struct registry_repo repo;
	int r = registry_get(t, id, &repo);

	x->mode = EXTRACTS_KEPT;
	if (r == 0)
		return put(t, x, &repo, anew);
	if (r != -ENOENT)
		return r;
	r = catalogue_get(t, id, &e);
	if (r == 0 && e.hosted)
		return catalogue_remove(t, id);
	return r == -ENOENT ? 0 : r;
}

int shelving_put(struct db_txn *t, struct extracts *x, const struct repo_id *id)
{
	return put_or_remove(t, x, id, false);
}

int shelving_put_anew(struct db_txn *t, struct extracts *x, const struct repo_id *id)
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
	size_t cap = w->cap ? 2 * w->cap : 64;
	struct repo_id *ids;

	if (w->count == w->cap) {
		ids = reallocarray(w->ids, cap, sizeof(*ids));
		if (!ids)
			return -ENOMEM;
		w->ids = ids;
		w->cap = cap;
	}
	w->ids[w->count++] = *id;
	return 0;
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

/* Some of them, in one transaction. */
struct batch {
	struct extracts extracts;
	const struct repo_id *ids;
	size_t count;
};

static void batch_fini(struct batch *b)
{
	extracts_fini(&b->extracts);
}

static int put_batch(struct db_txn *t, void *arg)
{
	struct batch *b = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->count; i++)
		r = shelving_put(t, &b->extracts, &b->ids[i]);
	return r;
}

static int find_uid(struct db_txn *t, void *arg)
{
	struct registry_repo *repo = arg;
	struct repo_id id = repo->id;

	return registry_get(t, &id, repo);
}

static int read_ahead(struct db *db, struct batch *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->count; i++) {
		struct registry_repo repo = { .id = b->ids[i] };
		const struct commitfacts_ahead ahead = { .type = repo.id.type,
							 .uid = repo.uid,
							 .revision = REGISTRY_MAIN };

		r = db_read(db, find_uid, &repo);
		if (r == 0)
			r = commitfacts_ahead(db, &b->extracts, &ahead);
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

static int check_some(struct db *db, struct intake *in, const struct repo_id *ids, size_t count)
{
	CLEANUP(batch_fini) struct batch b = { { .intake = in }, ids, count };
	int r = read_ahead(db, &b);

	return r < 0 ? r : db_write(db, put_batch, &b);
}

int shelving_check_all(struct db *db, struct intake *in)
{
	struct wrong w = { .count = 0 };
	int r = db_read(db, find_wrong, &w);

	for (size_t at = 0; r == 0 && at < w.count; at += AT_ONCE)
		r = check_some(db, in, w.ids + at, w.count - at < AT_ONCE ? w.count - at : AT_ONCE);
	if (r == 0 && w.count)
		log_info("repositories=%zu were put into the catalogue anew", w.count);
	free(w.ids);
	return r;
}
