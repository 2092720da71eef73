/* SPDX-License-Identifier: Apache-2.0 */
/* A file of a commit is staged while it comes; many are made durable at once. What became a blob
 * for a commit that is never made is for the collector. */
#include "admin/hub/upload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/admit.h"
#include "admin/hub/answer.h"
#include "admin/hub/pulls.h"
#include "admin/health.h"
#include "admin/hub/gated.h"
#include "admin/registry/card.h"
#include "admin/registry/committed.h"
#include "admin/registry/intake.h"
#include "admin/registry/ndjson.h"
#include "admin/hub/writing.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/base/why.h"

#define STAGED_MAX 128     /* files that are open at once */
#define CHANGES_MAX 100000 /* of a commit: they are held in memory */
#define ASKED_MAX 1000     /* files of git-lfs that are looked up at one time */
#define CARD_MAX (1 << 20) /* bytes of a README.md that are looked at */
#define STALE "The branch was updated since you opened this page. Please refresh and try again."
#define NO_BLOB \
	"Your push was rejected because an LFS pointer pointed to a file that does not exist. " \
	"For instance, this can happen if you used git push --no-verify to push your changes. " \
	"Offending file: - %s"

/* One commit on its way: what the handler keeps. */
struct upload {
	struct ask *ask;
	struct registry_repo repo;
	struct commit_plan plan;
	struct writing_shelf shelf;
	struct ndjson *lines;
	struct intake_file *file; /* that comes now, or NULL */
	struct buf start;         /* of it: as much as tells a pointer of git-lfs */
	struct intake_file *staged[STAGED_MAX];
	size_t staged_count;
	size_t asked;   /* changes whose files of git-lfs were looked up */
	struct buf why; /* what is wrong with it, if anything */
	bool queued, asked_again;
	uint64_t promised; /* bytes of the body for which room is kept still */
	struct pull_commit pull;
	bool pulls; /* it is for a pull request */
	char payer[ACCOUNT_NAME_MAX + 1];
	char commit[COMMIT_HEX + 1];
};

static void upload_free(void *arg)
{
	struct upload *u = arg;

	intake_redeem(u->ask->server->intake, u->promised);
	ndjson_free(u->lines);
	intake_drop(u->file);
	for (size_t i = 0; i < u->staged_count; i++)
		intake_drop(u->staged[i]);
	commit_plan_fini(&u->plan);
	writing_shelf_fini(&u->shelf);
	buf_free(&u->why);
	buf_free(&u->start);
	free(u);
}

/* ---- what it brings ---- */

static int keep_staged(struct upload *u)
{
	int r = u->staged_count ? intake_keep(u->ask->server->intake, u->staged, u->staged_count)
				: 0;

	while (r == 0 && u->staged_count)
		intake_drop(u->staged[--u->staged_count]);
	return r;
}

/* Who comes too late, or to no branch, need not bring the rest. */
static int take_header(void *arg, const struct ndjson_header *h)
{
	struct upload *u = arg;
	int r;

	if (*h->parent && !commit_valid(h->parent))
		return complain(&u->why, "\"parentCommit\" is no id of a commit: %s", h->parent);
	snprintf(u->plan.parent, sizeof(u->plan.parent), "%s", h->parent);
	r = commit_plan_say(&u->plan, h->summary, h->description);
	return r < 0 ? r : commit_check_base(u->ask->server->rights.db, &u->plan);
}

static int begin_file(struct upload *u)
{
	const struct intake_want want = { DIGEST_GIT_SHA1, INTAKE_ANY_SIZE, NULL };
	int r = u->staged_count == STAGED_MAX ? keep_staged(u) : 0;

	buf_clear(&u->start);
	return r < 0 ? r : intake_begin(u->ask->server->intake, &want, &u->file);
}

static int take_bytes(void *arg, const void *data, size_t len)
{
	struct upload *u = arg;
	int r = u->file ? 0 : begin_file(u);

	if (r == 0 && u->start.len <= GIT_POINTER_MAX)
		r = buf_add(&u->start, data, (size_t)min_u64(len, GIT_POINTER_MAX + 1));
	return r < 0 ? r : intake_add(u->file, data, len);
}

static int has_blob(struct upload *u, const struct change *c)
{
	char etag[DIGEST_HEX_MAX + 1];

	manifest_etag(&c->file, etag);
	if (intake_has(u->ask->server->intake, etag, c->file.size))
		return 0;
	return complain_as(-ENODATA, &u->why, "%s", c->path);
}

/* Files of git-lfs must be there, and have been brought for this repository: who knows the id of
 * what others have learns nothing from the answer. */
