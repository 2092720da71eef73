/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/gate_requests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/people.h"
#include "admin/hub/writing.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/url.h"

#define REASON_MAX 200 /* letters of why somebody is not let in */
#define PAGE_MIN 10
#define PAGE_MAX 1000

/* One change of one request. */
struct decision {
	struct ask *ask;
	struct registry_repo repo;
	char user[ACCOUNT_NAME_MAX + 1]; /* whose */
	const char *id;                  /* of the request, if that says whose */
	const char *reason;              /* or NULL */
	enum gate_status to;
	char new_id[REGISTRY_UID + 1];
	int64_t now_s;
	struct buf fields;
	/* What is recorded: written by the transaction that knows it. */
	struct writing_act act;
	char note[ACCOUNT_NAME_MAX + sizeof(": ") + REASON_MAX];
};

static void decision_fini(struct decision *c)
{
	buf_free(&c->fields);
}

/* What a request must be like whose change is asked for. */
enum gate_refusal {
	UNCHANGED = 1,  /* it is so already, which is well */
	REFUSED_ABSENT, /* there is none, or none that could become that */
	REFUSED_HAS,    /* they are in already */
	REFUSED_OPEN    /* everybody is */
};

static int begin(struct ask *a, struct decision *c)
{
	int r;

	c->ask = a;
	c->act = (struct writing_act){ "", &c->repo.id, NULL, c->note };
	if (!writing_begin(a, &r))
		return r == 0 ? ANSWERED : r;
	c->now_s = clock_wall_s();
	r = registry_make_uid(c->new_id);
	return r < 0 ? r : writing_repo(a, &c->repo);
}

static void describe(struct decision *c, const char *act)
{
	c->act.act = act;
	snprintf(c->note, sizeof(c->note), "%s%s%s", c->user, c->reason ? ": " : "",
		 c->reason ? c->reason : "");
}

/* ---- who asks ---- */

/* A form as an object of texts. */
static int add_field(struct jwrite *w, char *pair)
{
	char *value = strchr(pair, '=');

	if (!value)
		return 0;
	*value++ = '\0';
	for (char *p = pair; *p; p++)
		*p = *p == '+' ? ' ' : *p;
	for (char *p = value; *p; p++)
		*p = *p == '+' ? ' ' : *p;
	url_decode(pair);
	url_decode(value);
	jwrite_text(w, pair, value);
	return w->to->failed;
}

static int take_form(const struct buf *body, struct buf *ret)
{
	CLEANUP(freep) char *form = strndup(buf_str(body), body->len);
	struct jwrite w = { .to = ret };
	char *at = form, *pair;
	int r = form ? 0 : -ENOMEM;

	jwrite_object(&w, NULL);
	while (r == 0 && at && (pair = strsep(&at, "&")))
		r = add_field(&w, pair);
	jwrite_object_end(&w);
	return r == 0 ? ret->failed : r;
}

static int take_fields(struct decision *c)
{
	const struct buf *body = httpd_body(c->ask->http);
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	bool is_json = body->len && body->data[0] == '{';
	int r = is_json ? writing_body(c->ask, &doc) : take_form(body, &c->fields);

	if (r == 0 && is_json)
		r = jdoc_print(jdoc_root(doc), NULL, NULL, &c->fields);
	if (r == 0 && c->fields.len <= 2) /* nothing is in it */
		buf_clear(&c->fields);
	if (r != 0 || c->fields.len <= GATE_FIELDS_MAX)
		return r;
	answer_refuse(c->ask, 400, "A request has at most %d bytes of fields", GATE_FIELDS_MAX);
	return ANSWERED;
}

/* Who has asked once need not ask again, unless they are told to. */
static int ask_in(struct db_txn *t, void *arg)
{
	CLEANUP(gate_request_fini) struct gate_request was = { .status = GATE_UNASKED };
	struct gate_request now = { .status = GATE_PENDING };
	struct registry_repo repo;
	struct decision *c = arg;
	int r = registry_now(t, c->repo.uid, &repo);

	if (r == 0 && repo.gating == REGISTRY_OPEN)
		return REFUSED_OPEN;
	if (r == 0)
		r = gate_get(t, repo.uid, c->user, &was);
	if (r == 0 && was.status != GATE_RESET)
		return UNCHANGED;
	if (r < 0 && r != -ENOENT)
		return r;
	memcpy(now.id, c->new_id, sizeof(now.id));
	snprintf(now.user, sizeof(now.user), "%s", c->user);
	now.asked_s = c->now_s;
	now.fields = c->fields;
	if (repo.gating == REGISTRY_GATED_AUTO) {
		now.status = GATE_ACCEPTED;
		now.reviewed_s = c->now_s;
	}
	describe(c, now.status == GATE_ACCEPTED ? "access.auto" : "access.ask");
	return gate_put(t, repo.uid, &now);
}

