/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_tags.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/adminapi/adminapi_scope.h"
#include "admin/registry/locks.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

/* --- shapes */

#define REASON(needed_) \
	{ \
		.name = "reason", .kind = API_TEXT, .needed = needed_, .min = needed_, \
		.max = API_REASON_LETTERS, .doc = "Why: it stays with the tag's history." \
	}

static const struct api_field tag_fields[] = {
	API_TEXT_ROW("name"),
	API_TEXT_ROW("commit"),
	{ .name = "locked",
	  .kind = API_BOOL,
	  .needed = true,
	  .doc = "It can be neither moved nor deleted, but by promotion unless \"lock\" is "
		 "\"tag\"." },
	{ .name = "lock",
	  .kind = API_WORD,
	  .needed = true,
	  .words = LOCK_WORDS,
	  .doc = "What holds it: itself, a rule of locks, or one of promotions; also if it is "
		 "released for one change." },
	{ .name = "beneath",
	  .kind = API_WORD,
	  .needed = true,
	  .words = LOCK_WORDS,
	  .doc = "What else holds it if \"lock\" is \"tag\", and does so when that is over." },
	{ .name = "rule",
	  .kind = API_TEXT,
	  .needed = true,
	  .null = true,
	  .doc = "The one that holds it, also beneath." },
	{ .name = "hidden",
	  .kind = API_BOOL,
	  .needed = true,
	  .doc = "A branch has its name, and readers get that in its place, whatever locks it." },
	{ .name = "user",
	  .kind = API_TEXT,
	  .needed = true,
	  .null = true,
	  .doc = "Who locked or released it, or made the rule." },
	{ .name = "reason", .kind = API_TEXT, .needed = true, .null = true },
	{ .name = "since", .kind = API_COUNT, .needed = true, .null = true },
	{ 0 },
};
const struct api_shape api_tag_shape = { "Tag", tag_fields };

static const struct api_field lock_fields[] = { REASON(false), { 0 } };
const struct api_shape api_lock_shape = { "Lock", lock_fields };

#define WHAT \
	{ \
		.name = "what", .kind = API_TEXT, .needed = true, .min = 1, .max = REPO_KEY_MAX, \
		.doc = "A namespace, or a repository as models/namespace/name." \
	}
#define TAGS(pattern_) \
	{ \
		.name = "tags", .kind = API_TEXT, .needed = true, .min = 1, .max = TAG_GLOB_MAX, \
		.pattern = pattern_, .doc = "A name of tags: '*' is any letters, '?' is one." \
	}

static const struct api_field lock_rule_fields[] = {
	WHAT,
	TAGS(NULL),
	API_TEXT_ROW("reason"),
	API_TEXT_ROW("user"),
	API_COUNT_ROW("since"),
	API_DAMAGED_ROW,
	{ 0 },
};
const struct api_shape api_lock_rule_shape = { "LockRule", lock_rule_fields };

static const struct api_field lock_rule_new_fields[] = {
	WHAT,
	TAGS(API_TAGS_PATTERN),
	REASON(false),
	{ 0 },
};
const struct api_shape api_lock_rule_new_shape = { "NewLockRule", lock_rule_new_fields };

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

/* --- tags */

struct tags {
	struct api_page page;
	struct db_txn *txn;
	const char *after; /* or NULL */
	const char *uid;
};

struct tag_state {
	struct tag_lock lock;
	bool hidden;
};

static int get_state(struct db_txn *t, const char *uid, const char *tag, struct tag_state *ret)
{
	int r = tag_is_hidden(t, uid, tag);

	ret->hidden = r > 0;
	return r < 0 ? r : tag_lock_get(t, uid, tag, &ret->lock);
}

