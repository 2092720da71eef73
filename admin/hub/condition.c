/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/condition.h"

#include <string.h>

struct tag {
	const char *text; /* between the quotes */
	size_t len;
	bool weak;
};

static const char *skip(const char *text, const char *chars)
{
	return text + strspn(text, chars);
}

/* Takes the next entity tag (§8.8.3); false at the end, or at what is none. */
static bool take_tag(const char **at, struct tag *ret)
{
	const char *text = *at;

	ret->weak = strncmp(text, "W/", 2) == 0;
	if (ret->weak)
		text += 2;
	if (*text != '"')
		return false;
	ret->text = text + 1;
	ret->len = strcspn(text + 1, "\"");
	*at = ret->text + ret->len + 1;
	return ret->text[ret->len] == '"';
}

static bool is_tag(const struct tag *t, const char *etag, bool weakly)
{
	return (weakly || !t->weak) && t->len == strlen(etag) && memcmp(t->text, etag, t->len) == 0;
}

/* True if a list of entity tags, or '*', has this one. */
static bool has_tag(const char *list, const char *etag, bool weakly)
{
	struct tag t;

	list = skip(list, " \t");
	if (*list == '*')
		return !*skip(list + 1, " \t");
	for (list = skip(list, " \t,"); take_tag(&list, &t); list = skip(list, " \t,"))
		if (is_tag(&t, etag, weakly))
			return true;
	return false;
}

int condition_check(const char *if_match, const char *if_none_match, const char *etag)
{
	if (if_match && !has_tag(if_match, etag, false))
		return 412;
	return if_none_match && has_tag(if_none_match, etag, true) ? 304 : 0;
}

bool condition_allows_part(const char *if_range, const char *etag)
{
	struct tag t;

	if (!if_range)
		return true;
	if_range = skip(if_range, " \t");
	return take_tag(&if_range, &t) && is_tag(&t, etag, false) && !*skip(if_range, " \t");
}
