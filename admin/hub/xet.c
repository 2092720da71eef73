/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "admin/health.h"
#include "admin/hub/admit.h"
#include "admin/hub/answer.h"
#include "admin/hub/writing.h"
#include "admin/hub/xet_priv.h"
#include "admin/hub/xet_token.h"
#include "admin/registry/xorbs.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/xet/xorb.h"

/* ---- tokens ---- */

static int get_generation(struct db_txn *t, void *arg)
{
	return xorb_rows_generation(t, arg);
}

/* Clients look into the head when they read, into the body when they bring files, and when they
 * want the next. */
int xet_answer_token(struct ask *a, const struct xet_token *t, const char *text,
		     uint32_t generation)
{
	struct httpd_head h = answer_head(a, 200, ANSWER_JSON);
	struct buf json = { 0 };
	struct jwrite w = { .to = &json };
	CLEANUP(buf_free) struct buf url = { 0 };

	buf_printf(&url, "%s/api/xet/%" PRIu32, a->asked.origin, generation);
	httpd_head_add(&h, "X-Xet-Cas-Url", "%s", buf_str(&url));
	httpd_head_add(&h, "X-Xet-Access-Token", "%s", text);
	httpd_head_add(&h, "X-Xet-Token-Expiration", "%" PRId64, t->expires_s);
	httpd_head_add(&h, "Cache-Control", "no-store");
	jwrite_object(&w, NULL);
	jwrite_text(&w, "accessToken", text);
	jwrite_uint(&w, "exp", (uint64_t)t->expires_s);
	jwrite_text(&w, "casUrl", buf_str(&url));
	jwrite_object_end(&w);
	answer_json_head(a, &h, &json);
	return 0;
}

int xet_write_token(struct ask *a)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct xet_token t = { .expires_s = clock_wall_s() + XET_TOKEN_S };
	uint32_t generation = 0;
	int r;

	if (!a->server->takes_xet)
		return xet_nothing(a);
	if (!writing_hosted(a))
		return 0;
	r = a->who.known ? server_read_only(a->server) : ERR_FORBIDDEN;
	if (r < 0)
		return r;
	t.repo = (char *)(uintptr_t)repo_key(a->repo);
	t.user = a->who.user;
	t.token = a->who.token.name;
	r = xet_token_print(a->server->link_key, &t, &text);
	if (r == 0)
		r = db_read(a->server->rights.db, get_generation, &generation);
	return r < 0 ? r : xet_answer_token(a, &t, buf_str(&text), generation);
}

/* ---- who asks with one ---- */

int xet_read_bearer(struct ask *a, struct xet_token *ret)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = xet_token_read(a->server->link_key, httpd_field(a->http, "Authorization"),
			       clock_wall_s(), ret, &why);

	if (r != -EACCES)
		return r;
	answer_refuse(a, 401, "%s", buf_str(&why));
	return ANSWERED;
}

int xet_enter(struct ask *a)
{
	CLEANUP(xet_token_fini) struct xet_token t = { 0 };
	int r;

	if (a->role != ROLE_NONE)
		return 0; /* it was admitted, as each time it runs */
	if (!a->server->takes_xet) {
		xet_nothing(a);
		return ANSWERED;
	}
	r = xet_read_bearer(a, &t);
	if (r == 0 && t.reads) {
		answer_refuse(a, 403, "this token is for reading alone");
		return ANSWERED;
	}
	if (r == 0)
		r = repo_id_parse_key(t.repo, &a->asked.target.repo);
	if (r == 0)
		r = auth_recall(a->server->auth, t.user, t.token, &a->who);
	if (r == 0)
		r = admit_more(a, ROLE_SPEAK);
	if (r != 0)
		return r;
	return writing_hosted(a) ? 0 : ANSWERED;
}

int xet_refuse(struct ask *a, const char *sentence)
{
	answer_refuse(a, 400, "%s", sentence);
	return ANSWERED;
}

int xet_refuse_full(struct ask *a)
{
	answer_refuse(a, 507, "there is no room on this hub's disk for what is sent");
	return ANSWERED;
}

int xet_nothing(struct ask *a)
{
	answer_refuse(a, 404, "no Xet store of this hub offers that");
	return 0;
}

/* ---- xorbs ---- */

static void drop_xorb(void *arg)
{
	xorb_file_drop(arg);
}

/* Whether the head tells of a body that is none, or that nobody can have room for. */
static int check_length(struct ask *a)
{
	uint64_t length = a->asked.body_length < 0 ? 0 : (uint64_t)a->asked.body_length;

	return length > XORB_BYTES_MAX ? xet_refuse(a, "a xorb has at most 64 MiB")
				       : server_room(a->server, length);
}

static int begin_xorb(struct ask *a)
{
	uint8_t xorb[XET_HASH];
	struct xorb_file *f = NULL;
	int r = check_length(a);

	if (r == 0 && xet_hash_parse(a->asked.target.path, xorb) < 0)
		r = xet_refuse(a, "a xorb is named by 64 hex digits");
	if (r == 0)
		r = xorbs_begin(a->server->xorbs, repo_key(a->repo), xorb, &f);
	a->kept = f;
	a->free_kept = drop_xorb;
	return r;
}

static int take_xorb(void *arg, const void *data, size_t len)
{
	return xorb_file_add(arg, data, len);
}

static int end_xorb(struct ask *a, struct xorb_file *f)
{
	struct buf json = { 0 };
	int r = a->received < 0 ? a->received : xorb_file_end(f);

	if (r < 0)
		return r;
	/* Before the answer: who has it may name the xorb. */
	xorb_file_drop(steal(a->kept));
	buf_add_str(&json, "{\"was_inserted\":true}");
	answer_json(a, 200, &json);
	return 0;
}

/* What the client did wrong is not answered as a failure of ours: it would try again. */
static int refuse_xorb(struct ask *a, const struct xorb_file *f, int r)
{
	if (r == ERR_READ_ONLY)
		return xet_refuse_full(a);
	if (r == ERR_DIGEST)
		return xet_refuse(a, "the chunks of the xorb make another hash than its name");
	if (r == -EBADMSG) {
		answer_refuse(a, 400, "this is no xorb: %s", xorb_file_why(f));
		return ANSWERED;
	}
	return r == ERR_CUT ? r : log_err(r, "cannot take a xorb");
}

int xet_put_xorb(struct ask *a)
{
	struct xorb_file *f;
	int r = xet_enter(a);

	if (r == 0 && !ask_aside(a, 0, &r))
		return r;
	if (r == 0 && !a->kept)
		r = begin_xorb(a);
	f = a->kept;
	if (r == 0 && !ask_body(a, take_xorb, f, &r))
		return r;
	if (r == 0)
		r = end_xorb(a, f);
	if (r < 0 && f)
		r = refuse_xorb(a, f, r);
	else if (r == ERR_READ_ONLY)
		r = xet_refuse_full(a);
	return r == ANSWERED ? 0 : r;
}
