/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/lfs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/admit.h"
#include "admin/hub/answer.h"
#include "admin/hub/gated.h"
#include "admin/health.h"
#include "admin/registry/holdings.h"
#include "admin/registry/intake.h"
#include "admin/hub/lfs_asked.h"
#include "admin/hub/lfs_link.h"
#include "admin/registry/parts.h"
#include "admin/registry/renaming.h"
#include "admin/hub/trace.h"
#include "admin/registry/uploads.h"
#include "admin/hub/writing.h"
#include "admin/hub/xet.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jwrite.h"

#define JSON_TYPE "application/vnd.git-lfs+json; charset=utf-8"
#define REFUSED ANSWERED /* it was answered */

struct batch {
	struct ask *ask;
	struct lfs_asked asked;
	bool brought; /* also what came for the repository, and is in no commit of it yet */
	struct jwrite w;
	struct xet_pass pass; /* of who sends by the Xet store */
	int failed;
};

static void batch_fini(struct batch *b)
{
	lfs_asked_fini(&b->asked);
	xet_pass_fini(&b->pass);
}

typedef int (*read_fn)(const char *text, size_t len, struct lfs_asked *ret, const char **ret_why);

static int read_body(struct batch *b, read_fn fn)
{
	const struct buf *body = httpd_body(b->ask->http);
	const char *why;
	int r = fn(buf_str(body), body->len, &b->asked, &why);

	if (r <= 0)
		return r;
	answer_refuse(b->ask, r, "%s", why);
	return REFUSED;
}

/* ---- what is here ---- */

static bool is_there(struct db_txn *t, const struct batch *b, const char *repo, const char *uid,
		     const struct lfs_object *o)
{
	uint64_t size;

	if (b->brought && uploads_find(t, repo, o->oid, &size) == 0)
		return size == o->size;
	return objects_has_file(t, uid, o->oid, o->size) == 1;
}

static int find_uploads(struct db_txn *t, void *arg)
{
	struct batch *b = arg;
	char key[REPO_KEY_MAX + 1];
	struct registry_repo repo;
	int r = renaming_get(t, repo_id_of(b->ask->repo), &repo);

	if (r == 0)
		repo_id_key(&repo.id, key);
	for (size_t i = 0; i < b->asked.count; i++) {
		struct lfs_object *o = &b->asked.objects[i];

		o->here = r == 0 && o->valid && is_there(t, b, key, repo.uid, o);
	}
	return r == -ENOENT ? 0 : r;
}

/* Its own objects: what others have is none of its business. */
static int find_objects(struct batch *b)
{
	struct server *s = b->ask->server;
	int r = db_read(s->rights.db, find_uploads, b);

	for (size_t i = 0; r == 0 && i < b->asked.count; i++)
		if (b->asked.objects[i].here)
			b->asked.objects[i].here = intake_has(s->intake, b->asked.objects[i].oid,
							      b->asked.objects[i].size);
	return r;
}

/* ---- what is answered ---- */

static void write_link(struct batch *b, const char *key, const struct lfs_link *l)
{
	CLEANUP(buf_free) struct buf href = { 0 };
	int r = lfs_link_print(b->ask->server->link_key, b->ask->asked.origin, l, clock_wall_s(),
			       &href);

	if (r < 0)
		b->failed = r;
	jwrite_text(&b->w, key, buf_str(&href));
}

/* Behind the name of the repository, as the batch itself. */
static void write_verify(struct batch *b)
{
	CLEANUP(buf_free) struct buf href = { 0 };
	const struct target *t = &b->ask->asked.target;

	buf_printf(&href, "%s%.*s.git/info/lfs/objects/verify", b->ask->asked.origin,
		   (int)(t->repo_at + t->repo_len), httpd_target(b->ask->http));
	jwrite_object(&b->w, "verify");
	jwrite_text(&b->w, "href", buf_str(&href));
	jwrite_object_end(&b->w);
}

/* Large files have few large parts, rather than a list of links that no client likes; so have many
 * files, whose links are in one answer. */
static uint64_t part_bytes_of(const struct batch *b, uint64_t size)
{
	uint64_t bytes = b->asked.in_parts ? b->ask->server->part_bytes : 0;

	if (!bytes || size <= bytes)
		return 0;
	while ((size - 1) / bytes >= PARTS_MAX / b->asked.count)
		bytes *= 2;
	return bytes;
}

