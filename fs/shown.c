/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/shown.h"

#include <errno.h>
#include <string.h>

#define HUB "hub/"
#define LOCKS PLACE_LOCKS_NAME "/"

/* By the name that it has now, as far as that is known. */
static bool has_named(const struct scope *s, struct known *k, const struct repo_id *id)
{
	struct repo_names names;

	known_names_of(k, id, &names);
	return scope_has(s, names.list[0]);
}

int shown_name(const struct scope *s, struct known *k, const struct place *dir, const char *name)
{
	struct repo_id id;
	const char *rev;
	int r;

	if (!s)
		return 0;
	switch (dir->kind) {
	case PLACE_ROOT: /* what lies beside hub/ is of no repository */
		return strcmp(name, "hub") == 0 || strcmp(name, "files") == 0 ? 0 : -EACCES;
	case PLACE_HUB:
	case PLACE_LOCKS:
		r = repo_id_parse_folder(name, &id);
		break;
	case PLACE_ORG:
		r = place_split_files_name(dir->type, dir->name, name, &id, &rev);
		break;
	default:
		return 0;
	}
	return r < 0 || has_named(s, k, &id) ? 0 : -EACCES;
}

/* What clients wrote for a repository lies in its folder, or in that of its locks. */
static bool is_written_for_shown(const struct scope *s, struct known *k, const struct place *p)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	const char *at;
	struct repo_id id;

	if (!p->shared || scratch_path(p->scratch, p->written, &path) < 0)
		return false;
	at = buf_str(&path);
	if (strncmp(at, HUB, strlen(HUB)) != 0)
		return false;
	at += strlen(HUB);
	if (strncmp(at, LOCKS, strlen(LOCKS)) == 0)
		at += strlen(LOCKS);
	path.data[at - path.data + (long)strcspn(at, "/")] = '\0';
	return repo_id_parse_folder(at, &id) < 0 || has_named(s, k, &id);
}

bool shown_place(const struct scope *s, struct known *k, const struct place *p)
{
	struct repo *repo = p->snapshot ? p->snapshot->repo : p->repo;

	if (!s)
		return true;
	if (scope_is_empty(s))
		return false;
	if (p->kind == PLACE_SCRATCH)
		return is_written_for_shown(s, k, p);
	return !repo || scope_has(s, repo_id_of(repo_canonical(repo)));
}
