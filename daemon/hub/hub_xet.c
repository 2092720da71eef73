/* SPDX-License-Identifier: Apache-2.0 */
/* A range is asked for some MiB at a time: that many bytes, at most, wait for those in front of
 * them, since each part of a xorb is fetched once. Nobody tells the hashes of chunks, so what they
 * prove is little: that a small xorb that comes whole is the one that was named. Lengths must be
 * right everywhere. The digest of the file decides in the end, as ever. */
#include "daemon/hub/hub_xet.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/base/url.h"
#include "daemon/xet/gather.h"
#include "daemon/xet/xorb.h"

#define OFFER "xet:" /* HASH:URL-OF-TOKENS */
#define WINDOW (UINT64_C(8) << 20)
#define PLAN_BYTES_MAX (2u << 20) /* of what a window is made of, as text */
#define TOKEN_BYTES_MAX 65536
#define BEARER_BYTES_MAX 8192
#define TOKEN_LIFE_MAX_S 3600
#define MARGIN_S 30           /* a token is not used so shortly before its end */
#define ANSWER_MS 2000        /* so long one waits for another's token before asking, too */
#define PROVEN_CHUNKS 16      /* xorbs of so many chunks are compared before a byte is given */
#define REST_MAX (256u << 10) /* bytes nobody wants are read to the end, if they are so few */
#define VAIN_MAX 3            /* tries in a row that bring nothing */

struct xet {
	struct hub *h;
	const struct source_ask *ask;
	const char *hash, *token_url; /* of the offer; the hash has no NUL behind it */
	struct buf token;             /* as it is remembered: CAS, newline, bearer */
	uint64_t given;               /* bytes that reached the sink */
	int sink_result;              /* what the sink ended the call with */
	struct hub_answer answer;
	struct rebuild plan; /* of the window */
	struct gather *gather;
	struct xorb_reader *reader;
	/* The part that comes: so many chunks and bytes did; whether it is to be compared first. */
	const struct rebuild_part *part;
	uint32_t part_number, chunks;
	uint64_t came;
	bool whole;
	struct buf roots; /* of those that were not what they were called */
};

/* ---- offers ---- */

/* The target of the link with that relation (RFC 8288); false if there is none. */
static bool find_link(const char *link, const char *relation, struct buf *ret)
{
	const char *end;

	for (; link && (link = strchr(link, '<')) && (end = strchr(link, '>')); link = end) {
		size_t params = strcspn(end, ",");
		const char *rel = strcasestr(end, relation);

		if (rel && rel < end + params)
			return buf_add(ret, link + 1, (size_t)(end - link - 1)) == 0;
	}
	return false;
}

int hub_xet_offer(const struct hub_answer *a, const struct httpc_response *r, struct buf *ret)
{
	CLEANUP(buf_free) struct buf route = { 0 }, url = { 0 };
	const char *hash = httpc_header(r, "X-Xet-Hash");
	const char *refresh = httpc_header(r, "X-Xet-Refresh-Route");
	int e;

	if (!hash || !hex_is(hash, XET_HASH_HEX))
		return 0;
	if (!find_link(httpc_header(r, "Link"), "rel=\"xet-auth\"", &route) &&
	    (!refresh || buf_add_str(&route, refresh) < 0))
		return route.failed;
	e = url_join(a->url, buf_str(&route), &url);
	if (e < 0)
		return e == -ENOMEM ? e : 0;
	return buf_printf(ret, OFFER "%s:%s", hash, buf_str(&url));
}

bool hub_xet_is_offer(const char *location)
{
	return strncmp(location, OFFER, strlen(OFFER)) == 0;
}

/* ---- tokens ---- */

static int64_t soon_ms(const struct xet *x)
{
	return min_i64(x->ask->deadline_ms, clock_ms() + x->h->timeout_ms);
}

static bool is_secret(const char *url)
{
	return !strncasecmp(url, "https:", strlen("https:"));
}

/* Nothing that could end a field of a header, or the text in which it is remembered. */
static bool is_bearer(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return len && len <= BEARER_BYTES_MAX;
}

