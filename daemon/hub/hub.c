/* SPDX-License-Identifier: Apache-2.0 */
/* The client of one hub: its identity, its health, and what one exchange with it means. Health
 * is about reaching the hub only: whoever gets any answer has reached it, and a host that it
 * sends us to has a health of its own that nobody keeps. */
#include "daemon/hub/hub_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/url.h"

#define LOCATIONS_MAX 1024
#define REFUSED_MS 250 /* at least so long an unreachable hub is left alone */

static int copy_url(const char *url, char **ret)
{
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	*ret = strndup(url, len);
	return *ret ? 0 : -ENOMEM;
}

static bool token_valid(const char *token)
{
	for (; *token; token++) {
		if (!isgraph((unsigned char)*token))
			return false;
	}
	return true;
}

int hub_set_token(struct hub *h, const char *token)
{
	size_t len = strlen(token);
	struct hub_token *t;

	if (!token_valid(token))
		return -EINVAL;
	t = malloc(sizeof(*t) + len + 1);
	if (!t)
		return -ENOMEM;
	memcpy(t->text, token, len + 1);
	lock_take(&h->lock);
	t->older = h->token;
	h->token = t;
	lock_drop(&h->lock);
	return 0;
}

static void free_tokens(struct hub_token *t)
{
	while (t) {
		struct hub_token *older = t->older;

		explicit_bzero(t->text, strlen(t->text));
		free(t);
		t = older;
	}
}

static int copy_conf(struct hub *h, const struct hub_conf *conf)
{
	CLEANUP(buf_free) struct buf name = { 0 };
	int r = url_public(conf->url, &name);

	if (r == 0)
		r = copy_url(conf->url, &h->url);
	if (r < 0)
		return r;
	h->name = buf_take(&name);
	if (!h->name)
		return -ENOMEM;
	if (conf->token && *conf->token)
		r = hub_set_token(h, conf->token);
	h->http = conf->http;
	h->timeout_ms = conf->timeout_ms;
	h->down_ms = conf->down_ms;
	h->silent_ms = conf->silent_ms;
	h->lenient = conf->lenient;
	h->xet = conf->xet;
	h->metrics = conf->metrics;
	return r;
}

static void hub_freep(struct hub **h)
{
	hub_free(*h);
}

int hub_new(const struct hub_conf *conf, struct hub **ret)
{
	CLEANUP(hub_freep) struct hub *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	lock_init(&h->lock, LOCK_HUB);
	r = copy_conf(h, conf);
	if (r == 0)
		r = location_memory_new(LOCATIONS_MAX, &h->locations);
	if (r == 0)
		r = location_memory_new(LOCATIONS_MAX, &h->xet_tokens);
	if (r == 0)
		*ret = steal(h);
	return r;
}

void hub_free(struct hub *h)
{
	if (!h)
		return;
	location_memory_free(h->locations);
	location_memory_free(h->xet_tokens);
	lock_fini(&h->lock);
	free_tokens(h->token);
	free(h->name);
	free(h->url);
	free(h);
}

const char *hub_name(const struct hub *h)
{
	return h->name;
}

/* --- health */

/* 0 if the hub may be asked: it is well, or its rest is over and this call is the one that
 * tries. */
static int health_enter(struct hub *h, bool *ret_probes)
{
	int r = 0;

	lock_take(&h->lock);
	*ret_probes = false;
	if (h->down_until_ms) {
		if (h->probing || clock_ms() < h->down_until_ms)
			r = ERR_UPSTREAM;
		else
			h->probing = *ret_probes = true;
	}
	if (r < 0)
		err_note(r, "%s", h->error);
	lock_drop(&h->lock);
	return r;
}

/* It has answered: with the head already, however long its body may be. */
static void health_well(struct hub *h)
{
	lock_take(&h->lock);
	h->down_until_ms = 0;
	h->silent_until_ms = 0;
	lock_drop(&h->lock);
}

/* One that refuses at once costs nothing to be tried, one that lets wait as long as it let wait. */
static int64_t rest_ms(const struct hub *h, int64_t took_ms)
{
	int64_t ms = took_ms > REFUSED_MS ? took_ms : REFUSED_MS;

	return ms < h->down_ms ? ms : h->down_ms;
}

static void health_leave(struct hub *h, int r, bool answered, bool probed, int64_t took_ms)
{
	lock_take(&h->lock);
	if (probed)
		h->probing = false;
	if (!answered && r == ERR_UPSTREAM)
		h->down_until_ms = clock_ms() + rest_ms(h, took_ms);
	if (!answered && r == ERR_TIMEOUT)
		h->silent_until_ms = clock_ms() + h->silent_ms;
	lock_drop(&h->lock);
}

/* What it asks of us is for our clients to know as well. */
static void note_busy(struct hub *h, const struct hub_answer *a)
{
	if (!a->hub)
		return;
	lock_take(&h->lock);
	if (a->status >= 400 && a->wait_ms > 0)
		h->busy_until_ms = clock_ms() + a->wait_ms;
	else if (a->status && a->status < 400)
		h->busy_until_ms = 0;
	lock_drop(&h->lock);
}

