/* SPDX-License-Identifier: Apache-2.0 */
/* Lists are copied under the lock and walked without it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/names/known_priv.h"

struct copy {
	void **items;
	size_t count;
};

static int copy_repo(void *arg, void *value)
{
	struct copy *c = arg;

	c->items[c->count++] = value;
	return 0;
}

uint64_t known_changes(struct known *k)
{
	return atomic_load(&k->changes);
}

int known_each_repo(struct known *k, int (*fn)(void *arg, struct repo *r), void *arg)
{
	struct copy c = { 0 };
	int rc = 0;

	lock_take(&k->lock);
	c.items = calloc(k->repos.count + 1, sizeof(*c.items));
	if (c.items)
		map_each(&k->repos, copy_repo, &c);
	lock_drop(&k->lock);
	if (!c.items)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < c.count; i++) {
		struct repo *r = c.items[i];

		if (r->canonical == r)
			rc = fn(arg, r);
	}
	free(c.items);
	return rc;
}

struct holder {
	const struct repo_id *canonical;
	const char *commit;
	struct repo *found;
};

static int has_commit(void *arg, void *value)
{
	struct holder *h = arg;
	struct repo *r = value;

	if (r->canonical != r || r->id.type != h->canonical->type ||
	    strcasecmp(r->id.name, h->canonical->name) == 0)
		return 0;
	for (const struct commit *c = r->commits; c && !h->found; c = c->next)
		if (strcmp(c->name, h->commit) == 0)
			h->found = r;
	return h->found != NULL;
}

struct repo *known_repo_of_commit(struct known *k, const struct repo_id *canonical,
				  const char *commit)
{
	struct holder h = { canonical, commit, NULL };

	lock_take(&k->lock);
	map_each(&k->repos, has_commit, &h);
	lock_drop(&k->lock);
	return h.found;
}

/* A ref as it was when the list was copied. */
struct ref_copy {
	char name[256];
	char commit[COMMIT_HEX + 1];
};

static struct ref_copy *copy_refs(struct known *k, struct repo *r, size_t *ret_count)
{
	struct ref_copy *list;
	size_t count = 0;

	lock_take(&k->lock);
	for (struct ref *ref = r->refs; ref; ref = ref->next)
		count++;
	list = calloc(count + 1, sizeof(*list));
	count = 0;
	for (struct ref *ref = r->refs; list && ref; ref = ref->next) {
		if (!ref->state.commit[0])
			continue;
		snprintf(list[count].name, sizeof(list[count].name), "%s", ref->name);
		memcpy(list[count].commit, ref->state.commit, sizeof(ref->state.commit));
		count++;
	}
	lock_drop(&k->lock);
	*ret_count = count;
	return list;
}

int known_each_ref(struct known *k, struct repo *r,
		   int (*fn)(void *arg, const char *ref, const char *commit), void *arg)
{
	size_t count;
	CLEANUP(freep) struct ref_copy *list = copy_refs(k, r, &count);
	int rc = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = fn(arg, list[i].name, list[i].commit);
	return rc;
}

int known_each_commit(struct known *k, struct repo *r, int (*fn)(void *arg, const char *commit),
		      void *arg)
{
	char(*list)[COMMIT_HEX + 1];
	size_t count = 0;
	int rc = 0;

	lock_take(&k->lock);
	for (struct commit *c = r->commits; c; c = c->next)
		count++;
	list = calloc(count + 1, sizeof(*list));
	count = 0;
	for (struct commit *c = r->commits; list && c; c = c->next)
		memcpy(list[count++], c->name, sizeof(c->name));
	lock_drop(&k->lock);
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = fn(arg, list[i]);
	free(list);
	return rc;
}
