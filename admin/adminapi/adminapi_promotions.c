/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_promotions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/adminapi/adminapi_scope.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

/* --- shapes */

#define ACCOUNT "(?!.*(--|\\.\\.|\\.git(:|$)))[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
#define RULE(tag_, tags_) \
	{ .name = "what", \
	  .kind = API_TEXT, \
	  .needed = true, \
	  .min = 1, \
	  .max = REPO_KEY_MAX, \
	  .doc = "A namespace, or a repository as models/namespace/name." }, \
		{ .name = "name", \
		  .kind = API_TEXT, \
		  .needed = true, \
		  .min = 1, \
		  .max = TAG_RULE_NAME_MAX, \
		  .pattern = "^[A-Za-z0-9._-]+$" }, \
		{ .name = "to", \
		  .kind = API_TEXT, \
		  .needed = true, \
		  .min = 1, \
		  .max = REVISION_MAX, \
		  .pattern = tag_, \
		  .doc = "The tag that moves so, and in no other way." }, \
		{ .name = "from", \
		  .kind = API_TEXT, \
		  .min = 1, \
		  .max = TAG_GLOB_MAX, \
		  .pattern = tags_, \
		  .doc = "Tags it may come from ('*' is any letters, '?' is one; default: " \
			 "\"*\"), or branches as refs/heads/main." }, \
		{ .name = "who", \
		  .kind = API_LIST, \
		  .max = TAG_RULE_LIST_MAX, \
		  .pattern = "^" ACCOUNT "(:(read|write|admin))?$", \
		  .doc = "Users, organizations, or members of a role (org:write). Without one: " \
			 "who may administer the repository." }, \
	{ \
		.name = "require", .kind = API_LIST, .max = TAG_RULE_LIST_MAX, \
		.pattern = "^[A-Za-z0-9._-]{1,64}(@" ACCOUNT ")?$", \
		.doc = "Checks that must have passed; NAME@USER: if that user says so." \
	}

static const struct api_field promotion_fields[] = {
	RULE(NULL, NULL), API_TEXT_ROW("user"), API_COUNT_ROW("since"), API_DAMAGED_ROW, { 0 },
};
const struct api_shape api_promotion_shape = { "PromotionRule", promotion_fields };

static const struct api_field promotion_new_fields[] = { RULE(API_TAG_PATTERN, API_TAGS_PATTERN),
							 { 0 } };
const struct api_shape api_promotion_new_shape = { "NewPromotionRule", promotion_new_fields };

static void write_rule(struct jwrite *w, const char *what, const struct promotion_rule *r)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "what", what);
	jwrite_text(w, "name", r->name);
	promotion_rule_write(w, r);
	jwrite_text(w, "user", r->user);
	jwrite_int(w, "since", r->at_s);
	jwrite_bool(w, "damaged", r->damaged);
	jwrite_object_end(w);
}

/* --- all of them */

static int list_rule(void *arg, const struct tag_scope *s, const struct promotion_rule *rule)
{
	CLEANUP(buf_free) struct buf what = { 0 };
	struct api_tag_rules *l = arg;
	int r = api_tag_rules_at(l, s, rule->name, &what);

	if (r == 0 && what.len)
		write_rule(&l->page.call->w, buf_str(&what), rule);
	return r;
}

static int each_rule(struct db_txn *t, struct api_tag_rules *l)
{
	return promotion_rule_each(t, l->about, list_rule, l);
}

int api_promotions(struct api_call *c)
{
	return api_tag_rules(c, each_rule);
}

/* --- one */

struct ruling {
	struct tag_scope scope;
	struct promotion_rule rule;
};

static int take_who(struct api_call *c, struct promotion_rule *ret)
{
	const struct jval *list = jval_get(c->content, "who");
	char name[ACCOUNT_NAME_MAX + 1];
	struct account account;
	enum role role;

	for (size_t i = 0; i < jval_count(list); i++) {
		const char *who = jval_str(jval_at(list, i));
		int r;

		if (!tag_who_parse(who, name, &role))
			return api_complain(c, -EINVAL,
					    "\"%s\" is neither a user nor an organization, nor "
					    "ORGANIZATION:ROLE",
					    who);
		r = accounts_get(api_db(c), name, &account);
		if (r == -ENOENT)
			return api_complain(c, r, "there is no user or organization \"%s\"", name);
		if (r < 0)
			return r;
		snprintf(ret->who[ret->who_count++], sizeof(ret->who[0]), "%s", who);
	}
	return 0;
}

