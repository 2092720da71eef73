/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/pull_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/git/gitdiff.h"
#include "admin/hub/writing.h"
#include "admin/registry/merging.h"
#include "admin/registry/treediff.h"
#include "daemon/base/err.h"
#include "daemon/base/grow.h"

#define FILES_MAX 1000               /* of a diff */
#define FILE_BYTES (512 * 1024)      /* of a file that is compared line by line */
#define READ_BYTES (8 * 1024 * 1024) /* of all that are, before and after */
#define PAIR_BYTES (16 * 1024)       /* a pair costs that much more: lines are looked for */
#define DIFF_BYTES (4 * 1024 * 1024) /* of all of it, more or less */
#define CONFLICTS_MAX 1000           /* files that are named */
#define LOOKED_MAX 10000             /* and that are looked at for that */

/* What one file was and is; a mode of 0: it was not, or is not any more. */
struct pull_file {
	char *path;
	struct tree_side from, to;
	struct manifest_file old, new;
};

static void forget(struct pull_view *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->files[i].path);
	v->count = 0;
	v->cut = v->conflicts_cut = false;
	buf_clear(&v->conflicts);
}

void pull_view_fini(struct pull_view *v)
{
	forget(v);
	free(v->files);
	buf_free(&v->conflicts);
}

/* ---- what the repository has of it ---- */

struct looking {
	struct db_txn *txn;
	const char *uid;
	struct ready *ready; /* borrowed */
	struct pull_view *view;
	struct jwrite w;
	size_t conflicts;
};

static int add_conflict(void *arg, const char *path, enum merge_obstacle what UNUSED)
{
	struct looking *l = arg;

	if (l->conflicts++ == CONFLICTS_MAX)
		return -E2BIG;
	jwrite_text(&l->w, NULL, path);
	return 0;
}

/* Which commits a pull request is about: 1, or 0 if there is nothing to be merged. */
static int find_merge(struct db_txn *t, const char *uid, const struct discussion *d,
		      struct merge *ret)
{
	char ref[REGISTRY_REF_MAX + 1];
	int r, there;

	*ret = (struct merge){ .uid = uid, .files_max = LOOKED_MAX };
	memcpy(ret->base, d->base, sizeof(ret->base));
	discussion_ref(d->num, ref);
	r = registry_ref(t, uid, ref, ret->theirs);
	there = registry_ref(t, uid, d->onto, ret->ours);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return there == 0 && !discussion_is_over(d);
}

/* What cannot be merged of three commits stays so. */
static void name_merge(const struct merge *m, struct buf *ret)
{
	buf_printf(ret, "conflicts %s %s %s %s", m->uid, m->base, m->ours, m->theirs);
}

bool pull_is_known(struct db_txn *t, const char *uid, const struct discussion *d,
		   struct ready *ready)
{
	CLEANUP(ready_unrefp) struct ready_text *text = NULL;
	CLEANUP(buf_free) struct buf key = { 0 };
	struct merge m;

	if (find_merge(t, uid, d, &m) != 1)
		return true;
	name_merge(&m, &key);
	text = ready_find(ready, buf_str(&key));
	return text;
}

static int recall(struct ready_text *known, struct pull_view *v)
{
	const void *bytes;
	size_t len;

	ready_bytes(known, READY_PLAIN, &bytes, &len);
	v->conflicts_cut = ready_note_of(known)->next;
	return buf_add(&v->conflicts, bytes, len);
}

/* Of a file that was deleted for good commits show the pointer still, as in git. */
static int look_up(const struct looking *l, const struct tree_side *s, struct manifest_file *ret)
{
	int r;

	if (!s->mode || s->mode == GIT_SUBMODULE)
		return 0;
	r = registry_file(l->txn, l->uid, s->id, ret);
	return r == -ENOENT ? registry_gone(l->txn, l->uid, s->id, ret) : r;
}

static int add_file(void *arg, const char *path, const struct tree_side *from,
		    const struct tree_side *to)
{
	struct looking *l = arg;
	struct pull_view *v = l->view;
	struct pull_file f = { .from = *from, .to = *to };
	int r;

	v->cut = v->count == FILES_MAX;
	if (v->cut)
		return 1;
	r = grow_list(v->files, v->count, v->cap);
	if (r == 0)
		r = look_up(l, from, &f.old);
	if (r == 0)
		r = look_up(l, to, &f.new);
	if (r < 0)
		return r;
	f.path = strdup(path);
	if (!f.path)
		return -ENOMEM;
	v->files[v->count++] = f;
	return 0;
}

/* *ret is NULL if it has none, as of a commit that is gone. */
static int find_tree(const struct looking *l, const char *commit, uint8_t room[GIT_ID],
		     const uint8_t **ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct git_commit c;
	int r = registry_commit(l->txn, l->uid, commit, &text, &c);

	*ret = NULL;
	if (r < 0)
		return r == ERR_NOREV ? 0 : r;
	memcpy(room, c.tree, GIT_ID);
	*ret = room;
	return 0;
}

static int look_at_files(struct looking *l, const struct merge *m)
{
	uint8_t rooms[2][GIT_ID];
	const uint8_t *base, *theirs;
	int r = find_tree(l, m->base, rooms[0], &base);

	if (r == 0)
		r = find_tree(l, m->theirs, rooms[1], &theirs);
	if (r == 0)
		r = treediff_each(l->txn, l->uid, base, theirs, add_file, l);
	return r < 0 ? r : 0;
}

