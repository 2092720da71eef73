/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/why.h"

struct rule {
	bool deny;
	bool any_type;
	enum repo_type type;
	char *repo; /* glob of names */
	char *file; /* glob of paths, or NULL: of all that is in it */
};

struct filter {
	atomic_uint refs;
	unsigned version;
	size_t count;
	bool allows; /* one of them is an allow rule */
	struct rule list[];
};

/* --- making */

static const char *take_type(const char *text, struct rule *ret)
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

/* Names hold no blanks, and a rule that can match none is a mistake. */
static bool is_repo_glob(const char *text)
{
	const char *slash = strchr(text, '/');

	if (!*text || strpbrk(text, " \t\\") || *text == '/')
		return false;
	return !slash || (slash[1] && !strchr(slash + 1, '/'));
}

static int parse(const char *text, bool deny, struct rule *ret, struct buf *why)
{
	const char *at = take_type(text, ret), *colon = strchr(at, ':');

	ret->deny = deny;
	ret->repo = colon ? strndup(at, (size_t)(colon - at)) : strdup(at);
	ret->file = colon ? strdup(colon + 1) : NULL;
	if (!ret->repo || (colon && !ret->file))
		return -ENOMEM;
	if (is_repo_glob(ret->repo) && (!ret->file || (*ret->file && *ret->file != '/')))
		return 0;
	return complain(why,
			"The value \"%s\" of \"%s\" is not valid; allowed is "
			"[KIND/]REPOSITORY[:FILE], as datasets/org/*, */*-GGUF or *:*.gguf.",
			text, deny ? "deny" : "allow");
}

int filter_new(const struct conf_list *allow, const struct conf_list *deny, struct filter **ret,
	       struct buf *why)
{
	size_t count = allow->count + deny->count;
	struct filter *f = calloc(1, sizeof(*f) + count * sizeof(f->list[0]));
	static atomic_uint versions;
	int r = 0;

	if (!f)
		return -ENOMEM;
	f->refs = 1;
	for (size_t i = 0; r == 0 && i < count; i++) {
		bool is_deny = i >= allow->count;

		f->count++;
		r = parse(is_deny ? deny->items[i - allow->count] : allow->items[i], is_deny,
			  &f->list[i], why);
	}
	if (r < 0) {
		filter_unref(f);
		return r;
	}
	f->version = atomic_fetch_add(&versions, 1);
	f->allows = allow->count > 0;
	*ret = f;
	return 0;
}

/* --- holding */

void filter_unref(struct filter *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) > 1)
		return;
	for (size_t i = 0; i < f->count; i++) {
		free(f->list[i].repo);
		free(f->list[i].file);
	}
	free(f);
}

unsigned filter_version(const struct filter *f)
{
	return f->version;
}

void filter_now_init(struct filter_now *n)
{
	*n = (struct filter_now){ .filter = NULL };
	lock_init(&n->lock, LOCK_FILTER);
}

void filter_now_fini(struct filter_now *n)
{
	filter_unref(steal(n->filter));
	lock_fini(&n->lock);
}

struct filter *filter_hold(struct filter_now *n)
{
	struct filter *f;

	lock_take(&n->lock);
	f = n->filter;
	if (f)
		atomic_fetch_add(&f->refs, 1);
	lock_drop(&n->lock);
	return f;
}

void filter_change(struct filter_now *n, struct filter *f)
{
	struct filter *old;

	lock_take(&n->lock);
	old = n->filter;
	n->filter = f;
	lock_drop(&n->lock);
	filter_unref(old);
}

/* --- asking */

/* Names are the same in any case, paths are not; '*' goes over slashes, as in what clients call
 * allow_patterns. */
static bool is_of_name(const struct rule *rule, const struct repo_id *id)
{
	return (rule->any_type || rule->type == id->type) &&
	       fnmatch(rule->repo, id->name, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
}

/* Of a repository with too many names, too, all that is denied of any may be of one of them. */
static bool is_of(const struct rule *rule, const struct repo_names *names)
{
	if (rule->deny && names->more)
		return true;
	for (unsigned i = 0; i < (rule->deny ? names->count : 1); i++)
		if (is_of_name(rule, names->list[i]))
			return true;
	return false;
}

static bool is_whole(const struct rule *rule)
{
	return !rule->file || strcmp(rule->file, "*") == 0;
}

static bool has(const struct rule *rule, const char *path)
{
	return is_whole(rule) || fnmatch(rule->file, path, FNM_NOESCAPE) == 0;
}

bool filter_repo(const struct filter *f, const struct repo_names *names)
{
	bool allowed = !f->allows;

	for (size_t i = 0; i < f->count; i++) {
		const struct rule *rule = &f->list[i];

		if (!is_of(rule, names))
			continue;
		if (rule->deny && is_whole(rule))
			return false;
		allowed |= !rule->deny;
	}
	return allowed;
}

bool filter_file(const struct filter *f, const struct repo_names *names, const char *path)
{
	bool allowed = !f->allows;

	for (size_t i = 0; i < f->count; i++) {
		const struct rule *rule = &f->list[i];

		if (!is_of(rule, names) || !has(rule, path))
			continue;
		if (rule->deny)
			return false;
		allowed = true;
	}
	return allowed;
}

bool filter_all_files(const struct filter *f, const struct repo_names *names)
{
	for (size_t i = 0; i < f->count; i++)
		if (!is_whole(&f->list[i]) && is_of(&f->list[i], names))
			return false;
	return true;
}
