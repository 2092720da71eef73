/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/member_checkin.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/why.h"

#define ANSWER_BYTES_MAX (4u << 20)
#define ANSWER_MS 5000
#define INFO_MAX 511 /* bytes of an Authentication-Info */

/* One request and its answer. */
struct exchange {
	char nonce[CLUSTER_NONCE_HEX + 1];
	char info[INFO_MAX + 1];
	struct buf body;
};

int member_checkin_digest(const void *body, size_t len, char ret[static DIGEST_HEX_MAX + 1])
{
	uint8_t value[DIGEST_BYTES_MAX];
	int r = digest_of(DIGEST_SHA256, body, len, value);

	if (r == 0)
		hex_print(value, sizeof(value), ret);
	return r;
}

static int keep_head(void *arg, const struct httpc_response *r)
{
	struct exchange *x = arg;
	const char *info = httpc_header(r, "Authentication-Info");

	if (info && strlen(info) <= INFO_MAX)
		memcpy(x->info, info, strlen(info) + 1);
	return 0;
}

static int keep_body(void *arg, const void *data, size_t len)
{
	struct exchange *x = arg;

	return x->body.len + len <= ANSWER_BYTES_MAX ? buf_add(&x->body, data, len) : ERR_PROTO;
}

static void write_self(const struct member_checkin *c, struct buf *ret)
{
	const struct member_spec *self = &c->self;
	struct jwrite w = { .to = ret };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "address", self->address);
	jwrite_text(&w, "zone", self->zone);
	jwrite_uint(&w, "weight", self->weight);
	if (c->list[0])
		jwrite_text(&w, "list", c->list);
	jwrite_object_end(&w);
}

static int sign(struct member_checkin *c, const struct buf *content, struct exchange *x,
		struct buf *ret)
{
	char digest[DIGEST_HEX_MAX + 1];
	const struct cluster_words words = {
		.method = MEMBER_CHECKIN_METHOD,
		.target = MEMBER_CHECKIN_TARGET,
		.range = digest,
		.node = c->self.address,
		.to = MEMBER_CHECKIN_HUB,
	};
	int r = content->failed;

	if (r == 0)
		r = member_checkin_digest(content->data, content->len, digest);
	return r == 0 ? cluster_key_authorize(c->key, &words, c->ahead_ms, ret, x->nonce) : r;
}

/* The status. */
static int ask(struct member_checkin *c, struct exchange *x)
{
	CLEANUP(buf_free) struct buf url = { 0 };
	CLEANUP(buf_free) struct buf content = { 0 };
	CLEANUP(buf_free) struct buf authorization = { 0 };
	struct httpc_request q = { .method = MEMBER_CHECKIN_METHOD, .accept = "text/plain" };
	const char *field;
	int r;

	write_self(c, &content);
	r = sign(c, &content, x, &authorization);
	if (r == 0)
		r = buf_printf(&url, "%s%s", c->hub_url, MEMBER_CHECKIN_TARGET);
	if (r < 0)
		return r;
	field = buf_str(&authorization);
	q.url = buf_str(&url);
	q.fields = &field;
	q.field_count = 1;
	q.content = content.data;
	q.content_len = content.len;
	q.deadline_ms = clock_ms() + ANSWER_MS;
	q.head = keep_head;
	q.body = keep_body;
	q.arg = x;
	q.cancel = &c->cancel;
	return httpc_run(c->http, &q);
}

/* Whether who has our key has said this; then its clock is known. `digest` gets that of the
 * body. */
static bool is_signed(struct member_checkin *c, int status, const struct exchange *x,
		      char digest[static DIGEST_HEX_MAX + 1])
{
	char node[CLUSTER_NODE_MAX + 1];
	const struct cluster_answer answer = {
		.status = status,
		.others = digest,
	};

	return member_checkin_digest(buf_str(&x->body), x->body.len, digest) == 0 &&
	       cluster_key_believe(c->key, &answer, x->nonce, x->info[0] ? x->info : NULL, node,
				   &c->ahead_ms);
}

static int read_list(const struct member_checkin *c, const struct exchange *x,
		     struct member_look *ret)
{
	CLEANUP(buf_free) struct buf line = { 0 };
	int r = member_list_parse(buf_str(&x->body), x->body.len, &ret->list, &ret->count, &line);

	if (r < 0)
		return complain_as(r, &ret->why, "the answer of %s makes no sense: %s", c->hub_url,
				   buf_str(&line));
	return MEMBER_FOUND;
}

static int fail(const struct member_checkin *c, int r, bool is_ours, struct buf *why)
{
	if (r == 404)
		return complain(why, "%s takes no check-ins: start it with --cluster-key-file",
				c->hub_url);
	if (r == 401 && is_ours)
		return complain(why, "%s does not take this node's clock for right", c->hub_url);
	if (r == 401 || (r >= 200 && r < 300))
		return complain(why, "%s has another cluster key", c->hub_url);
	if (r > 0)
		return complain_as(ERR_PROTO, why, "%s answers a check-in with %d", c->hub_url, r);
	return complain_as(r, why, "%s cannot be asked: %s", c->hub_url, err_text(r));
}

static int take_answer(struct member_checkin *c, int status, const struct exchange *x,
		       const char *digest, struct member_look *ret)
{
	if (status == 204 || (status == 202 && c->list[0]))
		return MEMBER_AS_IT_WAS;
	if (status == 200)
		snprintf(c->list, sizeof(c->list), "%s", digest);
	return read_list(c, x, ret);
}

/* True if it is to be signed again: whose clock differs is told so by who has the key. */
static bool try_once(struct member_checkin *c, bool last, struct member_look *ret, int *ret_r)
{
	char digest[DIGEST_HEX_MAX + 1];
	struct exchange x = { .body.len = 0 };
	int status = ask(c, &x);
	bool is_ours = status > 0 && is_signed(c, status, &x, digest);
	bool again = status == 401 && is_ours && !last;

	if (is_ours && (status == 200 || status == 202 || status == 204))
		*ret_r = take_answer(c, status, &x, digest, ret);
	else if (!again)
		*ret_r = fail(c, status, is_ours, &ret->why);
	buf_free(&x.body);
	return again;
}

int member_look_hub(struct member_checkin *c, struct member_look *ret)
{
	int r = 0, tries = 1;

	while (try_once(c, tries == CLUSTER_TRIES, ret, &r))
		tries++;
	return r;
}
