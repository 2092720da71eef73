/* SPDX-License-Identifier: Apache-2.0 */
/* A hub's bytes. A file's resolve URL answers with the bytes or sends us elsewhere; a place on
 * another origin is a signed location, good for many ranges, and is remembered. Nothing reaches
 * the sink before the head has said that these are the bytes: right file, right place in it, as
 * they are. */
#include "daemon/hub/hub_priv.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/url.h"
#include "daemon/hub/hub_xet.h"

/* A server that ignores Range sends the file from its start: bearable near the start only. */
#define SKIP_BYTES_MAX (8u << 20)

#define ITSELF_MS 3600000 /* so long a hub that gave bytes itself is believed to do so again */
#define ANSWER_MS 2000    /* so long one waits for another's answer before asking, too */

#define REDIRECTED 1 /* answer.location says where to */
#define OFFERED 2    /* more is not asked for: the file is to come by the offer */

struct range {
	struct hub *h;
	const struct source_ask *ask;
	const char *key; /* of the location */
	struct hub_answer answer;
	struct buf offer; /* of the hub's: where else it has the file */
	uint64_t skip;    /* bytes still to come before the wanted ones */
	uint64_t given;   /* wanted bytes that reached the sink */
	size_t dropped;   /* bytes of a refusal's body */
	bool fresh;       /* the hub itself was asked, not a location remembered */
	bool ends_there;  /* the answer should end with the last wanted byte */
	int sink_result;  /* what the sink ended the call with */
};

/* --- is it this file? */

/* The value without W/ and quotes; returns its length. */
static size_t bare_etag(const char *value, const char **ret)
{
	if (strncmp(value, "W/", 2) == 0)
		value += 2;
	if (*value == '"')
		value++;
	*ret = value;
	return strcspn(value, "\"");
}

static bool etag_is(const char *value, const char *etag)
{
	const char *bare;
	size_t len = bare_etag(value, &bare);

	return len == strlen(etag) && strncmp(bare, etag, len) == 0;
}

/* True if a value is of the kind hubs use: a digest. A redirect may have an ETag of its own
 * little page. */
static bool is_digest(const char *value)
{
	const char *bare;
	size_t len = bare_etag(value, &bare);

	return (len == 40 || len == 64) && strspn(bare, "0123456789abcdef") == len;
}

/* The hub's own answers, redirects included, name what they are about. */
static int check_names(const struct range *g, const struct httpc_response *r)
{
	const struct source_blob *blob = g->ask->blob;
	const char *commit = httpc_header(r, "X-Repo-Commit");
	const char *etag = httpc_header(r, "X-Linked-Etag");
	const char *size = httpc_header(r, "X-Linked-Size");

	if (commit && strcmp(commit, blob->commit) != 0)
		return ERR_CHANGED;
	if (!etag) {
		etag = httpc_header(r, "ETag");
		if (etag && g->answer.location.len && !is_digest(etag))
			etag = NULL;
	}
	if (etag && !etag_is(etag, blob->etag))
		return ERR_CHANGED;
	if (size && strtoull(size, NULL, 10) != blob->file.size)
		return ERR_SIZE;
	return 0;
}

/* A location's ETag is its storage's affair, but it must stay what it was. */
static int check_location(const struct range *g, const struct httpc_response *r)
{
	const char *etag = httpc_header(r, "ETag");

	return etag ? location_check_etag(g->h->locations, g->key, g->answer.url, etag) : 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcasecmp(text + len - end_len, end) == 0;
}

/* Login pages, captive portals and error pages come as 200 and as HTML. */
static bool is_strange_page(const struct range *g, const struct httpc_response *r)
{
	const char *type = httpc_header(r, "Content-Type");

	return type && strncasecmp(type, "text/html", 9) == 0 && !httpc_header(r, "ETag") &&
	       !httpc_header(r, "X-Linked-Etag") && !ends_with(g->ask->blob->path, ".html") &&
	       !ends_with(g->ask->blob->path, ".htm");
}

/* --- is it this range? */

static int check_part(struct range *g, const struct httpc_response *r)
{
	const struct source_ask *ask = g->ask;
	uint64_t first, last;
	int64_t total;

	if (httpc_content_range(r, &first, &last, &total) < 0)
		return ERR_PROTO;
	if ((total >= 0 && (uint64_t)total != ask->blob->file.size) || last >= ask->blob->file.size)
		return ERR_SIZE;
	if (first != ask->off)
		return ERR_PROTO;
	g->skip = 0;
	g->ends_there = last == ask->off + ask->len - 1;
	return 0;
}

