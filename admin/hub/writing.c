/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/writing.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/catalogue/shelving.h"
#include "admin/health.h"
#include "admin/registry/holdings.h"
#include "admin/registry/intake.h"
#include "admin/registry/renaming.h"
#include "admin/hub/trace.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/base/workers.h"

static uint64_t lane_of(const struct ask *a)
{
	char key[REPO_KEY_MAX + 1];

	if (!a->repo)
		return 0;
	repo_id_key(repo_id_of(repo_canonical(a->repo)), key);
	return ask_lane_of(key, strlen(key));
}

bool writing_begin(struct ask *a, int *ret)
{
	a->changes = true;
	if (!ask_aside(a, lane_of(a), ret))
		return false;
	*ret = a->who.known ? 0 : ERR_FORBIDDEN;
	if (*ret == 0 && !a->frees)
		*ret = server_read_only(a->server);
	if (*ret == 0)
		*ret = audit_may_change(a->server->audit);
	if (*ret == 0 && !a->debt)
		*ret = audit_debt_new(a->server->debts, &a->debt);
	return *ret == 0;
}

bool writing_begin_own(struct ask *a, int *ret)
{
	if (!writing_begin(a, ret))
		return false;
	*ret = a->who.token.role >= ROLE_WRITE ? 0 : ERR_FORBIDDEN;
	return *ret == 0;
}

struct finding {
	const struct repo_id *id;
	struct registry_repo *ret;
};

static int find(struct db_txn *t, void *arg)
{
	const struct finding *f = arg;

	return renaming_get(t, f->id, f->ret);
}

bool writing_hosted(struct ask *a)
{
	if (!repo_is_hosted(a->repo))
		answer_refuse(a, 403, "%s is of another hub: here it can only be read",
			      repo_id_of(a->repo)->name);
	return repo_is_hosted(a->repo);
}

int writing_repo(struct ask *a, struct registry_repo *ret)
{
	struct finding f = { repo_id_of(a->repo), ret };
	int r;

	if (!writing_hosted(a))
		return ANSWERED;
	r = db_read(a->server->rights.db, find, &f);
	return r == -ENOENT ? ERR_NOREPO : r;
}

int writing_may(const struct ask *a, enum role role)
{
	struct repo_names names;

	known_names(node_known(a->server->node), a->repo, &names);
	return rights_check(&a->server->rights, &a->who, &names, role, NULL);
}

int writing_needs(struct ask *a, enum role role)
{
	int r = writing_may(a, role);

	if (r == 0)
		a->role = role;
	return r;
}

int writing_payer(const struct ask *a, char ret[static ACCOUNT_NAME_MAX + 1])
{
	int r = writing_may(a, ROLE_WRITE);

	if (r == ERR_FORBIDDEN) {
		account_key(a->who.user, ret);
		return 1;
	}
	holdings_namespace(repo_key(a->repo), ret);
	return r;
}

int writing_namespace(struct ask *a, const struct repo_id *id)
{
	char namespace[ACCOUNT_NAME_MAX + 1];

	snprintf(namespace, sizeof(namespace), "%.*s", (int)strcspn(id->name, "/"), id->name);
	return rights_create(&a->server->rights, &a->who, namespace);
}

int writing_owner(struct ask *a, struct repo_id *id, bool *ret_hides)
{
	char namespace[ACCOUNT_NAME_MAX + 1], name[ACCOUNT_NAME_MAX + 1];
	struct account account;
	int r;

	snprintf(namespace, sizeof(namespace), "%.*s", (int)strcspn(id->name, "/"), id->name);
	snprintf(name, sizeof(name), "%s", strchr(id->name, '/') + 1);
	r = accounts_get(a->server->rights.db, namespace, &account);
	if (r < 0)
		return r;
	*ret_hides = account.private_default;
	snprintf(id->name, sizeof(id->name), "%s/%s", account.name, name);
	return rights_create(&a->server->rights, &a->who, account.name);
}

bool writing_name_free(const struct ask *a, const struct repo_id *id)
{
	struct repo *like = known_repo_like(node_known(a->server->node), id);

	return !like || repo_is_hosted(like);
}

int writing_body(struct ask *a, struct jdoc **ret)
{
	const struct buf *body = httpd_body(a->http);
	int r = jdoc_parse(body->len ? buf_str(body) : "{}", body->len ? body->len : 2, ret);

	if (r == -ENOMEM || (r == 0 && jval_is_object(jdoc_root(*ret))))
		return r;
	answer_refuse(a, 400, "The body of the request is no JSON object");
	return ANSWERED;
}

int writing_whole(struct ask *a, struct registry_repo *ret, struct jdoc **ret_body)
{
	int r = writing_repo(a, ret);

	if (r == 0)
		r = writing_namespace(a, &ret->id);
	return r == 0 ? writing_body(a, ret_body) : r;
}

