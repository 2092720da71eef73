/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/answer.h"

#include <string.h>

#include "admin/account/guesses.h"
#include "admin/hub/condition.h"
#include "admin/hub/trace.h"
#include "daemon/base/err.h"
#include "daemon/hub/hub.h"

/* Clients log it once. */
static bool add_gone(const struct ask *a, struct httpd_head *h)
{
	int64_t said_ms;

	if (!a->gone && !(a->repo && known_gone(repo_canonical(a->repo), &said_ms)))
		return false;
	httpd_head_add(h, "X-HF-Warning",
		       "gone; The hub upstream says that this is gone: it was kept here");
	httpd_head_add(h, "Cache-Status", "matrixhubd; hit; detail=gone");
	return true;
}

/* RFC 9211: of what is stale the time that is left is below zero. */
static void add_staleness(const struct ask *a, struct httpd_head *h)
{
	metrics_add(&a->server->meter.stale, 1);
	httpd_head_add(h, "Cache-Status", "matrixhubd; hit; ttl=-%jd",
		       (intmax_t)(a->late_ms / 1000 + 1));
}

struct httpd_head answer_head(const struct ask *a, int status, const char *type)
{
	struct httpd_head h = { .status = status };

	httpd_head_add(&h, HUB_PROGRAM_FIELD, HUB_PROGRAM);
	if (type)
		httpd_head_add(&h, "Content-Type", "%s", type);
	if (a->asked.given_id && !a->asked.traced)
		httpd_head_add(&h, "X-Request-Id", "%s", a->asked.given_id);
	else
		httpd_head_add(&h, "X-Request-Id", "%s%s%s",
			       a->asked.given_id ? a->asked.given_id : "",
			       a->asked.given_id ? ";" : "", a->asked.id);
	if (a->snapshot)
		httpd_head_add(&h, "X-Repo-Commit", "%s", a->commit);
	if (status < 400 && !add_gone(a, &h) && a->stale)
		add_staleness(a, &h);
	return h;
}

void answer_json_head(const struct ask *a, struct httpd_head *h, struct buf *json)
{
	size_t len = json->len;

	if (!a->asked.head) {
		httpd_reply_head(a->http, h, json);
		return;
	}
	buf_free(json);
	httpd_reply_length(a->http, h, len);
}

void answer_next(const struct ask *a, struct httpd_head *h, const char *fmt, ...)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&path, fmt, ap);
	va_end(ap);
	httpd_head_add(h, "Link", "<%s%s>; rel=\"next\"", a->asked.origin, buf_str(&path));
	if (path.failed)
		h->fields.failed = path.failed;
}

void answer_json(const struct ask *a, int status, struct buf *json)
{
	struct httpd_head h = answer_head(a, status, ANSWER_JSON);

	answer_json_head(a, &h, json);
}

/* --- what is ready */

/* With one more name more may be denied of it. */
int answer_ready_key(const struct ask *a, const char *kind, struct buf *ret)
{
	uint32_t numbers[] = { filter_version(a->filter), 0,
			       (uint32_t)strlen(a->asked.target.path) };
	char hex[2 * sizeof(numbers) + 1];
	struct repo_names names;

	known_names(node_known(a->server->node), a->repo, &names);
	numbers[1] = names.count + names.more;
	hex_print((const uint8_t *)numbers, sizeof(numbers), hex);
	return buf_printf(ret, "%s %s %s %s %s%s", kind, hex, repo_key(a->repo), a->commit,
			  a->asked.target.path, a->asked.query);
}

int answer_ready_put(const struct ask *a, const char *key, struct buf *text,
		     const struct ready_note *note, struct ready_text **ret)
{
	return ready_put_since(a->server->ready, a->emptied, key, text, note, ret);
}

/* Compared weakly (RFC 9110 §13.1.2): what is in the quotes. */
static bool has_it(const struct ask *a, const char *etag)
{
	const char *list = a->asked.if_none_match, *quoted = strchr(etag, '"');

	return list && (!strcmp(list, "*") || (quoted && strstr(list, quoted)));
}

static void unref(void *arg)
{
	ready_unref(arg);
}

