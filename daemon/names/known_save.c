/* SPDX-License-Identifier: Apache-2.0 */
/* What is known but not in the index, because a full disk did not take it. */
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/names/known_priv.h"

#define AGAIN_MS 2000 /* it is tried again so often */

/* Saves what has the flag; *count goes up if it did. */
static int save_name(struct known *k, struct repo *r, unsigned *count)
{
	int rc;

	if (!atomic_load(&r->unsaved))
		return 0;
	rc = catalog_put_repo(k->catalog, r->key, r->key);
	if (rc < 0)
		return rc;
	atomic_store(&r->unsaved, false);
	++*count;
	return 0;
}

static int save_files(struct known *k, struct snapshot *s, unsigned *count)
{
	int rc = save_name(k, s->repo, count);

	if (rc < 0 || !atomic_load(&s->unsaved))
		return rc;
	rc = catalog_put_commit(k->catalog, s->repo->key, s->commit, s->date_s, s->files);
	if (rc < 0)
		return rc;
	atomic_store(&s->unsaved, false);
	++*count;
	return 0;
}

int known_save_name(struct known *k, struct repo *r)
{
	unsigned count = 0;

	return save_name(k, r, &count);
}

int known_save(struct known *k, struct snapshot *s)
{
	unsigned count = 0;

	return save_files(k, s, &count);
}

/* --- refs */

/* Second of the hub's answer, on the wall clock; 0 if that is in doubt. */
static int64_t checked_s(const struct ref *ref)
{
	int64_t ms = ref->state.checked_ms;

	return ms ? clock_wall_s() - (clock_ms() - ms) / 1000 : 0;
}

/* An unsaved ref that names this commit: so that commit is in the index before it. */
static struct ref *find_unsaved_locked(const struct snapshot *s)
{
	struct ref *ref = s->repo->refs;

	while (ref && (!ref->unsaved || strcmp(ref->state.commit, s->commit) != 0))
		ref = ref->next;
	return ref;
}

/* Copies the next one, which counts as saved from now on; false if there is none. */
static bool take_unsaved(struct known *k, const struct snapshot *s, struct buf *ret_name,
			 int64_t *ret_checked_s)
{
	struct ref *ref;

	buf_clear(ret_name);
	lock_take(&k->lock);
	ref = find_unsaved_locked(s);
	if (ref && buf_add_str(ret_name, ref->name) < 0)
		ref = NULL;
	if (ref) {
		ref->unsaved = false;
		*ret_checked_s = checked_s(ref);
	}
	lock_drop(&k->lock);
	return ref;
}

static void note_refs(struct known *k, struct repo *r, const char *failed)
{
	bool any = false;

	lock_take(&k->lock);
	for (struct ref *ref = r->refs; ref; ref = ref->next) {
		if (failed && strcmp(ref->name, failed) == 0)
			ref->unsaved = true;
		any |= ref->unsaved;
	}
	atomic_store(&r->refs_unsaved, any);
	lock_drop(&k->lock);
}

static int save_refs(struct known *k, const struct snapshot *s, unsigned *count)
{
	CLEANUP(buf_free) struct buf name = { 0 };
	int64_t checked = 0;
	int rc = 0;

	while (rc == 0 && take_unsaved(k, s, &name, &checked)) {
		rc = catalog_put_ref(k->catalog, s->repo->key, buf_str(&name), s->commit, checked);
		*count += rc == 0;
	}
	note_refs(k, s->repo, rc < 0 ? buf_str(&name) : NULL);
	return rc;
}

/* --- all of it */

/* Adds those of a repository that are not, or whose name or refs are not; one count each. */
static int collect(void *arg, void *value)
{
	struct buf *list = arg;
	struct repo *r = value;

	for (struct commit *c = r->commits; c; c = c->next) {
		struct snapshot *s = c->loaded;

		if (s &&
		    (atomic_load(&s->unsaved) || atomic_load(&r->unsaved) ||
		     atomic_load(&r->refs_unsaved)) &&
		    buf_add(list, &s, sizeof(s)) == 0)
			snapshot_ref(s);
	}
	return 0;
}

/* Bytes that were added one by one may lie anywhere. */
static struct snapshot *at(const struct buf *list, size_t i)
{
	struct snapshot *s;

	memcpy(&s, list->data + i, sizeof(s));
	return s;
}

int known_save_all(struct known *k)
{
	CLEANUP(buf_free) struct buf list = { 0 };
	unsigned count = 0;
	int rc = 0;

	lock_take(&k->lock);
	map_each(&k->repos, collect, &list);
	lock_drop(&k->lock);
	for (size_t i = 0; i < list.len; i += sizeof(struct snapshot *)) {
		struct snapshot *s = at(&list, i);

		if (rc == 0)
			rc = save_files(k, s, &count);
		if (rc == 0)
			rc = save_refs(k, s, &count);
		snapshot_unref(s);
	}
	if (rc == 0 && count)
		log_info("the index has again all that the hubs said rows=%u", count);
	return rc;
}

void known_save_again(struct known *k, const struct snapshot *s)
{
	int64_t now_ms = clock_ms();

	if ((!atomic_load(&s->unsaved) && !atomic_load(&s->repo->unsaved) &&
	     !atomic_load(&s->repo->refs_unsaved)) ||
	    now_ms < atomic_load(&k->again_ms))
		return;
	atomic_store(&k->again_ms, now_ms + AGAIN_MS);
	if (known_save_all(k) < 0)
		log_debug("the index does not take what is not saved yet");
}
