/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/health.h"
#include "admin/hub/admit.h"
#include "admin/hub/answer.h"
#include "admin/hub/trace.h"
#include "admin/hub/writing.h"
#include "admin/hub/xet_offer.h"
#include "admin/hub/xet_priv.h"
#include "admin/hub/xet_room.h"
#include "admin/scrubber.h"
#include "admin/registry/assembly.h"
#include "admin/registry/holdings.h"
#include "admin/registry/recipes.h"
#include "admin/registry/uploads.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/httpd_early.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/log.h"

#define LATER_S 5      /* who is sent away for now comes back so much later */
#define TELL_MS 5000   /* who waits is told so as often */
#define REFUSAL_MS 100 /* refusals come at multiples of it */

/* A shard that comes. */
struct shard_in {
	struct ask *ask;
	struct xet_shard shard;
	struct xet_hold hold; /* of the memory that it takes */
	struct registry_repo repo;
	bool tells, told; /* it is of the second version; it is being told how far it came */
	char key[REPO_KEY_MAX + 1], user[ACCOUNT_NAME_MAX + 1];
	bool aside;       /* on a thread that may take as long as it takes */
	bool asked_again; /* whether who sent it has the right still */
	struct assembly *assembly;
	char payer[ACCOUNT_NAME_MAX + 1]; /* or "": the repository's namespace */
	char note[32];
	int64_t began_ms;   /* when its files were begun */
	struct buf refusal; /* what is to be said of them */
};

static void shard_in_free(void *arg)
{
	struct shard_in *u = arg;

	assembly_free(u->assembly);
	xet_shard_fini(&u->shard);
	xet_room_leave(u->ask->server->xet_room, &u->hold);
	buf_free(&u->refusal);
	free(u);
}

/* ---- what is told of it ---- */

static void add_error(struct buf *ret, int status, const char *message)
{
	struct jwrite w = { .to = ret };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "type", "error");
	jwrite_text(&w, "message", message);
	jwrite_bool(&w, "retryable", status >= 500 && status != 507);
	jwrite_object_end(&w);
	buf_add_str(ret, "\n");
}

/* Clients show the words of this, and of other answers nothing but the status. */
static int tell_end(int status, const struct buf *body, struct buf *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const char *error = NULL;

	if (status == 200)
		return buf_add(ret, body->data, body->len);
	if (jdoc_parse(body->data, body->len, &d) == 0)
		error = jval_get_str(jdoc_root(d), "error");
	add_error(ret, status, error ? error : "it cannot be done");
	return ret->failed;
}

/* They end a connection that says nothing for some minutes, and try again. */
static const struct httpd_early telling = {
	"application/x-ndjson",
	"{\"type\":\"committing\",\"stage\":\"syncing\"}\n",
	TELL_MS,
	tell_end,
};

static void begin_telling(struct shard_in *u)
{
	if (!u->tells || u->told)
		return;
	u->told = true;
	httpd_begin_early(u->ask->http, &telling);
}

/* ---- xorbs of other repositories ---- */

/* Clients remember for weeks which xorbs they brought, for whichever repository. */
static int find_xorb(void *arg, const uint8_t xorb[static XET_HASH], struct xorb_view *ret)
{
	struct shard_in *u = arg;
	const struct xorb_owner owner = { u->repo.uid, u->user };

	ret->fd = -1;
	return xet_find_xorb(u->ask, &owner, xorb, &ret->map);
}

/* ---- what came ---- */