static int read_token(struct xet *x, const struct buf *text, int64_t *ret_life_ms)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r = jdoc_parse(buf_str(text), text->len, &doc);
	const struct jval *root = r == 0 ? jdoc_root(doc) : NULL;
	const char *bearer = jval_get_str(root, "accessToken"), *cas = jval_get_str(root, "casUrl");
	int64_t exp = jval_get_size(root, "exp"), now = clock_wall_s();

	if (r < 0)
		return r;
	if (!is_bearer(bearer) || !cas || strpbrk(cas, "\n?#"))
		return ERR_PROTO;
	*ret_life_ms = exp < now ? 0 : min_i64(exp - now - MARGIN_S, TOKEN_LIFE_MAX_S) * 1000;
	buf_clear(&x->token);
	r = url_join(x->token_url, cas, &x->token); /* none: it is no URL */
	if (r < 0)
		return r;
	if (is_secret(x->token_url) && !is_secret(buf_str(&x->token)))
		return ERR_PROTO; /* what was given in secret is not said aloud */
	while (x->token.len && x->token.data[x->token.len - 1] == '/')
		x->token.len--;
	return buf_printf(&x->token, "\n%s", bearer);
}

static int ask_token(struct xet *x)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int64_t life_ms = 0;
	int r = hub_get_text(x->h, x->token_url, TOKEN_BYTES_MAX, x->ask->cancel, &text,
			     &x->answer.wait_ms);

	if (r == 0)
		r = read_token(x, &text, &life_ms);
	if (r == 0)
		location_put(x->h->xet_tokens, x->token_url, buf_str(&x->token), clock_ms(),
			     life_ms);
	return r;
}

static int get_token(struct xet *x)
{
	int64_t now = clock_ms();
	int r;

	buf_clear(&x->token);
	r = location_get(x->h->xet_tokens, x->token_url, now, now + ANSWER_MS, &x->token);
	if (r != -ENOENT)
		return r;
	r = ask_token(x);
	location_asked(x->h->xet_tokens, x->token_url);
	return r;
}

/* ---- what a window is made of ---- */

struct telling {
	struct xet *xet;
	struct buf text;
	size_t dropped;
};

static int on_head(void *arg, const struct httpc_response *r)
{
	struct telling *t = arg;

	return hub_answer_head(&t->xet->answer, r);
}

static int on_text(void *arg, const void *data, size_t len)
{
	struct telling *t = arg;

	if (t->xet->answer.status != 200) {
		t->dropped += len;
		return t->dropped > HUB_REFUSAL_BYTES_MAX;
	}
	return t->text.len + len > PLAN_BYTES_MAX ? ERR_PROTO : buf_add(&t->text, data, len);
}

/* 0 once the answer is there, whatever its status is. */
static int ask_version(struct xet *x, unsigned version, uint64_t len, struct telling *t)
{
	const char *end = strchr(buf_str(&x->token), '\n');
	CLEANUP(buf_free) struct buf url = { 0 };
	struct httpc_request q = {
		.accept = "application/json",
		.range_off = x->ask->off + x->given,
		.range_len = len,
		.deadline_ms = soon_ms(x),
		.head = on_head,
		.body = on_text,
		.arg = t,
		.cancel = x->ask->cancel,
	};
	int r = buf_printf(&url, "%.*s/v%u/reconstructions/%.*s", (int)(end - x->token.data),
			   x->token.data, version, XET_HASH_HEX, x->hash);

	x->answer.bearer = end + 1;
	if (r == 0)
		r = hub_exchange(x->h, &q, buf_str(&url), &x->answer);
	x->answer.bearer = NULL;
	return r < 0 ? r : 0;
}

static bool is_unknown(int status)
{
	return status == 404 || status == 501;
}

/* What a store says that knows not that version is the same as for a file it has not. */
static int ask_plan(struct xet *x, uint64_t len, struct telling *t)
{
	bool first = x->h->xet_first_version;
	int r = ask_version(x, first ? 1 : 2, len, t);

	if (r < 0 || !is_unknown(x->answer.status))
		return r;
	r = ask_version(x, first ? 2 : 1, len, t);
	if (r == 0 && x->answer.status == 200)
		x->h->xet_first_version = !first;
	return r;
}

