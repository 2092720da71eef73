/* SPDX-License-Identifier: Apache-2.0 */
/* Things to do, and how far they are: pulls, pins, eviction, scrubs, and the jobs they become. */
#include "daemon/control/control_priv.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/job_json.h"

#define KEEP_ALIVE_MS 15000 /* a stream with no news says so: proxies close silent ones */
#define WATCHERS_MAX 64     /* of jobs, at once */

/* --- what a request asks for */

static int parse_type(const char *text, enum repo_type *ret)
{
	for (int t = 0; t < REPO_TYPE_COUNT; t++) {
		const char *plural = repo_type_plural((enum repo_type)t);
		size_t len = strlen(plural) - 1;

		if (strncmp(text, plural, len) == 0 && (!text[len] || !strcmp(text + len, "s"))) {
			*ret = (enum repo_type)t;
			return 0;
		}
	}
	return -EINVAL;
}

/* A member that is a text; `otherwise` if it is not there. NULL if it is something else. */
static const char *text_of(const struct jval *object, const char *key, const char *otherwise)
{
	const struct jval *v = jval_get(object, key);

	return v ? jval_str(v) : otherwise;
}

/* The one thing that is wrong with a wish, or NULL. */
static const char *parse_words(const char *repo, const char *type, const char *revision,
			       struct control_wish *ret)
{
	enum repo_type t;

	if (!type || parse_type(type, &t) < 0)
		return "\"type\" must be \"model\", \"dataset\" or \"space\"";
	if (!repo || repo_id_parse(t, repo, &ret->id) < 0)
		return "\"repo\" must be a repository, as \"org/name\"";
	if (!revision || strlen(revision) >= sizeof(ret->revision) || !revision_valid(revision))
		return "\"revision\" must be a branch, a tag or a commit";
	memcpy(ret->revision, revision, strlen(revision) + 1);
	return NULL;
}

static const char *parse_wish(const struct jval *root, struct control_wish *ret)
{
	return parse_words(text_of(root, "repo", NULL), text_of(root, "type", "model"),
			   text_of(root, "revision", "main"), ret);
}

int control_query_wish(struct httpd_request *q, struct control_wish *ret)
{
	const char *type = httpd_query(q, "type"), *revision = httpd_query(q, "revision");
	const char *problem = parse_words(httpd_query(q, "repo"), type ? type : "model",
					  revision ? revision : "main", ret);

	if (!problem)
		return 0;
	control_refuse(q, 400, "bad_request", "%s", problem);
	return -EINVAL;
}

/* What only a pull may say besides. */
#define PULL_MEMBERS 2

static const char *parse_pull(const struct jval *root, struct control_wish *ret)
{
	const char *nodes = text_of(root, "nodes", "");
	const struct jval *share = jval_get(root, "share");

	if (!nodes || (*nodes && strcmp(nodes, "all") != 0))
		return "\"nodes\" must be \"all\"";
	if (share && jval_bool(share) < 0)
		return "\"share\" must be true or false";
	ret->all_nodes = *nodes;
	ret->share = share && jval_bool(share) > 0;
	return NULL;
}

/* 0, or -EINVAL after having answered. */
static int take_wish(struct httpd_request *q, bool pull, struct control_wish *ret)
{
	static const char *const known[] = { "repo", "type", "revision", "nodes", "share" };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const char *problem;

	*ret = (struct control_wish){ .revision = "" };
	if (control_take_object(q, known, ARRAY_LEN(known) - (pull ? 0 : PULL_MEMBERS), &d) < 0)
		return -EINVAL;
	problem = parse_wish(jdoc_root(d), ret);
	if (!problem && pull)
		problem = parse_pull(jdoc_root(d), ret);
	if (!problem)
		return 0;
	control_refuse(q, 400, "bad_request", "%s", problem);
	return -EINVAL;
}

/* --- jobs as JSON */