static int find_conflicts(struct looking *l, const struct merge *m, const char *key,
			  struct ready_text **ret)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct ready_note note = { .next = 0 };
	int r;

	l->w = (struct jwrite){ .to = &json };
	jwrite_array(&l->w, NULL);
	r = merge_plan(l->txn, m, NULL, add_conflict, l);
	jwrite_array_end(&l->w);
	note.next = r == -E2BIG;
	return r < 0 && r != -E2BIG ? r : ready_put(l->ready, key, &json, &note, ret);
}

static int look_at_conflicts(struct looking *l, const struct merge *m)
{
	CLEANUP(ready_unrefp) struct ready_text *text = NULL;
	CLEANUP(buf_free) struct buf key = { 0 };
	int r = 0;

	name_merge(m, &key);
	if (key.failed)
		return key.failed;
	text = ready_find(l->ready, buf_str(&key));
	if (!text)
		r = find_conflicts(l, m, buf_str(&key), &text);
	return r < 0 ? r : recall(text, l->view);
}

int pull_look(struct db_txn *t, const char *uid, const struct discussion *d, bool with_diff,
	      struct ready *ready, struct pull_view *ret)
{
	struct looking l = { .txn = t, .uid = uid, .ready = ready, .view = ret };
	struct merge m;
	int r;

	forget(ret);
	ret->is_pull = true;
	ret->of = *d;
	r = find_merge(t, uid, d, &m);
	if (r >= 0)
		r = r ? look_at_conflicts(&l, &m) : buf_add_str(&ret->conflicts, "[]");
	if (r == 0 && with_diff && m.theirs[0])
		r = look_at_files(&l, &m);
	return r == -ENOENT ? 0 : r;
}

/* ---- as text ---- */

/* What stands in git for it; NULL: it is not told. */
static int read_side(struct ask *a, const struct tree_side *s, const struct manifest_file *f,
		     struct buf *room, struct git_diff_side *ret)
{
	int r = 0;

	*ret = (struct git_diff_side){ .mode = s->mode, .id = s->id };
	if (!s->mode || s->mode == GIT_SUBMODULE)
		return 0;
	if (f->kind == DIGEST_SHA256)
		r = git_pointer_print(f->digest, f->size, room);
	else if (f->size > FILE_BYTES)
		return 0;
	else
		r = writing_read(a, f, room);
	ret->text = buf_str(room);
	ret->len = room->len;
	return r;
}

static int print_file(struct ask *a, const struct pull_file *f, struct buf *ret)
{
	CLEANUP(buf_free) struct buf old = { 0 }, new = { 0 };
	struct git_diff_side from, to;
	int r = read_side(a, &f->from, &f->old, &old, &from);

	if (r == 0)
		r = read_side(a, &f->to, &f->new, &new, &to);
	return r < 0 ? r : git_diff_print(f->path, &from, &to, ret);
}

/* Bytes that are read of one side. */
static uint64_t bytes_of(const struct tree_side *s, const struct manifest_file *f)
{
	bool is_read = s->mode && s->mode != GIT_SUBMODULE && f->kind != DIGEST_SHA256;

	return is_read && f->size <= FILE_BYTES ? f->size : 0;
}

static uint64_t cost_of(const struct pull_file *f)
{
	uint64_t old = bytes_of(&f->from, &f->old), new = bytes_of(&f->to, &f->new);

	return old + new + (old && new ? PAIR_BYTES : 0);
}

/* Behind a hunk, git and patch pass over lines that begin with none of their marks. */
static int print_cut(const struct pull_view *v, size_t shown, struct buf *ret)
{
	if (v->cut || shown < v->count)
		buf_printf(ret, "# The diff ends here: it shows %zu of %s%zu files that changed\n",
			   shown, v->cut ? "more than " : "", v->count);
	return ret->failed;
}

/* It is for whoever may read: so there is an end to what it costs. */
static int write_diff(struct ask *a, const struct pull_view *v, struct jwrite *w)
{
	CLEANUP(buf_free) struct buf diff = { 0 };
	uint64_t cost = 0;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < v->count; i++) {
		const struct pull_file *f = &v->files[i];

		cost += cost_of(f);
		if (cost > READ_BYTES || diff.len > DIFF_BYTES)
			break;
		r = print_file(a, f, &diff);
	}
	if (r == 0)
		r = print_cut(v, i, &diff);
	jwrite_text(w, "diff", buf_str(&diff));
	jwrite_bool(w, "diffTruncated", v->cut || i < v->count);
	return r;
}

int pull_write(struct ask *a, const struct pull_view *v, bool with_diff, struct jwrite *w)
{
	jwrite_object(w, "changes");
	jwrite_text(w, "base", v->of.onto);
	if (v->of.merged[0])
		jwrite_text(w, "mergeCommitId", v->of.merged);
	jwrite_object_end(w);
	jwrite_json(w, "filesWithConflicts", buf_str(&v->conflicts));
	jwrite_bool(w, "filesWithConflictsTruncated", v->conflicts_cut);
	return with_diff ? write_diff(a, v, w) : 0;
}
