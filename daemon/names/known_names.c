/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories by their names: each name is a struct repo for good, and leads to the one that is
 * called by it now, which has a list of those that are no longer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/text.h"
#include "daemon/names/known_priv.h"

const struct repo_id *repo_id_of(const struct repo *r)
{
	return &r->id;
}

const char *repo_key(const struct repo *r)
{
	return r->key;
}

/* A name that differs from one in the case of its letters alone leads to that one, whatever that
 * leads to by now. */
struct repo *repo_canonical(struct repo *r)
{
	for (struct repo *next = r->canonical; next != r; next = r->canonical)
		r = next;
	return r;
}

bool repo_is_hosted(struct repo *r)
{
	return atomic_load(&repo_canonical(r)->hosted);
}

bool repo_is_buried(const struct repo *r)
{
	return atomic_load(&r->buried);
}

void known_fold(const char *key, char ret[static REPO_KEY_MAX + 1])
{
	text_copy_small(key, ret);
}

static int put_repo_locked(struct known *k, struct repo *r)
{
	int rc = map_put_str(&k->repos, r->key, r);

	if (rc < 0 || map_find_str(&k->folded, r->folded))
		return rc;
	rc = map_put_str(&k->folded, r->folded, r);
	if (rc < 0)
		map_del_str(&k->repos, r->key);
	return rc;
}

static int need_repo_locked(struct known *k, const struct repo_id *id, struct repo **ret)
{
	char key[REPO_KEY_MAX + 1];
	struct repo *r;
	int rc;

	repo_id_key(id, key);
	r = map_find_str(&k->repos, key);
	if (!r) {
		r = calloc(1, sizeof(*r));
		if (!r)
			return -ENOMEM;
		r->id = *id;
		r->canonical = r;
		memcpy(r->key, key, sizeof(key));
		known_fold(r->key, r->folded);
		rc = put_repo_locked(k, r);
		if (rc < 0) {
			free(r);
			return rc;
		}
		atomic_fetch_add(&k->changes, 1);
	}
	*ret = r;
	return 0;
}

static void del_former_locked(struct repo *alias)
{
	struct repo *real = alias->canonical, **at = &real->former;

	while (*at && *at != alias)
		at = &(*at)->next_former;
	if (*at)
		*at = steal(alias->next_former);
}

/* Those that differ in the case of their letters alone are one name. */
static void add_former_locked(struct repo *real, struct repo *alias)
{
	struct repo **at = &real->former;

	alias->canonical = real;
	if (strcmp(alias->folded, real->folded) == 0)
		return;
	for (; *at; at = &(*at)->next_former)
		if (strcmp((*at)->folded, alias->folded) == 0)
			return;
	*at = alias;
}

/* Makes alias a name of real, which is no other's, and all that it was called. */
static void move_names_locked(struct repo *real, struct repo *alias)
{
	struct repo *list = steal(alias->former);

	del_former_locked(alias);
	add_former_locked(real, alias);
	while (list) {
		struct repo *next = steal(list->next_former);

		add_former_locked(real, list);
		list = next;
	}
}

static int need_both_locked(struct known *k, const struct repo_id *asked,
			    const struct repo_id *canonical, struct repo **ret_alias,
			    struct repo **ret_real)
{
	int r = need_repo_locked(k, canonical, ret_real);

	return r < 0 ? r : need_repo_locked(k, asked, ret_alias);
}

int known_name_locked(struct known *k, const struct repo_id *asked, const struct repo_id *canonical)
{
	struct repo *alias, *real;
	int r = need_both_locked(k, asked, canonical, &alias, &real);

	if (r < 0)
		return r;
	if (real->canonical != real || alias->canonical != real)
		atomic_fetch_add(&k->changes, 1);
	if (real->canonical != real) {
		del_former_locked(real);
		real->canonical = real;
	}
	if (alias != real && alias->canonical != real)
		move_names_locked(real, alias);
	return 0;
}

struct taking {
	const char *folded;
	struct repo *real;
};

static int take_spelling(void *arg, void *value)
{
	const struct taking *x = arg;
	struct repo *r = value;

	if (r == x->real || strcmp(r->folded, x->folded) != 0)
		return 0;
	del_former_locked(r);
	r->canonical = x->real;
	return 0;
}

int known_take_name_locked(struct known *k, const struct repo_id *id)
{
	char key[REPO_KEY_MAX + 1], folded[REPO_KEY_MAX + 1];
	struct taking x = { .folded = folded };
	struct repo *like;
	bool led;
	int r;

	repo_id_key(id, key);
	known_fold(key, folded);
	like = map_find_str(&k->folded, folded);
	led = like && strcmp(repo_canonical(like)->folded, folded) != 0;
	r = known_name_locked(k, like ? &like->id : id, id);
	x.real = map_find_str(&k->repos, key);
	if (r == 0 && led)
		map_each(&k->repos, take_spelling, &x);
	return r;
}

int known_load_name(void *arg, const char *key, const char *canonical)
{
	struct repo_id asked, real;
	struct repo *alias, *named;
	int r;

	if (repo_id_parse_key(key, &asked) < 0 || repo_id_parse_key(canonical, &real) < 0)
		return 0; /* damaged: as if never seen */
	r = need_both_locked(arg, &asked, &real, &alias, &named);
	if (r < 0)
		return r;
	named = repo_canonical(named);
	if (alias->canonical == alias && named != alias)
		move_names_locked(named, alias);
	return 0;
}

struct repo *known_repo(struct known *k, const struct repo_id *id)
{
	char key[REPO_KEY_MAX + 1];
	struct repo *r;

	repo_id_key(id, key);
	lock_take(&k->lock);
	r = map_find_str(&k->repos, key);
	lock_drop(&k->lock);
	return r;
}

struct repo *known_repo_like(struct known *k, const struct repo_id *id)
{
	char key[REPO_KEY_MAX + 1], folded[REPO_KEY_MAX + 1];
	struct repo *r;

	repo_id_key(id, key);
	known_fold(key, folded);
	lock_take(&k->lock);
	r = map_find_str(&k->folded, folded);
	lock_drop(&k->lock);
	return r ? repo_canonical(r) : NULL;
}

void known_names(struct known *k, struct repo *r, struct repo_names *ret)
{
	struct repo *real;

	lock_take(&k->lock);
	real = repo_canonical(r);
	*ret = (struct repo_names){ { &real->id }, 1, false };
	for (struct repo *f = real->former; f && !ret->more; f = f->next_former) {
		ret->more = ret->count == REPO_NAMES_MAX;
		if (!ret->more)
			ret->list[ret->count++] = &f->id;
	}
	lock_drop(&k->lock);
}

void known_names_of(struct known *k, const struct repo_id *id, struct repo_names *ret)
{
	struct repo *r = known_repo(k, id);

	if (!r)
		r = known_repo_like(k, id);
	if (r)
		known_names(k, r, ret);
	else
		*ret = (struct repo_names){ { id }, 1, false };
}
