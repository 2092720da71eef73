/* SPDX-License-Identifier: Apache-2.0 */
/* A hub's metadata calls (hf-contract §1.2, §1.4): each is one JSON answer, or a list of pages
 * of them. */
#include "daemon/hub/hub_priv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/url.h"

#define PAGE_BYTES_MAX (64u << 20)
#define PAGES_MAX 20000

struct page {
	struct hub_answer answer;
	struct buf body;
	size_t max;      /* bytes of its body */
	size_t dropped;  /* bytes of a refusal's body */
	struct buf next; /* absolute URL of the next page, or empty */
	uint64_t total;  /* items of all pages, if the hub says so */
};

#define PAGE_INIT(max_) \
	{ \
		.answer.wait_ms = -1, .max = (max_) \
	}

static void page_fini(struct page *p)
{
	hub_answer_fini(&p->answer);
	buf_free(&p->body);
	buf_free(&p->next);
}

/* Finds the target with rel="next" in a Link header (RFC 8288); returns its length, or 0. */
static size_t find_next(const char *link, const char **ret)
{
	const char *end;

	for (; (link = strchr(link, '<')) && (end = strchr(link, '>')); link = end) {
		size_t params = strcspn(end, ",");
		const char *rel = strcasestr(end, "rel=\"next\"");

		if (rel && rel < end + params) {
			*ret = link + 1;
			return (size_t)(end - link - 1);
		}
	}
	return 0;
}

static int note_next(struct page *p, const struct httpc_response *r)
{
	const char *link = httpc_header(r, "Link"), *target;
	const char *total = httpc_header(r, "X-Total-Count");
	size_t len = link ? find_next(link, &target) : 0;
	CLEANUP(buf_free) struct buf reference = { 0 };

	p->total = total && *total != '-' ? strtoull(total, NULL, 10) : 0;
	if (len == 0)
		return 0;
	if (buf_add(&reference, target, len) < 0)
		return -ENOMEM;
	return url_join(p->answer.url, buf_str(&reference), &p->next);
}

static int page_head(void *arg, const struct httpc_response *r)
{
	struct page *p = arg;
	int e = hub_answer_head(&p->answer, r);

	return e == 0 && p->answer.status == 200 ? note_next(p, r) : e;
}

static int page_body(void *arg, const void *data, size_t len)
{
	struct page *p = arg;

	if (p->answer.status != 200) {
		p->dropped += len;
		return p->dropped > HUB_REFUSAL_BYTES_MAX; /* enough: the head said it all */
	}
	if (p->body.len + len > p->max)
		return ERR_PROTO;
	return buf_add(&p->body, data, len);
}

/* Gets one page, through redirects. 0 when its body is there. */
static int get_page(struct hub *h, const char *url, struct httpc_cancel *cancel, struct page *p)
{
	struct httpc_request q = {
		.accept = "application/json",
		.deadline_ms = clock_ms() + h->timeout_ms,
		.head = page_head,
		.body = page_body,
		.arg = p,
		.cancel = cancel,
	};
	CLEANUP(buf_free) struct buf at = { 0 };
	int r = buf_add_str(&at, url);

	buf_clear(&p->body);
	buf_clear(&p->next);
	for (int hops = 0; r == 0 && hops <= HUB_REDIRECTS_MAX; hops++) {
		r = hub_exchange(h, &q, buf_str(&at), &p->answer);
		if (r < 0)
			return r;
		if (p->answer.status == 200)
			return 0;
		if (!p->answer.location.len)
			return p->answer.error;
		buf_clear(&at);
		r = buf_add_str(&at, buf_str(&p->answer.location));
	}
	return r < 0 ? r : ERR_REDIRECT;
}

int hub_get_text(struct hub *h, const char *url, size_t max, struct httpc_cancel *cancel,
		 struct buf *ret, int64_t *ret_wait_ms)
{
	CLEANUP(page_fini) struct page p = PAGE_INIT(max);
	int r = get_page(h, url, cancel, &p);

	if (ret_wait_ms)
		*ret_wait_ms = p.answer.wait_ms;
	if (r < 0)
		return r;
	*ret = p.body;
	p.body = (struct buf){ 0 };
	return 0;
}

