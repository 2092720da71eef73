/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/admit.h"
#include "admin/hub/answer.h"
#include "admin/hub/trace.h"
#include "admin/hub/writing.h"
#include "admin/hub/xet_offer.h"
#include "admin/hub/xet_priv.h"
#include "admin/registry/assembly.h"
#include "admin/registry/holdings.h"
#include "admin/registry/recipes.h"
#include "admin/registry/uploads.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

/* A shard that comes. */
struct upload {
	struct ask *ask;
	struct xet_shard shard;
	struct registry_repo repo;
	char key[REPO_KEY_MAX + 1];
	bool asked_again; /* whether who sent it has the right still */
	struct assembly *assembly;
	char payer[ACCOUNT_NAME_MAX + 1]; /* or "" */
	char note[32];
};

static void upload_free(void *arg)
{
	struct upload *u = arg;

	assembly_free(u->assembly);
	xet_shard_fini(&u->shard);
	free(u);
}

/* ---- xorbs of other repositories ---- */

/* Whose a xorb is that did not come for this repository. */
struct finding {
	const uint8_t *xorb;
	const char *uid; /* of this one */
	struct xorb_view view;
	bool mine;
	struct buf others; /* struct repo_id */
};

struct naming {
	struct db_txn *txn;
	struct finding *f;
};

static int take_owner(void *arg, const char *uid)
{
	struct naming *n = arg;
	struct repo_id id;
	int r;

	if (!strcmp(uid, n->f->uid)) {
		n->f->mine = true;
		return 0;
	}
	r = registry_name(n->txn, uid, &id);
	return r == -ENOENT ? 0 : r < 0 ? r : buf_add(&n->f->others, &id, sizeof(id));
}

static int look_up(struct db_txn *t, void *arg)
{
	struct finding *f = arg;
	struct naming n = { t, f };
	int r;

	xorb_view_fini(&f->view);
	buf_clear(&f->others);
	f->mine = false;
	r = xorb_rows_get(t, f->xorb, &f->view.map);
	return r < 0 ? r : xorb_rows_owners(t, f->xorb, take_owner, &n);
}

/* Whether who asks may have the files of that repository. */
static bool reads(struct ask *a, const struct repo_id *id)
{
	const struct rights *rights = &a->server->rights;
	enum gate_status status;
	struct repo_names names;

	known_names_of(node_known(a->server->node), id, &names);
	return rights_check(rights, &a->who, &names, ROLE_READ, NULL) == 0 &&
	       rights_pass(rights, &a->who, &names, &status) == 0;
}

static bool reads_any(struct ask *a, const struct buf *others)
{
	const struct repo_id *all = (const void *)others->data;

	for (size_t i = 0; i < others->len / sizeof(*all); i++)
		if (reads(a, &all[i]))
			return true;
	return false;
}

/* Clients remember for weeks which xorbs they brought, for whichever repository. */
static int find_xorb(void *arg, const uint8_t xorb[static XET_HASH], struct xorb_view *ret)
{
	struct upload *u = arg;
	struct finding f = { .xorb = xorb, .uid = u->repo.uid, .view = { .fd = -1 } };
	int r = db_read(u->ask->server->rights.db, look_up, &f);

	if (r == 0 && !f.mine && !reads_any(u->ask, &f.others))
		r = -ENOENT;
	if (r == 0)
		*ret = f.view;
	else
		xorb_view_fini(&f.view);
	buf_free(&f.others);
	return r == ERR_CORRUPT ? -ENOENT : r;
}

/* ---- what came ---- */

static int note_files(struct db_txn *t, void *arg)
{
	const struct upload *u = arg;
	struct registry_repo now;
	char repo[REPO_KEY_MAX + 1];
	int r = registry_now(t, u->repo.uid, &now);

	if (r < 0)
		return r;
	repo_id_key(&now.id, repo);
	for (size_t i = 0; r == 0 && i < assembly_count(u->assembly); i++) {
		const struct assembled *f = assembly_file(u->assembly, i);

		r = uploads_note(t, repo, u->payer, f->etag, f->size, clock_wall_s());
	}
	return r;
}

/* One record of all: a file by its name, several by their number. */
static void tell(void *arg, struct audit_record *ret)
{
	struct upload *u = arg;
	size_t count = assembly_count(u->assembly);

	trace_record(u->ask, AUDIT_UPLOAD, ret);
	ret->act = "xet.upload";
	ret->repo = u->key;
	ret->has_bytes = true;
	for (size_t i = 0; i < count; i++)
		ret->size += assembly_file(u->assembly, i)->size;
	ret->bytes = ret->size;
	if (count == 1)
		ret->file = assembly_file(u->assembly, 0)->etag;
	snprintf(u->note, sizeof(u->note), "files=%zu", count);
	ret->note = u->note;
	ret->status = 200;
	ret->outcome = AUDIT_DONE;
}

