/* SPDX-License-Identifier: Apache-2.0 */
/* One decision is one transaction: a role that was taken away a moment ago is not mixed with a
 * visibility of now. */
#include "admin/account/rights.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "admin/catalogue/catalogue.h"
#include "admin/hub/heard.h"
#include "admin/account/rules.h"
#include "admin/registry/renaming.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

struct question {
	const struct rights *rights;
	const struct identity *who;
	const struct repo_names *names;
	char namespace[ACCOUNT_NAME_MAX + 1]; /* of the name it has, or "" */
	enum visibility heard; /* an upstream has said just now; it need not be kept yet */
	/* What came of it. */
	enum visibility visibility;
	const char *why;
	enum role role;
	enum role given; /* of that, what not everybody has */
	enum gate_status gate;
	struct db_txn *txn;
};

/* The part of a repository's name that is its namespace, in small letters. */
static void namespace_of(const struct repo_id *repo, char ret[static ACCOUNT_NAME_MAX + 1])
{
	const char *slash = strchr(repo->name, '/');
	size_t len = slash ? (size_t)(slash - repo->name) : 0;

	memcpy(ret, repo->name, len);
	ret[len] = '\0';
	account_key(ret, ret);
}

/* ---- is it private? ---- */

static const char *const words[] = { "", "public", "private", "gated" };

/* "" is none; what nobody understands is private. */
static enum visibility visibility_of(const char *word)
{
	for (size_t i = VISIBILITY_UNSAID; i < ARRAY_LEN(words); i++)
		if (strcmp(word, words[i]) == 0)
			return (enum visibility)i;
	return VISIBILITY_PRIVATE;
}

/* Before the transaction begins: what was written meanwhile is in it then. */
static struct question question_of(const struct rights *r, const struct identity *who,
				   const struct repo_names *names)
{
	struct question q = { .rights = r, .who = who, .names = names };
	char key[REPO_KEY_MAX + 1];
	const char *word;

	namespace_of(names->list[0], q.namespace);
	repo_id_key_small(names->list[0], key);
	word = heard_get(r->heard, key);
	q.heard = word ? visibility_of(word) : VISIBILITY_UNSAID;
	return q;
}

/* What a table says of it: VISIBILITY_UNSAID without a row. */
static int read_word(struct db_txn *t, enum db_table table, const char *repo, enum visibility *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, table, db_text(repo), &row);

	*ret = VISIBILITY_UNSAID;
	if (r == 0)
		*ret = visibility_of(buf_str(&row));
	return r == -ENOENT ? 0 : r;
}

static int is_private_namespace(struct db_txn *t, const char *namespace, bool *ret)
{
	struct account a;
	int r = *namespace ? account_get(t, namespace, &a) : -ENOENT;

	*ret = r == 0 && a.private_default;
	return r == -ENOENT ? 0 : r;
}

static int decide(struct question *q, enum visibility visibility, const char *why)
{
	q->visibility = visibility;
	q->why = why;
	return 0;
}

/* What is set here: for the name it has, or that it is private for one that it had. */
static int look_here(struct db_txn *t, struct question *q)
{
	enum visibility said = VISIBILITY_UNSAID;
	char key[REPO_KEY_MAX + 1];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < q->names->count && said == VISIBILITY_UNSAID; i++) {
		repo_id_key_small(q->names->list[i], key);
		r = read_word(t, DB_REPOS, key, &said);
		if (i && said == VISIBILITY_PUBLIC)
			said = VISIBILITY_UNSAID;
		decide(q, said, i ? "set here for a name it had" : "set here");
	}
	if (r == 0 && said == VISIBILITY_UNSAID && q->names->more)
		decide(q, VISIBILITY_PRIVATE, "it had too many names");
	return r;
}

static int look_at_namespaces(struct db_txn *t, struct question *q)
{
	char namespace[ACCOUNT_NAME_MAX + 1];
	bool is_private = false;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < q->names->count && !is_private; i++) {
		namespace_of(q->names->list[i], namespace);
		r = is_private_namespace(t, namespace, &is_private);
		if (is_private)
			decide(q, VISIBILITY_PRIVATE,
			       i ? "default of a namespace it was in" : "default of its namespace");
	}
	return r;
}