/* Where each part goes, and how large it is, as the hub's clients want it: among the fields. */
static void write_parts(struct batch *b, struct lfs_link l)
{
	const struct parts_of of = { l.repo, l.oid, l.size, l.part_bytes };
	char text[24];

	l.act = LFS_PART;
	jwrite_object(&b->w, "header");
	snprintf(text, sizeof(text), "%" PRIu64, l.part_bytes);
	jwrite_text(&b->w, "chunk_size", text);
	for (l.part = 1; l.part <= parts_count(&of); l.part++) {
		snprintf(text, sizeof(text), "%05" PRIu32, l.part);
		write_link(b, text, &l);
	}
	jwrite_object_end(&b->w);
}

static bool goes_by_xet(const struct batch *b)
{
	return b->pass.token.len > 0;
}

/* Where the next token is to be had; and the first. */
static void write_pass(struct batch *b)
{
	CLEANUP(buf_free) struct buf href = { 0 };
	const struct repo_id *id = repo_id_of(b->ask->repo);
	char expires[24];

	buf_printf(&href, "%s/api/%s/%s/xet-write-token/main", b->ask->asked.origin,
		   repo_type_plural(id->type), id->name);
	snprintf(expires, sizeof(expires), "%" PRId64, b->pass.expires_s);
	jwrite_object(&b->w, "upload");
	jwrite_text(&b->w, "href", buf_str(&href));
	jwrite_object(&b->w, "header");
	jwrite_text(&b->w, XET_PASS_URL, buf_str(&b->pass.url));
	jwrite_text(&b->w, XET_PASS_TOKEN, buf_str(&b->pass.token));
	jwrite_text(&b->w, XET_PASS_EXPIRES, expires);
	jwrite_object_end(&b->w);
	jwrite_object_end(&b->w);
	write_verify(b);
}

static void write_upload(struct batch *b, struct lfs_link *l)
{
	l->part_bytes = part_bytes_of(b, l->size);
	l->act = l->part_bytes ? LFS_JOIN : LFS_PUT;
	jwrite_object(&b->w, "upload");
	write_link(b, "href", l);
	if (l->part_bytes)
		write_parts(b, *l);
	jwrite_int(&b->w, "expires_in", LFS_LINK_S);
	jwrite_object_end(&b->w);
	write_verify(b);
}

static void write_download(struct batch *b, const struct lfs_link *l)
{
	jwrite_object(&b->w, "download");
	write_link(b, "href", l);
	jwrite_int(&b->w, "expires_in", LFS_LINK_S);
	jwrite_object_end(&b->w);
}

static void write_actions(struct batch *b, const struct lfs_object *o)
{
	struct ask *a = b->ask;
	const char *user, *token;
	struct lfs_link l = { .act = LFS_GET, .size = o->size };

	trace_who(a, &user, &token);
	memcpy(l.oid, o->oid, sizeof(l.oid));
	l.repo = (char *)(uintptr_t)repo_key(a->repo);
	l.user = (char *)(uintptr_t)(user ? user : "");
	l.token = (char *)(uintptr_t)(token ? token : "");
	jwrite_object(&b->w, "actions");
	if (!b->asked.upload)
		write_download(b, &l);
	else if (goes_by_xet(b))
		write_pass(b);
	else
		write_upload(b, &l);
	jwrite_object_end(&b->w);
}

static void write_error(struct jwrite *w, int code, const char *message)
{
	jwrite_object(w, "error");
	jwrite_int(w, "code", code);
	jwrite_text(w, "message", message);
	jwrite_object_end(w);
}

/* An object that is here has no actions when it is to be sent: clients then leave it out. */
static void write_object(struct batch *b, const struct lfs_object *o)
{
	jwrite_object(&b->w, NULL);
	jwrite_text(&b->w, "oid", o->oid);
	jwrite_uint(&b->w, "size", o->size);
	if (!o->valid)
		write_error(&b->w, 422, "the object's id must be a SHA-256, with its size");
	else if (b->asked.upload != o->here)
		write_actions(b, o);
	else if (!b->asked.upload)
		write_error(&b->w, 404, "the object is not here");
	jwrite_object_end(&b->w);
}

static bool has_parts(const struct batch *b)
{
	for (size_t i = 0; i < b->asked.count; i++)
		if (b->asked.upload && !b->asked.objects[i].here &&
		    part_bytes_of(b, b->asked.objects[i].size))
			return true;
	return false;
}

