/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/retire.h"

#include <errno.h>

#include "admin/account/accounts.h"
#include "admin/account/rules.h"
#include "admin/account/tokens.h"
#include "admin/registry/gate.h"
#include "admin/registry/holdings.h"
#include "admin/registry/likes.h"
#include "admin/registry/objects.h"
#include "admin/registry/owned.h"
#include "admin/registry/tag_rules.h"
#include "admin/registry/uploads.h"

struct leaver {
	const char *name;
	struct buf *why;
};

/* What is private only because its namespace is would be anybody's. */
static int check_default(struct db_txn *t, const struct leaver *l)
{
	struct account a;
	int r = account_get(t, l->name, &a);

	if (r < 0 || !a.private_default)
		return r == -ENOENT ? 0 : r;
	buf_printf(
		l->why,
		"Repositories of %s are private by its default, and would be so no more. Set their "
		"own visibility, then its default to public, and remove it then.",
		a.name);
	return -EBUSY;
}

/* Who has the name again has nothing of it. */
static int retire_owned(struct db_txn *t, const char *name)
{
	static const enum db_table tables[] = { DB_COLLECTIONS, DB_WEBHOOKS, DB_WEBHOOK_SECRETS };
	int r = likes_forget_user(t, name);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(tables); i++)
		r = owned_del_all(t, tables[i], name);
	return r;
}

/* Nor pays for it, nor is bound by a limit that was another's. */
static int retire_payer(struct db_txn *t, const char *name)
{
	char key[ACCOUNT_NAME_MAX + 1];
	int r;

	account_key(name, key);
	r = uploads_leave(t, key);
	if (r == 0)
		r = objects_leave(t, key);
	return r < 0 ? r : holdings_limit(t, key, 0);
}

/* Whoever gets the name after it would promote, or vouch, in its place. */
static int check_promotion(void *arg, const struct tag_scope *s UNUSED,
			   const struct promotion_rule *rule)
{
	const struct leaver *l = arg;

	if (!promotion_rule_names(rule, l->name))
		return 0;
	if (rule->damaged)
		buf_printf(l->why,
			   "The rule \"%s\" of promotions is damaged and may name %s: remove it "
			   "first.",
			   rule->name, l->name);
	else
		buf_printf(l->why,
			   "The rule \"%s\" of promotions to \"%s\" names %s: change it first.",
			   rule->name, rule->to, l->name);
	return -EBUSY;
}

static int retire(struct db_txn *t, void *arg)
{
	struct leaver *l = arg;
	int r;

	buf_clear(l->why);
	r = check_default(t, l);
	if (r == 0)
		r = promotion_rule_each(t, NULL, check_promotion, l);
	if (r == 0)
		r = account_del(t, l->name, l->why);
	if (r == 0)
		r = token_del_all(t, l->name);
	if (r == 0)
		r = gate_forget_user(t, l->name);
	if (r == 0)
		r = rule_del_all(t, l->name);
	if (r == 0)
		r = retire_owned(t, l->name);
	return r == 0 ? retire_payer(t, l->name) : r;
}

int retire_account(struct db *db, const char *name, struct buf *why)
{
	struct leaver l = { name, why };

	return db_write(db, retire, &l);
}