static int look_up(struct upload *u)
{
	const struct commit_plan *p = &u->plan;
	int r = commit_check_lfs(u->ask->server->rights.db, p, u->asked, &u->why);

	for (; r == 0 && u->asked < p->count; u->asked++)
		if (p->changes[u->asked].kind == CHANGE_FILE &&
		    p->changes[u->asked].file.kind == DIGEST_SHA256)
			r = has_blob(u, &p->changes[u->asked]);
	return r;
}

static int add_lfs(struct upload *u, const char *path, const struct manifest_file *f)
{
	int r = commit_plan_add(&u->plan, CHANGE_FILE, path, f, &u->why);

	return r == 0 && u->plan.count - u->asked >= ASKED_MAX ? look_up(u) : r;
}

/* A pointer of git-lfs is the file it names, as the public hub has it: git has one id for both. */
static bool is_pointer(const struct upload *u, struct manifest_file *ret)
{
	*ret = (struct manifest_file){ .kind = DIGEST_SHA256 };
	return git_pointer_parse(buf_str(&u->start), u->start.len, ret->digest, &ret->size);
}

/* Of what is told to people of a repository, the public hub takes nothing that makes no sense. */
static int check_card(struct upload *u, const char *path)
{
	CLEANUP(buf_free) struct buf text = { 0 }, told = { 0 }, first = { 0 };
	int r;

	if (strcmp(path, "README.md") != 0)
		return 0;
	r = intake_start(u->file, CARD_MAX, &text);
	if (r == 0)
		r = card_check(buf_str(&text), text.len, u->repo.id.type, &told, &first);
	return r == 0 && first.len ? complain(&u->why, "%s", buf_str(&first)) : r;
}

static int end_file(struct upload *u, const char *path)
{
	struct manifest_file f;
	int r = u->file ? 0 : begin_file(u);

	if (r == 0)
		r = intake_end(u->file);
	if (r == 0 && is_pointer(u, &f)) {
		intake_drop(steal(u->file));
		return add_lfs(u, path, &f);
	}
	f = (struct manifest_file){ .kind = DIGEST_GIT_SHA1 };
	if (r == 0)
		r = check_card(u, path);
	if (r == 0)
		r = hex_parse(intake_etag(u->file), digest_size(f.kind), f.digest);
	if (r < 0)
		return r;
	f.size = intake_size(u->file);
	u->staged[u->staged_count++] = steal(u->file);
	return commit_plan_add(&u->plan, CHANGE_FILE, path, &f, &u->why);
}

/* A copy comes without a size: that is its blob's. */
static int add_named(struct upload *u, const struct ndjson_op *op)
{
	struct manifest_file f = { .kind = DIGEST_SHA256, .size = (uint64_t)op->size };
	CLEANUP(closep) int fd = -1;

	if (op->size < 0) {
		fd = intake_open_blob(u->ask->server->intake, op->oid, &f.size);
		f.size = fd < 0 ? 0 : f.size;
	}
	if (hex_parse(op->oid, digest_size(f.kind), f.digest) < 0)
		return -EINVAL;
	return add_lfs(u, op->path, &f);
}

struct copy {
	const struct commit_plan *plan;
	const struct ndjson_op *op;
	struct manifest_file file;
};

static int find_source(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct copy *c = arg;
	const struct commit_plan *p = c->plan;
	const char *base = p->parent[0] ? p->parent : p->branch;
	const char *said = c->op->source_revision;
	struct committed files = { .trees = NULL };
	char id[COMMIT_HEX + 1];
	struct git_commit commit;
	int r = registry_find(t, p->uid, *said ? said : base, id);

	if (r == 0)
		r = registry_commit(t, p->uid, id, &room, &commit);
	if (r == 0)
		r = committed_open(&files, t, p->uid, &commit);
	if (r == 0)
		r = committed_find(&files, c->op->source, &c->file);
	committed_fini(&files);
	return r;
}

/* Of a file of this repository, as it was before the commit, or in another one: what it holds is
 * not for who was not let in, under any other name either. */
static int add_copy(struct upload *u, const struct ndjson_op *op)
{
	struct copy c = { .plan = &u->plan, .op = op };
	struct ask *a = u->ask;
	int r = gated_passes(a);

	if (r == 0)
		r = db_read(a->server->rights.db, find_source, &c);
	if (r == ERR_NOREV && *op->source_revision)
		return complain_as(ERR_NOREV, &u->why, "%s", op->source_revision);
	if (r == -ENOENT)
		return complain_as(ERR_NOENTRY, &u->why, "%s", op->source);
	if (r < 0)
		return r;
	return c.file.kind == DIGEST_SHA256
		       ? add_lfs(u, op->path, &c.file)
		       : commit_plan_add(&u->plan, CHANGE_FILE, op->path, &c.file, &u->why);
}