static int answer_batch(struct batch *b)
{
	struct httpd_head h;
	struct buf json = { 0 };

	b->w.to = &json;
	jwrite_object(&b->w, NULL);
	jwrite_text(&b->w, "transfer",
		    goes_by_xet(b) ? "xet"
		    : has_parts(b) ? "multipart"
				   : "basic");
	jwrite_array(&b->w, "objects");
	for (size_t i = 0; i < b->asked.count; i++)
		write_object(b, &b->asked.objects[i]);
	jwrite_array_end(&b->w);
	jwrite_text(&b->w, "hash_algo", "sha256");
	jwrite_object_end(&b->w);
	if (b->failed) {
		buf_free(&json);
		return b->failed;
	}
	h = answer_head(b->ask, 200, JSON_TYPE);
	answer_json_head(b->ask, &h, &json);
	return 0;
}

static int check_upload(struct ask *a)
{
	int r = admit_more(a, ROLE_SPEAK);

	if (r != 0)
		return r;
	return writing_hosted(a) ? server_read_only(a->server) : REFUSED;
}

struct demand {
	char namespace[ACCOUNT_NAME_MAX + 1];
	const struct lfs_asked *asked;
};

/* What the namespace has already costs it nothing, wherever it has it. */
static int ask_quota(struct db_txn *t, void *arg)
{
	const struct demand *d = arg;
	uint64_t more = 0, holders = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->asked->count; i++) {
		const struct lfs_object *o = &d->asked->objects[i];

		if (!o->valid || o->here)
			continue;
		r = holdings_count(t, d->namespace, o->oid, &holders);
		if (__builtin_add_overflow(more, holders ? 0 : o->size, &more))
			more = UINT64_MAX;
	}
	return r < 0 ? r : holdings_check(t, d->namespace, more);
}

/* Before the bytes are sent, rather than after. */
static int check_quota(struct batch *b)
{
	struct demand d = { .asked = &b->asked };
	int r = writing_payer(b->ask, d.namespace);

	if (r >= 0)
		r = db_read(b->ask->server->rights.db, ask_quota, &d);
	if (r != ERR_QUOTA)
		return r;
	r = writing_over_quota(b->ask, d.namespace);
	return r < 0 ? r : REFUSED;
}

/* huggingface_hub asks this way before its 1.20 only, and brings stores that are older than the
 * protocol is: it goes on as ever. */
static int find_way(struct batch *b)
{
	struct ask *a = b->ask;
	const char *agent = a->asked.agent;
	struct registry_repo repo;
	int r;

	if (!b->asked.upload || !b->asked.by_xet || !a->server->takes_xet || !a->who.known ||
	    (agent && strstr(agent, "hf_hub/")))
		return 0;
	r = writing_repo(a, &repo);
	return r == 0 ? xet_pass(a, &repo, &b->pass) : r;
}

static int serve_batch(struct batch *b)
{
	struct ask *a = b->ask;
	int r = read_body(b, lfs_asked_batch);

	if (r == 0)
		r = b->asked.upload ? check_upload(a) : gated_pass(a);
	b->brought = b->asked.upload; /* a reader is shown what is committed */
	if (r == 0 && !ask_aside(a, 0, &r))
		return r;
	if (r == 0)
		r = find_objects(b);
	if (r == 0 && b->asked.upload)
		r = check_quota(b);
	if (r == 0)
		r = find_way(b);
	if (r == 0)
		r = answer_batch(b);
	return r == REFUSED ? 0 : r;
}

int lfs_batch(struct ask *a)
{
	CLEANUP(batch_fini) struct batch b = { .ask = a };

	return serve_batch(&b);
}

/* ---- afterwards ---- */

static int verify(struct batch *b)
{
	struct buf json = { 0 };
	int r = read_body(b, lfs_asked_object);

	b->brought = true;
	if (r == 0)
		r = find_objects(b);
	if (r != 0)
		return r;
	if (!b->asked.objects[0].here) {
		answer_refuse(b->ask, 404, "the object is not here");
		return 0;
	}
	buf_add_str(&json, "{}");
	answer_json(b->ask, 200, &json);
	return 0;
}

int lfs_verify(struct ask *a)
{
	CLEANUP(batch_fini) struct batch b = { .ask = a };
	int r;

	if (!ask_aside(a, 0, &r))
		return r;
	r = verify(&b);
	return r == REFUSED ? 0 : r;
}