void answer_ready(const struct ask *a, struct httpd_head *h, struct ready_text *t)
{
	struct buf nothing = { 0 };
	const void *data;
	size_t len;
	const char *packing;

	httpd_head_add(h, "ETag", "%s", ready_etag(t));
	httpd_head_add(h, "Vary", "Accept-Encoding");
	if (has_it(a, ready_etag(t))) {
		h->status = 304;
		httpd_reply_head(a->http, h, &nothing);
		return;
	}
	packing = ready_packing_name(ready_bytes(t, a->asked.packing, &data, &len));
	if (packing)
		httpd_head_add(h, "Content-Encoding", "%s", packing);
	if (a->asked.head)
		httpd_reply_length(a->http, h, len);
	else
		httpd_reply_bytes(a->http, h, data, len, unref, ready_ref(t));
}

static void refuse(const struct ask *a, struct httpd_head *h, const char *message)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	httpd_head_add(h, "X-Error-Message", "%s", message);
	jwrite_object(&w, NULL);
	jwrite_text(&w, "error", message);
	jwrite_object_end(&w);
	answer_json_head(a, h, &json);
}

static void refuse_saying(const struct ask *a, int status, const char *code, const char *fmt,
			  va_list ap)
{
	struct httpd_head h = answer_head(a, status, ANSWER_JSON);
	CLEANUP(buf_free) struct buf message = { 0 };

	buf_vprintf(&message, fmt, ap);
	if (*code)
		httpd_head_add(&h, "X-Error-Code", "%s", code);
	refuse(a, &h, buf_str(&message));
}

void answer_refuse(const struct ask *a, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	refuse_saying(a, status, "", fmt, ap);
	va_end(ap);
}

void answer_refuse_for(const struct ask *a, int status, unsigned seconds, const char *message)
{
	struct httpd_head h = answer_head(a, status, ANSWER_JSON);

	httpd_head_add(&h, "Retry-After", "%u", seconds);
	refuse(a, &h, message);
}

void answer_refuse_as(const struct ask *a, int status, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	refuse_saying(a, status, code, fmt, ap);
	va_end(ap);
}

void answer_repo_state(struct jwrite *w, const char *gated)
{
	if (gated)
		jwrite_text(w, "gated", gated);
	else
		jwrite_bool(w, "gated", false);
	jwrite_bool(w, "disabled", false);
	jwrite_uint(w, "downloads", 0);
	jwrite_uint(w, "likes", 0);
	jwrite_array(w, "tags");
	jwrite_array_end(w);
}

static uint64_t count_of(const struct catalogue_entry *e, enum catalogue_number which)
{
	return e->numbers[which] > 0 ? (uint64_t)e->numbers[which] : 0;
}

void answer_repo_counts(struct jwrite *w, const struct catalogue_entry *e)
{
	jwrite_time(w, "lastModified", (int64_t)e->numbers[CATALOGUE_MODIFIED] * 1000);
	jwrite_time(w, "createdAt", (int64_t)e->numbers[CATALOGUE_CREATED] * 1000);
	if (e->gated)
		jwrite_text(w, "gated", e->manual ? "manual" : "auto");
	else
		jwrite_bool(w, "gated", false);
	jwrite_bool(w, "disabled", false);
	jwrite_uint(w, "downloads", count_of(e, CATALOGUE_DOWNLOADS));
	jwrite_uint(w, "likes", count_of(e, CATALOGUE_LIKES));
	jwrite_uint(w, "trendingScore", count_of(e, CATALOGUE_TRENDING));
}

void answer_refuse_method(const struct ask *a, const char *allow)
{
	struct httpd_head h = answer_head(a, 405, ANSWER_JSON);
	CLEANUP(buf_free) struct buf message = { 0 };

	httpd_head_add(&h, "Allow", "%s", allow);
	buf_printf(&message, "%s cannot be done here", httpd_method(a->http));
	refuse(a, &h, buf_str(&message));
}

/* --- failures */