static void reply_job(struct control *c, struct httpd_request *q, int status, uint64_t id)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };
	struct job_progress p;
	int r = keeper_job(c->conf.keeper, id, &p);

	if (r < 0) {
		control_refuse(q, 404, "no_job", "there is no such job");
		return;
	}
	job_write(&p, &w);
	control_reply(q, status, &b);
}

/* --- things to do */

static void reply_started(struct control *c, struct httpd_request *q, int r, uint64_t id)
{
	if (r < 0)
		control_fail(q, r);
	else
		reply_job(c, q, 202, id);
}

void control_pull(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	const struct control_conf *conf = &c->conf;
	struct control_wish w;
	uint64_t id = 0;
	int r;

	if (take_wish(q, true, &w) < 0)
		return;
	if ((w.all_nodes || w.share) && !control_peers_of(c, q))
		return;
	if (w.all_nodes)
		r = warmup_start(conf->warmups, &w.id, w.revision, w.share, &id);
	else if (w.share)
		r = keeper_share(conf->keeper, &w.id, w.revision, &id);
	else
		r = keeper_pull(conf->keeper, &w.id, w.revision, false, &id);
	reply_started(c, q, r, id);
}

void control_pin(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	struct control_wish w;
	uint64_t id = 0;
	int r;

	if (take_wish(q, false, &w) < 0)
		return;
	r = keeper_pull(c->conf.keeper, &w.id, w.revision, true, &id);
	reply_started(c, q, r, id);
}

void control_unpin(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct control_wish wish;
	int r;

	if (take_wish(q, false, &wish) < 0)
		return;
	r = keeper_unpin(c->conf.keeper, &wish.id, wish.revision);
	if (r == -ENOENT) {
		control_refuse(q, 404, "no_pin", "there is no such pin");
	} else if (r < 0) {
		control_fail(q, r);
	} else {
		buf_add_str(&b, "{}");
		control_reply(q, 200, &b);
	}
}

void control_refuse_unknown(struct httpd_request *q, const struct control_wish *wish, int r)
{
	char repo[REPO_KEY_MAX + 1];

	repo_id_key(&wish->id, repo);
	if (r == ERR_NOREPO)
		control_refuse(q, 404, "no_repository", "nothing of %s is known here", repo);
	else if (r == ERR_NOREV)
		control_refuse(q, 404, "no_revision", "nothing of %s@%s is known here", repo,
			       wish->revision);
	else
		control_fail(q, r);
}

void control_evict(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };
	uint64_t freed = 0;
	struct control_wish wish;
	int r;

	if (take_wish(q, false, &wish) < 0)
		return;
	r = keeper_evict(c->conf.keeper, &wish.id, wish.revision, &freed);
	if (r < 0) {
		control_refuse_unknown(q, &wish, r);
		return;
	}
	jwrite_object(&w, NULL);
	jwrite_uint(&w, "freed_bytes", freed);
	jwrite_object_end(&w);
	control_reply(q, 200, &b);
}

/* The rate a scrub is asked to keep, or -EINVAL after having answered. No body at all: as fast as
 * it goes. */
static int64_t take_scrub_rate(struct httpd_request *q)
{
	static const char *const known[] = { "bytes_per_second" };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	if (httpd_body(q)->len == 0)
		return 0;
	if (control_take_object(q, known, ARRAY_LEN(known), &d) < 0)
		return -EINVAL;
	return control_take_rate(q, jdoc_root(d), known[0], 0);
}

void control_scrub(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	int64_t rate = take_scrub_rate(q);
	uint64_t id;
	int r;

	if (rate < 0)
		return;
	r = keeper_scrub(c->conf.keeper, (uint64_t)rate, &id);
	if (r < 0)
		control_fail(q, r);
	else
		reply_job(c, q, 202, id);
}

/* --- jobs */

static int write_one(void *arg, const struct job_progress *p)
{
	job_write(p, arg);
	return 0;
}

void control_jobs(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };

	jwrite_object(&w, NULL);
	jwrite_array(&w, "jobs");
	keeper_each_job(c->conf.keeper, write_one, &w);
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	control_reply(q, 200, &b);
}