static int make_plan(struct xet *x, uint64_t len)
{
	struct telling t = { .xet = x };
	int r = ask_plan(x, len, &t);

	rebuild_fini(&x->plan);
	if (r == 0 && x->answer.status == 200)
		r = rebuild_parse(buf_str(&t.text), t.text.len, len, &x->plan);
	else if (r == 0)
		r = x->answer.error;
	if (x->answer.status == 401 || x->answer.status == 403) {
		location_forget(x->h->xet_tokens, x->token_url, buf_str(&x->token));
		r = ERR_EXPIRED;
	}
	buf_free(&t.text);
	return r;
}

/* ---- a part ---- */

static uint64_t part_len(const struct xet *x)
{
	return x->part->last - x->part->first + 1;
}

static int damaged(const struct xet *x, const char *why)
{
	char name[XET_HASH_HEX + 1];

	xet_hash_print(x->part->xorb, name);
	err_note(ERR_DIGEST, "xorb %s: %s", name, why);
	return ERR_DIGEST;
}

/* What the reader or the gatherer says. */
static int judge(const struct xet *x, int r)
{
	const char *why = xorb_reader_why(x->reader);

	if (r == -E2BIG)
		return damaged(x, "more of it would have to wait for others than may");
	if (r != -EBADMSG)
		return r;
	return damaged(x, *why ? why : "a term has another length than was told");
}

static bool has_bytes(const struct xet *x)
{
	return x->answer.status == 200 || x->answer.status == 206;
}

/* Just that part, as it is; and whether it is all that there is. */
static int check_part(struct xet *x, const struct httpc_response *r)
{
	const char *coding = httpc_header(r, "Content-Encoding");
	uint64_t first = 0, last = (uint64_t)httpc_content_length(r) - 1;
	int64_t total = httpc_content_length(r);

	if (coding && strcasecmp(coding, "identity") != 0)
		return ERR_PROTO;
	if (x->answer.status == 206 && httpc_content_range(r, &first, &last, &total) < 0)
		return ERR_PROTO;
	if (first != x->part->first || last != x->part->last)
		return ERR_PROTO;
	x->whole = x->part->from == 0 && x->part->to <= PROVEN_CHUNKS && first == 0 &&
		   (uint64_t)total == last + 1;
	return 0;
}

static int part_head(void *arg, const struct httpc_response *r)
{
	struct xet *x = arg;
	int e = hub_answer_head(&x->answer, r);

	return e == 0 && has_bytes(x) ? check_part(x, r) : e;
}

static int on_chunk(void *arg, const uint8_t hash[static XET_HASH] UNUSED, const void *data,
		    size_t len)
{
	struct xet *x = arg;
	uint32_t chunk = x->part->from + x->chunks;

	if (chunk >= x->part->to)
		return damaged(x, "there are more chunks than were told of");
	x->chunks++;
	return gather_add(x->gather, x->part_number, chunk, data, len, x->whole);
}

static int part_body(void *arg, const void *data, size_t len)
{
	struct xet *x = arg;
	uint32_t next;
	int r;

	x->came += len;
	if (!has_bytes(x))
		return x->came > HUB_REFUSAL_BYTES_MAX;
	metrics_count(x->h->metrics, bytes, len);
	if (x->came > part_len(x))
		return ERR_PROTO;
	r = judge(x, xorb_reader_add(x->reader, data, len));
	return r < 0 ? r : gather_done(x->gather, &next) && part_len(x) - x->came > REST_MAX;
}

static bool was_had(const struct xet *x, const uint8_t root[static XET_HASH])
{
	for (size_t at = 0; at < x->roots.len; at += XET_HASH)
		if (!memcmp(x->roots.data + at, root, XET_HASH))
			return true;
	return false;
}

/* One that is not what it is called is fetched once more. The same again is all that this store has
 * of that xorb, which is all that is told of it. */
