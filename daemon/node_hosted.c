/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories that are hosted here. What is known of one is read anew after each change, by one
 * thread at a time: so whoever reads last knows all changes, in whatever order they were told. */
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/grow.h"
#include "daemon/node_priv.h"

struct refs {
	struct hosted_ref *list;
	size_t count, cap;
};

static void refs_fini(struct refs *refs)
{
	free(refs->list);
}

static struct hosted_ref *grow(struct refs *refs)
{
	return grow_list(refs->list, refs->count, refs->cap) < 0 ? NULL
								 : &refs->list[refs->count++];
}

static int add_ref(void *arg, const char *name, const char *commit)
{
	struct hosted_ref *ref = grow(arg);

	if (!ref)
		return -ENOMEM;
	snprintf(ref->name, sizeof(ref->name), "%s", name);
	snprintf(ref->commit, sizeof(ref->commit), "%s", commit);
	return 0;
}

/* Those of one name in the order in which they came. */
static int by_name(const void *a, const void *b)
{
	const struct hosted_ref *const *x = a, *const *y = b;
	int c = strcmp((*x)->name, (*y)->name);

	return c ? c : (*x > *y) - (*x < *y);
}

/* Of each name the last one, in their order: a change must not take the square of how many tags a
 * repository has. */
static int keep_last(struct refs *refs)
{
	CLEANUP(freep) const struct hosted_ref **all = calloc(refs->count + 1, sizeof(*all));
	struct hosted_ref *list = calloc(refs->count + 1, sizeof(*list));
	size_t count = 0;

	if (!all || !list) {
		free(list);
		return -ENOMEM;
	}
	for (size_t i = 0; i < refs->count; i++)
		all[i] = &refs->list[i];
	qsort(all, refs->count, sizeof(*all), by_name);
	for (size_t i = 0; i < refs->count; i++)
		if (i + 1 == refs->count || strcmp(all[i]->name, all[i + 1]->name) != 0)
			list[count++] = *all[i];
	free(refs->list);
	*refs = (struct refs){ list, count, refs->count + 1 };
	return 0;
}

static int renew_locked(struct node *n, const struct repo_id *id)
{
	CLEANUP(refs_fini) struct refs refs = { 0 };
	const struct hosted *h = n->discover.hosted;
	struct repo_id now;
	struct repo *repo;
	int r = h->refs(h->arg, id, &now, add_ref, &refs);

	if (r == -ENOENT) {
		known_bury(n->known, id);
		return 0;
	}
	if (r == 0)
		r = keep_last(&refs);
	if (r == 0)
		r = known_host(n->known, id, &now, &repo);
	return r == 0 ? known_host_refs(n->known, repo, refs.list, refs.count) : r;
}

int node_renew(struct node *n, const struct repo_id *id)
{
	int r;

	lock_take(&n->renewing);
	r = renew_locked(n, id);
	lock_drop(&n->renewing);
	return r;
}

struct ids {
	struct repo_id *list;
	size_t count, cap;
};

static void ids_fini(struct ids *ids)
{
	free(ids->list);
}

static int add_id(void *arg, const struct repo_id *id)
{
	struct ids *ids = arg;
	int r = grow_list(ids->list, ids->count, ids->cap);

	if (r == 0)
		ids->list[ids->count++] = *id;
	return r;
}

int node_load_hosted(struct node *n)
{
	CLEANUP(ids_fini) struct ids ids = { 0 };
	const struct hosted *h = n->discover.hosted;
	int r = h ? h->each(h->arg, add_id, &ids) : 0;

	for (size_t i = 0; r == 0 && i < ids.count; i++)
		r = node_renew(n, &ids.list[i]);
	return r;
}

int node_hosted_ref(struct node *n, struct repo *r, const char *ref,
		    char ret[static COMMIT_HEX + 1])
{
	const struct hosted *h = n->discover.hosted;
	struct known_ref known;

	if (!known_get_ref(n->known, r, ref, &known))
		return h->find(h->arg, repo_id_of(r), ref, ret);
	memcpy(ret, known.commit, sizeof(known.commit));
	return 0;
}
