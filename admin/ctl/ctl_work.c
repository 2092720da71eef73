/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_work.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "admin/ctl/ctl_print.h"
#include "admin/ctl/ctl_watch.h"
#include "daemon/base/url.h"
#include "daemon/base/why.h"

#define FOLLOW_MS 1000

const char ctl_shape_job[] =
	"id kind state what files_done files_total bytes_done:size bytes_total:size error "
	"started:time ended:time";
const char ctl_shape_collected[] =
	"dry_run complete blobs bytes:size objects uploads spared mended left_alone looked "
	"began:time ended:time"
	";items what id repo bytes:size why";
const char ctl_shape_scrubbed[] =
	"complete blobs bytes:size damaged missing healed began:time ended:time;lost etag state";
const char ctl_shape_token[] = "user name role grants expires:time created:time";
const char ctl_shape_record[] =
	"time kind act user token address repo file bytes:size outcome why note";

/* --- pull */

static int complain_job(struct ctl *c, const struct jval *job, const char *state)
{
	const char *error = jval_get_str(job, "error");

	return complain_ended(&c->why, "Job %lld %s %s%s%s", (long long)jval_get_size(job, "id"),
			      strcmp(state, "failed") ? "was" : "has", state, error ? ": " : "",
			      error ? error : "");
}

static int end_pull(struct ctl *c, const struct jval *job, const char *state)
{
	if (!strcmp(state, "done") || !strcmp(state, "running"))
		return ctl_show(c, ctl_shape_job, job);
	if (c->json && ctl_show(c, "", job) < 0)
		return -EIO;
	return complain_job(c, job, state);
}

/* How a job has ended; borrowed from it. */
static const char *state_of(const struct jdoc *job)
{
	const char *state = jval_get_str(jdoc_root(job), "state");

	return state ? state : "lost";
}

/* Of all nodes: a table of how it ended. */
static int end_nodes(struct ctl *c, const struct jval *job, const char *state)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	int r = ctl_watch_nodes(c, jval_get_size(job, "id"), &d);

	if (r == 0)
		r = ctl_show(c, ";nodes address state files_done files_total bytes_done:size error",
			     jdoc_root(d));
	return r < 0 || !strcmp(state, "done") ? r : complain_job(c, job, state);
}

int ctl_pull(struct ctl *c)
{
	bool nodes = ctl_option(c->line, "nodes") != NULL;
	CLEANUP(jdoc_freep) struct jdoc *job = NULL;
	int r = ctl_post(c, NULL, NULL, &job);

	if (r < 0)
		return r;
	if (ctl_option(c->line, "no-wait"))
		return ctl_show(c, ctl_shape_job, jdoc_root(job));
	r = ctl_watch(c, nodes, &job);
	if (r < 0)
		return r;
	return (nodes ? end_nodes : end_pull)(c, jdoc_root(job), state_of(job));
}

int ctl_pull_job(struct ctl *c, struct jdoc **ret)
{
	int r = ctl_post(c, NULL, NULL, ret);

	if (r == 0)
		r = ctl_watch(c, false, ret);
	if (r < 0)
		return r;
	return !strcmp(state_of(*ret), "done") ? 0
					       : complain_job(c, jdoc_root(*ret), state_of(*ret));
}

/* --- collect, scrub */

/* Starts a job, and tells what is found at that path when it is done. */
static int run_job(struct ctl *c, const char *path, struct jdoc **ret)
{
	CLEANUP(jdoc_freep) struct jdoc *job = NULL;
	int r = ctl_post(c, NULL, NULL, &job);

	if (r < 0)
		return r;
	if (ctl_option(c->line, "no-wait"))
		return ctl_show(c, ctl_shape_job, jdoc_root(job));
	r = ctl_watch(c, false, &job);
	if (r < 0)
		return r;
	if (strcmp(state_of(job), "done") != 0)
		return end_pull(c, jdoc_root(job), state_of(job));
	return ctl_ask(c, "GET", path, NULL, ret);
}

int ctl_collect(struct ctl *c)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	bool dry = ctl_option(c->line, "dry-run") != NULL;
	int r = run_job(c, dry ? "/collect?dry_run=true" : "/collect", &d);

	return r < 0 || !d ? r : ctl_show(c, ctl_shape_collected, jdoc_root(d));
}

int ctl_scrub(struct ctl *c)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	int r = run_job(c, "/scrub", &d);

	if (r == 0 && d)
		r = ctl_show(c, ctl_shape_scrubbed, jdoc_root(d));
	if (r < 0 || !d || !jval_count(jval_get(jdoc_root(d), "lost")))
		return r;
	return complain_ended(&c->why, "Uploads are damaged or missing: %zu",
			      jval_count(jval_get(jdoc_root(d), "lost")));
}

