/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/health.h"
#include "admin/hub/admit.h"
#include "admin/hub/answer.h"
#include "admin/hub/trace.h"
#include "admin/hub/writing.h"
#include "admin/hub/xet_priv.h"
#include "admin/hub/xet_token.h"
#include "admin/registry/xorb_rights.h"
#include "admin/registry/xorbs.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/xet/xorb.h"

#define NUMBER_MAX 99999999 /* as large as one in an address can be */

/* ---- tokens ---- */

struct address {
	char user[ACCOUNT_NAME_MAX + 1];
	uint32_t generation;
};

static int get_generation(struct db_txn *t, void *arg)
{
	struct address *at = arg;

	return xorb_rows_generation(t, at->user, &at->generation);
}

/* One for each user and each time that they are to forget: whatever a client remembers of others it
 * remembers elsewhere. */
static int find_number(const struct ask *a, uint32_t *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct address at = { .generation = 0 };
	int r;

	account_key(a->who.user, at.user);
	r = db_read(a->server->rights.db, get_generation, &at);
	if (r == 0)
		r = buf_printf(&text, "%s/%" PRIu32, at.user, at.generation);
	if (r == 0)
		*ret = (uint32_t)(xxh3_of(text.data, text.len) % NUMBER_MAX + 1);
	return r < 0 ? r : 0;
}

void xet_pass_fini(struct xet_pass *p)
{
	buf_free(&p->token);
	buf_free(&p->url);
}

static int make_pass(struct ask *a, struct registry_repo *repo, bool reads, uint32_t number,
		     struct xet_pass *ret)
{
	char made[24] = "", nobody[] = "";
	struct xet_token t = {
		.uid = repo->uid,
		.user = a->who.known ? a->who.user : nobody,
		.token = a->who.known ? a->who.token.name : nobody,
		.made = made,
		.reads = reads,
	};
	int r;

	ret->expires_s = clock_wall_s() + XET_TOKEN_S;
	t.expires_s = ret->expires_s + XET_TOKEN_LATE_S;
	if (a->who.known)
		snprintf(made, sizeof(made), "%" PRId64, a->who.token.created_s);
	r = buf_printf(&ret->url, "%s/api/xet/%" PRIu32, a->asked.origin, number);
	return r < 0 ? r : xet_token_print(a->server->link_key, &t, &ret->token);
}

/* Clients look into the head when they read, into the body when they bring files, and when they
 * want the next. */
int xet_give_token(struct ask *a, struct registry_repo *repo, bool reads, uint32_t number)
{
	CLEANUP(xet_pass_fini) struct xet_pass p = { .expires_s = 0 };
	int r = make_pass(a, repo, reads, number, &p);
	struct httpd_head h;
	struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	if (r < 0)
		return r;
	h = answer_head(a, 200, ANSWER_JSON);
	httpd_head_add(&h, XET_PASS_URL, "%s", buf_str(&p.url));
	httpd_head_add(&h, XET_PASS_TOKEN, "%s", buf_str(&p.token));
	httpd_head_add(&h, XET_PASS_EXPIRES, "%" PRId64, p.expires_s);
	httpd_head_add(&h, "Cache-Control", "no-store");
	jwrite_object(&w, NULL);
	jwrite_text(&w, "accessToken", buf_str(&p.token));
	jwrite_uint(&w, "exp", (uint64_t)p.expires_s);
	jwrite_text(&w, "casUrl", buf_str(&p.url));
	jwrite_object_end(&w);
	answer_json_head(a, &h, &json);
	return 0;
}

int xet_pass(struct ask *a, struct registry_repo *repo, struct xet_pass *ret)
{
	uint32_t number = 0;
	int r = find_number(a, &number);

	return r < 0 ? r : make_pass(a, repo, false, number, ret);
}

int xet_write_token(struct ask *a)
{
	struct registry_repo repo;
	uint32_t number = 0;
	int r;

	if (!a->server->takes_xet)
		return xet_nothing(a);
	r = writing_repo(a, &repo);
	if (r == 0)
		r = a->who.known ? server_room(a->server, 0) : ERR_FORBIDDEN;
	if (r == 0)
		r = find_number(a, &number);
	if (r == 0)
		r = xet_give_token(a, &repo, false, number);
	return r == ANSWERED ? 0 : r;
}

/* ---- who asks with one ---- */

int xet_read_bearer(struct ask *a, struct xet_token *ret)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = xet_token_read(a->server->link_key, httpd_field(a->http, "Authorization"),
			       clock_wall_s(), ret, &why);

	if (r != -EACCES)
		return r;
	trace_signin_refused(a, ERR_TOKEN);
	answer_refuse(a, 401, "%s", buf_str(&why));
	return ANSWERED;
}