/* The id in a path; 0, which no job has, if it is none. */
static uint64_t parse_id(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits < 20 && !text[digits] ? strtoull(text, NULL, 10) : 0;
}

void control_job(struct control *c, struct httpd_request *q, const char *rest)
{
	reply_job(c, q, 200, parse_id(rest));
}

void control_job_nodes(struct control *c, struct httpd_request *q, const char *rest)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };

	if (warmup_write(c->conf.warmups, parse_id(rest), &w) < 0)
		control_refuse(q, 404, "no_job", "there is no such job of all nodes");
	else
		control_reply(q, 200, &b);
}

void control_cancel_job(struct control *c, struct httpd_request *q, const char *rest)
{
	uint64_t id = parse_id(rest);
	struct job_progress p;

	if (keeper_cancel_job(c->conf.keeper, id) < 0 && keeper_job(c->conf.keeper, id, &p) == 0)
		control_refuse(q, 409, "not_running", "this job has ended");
	else
		reply_job(c, q, 202, id);
}

/* --- events: the job whenever it has changed, until it has ended */

struct events {
	struct control *c;
	struct job_progress last;
	bool begun;
	int64_t told_ms;
};

static bool is_news(const struct events *e, const struct job_progress *p)
{
	const struct job_progress *l = &e->last;

	return !e->begun || p->state != l->state || p->files_done != l->files_done ||
	       p->files_total != l->files_total || p->bytes_done != l->bytes_done ||
	       p->bytes_total != l->bytes_total || p->repaired != l->repaired || p->bad != l->bad ||
	       p->error != l->error;
}

static int next_event(void *arg, struct buf *ret)
{
	struct events *e = arg;
	struct jwrite w = { .to = ret };
	struct job_progress p;

	if (keeper_job(e->c->conf.keeper, e->last.id, &p) < 0)
		return 1; /* so long ended that it was forgotten */
	if (!is_news(e, &p)) {
		if (clock_ms() - e->told_ms >= KEEP_ALIVE_MS) {
			e->told_ms = clock_ms();
			buf_add_str(ret, ": still there\n\n");
		}
		return ret->failed;
	}
	e->last = p;
	e->begun = true;
	e->told_ms = clock_ms();
	buf_printf(ret, "event: %s\ndata: ", p.state == JOB_RUNNING ? "progress" : "end");
	job_write(&p, &w);
	buf_add_str(ret, "\n\n");
	return ret->failed ? ret->failed : p.state != JOB_RUNNING;
}

static void end_events(void *arg)
{
	struct events *e = arg;

	atomic_fetch_sub(&e->c->watchers, 1);
	free(e);
}

/* Who watches holds a connection for as long as the job takes: others must find one, too. */
static int begin_events(struct control *c, uint64_t id, struct events **ret)
{
	struct events *e = calloc(1, sizeof(*e));
	int r = -ENOMEM;

	if (!e)
		return r;
	e->c = c;
	r = keeper_job(c->conf.keeper, id, &e->last);
	if (r == 0 && atomic_fetch_add(&c->watchers, 1) >= WATCHERS_MAX) {
		atomic_fetch_sub(&c->watchers, 1);
		r = -EAGAIN;
	}
	if (r < 0)
		free(e);
	else
		*ret = e;
	return r;
}

void control_job_events(struct control *c, struct httpd_request *q, const char *rest)
{
	struct httpd_stream stream = { next_event, end_events, NULL };
	struct events *e = NULL;
	int r = begin_events(c, parse_id(rest), &e);

	stream.arg = e;
	if (r == 0)
		httpd_reply_stream(q, "text/event-stream", &stream);
	else if (r == -ENOENT)
		control_refuse(q, 404, "no_job", "there is no such job");
	else if (r == -EAGAIN)
		control_refuse(q, 503, "busy", "%d clients watch jobs already: ask GET /v1/jobs/%s",
			       WATCHERS_MAX, rest);
	else
		control_fail(q, r);
}
