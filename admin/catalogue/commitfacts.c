/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/commitfacts.h"

#include <errno.h>
#include <string.h>

#include "admin/catalogue/catalogue.h"
#include "admin/registry/treediff.h"
#include "daemon/base/err.h"
#include "daemon/base/map.h"
#include "daemon/base/num.h"
#include "daemon/base/text.h"

#define WHOLE "model.safetensors" /* it is the model, whatever lies beside it */

void commitfacts_fini(struct commitfacts *x)
{
	extracts_fini(&x->extracts);
	facts_fini(&x->facts);
	buf_free(&x->of);
}

size_t commitfacts_held(const struct commitfacts *x)
{
	return x->extracts.held + x->of.cap + x->facts.tags.cap + x->facts.words.cap +
	       x->facts.doc.cap;
}

/* ---- which files are read ---- */

/* At the top. */
struct top_file {
	const char *name; /* borrowed */
	struct manifest_file file;
};

struct top {
	enum repo_type type;
	struct map changed; /* names that do not stay: each with the change that counts */
	struct buf tree;
	struct buf files; /* struct top_file */
	size_t count;
	bool whole; /* WHOLE is there */
};

static void top_fini(struct top *p)
{
	map_fini(&p->changed);
	buf_free(&p->tree);
	buf_free(&p->files);
}

static bool is_weights(const char *name)
{
	return text_ends_with(name, ".safetensors") || text_ends_with(name, ".gguf");
}

static bool is_read(enum repo_type type, const char *name)
{
	return !strcmp(name, "README.md") ||
	       (type == REPO_MODEL && (!strcmp(name, "config.json") || is_weights(name)));
}

/* Texts are told to whoever finds the repository, weights by a few numbers: a file of git-lfs is
 * for those alone who may read it, and a commit that is but proposed may give it any name. */
static int add_file(struct top *p, const char *name, const struct manifest_file *file)
{
	struct top_file f = { .name = name, .file = *file };

	if (file->kind != DIGEST_GIT_SHA1 && !is_weights(name))
		return 0;
	p->count++;
	return buf_add(&p->files, &f, sizeof(f));
}

static int add_entry(struct db_txn *t, const char *uid, const struct git_entry *e, struct top *p,
		     struct facts_files *noted)
{
	struct manifest_file f;
	int r;

	if ((e->mode != GIT_FILE && e->mode != GIT_EXECUTABLE) ||
	    map_find_str(&p->changed, e->name))
		return 0;
	facts_note_file(noted, e->name);
	if (!is_read(p->type, e->name))
		return 0;
	r = registry_file(t, uid, e->id, &f);
	return r == 0 ? add_file(p, e->name, &f) : r == -ENOMEM ? r : 0;
}

static int add_tree(struct db_txn *t, const char *uid, const uint8_t tree[static GIT_ID],
		    struct top *p, struct facts_files *noted)
{
	int r = registry_object(t, uid, REGISTRY_TREE, tree, &p->tree);
	const char *at = buf_str(&p->tree);
	size_t left = p->tree.len;
	struct git_entry e;

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	while (r == 0 && git_tree_next(&at, &left, &e) == 1)
		r = add_entry(t, uid, &e, p, noted);
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct top_file *f = a, *g = b;

	return strcmp(f->name, g->name);
}

static struct top_file *list_of(struct top *p)
{
	return (struct top_file *)(void *)p->files.data;
}

static void sort(struct top *p)
{
	struct top_file *list = list_of(p);

	if (p->count)
		qsort(list, p->count, sizeof(*list), by_name);
	for (size_t i = 0; i < p->count; i++)
		p->whole |= !strcmp(list[i].name, WHOLE);
}

/* All that facts are made of: each file by what it is called and holds, in their order. */
static int list_files(struct top *p, const struct facts_source *of, struct buf *ret)
{
	const struct top_file *list = list_of(p);
	char etag[DIGEST_HEX_MAX + 1];

	buf_clear(ret);
	buf_printf(ret, "%d %s\n", (int)of->type, of->sdk ? of->sdk : "");
	buf_add(ret, &of->files, sizeof(of->files));
	for (size_t i = 0; i < p->count; i++) {
		manifest_etag(&list[i].file, etag);
		buf_printf(ret, "%s %s\n", etag, list[i].name);
	}
	return ret->failed;
}

/* ---- what they say ---- */

/* Of several quantisations the first one is told. */
static int read_gguf(const struct extracts_in *in, const struct manifest_file *f,
		     struct facts_source *to)
{
	int r = to->has_gguf ? 0 : extracts_gguf(in, f, &to->gguf);

	to->has_gguf |= r == 0 || r == -EAGAIN;
	return r;
}

