/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories and refs are loaded whole at the start (they are few and small); a commit's
 * manifest is loaded when it is first used, and stays while anybody holds it or until others push
 * it out. */
#include "daemon/names/known.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/names/known_priv.h"

#define LOADED_FILES_MAX 200000 /* files in manifests kept although nobody holds them */
#define LARGE_FILES 1000        /* in one commit: it came in several pages */

/* ---- lists of one repository ---- */

static struct ref *find_ref(struct repo *r, const char *name)
{
	struct ref *ref = r->refs;

	while (ref && strcmp(ref->name, name) != 0)
		ref = ref->next;
	return ref;
}

static int need_ref(struct repo *r, const char *name, struct ref **ret)
{
	size_t len = strlen(name);
	struct ref *ref = find_ref(r, name);

	if (!ref) {
		ref = calloc(1, sizeof(*ref) + len + 1);
		if (!ref)
			return -ENOMEM;
		memcpy(ref->name, name, len + 1);
		ref->next = r->refs;
		r->refs = ref;
	}
	*ret = ref;
	return 0;
}

static struct commit *find_commit(struct repo *r, const char *name)
{
	struct commit *c = r->commits;

	while (c && strcmp(c->name, name) != 0)
		c = c->next;
	return c;
}

static int need_commit(struct repo *r, const char *name, struct commit **ret)
{
	struct commit *c = find_commit(r, name);

	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return -ENOMEM;
		snprintf(c->name, sizeof(c->name), "%s", name);
		c->next = r->commits;
		r->commits = c;
	}
	*ret = c;
	return 0;
}

void known_free_refs(struct ref *list)
{
	while (list) {
		struct ref *next = list->next;

		free(list);
		list = next;
	}
}

void known_empty_locked(struct known *k, struct repo *r)
{
	known_free_refs(steal(r->refs));
	while (r->commits) {
		struct commit *next = r->commits->next;

		if (r->commits->loaded)
			k->loaded_files -= manifest_file_count(r->commits->loaded->files);
		snapshot_unref(r->commits->loaded);
		free(r->commits);
		r->commits = next;
	}
}

/* ---- the table ---- */

/* The wall clock of the row is only believed where it lies in the past. */
static int load_ref(void *arg, const char *name, const char *commit, int64_t checked_s)
{
	int64_t now = clock_ms(), now_s = clock_wall_s();
	bool past = checked_s > 0 && checked_s <= now_s && now_s - checked_s < now / 1000;
	struct ref *ref;
	int r;

	if (!commit_valid(commit) || !revision_valid(name))
		return 0; /* damaged: as if never asked */
	r = need_ref(arg, name, &ref);
	if (r < 0)
		return r;
	snprintf(ref->state.commit, sizeof(ref->state.commit), "%s", commit);
	ref->state.checked_ms = past ? now - (now_s - checked_s) * 1000 : 0;
	return 0;
}

static int load_commit(void *arg, const char *name)
{
	struct commit *c;

	return need_commit(arg, name, &c);
}

static int load_lists(void *arg, void *value)
{
	struct known *k = arg;
	struct repo *r = value;
	int rc = catalog_each_ref(k->catalog, r->key, load_ref, r);

	return rc ? rc : catalog_each_commit(k->catalog, r->key, load_commit, r);
}