/* Keeps how an exchange ended. A refusal is an answer, too. */
static void health_note(struct hub *h, enum metrics_outcome outcome, int r)
{
	const char *more = err_noted(r);

	lock_take(&h->lock);
	if (outcome <= METRICS_REFUSED) {
		h->ok_s = clock_wall_s();
	} else if (outcome != METRICS_CANCELED) {
		h->failed_s = clock_wall_s();
		snprintf(h->error, sizeof(h->error), "%s", *more ? more : err_text(r));
	}
	lock_drop(&h->lock);
}

static int64_t time_left(int64_t until_ms)
{
	int64_t now = clock_ms();

	return until_ms > now ? until_ms - now : 0;
}

void hub_health(struct hub *h, struct hub_health *ret)
{
	lock_take(&h->lock);
	*ret = (struct hub_health){
		.ok_s = h->ok_s,
		.failed_s = h->failed_s,
		.down_ms = time_left(h->down_until_ms),
		.busy_ms = time_left(h->busy_until_ms),
	};
	memcpy(ret->error, h->error, sizeof(ret->error));
	lock_drop(&h->lock);
	ret->locations = location_count(h->locations);
	ret->is_matrixhubd = atomic_load(&h->is_matrixhubd);
}

bool hub_was_silent(struct hub *h)
{
	bool was;

	lock_take(&h->lock);
	was = time_left(h->silent_until_ms) > 0;
	lock_drop(&h->lock);
	return was;
}

/* --- one exchange */

void hub_answer_fini(struct hub_answer *a)
{
	buf_free(&a->location);
}

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* What a refusal means. The hub's own words count first (hf-contract §1.0): a status alone says
 * little, and a 404 without them is a proxy or a broken hub, not the absence of a file. */
static int refusal(const struct httpc_response *r, int status, bool token_sent)
{
	const char *code = httpc_header(r, "X-Error-Code");
	const char *message = httpc_header(r, "X-Error-Message");

	if (message && strcmp(message, "Access to this resource is disabled.") == 0)
		return ERR_DISABLED;
	if (message && status == 401 &&
	    strcmp(message, "Invalid credentials in Authorization header") == 0)
		return ERR_TOKEN;
	if (code && *code && err_from_hub_code(code))
		return err_from_hub_code(code);
	if (status == 401)
		return token_sent ? ERR_TOKEN : ERR_NOREPO;
	return status == 403 ? -EACCES : ERR_PROTO;
}

static int error_of(const struct httpc_response *r, int status, bool token_sent)
{
	if (status == 408 || status == 429)
		return ERR_BUSY;
	if (status == 416)
		return ERR_SIZE;
	if (status >= 500)
		return ERR_SERVER;
	return status >= 400 ? refusal(r, status, token_sent) : ERR_PROTO;
}

/* What is refused may come from a proxy before it. */
static void note_program(struct hub *h, const struct httpc_response *r, int status)
{
	const char *program = httpc_header(r, HUB_PROGRAM_FIELD);

	if (status < 400)
		atomic_store(&h->is_matrixhubd, program && strcmp(program, HUB_PROGRAM) == 0);
}

int hub_answer_head(struct hub_answer *a, const struct httpc_response *r)
{
	const char *location = httpc_header(r, "Location");

	a->status = httpc_status(r);
	if (a->hub) {
		health_well(a->hub);
		note_program(a->hub, r, a->status);
	}
	a->wait_ms = httpc_retry_after_ms(r);
	a->error = error_of(r, a->status, a->token_sent);
	buf_clear(&a->location);
	if (!is_redirect(a->status) || !location)
		return 0;
	/* A redirect to what is no URL leads nowhere: a->error says so. */
	return url_join(a->url, location, &a->location) == -ENOMEM ? -ENOMEM : 0;
}

/* Runs it, counts it, and keeps what became of it. */
static int run(struct hub *h, const struct httpc_request *q, const struct hub_answer *a)
{
	int r = httpc_run(h->http, q), failure = r;
	enum metrics_outcome outcome = metrics_outcome(r, a->status);

	metrics_count(h->metrics, requests[outcome], 1);
	if (a->status >= 400) {
		failure = a->error;
		err_note(failure, "HTTP %d", a->status);
	}
	health_note(h, outcome, failure);
	note_busy(h, a);
	return r;
}

static const char *bearer(const struct hub *h, const struct hub_answer *a)
{
	const struct hub_token *token = h->token;

	if (a->bearer)
		return *a->bearer ? a->bearer : NULL;
	return a->own && token && *token->text ? token->text : NULL;
}

int hub_exchange(struct hub *h, struct httpc_request *q, const char *url, struct hub_answer *a)
{
	int64_t began_ms = clock_ms();
	bool probes;
	int r;

	a->url = url;
	a->own = url_same_origin(h->url, url);
	a->hub = a->own ? h : NULL;
	a->status = 0;
	a->wait_ms = -1;
	q->method = "GET";
	q->url = url;
	q->token = bearer(h, a);
	a->token_sent = q->token;
	if (!a->own)
		return run(h, q, a);
	r = health_enter(h, &probes);
	if (r < 0)
		return r;
	r = run(h, q, a);
	health_leave(h, r, a->status != 0, probes, clock_ms() - began_ms);
	return r;
}