static int check_whole(struct range *g, const struct httpc_response *r)
{
	uint64_t size = g->ask->blob->file.size;
	int64_t length = httpc_content_length(r);

	if (length >= 0 && (uint64_t)length != size)
		return ERR_SIZE;
	if (g->ask->off > SKIP_BYTES_MAX)
		return ERR_PROTO;
	g->skip = g->ask->off;
	g->ends_there = length >= 0 && g->ask->off + g->ask->len == size;
	return 0;
}

static int check_body(struct range *g, const struct httpc_response *r)
{
	const char *coding = httpc_header(r, "Content-Encoding");
	int e = g->answer.own ? 0 : check_location(g, r);

	if (e < 0)
		return e;
	if ((coding && strcasecmp(coding, "identity") != 0) || is_strange_page(g, r))
		return ERR_PROTO;
	return g->answer.status == 206 ? check_part(g, r) : check_whole(g, r);
}

/* Remembers where the hub has the bytes, and lets go on those who wait to know it. */
static void remember(const struct range *g, const struct httpc_response *r)
{
	const char *url = buf_str(&g->answer.location);
	int64_t life;

	if (g->answer.own && (!*url || url_same_origin(g->h->url, url))) {
		location_put(g->h->locations, g->key, "", clock_ms(), ITSELF_MS);
		location_asked(g->h->locations, g->key);
		return;
	}
	if (!*url || url_same_origin(g->h->url, url))
		return;
	life = location_life_ms(url, httpc_header(r, "Cache-Control"), httpc_header(r, "Age"),
				clock_wall_s());
	location_put(g->h->locations, g->key, url, clock_ms(), life);
	location_asked(g->h->locations, g->key);
}

static bool has_bytes(const struct range *g)
{
	return g->answer.status == 200 || g->answer.status == 206;
}

/* A refusal's offer counts only if it is of this file. */
static int note_offer(struct range *g, const struct httpc_response *r)
{
	if (g->h->xet == HUB_XET_NEVER || check_names(g, r) < 0)
		return 0;
	buf_clear(&g->offer);
	if (hub_xet_offer(&g->answer, r, &g->offer) < 0)
		return -ENOMEM;
	return g->offer.len && g->h->xet == HUB_XET_ALWAYS ? OFFERED : 0;
}

static int range_head(void *arg, const struct httpc_response *r)
{
	struct range *g = arg;
	int e = hub_answer_head(&g->answer, r);
	bool redirected = g->answer.location.len > 0;

	if (e == 0 && g->answer.own && (redirected || has_bytes(g)))
		e = check_names(g, r);
	if (e == 0 && g->answer.own)
		e = note_offer(g, r);
	if (e == 0 && has_bytes(g))
		e = check_body(g, r);
	if (e == 0 && (redirected || has_bytes(g)))
		remember(g, r);
	return e;
}

/* Ending the call closes its connection: only done if more would come than is wanted. */
static int range_body(void *arg, const void *data, size_t len)
{
	struct range *g = arg;
	uint64_t left = g->ask->len - g->given, skip = g->skip < len ? g->skip : len;
	uint64_t wanted = len - skip < left ? len - skip : left;

	if (!has_bytes(g)) {
		g->dropped += len;
		return g->dropped > HUB_REFUSAL_BYTES_MAX;
	}
	metrics_count(g->h->metrics, bytes, len);
	g->skip -= skip;
	if (wanted > 0) {
		g->sink_result = g->ask->sink(g->ask->arg, (const char *)data + skip, wanted);
		if (g->sink_result)
			return g->sink_result;
		g->given += wanted;
	}
	return skip + wanted < len || (g->given == g->ask->len && !g->ends_there);
}

/* --- where to ask */

/* One exchange. 0 after the last wanted byte, REDIRECTED, or negative (or what the sink said). */
static int ask_once(struct range *g, const char *url)
{
	const struct source_ask *ask = g->ask;
	struct httpc_request q = {
		.range_off = ask->off,
		.range_len = ask->len,
		.deadline_ms = ask->deadline_ms,
		.head = range_head,
		.body = range_body,
		.arg = g,
		.cancel = ask->cancel,
	};
	int r = hub_exchange(g->h, &q, url, &g->answer);

	if (g->sink_result)
		return g->sink_result;
	if (g->given == ask->len)
		return 0;
	if (r < 0 || r == OFFERED)
		return r;
	if (has_bytes(g))
		return ERR_CUT;
	return g->answer.location.len ? REDIRECTED : g->answer.error;
}