/* ---- what is recorded ---- */

/* The key is the record's as long as it. */
static void describe(const struct ask *a, const struct writing_act *what,
		     char key[static REPO_KEY_MAX + 1], struct audit_record *ret)
{
	trace_record(a, AUDIT_CHANGE, ret);
	if (what->repo)
		repo_id_key(what->repo, key);
	ret->act = what->act;
	ret->repo = what->repo ? key : NULL;
	ret->commit = what->commit;
	ret->note = what->note;
}

static void describe_done(void *arg, struct audit_record *ret)
{
	struct ask *a = arg;

	describe(a, a->act, a->changed, ret);
	ret->status = 200;
	ret->outcome = AUDIT_DONE;
}

struct db *writing_db(struct ask *a, const struct writing_act *what)
{
	assert(workers_run_here());
	a->act = what;
	return audit_debt_db(a->debt, describe_done, a);
}

bool writing_made(const struct ask *a)
{
	return audit_debt_made(a->debt);
}

/* What old commits hold is asked for anew, where they hold more than they did. */
static int renew(const struct ask *a, const struct repo_id *repo)
{
	struct server *s = a->server;
	int r;

	if (a->revives)
		known_host_forget(node_known(s->node), repo);
	r = node_renew(s->node, repo);
	if (a->revives)
		ready_empty(s->ready);
	return r;
}

int writing_done(struct ask *a, const struct writing_act *what)
{
	int known = what->repo ? renew(a, what->repo) : 0, r;
	struct audit_record rec;

	a->act = what;
	describe_done(a, &rec);
	r = audit_debt_made(a->debt) ? audit_debt_pay(a->debt)
				     : audit_commit(a->server->audit, &rec, NULL);
	return r < 0 ? r : known;
}

static int forget_name(struct db_txn *t, void *arg)
{
	return rights_forget_name(t, arg);
}

int writing_forget_name(struct ask *a, const struct repo_id *name)
{
	struct repo_id copy = *name;

	ready_empty(a->server->ready);
	return db_write(a->server->rights.db, forget_name, &copy);
}

void writing_answer_done(const struct ask *a)
{
	struct buf json = { 0 };

	buf_add_str(&json, "{}");
	answer_json(a, 200, &json);
}

int writing_done_and_answered(struct ask *a, const struct writing_act *what)
{
	int r = writing_done(a, what);

	if (r == 0)
		writing_answer_done(a);
	return r;
}

static void record_failure(struct ask *a, const struct writing_act *what, int status,
			   const char *why)
{
	char key[REPO_KEY_MAX + 1];
	struct audit_record rec;

	describe(a, what, key, &rec);
	rec.status = status;
	rec.outcome = status == 401 || status == 403 ? AUDIT_REFUSED : AUDIT_FAILED;
	rec.why = why;
	audit_note(a->server->audit, &rec);
}

int writing_note_failure(struct ask *a, const struct writing_act *what, int r)
{
	if (r < 0)
		record_failure(a, what, err_http(r), err_text(r));
	return r;
}

int writing_refuse(struct ask *a, const struct writing_act *what, int status, const char *fmt, ...)
{
	CLEANUP(buf_free) struct buf message = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&message, fmt, ap);
	va_end(ap);
	record_failure(a, what, status, buf_str(&message));
	answer_refuse(a, status, "%s", buf_str(&message));
	return 0;
}

struct over {
	const char *namespace;
	struct holdings_use use;
};

static int get_use(struct db_txn *t, void *arg)
{
	struct over *o = arg;

	return holdings_use(t, o->namespace, &o->use);
}

int writing_left(const struct ask *a, const char *namespace, uint64_t *ret)
{
	struct over o = { .namespace = namespace };
	int r = db_read(a->server->rights.db, get_use, &o);

	*ret = o.use.limit ? o.use.limit - min_u64(o.use.limit, o.use.bytes) : UINT64_MAX;
	return r;
}

int writing_over_quota(struct ask *a, const char *namespace)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct over o = { .namespace = namespace };

	if (db_read(a->server->rights.db, get_use, &o) < 0)
		return ERR_QUOTA;
	holdings_complain(namespace, &o.use, &why);
	answer_refuse(a, err_http(ERR_QUOTA), "%s", buf_str(&why));
	return 0;
}

int writing_refuse_full(struct ask *a, const struct writing_act *what, const struct repo_id *id,
			const char *payer)
{
	char key[REPO_KEY_MAX + 1], namespace[ACCOUNT_NAME_MAX + 1];

	repo_id_key(id, key);
	holdings_namespace(key, namespace);
	writing_note_failure(a, what, ERR_QUOTA);
	return writing_over_quota(a, holdings_payer(payer, namespace));
}

