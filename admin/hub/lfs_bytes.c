/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/lfs_bytes.h"

#include <errno.h>
#include <inttypes.h>

#include "admin/hub/answer.h"
#include "admin/hub/condition.h"
#include "admin/hub/range.h"
#include "admin/health.h"
#include "admin/registry/intake.h"
#include "admin/hub/lfs_asked.h"
#include "admin/hub/lfs_link.h"
#include "admin/registry/parts.h"
#include "admin/registry/renaming.h"
#include "admin/hub/trace.h"
#include "admin/registry/holdings.h"
#include "admin/registry/uploads.h"
#include "admin/hub/writing.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/why.h"

#define REFUSED 1 /* it was answered */

/* A file that comes. */
struct upload {
	struct lfs_link link;
	struct intake_file *file; /* a whole one, */
	struct part *part;        /* or a part of one */
};

static void upload_free(void *arg)
{
	struct upload *u = arg;

	intake_drop(u->file);
	part_drop(u->part);
	lfs_link_fini(&u->link);
	free(u);
}

/* Who was given it, and what its repository is called now. */
static int find_bearer(const struct ask *a, const struct lfs_link *l, struct identity *who,
		       struct repo_names *names)
{
	struct known *k = node_known(a->server->node);
	struct repo *repo = NULL;
	struct repo_id id;
	int r = repo_id_parse_key(l->repo, &id);

	if (r == 0)
		repo = known_repo(k, &id);
	if (!repo || !repo_is_hosted(repo))
		return ERR_NOREPO;
	known_names(k, repo, names);
	return *l->user ? auth_recall(a->server->auth, l->user, l->token, who) : r;
}

/* A link is good for hours, a right that was taken back for no moment: who was given it must have
 * the right still. -EACCES. */
static int check_right(struct ask *a, const struct lfs_link *l, struct buf *why)
{
	CLEANUP(identity_fini) struct identity who = { 0 };
	enum gate_status status;
	struct repo_names names;
	int r = find_bearer(a, l, &who, &names);

	if (r == ERR_NOREPO)
		return r;
	if (r == 0)
		r = rights_check(&a->server->rights, &who, &names,
				 l->act == LFS_GET ? ROLE_READ : ROLE_SPEAK, NULL);
	if (r == 0 && l->act == LFS_GET)
		r = rights_pass(&a->server->rights, &who, &names, &status);
	return r == ERR_TOKEN || r == ERR_NOREPO || r == ERR_FORBIDDEN || r == ERR_GATED
		       ? complain_as(-EACCES, why, "who was given this link may not do that now")
		       : r;
}

/* Reads the request's link, which must be one to do this, or that: 0; REFUSED. */
static int read_link(struct ask *a, enum lfs_act act, enum lfs_act or, struct lfs_link *ret)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = lfs_link_read(a->server->link_key, a->asked.target.path, a->asked.query,
			      clock_wall_s(), ret, &why);

	if (r == 0 && ret->act != act && ret->act != or) {
		lfs_link_fini(ret);
		r = -EACCES;
		buf_add_str(&why, "this link is for something else");
	}
	if (r == 0) {
		r = check_right(a, ret, &why);
		if (r < 0)
			lfs_link_fini(ret);
	}
	if (r != -EACCES)
		return r;
	answer_refuse(a, 403, "%s", buf_str(&why));
	return REFUSED;
}

/* ---- in ---- */

static struct parts_of parts_of(const struct lfs_link *l)
{
	return (struct parts_of){ l->repo, l->oid, l->size, l->part_bytes };
}

/* Bytes that are to come. */
static uint64_t length_of(const struct lfs_link *l)
{
	const struct parts_of of = parts_of(l);

	return l->act == LFS_PART ? parts_len(&of, l->part) : l->size;
}

static int take(void *arg, const void *data, size_t len)
{
	struct upload *u = arg;

	return u->part ? part_add(u->part, data, len) : intake_add(u->file, data, len);
}

/* Whether the head tells of a body that cannot be the file; REFUSED. */
static int check_length(struct ask *a, const struct lfs_link *l)
{
	uint64_t length = length_of(l);

	if (a->asked.body_length < 0 || (uint64_t)a->asked.body_length == length)
		return 0;
	answer_refuse(a, 400, "this must have %" PRIu64 " bytes, but %jd are sent", length,
		      (intmax_t)a->asked.body_length);
	return REFUSED;
}