/* What the public hub says; clients look for some of it. */
static const char *message_of(const struct ask *a, int r)
{
	switch (r) {
	case ERR_FORBIDDEN:
		if (!a->who.known)
			return "Invalid username or password.";
		if (a->role == ROLE_HUB) /* matrixctl knows these words, and says what to do */
			return err_text(r);
		return "You don't have the rights for that with this token";
	case ERR_NOREPO:
		return a->filtered ? "Repository not found: this hub's rules do not let it be read"
				   : "Repository not found";
	case ERR_NOENTRY:
		return a->filtered ? "Entry not found: this hub's rules do not let it be read"
				   : "Entry not found";
	case ERR_DISABLED:
		return "Access to this resource is disabled.";
	case ERR_TOKEN:
		return "Invalid credentials in Authorization header";
	default:
		return err_text(r);
	}
}

/* Who has not said who he is may have to; he is not told more of what he cannot see. */
static int status_of(const struct ask *a, int r)
{
	bool unknown = !a->who.known && !a->filtered; /* to say who he is would not help */

	if ((r == ERR_NOREPO || r == ERR_GATED || r == ERR_FORBIDDEN) && unknown)
		return 401;
	return err_http(r);
}

/* How long the hubs upstream ask us to stay away, in seconds: the shortest of them; 0 if none
 * does. */
static int64_t busy_s(struct node *n)
{
	int64_t least_ms = 0;

	for (unsigned i = 0; i < node_hub_count(n); i++) {
		struct hub_health health;

		node_hub_health(n, i, &health);
		if (health.busy_ms && (!least_ms || health.busy_ms < least_ms))
			least_ms = health.busy_ms;
	}
	return (least_ms + 999) / 1000;
}

/* Clients wait as long as a 429 says (hf-contract §1.0): as they would for the hub upstream. */
static void add_retry_after(const struct ask *a, int r, struct httpd_head *h)
{
	int64_t s = r == ERR_BUSY || r == ERR_SERVER ? busy_s(a->server->node) : 0;

	if (!s)
		return;
	if (r == ERR_BUSY)
		h->status = 429;
	httpd_head_add(h, "Retry-After", "%jd", (intmax_t)s);
}

static void answer_missing_revision(const struct ask *a, struct httpd_head *h)
{
	CLEANUP(buf_free) struct buf message = { 0 };

	buf_printf(&message, "Invalid rev id: %s", a->asked.target.rev);
	refuse(a, h, buf_str(&message));
}

/* The path alone: clients put it behind the host they know. */
static void answer_moved(const struct ask *a)
{
	struct httpd_head h = answer_head(a, 307, ANSWER_JSON);
	const char *target = httpd_target(a->http);
	const struct target *t = &a->asked.target;
	const char *name = repo_id_of(repo_canonical(a->repo))->name;

	httpd_head_add(&h, "Location", "%.*s%s%s", (int)t->repo_at, target, name,
		       target + t->repo_at + t->repo_len);
	refuse(a, &h, "The repository has another name now");
}

void answer_fail_saying(const struct ask *a, int r, const char *fmt, ...)
{
	va_list ap;

	trace_failed(a, r, status_of(a, r));
	va_start(ap, fmt);
	refuse_saying(a, status_of(a, r), err_hub_code(r), fmt, ap);
	va_end(ap);
}

void answer_fail(const struct ask *a, int r)
{
	struct httpd_head h = { 0 };

	if (r == ERR_MOVED) {
		answer_moved(a);
		return;
	}
	trace_failed(a, r, status_of(a, r));
	h = answer_head(a, status_of(a, r), ANSWER_JSON);
	if (r == ERR_GUESSING)
		httpd_head_add(&h, "Retry-After", "%d", GUESSES_MS / 1000);
	add_retry_after(a, r, &h);
	if (*err_hub_code(r))
		httpd_head_add(&h, "X-Error-Code", "%s", err_hub_code(r));
	if (r == ERR_NOREV)
		answer_missing_revision(a, &h);
	else
		refuse(a, &h, message_of(a, r));
}

bool answer_held_back(const struct ask *a, const char *etag)
{
	int status = condition_check(a->asked.if_match, a->asked.if_none_match, etag);
	struct buf nothing = { 0 };
	struct httpd_head h;

	if (status == 304) {
		h = answer_head(a, status, NULL);
		httpd_head_add(&h, "ETag", "\"%s\"", etag);
		httpd_reply_head(a->http, &h, &nothing);
	} else if (status) {
		answer_refuse(a, status, "The file is not the one that was asked for");
	}
	return status;
}