static int refuse_open(const struct decision *c)
{
	const struct repo_id *id = &c->repo.id;

	answer_refuse_as(c->ask, 400, "RepoNotGated", "%s %s is not gated",
			 repo_type_word(id->type), id->name);
	return 0;
}

/* There is no page to go to: what is told of the repository is what it is. */
static void answer_asked(const struct decision *c)
{
	struct httpd_head h = answer_head(c->ask, 303, ANSWER_JSON);
	const struct repo_id *id = &c->repo.id;
	struct buf json = { 0 };

	httpd_head_add(&h, "Location", "%s/api/%s/%s", c->ask->asked.origin,
		       repo_type_plural(id->type), id->name);
	buf_add_str(&json, "{}");
	answer_json_head(c->ask, &h, &json);
}

int gate_ask(struct ask *a)
{
	CLEANUP(decision_fini) struct decision c = { .now_s = 0 };
	int r = begin(a, &c);

	if (r == 0)
		r = take_fields(&c);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	snprintf(c.user, sizeof(c.user), "%s", a->who.user);
	r = db_write(writing_db(a, &c.act), ask_in, &c);
	if (r == REFUSED_OPEN)
		return refuse_open(&c);
	if (r == 0)
		r = writing_done(a, &c.act);
	if (r < 0)
		return r;
	answer_asked(&c);
	return 0;
}

static int cancel_in(struct db_txn *t, void *arg)
{
	CLEANUP(gate_request_fini) struct gate_request was = { .status = GATE_UNASKED };
	struct decision *c = arg;
	int r = gate_get(t, c->repo.uid, c->user, &was);

	if (r == -ENOENT || (r == 0 && was.status != GATE_PENDING))
		return REFUSED_ABSENT;
	describe(c, "access.withdraw");
	return r < 0 ? r : gate_del(t, c->repo.uid, c->user);
}

int gate_cancel(struct ask *a)
{
	CLEANUP(decision_fini) struct decision c = { .now_s = 0 };
	struct buf json = { 0 };
	int r = begin(a, &c);

	if (r != 0)
		return r == ANSWERED ? 0 : r;
	snprintf(c.user, sizeof(c.user), "%s", a->who.user);
	r = db_write(writing_db(a, &c.act), cancel_in, &c);
	if (r == REFUSED_ABSENT) {
		answer_refuse(a, 404,
			      "No pending access request found for this repo and this user");
		return 0;
	}
	if (r == 0)
		r = writing_done(a, &c.act);
	if (r < 0)
		return r;
	buf_add_str(&json, "{\"ok\":true}");
	answer_json(a, 200, &json);
	return 0;
}

/* ---- who is asked ---- */

/* A list on its way. */
struct list {
	const struct registry_repo *repo;
	enum gate_status status;
	const char *after;
	unsigned limit, count;
	char last[ACCOUNT_NAME_MAX + 1];
	bool more;
	struct db_txn *txn;
	struct jwrite w;
};

/* Who asks agrees to that their address is known; who was let in unasked does not. */
static int write_user(struct list *l, const char *key, const char *name, bool address)
{
	struct account account;
	int r = account_get(l->txn, name, &account);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	jwrite_object(&l->w, key);
	people_write_name(&l->w, "user", &account);
	if (address && *account.email)
		jwrite_text(&l->w, "email", account.email);
	jwrite_object_end(&l->w);
	return 0;
}