static int begin_file(struct server *s, struct upload *u)
{
	const struct lfs_link *l = &u->link;
	const struct intake_want want = { DIGEST_SHA256, l->size, l->oid };
	const struct parts_of of = parts_of(l);

	return l->act == LFS_PART ? parts_begin(s->parts, &of, l->part, &u->part)
				  : intake_begin(s->intake, &want, &u->file);
}

static int begin(struct ask *a)
{
	struct upload *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	a->kept = u;
	a->free_kept = upload_free;
	r = read_link(a, LFS_PUT, LFS_PART, &u->link);
	if (r == 0)
		r = check_length(a, &u->link);
	if (r == 0)
		r = server_room(a->server, length_of(&u->link));
	return r == 0 ? begin_file(a->server, u) : r;
}

/* The repository may have got another name, or have gone, since the link was given. */
static int find_repo(struct db_txn *t, const struct lfs_link *l, char ret[static REPO_KEY_MAX + 1])
{
	struct registry_repo repo;
	struct repo_id id;
	int r = repo_id_parse_key(l->repo, &id);

	if (r == 0)
		r = renaming_get(t, &id, &repo);
	if (r == 0)
		repo_id_key(&repo.id, ret);
	return r == -ENOENT ? ERR_NOREPO : r;
}

/* The namespace of who was given the link, if they may bring files for a pull request alone; else
 * "". */
static int find_payer(const struct ask *a, const struct lfs_link *l,
		      char ret[static ACCOUNT_NAME_MAX + 1])
{
	CLEANUP(identity_fini) struct identity who = { 0 };
	struct repo_names names;
	int r = find_bearer(a, l, &who, &names);

	ret[0] = '\0';
	if (r == 0)
		r = rights_check(&a->server->rights, &who, &names, ROLE_WRITE, NULL);
	if (r == ERR_FORBIDDEN)
		account_key(l->user, ret);
	return r == ERR_FORBIDDEN ? 0 : r;
}

/* Who does it was asked when the link was given. */
static void describe(const struct ask *a, const struct lfs_link *l, const char *kind,
		     struct audit_record *ret)
{
	trace_record(a, kind, ret);
	ret->user = *l->user ? l->user : NULL;
	ret->token = *l->token ? l->token : NULL;
	ret->repo = l->repo;
	ret->file = l->oid;
	ret->size = l->size;
}

/* One that came. */
struct arrival {
	const struct ask *ask;
	const struct lfs_link *link;
	char payer[ACCOUNT_NAME_MAX + 1];
};

static int note(struct db_txn *t, void *arg)
{
	const struct arrival *v = arg;
	const struct lfs_link *l = v->link;
	char repo[REPO_KEY_MAX + 1];
	int r = find_repo(t, l, repo);

	return r < 0 ? r : uploads_note(t, repo, v->payer, l->oid, l->size, clock_wall_s());
}

static void tell(void *arg, struct audit_record *ret)
{
	const struct arrival *v = arg;

	describe(v->ask, v->link, AUDIT_UPLOAD, ret);
	ret->act = "lfs.upload";
	ret->has_bytes = true;
	ret->bytes = v->link->size;
	ret->status = 200;
	ret->outcome = AUDIT_DONE;
}

/* The blob is there: it came for that repository. */
static int note_blob(struct ask *a, const struct lfs_link *l)
{
	struct arrival v = { .ask = a, .link = l };
	int r = audit_debt_new(a->server->debts, &a->debt);

	if (r == 0)
		r = find_payer(a, l, v.payer);
	if (r == 0)
		r = db_write(audit_debt_db(a->debt, tell, &v), note, &v);
	return r == 0 ? audit_debt_pay(a->debt) : r;
}

/* It may have taken hours to come: who sent it must have the right still. REFUSED. */
static int check_again(struct ask *a, const struct lfs_link *l)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = check_right(a, l, &why);

	if (r != -EACCES)
		return r;
	answer_refuse(a, 403, "%s", buf_str(&why));
	return REFUSED;
}

