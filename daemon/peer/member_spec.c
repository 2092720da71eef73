/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/member_spec.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/grow.h"
#include "daemon/base/text.h"
#include "daemon/base/why.h"
#include "daemon/peer/placement.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define BLANKS " \t\r"
#define SHOWN_MAX 60 /* bytes of a wrong word that are repeated */

/* --- addresses */

/* The port, 0 if it is none. */
static unsigned port_of(const char *text)
{
	size_t digits = strspn(text, DIGITS);
	long port = digits > 0 && digits <= 5 && !text[digits] ? strtol(text, NULL, 10) : 0;

	return port <= UINT16_MAX ? (unsigned)port : 0;
}

/* A name of DNS, or four numbers. What ends in a number is one of those four: so it is read
 * wherever names are looked up. Numbers that only some can read ("127.1", "0x7f000001") are none,
 * nor is that of all addresses of a host. */
static bool is_host(const char *host)
{
	const char *dot = strrchr(host, '.');
	struct in_addr number;

	if (!host[0] || host[strspn(host, LETTERS DIGITS "-_.")])
		return false;
	if (host[0] == '.' || host[0] == '-' || strstr(host, "..") || (dot && !dot[1]))
		return false;
	dot = dot ? dot + 1 : host;
	if (inet_pton(AF_INET, host, &number) == 1)
		return number.s_addr != htonl(INADDR_ANY);
	return dot[strspn(dot, DIGITS)] && !inet_aton(host, &number);
}

/* "[2001:DB8:0::1]" to "[2001:db8::1]", where it stands. What is one of IPv4 has another name. */
static bool shorten(char *host, size_t cap)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr number;
	size_t len = strlen(host);

	if (len < 2 || host[len - 1] != ']')
		return false;
	host[len - 1] = '\0';
	if (inet_pton(AF_INET6, host + 1, &number) != 1 || IN6_IS_ADDR_UNSPECIFIED(&number) ||
	    IN6_IS_ADDR_V4MAPPED(&number) || !inet_ntop(AF_INET6, &number, text, sizeof(text)))
		return false;
	return snprintf(host, cap, "[%s]", text) < (int)cap;
}

bool member_address_read(const char *text, size_t len, char ret[static MEMBER_ADDRESS_MAX + 1])
{
	char host[MEMBER_ADDRESS_MAX + 1];
	char *colon;
	unsigned port;

	if (len > MEMBER_ADDRESS_MAX || memchr(text, '\0', len))
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)len, text);
	colon = strrchr(host, ':');
	if (!colon)
		return false;
	*colon = '\0';
	port = port_of(colon + 1);
	if (!port || !(host[0] == '[' ? shorten(host, sizeof(host)) : is_host(host)))
		return false;
	text_copy_small(host, host);
	return snprintf(ret, MEMBER_ADDRESS_MAX + 1, "%s:%u", host, port) <= MEMBER_ADDRESS_MAX;
}

void member_address_name(const char *address, char ret[static MEMBER_ADDRESS_MAX + 1])
{
	if (member_address_read(address, strlen(address), ret))
		return;
	snprintf(ret, MEMBER_ADDRESS_MAX + 1, "%s", address);
	text_copy_small(ret, ret);
}

bool member_zone_valid(const char *text, size_t len)
{
	if (len == 0 || len > MEMBER_ZONE_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!text[i] || !strchr(LETTERS DIGITS "-_.", text[i]))
			return false;
	return true;
}

void member_spec_write(const struct member_spec *s, struct buf *ret)
{
	buf_printf(ret, "%s weight=%u", s->address, s->weight);
	if (s->zone[0])
		buf_printf(ret, " zone=%s", s->zone);
	buf_add_str(ret, "\n");
}

/* --- lines */

/* A line, or a word of it: between two places of a text that ends with a NUL somewhere. */
struct piece {
	const char *at;
	size_t len;
};

/* What "%.*s" wants of a piece. */
#define SHOWN(p) (int)((p).len < SHOWN_MAX ? (p).len : SHOWN_MAX), (p).at