static void write_tag(struct jwrite *w, const char *name, const char *commit,
		      const struct tag_state *s)
{
	const struct tag_lock *l = &s->lock;

	jwrite_object(w, NULL);
	jwrite_text(w, "name", name);
	jwrite_text(w, "commit", commit);
	jwrite_bool(w, "locked", tag_lock_holds(l));
	jwrite_text(w, "lock", tag_lock_word(l->kind));
	jwrite_text(w, "beneath", tag_lock_word(l->beneath));
	jwrite_text(w, "rule", or_null(l->rule));
	jwrite_bool(w, "hidden", s->hidden);
	jwrite_text(w, "user", or_null(l->user));
	jwrite_text(w, "reason", or_null(l->why));
	if (l->at_s)
		jwrite_int(w, "since", l->at_s);
	else
		jwrite_null(w, "since");
	jwrite_object_end(w);
}

static int list_tag(void *arg, const char *ref, const char *commit)
{
	const char *name = ref + sizeof(REGISTRY_TAGS) - 1;
	struct tags *l = arg;
	struct tag_state state;
	int r;

	if (l->after && strcmp(name, l->after) <= 0)
		return 0;
	if (!api_page_room(&l->page, name))
		return 1;
	r = get_state(l->txn, l->uid, name, &state);
	if (r == 0)
		write_tag(&l->page.call->w, name, commit, &state);
	return r;
}

static int list_tags(struct db_txn *t, void *arg)
{
	struct tags *l = arg;

	l->txn = t;
	return registry_each_ref(t, l->uid, REGISTRY_TAGS, list_tag, l);
}

int api_tags(struct api_call *c)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct registry_repo repo;
	struct tags l = { .uid = repo.uid };
	int r = api_hosted_repo(c, &repo);

	if (r < 0)
		return r;
	l.page = api_page_begin(c, &room, &l.after);
	r = db_read(api_db(c), list_tags, &l);
	api_page_end(&l.page);
	return r < 0 ? r : 0;
}

/* --- one tag */

struct locking {
	struct registry_repo repo;
	const char *tag, *user, *why;
	int (*run)(struct db_txn *t, const char *uid, const char *tag, const char *user,
		   const char *why);
	char commit[COMMIT_HEX + 1];
	struct tag_state now;
};

static int lock_it(struct db_txn *t, void *arg)
{
	struct locking *l = arg;
	char ref[REGISTRY_REF_MAX + 1];
	int r = l->run(t, l->repo.uid, l->tag, l->user, l->why);

	snprintf(ref, sizeof(ref), REGISTRY_TAGS "%.*s", REVISION_MAX, l->tag);
	if (r == 0)
		r = registry_ref(t, l->repo.uid, ref, l->commit);
	return r < 0 ? r : get_state(t, l->repo.uid, l->tag, &l->now);
}

static int run_lock(struct api_call *c, struct locking *l)
{
	int r = api_hosted_repo(c, &l->repo);

	l->tag = c->params[2];
	l->user = c->ask->who.user;
	buf_printf(&c->subject, "%s/%s: %s", c->params[0], l->repo.id.name, l->tag);
	if (*l->why)
		buf_printf(&c->subject, ": %s", l->why);
	if (r < 0)
		return r;
	if (strlen(l->tag) > REVISION_MAX)
		return api_complain(c, -ENOENT, "there is no tag of that name");
	r = db_write(api_db(c), lock_it, l);
	if (r == 0)
		write_tag(&c->w, l->tag, l->commit, &l->now);
	return r;
}

int api_tag_lock(struct api_call *c)
{
	struct locking l = { .run = tag_lock_add, .why = api_text(c, "reason", "") };
	int r = run_lock(c, &l);

	if (r == -ENOENT && !c->why.len)
		return api_complain(c, r, "there is no tag \"%s\"", l.tag);
	if (r == -EEXIST)
		return api_complain(c, r, "the tag \"%s\" is locked already", l.tag);
	if (r == -ENOTUNIQ)
		return api_complain(c, -EEXIST,
				    "a branch is called \"%s\" as well, and readers get that in "
				    "the tag's place, locked or not: delete the branch first, or "
				    "make it anew by another name",
				    l.tag);
	return r;
}

