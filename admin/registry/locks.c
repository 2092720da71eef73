/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a row is "uid NUL tag": the tag is locked by itself, or released. Rules have no rows
 * of the tags that they hold: whoever asks looks at the rules, so that one which has just been made
 * holds what is there and what comes. */
#include "admin/registry/locks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/reflog.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"

#define ROW_MAX (REGISTRY_UID + 1 + REVISION_MAX)

const char *tag_lock_word(enum lock_kind kind)
{
	static const char *const words[] = { "none", "promotion", "rule", "tag" };

	return words[kind];
}

bool tag_lock_holds(const struct tag_lock *l)
{
	return l->kind != LOCK_NONE && !l->released;
}

/* ---- what is said of one tag ---- */

static struct db_key key_of(const char *uid, const char *tag, char room[static ROW_MAX])
{
	size_t len = strnlen(tag, REVISION_MAX);

	memcpy(room, uid, REGISTRY_UID + 1);
	memcpy(room + REGISTRY_UID + 1, tag, len);
	return (struct db_key){ room, REGISTRY_UID + 1 + len };
}

static void take(const struct jval *v, const char *name, char *ret, size_t cap)
{
	const char *text = jval_get_str(v, name);

	snprintf(ret, cap, "%s", text ? text : "");
}

/* What makes no sense locks. */
static int read_row(struct db_txn *t, const char *uid, const char *tag, struct tag_lock *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	char room[ROW_MAX];
	int r = db_get(t, DB_TAG_LOCKS, key_of(uid, tag, room), &row);
	const struct jval *v;

	*ret = (struct tag_lock){ .kind = LOCK_NONE };
	if (r < 0 && r != ERR_CORRUPT)
		return r == -ENOENT ? 0 : r;
	ret->kind = LOCK_TAG;
	if (r == 0)
		r = jdoc_parse(buf_str(&row), row.len, &doc);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	v = jdoc_root(doc);
	ret->released = jval_bool(jval_get(v, "released")) == 1;
	ret->at_s = jval_get_size(v, "at");
	take(v, "rule", ret->rule, sizeof(ret->rule));
	take(v, "of", ret->of.key, sizeof(ret->of.key));
	take(v, "user", ret->user, sizeof(ret->user));
	take(v, "why", ret->why, sizeof(ret->why));
	return 0;
}

/* `from`: it is released from that one's rule; NULL: it is locked. */
static int write_row(struct db_txn *t, const char *uid, const char *tag,
		     const struct tag_lock *from, const char *user, const char *why)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct jwrite w = { .to = &row };
	char room[ROW_MAX];

	jwrite_object(&w, NULL);
	jwrite_bool(&w, "released", from != NULL);
	jwrite_text(&w, "rule", from ? from->rule : "");
	jwrite_text(&w, "of", from ? from->of.key : "");
	jwrite_text(&w, "user", user);
	jwrite_text(&w, "why", why);
	jwrite_int(&w, "at", clock_wall_s());
	jwrite_object_end(&w);
	if (row.failed)
		return row.failed;
	return db_put(t, DB_TAG_LOCKS, key_of(uid, tag, room), row.data, row.len);
}

int tag_lock_used(struct db_txn *t, const char *uid, const char *tag)
{
	char room[ROW_MAX];

	return db_del(t, DB_TAG_LOCKS, key_of(uid, tag, room));
}

/* ---- what rules say ---- */

struct looking {
	const char *tag;
	struct tag_lock *to;
};

static int is_promoted(void *arg, const struct tag_scope *s, const struct promotion_rule *r)
{
	struct looking *l = arg;

	if (strcmp(r->to, l->tag) != 0 && !r->damaged)
		return 0;
	*l->to = (struct tag_lock){
		.kind = LOCK_PROMOTION, .of = *s, .damaged = r->damaged, .at_s = r->at_s
	};
	snprintf(l->to->rule, sizeof(l->to->rule), "%s", r->name);
	snprintf(l->to->user, sizeof(l->to->user), "%s", r->user);
	if (r->damaged)
		snprintf(l->to->why, sizeof(l->to->why), "%s", TAG_RULE_DAMAGED);
	return 1;
}

static int is_locked(void *arg, const struct tag_scope *s, const struct lock_rule *r)
{
	struct looking *l = arg;

	if (!tag_glob_matches(r->tags, l->tag))
		return 0;
	*l->to = (struct tag_lock){
		.kind = LOCK_RULE, .of = *s, .damaged = r->damaged, .at_s = r->at_s
	};
	memcpy(l->to->rule, r->tags, sizeof(r->tags));
	memcpy(l->to->user, r->user, sizeof(r->user));
	memcpy(l->to->why, r->why, sizeof(r->why));
	return 1;
}

/* The first that holds it: promotions say more than that it is locked, and what is of the
 * repository says more than what is of all of the namespace. */
static int look_at_rules(struct db_txn *t, const char *uid, const char *tag, struct tag_lock *ret)
{
	struct tag_scope scopes[] = { tag_scope_of_repo(uid), { "" } };
	struct looking l = { .tag = tag, .to = ret };
	int r = tag_scope_above(t, uid, &scopes[1]);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(scopes); i++)
		r = promotion_rule_each(t, &scopes[i], is_promoted, &l);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(scopes); i++)
		r = lock_rule_each(t, &scopes[i], is_locked, &l);
	return r < 0 ? r : 0;
}