int writing_refuse_as(struct ask *a, const struct writing_act *what, int r, const char *message)
{
	record_failure(a, what, err_http(r), message);
	answer_fail_saying(a, r, "%s", message);
	return 0;
}

int writing_url(const struct ask *a, const struct repo_id *id, struct buf *ret)
{
	return buf_printf(ret, "%s/%s%s", a->asked.origin, repo_type_prefix(id->type), id->name);
}

/* ---- what lists tell ---- */

void writing_shelf_fini(struct writing_shelf *s)
{
	commitfacts_fini(&s->facts);
}

static bool is_main(const struct commit_plan *p)
{
	return !p->apart && !strcmp(p->branch, REGISTRY_MAIN);
}

/* Whatever it is called by now. What a commit to any ref brings again may be in the commit of the
 * main branch, and counts there. */
static int shelve(struct db_txn *t, void *arg)
{
	struct writing_shelf *s = arg;
	struct registry_repo now;
	int r;

	s->ask->revives = s->plan->revives;
	if (!s->plan->revives && !is_main(s->plan))
		return 0;
	r = registry_now(t, s->plan->uid, &now);
	if (r < 0)
		return r;
	return s->plan->revives ? shelving_put_anew(t, &s->facts, &now.id)
				: shelving_put(t, &s->facts, &now.id);
}

static int read_ahead(struct db *db, void *arg)
{
	struct writing_shelf *s = arg;
	const struct commit_plan *p = s->plan;

	return commitfacts_ahead(
		db, &s->facts,
		&(struct commitfacts_ahead){ s->type, p->uid, p->branch, p->changes, p->count });
}

void writing_shelve(struct ask *a, enum repo_type type, struct writing_shelf *s,
		    struct commit_plan *p)
{
	s->facts.extracts.intake = a->server->intake;
	s->type = type;
	s->plan = p;
	s->ask = a;
	p->also = shelve;
	p->ahead = is_main(p) ? read_ahead : NULL;
	p->also_arg = s;
}

struct changing {
	const struct writing_change *c;
	struct commitfacts facts;
};

static void changing_fini(struct changing *x)
{
	commitfacts_fini(&x->facts);
}

/* Whose files are looked at ahead. */
static const char *from_of(const struct writing_change *c)
{
	return c->from_uid ? c->from_uid : c->uid;
}

static int change(struct db_txn *t, void *arg)
{
	struct changing *x = arg;
	struct registry_repo now;
	int r;

	commitfacts_correct(t, &x->facts, from_of(x->c)); /* it may lose its name */
	r = x->c->fn(t, x->c->arg);
	if (r != 0 || !x->c->revision)
		return r;
	r = registry_now(t, x->c->uid, &now);
	if (r < 0)
		return r;
	return x->c->loses ? shelving_put_anew(t, &x->facts, &now.id)
			   : shelving_put(t, &x->facts, &now.id);
}

int writing_change(struct ask *a, const struct writing_change *c)
{
	CLEANUP(changing_fini)
	struct changing x = { .c = c, .facts.extracts.intake = a->server->intake };
	const struct commitfacts_ahead ahead = { .type = c->type,
						 .uid = from_of(c),
						 .revision = c->revision };
	int r = c->revision ? commitfacts_ahead(a->server->rights.db, &x.facts, &ahead) : 0;

	return r < 0 ? r : db_write(writing_db(a, c->act), change, &x);
}

/* An address is nobody's business: commits are for all who may read. */
void writing_author(const struct ask *a, struct commit_plan *p)
{
	p->name = a->who.user;
	snprintf(p->email, sizeof(p->email), "%s@users.noreply", a->who.user);
}

/* ---- bytes ---- */

int writing_put(struct ask *a, const void *data, size_t len, struct manifest_file *ret)
{
	char etag[DIGEST_HEX_MAX + 1];
	int r = intake_put(a->server->intake, data, len, etag);

	*ret = (struct manifest_file){ .kind = DIGEST_GIT_SHA1, .size = len };
	return r < 0 ? r : hex_parse(etag, digest_size(ret->kind), ret->digest);
}

int writing_read(struct ask *a, const struct manifest_file *f, struct buf *ret)
{
	char etag[DIGEST_HEX_MAX + 1];
	CLEANUP(closep) int fd = -1;
	uint64_t size;
	int r;

	manifest_etag(f, etag);
	fd = intake_open_blob(a->server->intake, etag, &size);
	if (fd < 0)
		return fd;
	r = size == f->size ? buf_reserve(ret, size) : ERR_CORRUPT;
	if (r == 0)
		r = file_pread(fd, ret->data + ret->len, size, 0);
	if (r < 0)
		return r;
	ret->len += size;
	ret->data[ret->len] = '\0';
	return 0;
}
