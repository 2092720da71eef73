/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/shown.h"

#include <errno.h>
#include <string.h>

#define HUB "hub/"

/* By the name that it has now, as far as that is known. */
static bool has_named(const struct scope *s, struct known *k, const struct repo_id *id)
{
	struct repo_names names;

	known_names_of(k, id, &names);
	return scope_has(s, names.list[0]);
}

/* True unless it is called as a repository's folder is that is not shown. */
static bool is_name_shown(const struct scope *s, struct known *k, const char *name)
{
	struct repo_id id;

	return repo_id_parse_folder(name, &id) < 0 || has_named(s, k, &id);
}

int shown_name(const struct scope *s, struct known *k, const struct place *dir, const char *name)
{
	struct repo_id id;
	const char *rev;
	bool shown = true;

	if (!s)
		return 0;
	switch (dir->kind) {
	case PLACE_ROOT: /* what lies beside hub/ is of no repository */
		shown = strcmp(name, "hub") == 0 || strcmp(name, "files") == 0;
		break;
	case PLACE_HUB:
	case PLACE_LOCKS:
	case PLACE_SCRATCH:
		shown = is_name_shown(s, k, name);
		break;
	case PLACE_ORG:
		shown = place_split_files_name(dir->type, dir->name, name, &id, &rev) < 0 ||
			has_named(s, k, &id);
		break;
	default:
		break;
	}
	return shown ? 0 : -EACCES;
}

/* What clients wrote for a repository lies in its folder, or in that of its locks; or wherever
 * somebody has put it who may see that. */
static bool is_written_for_shown(const struct scope *s, struct known *k, const struct place *p)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	const char *part;
	char *at;

	if (!p->shared || scratch_path(p->scratch, p->written, &path) < 0)
		return false;
	at = path.data;
	if (strncmp(at, HUB, strlen(HUB)) != 0)
		return false;
	while ((part = strsep(&at, "/")))
		if (!is_name_shown(s, k, part))
			return false;
	return true;
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
	if (p->kind == PLACE_LOCKS && p->name)
		return is_name_shown(s, k, p->name);
	return !repo || scope_has(s, repo_id_of(repo_canonical(repo)));
}
