/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/hub/hub_url.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/why.h"

/* Characters of a URL up to its path: "http://" or "https://", then host and port. */
static size_t scheme_len(const char *url)
{
	if (!strncasecmp(url, "https://", 8))
		return 8;
	return strncasecmp(url, "http://", 7) ? 0 : 7;
}

bool hub_url_has_scheme(const char *text)
{
	return scheme_len(text) > 0;
}

static bool is_port(const char *text, size_t len)
{
	unsigned port = 0;

	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]) || port > UINT16_MAX)
			return false;
		port = 10 * port + (unsigned)(text[i] - '0');
	}
	return port > 0 && port <= UINT16_MAX;
}

/* "name", "10.0.0.1" or "[::1]", and perhaps ":port". */
static bool is_host(const char *text, size_t len)
{
	static const char name[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	size_t host;

	if (*text == '[') {
		host = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
		if (host == 1 || text[host] != ']')
			return false;
		host++;
	} else {
		host = strspn(text, name);
	}
	if (host == 0 || host == len)
		return host == len && len > 0;
	return text[host] == ':' && is_port(text + host + 1, len - host - 1);
}

const char *hub_url_problem(const char *url)
{
	size_t scheme = scheme_len(url);
	const char *host = url + scheme;
	size_t host_len = strcspn(host, "/?#");

	if (!scheme)
		return "it must begin with http:// or https://";
	if (memchr(host, '@', host_len))
		return "it holds a user name or a password; put a token into a file and name that "
		       "(--token-file, --upstream-token-file)";
	if (!is_host(host, host_len))
		return "the name or the port of its host is not valid";
	if (strpbrk(host, "?#"))
		return "it must end with its path, without ? or #";
	for (const char *c = host; *c; c++)
		if (!isgraph((unsigned char)*c))
			return "it holds a blank, a control byte or a letter that is not ASCII";
	return NULL;
}

int hub_url_clean(const char *url, char **ret)
{
	size_t host_end = scheme_len(url) + strcspn(url + scheme_len(url), "/");
	size_t len = strlen(url);
	char *copy;

	while (len > host_end && url[len - 1] == '/')
		len--;
	copy = strndup(url, len);
	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < host_end; i++)
		copy[i] = (char)tolower((unsigned char)copy[i]);
	*ret = copy;
	return 0;
}

/* Counters and states are told by hub: one name for two of them would be neither. */
static int check_once(const struct conf_list *urls, size_t last, const char *where, struct buf *why)
{
	for (size_t i = 0; i < last; i++)
		if (strcmp(urls->items[i], urls->items[last]) == 0)
			return complain(why, "%s: The hub %s is named twice: name it once.", where,
					urls->items[i]);
	return 0;
}

int hub_url_clean_all(struct conf_list *urls, const char *where, struct buf *why)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < urls->count; i++) {
		char *clean;

		r = hub_url_clean(urls->items[i], &clean);
		if (r < 0)
			return r;
		free(urls->items[i]);
		urls->items[i] = clean;
		r = check_once(urls, i, where, why);
	}
	return r;
}