static int take_op(void *arg, const struct ndjson_op *op)
{
	struct upload *u = arg;

	if (u->plan.count == CHANGES_MAX)
		return complain(&u->why, "line %ju: a commit has at most %d changes",
				(uintmax_t)op->line, CHANGES_MAX);
	switch (op->kind) {
	case NDJSON_FILE:
		return end_file(u, op->path);
	case NDJSON_LFS_FILE:
		return add_named(u, op);
	case NDJSON_DELETED_FILE:
		return commit_plan_add(&u->plan, CHANGE_DROP, op->path, NULL, &u->why);
	case NDJSON_DELETED_FOLDER:
		return commit_plan_add(&u->plan, CHANGE_DROP_DIR, op->path, NULL, &u->why);
	case NDJSON_COPY_FILE:
		return add_copy(u, op);
	}
	return -EINVAL;
}

static int take_piece(void *arg, const void *data, size_t len)
{
	struct upload *u = arg;
	uint64_t redeemed = min_u64(len, u->promised);

	intake_redeem(u->ask->server->intake, redeemed);
	u->promised -= redeemed;
	return ndjson_take(u->lines, data, len, &u->why);
}

/* ---- what comes of it ---- */

static void write_place(const struct upload *u, struct jwrite *w)
{
	CLEANUP(buf_free) struct buf url = { 0 };

	writing_url(u->ask, &u->repo.id, &url);
	buf_printf(&url, "/commit/%s", u->commit);
	jwrite_text(w, "commitUrl", buf_str(&url));
}

static void write_pull(const struct upload *u, struct jwrite *w)
{
	CLEANUP(buf_free) struct buf url = { 0 };

	writing_url(u->ask, &u->repo.id, &url);
	buf_printf(&url, "/discussions/%u", u->pull.num);
	jwrite_text(w, "pullRequestUrl", buf_str(&url));
}

static void answer_made(const struct upload *u)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	jwrite_object(&w, NULL);
	jwrite_bool(&w, "success", true);
	jwrite_text(&w, "commitOid", u->commit);
	write_place(u, &w);
	if (u->plan.apart)
		write_pull(u, &w);
	jwrite_text(&w, "hookOutput", "");
	jwrite_object_end(&w);
	answer_json(u->ask, 200, &json);
}

static int refuse(struct upload *u, const struct writing_act *act, int r)
{
	const char *why = buf_str(&u->why);

	switch (r) {
	case -EINVAL:
	case ERR_CONF:
	case ERR_HOSTILE:
		return writing_refuse(u->ask, act, 400, "%s", why);
	case -EILSEQ:
		return writing_refuse(u->ask, act, 422, "%s", why);
	case -ESTALE: /* a client looks again, and comes again: that is no event */
		answer_refuse(u->ask, 412, STALE);
		return 0;
	case -ENODATA:
		return writing_refuse(u->ask, act, 400, NO_BLOB, why);
	case ERR_QUOTA:
		return writing_refuse_full(u->ask, act, &u->repo.id, u->plan.payer);
	case ERR_FORBIDDEN:
	case ERR_TAG_LOCKED:
		return writing_refuse_as(u->ask, act, r, why);
	case ERR_NOREV:
		if (!*why) /* it is the one of the address */
			return writing_note_failure(u->ask, act, r);
		writing_note_failure(u->ask, act, r);
		answer_fail_saying(u->ask, r, "Invalid rev id: %s", why);
		return 0;
	case ERR_NOENTRY:
		writing_note_failure(u->ask, act, r);
		answer_fail_saying(u->ask, r, "A file with this name doesn't exist: \"%s\"", why);
		return 0;
	default:
		return writing_note_failure(u->ask, act, r);
	}
}

static int look_for_repo(struct db_txn *t, void *arg)
{
	struct registry_repo now;

	return registry_now(t, ((const struct upload *)arg)->repo.uid, &now);
}

static int make(struct upload *u, const struct writing_act *act)
{
	struct db *db = u->ask->server->rights.db;
	int r = u->ask->received;

	if (r == 0)
		r = ndjson_end(u->lines, &u->why);
	if (r == 0)
		r = look_up(u);
	if (r == 0)
		r = commit_check(db, &u->plan, &u->why);
	if (r == 0)
		r = keep_staged(u);
	if (r == 0)
		r = commit_make(writing_db(u->ask, act), &u->plan, u->commit, &u->why);
	if (r == ERR_NOREV && db_read(db, look_for_repo, u) == ERR_NOREPO)
		r = ERR_NOREPO;
	return r;
}