static bool is_blank(char c)
{
	return c && strchr(BLANKS, c);
}

/* The next word of a line, which goes on behind it; false if there is none. */
static bool next_word(struct piece *line, struct piece *ret)
{
	while (line->len && is_blank(*line->at)) {
		line->at++;
		line->len--;
	}
	ret->at = line->at;
	while (line->len && !is_blank(*line->at)) {
		line->at++;
		line->len--;
	}
	ret->len = (size_t)(line->at - ret->at);
	return ret->len > 0;
}

/* What stands behind "name=", if the word begins so. */
static bool value_of(const struct piece *word, const char *name, struct piece *ret)
{
	size_t len = strlen(name);

	if (word->len < len || memcmp(word->at, name, len) != 0)
		return false;
	*ret = (struct piece){ word->at + len, word->len - len };
	return true;
}

static uint32_t weight_of(const struct piece *value)
{
	uint32_t weight = 0;

	for (size_t i = 0; i < value->len; i++) {
		if (value->at[i] < '0' || value->at[i] > '9' || weight > PLACEMENT_WEIGHT_MAX)
			return 0;
		weight = weight * 10 + (uint32_t)(value->at[i] - '0');
	}
	return weight <= PLACEMENT_WEIGHT_MAX ? weight : 0;
}

static int read_word(const struct piece *word, struct member_spec *ret, struct buf *why)
{
	struct piece value;

	if (value_of(word, "weight=", &value)) {
		ret->weight = weight_of(&value);
		return ret->weight ? 0
				   : complain(why, "a weight is a whole number from 1 to %d",
					      PLACEMENT_WEIGHT_MAX);
	}
	if (!value_of(word, "zone=", &value))
		return complain(why,
				"\"%.*s\" means nothing: behind the address may stand weight=N and "
				"zone=NAME",
				SHOWN(*word));
	if (!member_zone_valid(value.at, value.len))
		return complain(why,
				"a zone is called by up to %d letters, digits and any of \"-_.\"",
				MEMBER_ZONE_MAX);
	memcpy(ret->zone, value.at, value.len);
	ret->zone[value.len] = '\0';
	return 0;
}

/* 1: there is a member in it. */
static int read_line(struct piece line, struct member_spec *ret, struct buf *why)
{
	struct piece word;
	int r = 0;

	*ret = (struct member_spec){ .weight = 1 };
	if (!next_word(&line, &word) || word.at[0] == '#')
		return 0;
	if (!member_address_read(word.at, word.len, ret->address))
		return complain(why,
				"\"%.*s\" is no address of a member: write ADDR:PORT, as "
				"node-1.example:9980 or [2001:db8::1]:9980",
				SHOWN(word));
	while (r == 0 && next_word(&line, &word) && word.at[0] != '#')
		r = read_word(&word, ret, why);
	return r < 0 ? r : 1;
}

/* The line at *at, which is moved behind it. */
static struct piece take_line(const char **at, const char *end)
{
	const char *from = *at;
	const char *stop = memchr(from, '\n', (size_t)(end - from));

	*at = stop ? stop + 1 : end;
	return (struct piece){ from, (size_t)((stop ? stop : end) - from) };
}

int member_list_parse(const char *text, size_t len, struct member_spec **ret, size_t *ret_count,
		      struct buf *why)
{
	CLEANUP(freep) struct member_spec *list = NULL;
	CLEANUP(buf_free) struct buf problem = { 0 };
	const char *at = text, *end = text + len;
	size_t count = 0, cap = 0;

	for (size_t line = 1; at < end; line++) {
		struct member_spec s;
		int r = read_line(take_line(&at, end), &s, &problem);

		if (r > 0 && count == MEMBERS_MAX)
			r = complain(&problem, "there are more than %d members", MEMBERS_MAX);
		if (r < 0)
			return complain(why, "line %zu: %s", line, buf_str(&problem));
		if (r > 0 && grow_list(list, count, cap) < 0)
			return -ENOMEM;
		if (r > 0)
			list[count++] = s;
	}
	*ret = steal(list);
	*ret_count = count;
	return 0;
}
