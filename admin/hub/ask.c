/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/ask.h"

#include <string.h>

#include "admin/hub/admit.h"
#include "admin/hub/answer.h"
#include "admin/hub/trace.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/base/workers.h"

#define FIRST_BYTES (64 * 1024)

static void ask_free(struct ask *a)
{
	node_close_file(a->server->node, a->file);
	ready_unref(a->trees);
	snapshot_unref(a->snapshot);
	identity_fini(&a->who);
	asked_fini(&a->asked);
	filter_unref(a->filter);
	audit_debt_free(a->debt);
	if (a->kept)
		a->free_kept(a->kept);
	free(a);
}

static void run(struct ask *a)
{
	int r = admit_ask(a);

	if (r == 0)
		r = a->run(a);
	if (r == PARKED)
		return; /* it may be gone already */
	if (r < 0)
		answer_fail(a, r);
	ask_free(a);
}

/* Who ran on a worker's thread and waited for an upstream is woken by another one, and goes there
 * again. */
static void wake(struct waiter *w, int r)
{
	struct ask *a = container_of(w, struct ask, waiter);

	a->aside = workers_run_here();
	if (r < 0 && a->dispensable)
		a->without = r;
	if (r == 0 || a->dispensable) {
		run(a);
		return;
	}
	answer_fail(a, a->repo ? r : admit_untold(a, r));
	ask_free(a);
}

static struct ask *ask_new(struct server *s, struct httpd_request *http,
			   const struct target *target, enum role role, ask_fn fn)
{
	struct ask *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->server = s;
	a->http = http;
	a->run = fn;
	a->role = role;
	a->filter = filter_hold(&s->filter);
	a->emptied = ready_emptied(s->ready);
	asked_read(s, http, target, &a->asked);
	waiter_init(&a->waiter, s->timeout_ms, wake);
	return a;
}

/* `authorization` is what it says of who asks, or NULL. */
static void start(struct server *s, struct httpd_request *http, const struct target *target,
		  enum role role, ask_fn fn, const char *authorization)
{
	struct ask *a = ask_new(s, http, target, role, fn);
	struct buf nothing = { 0 };
	int r;

	if (!a) {
		httpd_reply(http, 503, "text/plain", &nothing, NULL);
		return;
	}
	r = auth_check(s->auth, authorization, a->asked.address, &a->who);
	trace_begin(a);
	if (r == 0) {
		run(a);
		return;
	}
	if (auth_refuses(r))
		trace_signin_refused(a, r);
	else
		log_err(r, "cannot find out who asks");
	answer_fail(a, r);
	ask_free(a);
}

void ask_start(struct server *s, struct httpd_request *http, const struct target *target,
	       enum role role, ask_fn fn)
{
	start(s, http, target, role, fn, httpd_field(http, "Authorization"));
}

void ask_start_keyed(struct server *s, struct httpd_request *http, const struct target *target,
		     ask_fn fn)
{
	start(s, http, target, ROLE_NONE, fn, NULL);
}

/* --- what it is about */

void ask_stale(struct ask *a, int64_t late_ms)
{
	a->late_ms = max_i64(a->late_ms, late_ms);
	a->stale = true;
}

static void note_ref(struct ask *a, const char *ref)
{
	struct known_ref known;
	int64_t age_ms;

	if (repo_is_hosted(a->repo) ||
	    !known_get_ref(node_known(a->server->node), a->repo, ref, &known))
		return;
	a->gone = known.gone;
	age_ms = clock_ms() - known.checked_ms;
	if (!known.checked_ms)
		ask_stale(a, 0);
	else if (age_ms >= a->server->ref_ttl_ms && known.checked_ms < a->waiter.started_ms)
		ask_stale(a, age_ms - a->server->ref_ttl_ms);
}

int ask_commit(struct ask *a)
{
	const char *rev = a->asked.target.rev;
	int r;

	if (a->commit[0])
		return 0;
	if (commit_valid(rev)) {
		memcpy(a->commit, rev, sizeof(a->commit));
		return 0;
	}
	if (!*rev || !strcmp(rev, "HEAD"))
		rev = "main";
	r = node_ref(a->server->node, a->repo, rev, &a->waiter, a->commit);
	if (r == 0)
		note_ref(a, rev);
	return r;
}

int ask_snapshot(struct ask *a)
{
	int r = ask_commit(a);

	if (r != 0 || a->snapshot)
		return r;
	return node_snapshot(a->server->node, a->repo, a->commit, &a->waiter, &a->snapshot);
}

/* As much as a client reads at once: a single byte would look like a reader who jumps. */
int ask_byte(struct ask *a, uint32_t file, uint64_t off)
{
	struct node *n = a->server->node;
	const void *data;
	uint64_t len;
	int r = a->file ? 0 : node_open_file(n, a->snapshot, file, &a->file);

	if (r < 0)
		return r;
	a->waiter.some = true;
	r = node_read(n, a->file, off, FIRST_BYTES, &a->waiter, &data, &len);
	if (r == 0)
		node_done(a->file, data, len);
	return r;
}

static void go_on(void *arg, uint64_t number UNUSED)
{
	struct ask *a = arg;

	a->waiter.wake(&a->waiter, 0);
}

static void end_body(void *arg, int r)
{
	struct ask *a = arg;

	a->received = r;
	a->waiter.wake(&a->waiter, 0);
}

bool ask_body(struct ask *a, receive_fn take, void *arg, int *ret)
{
	const struct receive_conf conf = { a->server->receivers, take, end_body, arg, a };

	if (a->receiving)
		return true;
	a->receiving = true;
	*ret = receive_start(a->http, a->asked.body_length, &conf);
	if (*ret == 0)
		*ret = PARKED;
	return false;
}

uint64_t ask_lane_of(const char *name, size_t len)
{
	return xxh3_of(name, len) | 1;
}

static int move(struct ask *a, struct workers *to, uint64_t lane, int64_t delay_ms)
{
	const struct work work = { .fn = go_on, .arg = a, .lane = lane, .delay_ms = delay_ms };
	int r;

	a->aside = true;
	r = workers_add(to, &work);
	return r < 0 ? r : PARKED;
}

int ask_move(struct ask *a, struct workers *to, uint64_t lane)
{
	return move(a, to, lane, 0);
}

int ask_later(struct ask *a, struct workers *to, int64_t delay_ms)
{
	return move(a, to, 0, delay_ms);
}

/* False if too many wait. */
static bool send_aside(struct ask *a, uint64_t lane)
{
	return ask_move(a, a->server->workers, lane) == PARKED;
}

bool ask_aside_or_here(struct ask *a)
{
	return a->aside || !send_aside(a, 0);
}

bool ask_aside(struct ask *a, uint64_t lane, int *ret)
{
	if (a->aside)
		return true;
	*ret = PARKED;
	if (!send_aside(a, lane)) {
		answer_refuse(a, 503, "too many ask at once: come back later");
		*ret = 0;
	}
	return false;
}