static int write_request(void *arg, const struct gate_request *q)
{
	struct list *l = arg;
	int r;

	if (q->status != l->status)
		return 0;
	l->more = l->count == l->limit;
	if (l->more)
		return 1;
	l->count++;
	snprintf(l->last, sizeof(l->last), "%s", q->user);
	jwrite_object(&l->w, NULL);
	r = write_user(l, "user", q->user, q->asked_s);
	jwrite_text(&l->w, "requestId", q->id);
	jwrite_time(&l->w, "timestamp", 1000 * (q->asked_s ? q->asked_s : q->reviewed_s));
	if (q->reviewed_s)
		jwrite_time(&l->w, "reviewedAt", 1000 * q->reviewed_s);
	jwrite_text(&l->w, "status", gate_word(q->status));
	if (r == 0 && *q->by)
		r = write_user(l, "grantedBy", q->by, false);
	if (q->fields.len)
		jwrite_json(&l->w, "fields", q->fields.data);
	jwrite_object_end(&l->w);
	return r;
}

static int list_in(struct db_txn *t, void *arg)
{
	struct list *l = arg;
	int r;

	buf_clear(l->w.to);
	l->w.more = false;
	l->count = 0;
	l->txn = t;
	jwrite_array(&l->w, NULL);
	r = gate_each(t, l->repo->uid, l->after, write_request, l);
	jwrite_array_end(&l->w);
	return r < 0 ? r : l->w.to->failed;
}

static bool take_limit(struct ask *a, unsigned *ret)
{
	*ret = target_number(a->asked.query, "limit", PAGE_MAX);
	if (*ret >= PAGE_MIN && *ret <= PAGE_MAX)
		return true;
	if (*ret < PAGE_MIN)
		answer_refuse(a, 400, "* Too small: expected number to be >=%d * at limit",
			      PAGE_MIN);
	else
		answer_refuse(a, 400, "* Too big: expected number to be <=%d * at limit", PAGE_MAX);
	return false;
}

static void answer_list(struct ask *a, const struct list *l)
{
	struct httpd_head h = answer_head(a, 200, ANSWER_JSON);

	if (l->more)
		answer_next(a, &h, "/api/%s/%s/user-access-request/%s?limit=%u&after=%s",
			    repo_type_plural(l->repo->id.type), l->repo->id.name,
			    gate_word(l->status), l->limit, l->last);
	answer_json_head(a, &h, l->w.to);
}

int gate_list(struct ask *a)
{
	CLEANUP(buf_free) struct buf json = { 0 }, after = { 0 };
	struct list l = { .status = gate_status_of(a->asked.target.path), .w.to = &json };
	struct registry_repo repo;
	int r;

	if (l.status == GATE_UNASKED) {
		answer_refuse(a, 404, "Sorry, there is nothing at this address");
		return 0;
	}
	if (!ask_aside(a, 0, &r))
		return r;
	r = writing_repo(a, &repo);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	if (!take_limit(a, &l.limit))
		return 0;
	target_field(a->asked.query, "after", &after);
	l.repo = &repo;
	l.after = after.len <= ACCOUNT_NAME_MAX ? buf_str(&after) : "";
	r = db_read(a->server->rights.db, list_in, &l);
	if (r == 0)
		answer_list(a, &l);
	return r;
}

/* ---- and decides ---- */

static int find_user(void *arg, const struct gate_request *q)
{
	struct decision *c = arg;

	if (strcmp(q->id, c->id) != 0)
		return 0;
	snprintf(c->user, sizeof(c->user), "%s", q->user);
	return 1;
}

static int find_request(struct db_txn *t, struct decision *c, struct gate_request *ret)
{
	int r = c->id ? gate_each(t, c->repo.uid, "", find_user, c) : 1;

	if (r <= 0)
		return r == 0 ? -ENOENT : r;
	return gate_get(t, c->repo.uid, c->user, ret);
}

static void decide(const struct decision *c, struct gate_request *q)
{
	q->status = c->to;
	q->reviewed_s = c->to == GATE_PENDING ? 0 : c->now_s;
	snprintf(q->by, sizeof(q->by), "%s", c->to == GATE_ACCEPTED ? c->ask->who.user : "");
}