static int look(struct db_txn *t, struct question *q)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	enum visibility said = q->heard;
	char key[REPO_KEY_MAX + 1];
	int r = look_here(t, q);

	if (r == 0 && q->visibility == VISIBILITY_UNSAID)
		r = look_at_namespaces(t, q);
	if (r < 0 || q->visibility != VISIBILITY_UNSAID)
		return r;
	repo_id_key_small(q->names->list[0], key);
	r = db_get(t, DB_HOSTED, db_text(key), &row);
	if (r != -ENOENT)
		return r < 0 ? r : decide(q, VISIBILITY_PRIVATE, "it is nowhere but here");
	r = 0;
	if (said == VISIBILITY_UNSAID)
		r = read_word(t, DB_UPSTREAM, key, &said);
	if (r < 0 || said != VISIBILITY_UNSAID)
		return r < 0 ? r : decide(q, said, "as its upstream says");
	if (q->rights->guarded)
		return decide(q, VISIBILITY_PRIVATE, "its upstream was not asked yet");
	return decide(q, VISIBILITY_PUBLIC, "anybody can have it upstream");
}

/* ---- what may they? ---- */

static enum role larger(enum role a, enum role b)
{
	return a > b ? a : b;
}

static int apply_rule(void *arg, const struct rule *rule)
{
	struct question *q = arg;
	enum role member = ROLE_NONE;
	char user[ACCOUNT_NAME_MAX + 1];

	account_key(q->who->user, user);
	if (strcmp(rule->whom, RULE_EVERYBODY) != 0 && strcmp(rule->whom, user) != 0) {
		int r = member_get(q->txn, rule->whom, user, &member);

		if (r < 0 || member == ROLE_NONE)
			return r;
	}
	q->role = larger(q->role, rule->role);
	return 0;
}

/* What the user may, whatever the token says. */
static int look_at_user(struct db_txn *t, struct question *q)
{
	enum role member;
	int r = member_get(t, q->namespace, q->who->user, &member);

	if (r < 0)
		return r;
	q->role = larger(q->role, member);
	q->txn = t;
	for (unsigned i = 0; r == 0 && i < q->names->count; i++) {
		char key[REPO_KEY_MAX + 1];

		repo_id_key_small(q->names->list[i], key);
		r = rule_each(t, key, apply_rule, q);
	}
	return r == 0 && *q->namespace ? rule_each(t, q->namespace, apply_rule, q) : r;
}

static bool is_owner(const struct question *q)
{
	return *q->namespace && strcasecmp(q->namespace, q->who->user) == 0;
}

static bool is_named(const struct question *q, const char *what)
{
	char key[REPO_KEY_MAX + 1];

	for (unsigned i = 0; q->names && i < q->names->count; i++) {
		repo_id_key_small(q->names->list[i], key);
		if (!strcmp(what, key))
			return true;
	}
	return !strcmp(what, q->namespace);
}

/* That much, as far as the token lets. */
static enum role within_token(const struct question *q, enum role role)
{
	enum role most = q->who->token.role;

	for (size_t i = 0; i < q->who->token.grant_count; i++) {
		const struct grant *g = &q->who->token.grants[i];

		if (is_named(q, g->what))
			most = larger(most, g->role);
	}
	return role < most ? role : most;
}

static int answer(struct db_txn *t, void *arg)
{
	struct question *q = arg;
	int r = look(t, q);

	if (r < 0)
		return r;
	q->role = ROLE_NONE;
	if (q->who->known) {
		if (q->who->is_hub_admin || is_owner(q))
			q->role = ROLE_ADMIN;
		else
			r = look_at_user(t, q);
		q->role = within_token(q, q->role);
	}
	q->given = q->role;
	if (q->visibility == VISIBILITY_PUBLIC && (q->who->known || !q->rights->closed))
		q->role = larger(q->role, ROLE_READ);
	if (q->role == ROLE_READ && q->who->known && within_token(q, ROLE_WRITE) == ROLE_WRITE)
		q->role = ROLE_SPEAK;
	return r;
}

int rights_check(const struct rights *r, const struct identity *who, const struct repo_names *names,
		 enum role role, enum visibility *visibility)
{
	struct question q = question_of(r, who, names);
	int e;

	if (r->closed && !who->known)
		return ERR_NOREPO;
	if (visibility && *visibility != VISIBILITY_UNSAID)
		q.heard = *visibility;
	e = db_read(r->db, answer, &q);
	if (e < 0)
		return e;
	if (q.role == ROLE_NONE)
		return ERR_NOREPO;
	if (visibility)
		*visibility = q.visibility;
	return q.role >= role ? 0 : ERR_FORBIDDEN;
}

int rights_check_user(const struct rights *r, const struct identity *who,
		      const struct repo_names *names, enum role role)
{
	struct identity whole = *who;

	whole.token.role = ROLE_ADMIN;
	return rights_check(r, &whole, names, role, NULL);
}

/* ---- may they have its files? ---- */