static int keep(struct ask *a, struct upload *u)
{
	int r = intake_end(u->file);

	if (r == 0)
		r = check_again(a, &u->link);
	if (r == 0)
		r = intake_keep(a->server->intake, &u->file, 1);
	return r == 0 ? note_blob(a, &u->link) : r;
}

static void answer_etag(struct ask *a, const char *etag)
{
	struct httpd_head h = answer_head(a, 200, NULL);
	struct buf nothing = { 0 };

	httpd_head_add(&h, "ETag", "\"%s\"", etag);
	httpd_reply_head(a->http, &h, &nothing);
}

static int refuse_over(struct ask *a, const struct lfs_link *l)
{
	char payer[ACCOUNT_NAME_MAX + 1], namespace[ACCOUNT_NAME_MAX + 1];
	int r = find_payer(a, l, payer);

	holdings_namespace(l->repo, namespace);
	return r < 0 ? r : writing_over_quota(a, holdings_payer(payer, namespace));
}

/* What the client did wrong is not answered as a failure of ours: it would try again. */
static int refuse(struct ask *a, const struct lfs_link *l, int r)
{
	if (r == ERR_SIZE)
		answer_refuse(a, 400, "this must have %" PRIu64 " bytes, but others were sent",
			      length_of(l));
	else if (r == ERR_DIGEST)
		answer_refuse(a, 400, "the SHA-256 of what was sent is not %s", l->oid);
	else if (r == ERR_READ_ONLY)
		answer_refuse(a, 507, "there is no room on this hub's disk for %" PRIu64 " bytes",
			      length_of(l));
	else if (r == ERR_QUOTA)
		return refuse_over(a, l);
	else if (r == -EBUSY)
		answer_refuse(a, 503, "parts of this file are on their way: come back later");
	else
		return r == ERR_CUT || r == ERR_NOREPO
			       ? r
			       : log_err(r, "cannot take an upload oid=%s", l->oid);
	return 0;
}

/* All has come. */
static int end(struct ask *a, struct upload *u)
{
	char sum[PARTS_SUM_HEX + 1];
	int r = u->part ? part_end(u->part, sum) : keep(a, u);

	if (r != 0)
		return r;
	/* Before the answer: who has it may ask for the whole. */
	part_drop(steal(u->part));
	answer_etag(a, u->link.act == LFS_PART ? sum : u->link.oid);
	return 0;
}

int lfs_put(struct ask *a)
{
	struct upload *u;
	int r;

	if (!ask_aside(a, 0, &r))
		return r;
	r = a->kept ? 0 : begin(a);
	u = a->kept;
	if (r == 0 && !ask_body(a, take, u, &r))
		return r;
	if (r == 0)
		r = a->received < 0 ? a->received : end(a, u);
	if (r == REFUSED)
		return 0;
	return r < 0 && u ? refuse(a, &u->link, r) : r;
}

/* ---- parts ---- */

static int join_parts(struct ask *a, const struct lfs_link *l)
{
	const struct buf *body = httpd_body(a->http);
	CLEANUP(lfs_parts_fini) struct lfs_parts said = { 0 };
	const struct parts_of of = parts_of(l);
	const char *why;
	uint32_t number = 0;
	int r = lfs_asked_parts(buf_str(body), body->len, parts_count(&of), &said, &why);

	if (r > 0)
		answer_refuse(a, r, "%s", why);
	if (r != 0)
		return r > 0 ? REFUSED : r;
	r = parts_join(a->server->parts, &of, said.sums, &number);
	if (r != -ENODATA)
		return r;
	answer_refuse(a, 400, "part %" PRIu32 " is not here, or another", number);
	return REFUSED;
}

static int get_upload(struct db_txn *t, void *arg)
{
	const struct lfs_link *l = arg;
	char repo[REPO_KEY_MAX + 1];
	uint64_t size;
	int r = find_repo(t, l, repo);

	return r < 0 ? r : uploads_find(t, repo, l->oid, &size);
}

/* It is here already: the client has asked twice. */
static bool was_joined(struct server *s, struct lfs_link *l)
{
	return intake_has(s->intake, l->oid, l->size) && db_read(s->rights.db, get_upload, l) == 0;
}