/* Whether they may do it was asked before the body came, which may have taken hours. */
static int check_again(struct upload *u)
{
	const struct writing_act act = { "commit", &u->repo.id, NULL, u->plan.branch };
	int r;

	if (u->asked_again)
		return 0;
	u->asked_again = true;
	r = admit_again(u->ask);
	return auth_refuses(r) ? writing_note_failure(u->ask, &act, r) : r;
}

static int finish(struct upload *u)
{
	struct writing_act act = { "commit", &u->repo.id, u->commit,
				   u->plan.apart ? u->plan.ref : u->plan.branch };
	int r = make(u, &act);

	act.commit = r < 0 ? NULL : u->commit;
	if (r < 0)
		return refuse(u, &act, r);
	if (writing_made(u->ask))
		r = writing_done(u->ask, &act);
	if (r == 0)
		answer_made(u);
	return r;
}

/* ---- the request ---- */

static int plan_pull(struct upload *u)
{
	int r = writing_payer(u->ask, u->payer);

	if (r == 1)
		u->plan.payer = u->payer;
	return r < 0 ? r : pull_commit_plan(&u->pull, &u->plan);
}

/* Where it goes: to a pull request, for which who may read may do it; or to a branch, for which one
 * must be allowed to write. */
static int find_ref(struct upload *u)
{
	struct ask *a = u->ask;
	const char *rev = a->asked.target.rev;
	bool opens = target_flag(a->asked.query, "create_pr");
	int r = 0;

	u->pull.num = discussion_of_ref(rev);
	u->pull.user = a->who.user;
	u->pulls = opens || u->pull.num;
	snprintf(u->plan.branch, sizeof(u->plan.branch), "%s%s",
		 u->pull.num ? "" : REGISTRY_BRANCHES, rev);
	if (u->pulls && u->repo.discussions_disabled) {
		answer_refuse(a, 403, "Pull requests are disabled for this repo");
		return ANSWERED;
	}
	if (opens && u->pull.num) {
		answer_refuse(a, 400, "A pull request is for a branch, not for another one");
		return ANSWERED;
	}
	if (u->pull.num)
		r = pull_may_commit(a, &u->repo, u->pull.num);
	else if (!opens)
		r = writing_needs(a, ROLE_WRITE);
	return r != 0 || !u->pulls ? r : plan_pull(u);
}

/* What is open at once must fit: who says how much is coming has room for it, or is told now. */
static int promise(struct upload *u)
{
	const struct writing_act act = { "commit", &u->repo.id, NULL, u->plan.branch };
	struct server *s = u->ask->server;
	int64_t length = u->ask->asked.body_length;
	uint64_t bytes = length > 0 ? (uint64_t)length : 0;
	int r = server_room(s, bytes);

	if (r == 0)
		r = intake_promise(s->intake, bytes);
	if (r == 0)
		u->promised = bytes;
	if (r != ERR_READ_ONLY)
		return r;
	writing_refuse(u->ask, &act, 507,
		       "there is no room on this hub's disk for the %ju bytes of this commit",
		       (uintmax_t)bytes);
	return ANSWERED;
}

static int begin(struct ask *a)
{
	static const struct ndjson_events events = { take_header, take_bytes, take_op };
	struct upload *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	a->kept = u;
	a->free_kept = upload_free;
	u->ask = a;
	r = ndjson_new(&events, u, &u->lines);
	if (r == 0)
		r = writing_repo(a, &u->repo);
	memcpy(u->plan.uid, u->repo.uid, sizeof(u->plan.uid));
	u->plan.repo = repo_key(a->repo);
	u->plan.blobs = a->server->intake;
	writing_author(a, &u->plan);
	if (r == 0)
		r = find_ref(u);
	if (r == 0)
		writing_shelve(a, u->repo.id.type, &u->shelf, &u->plan);
	return r == 0 ? promise(u) : r;
}

int upload_commit(struct ask *a)
{
	struct upload *u;
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = a->kept ? 0 : begin(a);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	u = a->kept;
	if (!ask_body(a, take_piece, u, &r))
		return r;
	/* Those of one repository one after another: none of them has to be worked out again. */
	if (!u->queued) {
		u->queued = true;
		a->aside = false;
		if (!writing_begin(a, &r))
			return r;
	}
	r = check_again(u);
	return r == 0 ? finish(u) : r;
}
