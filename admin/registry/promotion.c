/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/promotion.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/registry/reflog.h"
#include "daemon/base/err.h"
#include "daemon/base/grow.h"
#include "daemon/base/why.h"

/* One on its way through its transaction. */
struct making {
	struct db_txn *txn;
	struct promotion *p;
	char ref[REGISTRY_REF_MAX + 1]; /* of the tag */
	struct promotion_rule rule;     /* by which it is made, if it was found ... */
	bool found;
	int refused; /* ... else why not, with a sentence: of the first that leads there */
	char damaged[TAG_RULE_NAME_MAX + 1]; /* the first that may have led there, or "" */
	struct buf *why;
};

void promotion_fini(struct promotion *p)
{
	buf_free(&p->origin);
	buf_free(&p->checks);
}

/* ---- from where ---- */

/* A tag, as it is called; or else a branch, by its whole name. */
static int find_origin(struct making *m)
{
	struct promotion *p = m->p;
	char ref[REGISTRY_REF_MAX + 1];
	int r;

	if (!strncmp(p->from, "refs/", 5))
		snprintf(ref, sizeof(ref), "%.*s", REVISION_MAX, p->from);
	else
		snprintf(ref, sizeof(ref), REGISTRY_TAGS "%.*s", REVISION_MAX, p->from);
	r = registry_ref(m->txn, p->uid, ref, p->commit);
	if (r == -ENOENT)
		return complain_as(-EINVAL, m->why,
				   "There is no tag \"%s\" to promote (a branch is named "
				   "\"refs/heads/NAME\")",
				   p->from);
	return r < 0 ? r : buf_add_str(&p->origin, ref);
}

/* What it named, each time it was promoted or made; a rollback takes the last one away. */
struct past {
	char (*commits)[COMMIT_HEX + 1]; /* owned */
	size_t count, cap;
};

static int push(struct past *p, const char *commit)
{
	int r = grow_list(p->commits, p->count, p->cap);

	if (r == 0)
		snprintf(p->commits[p->count++], COMMIT_HEX + 1, "%s", commit);
	return r;
}

static int take_event(void *arg, const struct ref_event *e)
{
	struct past *p = arg;
	int r = 0;

	if (!e->commit) { /* it went */
		p->count = 0;
		return 0;
	}
	if (!p->count && e->was && *e->was)
		r = push(p, e->was);
	if (!strcmp(e->act, "tag.rollback") && p->count)
		p->count--;
	if (r < 0 || (p->count && !strcmp(p->commits[p->count - 1], e->commit)))
		return r;
	return push(p, e->commit);
}

/* What nothing held any more may have been collected, or written anew without a file. */
static int check_there(struct making *m)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct promotion *p = m->p;
	struct git_commit c;
	int r = registry_commit(m->txn, p->uid, p->commit, &room, &c);

	if (r != ERR_NOREV)
		return r;
	return complain_as(-EINVAL, m->why,
			   "The commit %.7s that the tag \"%s\" has named before is gone",
			   p->commit, p->to);
}

/* What it named before what it names now. */
static int find_past(struct making *m)
{
	struct promotion *p = m->p;
	struct past past = { .count = 0 };
	int r = reflog_each(m->txn, p->uid, m->ref, take_event, &past);

	if (r == 0 && past.count >= 2) {
		memcpy(p->commit, past.commits[past.count - 2], sizeof(p->commit));
		r = check_there(m);
	} else if (r == 0)
		r = complain_as(-EINVAL, m->why, "The tag \"%s\" has named nothing before", p->to);
	free(past.commits);
	return r < 0 ? r : buf_printf(&p->origin, "%s", m->ref);
}

/* ---- by which rule ---- */

static int is_meant(struct making *m, const char *who, bool *ret)
{
	char name[ACCOUNT_NAME_MAX + 1];
	enum role least, role;
	int r;

	if (!tag_who_parse(who, name, &least))
		return 0;
	if (!strchr(who, ':') && !strcasecmp(name, m->p->user)) {
		*ret = true;
		return 0;
	}
	r = member_get(m->txn, name, m->p->user, &role);
	if (r == 0 && role >= least)
		*ret = true;
	return r;
}

static int check_who(struct making *m, const struct promotion_rule *rule)
{
	bool may = !rule->who_count && m->p->may_administer;
	int r = 0;

	for (unsigned i = 0; r == 0 && !may && i < rule->who_count; i++)
		r = is_meant(m, rule->who[i], &may);
	if (r < 0 || may)
		return r;
	return complain_as(ERR_FORBIDDEN, m->why,
			   "The rule \"%s\" does not let %s promote to \"%s\"", rule->name,
			   m->p->user, m->p->to);
}