/* What it is called now, whatever it was when the token was given. */
struct calling {
	const char *uid;
	struct repo_id *ret;
};

static int get_name(struct db_txn *t, void *arg)
{
	const struct calling *c = arg;

	return registry_name(t, c->uid, c->ret);
}

static int find_repo(struct ask *a, const char *uid)
{
	struct calling c = { uid, &a->asked.target.repo };
	int r = db_read(a->server->rights.db, get_name, &c);

	return r == -ENOENT ? ERR_NOREPO : r;
}

int xet_recall(struct ask *a, const struct xet_token *t)
{
	int r = *t->user ? auth_recall(a->server->auth, t->user, t->token, &a->who) : 0;

	if (r == 0 && *t->user && a->who.token.created_s != strtoll(t->made, NULL, 10))
		r = ERR_TOKEN;
	if (auth_refuses(r))
		trace_signin_refused(a, r);
	return r;
}

static int enter(struct ask *a)
{
	CLEANUP(xet_token_fini) struct xet_token t = { 0 };
	int r;

	if (!a->server->takes_xet) {
		xet_nothing(a);
		return ANSWERED;
	}
	a->changes = true;
	r = xet_read_bearer(a, &t);
	if (r == 0)
		r = xet_recall(a, &t);
	if (r == 0)
		r = find_repo(a, t.uid);
	if (r == 0 && t.reads) {
		trace_failed(a, ERR_FORBIDDEN, 403);
		answer_refuse(a, 403, "this token is for reading alone");
		return ANSWERED;
	}
	return r == 0 ? admit_more(a, ROLE_SPEAK) : r;
}

int xet_enter(struct ask *a)
{
	/* With a role it was admitted, as each time it runs. */
	int r = a->role == ROLE_NONE ? enter(a) : 0;

	if (r != 0)
		return r;
	return writing_hosted(a) ? 0 : ANSWERED;
}

static int may(struct ask *a, const struct repo_id *id, enum role role)
{
	const struct rights *rights = &a->server->rights;
	enum gate_status status;
	struct repo_names names;
	int r;

	known_names_of(node_known(a->server->node), id, &names);
	if (!filter_repo(a->filter, &names))
		return ERR_NOREPO;
	r = rights_check(rights, &a->who, &names, role, NULL);
	return r < 0 ? r : rights_pass(rights, &a->who, &names, &status);
}

int xet_may_have(struct ask *a, const struct repo_id *id)
{
	return may(a, id, ROLE_READ);
}

bool xet_is_no(int r)
{
	return r == ERR_NOREPO || r == ERR_FORBIDDEN || r == ERR_GATED || r == ERR_TOKEN;
}

static int yes_or_no(int r)
{
	return xet_is_no(r) ? 0 : r < 0 ? r : 1;
}

static int reads(void *ask, const struct repo_id *id)
{
	return yes_or_no(may(ask, id, ROLE_READ));
}

static int writes(void *ask, const struct repo_id *id)
{
	return yes_or_no(may(ask, id, ROLE_WRITE));
}

int xet_find_xorb(struct ask *a, const struct xorb_owner *owner,
		  const uint8_t xorb[static XET_HASH], struct xorb_map *ret)
{
	const struct xorb_rights rights = {
		a->server->rights.db, a->server->intake, owner->uid, owner->user, reads, writes, a
	};

	return xorb_rights_get(&rights, xorb, ret);
}

static int refuse(struct ask *a, int status, const char *sentence)
{
	const struct writing_act act = { "xet.upload", repo_id_of(a->repo), NULL, NULL };

	writing_refuse(a, &act, status, "%s", sentence);
	return ANSWERED;
}

int xet_refuse(struct ask *a, const char *sentence)
{
	return refuse(a, 400, sentence);
}

int xet_refuse_as(struct ask *a, const char *what, const char *why)
{
	CLEANUP(buf_free) struct buf sentence = { 0 };

	buf_printf(&sentence, "this is no %s: %s", what, why);
	return xet_refuse(a, buf_str(&sentence));
}

/* Of what is a server's failure hf_xet sends the whole body again, five times, for minutes, and
 * shows no word that is said. */
static int full_status(const struct ask *a)
{
	return a->asked.agent && strstr(a->asked.agent, "hf_xet/") ? 413 : 507;
}

int xet_refuse_full(struct ask *a)
{
	return refuse(a, full_status(a), "there is no room on this hub's disk for what is sent");
}

