/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/refs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/reflog.h"
#include "daemon/base/err.h"
#include "daemon/base/why.h"

/* What stands behind a prefix, or NULL. */
static const char *below(const char *ref, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(ref, prefix, len) == 0 ? ref + len : NULL;
}

/* ---- locks ---- */

/* 1: the tag is held, and how; 0: it is not. */
static int look_at_lock(struct db_txn *t, const char *uid, const char *tag, struct tag_lock *ret)
{
	int r = tag_lock_get(t, uid, tag, ret);

	return r < 0 ? r : tag_lock_holds(ret);
}

/* A branch is found before a tag of its name: to make or to move it would be to move the tag. */
static int check_branch(struct db_txn *t, const struct ref_change *c, const char *name,
			struct buf *why)
{
	char tag[REGISTRY_REF_MAX + 1], commit[COMMIT_HEX + 1];
	struct tag_lock l;
	int r;

	snprintf(tag, sizeof(tag), REGISTRY_TAGS "%.*s", REVISION_MAX, name);
	r = c->commit ? registry_ref(t, c->uid, tag, commit) : -ENOENT;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = look_at_lock(t, c->uid, name, &l);
	if (r <= 0)
		return r;
	return complain_as(ERR_TAG_LOCKED, why,
			   "The branch \"%s\" can be neither made nor moved: the tag of that name "
			   "is locked, and readers would get the branch in its place",
			   name);
}

/* A tag that is locked must be what readers get by its name. */
static int check_hidden(struct db_txn *t, const char *uid, const char *name, struct buf *why)
{
	int r = tag_is_hidden(t, uid, name);

	if (r <= 0)
		return r;
	return complain_as(ERR_TAG_LOCKED, why,
			   "The tag \"%s\" would be locked, but there is a branch of that name, "
			   "which readers get in its place: delete the branch first, or make it "
			   "anew by another name",
			   name);
}

/* One that is there, but by no promotion, is not where promotions lead to it. */
static int check_birth(struct db_txn *t, const char *uid, const struct tag_lock *l,
		       const char *name, const char *advice, struct buf *why)
{
	int r = check_hidden(t, uid, name, why);

	if (r < 0 || l->kind != LOCK_PROMOTION)
		return r;
	tag_lock_say(l, name, why);
	return complain_as(ERR_TAG_LOCKED, why, ": %s", advice);
}

static int check_tag(struct db_txn *t, const struct ref_change *c, const char *name,
		     const char *was, struct buf *why)
{
	struct tag_lock l;
	int r = look_at_lock(t, c->uid, name, &l);

	if (r <= 0)
		return r;
	if (c->rule && l.kind != LOCK_TAG)
		return check_hidden(t, c->uid, name, why);
	if (!*was)
		return check_birth(t, c->uid, &l, name, "promote another tag, or a branch, to it",
				   why);
	tag_lock_say(&l, name, why);
	return complain_as(
		ERR_TAG_LOCKED, why,
		": it can be neither moved nor deleted unless an administrator unlocks it");
}

/* ---- changes ---- */

static int count_ref(void *arg UNUSED, const char *ref UNUSED, const char *commit UNUSED)
{
	return 1;
}

/* git keeps "a" and "a/b" from standing side by side. */
static int check_beside(struct db_txn *t, const struct ref_change *c)
{
	char ref[REGISTRY_REF_MAX + 2], commit[COMMIT_HEX + 1];
	int r;

	snprintf(ref, sizeof(ref), "%s/", c->ref);
	r = registry_each_ref(t, c->uid, ref, count_ref, NULL);
	for (char *slash = strrchr(ref, '/'); r == 0 && slash; slash = strrchr(ref, '/')) {
		*slash = '\0';
		if (strcmp(ref, c->ref) != 0 && registry_ref(t, c->uid, ref, commit) == 0)
			r = 1;
	}
	return r == 1 ? -EEXIST : r;
}