/* A glob that names no place means tags. */
static int check_from(struct making *m, const struct promotion_rule *rule)
{
	const char *ref = buf_str(&m->p->origin);
	bool whole = strncmp(rule->from, "refs/", 5) == 0;

	if (!whole && !strncmp(ref, REGISTRY_TAGS, sizeof(REGISTRY_TAGS) - 1)) {
		ref += sizeof(REGISTRY_TAGS) - 1;
		whole = true;
	}
	if (!m->p->from || (whole && tag_glob_matches(rule->from, ref)))
		return 0;
	return complain_as(ERR_FORBIDDEN, m->why,
			   "The rule \"%s\" leads to \"%s\" from \"%s\", which \"%s\" is not",
			   rule->name, m->p->to, rule->from, m->p->from);
}

static int demand(struct making *m, const char *wanted, bool lenient)
{
	struct promotion *p = m->p;
	struct check check;
	char name[CHECK_NAME_MAX + 1];
	int r = check_demand(m->txn, p->uid, p->commit, wanted, lenient, m->why);

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(wanted, "@"), wanted);
	if (r == 0)
		r = check_get(m->txn, p->uid, p->commit, name, &check);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return buf_printf(&p->checks, "%s%s by %s", p->checks.len ? ", " : "", name, check.user);
}

static int check_checks(struct making *m, const struct promotion_rule *rule)
{
	const struct promotion *p = m->p;
	int r = 0;

	buf_clear(&m->p->checks);
	for (unsigned i = 0; r == 0 && i < rule->require_count; i++)
		r = demand(m, rule->require[i], !p->from);
	for (unsigned i = 0; r == 0 && i < p->require_count; i++)
		r = demand(m, p->require[i], false);
	return r;
}

/* 1: it is the one. */
static int try_rule(void *arg, const struct tag_scope *s UNUSED, const struct promotion_rule *rule)
{
	CLEANUP(buf_free) struct buf first = { 0 };
	struct making *m = arg;
	int r;

	if (m->p->rule && strcmp(rule->name, m->p->rule) != 0)
		return 0;
	if (rule->damaged && !*m->damaged)
		memcpy(m->damaged, rule->name, sizeof(m->damaged));
	if (rule->damaged || strcmp(rule->to, m->p->to) != 0)
		return 0;
	if (m->refused) /* the first sentence stays */
		buf_add_str(&first, buf_str(m->why));
	r = check_who(m, rule);
	if (r == 0)
		r = check_from(m, rule);
	if (r == 0)
		r = check_checks(m, rule);
	if (r == 0) {
		m->rule = *rule;
		m->found = true;
		return 1;
	}
	if (r != ERR_FORBIDDEN && r != -ENODATA)
		return r;
	m->refused = m->refused ? m->refused : r;
	if (first.len) {
		buf_clear(m->why);
		buf_add_str(m->why, buf_str(&first));
	}
	return 0;
}

static int find_rule(struct making *m)
{
	struct tag_scope scopes[] = { tag_scope_of_repo(m->p->uid), { "" } };
	int r = tag_scope_above(m->txn, m->p->uid, &scopes[1]);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(scopes); i++)
		r = promotion_rule_each(m->txn, &scopes[i], try_rule, m);
	if (r < 0 || m->found)
		return r < 0 ? r : 0;
	buf_clear(&m->p->checks);
	if (m->refused)
		return m->refused;
	if (*m->damaged)
		return complain_as(ERR_FORBIDDEN, m->why,
				   "The rule \"%s\" of promotions is damaged, and may have led to "
				   "\"%s\": an administrator must remove it and make it anew",
				   m->damaged, m->p->to);
	return complain_as(ERR_FORBIDDEN, m->why, "There is no rule%s%s%s of promotions to \"%s\"",
			   m->p->rule ? " \"" : "", m->p->rule ? m->p->rule : "",
			   m->p->rule ? "\"" : "", m->p->to);
}

/* ---- all of it ---- */

static int move(struct making *m)
{
	struct promotion *p = m->p;
	const struct ref_change c = {
		.uid = p->uid,
		.ref = m->ref,
		.commit = p->commit,
		.act = p->from ? "tag.promote" : "tag.rollback",
		.user = p->user,
		.why = p->why,
		.rule = p->by,
		.from = p->from ? buf_str(&p->origin) : NULL,
		.checks = p->checks.len ? buf_str(&p->checks) : NULL,
	};

	return !strcmp(p->was, p->commit) ? 0 : ref_change(m->txn, &c, m->why);
}

int promotion_make(struct db_txn *t, struct promotion *p, struct buf *why)
{
	struct making m = { .txn = t, .p = p, .why = why };
	int r;

	buf_clear(why);
	buf_clear(&p->origin);
	buf_clear(&p->checks);
	p->was[0] = '\0';
	snprintf(m.ref, sizeof(m.ref), REGISTRY_TAGS "%.*s", REVISION_MAX, p->to);
	r = registry_ref(t, p->uid, m.ref, p->was);
	if (r == 0 || r == -ENOENT)
		r = p->from ? find_origin(&m) : find_past(&m);
	if (r == 0)
		r = find_rule(&m);
	if (r < 0)
		return r;
	buf_clear(why);
	snprintf(p->by, sizeof(p->by), "%s", m.rule.name);
	return move(&m);
}