static int note_files(struct db_txn *t, void *arg)
{
	const struct shard_in *u = arg;
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
	struct shard_in *u = arg;
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

static const char *payer_of(const struct shard_in *u, char namespace[static ACCOUNT_NAME_MAX + 1])
{
	holdings_namespace(u->key, namespace);
	return holdings_payer(u->payer, namespace);
}

static int refuse_over(const struct shard_in *u)
{
	char namespace[ACCOUNT_NAME_MAX + 1];

	return xet_over_quota(u->ask, payer_of(u, namespace));
}

/* They are blobs: they came for that repository. */
static int note(struct shard_in *u)
{
	struct ask *a = u->ask;
	int r = audit_debt_new(a->server->debts, &a->debt);

	if (r == 0)
		r = db_write(audit_debt_db(a->debt, tell, u), note_files, u);
	return r == 0 ? audit_debt_pay(a->debt) : r;
}

/* ---- whether they may come ---- */

struct cost {
	const struct xet_shard *shard;
	const char *payer;
	uint64_t bytes;
};

/* What is held already costs nothing once more. */
static int add_cost(struct db_txn *t, struct cost *c, const struct xet_file *f)
{
	uint64_t held = 0;
	int r = f->sha256[0] ? holdings_count(t, c->payer, f->sha256, &held) : 0;

	if (r == 0 && !held)
		c->bytes += xet_shard_size(c->shard, f);
	return r;
}

static int add_costs(struct db_txn *t, void *arg)
{
	struct cost *c = arg;
	int r = 0;

	c->bytes = 0;
	for (size_t i = 0; r == 0 && i < xet_shard_count(c->shard); i++)
		r = add_cost(t, c, xet_shard_file(c->shard, i));
	return r == 0 ? holdings_check(t, c->payer, c->bytes) : r;
}

/* Before a byte of them is written. ERR_QUOTA. */
static int check_quota(struct shard_in *u)
{
	char namespace[ACCOUNT_NAME_MAX + 1];
	struct cost c = { .shard = &u->shard };
	int r = writing_payer(u->ask, u->payer);

	if (r == 0)
		u->payer[0] = '\0';
	c.payer = payer_of(u, namespace);
	return r < 0 ? r : db_read(u->ask->server->rights.db, add_costs, &c);
}

/* ---- files are made of it ---- */

static bool nobody_waits(void *arg)
{
	const struct shard_in *u = arg;

	return httpd_left(u->ask->http);
}

static void doubt(void *arg, const char *etag)
{
	const struct shard_in *u = arg;

	scrubber_doubt(u->ask->server->scrubber, etag);
}

static int make(struct shard_in *u, struct buf *why)
{
	struct server *s = u->ask->server;
	const struct assembly_conf conf = {
		.xorbs = { s->rights.db,
			   s->intake,
			   s->xorbs,
			   { u->repo.uid, u->user },
			   find_xorb,
			   u },
		.shard = &u->shard,
		.ends = nobody_waits,
		.doubt = doubt,
		.arg = u,
	};
	int r = nobody_waits(u) ? ERR_CUT : check_quota(u);

	if (r == 0)
		r = assembly_new(&conf, &u->assembly);
	if (r == 0)
		r = assembly_plan(u->assembly, why);
	return r == 0 ? assembly_make(u->assembly, why) : r;
}

/* What there is, and is not for them, takes longer to refuse than what there is not: so either is
 * answered by a clock that is much slower. */
static int refuse_later(struct shard_in *u)
{
	struct ask *a = u->ask;
	int64_t late_ms = (clock_ms() - u->began_ms) % REFUSAL_MS;
	int r = ask_later(a, a->server->assemblers, REFUSAL_MS - late_ms);

	if (r == PARKED)
		return r;
	clock_sleep_ms(REFUSAL_MS - late_ms); /* too many wait there */
	return xet_refuse(a, buf_str(&u->refusal));
}

static int assemble(struct shard_in *u)
{
	int r;

	u->began_ms = clock_ms();
	r = make(u, &u->refusal);
	return r == -EBADMSG ? refuse_later(u) : r;
}

/* It is but a memory, and the xorbs wait until it is there: whoever is killed in between finds all
 * that it takes to send the shard again. */
static void keep_places(const struct shard_in *u)
{
	int r = assembly_note(u->assembly);

	if (r < 0)
		log_warn(r, "it is not remembered where chunks lie repo=%s", u->key);
}

/* Files that are here stay so if it cannot be remembered what they are made of: they are read
 * otherwise, as are small ones, for which Xet would cost more questions than one. */
static void keep_recipes(const struct shard_in *u)
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

/* What was made before nobody waited any more is theirs as well: it need not be made again. */
static int keep_made(struct shard_in *u, int made)
{
	int r;

	if (made == ERR_CUT && (!u->assembly || !assembly_count(u->assembly)))
		return made;
	r = note(u);
	if (r < 0)
		return r;
	keep_places(u);
	keep_recipes(u);
	return made;
}

/* ---- a request ---- */

static int begin_shard(struct ask *a, bool tells)
{
	struct shard_in *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	a->kept = u;
	a->free_kept = shard_in_free;
	u->ask = a;
	u->tells = tells;
	account_key(a->who.user, u->user);
	u->hold.user = u->user;
	r = writing_repo(a, &u->repo);
	repo_id_key(&u->repo.id, u->key);
	if (r == 0 && a->asked.body_length > XET_SHARD_BYTES_MAX)
		r = xet_refuse(a, "a shard is larger than any that clients send");
	return r == 0 ? server_room(a->server, 0) : r;
}

static int take_shard(void *arg, const void *data, size_t len)
{
	struct shard_in *u = arg;
	int r = xet_shard_add(&u->shard, data, len);

	return r < 0 ? r
		     : xet_room_take(u->ask->server->xet_room, &u->hold,
				     assembly_memory(&u->shard));
}

/* Where bodies are taken nobody may work for long: those of all others wait. What is made for one
 * repository is made one after another, so who sends a shard again finds what it made. True there;
 * else it returns *ret. */
static bool go_aside(struct shard_in *u, int *ret)
{
	struct ask *a = u->ask;

	if (u->aside)
		return true;
	u->aside = true;
	*ret = ask_move(a, a->server->assemblers, ask_lane_of(u->repo.uid, REGISTRY_UID));
	if (*ret == PARKED)
		return false; /* it may be gone already */
	answer_refuse_for(a, 503, LATER_S, "too many files are put together: come back later");
	*ret = ANSWERED;
	return false;
}

/* It may have taken long to come. */
static int check_again(struct shard_in *u)
{
	if (u->asked_again)
		return 0;
	u->asked_again = true;
	return admit_again(u->ask);
}

static int end_shard(struct shard_in *u)
{
	int r = u->ask->received < 0 ? u->ask->received : xet_shard_end(&u->shard);

	if (r == 0)
		begin_telling(u);
	if (r == 0 && !go_aside(u, &r))
		return r;
	if (r == 0 && u->refusal.len)
		return xet_refuse(u->ask, buf_str(&u->refusal));
	if (r == 0)
		r = check_again(u);
	if (r == 0)
		r = assemble(u);
	return r == 0 || r == ERR_CUT ? keep_made(u, r) : r;
}

static int refuse_late(struct ask *a)
{
	answer_refuse_for(a, 503, LATER_S, "too much is told of files at once: come back later");
	return ANSWERED;
}

static int refuse_shard(struct shard_in *u, int r)
{
	if (r == -EAGAIN)
		return refuse_late(u->ask);
	if (r == ERR_READ_ONLY || err_is_full(r) || r == ERR_QUOTA || r == -EBADMSG)
		begin_telling(u);
	if (r == ERR_READ_ONLY || err_is_full(r))
		return xet_refuse_full(u->ask);
	if (r == ERR_QUOTA)
		return refuse_over(u);
	if (r == -EBADMSG)
		return xet_refuse_as(u->ask, "shard", u->shard.why);
	return r == ERR_CUT || r == ERR_NOREPO || r == ERR_FORBIDDEN || r == ERR_TOKEN
		       ? r
		       : log_err(r, "cannot make files of a shard repo=%s", u->key);
}

/* 0 if all of it was done, and is to be answered. */
static int put_shard(struct ask *a, bool tells)
{
	struct shard_in *u;
	int r = xet_enter(a);

	if (r == 0 && !ask_aside(a, 0, &r))
		return r == 0 ? ANSWERED : r;
	if (r == 0 && !a->kept)
		r = begin_shard(a, tells);
	u = a->kept;
	if (r == 0 && !ask_body(a, take_shard, u, &r))
		return r;
	if (r == 0)
		r = end_shard(u);
	return r < 0 && u ? refuse_shard(u, r) : r;
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
	int r = put_shard(a, false);

	if (r == 0)
		return answer(a, ANSWER_JSON, "{\"result\":1}");
	return r == ANSWERED ? 0 : r;
}

int xet_put_shard_v2(struct ask *a)
{
	int r = put_shard(a, true);

	if (r == 0)
		return answer(a, "application/x-ndjson", "{\"type\":\"result\",\"result\":1}\n");
	return r == ANSWERED ? 0 : r;
}