int xet_nothing(struct ask *a)
{
	answer_refuse(a, 404, "no Xet store of this hub offers that");
	return 0;
}

/* ---- what it costs ---- */

int xet_over_quota(struct ask *a, const char *payer)
{
	const struct writing_act act = { "xet.upload", repo_id_of(a->repo), NULL, NULL };
	int r;

	writing_note_failure(a, &act, ERR_QUOTA);
	r = writing_over_quota(a, payer);
	return r < 0 ? r : ANSWERED;
}

/* ---- xorbs ---- */

/* One that comes. */
struct coming {
	struct xorb_file *file;
	char payer[ACCOUNT_NAME_MAX + 1];
};

static void coming_free(void *arg)
{
	struct coming *c = arg;

	xorb_file_drop(c->file);
	free(c);
}

/* What waits is written once more when a file is made of it. */
static int check_room(struct ask *a, const struct xorbs_want *want)
{
	uint64_t length = a->asked.body_length < 0 ? 0 : (uint64_t)a->asked.body_length;
	uint64_t bytes, files;

	if (length > XORB_BYTES_MAX)
		return xet_refuse(a, "a xorb is larger than any that clients send");
	xorbs_waiting(a->server->xorbs, want->payer, &bytes, &files);
	if (files >= XORBS_FILES_MAX)
		return xet_refuse(a, "too much waits already for what is to be made of it");
	if (bytes > want->most || length > want->most - bytes)
		return xet_over_quota(a, want->payer);
	return server_room(a->server, bytes + length);
}

static int begin_file(struct ask *a, struct coming *c, const uint8_t *xorb)
{
	char user[ACCOUNT_NAME_MAX + 1];
	struct registry_repo repo;
	struct xorbs_want want = { { repo.uid, user }, c->payer, 0 };
	int r = writing_repo(a, &repo);

	account_key(a->who.user, user);
	if (r == 0)
		r = writing_payer(a, c->payer);
	if (r >= 0 && r != ANSWERED)
		r = writing_left(a, c->payer, &want.most);
	if (r == 0)
		r = check_room(a, &want);
	return r == 0 ? xorbs_begin(a->server->xorbs, &want, xorb, &c->file) : r;
}

static int begin_xorb(struct ask *a)
{
	struct coming *c = calloc(1, sizeof(*c));
	uint8_t xorb[XET_HASH];

	if (!c)
		return -ENOMEM;
	a->kept = c;
	a->free_kept = coming_free;
	if (xet_hash_parse(a->asked.target.path, xorb) < 0)
		return xet_refuse(a, "a xorb is named by 64 hex digits");
	return begin_file(a, c, xorb);
}

static int take_xorb(void *arg, const void *data, size_t len)
{
	return xorb_file_add(((struct coming *)arg)->file, data, len);
}

static int end_xorb(struct ask *a, struct coming *c)
{
	struct buf json = { 0 };
	int r = a->received < 0 ? a->received : xorb_file_end(c->file);

	if (r < 0)
		return r;
	/* Before the answer: who has it may name the xorb. */
	xorb_file_drop(steal(c->file));
	buf_add_str(&json, "{\"was_inserted\":true}");
	answer_json(a, 200, &json);
	return 0;
}

/* What the client did wrong is not answered as a failure of ours: it would try again. */
static int refuse_xorb(struct ask *a, const struct coming *c, int r)
{
	if (r == ERR_READ_ONLY || err_is_full(r))
		return xet_refuse_full(a);
	if (r == ERR_QUOTA)
		return xet_over_quota(a, c->payer);
	if (r == ERR_DIGEST)
		return xet_refuse(a, "the chunks of the xorb make another hash than its name");
	if (r == -EBADMSG)
		return xet_refuse_as(a, "xorb", xorb_file_why(c->file));
	return r == ERR_CUT || r == ERR_NOREPO || r == ERR_FORBIDDEN || r == ERR_TOKEN
		       ? r
		       : log_err(r, "cannot take a xorb");
}

int xet_put_xorb(struct ask *a)
{
	struct coming *c;
	int r = xet_enter(a);

	if (r == 0 && !ask_aside(a, 0, &r))
		return r;
	if (r == 0 && !a->kept)
		r = begin_xorb(a);
	c = a->kept;
	if (r == 0 && !ask_body(a, take_xorb, c, &r))
		return r;
	if (r == 0)
		r = end_xorb(a, c);
	if (r < 0 && c)
		r = refuse_xorb(a, c, r);
	return r == ANSWERED ? 0 : r;
}
