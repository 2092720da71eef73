/* SPDX-License-Identifier: Apache-2.0 */
/* What members are asked for besides bytes: POST /peer/v1/pull?repo=KEY&revision=R[&share=1] starts
 * a job that fetches it, GET /peer/v1/jobs/ID tells how far one is, and GET
 * /peer/v1/held/ETAG?size=SIZE which segments of a blob are whole here. What is asked stands in the
 * target, which is signed. */
#include "daemon/peer/serve_priv.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/jwrite.h"
#include "daemon/job_json.h"

#define SIZE_DIGITS_MAX 13

bool serve_is_work(const struct httpd_request *q)
{
	const char *path = httpd_path(q);

	return !strcmp(path, WIRE_PULL) || !strncmp(path, WIRE_JOBS, strlen(WIRE_JOBS)) ||
	       !strncmp(path, WIRE_HELD, strlen(WIRE_HELD));
}

/* Answers with what was written, which is taken. */
static void tell(const struct guest *g, struct buf *body)
{
	struct httpd_head head;

	if (serve_head(g, WIRE_TOLD, "", "", &head) < 0 || body->failed) {
		httpd_head_free(&head);
		serve_fail(g, -ENOMEM);
		return;
	}
	httpd_reply_head(g->http, &head, body);
}

/* Answers with how far a job is. */
static void tell_job(const struct guest *g, const struct serve_work *work, uint64_t id)
{
	CLEANUP(buf_free) struct buf body = { 0 };
	struct jwrite w = { .to = &body };
	struct job_progress p;

	if (work->job(work->arg, id, &p) < 0) {
		serve_cause(g, WIRE_NOT_HERE, "job");
		return;
	}
	job_write(&p, &w);
	tell(g, &body);
}

static bool is_size(const char *text)
{
	size_t digits = text ? strspn(text, "0123456789") : 0;

	return digits > 0 && digits <= SIZE_DIGITS_MAX && !text[digits];
}

/* What is our own is told to nobody: who may have it is not asked here. */
static void tell_held(const struct guest *g, const struct serve_work *work)
{
	CLEANUP(buf_free) struct buf body = { 0 };
	const char *etag = httpd_path(g->http) + strlen(WIRE_HELD);
	const char *text = httpd_query(g->http, "size");
	uint64_t size = is_size(text) ? strtoull(text, NULL, 10) : UINT64_MAX;

	if (!wire_is_etag(etag) || size > WIRE_SIZE_MAX)
		serve_no_sense(g, "held", "it names no blob, or no size of one");
	else if (store_has_own(g->serve->conf.store, etag, size))
		serve_fail(g, -ENOENT);
	else if (work->held(work->arg, etag, size, &body) < 0)
		serve_fail(g, -ENOMEM);
	else
		tell(g, &body);
}

static void start_pull(const struct guest *g, const struct serve_work *work)
{
	const char *repo = httpd_query(g->http, "repo");
	const char *revision = httpd_query(g->http, "revision");
	const char *share = httpd_query(g->http, "share");
	struct repo_id id;
	uint64_t job;
	int r;

	if (!repo || !revision || repo_id_parse_key(repo, &id) < 0 || !revision_valid(revision)) {
		serve_no_sense(g, "pull", "its repo or its revision is none");
		return;
	}
	r = work->pull(work->arg, &id, revision, share && !strcmp(share, "1"), &job);
	if (r < 0)
		serve_fail(g, r);
	else
		tell_job(g, work, job);
}

void serve_some_work(const struct guest *g)
{
	const struct serve_work *work = atomic_load(&g->serve->work);
	const char *path = httpd_path(g->http);
	bool is_pull = !strcmp(path, WIRE_PULL);
	const char *method = is_pull ? "POST" : "GET";
	const char *id = path + strlen(WIRE_JOBS);

	if (!work)
		serve_cause(g, WIRE_BUSY, "starting");
	else if (strcmp(httpd_method(g->http), method) != 0)
		serve_other_method(g, method);
	else if (is_pull)
		start_pull(g, work);
	else if (!strncmp(path, WIRE_HELD, strlen(WIRE_HELD)))
		tell_held(g, work);
	else if (!*id || strlen(id) > 18 || id[strspn(id, "0123456789")])
		serve_cause(g, WIRE_NOT_HERE, "job");
	else
		tell_job(g, work, strtoull(id, NULL, 10));
}