static int read_file(const struct extracts_in *in, const struct top *p, const struct top_file *f,
		     struct facts_source *to)
{
	if (!strcmp(f->name, "README.md"))
		return extracts_text(in, &f->file, &to->readme);
	if (!strcmp(f->name, "config.json"))
		return extracts_text(in, &f->file, &to->config);
	if (text_ends_with(f->name, ".gguf"))
		return read_gguf(in, &f->file, to);
	return p->whole && strcmp(f->name, WHOLE) != 0
		       ? 0
		       : extracts_tensors(in, &f->file, &to->tensors);
}

static int read_files(const struct extracts_in *in, struct top *p, struct facts_source *to)
{
	const struct top_file *list = list_of(p);
	int r = 0;

	for (size_t i = 0; r != -ENOMEM && i < p->count; i++)
		r = read_file(in, p, &list[i], to);
	return r == -ENOMEM ? r : 0;
}

/* ---- how large they are ---- */

/* What is not as in another tree, whose bytes are known. */
struct base {
	uint8_t tree[GIT_ID];
	int64_t bytes;
};

struct counting {
	struct db_txn *txn;
	const char *uid;
	int64_t bytes;
	uint64_t looked;
};

static int size_of(struct counting *c, const struct tree_side *s, int64_t *ret)
{
	bool is_file = s->mode && s->mode != GIT_SUBMODULE;
	struct manifest_file f;
	int r = is_file ? registry_file(c->txn, c->uid, s->id, &f) : -ENOENT;

	c->looked += is_file;
	*ret = r == 0 ? (int64_t)f.size : 0;
	return r == -ENOENT ? 0 : r;
}

static int count_file(void *arg, const char *path UNUSED, const struct tree_side *from,
		      const struct tree_side *to)
{
	struct counting *c = arg;
	int64_t was, is = 0;
	int r = size_of(c, from, &was);

	if (r == 0)
		r = size_of(c, to, &is);
	c->bytes += is - was;
	return r;
}

/* From the commit that the catalogue has. False: it has none, or does not know its bytes. */
static bool find_base(struct db_txn *t, const struct registry_repo *repo, struct base *ret)
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

/* From a base (or NULL) that is damaged nothing is known; nor is it where the tree is: a part of
 * the sum would be the base of the next, and all of them wrong. */
static int count(struct db_txn *t, struct commitfacts *x, const char *uid,
		 const uint8_t tree[static GIT_ID], const struct base *base, int64_t *ret)
{
	struct counting c = { t, uid, base ? base->bytes : 0, 0 };
	int r = treediff_each(t, uid, base ? base->tree : NULL, tree, count_file, &c);

	x->looked += c.looked;
	if (r < 0 && r != -ENOMEM && base)
		return count(t, x, uid, tree, NULL, ret);
	*ret = r < 0 ? -1 : max_i64(c.bytes, 0);
	return r == -ENOMEM ? r : 0;
}

/* Files may have gone out of that tree, or come again, since it was counted: then the catalogue
 * knows. */
static void correct(struct db_txn *t, struct commitfacts *x, const struct registry_repo *repo)
{
	struct base base;

	if (x->counted && find_base(t, repo, &base) && !memcmp(base.tree, x->tree, GIT_ID))
		x->bytes = base.bytes;
}

void commitfacts_correct(struct db_txn *t, struct commitfacts *x, const char *uid)
{
	struct registry_repo repo;

	if (x->counted && registry_now(t, uid, &repo) == 0)
		correct(t, x, &repo);
}

/* What was counted ahead is all there is of a repository that got its name or its files just now.
 */
static int count_from_known(struct db_txn *t, struct commitfacts *x,
			    const struct registry_repo *repo, const uint8_t tree[static GIT_ID],
			    int64_t *ret)
{
	struct base base;
	bool has = x->counted;

	correct(t, x, repo);
	base.bytes = x->bytes;
	memcpy(base.tree, x->tree, GIT_ID);
	if (!has || memcmp(base.tree, tree, GIT_ID) != 0)
		has = find_base(t, repo, &base) || has;
	return count(t, x, repo->uid, tree, has ? &base : NULL, ret);
}

/* ---- both ---- */

/* Of the same files the same was said before. */
static int make(struct commitfacts *x, const struct facts_source *source, struct buf *of)
{
	int r;

	if (x->of.len == of->len && !memcmp(buf_str(&x->of), buf_str(of), of->len))
		return 0;
	facts_fini(&x->facts);
	buf_free(&x->of);
	x->made++;
	r = facts_make(source, &x->facts);
	if (r < 0)
		return r;
	x->of = *of;
	*of = (struct buf){ 0 };
	return 0;
}