static int take_require(struct api_call *c, struct promotion_rule *ret)
{
	const struct jval *list = jval_get(c->content, "require");

	for (size_t i = 0; i < jval_count(list); i++) {
		const char *wanted = jval_str(jval_at(list, i));

		if (!check_wanted_valid(wanted))
			return api_complain(c, -EINVAL,
					    "\"%s\" is no check: NAME, or NAME@USER, of letters, "
					    "digits, '.', '_' and '-'",
					    wanted);
		snprintf(ret->require[ret->require_count++], sizeof(ret->require[0]), "%s", wanted);
	}
	return 0;
}

static int take_names(struct api_call *c, struct promotion_rule *ret)
{
	const char *name = api_text(c, "name", ""), *to = api_text(c, "to", "");
	const char *from = api_text(c, "from", "*");

	if (!check_name_valid(name))
		return api_complain(c, -EINVAL,
				    "\"%s\" is no name of a rule: letters, digits, '.', '_' and "
				    "'-'",
				    name);
	if (!tag_name_valid(to))
		return api_complain(c, -EINVAL, "no tag can be called \"%s\"", to);
	if (api_tag_glob(c, from, true) < 0)
		return -EINVAL;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->to, sizeof(ret->to), "%s", to);
	snprintf(ret->from, sizeof(ret->from), "%s", from);
	snprintf(ret->user, sizeof(ret->user), "%s", c->ask->who.user);
	return 0;
}

static int put_rule(struct db_txn *t, void *arg)
{
	const struct ruling *x = arg;

	return promotion_rule_put(t, &x->scope, &x->rule);
}

/* The rule as it stands now, in the trail: what it demands is what it may have ceased to demand. */
static void describe(struct api_call *c, const char *what, const struct promotion_rule *r)
{
	buf_printf(&c->subject, "%s of %s: to %s from %s", r->name, what, r->to, r->from);
	for (unsigned i = 0; i < r->who_count; i++)
		buf_printf(&c->subject, "%s%s", i ? ", " : " by ", r->who[i]);
	for (unsigned i = 0; i < r->require_count; i++)
		buf_printf(&c->subject, "%s%s", i ? ", " : " if ", r->require[i]);
}

int api_promotion_put(struct api_call *c)
{
	CLEANUP(buf_free) struct buf what = { 0 };
	struct ruling x = { .rule = { .at_s = clock_wall_s() } };
	int r = api_scope(c, api_text(c, "what", ""), &x.scope, &what);

	if (r == 0)
		r = take_names(c, &x.rule);
	if (r == 0)
		r = take_who(c, &x.rule);
	if (r == 0)
		r = take_require(c, &x.rule);
	describe(c, what.len ? buf_str(&what) : api_text(c, "what", ""), &x.rule);
	if (r == 0)
		r = api_rule_write(c, put_rule, &x);
	if (r == -EEXIST)
		return api_complain(c, r,
				    "the rule \"%s\" leads to another tag, which would no longer "
				    "be locked: remove it first",
				    x.rule.name);
	if (r == 0)
		write_rule(&c->w, buf_str(&what), &x.rule);
	return r;
}

static int del_rule(struct db_txn *t, void *arg)
{
	const struct ruling *x = arg;

	return promotion_rule_del(t, &x->scope, x->rule.name);
}

int api_promotion_remove(struct api_call *c)
{
	CLEANUP(buf_free) struct buf a = { 0 }, b = { 0 }, d = { 0 }, now = { 0 };
	const char *what = api_query(c, "what", &a), *name = api_query(c, "name", &b);
	const char *why = api_query(c, "reason", &d);
	struct ruling x = { .rule = { .at_s = 0 } };
	int r = api_scope(c, what ? what : "", &x.scope, &now);

	if (r == 0)
		what = buf_str(&now);
	buf_printf(&c->subject, "%s of %s: %s", name, what, why);
	if (r < 0)
		return r;
	if (!name || !check_name_valid(name))
		return api_complain(c, -EINVAL, "\"%s\" is no name of a rule", name ? name : "");
	snprintf(x.rule.name, sizeof(x.rule.name), "%s", name);
	r = api_rule_write(c, del_rule, &x);
	if (r == -ENOENT)
		return api_complain(c, r, "there is no rule \"%s\" of promotions about \"%s\"",
				    name, what);
	return r < 0 ? r : api_nothing(c);
}
