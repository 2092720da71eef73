/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/repo_glob.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* Of names (repo_id.h); '-' makes ranges in sets, too. */
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static const char *take_type(const char *text, struct repo_glob *ret)
{
	ret->any_type = true;
	for (enum repo_type t = REPO_MODEL; t < REPO_TYPE_COUNT; t++) {
		const char *word = repo_type_plural(t);
		size_t len = strlen(word);

		if (strncmp(text, word, len) != 0 || text[len] != '/')
			continue;
		ret->any_type = false;
		ret->type = t;
		return text + len + 1;
	}
	return text;
}

/* The end of a set of characters, which begins behind its '[': NULL if it has none, or holds what
 * is in no name. */
static const char *end_of_set(const char *text)
{
	size_t len;

	text += *text == '!' || *text == '^';
	len = strspn(text, NAME_CHARS);
	return len > 0 && text[len] == ']' ? text + len : NULL;
}

/* Could each character be one of a name, or does it stand for some? */
static bool are_chars(const char *name)
{
	for (; *name; name++) {
		if (*name == '[')
			name = end_of_set(name + 1);
		else if (!strchr(NAME_CHARS "/*?", *name))
			return false;
		if (!name)
			return false;
	}
	return true;
}

/* A pattern that can match no name is a mistake. */
static bool can_match(const char *name)
{
	const char *slash = strchr(name, '/');

	if (!*name || *name == '/' || !are_chars(name))
		return false;
	return !slash || (slash[1] && !strchr(slash + 1, '/'));
}

int repo_glob_parse(const char *text, size_t len, struct repo_glob *ret)
{
	CLEANUP(freep) char *whole = strndup(text, len);

	*ret = (struct repo_glob){ 0 };
	if (!whole)
		return -ENOMEM;
	text = take_type(whole, ret);
	if (!can_match(text))
		return -EINVAL;
	ret->name = strdup(text);
	return ret->name ? 0 : -ENOMEM;
}

void repo_glob_fini(struct repo_glob *g)
{
	free(g->name);
	*g = (struct repo_glob){ 0 };
}

bool repo_glob_matches(const struct repo_glob *g, const struct repo_id *id)
{
	return (g->any_type || g->type == id->type) &&
	       fnmatch(g->name, id->name, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
}
