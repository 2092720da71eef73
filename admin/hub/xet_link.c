/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/target.h"
#include "daemon/base/url.h"
#include "daemon/base/why.h"

#define SEALED 8
#define ETAG 64 /* digits */

void xet_link_fini(struct xet_link *l)
{
	xet_token_fini(&l->of);
}

static void list(const struct xet_link *l, const char *xorb, const char *ret[static SEALED])
{
	const char *const all[SEALED] = { "xet.bytes", xorb,        l->etag,    l->of.uid,
					  l->of.user,  l->of.token, l->of.made, NULL };

	memcpy(ret, all, sizeof(all));
}

static void add_field(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "&%s=", name);
	url_encode(b, value, 0);
}

int xet_link_print(const uint8_t key[static CAPABILITY_KEY], const char *origin,
		   const struct xet_link *l, struct buf *ret)
{
	char xorb[XET_HASH_HEX + 1];
	const char *sealed[SEALED];
	int r;

	xet_hash_print(l->xorb, xorb);
	list(l, xorb, sealed);
	buf_printf(ret, "%s" XET_LINK_ROOT "%s?of=%s", origin, xorb, l->etag);
	add_field(ret, "repo", l->of.uid);
	add_field(ret, "user", l->of.user);
	add_field(ret, "token", l->of.token);
	add_field(ret, "made", l->of.made);
	buf_add_str(ret, "&seal=");
	r = capability_print(key, sealed, l->of.expires_s, ret);
	return r < 0 ? r : ret->failed;
}

static int read_text(const char *query, const char *name, char **ret)
{
	CLEANUP(buf_free) struct buf value = { 0 };

	(void)target_field(query, name, &value);
	*ret = strdup(buf_str(&value));
	return *ret ? 0 : -ENOMEM;
}

static int read_all(const char *query, struct xet_link *l)
{
	CLEANUP(buf_free) struct buf etag = { 0 };
	int r = read_text(query, "repo", &l->of.uid);

	if (r == 0)
		r = read_text(query, "user", &l->of.user);
	if (r == 0)
		r = read_text(query, "token", &l->of.token);
	if (r == 0)
		r = read_text(query, "made", &l->of.made);
	if (r < 0)
		return r;
	(void)target_field(query, "of", &etag);
	if (etag.len != ETAG || !hex_is(buf_str(&etag), ETAG))
		return -EACCES;
	memcpy(l->etag, buf_str(&etag), ETAG + 1);
	return 0;
}

int xet_link_read(const uint8_t key[static CAPABILITY_KEY], const char *xorb, const char *query,
		  int64_t now_s, struct xet_link *ret, struct buf *why)
{
	CLEANUP(buf_free) struct buf seal = { 0 };
	CLEANUP(xet_link_fini) struct xet_link l = { .xorb = { 0 } };
	const char *sealed[SEALED];
	int r = xet_hash_parse(xorb, l.xorb);

	if (r == 0)
		r = read_all(query, &l);
	if (r == -EINVAL || r == -EACCES || (r == 0 && !target_field(query, "seal", &seal)))
		return complain_as(-EACCES, why, "this link is not one that this hub gave");
	if (r < 0)
		return r;
	list(&l, xorb, sealed);
	r = capability_check(key, sealed, buf_str(&seal), now_s, why);
	if (r < 0)
		return r;
	*ret = l;
	l.of = (struct xet_token){ 0 };
	return 0;
}
