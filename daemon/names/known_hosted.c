/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories that are hosted here: what is known of them is a copy of what their keeper has, so
 * that nothing of it goes into the index. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/names/known_priv.h"

/* What was known by a name it had is known by the one it has. */
static int leave_name_locked(struct known *k, const struct repo_id *was, const struct repo_id *now)
{
	char key[REPO_KEY_MAX + 1];
	struct repo *old;

	repo_id_key(was, key);
	old = map_find_str(&k->repos, key);
	if (old && repo_canonical(old) == old) {
		known_empty_locked(k, old);
		atomic_store(&old->hosted, false);
	}
	return known_name_locked(k, was, now);
}

int known_host(struct known *k, const struct repo_id *asked, const struct repo_id *id,
	       struct repo **ret)
{
	char key[REPO_KEY_MAX + 1];
	struct repo *r;
	int rc;

	repo_id_key(id, key);
	lock_take(&k->lock);
	rc = known_take_name_locked(k, id);
	r = map_find_str(&k->repos, key);
	if (rc == 0 && !atomic_load(&r->hosted)) {
		known_empty_locked(k, r);
		atomic_store(&r->hosted, true);
	}
	if (rc == 0 && strcmp(asked->name, id->name) != 0)
		rc = leave_name_locked(k, asked, id);
	lock_drop(&k->lock);
	*ret = r;
	return rc;
}

/* ---- refs ---- */

static int copy_ref(const struct hosted_ref *from, struct ref **list)
{
	size_t len = strlen(from->name);
	struct ref *ref = calloc(1, sizeof(*ref) + len + 1);

	if (!ref)
		return -ENOMEM;
	memcpy(ref->name, from->name, len + 1);
	snprintf(ref->state.commit, sizeof(ref->state.commit), "%s", from->commit);
	ref->state.checked_ms = clock_ms();
	ref->next = *list;
	*list = ref;
	return 0;
}

int known_host_refs(struct known *k, struct repo *r, const struct hosted_ref *list, size_t count)
{
	struct ref *now = NULL;
	int rc = 0;

	for (size_t i = count; rc == 0 && i > 0; i--)
		rc = copy_ref(&list[i - 1], &now);
	if (rc == 0) {
		struct ref *old;

		lock_take(&k->lock);
		old = r->refs;
		r->refs = now;
		now = old;
		lock_drop(&k->lock);
	}
	known_free_refs(now);
	return rc;
}

void known_host_forget(struct known *k, const struct repo_id *id)
{
	char key[REPO_KEY_MAX + 1], folded[REPO_KEY_MAX + 1];
	struct repo *r;

	repo_id_key(id, key);
	known_fold(key, folded);
	lock_take(&k->lock);
	r = map_find_str(&k->folded, folded);
	r = r ? repo_canonical(r) : NULL;
	if (r && atomic_load(&r->hosted))
		known_empty_locked(k, r);
	lock_drop(&k->lock);
}

/* ---- the end of one ---- */

struct burial {
	struct known *k;
	struct repo *dead;
};

static int bury_name(void *arg, void *value)
{
	const struct burial *b = arg;
	struct repo *r = value;

	if (repo_canonical(r) != b->dead)
		return 0;
	map_del_str(&b->k->repos, r->key);
	if (map_find_str(&b->k->folded, r->folded) == r)
		map_del_str(&b->k->folded, r->folded);
	known_empty_locked(b->k, r);
	atomic_store(&r->buried, true);
	r->next_buried = b->k->buried;
	b->k->buried = r;
	return 0;
}

void known_bury(struct known *k, const struct repo_id *id)
{
	char key[REPO_KEY_MAX + 1], folded[REPO_KEY_MAX + 1];
	struct burial b = { .k = k };

	repo_id_key(id, key);
	known_fold(key, folded);
	lock_take(&k->lock);
	b.dead = map_find_str(&k->folded, folded);
	b.dead = b.dead ? repo_canonical(b.dead) : NULL;
	if (b.dead && atomic_load(&b.dead->hosted))
		map_each(&k->repos, bury_name, &b);
	lock_drop(&k->lock);
}