/* Gets one JSON text: that of {api}/{repository}{tail}. */
static int get_json(struct hub *h, const struct repo_id *id, const char *tail,
		    struct httpc_cancel *cancel, struct page *p, struct jdoc **ret,
		    int64_t *ret_wait_ms)
{
	CLEANUP(buf_free) struct buf url = { 0 };
	int r = buf_printf(&url, "%s/api/%s/%s%s", h->url, repo_type_plural(id->type), id->name,
			   tail);

	if (r == 0)
		r = get_page(h, buf_str(&url), cancel, p);
	if (ret_wait_ms)
		*ret_wait_ms = p->answer.wait_ms;
	return r < 0 ? r : jdoc_parse(buf_str(&p->body), p->body.len, ret);
}

static int get_single(struct hub *h, const struct repo_id *id, const char *tail,
		      struct httpc_cancel *cancel, struct jdoc **ret, int64_t *ret_wait_ms)
{
	CLEANUP(page_fini) struct page p = PAGE_INIT(PAGE_BYTES_MAX);

	return get_json(h, id, tail, cancel, &p, ret, ret_wait_ms);
}

/* --- revisions */

/* "gated" is false or a word; hubs that know no such thing leave it out. */
bool hub_says_open(const struct jval *info, bool *ret_gated)
{
	const struct jval *gated = jval_get(info, "gated");
	bool is_private = jval_bool(jval_get(info, "private")) != 0;

	*ret_gated = !is_private && gated && jval_bool(gated) != 0;
	return !is_private && !*ret_gated;
}

static int read_revision(const struct jval *v, enum repo_type type, struct hub_revision *ret)
{
	const char *name = jval_get_str(v, "id"), *commit = jval_get_str(v, "sha");
	const char *date = jval_get_str(v, "lastModified");
	bool gated;

	if (!name || !commit || !commit_valid(commit) || repo_id_parse(type, name, &ret->id) < 0)
		return ERR_PROTO;
	memcpy(ret->commit, commit, sizeof(ret->commit));
	ret->date_s = date ? clock_parse_iso(date) : -1;
	ret->is_open = hub_says_open(v, &gated);
	return 0;
}

int hub_get_revision(struct hub *h, const struct repo_id *id, const char *revision,
		     struct httpc_cancel *cancel, struct hub_revision *ret, int64_t *ret_wait_ms)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	CLEANUP(buf_free) struct buf tail = { 0 };
	struct hub_revision revised = { 0 };
	int r;

	if (revision) {
		buf_add_str(&tail, "/revision/");
		url_encode(&tail, revision, 0);
	}
	r = tail.failed;
	if (r == 0)
		r = get_single(h, id, buf_str(&tail), cancel, &doc, ret_wait_ms);
	if (r == 0)
		r = read_revision(jdoc_root(doc), id->type, &revised);
	if (r == 0)
		*ret = revised;
	return r;
}

int hub_get_date(struct hub *h, const struct repo_id *id, const char *commit,
		 struct httpc_cancel *cancel, int64_t *ret_s, int64_t *ret_wait_ms)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	CLEANUP(buf_free) struct buf tail = { 0 };
	const char *date;
	int64_t seconds;
	int r = buf_printf(&tail, "/commits/%s?limit=1", commit);

	if (r == 0)
		r = get_single(h, id, buf_str(&tail), cancel, &doc, ret_wait_ms);
	if (r < 0)
		return r;
	date = jval_get_str(jval_at(jdoc_root(doc), 0), "date");
	seconds = date ? clock_parse_iso(date) : -1;
	if (seconds < 0)
		return ERR_PROTO;
	*ret_s = seconds;
	return 0;
}

/* --- refs */

/* A branch or tag is asked for by its name; pull requests and conversions by their whole ref. */
static const char *revision_of(const struct jval *v)
{
	const char *ref = jval_get_str(v, "ref"), *name = jval_get_str(v, "name");

	return ref && (strncmp(ref, "refs/pr/", 8) == 0 || strncmp(ref, "refs/convert/", 13) == 0)
		       ? ref
		       : name;
}

static int each_in(const struct jval *list, int (*fn)(void *arg, const char *ref), void *arg)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < jval_count(list); i++) {
		const char *ref = revision_of(jval_at(list, i));

		if (ref)
			r = fn(arg, ref);
	}
	return r;
}

