/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/ctl/ctl_pace.h"
#include "admin/ctl/ctl_print.h"
#include "daemon/base/clock.h"
#include "daemon/base/num.h"
#include "daemon/base/why.h"

#define POLL_MS 250
#define PATIENCE_MS 30000 /* who is replaced is back long before */
#define AGAIN_MAX 5       /* times that a job is begun anew, and brings nothing more */
#define BAR_WIDTH 24
#define PATH_CHARS_MAX 64
#define ADDRESS_WIDTH 22   /* of a node */
#define NODES_DRAWN_MAX 40 /* at once; the table at the end has all */

struct watch {
	struct ctl *c;
	bool nodes; /* each is shown */
	struct ctl_pace pace;
	unsigned lines; /* of nodes that were drawn last */
	unsigned again; /* how often it was begun anew since it had ... */
	int64_t most;   /* bytes, more than ever before */
	struct ctl_pace paces[NODES_DRAWN_MAX];
};

/* --- how far it is */

int ctl_watch_nodes(struct ctl *c, int64_t id, struct jdoc **ret)
{
	char path[PATH_CHARS_MAX];

	snprintf(path, sizeof(path), "/jobs/%lld/nodes", (long long)id);
	return ctl_ask(c, "GET", path, NULL, ret);
}

/* Appends how far a job is, or a part of it; false if it does not know how much there is. */
static bool add_bar(const struct jval *job, struct ctl_pace *pace, struct buf *ret)
{
	int64_t done = jval_get_size(job, "bytes_done"), total = jval_get_size(job, "bytes_total");

	if (total <= 0 || done < 0)
		return false;
	ctl_print_bar((uint64_t)done, (uint64_t)total,
		      ctl_pace_look(pace, clock_ms(), (uint64_t)done), BAR_WIDTH, ret);
	return true;
}

/* Over the line before it, on a terminal. */
static void draw_line(const struct ctl *c, const char *text)
{
	if (!c->tty)
		return;
	fprintf(c->err, "\r%s\033[K", text);
	fflush(c->err);
}

static void draw(struct watch *w, const struct jval *job)
{
	CLEANUP(buf_free) struct buf line = { 0 };

	if (!add_bar(job, &w->pace, &line))
		buf_add_str(&line, "asking for the list of files");
	draw_line(w->c, buf_str(&line));
}

static void draw_node(struct ctl *c, const struct jval *node, struct ctl_pace *pace)
{
	const char *state = jval_get_str(node, "state"), *error = jval_get_str(node, "error");
	const char *address = jval_get_str(node, "address");
	CLEANUP(buf_free) struct buf line = { 0 };

	ctl_print_text(address ? address : "", &line);
	while (line.len < ADDRESS_WIDTH)
		buf_add_str(&line, " ");
	buf_add_str(&line, " ");
	if (error)
		ctl_print_text(error, &line);
	else if (!add_bar(node, pace, &line))
		buf_add_str(&line,
			    state && !strcmp(state, "done") ? "nothing to fetch" : "waiting");
	fprintf(c->err, "%s\033[K\n", buf_str(&line));
}

/* All of them, over those drawn before. */
static int draw_nodes(struct watch *w, const struct jval *job)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct ctl *c = w->c;
	const struct jval *nodes;
	int r;

	if (!c->tty)
		return 0;
	r = ctl_watch_nodes(c, jval_get_size(job, "id"), &d);
	if (r < 0)
		return r;
	nodes = jval_get(jdoc_root(d), "nodes");
	if (w->lines)
		fprintf(c->err, "\033[%uA", w->lines);
	w->lines = (unsigned)min_u64(jval_count(nodes), NODES_DRAWN_MAX);
	for (unsigned i = 0; i < w->lines; i++)
		draw_node(c, jval_at(nodes, i), &w->paces[i]);
	fflush(c->err);
	return 0;
}

/* --- whether it is the one that was started */

/* Another daemon counts its jobs from one again. */
static bool is_same(const struct jval *a, const struct jval *b)
{
	double began_a = 0, began_b = 0;

	return jval_get_size(a, "id") == jval_get_size(b, "id") &&
	       jval_real(jval_get(a, "started"), &began_a) &&
	       jval_real(jval_get(b, "started"), &began_b) && began_a == began_b;
}

/* It was not canceled by anybody: who did it stops. */
static bool ended_with_daemon(const struct jval *job)
{
	const char *error = jval_get_str(job, "error"), *stopping = err_text(ERR_STOPPING);

	return error && !strncmp(error, stopping, strlen(stopping));
}

static void note_progress(struct watch *w, const struct jval *job)
{
	int64_t done = jval_get_size(job, "bytes_done");

	if (done <= w->most)
		return;
	w->most = done;
	w->again = 0;
}

/* Asks how it is: ERR_STOPPING if its daemon ends with it, -ENOENT if that has. */
static int ask(struct watch *w, struct jdoc **job)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	char path[PATH_CHARS_MAX];
	int r;

	snprintf(path, sizeof(path), "/jobs/%lld", (long long)jval_get_size(jdoc_root(*job), "id"));
	r = ctl_ask(w->c, "GET", path, NULL, &d);
	if (r < 0)
		return r;
	if (!is_same(jdoc_root(*job), jdoc_root(d)))
		return -ENOENT;
	if (ended_with_daemon(jdoc_root(d)))
		return complain_as(ERR_STOPPING, &w->c->why, "It stops, and its jobs with it.");
	jdoc_free(*job);
	*job = steal(d);
	note_progress(w, jdoc_root(*job));
	if (w->nodes)
		return draw_nodes(w, jdoc_root(*job));
	draw(w, jdoc_root(*job));
	return 0;
}

/* One look; a job that is gone with its daemon is started again: what it has brought is here. But
 * not for ever: it may be the job that ends its daemon, with all who read there. */
static int look(struct watch *w, struct jdoc **job)
{
	struct jdoc *again = NULL;
	int r = ask(w, job);

	if (r != -ENOENT)
		return r;
	if (++w->again > AGAIN_MAX)
		return complain_as(r, &w->c->why,
				   "The job was lost %u times, and no more of it is there: see the "
				   "log of what it was asked of.",
				   w->again);
	buf_clear(&w->c->why);
	r = ctl_post(w->c, NULL, NULL, &again);
	if (r < 0)
		return r;
	jdoc_free(*job);
	*job = again;
	w->pace = (struct ctl_pace){ 0 };
	memset(w->paces, 0, sizeof(w->paces));
	return 0;
}

/* True for what another daemon in its place makes good. */
static bool passes(int r)
{
	return r == ERR_UPSTREAM || r == ERR_CUT || r == ERR_STOPPING || r == ERR_BUSY;
}

int ctl_watch(struct ctl *c, bool nodes, struct jdoc **job)
{
	struct watch w = { .c = c, .nodes = nodes };
	int64_t heard_ms = clock_ms();
	const char *state;

	for (;; ctl_nap(POLL_MS)) {
		int r = look(&w, job);

		if (r < 0 && (!passes(r) || clock_ms() - heard_ms > PATIENCE_MS))
			return r;
		if (r < 0) {
			buf_clear(&c->why);
			draw_line(c, "it is away for a moment");
			continue;
		}
		heard_ms = clock_ms();
		state = jval_get_str(jdoc_root(*job), "state");
		if (!state || strcmp(state, "running") != 0)
			break;
	}
	if (!nodes)
		draw_line(c, "");
	return 0;
}