/* Who released it from one rule knew of no other; of which namespace one is, older rows do not
 * say. */
static bool is_from(const struct tag_lock *own, const struct tag_lock *rule)
{
	return !strcmp(own->rule, rule->rule) &&
	       (!*own->of.key || !strcmp(own->of.key, rule->of.key));
}

int tag_lock_get(struct db_txn *t, const char *uid, const char *tag, struct tag_lock *ret)
{
	struct tag_lock own;
	int r = read_row(t, uid, tag, &own);

	*ret = (struct tag_lock){ .kind = LOCK_NONE };
	if (r == 0)
		r = look_at_rules(t, uid, tag, ret);
	if (r < 0 || own.kind == LOCK_NONE)
		return r;
	if (!own.released) {
		own.beneath = ret->kind;
		memcpy(own.rule, ret->rule, sizeof(own.rule));
	} else if (ret->kind == LOCK_NONE || !is_from(&own, ret))
		return 0;
	else
		own.kind = ret->kind;
	own.of = ret->of;
	own.damaged = ret->damaged;
	*ret = own;
	return 0;
}

void tag_lock_say(const struct tag_lock *l, const char *tag, struct buf *ret)
{
	const char *of = tag_scope_is_repo(&l->of) ? "this repository" : "its namespace";

	switch (l->kind) {
	case LOCK_PROMOTION:
		buf_printf(ret,
			   "The tag \"%s\" moves by promotion alone, as the rule \"%s\" of %s "
			   "says",
			   tag, l->rule, of);
		break;
	case LOCK_RULE:
		buf_printf(ret, "The tag \"%s\" is locked by the rule \"%s\" of %s", tag, l->rule,
			   of);
		break;
	default:
		buf_printf(ret, "The tag \"%s\" is locked by %s", tag,
			   *l->user ? l->user : "an administrator");
	}
	if (*l->why)
		buf_printf(ret, " (%s)", l->why);
}

/* ---- locked and released ---- */

/* The reason stays with the tag's history. */
static int note(struct db_txn *t, const char *uid, const char *ref, const char *commit,
		const char *act, const char *user, const char *why)
{
	const struct ref_event e = {
		.ref = ref, .act = act, .commit = commit, .was = commit, .user = user, .why = why
	};

	return reflog_add(t, uid, &e);
}

static int find_tag(struct db_txn *t, const char *uid, const char *tag,
		    char ret_ref[static REGISTRY_REF_MAX + 1],
		    char ret_commit[static COMMIT_HEX + 1])
{
	snprintf(ret_ref, REGISTRY_REF_MAX + 1, REGISTRY_TAGS "%.*s", REVISION_MAX, tag);
	return registry_ref(t, uid, ret_ref, ret_commit);
}

int tag_is_hidden(struct db_txn *t, const char *uid, const char *tag)
{
	char ref[REGISTRY_REF_MAX + 1], commit[COMMIT_HEX + 1];
	int r;

	snprintf(ref, sizeof(ref), REGISTRY_BRANCHES "%.*s", REVISION_MAX, tag);
	r = registry_ref(t, uid, ref, commit);
	return r < 0 ? (r == -ENOENT ? 0 : r) : 1;
}

/* A lock that readers see nothing of would be a promise that is not kept. */
static int lock_anew(struct db_txn *t, const char *uid, const char *tag, const char *user,
		     const char *why)
{
	int r = tag_is_hidden(t, uid, tag);

	if (r > 0)
		return -ENOTUNIQ;
	return r < 0 ? r : write_row(t, uid, tag, NULL, user, why);
}

int tag_lock_add(struct db_txn *t, const char *uid, const char *tag, const char *user,
		 const char *why)
{
	char ref[REGISTRY_REF_MAX + 1], commit[COMMIT_HEX + 1];
	struct tag_lock l;
	int r = find_tag(t, uid, tag, ref, commit);

	if (r == 0)
		r = tag_lock_get(t, uid, tag, &l);
	if (r == 0 && l.kind == LOCK_TAG)
		return -EEXIST;
	if (r == 0 && l.released)
		r = tag_lock_used(t, uid, tag);
	else if (r == 0)
		r = lock_anew(t, uid, tag, user, why);
	return r < 0 ? r : note(t, uid, ref, commit, "tag.lock", user, why);
}

int tag_lock_release(struct db_txn *t, const char *uid, const char *tag, const char *user,
		     const char *why)
{
	char ref[REGISTRY_REF_MAX + 1], commit[COMMIT_HEX + 1];
	struct tag_lock l;
	int r = find_tag(t, uid, tag, ref, commit);

	if (r == 0)
		r = tag_lock_get(t, uid, tag, &l);
	if (r == 0 && !tag_lock_holds(&l))
		return -ENOENT;
	if (r == 0)
		r = l.kind == LOCK_TAG ? tag_lock_used(t, uid, tag)
				       : write_row(t, uid, tag, &l, user, why);
	return r < 0 ? r : note(t, uid, ref, commit, "tag.unlock", user, why);
}
