/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/shown.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define HUB PLACE_HUB_NAME "/"

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
		shown = place_is_top_name(name);
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

/* The repository that a part of a path names as a folder, by the name that it has now. */
static bool take_repo(struct known *k, const char *part, size_t len, struct repo_id *ret)
{
	char folder[REPO_FOLDER_MAX + 1];
	struct repo_names names;
	struct repo_id id;

	if (len >= sizeof(folder))
		return false;
	memcpy(folder, part, len);
	folder[len] = '\0';
	if (repo_id_parse_folder(folder, &id) < 0)
		return false;
	known_names_of(k, &id, &names);
	*ret = *names.list[0];
	return true;
}

static bool is_for(struct known *k, const char *path, const struct repo_id *id)
{
	struct repo_id its;
	size_t len;

	for (; *path; path += len + strspn(path + len, "/")) {
		len = strcspn(path, "/");
		if (take_repo(k, path, len, &its) && its.type == id->type &&
		    strcasecmp(its.name, id->name) == 0)
			return true;
	}
	return false;
}

bool shown_to_no_more(struct known *k, const char *from, const char *to)
{
	struct repo_id id;
	size_t len;

	for (; *from; from += len + strspn(from + len, "/")) {
		len = strcspn(from, "/");
		if (take_repo(k, from, len, &id) && !is_for(k, to, &id))
			return false;
	}
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