static int compare(struct xet *x)
{
	uint8_t root[XET_HASH];

	if (x->chunks < x->part->to - x->part->from)
		return damaged(x, "there are fewer chunks than were told of");
	if (xorb_reader_end(x->reader, root) < 0)
		return judge(x, -EBADMSG);
	if (x->whole && memcmp(root, x->part->xorb, XET_HASH) != 0 && !was_had(x, root))
		return buf_add(&x->roots, root, XET_HASH) < 0
			       ? -ENOMEM
			       : damaged(x, "its chunks are of another one");
	return judge(x, gather_go(x->gather));
}

/* What storage says when a signature is too old. */
static int refusal(const struct xet *x)
{
	int status = x->answer.status;

	return status == 401 || status == 403 || status == 404 || status == 410 ? ERR_EXPIRED
										: x->answer.error;
}

static int get_part(struct xet *x, uint32_t number)
{
	struct httpc_request q = {
		.deadline_ms = x->ask->deadline_ms,
		.head = part_head,
		.body = part_body,
		.arg = x,
		.cancel = x->ask->cancel,
	};
	CLEANUP(buf_free) struct buf url = { 0 };
	uint32_t next;
	int r;

	x->part_number = number;
	x->part = rebuild_part(&x->plan, number);
	x->chunks = 0;
	x->came = 0;
	x->whole = false;
	xorb_reader_begin(x->reader);
	q.range_off = x->part->first;
	q.range_len = part_len(x);
	r = url_join(x->token_url, x->part->url, &url);
	x->answer.bearer = "";
	if (r == 0)
		r = hub_exchange(x->h, &q, buf_str(&url), &x->answer);
	x->answer.bearer = NULL;
	if (r < 0 || gather_done(x->gather, &next))
		return r < 0 ? r : 0;
	if (!has_bytes(x))
		return refusal(x);
	return x->came < part_len(x) ? ERR_CUT : compare(x);
}

/* ---- a window, and all of them ---- */

static int on_bytes(void *arg, const void *data, size_t len)
{
	struct xet *x = arg;

	x->sink_result = x->ask->sink(x->ask->arg, data, len);
	if (x->sink_result)
		return ERR_CANCELED;
	x->given += len;
	return 0;
}

static int get_parts(struct xet *x)
{
	size_t left = rebuild_part_count(&x->plan);
	uint32_t number;
	int r = 0;

	while (r == 0 && !gather_done(x->gather, &number))
		r = left-- ? get_part(x, number) : ERR_PROTO;
	return r;
}

static int get_window(struct xet *x)
{
	uint64_t len = min_u64(x->ask->len - x->given, WINDOW);
	int r = get_token(x);

	if (r == 0)
		r = make_plan(x, len);
	if (r == 0)
		r = gather_new(&x->plan, len, on_bytes, x, &x->gather);
	if (r == 0)
		r = get_parts(x);
	gather_free(steal(x->gather));
	return r;
}

/* Begins anew, where it is, when a link or token is too old, or what came is not what was named. */
static int get_all(struct xet *x)
{
	unsigned vain = 0;
	int r = 0;

	while (r == 0 && x->given < x->ask->len) {
		uint64_t before = x->given;

		r = get_window(x);
		if (x->sink_result)
			return x->sink_result;
		vain = x->given > before ? 0 : vain + 1;
		if ((r == ERR_EXPIRED || r == ERR_DIGEST) && vain < VAIN_MAX)
			r = 0;
	}
	return r == ERR_EXPIRED ? ERR_SERVER : r; /* refused though just given */
}

int hub_xet_get(struct hub *h, const char *offer, const struct source_ask *ask,
		int64_t *ret_wait_ms)
{
	struct xet x = {
		.h = h,
		.ask = ask,
		.hash = offer + strlen(OFFER),
		.token_url = offer + strlen(OFFER) + XET_HASH_HEX + 1,
		.answer.wait_ms = -1,
	};
	int r = xorb_reader_new(on_chunk, &x, &x.reader);

	if (r == 0)
		r = get_all(&x);
	*ret_wait_ms = x.answer.wait_ms;
	xorb_reader_free(x.reader);
	rebuild_fini(&x.plan);
	buf_free(&x.token);
	buf_free(&x.roots);
	hub_answer_fini(&x.answer);
	return r;
}