static int note(struct db_txn *t, const struct ref_change *c, const char *was)
{
	const struct ref_event e = {
		.ref = c->ref,
		.act = c->act,
		.commit = c->commit,
		.was = was,
		.user = c->user,
		.why = c->why,
		.rule = c->rule,
		.from = c->from,
		.checks = c->checks,
	};

	return c->act ? reflog_add(t, c->uid, &e) : 0;
}

static int set(struct db_txn *t, const struct ref_change *c)
{
	return c->commit ? registry_put_ref(t, c->uid, c->ref, c->commit)
			 : registry_drop_ref(t, c->uid, c->ref);
}

int ref_change(struct db_txn *t, const struct ref_change *c, struct buf *why)
{
	const char *tag = below(c->ref, REGISTRY_TAGS), *branch = below(c->ref, REGISTRY_BRANCHES);
	char was[COMMIT_HEX + 1] = "";
	int r = registry_ref(t, c->uid, c->ref, was);

	if (r == -ENOENT)
		r = c->commit ? check_beside(t, c) : r;
	if (r == 0 && tag)
		r = check_tag(t, c, tag, was, why);
	if (r == 0 && branch)
		r = check_branch(t, c, branch, why);
	if (r == 0)
		r = set(t, c);
	if (r == 0 && tag)
		r = tag_lock_used(t, c->uid, tag);
	return r < 0 ? r : note(t, c, was);
}

/* ---- all of a repository ---- */

struct walk {
	struct db_txn *txn;
	const char *uid;
	struct buf *why;
	ref_held_fn fn;
	void *arg;
};

static int refuse_held(void *arg, const char *ref, const char *commit UNUSED)
{
	const struct walk *w = arg;
	const char *tag = below(ref, REGISTRY_TAGS);
	struct tag_lock l;
	int r = look_at_lock(w->txn, w->uid, tag, &l);

	if (r <= 0)
		return r;
	return complain_as(ERR_TAG_LOCKED, w->why,
			   "The repository can be neither deleted nor moved while its tag \"%s\" "
			   "is locked",
			   tag);
}

int ref_check_repo(struct db_txn *t, const char *uid, struct buf *why)
{
	struct walk w = { .txn = t, .uid = uid, .why = why };

	return registry_each_ref(t, uid, REGISTRY_TAGS, refuse_held, &w);
}

static int check_arrived(void *arg, const char *ref, const char *commit UNUSED)
{
	const struct walk *w = arg;
	const char *tag = below(ref, REGISTRY_TAGS);
	struct tag_lock l;
	int r = look_at_lock(w->txn, w->uid, tag, &l);

	if (r <= 0)
		return r;
	return check_birth(w->txn, w->uid, &l, tag,
			   "delete it before the repository moves there, and promote to it then",
			   w->why);
}

int ref_check_arrival(struct db_txn *t, const char *uid, struct buf *why)
{
	struct walk w = { .txn = t, .uid = uid, .why = why };

	return registry_each_ref(t, uid, REGISTRY_TAGS, check_arrived, &w);
}

static int tell_past(void *arg, const struct ref_event *e)
{
	const struct walk *w = arg;

	return e->commit && commit_valid(e->commit) ? w->fn(w->arg, e->commit) : 0;
}

static int tell_held(void *arg, const char *ref, const char *commit)
{
	struct walk *w = arg;
	struct tag_lock l;
	int r = tag_lock_get(w->txn, w->uid, below(ref, REGISTRY_TAGS), &l);

	if (r == 0 && (l.kind == LOCK_PROMOTION || l.beneath == LOCK_PROMOTION))
		r = reflog_each(w->txn, w->uid, ref, tell_past, w);
	return r == 0 && l.kind != LOCK_NONE ? w->fn(w->arg, commit) : r;
}

int ref_each_held(struct db_txn *t, const char *uid, ref_held_fn fn, void *arg)
{
	struct walk w = { .txn = t, .uid = uid, .fn = fn, .arg = arg };

	return registry_each_ref(t, uid, REGISTRY_TAGS, tell_held, &w);
}