/* What storage says when a signature is too old, or its object has moved. */
static bool is_expired(const struct range *g)
{
	int status = g->answer.status;

	return !g->answer.own && (status == 401 || status == 403 || status == 404 || status == 410);
}

/* True if a location that failed so must not be asked again. */
static bool is_useless(int r)
{
	return r == ERR_EXPIRED || r == ERR_UPSTREAM || r == ERR_TLS || r == ERR_CHANGED ||
	       r == ERR_SIZE || r == ERR_PROTO;
}

/* Asks at url and wherever it sends us. As ask_once without REDIRECTED; ERR_EXPIRED if a location
 * refused, and nothing was given. */
static int follow(struct range *g, const char *url)
{
	CLEANUP(buf_free) struct buf at = { 0 };
	int r = buf_add_str(&at, url);

	for (int hops = 0; r == 0 && hops <= HUB_REDIRECTS_MAX; hops++) {
		r = ask_once(g, buf_str(&at));
		if (r < 0 && is_expired(g))
			r = ERR_EXPIRED;
		if (is_useless(r) && !g->answer.own)
			location_forget(g->h->locations, g->key, buf_str(&at));
		if (r != REDIRECTED || g->sink_result)
			return r;
		buf_clear(&at);
		r = buf_add_str(&at, buf_str(&g->answer.location));
	}
	return r < 0 ? r : ERR_REDIRECT;
}

static int follow_resolve(struct range *g)
{
	const struct source_blob *blob = g->ask->blob;
	CLEANUP(buf_free) struct buf url = { 0 };

	buf_printf(&url, "%s/%s%s/resolve/%s/", g->h->url, repo_type_prefix(blob->repo.type),
		   blob->repo.name, blob->commit);
	if (url_encode(&url, blob->path, 1) < 0)
		return -ENOMEM;
	return follow(g, buf_str(&url));
}

static int follow_offer(struct range *g, const char *offer)
{
	int r = hub_xet_get(g->h, offer, g->ask, &g->answer.wait_ms);

	if (is_useless(r) || r == ERR_SERVER || r == ERR_DIGEST)
		location_forget(g->h->locations, g->key, offer);
	return r;
}

/* True if a hub, asked anew, does not give by plain HTTP what it offers to give otherwise: it names
 * no error of its own for that. Who may not have the file, or is to come later, is told so. */
static bool is_offer_alone(const struct range *g, int r)
{
	return r == OFFERED || (g->offer.len && !g->given && !g->sink_result &&
				(r == ERR_PROTO || r == ERR_EXPIRED || r == -EACCES));
}

static int follow_hub(struct range *g)
{
	int r = follow_resolve(g);

	if (!is_offer_alone(g, r))
		return r;
	location_put(g->h->locations, g->key, buf_str(&g->offer), clock_ms(), ITSELF_MS);
	location_asked(g->h->locations, g->key);
	return follow_offer(g, buf_str(&g->offer));
}

/* Asks where the bytes are said to be; one of many who do not know asks the hub. */
static int follow_known(struct range *g)
{
	CLEANUP(buf_free) struct buf url = { 0 };
	int64_t now = clock_ms();
	int r = location_get(g->h->locations, g->key, now, now + ANSWER_MS, &url);

	if (r == 0 && hub_xet_is_offer(buf_str(&url)))
		return follow_offer(g, buf_str(&url));
	if (r == 0 && url.len)
		return follow(g, buf_str(&url));
	g->fresh = true;
	if (r == 0)
		return follow_hub(g);
	if (r != -ENOENT)
		return r;
	r = follow_hub(g);
	location_asked(g->h->locations, g->key);
	return r;
}

int hub_get_range(struct hub *h, const struct source_ask *ask, int64_t *ret_wait_ms)
{
	const struct source_blob *blob = ask->blob;
	CLEANUP(buf_free) struct buf key = { 0 };
	struct range g = { .h = h, .ask = ask, .answer.wait_ms = -1 };
	int r = buf_printf(&key, "%s/%s@%s/%s#%s", repo_type_plural(blob->repo.type),
			   blob->repo.name, blob->commit, blob->path, blob->etag);

	g.key = buf_str(&key);
	if (r == 0)
		r = follow_known(&g);
	if (r == ERR_EXPIRED && !g.fresh)
		r = follow_known(&g);
	if (r == ERR_EXPIRED)
		r = ERR_SERVER; /* refused though just signed: storage and hub disagree */
	if (ret_wait_ms)
		*ret_wait_ms = g.answer.wait_ms;
	hub_answer_fini(&g.answer);
	buf_free(&g.offer);
	return r;
}
