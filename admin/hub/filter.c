/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/why.h"
#include "daemon/model/repo_glob.h"

struct rule {
	bool deny;
	struct repo_glob repo;
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

static int parse(const char *text, bool deny, struct rule *ret, struct buf *why)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	int r = repo_glob_parse(text, len, &ret->repo);

	ret->deny = deny;
	ret->file = colon ? strdup(colon + 1) : NULL;
	if (r == -ENOMEM || (colon && !ret->file))
		return -ENOMEM;
	if (r == 0 && (!ret->file || (*ret->file && *ret->file != '/')))
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
		repo_glob_fini(&f->list[i].repo);
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

/* Of a repository with too many names, too, all that is denied of any may be of one of them. */
static bool is_of(const struct rule *rule, const struct repo_names *names)
{
	if (rule->deny && names->more)
		return true;
	for (unsigned i = 0; i < (rule->deny ? names->count : 1); i++)
		if (repo_glob_matches(&rule->repo, names->list[i]))
			return true;
	return false;
}

static bool is_whole(const struct rule *rule)
{
	return !rule->file || strcmp(rule->file, "*") == 0;
}

/* The case of letters counts in paths. */
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