/* A matrixfs tells what it found in the job itself. */
int ctl_scrub_node(struct ctl *c)
{
	static const char shape[] = "id kind state bytes_done:size bytes_total:size repaired bad "
				    "error started:time ended:time";
	CLEANUP(jdoc_freep) struct jdoc *job = NULL;
	int64_t bad;
	int r = ctl_post(c, NULL, NULL, &job);

	if (r < 0 || ctl_option(c->line, "no-wait"))
		return r < 0 ? r : ctl_show(c, shape, jdoc_root(job));
	r = ctl_watch(c, false, &job);
	if (r == 0)
		r = ctl_show(c, shape, jdoc_root(job));
	bad = r == 0 ? jval_get_size(jdoc_root(job), "bad") : 0;
	return bad > 0 ? complain(&c->why, "Damaged and not repaired: %lld.", (long long)bad) : r;
}

/* --- peers */

int ctl_forgive(struct ctl *c)
{
	CLEANUP(buf_free) struct buf line = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	int r = ctl_post(c, NULL, NULL, &d);

	if (r < 0)
		return r;
	if (c->json)
		return ctl_show(c, "", jdoc_root(d));
	buf_add_str(&line, jval_bool(jval_get(jdoc_root(d), "forgiven")) > 0
				   ? "bans are taken back\n"
				   : "nobody was banned\n");
	return ctl_put(c, &line);
}

/* --- tokens */

int ctl_token_create(struct ctl *c)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct buf line = { 0 };
	const char *value;
	int r = ctl_post(c, NULL, NULL, &d);

	if (r < 0)
		return r;
	if (c->json)
		return ctl_show(c, "", jdoc_root(d));
	value = jval_get_str(jdoc_root(d), "token");
	if (!value)
		return complain(&c->why, "The hub's answer has no token in it.");
	buf_printf(&line, "%s\n", value);
	r = ctl_put(c, &line);
	if (line.data)
		explicit_bzero(line.data, line.cap);
	buf_free(&line);
	if (c->tty)
		fputs("This is the only time it is shown.\n", c->err);
	return r;
}

int ctl_token_import(struct ctl *c)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	char *secret = NULL;
	int r = ctl_hub_secret(ctl_option(c->line, "secret-file"), &secret, &c->why);

	if (r == 0)
		r = ctl_post(c, "secret", secret, &d);
	ctl_hub_wipe(secret);
	return r < 0 ? r : ctl_show(c, ctl_shape_token, jdoc_root(d));
}

/* --- audit */

static int show_records(struct ctl *c, const struct jval *items, bool first)
{
	CLEANUP(ctl_grid_fini) struct ctl_grid g = { .shape = ctl_shape_record };
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < jval_count(items); i++) {
		if (!c->json) {
			ctl_grid_add(&g, jval_at(items, i));
			continue;
		}
		r = jdoc_print(jval_at(items, i), NULL, NULL, &text);
		buf_add_str(&text, "\n");
	}
	if (r < 0)
		return r;
	ctl_grid_print(&g, &text);
	/* The heading of what follows is the one above. */
	if (!c->json && !first && text.len) {
		const char *rows = strchr(buf_str(&text), '\n') + 1;
		size_t head = (size_t)(rows - text.data);

		memmove(text.data, rows, text.len - head + 1);
		text.len -= head;
	}
	return ctl_put(c, &text);
}

static int tail_once(struct ctl *c, struct buf *path, bool first)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	int r = ctl_ask(c, "GET", buf_str(path), NULL, &d);
	const char *cursor;

	if (r < 0)
		return r;
	r = show_records(c, jval_get(jdoc_root(d), "items"), first);
	cursor = jval_get_str(jdoc_root(d), "cursor");
	if (r < 0 || !cursor)
		return r;
	buf_clear(path);
	buf_add_str(path, "/audit?cursor=");
	return url_encode(path, cursor, 0);
}

int ctl_audit_tail(struct ctl *c)
{
	const char *count = ctl_option(c->line, "count");
	CLEANUP(buf_free) struct buf path = { 0 };
	int r;

	buf_printf(&path, "/audit?last=%s", count ? count : "20");
	r = path.failed ? path.failed : tail_once(c, &path, true);
	while (r == 0 && ctl_option(c->line, "follow")) {
		ctl_nap(FOLLOW_MS);
		r = tail_once(c, &path, false);
	}
	return r;
}

int ctl_audit_verify(struct ctl *c)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	int r = ctl_ask(c, "GET", "/audit/verify", NULL, &d);

	if (r == 0)
		r = ctl_show(c, c->line->verb->shape, jdoc_root(d));
	if (r == 0 && jval_bool(jval_get(jdoc_root(d), "whole")) != 1)
		return complain(&c->why,
				"The audit trail is not whole: the places are named above.");
	return r;
}

int ctl_audit_export(struct ctl *c)
{
	const char *file = ctl_option(c->line, "output");
	CLEANUP(closep) int fd = -1;
	CLEANUP(buf_free) struct buf path = { 0 };
	int r = ctl_path(c, &path);

	if (r < 0)
		return r;
	if (!file)
		return ctl_hub_copy(&c->hub, buf_str(&path), fileno(c->out), &c->why);
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return complain(&c->why, "The file %s cannot be made: %s.", file, err_text(-errno));
	return ctl_hub_copy(&c->hub, buf_str(&path), fd, &c->why);
}
