/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/origin.h"

#include <string.h>
#include <strings.h>

#include "daemon/base/network.h"
#include "daemon/base/url.h"

#define PREFIX_MAX 200

/* --- what links begin with */

static const char *last_of(const char *list)
{
	const char *comma = list ? strrchr(list, ',') : NULL;
	const char *last = comma ? comma + 1 : list;

	return last ? last + strspn(last, " \t") : "";
}

static const char *scheme_of(const struct origin *o)
{
	const char *said = last_of(o->proto);

	if (!strcasecmp(said, "https") || !strcasecmp(said, "http"))
		return said[4] ? "https" : "http";
	return o->secure ? "https" : "http";
}

static const char *host_of(const struct origin *o)
{
	const char *said = last_of(o->proxied_host);

	if (url_is_host(said))
		return said;
	return o->host && url_is_host(o->host) ? o->host : "localhost";
}

/* A path without a slash at its end, of what nobody would encode. */
static const char *prefix_of(const struct origin *o)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/.-_~";
	const char *said = last_of(o->prefix);
	size_t len = strlen(said);

	if (*said != '/' || said[len - 1] == '/' || len > PREFIX_MAX || said[strspn(said, plain)])
		return "";
	return said;
}

int origin_print(const struct origin *o, struct buf *ret)
{
	if (o->public_url)
		return buf_add_str(ret, o->public_url);
	return buf_printf(ret, "%s://%s%s", scheme_of(o), host_of(o), prefix_of(o));
}

/* --- of a request */

struct said {
	struct buf proto, host, prefix, address;
};

static void said_fini(struct said *s)
{
	buf_free(&s->proto);
	buf_free(&s->host);
	buf_free(&s->prefix);
	buf_free(&s->address);
}

/* All lines of that name: a proxy may add one of its own behind the one that its client made up. */
static const char *all_of(const struct httpd_request *q, const char *name, struct buf *list)
{
	if (httpd_fields(q, name, list) < 0)
		return NULL;
	buf_trim_end(list);
	return buf_str(list);
}

char *origin_find(const struct server *s, struct httpd_request *q,
		  char ret_address[static CLIENT_ADDRESS_MAX])
{
	CLEANUP(said_fini) struct said said = { 0 };
	const struct conf_list *proxies = &s->proxies;
	struct origin o = { .public_url = s->public_url,
			    .secure = httpd_is_secure(q),
			    .host = httpd_field(q, "Host") };
	CLEANUP(buf_free) struct buf ret = { 0 };
	char peer[HTTPD_ADDRESS_MAX];
	const char *from = NULL;

	httpd_address(q, peer);
	if (network_has(peer, proxies->items, proxies->count)) {
		o.proto = all_of(q, "X-Forwarded-Proto", &said.proto);
		o.proxied_host = all_of(q, "X-Forwarded-Host", &said.host);
		o.prefix = all_of(q, "X-Forwarded-Prefix", &said.prefix);
		from = all_of(q, "X-Forwarded-For", &said.address);
	}
	client_address(peer, from, proxies->items, proxies->count, ret_address);
	return origin_print(&o, &ret) < 0 ? NULL : buf_take(&ret);
}