int commitfacts_make(struct db_txn *t, struct commitfacts *x, const struct registry_repo *repo,
		     const struct git_commit *commit, bool anew, int64_t *ret_bytes)
{
	CLEANUP(top_fini) struct top top = { .type = repo->id.type };
	CLEANUP(facts_source_fini)
	struct facts_source source = { .type = top.type, .sdk = repo->sdk };
	CLEANUP(buf_free) struct buf of = { 0 };
	const struct extracts_in in = { &x->extracts, t, true };
	int r = add_tree(t, repo->uid, commit->tree, &top, &source.files);

	if (r < 0)
		return r;
	sort(&top);
	r = list_files(&top, &source, &of);
	if (r == 0)
		r = read_files(&in, &top, &source);
	if (r == 0)
		r = make(x, &source, &of);
	if (r < 0)
		return r;
	return anew ? count(t, x, repo->uid, commit->tree, NULL, ret_bytes)
		    : count_from_known(t, x, repo, commit->tree, ret_bytes);
}

/* ---- ahead ---- */

struct ahead {
	const struct commitfacts_ahead *what;
	struct commitfacts *x;
	struct registry_repo repo; /* as it is now, if it is there */
	struct facts_source source;
	struct buf of;
};

static void ahead_fini(struct ahead *a)
{
	facts_source_fini(&a->source);
	buf_free(&a->of);
}

/* Names are all that is looked at: what lies in a directory is not read. Of several changes of one
 * file the last one counts. */
static int note_changes(const struct commitfacts_ahead *what, struct top *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < what->count; i++) {
		const struct change *c = &what->changes[i];

		if (strchr(c->path, '/'))
			continue;
		map_del_str(&p->changed, c->path);
		r = map_put_str(&p->changed, c->path, (void *)(uintptr_t)c);
	}
	return r;
}

static int add_changes(const struct commitfacts_ahead *what, struct top *p,
		       struct facts_files *noted)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < what->count; i++) {
		const struct change *c = &what->changes[i];

		if (c->kind != CHANGE_FILE || map_find_str(&p->changed, c->path) != c)
			continue;
		facts_note_file(noted, c->path);
		if (is_read(p->type, c->path))
			r = add_file(p, c->path, &c->file);
	}
	return r;
}

/* A few files that changes bring are counted where they are brought. */
static int count_ahead(struct db_txn *t, struct ahead *a, const uint8_t tree[static GIT_ID])
{
	struct commitfacts *x = a->x;
	int r;

	if (a->what->count || x->counted)
		return 0;
	r = count_from_known(t, x, &a->repo, tree, &x->bytes);
	memcpy(x->tree, tree, GIT_ID);
	x->counted = r == 0 && x->bytes >= 0;
	return r;
}

static int look_at_commit(struct db_txn *t, struct ahead *a, struct top *top)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const char *uid = a->what->uid, *revision = a->what->revision;
	char commit[COMMIT_HEX + 1];
	struct git_commit c;
	int r = registry_now(t, uid, &a->repo);

	if (r == 0 && commit_valid(revision))
		memcpy(commit, revision, sizeof(commit));
	else if (r == 0)
		r = registry_find(t, uid, revision, commit);
	if (r == 0)
		r = registry_commit(t, uid, commit, &room, &c);
	if (r == 0)
		r = add_tree(t, uid, c.tree, top, &a->source.files);
	return r == 0 ? count_ahead(t, a, c.tree) : r;
}

static int look_ahead(struct db_txn *t, void *arg)
{
	struct ahead *a = arg;
	CLEANUP(top_fini) struct top top = { .type = a->what->type };
	const struct extracts_in in = { &a->x->extracts, t, false };
	int r;

	facts_source_fini(&a->source);
	a->source = (struct facts_source){ .type = top.type, .sdk = a->repo.sdk };
	r = note_changes(a->what, &top);
	if (r == 0)
		r = look_at_commit(t, a, &top);
	if (r != -ENOMEM)
		r = add_changes(a->what, &top, &a->source.files);
	if (r < 0)
		return r;
	sort(&top);
	r = list_files(&top, &a->source, &a->of);
	return r < 0 ? r : read_files(&in, &top, &a->source);
}

/* Which of several is told may turn out only once one of them was read. */
int commitfacts_ahead(struct db *db, struct commitfacts *x, const struct commitfacts_ahead *what)
{
	CLEANUP(ahead_fini) struct ahead a = { .what = what, .x = x };
	int r;

	do {
		r = db_read(db, look_ahead, &a);
		if (r == 0)
			r = extracts_read(&x->extracts);
	} while (r == 1);
	return r < 0 ? r : make(x, &a.source, &a.of);
}
