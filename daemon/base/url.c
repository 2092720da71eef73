/* SPDX-License-Identifier: Apache-2.0 */
/* Strict on purpose: a token goes where url_same_origin() says, and libcurl decides where that
 * is. Only what every parser reads alike is a URL here; a backslash, a second '@', an encoded or
 * exotic host are refused rather than understood. */
#include "daemon/base/url.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/err.h"

#define HOST_MAX 262 /* a name of the DNS, and a port */

struct span {
	const char *at;
	size_t len;
};

struct parts {
	struct span scheme; /* with "://" */
	struct span user;   /* with '@'; empty as a rule */
	struct span host;
	struct span port;  /* with ':'; empty as a rule */
	struct span path;  /* up to query or fragment; begins with '/' or is empty */
	struct span query; /* with '?', or empty */
};

static bool is_one_of(char c, const char *also)
{
	return isascii((unsigned char)c) && (isalnum((unsigned char)c) || (c && strchr(also, c)));
}

static size_t count_of(const char *text, const char *also)
{
	size_t n = 0;

	while (is_one_of(text[n], also))
		n++;
	return n;
}

/* Splits "host:port" (text up to end). */
static bool parse_host(const char *text, const char *end, struct parts *ret)
{
	size_t len = *text == '[' ? strcspn(text, "]") + 1 : count_of(text, ".-_");
	const char *port = text + len;

	if (*text == '[' && count_of(text + 1, ":.") + 2 != len)
		return false;
	if (len == 0 || port > end || (port < end && *port != ':'))
		return false;
	ret->host = (struct span){ text, len };
	ret->port = (struct span){ port, (size_t)(end - port) };
	if (ret->port.len > 6)
		return false;
	for (const char *c = port + 1; c < end; c++) {
		if (!isdigit((unsigned char)*c))
			return false;
	}
	return true;
}

static bool parse_parts(const char *url, struct parts *ret)
{
	size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
			: strncasecmp(url, "https://", 8) == 0 ? 8
							       : 0;
	const char *start = url + scheme, *end = start + strcspn(start, "/?#");
	const char *at = memchr(start, '@', (size_t)(end - start));
	const char *host = at ? at + 1 : start;

	ret->scheme = (struct span){ url, scheme };
	ret->user = (struct span){ start, (size_t)(host - start) };
	ret->path = (struct span){ end, strcspn(end, "?#") };
	ret->query = (struct span){ end + ret->path.len, strcspn(end + ret->path.len, "#") };
	if (at && start + count_of(start, "-._~%!$&'()*+,;=:") != at)
		return false;
	return scheme && parse_host(host, end, ret);
}

int url_encode(struct buf *b, const char *text, int keep_slash)
{
	for (; *text; text++) {
		if (is_one_of(*text, keep_slash ? "-._~/" : "-._~"))
			buf_add(b, text, 1);
		else
			buf_printf(b, "%%%02X", (unsigned char)*text);
	}
	return b->failed;
}

/* --- joining */

static int add_span(struct buf *b, struct span s)
{
	return buf_add(b, s.at, s.len);
}

/* Appends text that is encoded already, as it should be: servers send spaces and UTF-8 in
 * Location. */
static void add_encoded(struct buf *b, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (isgraph((unsigned char)text[i]) && !strchr("\"<>\\^`{|}", text[i]))
			buf_add(b, &text[i], 1);
		else
			buf_printf(b, "%%%02X", (unsigned char)text[i]);
	}
}

static void drop_segment(struct buf *b, size_t start)
{
	while (b->len > start && b->data[--b->len] != '/')
		;
	if (b->data)
		b->data[b->len] = '\0';
}

/* Appends a path that begins with '/', its dot segments resolved (RFC 3986 §5.2.4). */
static void add_path(struct buf *b, struct span path)
{
	size_t start = b->len;
	const char *end = path.at + path.len;

	for (const char *at = path.at; at < end;) {
		const char *name = at + 1, *next = memchr(name, '/', (size_t)(end - name));
		size_t len = (size_t)((next ? next : end) - name);
		bool up = len == 2 && memcmp(name, "..", 2) == 0;

		if (up)
			drop_segment(b, start);
		if (up || (len == 1 && *name == '.'))
			buf_add(b, "/", next ? 0 : 1);
		else
			add_encoded(b, at, len + 1);
		at = name + len;
	}
}

