/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/checkin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/checkins.h"
#include "admin/hub/answer.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/network.h"
#include "daemon/peer/member_checkin.h"
#include "daemon/peer/placement.h"

static enum cluster_verdict verify(const struct ask *a, struct cluster_heard *ret)
{
	const struct buf *body = httpd_body(a->http);
	char digest[DIGEST_HEX_MAX + 1];
	const struct cluster_words words = {
		.method = MEMBER_CHECKIN_METHOD,
		.target = MEMBER_CHECKIN_TARGET,
		.range = digest,
	};
	const char *field = httpd_field(a->http, "Authorization");

	if (!field || member_checkin_digest(buf_str(body), body->len, digest) < 0)
		return CLUSTER_FALSE;
	return cluster_key_verify(checkins_key(a->server->checkins), &words, field, clock_wall_ms(),
				  ret);
}

/* Answers, signed; the text is taken. */
static int say(const struct ask *a, int status, const struct cluster_heard *who, struct buf *text)
{
	CLEANUP(buf_free) struct buf info = { 0 };
	char digest[DIGEST_HEX_MAX + 1];
	const struct cluster_answer answer = {
		.status = status,
		.others = digest,
		.node = MEMBER_CHECKIN_HUB,
		.wall_ms = clock_wall_ms(),
	};
	struct httpd_head h;
	int r = member_checkin_digest(buf_str(text), text->len, digest);

	if (r == 0)
		r = cluster_key_sign_answer(checkins_key(a->server->checkins), &answer, who->nonce,
					    &info);
	if (r < 0) {
		buf_free(text);
		return r;
	}
	h = answer_head(a, status, "text/plain; charset=utf-8");
	httpd_head_add(&h, "Authentication-Info", "%s", buf_str(&info));
	httpd_reply_head(a->http, &h, text);
	return 0;
}

/* The same in a sentence. */
static int say_so(const struct ask *a, int status, const struct cluster_heard *who,
		  const char *sentence)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	buf_printf(&text, "%s\n", sentence);
	return text.failed ? text.failed : say(a, status, who, &text);
}

/* NULL, or what is wrong with it. `known` gets the digest of the list the node has, or "". */
static const char *read_body(const struct jval *v, struct member_spec *ret,
			     char known[static DIGEST_HEX_MAX + 1])
{
	const char *address = jval_get_str(v, "address"), *zone = jval_get_str(v, "zone");
	const char *list = jval_get_str(v, "list");
	int64_t weight = jval_get(v, "weight") ? jval_get_size(v, "weight") : 1;

	*ret = (struct member_spec){ .weight = (uint32_t)weight };
	if (!address || !member_address_read(address, strlen(address), ret->address))
		return "\"address\" is where the node answers its peers: ADDR:PORT";
	if (weight < 1 || weight > PLACEMENT_WEIGHT_MAX)
		return "\"weight\" is a whole number from 1 to 100";
	if (jval_get(v, "zone") && !zone)
		return "\"zone\" is a text";
	if (zone && zone[0] && !member_zone_valid(zone, strlen(zone)))
		return "\"zone\" is no zone's name";
	if (zone && zone[0])
		snprintf(ret->zone, sizeof(ret->zone), "%s", zone);
	snprintf(known, DIGEST_HEX_MAX + 1, "%s", list && hex_is(list, DIGEST_HEX_MAX) ? list : "");
	return NULL;
}

/* A node may speak for itself alone. */
static bool is_itself(const struct cluster_heard *who, const struct member_spec *s)
{
	char name[MEMBER_ADDRESS_MAX + 1];

	return member_address_read(who->node, strlen(who->node), name) && !strcmp(name, s->address);
}

/* Where it comes from; "" if a proxy that is trusted does not say. */
static const char *source_of(const struct ask *a)
{
	const struct conf_list *proxies = &a->server->proxies;
	const char *from = a->asked.address;

	return network_has(from, proxies->items, proxies->count) ? "" : from;
}

/* The number that an address begins with; false: it is a name. */
static bool has_number(const struct member_spec *s, char ret[static MEMBER_ADDRESS_MAX + 1])
{
	struct in_addr old;
	bool six = s->address[0] == '[';

	snprintf(ret, MEMBER_ADDRESS_MAX + 1, "%s", s->address + six);
	ret[strcspn(ret, six ? "]" : ":")] = '\0';
	return six || inet_pton(AF_INET, ret, &old) == 1;
}

/* Who says that it is at an address is there, as far as that is known; names are not looked up. */
static bool is_there(const struct member_spec *s, const char *source)
{
	char host[MEMBER_ADDRESS_MAX + 1];
	char *const hosts[] = { host };

	return !*source || !has_number(s, host) || network_has(source, hosts, 1);
}

/* 204: the node has this list. 202: not all may have come yet that were there before this hub
 * began. */
static int tell(const struct ask *a, const struct cluster_heard *who, const char *known,
		int64_t now_ms)
{
	struct checkins *c = a->server->checkins;
	CLEANUP(buf_free) struct buf text = { 0 };
	char digest[DIGEST_HEX_MAX + 1];
	int r = checkins_tell(c, known, now_ms, &text, digest);

	if (r < 0)
		return r;
	return say(a, checkins_gathers(c, now_ms) ? 202 : text.len ? 200 : 204, who, &text);
}

static int take(const struct ask *a, const struct cluster_heard *who, const struct jval *v)
{
	char known[DIGEST_HEX_MAX + 1];
	int64_t now_ms = clock_ms();
	struct member_spec s;
	const char *problem = read_body(v, &s, known);
	int r;

	if (!problem && !is_itself(who, &s))
		problem = "a node signs by the \"address\" that it says it has";
	if (!problem && !is_there(&s, source_of(a)))
		problem = "this came from elsewhere: a node's \"address\" is the one it comes "
			  "from, or a name";
	if (problem)
		return say_so(a, 400, who, problem);
	r = checkins_note(a->server->checkins, &s, source_of(a), now_ms);
	if (r == -EDQUOT)
		return say_so(a, 507, who, "as many nodes as can be come from this address");
	if (r == -ENOSPC)
		return say_so(a, 507, who, "there are as many nodes as can be");
	return r < 0 ? r : tell(a, who, known, now_ms);
}

int checkin_take(struct ask *a)
{
	const struct buf *body = httpd_body(a->http);
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	struct cluster_heard who;
	enum cluster_verdict verdict;
	int r;

	if (!a->server->checkins) {
		answer_refuse(a, 404, "This hub takes no check-ins: it has no --cluster-key-file");
		return 0;
	}
	verdict = verify(a, &who);
	if (verdict == CLUSTER_FALSE) {
		answer_refuse(a, 401, "This is not signed by the cluster's key");
		return 0;
	}
	if (verdict == CLUSTER_FULL)
		return say_so(a, 503, &who, "more come than can be remembered now");
	if (verdict != CLUSTER_TRUE)
		return say_so(a, 401, &who, "this was sent at another time, or before");
	r = jdoc_parse(buf_str(body), body->len, &doc);
	if (r == ERR_PROTO)
		return say_so(a, 400, &who, "this is no JSON");
	return r < 0 ? r : take(a, &who, jdoc_root(doc));
}