/* Who was given anything of it passes, and who was let in, as far as the token reaches. */
static int pass(struct db_txn *t, void *arg)
{
	CLEANUP(gate_request_fini) struct gate_request request = { .status = GATE_UNASKED };
	struct question *q = arg;
	struct registry_repo repo = { .gating = REGISTRY_GATED_MANUAL };
	int r = answer(t, q);

	q->gate = GATE_ACCEPTED;
	if (r == 0)
		r = renaming_get(t, q->names->list[0], &repo);
	if (r < 0 || repo.gating == REGISTRY_OPEN || q->given >= ROLE_READ)
		return r == -ENOENT ? 0 : r;
	q->gate = GATE_UNASKED;
	if (!q->who->known)
		return ERR_GATED;
	r = gate_get(t, repo.uid, q->who->user, &request);
	if (r == 0)
		q->gate = request.status;
	if (r < 0 && r != -ENOENT)
		return r;
	return q->gate == GATE_ACCEPTED && within_token(q, ROLE_READ) == ROLE_READ ? 0 : ERR_GATED;
}

int rights_pass(const struct rights *r, const struct identity *who, const struct repo_names *names,
		enum gate_status *ret)
{
	struct question q = question_of(r, who, names);
	int e = db_read(r->db, pass, &q);

	*ret = q.gate;
	return e;
}

struct sight {
	struct question *questions; /* of each row */
	struct rights_row *rows;
	size_t count;
};

static int look_at_rows(struct db_txn *t, void *arg)
{
	const struct sight *s = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->count; i++) {
		struct question *q = &s->questions[i];

		r = answer(t, q);
		s->rows[i].sees = q->role >= ROLE_READ;
		s->rows[i].is_private = q->visibility == VISIBILITY_PRIVATE;
	}
	return r;
}

int rights_look(const struct rights *r, const struct identity *who, struct rights_row *rows,
		size_t count)
{
	CLEANUP(freep) struct question *questions = calloc(count + 1, sizeof(*questions));
	struct sight s = { questions, rows, count };
	bool shut = r->closed && !who->known;

	if (!questions)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		questions[i] = question_of(r, who, &rows[i].names);
		rows[i].sees = false;
	}
	return shut ? 0 : db_read(r->db, look_at_rows, &s);
}

/* ---- what may there be for them? ---- */

struct reaching {
	struct db_txn *t;
	const struct identity *who;
	struct rights_reach *ret;
};

static int reach_namespace(void *arg, const char *name, enum role role UNUSED)
{
	struct rights_reach *ret = arg;
	char key[ACCOUNT_NAME_MAX + 1];

	account_key(name, key);
	return buf_printf(&ret->namespaces, "%s\n", key);
}

static int reach_rule(void *arg, const struct rule *rule)
{
	const struct reaching *x = arg;
	enum role member = ROLE_NONE;
	char user[ACCOUNT_NAME_MAX + 1];

	account_key(x->who->user, user);
	if (strcmp(rule->whom, RULE_EVERYBODY) != 0 && strcmp(rule->whom, user) != 0) {
		int r = member_get(x->t, rule->whom, user, &member);

		if (r < 0 || member == ROLE_NONE)
			return r;
	}
	return buf_printf(strchr(rule->what, '/') ? &x->ret->repos : &x->ret->namespaces, "%s\n",
			  rule->what);
}

static int reach(struct db_txn *t, void *arg)
{
	struct reaching *x = arg;
	int r;

	x->t = t;
	buf_clear(&x->ret->namespaces);
	buf_clear(&x->ret->repos);
	r = reach_namespace(x->ret, x->who->user, ROLE_ADMIN);
	if (r == 0)
		r = member_each(t, x->who->user, reach_namespace, x->ret);
	return r == 0 || r == -ENOENT ? rule_each(t, NULL, reach_rule, x) : r;
}

void rights_reach_fini(struct rights_reach *reach)
{
	buf_free(&reach->namespaces);
	buf_free(&reach->repos);
}

int rights_reach(const struct rights *r, const struct identity *who, struct rights_reach *ret)
{
	struct reaching x = { .who = who, .ret = ret };

	*ret = (struct rights_reach){ .all = who->known && who->is_hub_admin };
	return who->known && !ret->all ? db_read(r->db, reach, &x) : 0;
}

int rights_admin(const struct identity *who)
{
	return who->known && who->is_hub_admin && who->token.role == ROLE_ADMIN ? 0 : ERR_FORBIDDEN;
}

static int may_create(struct db_txn *t, void *arg)
{
	struct question *q = arg;
	int r = 0;

	q->role = ROLE_NONE;
	if (q->who->is_hub_admin || is_owner(q))
		q->role = ROLE_ADMIN;
	else
		r = member_get(t, q->namespace, q->who->user, &q->role);
	q->role = within_token(q, q->role);
	return r;
}