/* Appends the path of base with its last segment replaced by the relative path at reference. */
static int add_merged(struct buf *b, struct span base, struct span reference)
{
	CLEANUP(buf_free) struct buf merged = { 0 };
	size_t keep = base.len;

	while (keep > 0 && base.at[keep - 1] != '/')
		keep--;
	buf_add(&merged, keep ? base.at : "/", keep ? keep : 1);
	add_span(&merged, reference);
	if (merged.failed)
		return merged.failed;
	add_path(b, (struct span){ merged.data, merged.len });
	return b->failed;
}

static bool has_scheme(const char *reference)
{
	size_t len = count_of(reference, "+-.");

	return len > 0 && isalpha((unsigned char)*reference) && reference[len] == ':';
}

static void add_origin(struct buf *b, const struct parts *p)
{
	add_span(b, p->scheme);
	add_span(b, p->user);
	add_span(b, p->host);
	add_span(b, p->port);
}

/* Appends a reference that has a host of its own. The host is taken as it is, for the parser to
 * judge. */
static int add_absolute(struct buf *b, const struct parts *base, const char *reference)
{
	const char *slashes = strstr(reference, "//");
	const char *path = slashes ? slashes + 2 + strcspn(slashes + 2, "/?#") : reference;

	if (*reference == '/')
		buf_add(b, base->scheme.at, base->scheme.len - strlen("//"));
	buf_add(b, reference, (size_t)(path - reference));
	add_encoded(b, path, strcspn(path, "#"));
	return b->failed;
}

static int join(const struct parts *base, const char *reference, struct buf *ret)
{
	struct span path = { reference, strcspn(reference, "?#") };
	const char *query = reference + path.len;

	if (has_scheme(reference) || strncmp(reference, "//", 2) == 0)
		return add_absolute(ret, base, reference);
	add_origin(ret, base);
	if (path.len == 0)
		add_span(ret, base->path);
	else if (*reference == '/')
		add_path(ret, path);
	else if (add_merged(ret, base->path, path) < 0)
		return -ENOMEM;
	if (path.len == 0 && *query != '?')
		add_span(ret, base->query);
	else
		add_encoded(ret, query, strcspn(query, "#"));
	return ret->failed;
}

int url_join(const char *base, const char *reference, struct buf *ret)
{
	CLEANUP(buf_free) struct buf joined = { 0 };
	struct parts from, to;
	int r;

	if (!parse_parts(base, &from))
		return ERR_PROTO;
	r = join(&from, reference, &joined);
	if (r < 0)
		return r;
	if (!parse_parts(buf_str(&joined), &to))
		return ERR_PROTO;
	return buf_add(ret, joined.data, joined.len);
}

/* --- comparing */

static bool same_text(struct span a, struct span b)
{
	return a.len == b.len && strncasecmp(a.at, b.at, a.len) == 0;
}

static long port_of(const struct parts *p)
{
	if (p->port.len > 1)
		return strtol(p->port.at + 1, NULL, 10);
	return p->scheme.len == strlen("https://") ? 443 : 80;
}

int url_same_origin(const char *a, const char *b)
{
	struct parts x, y;

	return parse_parts(a, &x) && parse_parts(b, &y) && same_text(x.scheme, y.scheme) &&
	       same_text(x.host, y.host) && port_of(&x) == port_of(&y);
}

bool url_is_host(const char *text)
{
	struct parts p;
	size_t len = strlen(text);

	return len <= HOST_MAX && parse_host(text, text + len, &p);
}

int url_public(const char *url, struct buf *ret)
{
	struct parts p;

	if (!parse_parts(url, &p))
		return -EINVAL;
	p.user.len = 0;
	while (p.path.len > 0 && p.path.at[p.path.len - 1] == '/')
		p.path.len--;
	add_origin(ret, &p);
	add_encoded(ret, p.path.at, p.path.len);
	return ret->failed;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t url_decode(char *text)
{
	char *to = text;

	for (const char *at = text; *at; at++) {
		int high = *at == '%' ? hex_digit(at[1]) : -1;
		int low = high >= 0 ? hex_digit(at[2]) : -1;

		if (low >= 0 && (high || low)) {
			*to++ = (char)(high << 4 | low);
			at += 2;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
	return (size_t)(to - text);
}

const char *url_target_path(const char *target)
{
	size_t scheme = !strncasecmp(target, "http://", 7)    ? 7
			: !strncasecmp(target, "https://", 8) ? 8
							      : 0;
	const char *path = target + scheme + strcspn(target + scheme, "/");

	if (!scheme)
		return target;
	return *path ? path : "/";
}