static int join_once(struct ask *a, struct lfs_link *l)
{
	int r;

	if (was_joined(a->server, l))
		return 0;
	r = server_room(a->server, 0);
	if (r == 0)
		r = join_parts(a, l);
	if (r == 0)
		r = check_again(a, l);
	return r == 0 ? note_blob(a, l) : r;
}

int lfs_join(struct ask *a)
{
	CLEANUP(lfs_link_fini) struct lfs_link l = { 0 };
	struct buf json = { 0 };
	int r = 0;

	if (!ask_aside(a, 0, &r))
		return r;
	r = read_link(a, LFS_JOIN, LFS_JOIN, &l);
	if (r == 0)
		r = join_once(a, &l);
	if (r == REFUSED)
		return 0;
	if (r < 0)
		return refuse(a, &l, r);
	buf_printf(&json, "{\"success\":true}");
	answer_json(a, 200, &json);
	return 0;
}

/* ---- out ---- */

static void close_fd(void *arg, UNUSED uint64_t sent)
{
	close((int)(intptr_t)arg);
}

/* On record before the first byte goes out. */
static int record(struct ask *a, const struct lfs_link *l, const struct range *range)
{
	const struct audit_span span = { range->from, range->to };
	struct audit_record rec;

	describe(a, l, AUDIT_DOWNLOAD, &rec);
	return trace_bytes(a, &rec, &span, range->to > range->from, range->to - range->from);
}

static struct httpd_head file_head(const struct ask *a, const struct lfs_link *l, int status)
{
	struct httpd_head h = answer_head(a, status, "application/octet-stream");

	httpd_head_add(&h, "ETag", "\"%s\"", l->oid);
	httpd_head_add(&h, "Accept-Ranges", "bytes");
	return h;
}

static int answer_unsatisfiable(struct ask *a, const struct lfs_link *l, uint64_t size)
{
	struct httpd_head h = file_head(a, l, 416);
	struct buf nothing = { 0 };

	httpd_head_add(&h, "Content-Range", "bytes */%" PRIu64, size);
	httpd_reply_head(a->http, &h, &nothing);
	return 0;
}

/* A part, or all of it; the descriptor is taken. */
static int give_bytes(struct ask *a, const struct lfs_link *l, int *fd, uint64_t size,
		      const struct range *part)
{
	const struct range whole = { 0, size }, *range = part ? part : &whole;
	struct httpd_head h;
	int r = record(a, l, range);

	if (r < 0)
		return r;
	h = file_head(a, l, part ? 206 : 200);
	if (part)
		httpd_head_add(&h, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
			       range->from, range->to - 1, size);
	r = steal_fd(fd);
	httpd_reply_file(a->http, &h, r, range->from, range->to - range->from, close_fd,
			 (void *)(intptr_t)r);
	return 0;
}

static int give_head(struct ask *a, const struct lfs_link *l, uint64_t size)
{
	struct httpd_head h = file_head(a, l, 200);

	httpd_reply_length(a->http, &h, size);
	return 0;
}

/* One range. Who asks for several gets the whole: a server may leave a Range out of account (RFC
 * 9110, 14.2), and no client of git-lfs sends more than the one it goes on with. */
static int give(struct ask *a, const struct lfs_link *l)
{
	CLEANUP(closep) int fd = -1;
	struct ranges ranges = { 0 };
	uint64_t size;
	int r = a->asked.head ? 0 : audit_may_read(a->server->audit);

	if (r < 0)
		return r;
	fd = intake_open_blob(a->server->intake, l->oid, &size);
	if (fd < 0)
		return fd == -ENOENT ? ERR_NOENTRY : fd;
	if (answer_held_back(a, l->oid))
		return 0;
	if (a->asked.head)
		return give_head(a, l, size);
	if (condition_allows_part(a->asked.if_range, l->oid))
		r = ranges_parse(a->asked.range, size, &ranges);
	if (r == -ERANGE)
		return answer_unsatisfiable(a, l, size);
	return give_bytes(a, l, &fd, size, ranges.count == 1 ? &ranges.at[0] : NULL);
}

int lfs_get(struct ask *a)
{
	CLEANUP(lfs_link_fini) struct lfs_link l = { 0 };
	int r = read_link(a, LFS_GET, LFS_GET, &l);

	if (r == 0)
		r = give(a, &l);
	return r == REFUSED ? 0 : r;
}