int rights_create(const struct rights *r, const struct identity *who, const char *namespace)
{
	return rights_namespace(r, who, namespace, ROLE_WRITE);
}

int rights_namespace(const struct rights *r, const struct identity *who, const char *namespace,
		     enum role role)
{
	struct question q = { .rights = r, .who = who };
	int e;

	if (!who->known || !repo_part_valid(namespace, strlen(namespace)))
		return ERR_FORBIDDEN;
	account_key(namespace, q.namespace);
	e = db_read(r->db, may_create, &q);
	if (e < 0)
		return e;
	return q.role >= role ? 0 : ERR_FORBIDDEN;
}

/* ---- what is said of a repository ---- */

static int look_only(struct db_txn *t, void *arg)
{
	return look(t, arg);
}

int rights_visibility(const struct rights *r, const struct repo_names *names, enum visibility *ret,
		      const char **ret_why)
{
	struct question q = question_of(r, NULL, names);
	int e = db_read(r->db, look_only, &q);

	*ret = q.visibility;
	*ret_why = q.why;
	return e;
}

int rights_put_visibility(struct db_txn *t, const struct repo_id *repo, enum visibility visibility)
{
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key_small(repo, key);
	r = catalogue_hide(t, repo, visibility == VISIBILITY_PRIVATE);
	if (r < 0)
		return r;
	if (visibility == VISIBILITY_UNSAID)
		return db_del(t, DB_REPOS, db_text(key));
	return db_put(t, DB_REPOS, db_text(key), words[visibility], strlen(words[visibility]));
}

int rights_move_visibility(struct db_txn *t, const struct repo_id *from, const struct repo_id *to)
{
	enum visibility said;
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key_small(from, key);
	r = read_word(t, DB_REPOS, key, &said);
	if (said == VISIBILITY_UNSAID)
		said = VISIBILITY_PRIVATE;
	return r < 0 ? r : rights_put_visibility(t, to, said);
}

/* By then there may be another one of its name, whose word it is. */
int rights_forget_name(struct db_txn *t, const struct repo_id *name)
{
	struct registry_repo other;
	int r = renaming_forget(t, name);

	if (r == 0)
		r = registry_get(t, name, &other);
	return r == -ENOENT ? rights_put_visibility(t, name, VISIBILITY_UNSAID) : r;
}

static int note_name(void *arg, const struct repo_id *name)
{
	return buf_add(arg, name, sizeof(*name));
}

static int list_given_up(struct db_txn *t, void *arg)
{
	buf_clear(arg);
	return renaming_each_given_up(t, note_name, arg);
}

static int forget_one(struct db_txn *t, void *arg)
{
	return rights_forget_name(t, arg);
}

int rights_forget_names(struct db *db, unsigned *ret_kept)
{
	CLEANUP(buf_free) struct buf names = { 0 };
	int r = db_read(db, list_given_up, &names);
	struct repo_id *all = (void *)names.data;

	*ret_kept = 0;
	for (size_t i = 0; r == 0 && i < names.len / sizeof(*all); i++) {
		r = db_write(db, forget_one, &all[i]);
		if (r == ERR_CORRUPT) {
			log_err(r, "what is said of a name given up stays repo=%s", all[i].name);
			++*ret_kept;
			r = 0;
		}
	}
	return r;
}

struct setting {
	const struct repo_names *names;
	enum visibility visibility;
};

static int set_all(struct db_txn *t, void *arg)
{
	const struct setting *s = arg;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < s->names->count; i++)
		r = rights_put_visibility(t, s->names->list[i],
					  i ? VISIBILITY_UNSAID : s->visibility);
	return r;
}

int rights_set_visibility(struct db *db, const struct repo_names *names, enum visibility visibility)
{
	struct setting s = { names, visibility };

	return db_write(db, set_all, &s);
}

struct said {
	char repo[REPO_KEY_MAX + 1];
	enum visibility visibility; /* until now */
};

static int read_said(struct db_txn *t, void *arg)
{
	struct said *s = arg;

	return read_word(t, DB_UPSTREAM, s->repo, &s->visibility);
}

int rights_learn(const struct rights *r, const struct repo_id *repo, enum visibility visibility)
{
	const char *waits;
	struct said s;
	int e;

	repo_id_key_small(repo, s.repo);
	waits = heard_get(r->heard, s.repo);
	if (waits)
		return strcmp(waits, words[visibility]) == 0
			       ? 0
			       : heard_put(r->heard, s.repo, words[visibility]);
	e = db_read(r->db, read_said, &s);
	return e < 0 || s.visibility == visibility ? e
						   : heard_put(r->heard, s.repo, words[visibility]);
}