int hub_each_ref(struct hub *h, const struct repo_id *id, struct httpc_cancel *cancel,
		 int (*fn)(void *arg, const char *ref), void *arg, int64_t *ret_wait_ms)
{
	static const char *const lists[] = { "branches", "tags", "converts", "pullRequests" };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r = get_single(h, id, "/refs?include_prs=1", cancel, &doc, ret_wait_ms);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(lists); i++)
		r = each_in(jval_get(jdoc_root(doc), lists[i]), fn, arg);
	return r;
}

/* --- file lists */

/* Follows pages from url to the last one. A list that bites its tail is found as by Brent: one
 * URL is kept, renewed at each power of two, and every cycle meets it. */
static int add_pages(struct hub *h, const char *url, struct httpc_cancel *cancel, struct page *p,
		     struct manifest_builder *b, struct buf *why)
{
	CLEANUP(buf_free) struct buf at = { 0 };
	CLEANUP(buf_free) struct buf kept = { 0 };

	buf_add_str(&at, url);
	for (unsigned n = 1; n <= PAGES_MAX; n++) {
		int r = at.failed | kept.failed;

		if (r == 0)
			r = get_page(h, buf_str(&at), cancel, p);
		if (r == 0)
			r = manifest_builder_page(b, buf_str(&p->body), p->body.len, why);
		if (r < 0 || !p->next.len)
			return r;
		if ((n & (n - 1)) == 0) {
			buf_clear(&kept);
			buf_add_str(&kept, buf_str(&at));
		}
		buf_clear(&at);
		buf_add_str(&at, buf_str(&p->next));
		if (strcmp(buf_str(&at), buf_str(&kept)) == 0)
			return ERR_PROTO;
	}
	return ERR_PROTO;
}

int hub_get_manifest(struct hub *h, const struct repo_id *id, const char *commit,
		     struct httpc_cancel *cancel, struct manifest **ret, struct buf *why,
		     uint32_t *ret_left_out, int64_t *ret_wait_ms)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(page_fini) struct page p = PAGE_INIT(PAGE_BYTES_MAX);
	CLEANUP(buf_free) struct buf url = { 0 };
	int r = buf_printf(&url, "%s/api/%s/%s/tree/%s?recursive=true", h->url,
			   repo_type_plural(id->type), id->name, commit);

	if (r == 0)
		r = manifest_builder_new(&b);
	if (r == 0 && h->lenient)
		manifest_builder_be_lenient(b);
	if (r == 0)
		r = add_pages(h, buf_str(&url), cancel, &p, b, why);
	if (ret_wait_ms)
		*ret_wait_ms = p.answer.wait_ms;
	if (r == 0)
		r = manifest_builder_finish(b, ret, why);
	if (r == 0)
		*ret_left_out = manifest_builder_left_out(b);
	return r;
}

/* --- documents */

/* What follows the repository's name in the URL of a next page. Where that is served by (a public
 * name, https in front of http) is of no interest: it is the hub that is asked for it. */
static int add_next_tail(const struct repo_id *id, const char *url, struct buf *ret)
{
	CLEANUP(buf_free) struct buf api = { 0 };
	const char *at;

	if (buf_printf(&api, "/api/%s/%s", repo_type_plural(id->type), id->name) < 0)
		return -ENOMEM;
	at = strcasestr(url, buf_str(&api));
	if (!at || at > url + strcspn(url, "?"))
		return 0;
	at += api.len;
	if ((*at != '/' && *at != '?') || strlen(at) > HUB_TAIL_MAX)
		return 0;
	return buf_add_str(ret, at);
}

int hub_get_doc(struct hub *h, const struct repo_id *id, const char *tail,
		struct httpc_cancel *cancel, struct jdoc **ret, struct buf *ret_next,
		int64_t *ret_wait_ms)
{
	CLEANUP(page_fini) struct page p = PAGE_INIT(HUB_DOC_MAX);
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r = get_json(h, id, tail, cancel, &p, &doc, ret_wait_ms);

	if (r == 0)
		r = add_next_tail(id, buf_str(&p.next), ret_next);
	if (r == 0 && p.total)
		r = buf_printf(ret_next, "\n%ju", (uintmax_t)p.total);
	if (r == 0)
		*ret = steal(doc);
	return r;
}