int api_tag_unlock(struct api_call *c)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const char *why = api_query(c, "reason", &room);
	struct locking l = { .run = tag_lock_release, .why = why ? why : "" };
	int r = run_lock(c, &l);

	if (r == -ENOENT && !c->why.len)
		return api_complain(c, r, "there is no tag \"%s\" that is locked", l.tag);
	return r;
}

/* --- rules */

static void write_rule(struct jwrite *w, const char *what, const struct lock_rule *r)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "what", what);
	jwrite_text(w, "tags", r->tags);
	jwrite_text(w, "reason", r->why);
	jwrite_text(w, "user", r->user);
	jwrite_int(w, "since", r->at_s);
	jwrite_bool(w, "damaged", r->damaged);
	jwrite_object_end(w);
}

static int list_rule(void *arg, const struct tag_scope *s, const struct lock_rule *rule)
{
	CLEANUP(buf_free) struct buf what = { 0 };
	struct api_tag_rules *l = arg;
	int r = api_tag_rules_at(l, s, rule->tags, &what);

	if (r == 0 && what.len)
		write_rule(&l->page.call->w, buf_str(&what), rule);
	return r;
}

static int each_rule(struct db_txn *t, struct api_tag_rules *l)
{
	return lock_rule_each(t, l->about, list_rule, l);
}

int api_lock_rules(struct api_call *c)
{
	return api_tag_rules(c, each_rule);
}

struct ruling {
	struct buf what; /* what it is about, as that is called now; owned */
	struct tag_scope scope;
	struct lock_rule rule;
};

static void ruling_fini(struct ruling *x)
{
	buf_free(&x->what);
}

static int take_rule(struct api_call *c, const char *what, const char *tags, const char *why,
		     bool is_new, struct ruling *ret)
{
	int r = api_scope(c, what, &ret->scope, &ret->what);

	if (r == 0)
		r = api_tag_glob(c, tags, is_new);
	if (r < 0)
		return r;
	ret->rule = (struct lock_rule){ .at_s = 0 };
	snprintf(ret->rule.tags, sizeof(ret->rule.tags), "%s", tags);
	snprintf(ret->rule.why, sizeof(ret->rule.why), "%s", why);
	snprintf(ret->rule.user, sizeof(ret->rule.user), "%s", c->ask->who.user);
	buf_printf(&c->subject, "%s of %s%s%s", tags, buf_str(&ret->what), *why ? ": " : "", why);
	return 0;
}

static int put_rule(struct db_txn *t, void *arg)
{
	const struct ruling *x = arg;

	return lock_rule_put(t, &x->scope, &x->rule);
}

int api_lock_rule_put(struct api_call *c)
{
	CLEANUP(ruling_fini) struct ruling x = { .what = { 0 } };
	int r = take_rule(c, api_text(c, "what", ""), api_text(c, "tags", ""),
			  api_text(c, "reason", ""), true, &x);

	if (r == 0)
		r = api_rule_write(c, put_rule, &x);
	x.rule.at_s = clock_wall_s();
	if (r == 0)
		write_rule(&c->w, buf_str(&x.what), &x.rule);
	return r;
}

static int del_rule(struct db_txn *t, void *arg)
{
	const struct ruling *x = arg;

	return lock_rule_del(t, &x->scope, x->rule.tags);
}

int api_lock_rule_remove(struct api_call *c)
{
	CLEANUP(buf_free) struct buf a = { 0 }, b = { 0 }, d = { 0 };
	const char *what = api_query(c, "what", &a), *tags = api_query(c, "tags", &b);
	const char *why = api_query(c, "reason", &d);
	CLEANUP(ruling_fini) struct ruling x = { .what = { 0 } };
	int r = take_rule(c, what ? what : "", tags ? tags : "", why ? why : "", false, &x);

	if (r < 0)
		return r;
	r = api_rule_write(c, del_rule, &x);
	if (r == -ENOENT)
		return api_complain(c, r, "no rule locks \"%s\" of \"%s\"", x.rule.tags,
				    buf_str(&x.what));
	return r < 0 ? r : api_nothing(c);
}