static int handle_in(struct db_txn *t, void *arg)
{
	static const char *const acts[GATE_STATUS_COUNT] = { "", "access.cancel", "access.accept",
							     "access.reject", "access.reset" };
	CLEANUP(gate_request_fini) struct gate_request q = { .status = GATE_UNASKED };
	struct registry_repo repo;
	struct decision *c = arg;
	int r = registry_now(t, c->repo.uid, &repo);

	if (r == 0 && repo.gating == REGISTRY_OPEN)
		return REFUSED_OPEN;
	if (r == 0)
		r = find_request(t, c, &q);
	if (r == -ENOENT || (r == 0 && q.status == c->to))
		return REFUSED_ABSENT;
	decide(c, &q);
	describe(c, acts[c->to]);
	return r < 0 ? r : gate_put(t, repo.uid, &q);
}

static int grant_in(struct db_txn *t, void *arg)
{
	CLEANUP(gate_request_fini) struct gate_request q = { .status = GATE_UNASKED };
	struct registry_repo repo;
	struct decision *c = arg;
	int r = registry_now(t, c->repo.uid, &repo);

	if (r == 0 && repo.gating == REGISTRY_OPEN)
		return REFUSED_OPEN;
	if (r == 0)
		r = find_request(t, c, &q);
	if (r == 0 && q.status == GATE_ACCEPTED)
		return REFUSED_HAS;
	if (r == -ENOENT && c->id)
		return REFUSED_ABSENT;
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT) {
		memcpy(q.id, c->new_id, sizeof(q.id));
		snprintf(q.user, sizeof(q.user), "%s", c->user);
	}
	decide(c, &q);
	describe(c, "access.grant");
	return gate_put(t, repo.uid, &q);
}

/* The account of the body's "user", as it is written. ANSWERED. */
static int take_user(struct decision *c, const char *name)
{
	struct account account;
	int r = accounts_get(c->ask->server->rights.db, name, &account);

	if (r == -ENOENT || r == -EINVAL || (r == 0 && account.kind != ACCOUNT_USER)) {
		answer_refuse(c->ask, 404, "User not found");
		return ANSWERED;
	}
	if (r == 0)
		snprintf(c->user, sizeof(c->user), "%s", account.name);
	return r;
}

static int take_whom(struct decision *c, const struct jval *body)
{
	const char *user = jval_get_str(body, "user");

	c->id = jval_get_str(body, "requestId");
	if (!user == !c->id) {
		answer_refuse(c->ask, 400,
			      "* Either userId or user must be provided, but not both");
		return ANSWERED;
	}
	return user ? take_user(c, user) : 0;
}

static int take_decision(struct decision *c, const struct jval *body)
{
	c->to = gate_status_of(jval_get_str(body, "status"));
	c->reason = jval_get_str(body, "rejectionReason");
	if (c->to == GATE_UNASKED) {
		answer_refuse(c->ask, 400,
			      "* Invalid option: expected one of \"accepted\"|\"rejected\"|"
			      "\"pending\"|\"reset\" * at status");
		return ANSWERED;
	}
	if (c->reason && strlen(c->reason) > REASON_MAX) {
		answer_refuse(c->ask, 400,
			      "* Too big: expected string to have <=%d characters * at "
			      "rejectionReason",
			      REASON_MAX);
		return ANSWERED;
	}
	return take_whom(c, body);
}

static int answer_decided(struct decision *c, int r)
{
	if (r == REFUSED_OPEN)
		return refuse_open(c);
	if (r == REFUSED_ABSENT)
		answer_refuse(c->ask, 404, "No access request found matching your criteria");
	if (r == REFUSED_HAS)
		answer_refuse(c->ask, 400, "That user already has access to the repo");
	if (r > 0)
		return 0;
	return r < 0 ? r : writing_done_and_answered(c->ask, &c->act);
}

typedef int (*take_fn)(struct decision *c, const struct jval *body);

static int take_and_make(struct ask *a, struct decision *c, take_fn take, db_fn make)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r = begin(a, c);

	if (r == 0)
		r = writing_body(a, &doc);
	if (r == 0)
		r = take(c, jdoc_root(doc));
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	return answer_decided(c, db_write(writing_db(a, &c->act), make, c));
}

int gate_handle(struct ask *a)
{
	CLEANUP(decision_fini) struct decision c = { .now_s = 0 };

	return take_and_make(a, &c, take_decision, handle_in);
}

int gate_grant(struct ask *a)
{
	CLEANUP(decision_fini) struct decision c = { .to = GATE_ACCEPTED };

	return take_and_make(a, &c, take_whom, grant_in);
}
