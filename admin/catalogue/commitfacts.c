/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/commitfacts.h"

#include <errno.h>
#include <string.h>

#include "admin/registry/treediff.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/base/text.h"

#define WHOLE "model.safetensors" /* it is the model, whatever lies beside it */

/* ---- which files are read ---- */

/* At the top. One that comes later takes the place of another of its name. */
struct top_file {
	const char *name; /* borrowed */
	size_t place;
	bool there; /* it does not go */
	struct manifest_file file;
};

struct top {
	enum repo_type type;
	struct buf tree;
	struct buf files; /* struct top_file */
	size_t count;
	bool whole; /* WHOLE is there */
};

static void top_fini(struct top *p)
{
	buf_free(&p->tree);
	buf_free(&p->files);
}

static bool is_read(enum repo_type type, const char *name)
{
	return !strcmp(name, "README.md") ||
	       (type == REPO_MODEL &&
		(!strcmp(name, "config.json") || text_ends_with(name, ".safetensors") ||
		 text_ends_with(name, ".gguf")));
}

/* NULL: it goes. */
static int add_file(struct top *p, const char *name, const struct manifest_file *file)
{
	struct top_file f = { .name = name, .place = p->count, .there = file != NULL };

	if (file)
		f.file = *file;
	p->count++;
	return buf_add(&p->files, &f, sizeof(f));
}

static int add_entry(struct db_txn *t, const char *uid, const struct git_entry *e, struct top *p,
		     struct facts_files *noted)
{
	struct manifest_file f;
	int r;

	if (e->mode != GIT_FILE && e->mode != GIT_EXECUTABLE)
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
	int c = strcmp(f->name, g->name);

	return c ? c : f->place < g->place ? -1 : f->place > g->place;
}

static struct top_file *list_of(struct top *p)
{
	return (struct top_file *)(void *)p->files.data;
}

/* One of each name, in their order. */
static void sort(struct top *p)
{
	struct top_file *list = list_of(p);
	size_t n = 0;

	if (p->count)
		qsort(list, p->count, sizeof(*list), by_name);
	for (size_t i = 0; i < p->count; i++)
		if ((i + 1 == p->count || strcmp(list[i].name, list[i + 1].name) != 0) &&
		    list[i].there) {
			p->whole |= !strcmp(list[i].name, WHOLE);
			list[n++] = list[i];
		}
	p->count = n;
}

/* ---- what they say ---- */

/* Of several quantisations the first one is told. */
static int read_gguf(struct db_txn *t, struct extracts *x, const struct manifest_file *f,
		     struct facts_source *to)
{
	int r = to->has_gguf ? 0 : extracts_gguf(x, t, f, &to->gguf);

	to->has_gguf |= r == 0 || r == -EAGAIN;
	return r;
}

static int read_file(struct db_txn *t, struct extracts *x, const struct top *p,
		     const struct top_file *f, struct facts_source *to)
{
	if (!strcmp(f->name, "README.md"))
		return extracts_text(x, t, &f->file, &to->readme);
	if (!strcmp(f->name, "config.json"))
		return extracts_text(x, t, &f->file, &to->config);
	if (text_ends_with(f->name, ".gguf"))
		return read_gguf(t, x, &f->file, to);
	return p->whole && strcmp(f->name, WHOLE) != 0
		       ? 0
		       : extracts_tensors(x, t, &f->file, &to->tensors);
}

static int read_files(struct db_txn *t, struct extracts *x, struct top *p, struct facts_source *to)
{
	const struct top_file *list = list_of(p);
	int r = 0;

	for (size_t i = 0; r != -ENOMEM && i < p->count; i++)
		r = read_file(t, x, p, &list[i], to);
	return r == -ENOMEM ? r : 0;
}

/* ---- how large they are ---- */

struct counting {
	struct db_txn *txn;
	const char *uid;
	int64_t bytes;
};

static int size_of(const struct counting *c, const struct tree_side *s, int64_t *ret)
{
	struct manifest_file f;
	int r = !s->mode || s->mode == GIT_SUBMODULE ? -ENOENT
						     : registry_file(c->txn, c->uid, s->id, &f);

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

/* From a base that is damaged nothing is known; nor is it where the commit is: a part of the sum
 * would be the base of the next, and all of them wrong. */
static int count(struct db_txn *t, const char *uid, const struct git_commit *commit,
		 const struct commitfacts_base *base, int64_t *ret)
{
	struct counting c = { t, uid, base ? base->bytes : 0 };
	int r = treediff_each(t, uid, base ? base->tree : NULL, commit->tree, count_file, &c);

	if (r < 0 && r != -ENOMEM && base)
		return count(t, uid, commit, NULL, ret);
	*ret = r < 0 ? -1 : max_i64(c.bytes, 0);
	return r == -ENOMEM ? r : 0;
}

/* ---- both ---- */

int commitfacts_read(struct db_txn *t, struct extracts *x, const struct registry_repo *repo,
		     const struct git_commit *commit, const struct commitfacts_base *base,
		     struct facts_source *ret)
{
	CLEANUP(top_fini) struct top top = { .type = repo->id.type };
	int r;

	*ret = (struct facts_source){ .type = repo->id.type, .sdk = repo->sdk };
	r = add_tree(t, repo->uid, commit->tree, &top, &ret->files);
	if (r < 0)
		return r;
	sort(&top);
	r = read_files(t, x, &top, ret);
	return r < 0 ? r : count(t, repo->uid, commit, base, &ret->bytes);
}

/* ---- ahead ---- */

struct ahead {
	const struct commitfacts_ahead *what;
	struct extracts *x;
};

/* Names are all that is looked at: what lies in a directory is not read. */
static int add_changes(const struct commitfacts_ahead *what, struct top *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < what->count; i++) {
		const struct change *c = &what->changes[i];

		if (!strchr(c->path, '/') && is_read(p->type, c->path))
			r = add_file(p, c->path, c->kind == CHANGE_FILE ? &c->file : NULL);
	}
	return r;
}

static int look_ahead(struct db_txn *t, void *arg)
{
	const struct ahead *a = arg;
	CLEANUP(top_fini) struct top top = { .type = a->what->type };
	CLEANUP(facts_source_fini) struct facts_source source = { .type = a->what->type };
	CLEANUP(buf_free) struct buf room = { 0 };
	char commit[COMMIT_HEX + 1];
	struct git_commit c;
	int r = registry_find(t, a->what->uid, a->what->revision, commit);

	if (r == 0)
		r = registry_commit(t, a->what->uid, commit, &room, &c);
	if (r == 0)
		r = add_tree(t, a->what->uid, c.tree, &top, &source.files);
	if (r != -ENOMEM)
		r = add_changes(a->what, &top);
	if (r < 0)
		return r;
	sort(&top);
	return read_files(t, a->x, &top, &source);
}

/* Which of several is told may turn out only once one of them was read. */
int commitfacts_ahead(struct db *db, struct extracts *x, const struct commitfacts_ahead *what)
{
	struct ahead a = { what, x };
	int r;

	x->mode = EXTRACTS_LATER;
	do {
		r = db_read(db, look_ahead, &a);
		if (r == 0)
			r = extracts_read(x);
	} while (r == 1);
	return r;
}