int known_new(struct catalog *catalog, struct known **ret)
{
	struct known *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->catalog = catalog;
	lock_init(&k->lock, LOCK_NODE);
	r = catalog_each_repo(catalog, known_load_name, k);
	if (r == 0)
		r = map_each(&k->repos, load_lists, k);
	if (r < 0) {
		known_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

static int free_repo(void *arg, void *value)
{
	known_empty_locked(arg, value);
	free(value);
	return 0;
}

void known_free(struct known *k)
{
	if (!k)
		return;
	map_each(&k->repos, free_repo, k);
	while (k->buried) {
		struct repo *next = k->buried->next_buried;

		known_empty_locked(k, k->buried);
		free(k->buried);
		k->buried = next;
	}
	map_fini(&k->repos);
	map_fini(&k->folded);
	lock_fini(&k->lock);
	free(k);
}

/* What a full disk cannot take is known all the same, and written down when it can. */
static bool is_known_all_the_same(int r)
{
	if (err_is_disk(r))
		log_warn(r, "the index does not take what the hubs said: it is tried again while "
			    "it is used, and lost at a stop");
	return r == 0 || err_is_disk(r);
}

static int put_names(struct known *k, const char *asked_key, const char *key)
{
	int r = catalog_put_repo(k->catalog, key, key);

	return r < 0 || !strcmp(asked_key, key) ? r : catalog_put_repo(k->catalog, asked_key, key);
}

int known_add_repo(struct known *k, const struct repo_id *asked, const struct repo_id *canonical)
{
	char asked_key[REPO_KEY_MAX + 1], key[REPO_KEY_MAX + 1];
	struct repo *hosted;
	bool saved;
	int r;

	repo_id_key(asked, asked_key);
	repo_id_key(canonical, key);
	hosted = known_repo(k, canonical);
	r = hosted && repo_is_hosted(hosted) ? 0 : put_names(k, asked_key, key);
	if (!is_known_all_the_same(r))
		return r;
	saved = r == 0;
	lock_take(&k->lock);
	r = known_name_locked(k, asked, canonical);
	if (r == 0 && !saved)
		atomic_store(&((struct repo *)map_find_str(&k->repos, key))->unsaved, true);
	lock_drop(&k->lock);
	return r;
}

/* ---- refs ---- */

bool known_get_ref(struct known *k, struct repo *r, const char *name, struct known_ref *ret)
{
	struct ref *ref;

	lock_take(&k->lock);
	ref = find_ref(r, name);
	if (ref)
		*ret = ref->state;
	lock_drop(&k->lock);
	return ref != NULL;
}

int known_set_ref_dir(struct known *k, struct repo *r, const char *name)
{
	struct ref *ref;
	int rc;

	lock_take(&k->lock);
	rc = need_ref(r, name, &ref);
	if (rc == 0)
		ref->is_dir = true;
	lock_drop(&k->lock);
	return rc;
}

bool known_is_ref_dir(struct known *k, struct repo *r, const char *name)
{
	bool found = false;

	lock_take(&k->lock);
	for (const struct ref *ref = r->refs; ref && !found; ref = ref->next)
		found = ref->state.commit[0] ? revision_is_below(ref->name, name)
					     : ref->is_dir && strcmp(ref->name, name) == 0;
	lock_drop(&k->lock);
	return found;
}

static int fail_ref(struct known *k, struct repo *r, const char *name, bool gone)
{
	struct ref *ref;
	int rc;

	lock_take(&k->lock);
	rc = need_ref(r, name, &ref);
	if (rc == 0) {
		ref->state.failed_ms = clock_ms();
		ref->state.gone |= gone;
	}
	lock_drop(&k->lock);
	return rc;
}

int known_fail_ref(struct known *k, struct repo *r, const char *name)
{
	return fail_ref(k, r, name, false);
}

int known_keep_ref(struct known *k, struct repo *r, const char *name)
{
	return fail_ref(k, r, name, true);
}

void known_set_gone(struct repo *r, int gone)
{
	atomic_store(&r->gone_ms, clock_ms());
	atomic_store(&r->gone, gone);
}

int known_gone(const struct repo *r, int64_t *ret_ms)
{
	*ret_ms = atomic_load(&r->gone_ms);
	return atomic_load(&r->gone);
}

void known_set_restricted(struct repo *r, bool restricted)
{
	atomic_store(&r->restricted, restricted);
}

bool repo_is_restricted(const struct repo *r)
{
	return atomic_load(&r->restricted);
}

int known_drop_ref(struct known *k, struct repo *r, const char *name)
{
	int rc = catalog_del_ref(k->catalog, r->key, name);

	lock_take(&k->lock);
	for (struct ref **at = &r->refs; *at; at = &(*at)->next)
		if (strcmp((*at)->name, name) == 0) {
			struct ref *gone = *at;

			*at = gone->next;
			free(gone);
			atomic_fetch_add(&k->changes, 1);
			break;
		}
	lock_drop(&k->lock);
	return rc;
}

void known_doubt_refs(struct known *k, struct repo *r, const char *commit)
{
	lock_take(&k->lock);
	for (struct ref *ref = r->refs; ref; ref = ref->next)
		if (strcmp(ref->state.commit, commit) != 0)
			ref->state.checked_ms = 0;
	lock_drop(&k->lock);
}

/* ---- snapshots of a repository ---- */

struct oldest {
	struct commit *commit;
};

static int find_oldest(void *arg, void *value)
{
	struct oldest *o = arg;
	struct repo *r = value;

	for (struct commit *c = r->commits; c; c = c->next)
		if (c->loaded && atomic_load(&c->loaded->refs) == 1 &&
		    (!o->commit || c->used < o->commit->used))
			o->commit = c;
	return 0;
}

/* Unloads manifests nobody holds until the rest is small enough. */
static void trim_locked(struct known *k)
{
	while (k->loaded_files > LOADED_FILES_MAX) {
		struct oldest o = { NULL };

		map_each(&k->repos, find_oldest, &o);
		if (!o.commit)
			return;
		k->loaded_files -= manifest_file_count(o.commit->loaded->files);
		snapshot_unref(steal(o.commit->loaded));
	}
}

/* Keeps s (taken) in the table; if another thread was faster, its copy wins. */
static int keep_locked(struct known *k, struct repo *r, struct snapshot *s, struct snapshot **ret)
{
	struct commit *c;
	int rc = need_commit(r, s->commit, &c);

	if (rc < 0) {
		snapshot_unref(s);
		return rc;
	}
	if (c->loaded) {
		snapshot_unref(s);
	} else {
		c->loaded = s;
		k->loaded_files += manifest_file_count(s->files);
	}
	c->used = ++k->clock;
	*ret = snapshot_ref(c->loaded);
	trim_locked(k);
	return 0;
}

static struct snapshot *loaded_snapshot(struct known *k, struct repo *r, const char *commit,
					bool *ret_known)
{
	struct snapshot *s = NULL;
	struct commit *c;

	lock_take(&k->lock);
	c = find_commit(r, commit);
	*ret_known = c != NULL;
	if (c && c->loaded) {
		c->used = ++k->clock;
		s = snapshot_ref(c->loaded);
	}
	lock_drop(&k->lock);
	return s;
}

/* The row of a ref says that its commit is there: one that a full disk did not take goes first. */
static int put_ref(struct known *k, struct repo *r, const char *name, const char *commit)
{
	bool known;
	CLEANUP(snapshot_unrefp) struct snapshot *s = loaded_snapshot(k, r, commit, &known);
	int rc = s ? known_save(k, s) : known_save_name(k, r);

	return rc < 0 ? rc : catalog_put_ref(k->catalog, r->key, name, commit, clock_wall_s());
}

int known_set_ref(struct known *k, struct repo *r, const char *name, const char *commit)
{
	struct ref *ref;
	int rc = put_ref(k, r, name, commit);
	bool saved;

	if (!is_known_all_the_same(rc))
		return rc;
	saved = rc == 0;
	lock_take(&k->lock);
	rc = need_ref(r, name, &ref);
	if (rc == 0) {
		if (strcmp(ref->state.commit, commit) != 0)
			atomic_fetch_add(&k->changes, 1);
		snprintf(ref->state.commit, sizeof(ref->state.commit), "%s", commit);
		ref->state.checked_ms = clock_ms();
		ref->state.gone = false;
		ref->unsaved = !saved;
		if (!saved)
			atomic_store(&r->refs_unsaved, true);
	}
	lock_drop(&k->lock);
	return rc;
}

/* Making a long manifest leaves holes of many times its size in the heap. */
static void give_back_memory(const struct manifest *files)
{
	if (manifest_file_count(files) >= LARGE_FILES)
		malloc_trim(0);
}

static int keep(struct known *k, struct repo *r, const char *commit, int64_t date_s,
		struct manifest *files, struct snapshot **ret)
{
	struct snapshot *s;
	int rc = snapshot_new(r, commit, date_s, files, &s);

	if (rc < 0)
		return rc;
	give_back_memory(files);
	lock_take(&k->lock);
	rc = keep_locked(k, r, s, ret);
	lock_drop(&k->lock);
	return rc;
}

int known_snapshot(struct known *k, struct repo *r, const char *commit, struct snapshot **ret)
{
	struct manifest *files;
	int64_t date_s;
	bool known;
	int rc;

	*ret = loaded_snapshot(k, r, commit, &known);
	if (*ret) {
		known_save_again(k, *ret);
		return 0;
	}
	if (!known)
		return -ENOENT;
	rc = catalog_get_commit(k->catalog, r->key, commit, &date_s, &files);
	if (rc == ERR_CORRUPT)
		return -ENOENT; /* as if never listed: it will be listed anew */
	return rc < 0 ? rc : keep(k, r, commit, date_s, files, ret);
}

int known_add_snapshot(struct known *k, struct repo *r, const char *commit, int64_t date_s,
		       struct manifest *files, struct snapshot **ret)
{
	int rc = known_save_name(k, r);
	bool saved;

	if (rc == 0 && !repo_is_hosted(r))
		rc = catalog_put_commit(k->catalog, r->key, commit, date_s, files);
	if (!is_known_all_the_same(rc)) {
		manifest_free(files);
		return rc;
	}
	saved = rc == 0;
	rc = keep(k, r, commit, date_s, files, ret);
	if (rc == 0 && !saved)
		atomic_store(&(*ret)->unsaved, true);
	return rc;
}

int known_source_blob(const struct snapshot *s, uint32_t file, struct buf *path,
		      struct source_blob *ret)
{
	const struct manifest_file *f = manifest_file(s->files, file);
	int r;

	if (!f)
		return -EISDIR;
	r = manifest_path(s->files, file, path);
	if (r < 0)
		return r;
	*ret = (struct source_blob){
		.repo = *repo_id_of(s->repo),
		.path = buf_str(path),
		.file = *f,
		.own = repo_is_hosted(s->repo),
	};
	memcpy(ret->commit, s->commit, sizeof(s->commit));
	manifest_etag(f, ret->etag);
	return 0;
}
