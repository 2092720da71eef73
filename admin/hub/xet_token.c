/* SPDX-License-Identifier: Apache-2.0 */
/* "mfsx." ("mfsr.": for reading) and, as hex digits, repository, user, name of the token, and when
 * it was made, a NUL behind each; a dot; the seal. */
#include "admin/hub/xet_token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/why.h"

#define BEARER "Bearer "
#define TEXTS 4
#define TEXTS_MAX 2048 /* bytes of all */

/* By `reads`. */
static const struct {
	const char *start, *act;
} kinds[] = { { "mfsx.", "xet.write" }, { "mfsr.", "xet.read" } };

void xet_token_fini(struct xet_token *t)
{
	free(t->uid);
	free(t->user);
	free(t->token);
	free(t->made);
	*t = (struct xet_token){ 0 };
}

static void list(const struct xet_token *t, const char *ret[static TEXTS + 2])
{
	ret[0] = kinds[t->reads].act;
	ret[1] = t->uid;
	ret[2] = t->user;
	ret[3] = t->token;
	ret[4] = t->made;
	ret[5] = NULL;
}

int xet_token_print(const uint8_t key[static CAPABILITY_KEY], const struct xet_token *t,
		    struct buf *ret)
{
	CLEANUP(buf_free) struct buf all = { 0 };
	CLEANUP(freep) char *hex = NULL;
	const char *sealed[TEXTS + 2];
	int r;

	list(t, sealed);
	for (int i = 1; i <= TEXTS; i++)
		buf_add(&all, sealed[i], strlen(sealed[i]) + 1);
	hex = all.failed ? NULL : malloc(2 * all.len + 1);
	if (!hex)
		return -ENOMEM;
	hex_print((const uint8_t *)all.data, all.len, hex);
	buf_printf(ret, "%s%s.", kinds[t->reads].start, hex);
	r = capability_print(key, sealed, t->expires_s, ret);
	return r < 0 ? r : ret->failed;
}

/* ---- and back ---- */

static int no_token(struct buf *why)
{
	return complain_as(-EACCES, why,
			   "this token is not one that this hub gave for its Xet store");
}

/* The next of the texts, which must end. */
static int take_text(const char **at, const char *end, char **ret)
{
	const char *nul = memchr(*at, '\0', (size_t)(end - *at));

	if (!nul)
		return -EACCES;
	*ret = strdup(*at);
	*at = nul + 1;
	return *ret ? 0 : -ENOMEM;
}

static int take_texts(const char *at, size_t len, struct xet_token *t)
{
	const char *end = at + len;
	int r = take_text(&at, end, &t->uid);

	if (r == 0)
		r = take_text(&at, end, &t->user);
	if (r == 0)
		r = take_text(&at, end, &t->token);
	if (r == 0)
		r = take_text(&at, end, &t->made);
	return r == 0 && at != end ? -EACCES : r;
}

/* The texts of one, before its seal is looked at; *ret_seal is in it. */
static int read_texts(const char *text, struct xet_token *t, const char **ret_seal)
{
	char hex[2 * TEXTS_MAX + 1], bytes[TEXTS_MAX + 1] = "";
	size_t digits = strcspn(text, ".");

	if (digits % 2 || digits >= sizeof(hex) || text[digits] != '.')
		return -EACCES;
	memcpy(hex, text, digits);
	hex[digits] = '\0';
	if (hex_parse(hex, digits / 2, (uint8_t *)bytes) < 0)
		return -EACCES;
	*ret_seal = text + digits + 1;
	return take_texts(bytes, digits / 2, t);
}

static int check_seal(const uint8_t *key, const struct xet_token *t, const char *seal,
		      int64_t now_s, struct buf *why)
{
	CLEANUP(buf_free) struct buf of_links = { 0 };
	const char *sealed[TEXTS + 2];
	int r;

	list(t, sealed);
	/* As of the last moment at which it is good: what is said of old links does not fit. */
	r = capability_check(key, sealed, seal, t->expires_s, &of_links);
	if (r == -EACCES)
		return no_token(why);
	if (r == 0 && t->expires_s < now_s)
		return complain_as(-EACCES, why, "this token has expired: ask for the next one");
	return r;
}

/* Behind "Bearer " and what ours begin with, or NULL. */
static const char *text_of(const char *authorization, bool *ret_reads)
{
	if (!authorization || strncasecmp(authorization, BEARER, strlen(BEARER)) != 0)
		return NULL;
	authorization += strlen(BEARER);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t len = strlen(kinds[i].start);

		*ret_reads = i == 1;
		if (!strncmp(authorization, kinds[i].start, len))
			return authorization + len;
	}
	return NULL;
}

int xet_token_read(const uint8_t key[static CAPABILITY_KEY], const char *authorization,
		   int64_t now_s, struct xet_token *ret, struct buf *why)
{
	CLEANUP(xet_token_fini) struct xet_token t = { 0 };
	const char *text = text_of(authorization, &t.reads), *seal = NULL;
	int r = text ? read_texts(text, &t, &seal) : -EACCES;

	if (r < 0)
		return r == -EACCES ? no_token(why) : r;
	t.expires_s = strtoll(seal, NULL, 10); /* all of the seal's text is compared below */
	r = check_seal(key, &t, seal, now_s, why);
	if (r < 0)
		return r;
	*ret = t;
	t = (struct xet_token){ 0 };
	return 0;
}