static int refuse_over(const struct upload *u)
{
	char namespace[ACCOUNT_NAME_MAX + 1];
	int r;

	holdings_namespace(u->key, namespace);
	r = writing_over_quota(u->ask, holdings_payer(u->payer, namespace));
	return r < 0 ? r : ANSWERED;
}

/* They are blobs: they came for that repository. */
static int note(struct upload *u)
{
	struct ask *a = u->ask;
	int r = audit_debt_new(a->server->debts, &a->debt);

	if (r == 0)
		r = writing_payer(a, u->payer);
	if (r == 0)
		u->payer[0] = '\0';
	if (r >= 0)
		r = db_write(audit_debt_db(a->debt, tell, u), note_files, u);
	if (r == ERR_QUOTA)
		return refuse_over(u);
	return r == 0 ? audit_debt_pay(a->debt) : r;
}

static int assemble(struct upload *u)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct server *s = u->ask->server;
	const struct assembly_conf conf = {
		s->rights.db, s->intake, s->xorbs, u->key, u->repo.uid, find_xorb, u,
	};
	int r = assembly_new(&conf, &u->assembly);

	for (size_t i = 0; r == 0 && i < xet_shard_count(&u->shard); i++)
		r = assembly_add(u->assembly, &u->shard, xet_shard_file(&u->shard, i), &why);
	if (r == -EBADMSG)
		return xet_refuse(u->ask, buf_str(&why));
	return r < 0 ? r : assembly_keep(u->assembly);
}

/* Files that are here stay so if it cannot be remembered what they are made of: they are read
 * otherwise, as are small ones, for which Xet would cost more questions than one. */
static void keep_recipes(const struct upload *u)
{
	CLEANUP(recipe_notes_fini) struct recipe_notes n = { .db = u->ask->server->rights.db };
	int r;

	for (size_t i = 0; i < assembly_count(u->assembly); i++) {
		const struct xet_file *f = xet_shard_file(&u->shard, i);
		const struct assembled *made = assembly_file(u->assembly, i);

		r = made->size < XET_OFFER_BYTES_MIN
			    ? 0
			    : recipes_note(&n, made->etag, f->hash, xet_shard_terms(&u->shard, f),
					   f->count);
		if (r < 0)
			log_warn(r, "a file cannot be read by Xet file=%s", made->etag);
	}
	r = recipes_keep(&n);
	if (r < 0)
		log_warn(r, "files cannot be read by Xet repo=%s", u->key);
}

/* ---- a request ---- */

static int begin(struct ask *a)
{
	struct upload *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	a->kept = u;
	a->free_kept = upload_free;
	u->ask = a;
	r = writing_repo(a, &u->repo);
	repo_id_key(&u->repo.id, u->key);
	return r;
}

static int take(void *arg, const void *data, size_t len)
{
	return xet_shard_add(&((struct upload *)arg)->shard, data, len);
}

/* It may have taken long to come. */
static int check_again(struct upload *u)
{
	if (u->asked_again)
		return 0;
	u->asked_again = true;
	return admit_again(u->ask);
}

static int end(struct upload *u)
{
	int r = u->ask->received < 0 ? u->ask->received : xet_shard_end(&u->shard);

	if (r == 0)
		r = check_again(u);
	if (r == 0)
		r = assemble(u);
	if (r == 0)
		r = note(u);
	if (r == 0)
		keep_recipes(u);
	return r;
}

static int refuse(struct upload *u, int r)
{
	if (r == ERR_READ_ONLY)
		return xet_refuse_full(u->ask);
	if (r == -EBADMSG) {
		answer_refuse(u->ask, 400, "this is no shard: %s", u->shard.why);
		return ANSWERED;
	}
	return r == ERR_CUT || r == ERR_NOREPO || r == ERR_FORBIDDEN || r == ERR_TOKEN
		       ? r
		       : log_err(r, "cannot make files of a shard repo=%s", u->key);
}

/* 0 if all of it was done, and is to be answered. */
static int put(struct ask *a)
{
	struct upload *u;
	int r = xet_enter(a);

	if (r == 0 && !ask_aside(a, 0, &r))
		return r == 0 ? ANSWERED : r;
	if (r == 0 && !a->kept)
		r = begin(a);
	u = a->kept;
	if (r == 0 && !ask_body(a, take, u, &r))
		return r;
	if (r == 0)
		r = end(u);
	return r < 0 && u ? refuse(u, r) : r;
}

static int answer(struct ask *a, const char *type, const char *text)
{
	struct httpd_head h = answer_head(a, 200, type);
	struct buf body = { 0 };

	buf_add_str(&body, text);
	httpd_reply_head(a->http, &h, &body);
	return 0;
}

int xet_put_shard(struct ask *a)
{
	int r = put(a);

	if (r == 0)
		return answer(a, ANSWER_JSON, "{\"result\":1}");
	return r == ANSWERED ? 0 : r;
}

int xet_put_shard_v2(struct ask *a)
{
	int r = put(a);

	if (r == 0)
		return answer(a, "application/x-ndjson", "{\"type\":\"result\",\"result\":1}\n");
	return r == ANSWERED ? 0 : r;
}
