/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_objects.h"

#include <errno.h>
#include <string.h>
#include <sys/queue.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "fs/nfs_forms.h"

#define OBJECTS_MAX 8192
#define FILES_MAX 256 /* that are open */
#define FILE_IDLE_MS 30000
#define FILE_REST_MS 2000 /* who reads on has asked again by then: others may have the room */

struct object {
	TAILQ_ENTRY(object) age;
	struct nfs_fh fh;
	struct place place;
	struct handle *file;      /* or NULL */
	TAILQ_ENTRY(object) read; /* of those with a file, as the next */
	int64_t read_ms;          /* when it was last wanted */
};

TAILQ_HEAD(objects, object);

struct nfs_objects {
	const struct view *view;
	struct nfs_forms *forms;
	struct nfs_keys keys;
	struct lock lock;
	/* Guarded by lock. */
	struct map by_handle;
	struct objects by_age;  /* used longest ago first */
	struct objects by_read; /* those with a file: read longest ago first */
	unsigned files;
};

int nfs_objects_new(const struct view *v, const struct nfs_keys *keys, uint64_t life,
		    struct nfs_objects **ret)
{
	struct nfs_objects *t = calloc(1, sizeof(*t));
	int r = t ? nfs_forms_new(v, keys, life, &t->forms) : -ENOMEM;

	if (r < 0) {
		free(t);
		return r;
	}
	t->view = v;
	t->keys = *keys;
	TAILQ_INIT(&t->by_age);
	TAILQ_INIT(&t->by_read);
	lock_init(&t->lock, LOCK_NFS_OBJECTS);
	*ret = t;
	return 0;
}

/* ---- open files ---- */

static void put_file_locked(struct nfs_objects *t, struct object *o, struct handle *h)
{
	o->file = h;
	o->read_ms = clock_ms();
	TAILQ_INSERT_TAIL(&t->by_read, o, read);
	t->files++;
}

static struct handle *take_file_locked(struct nfs_objects *t, struct object *o)
{
	if (!o->file)
		return NULL;
	TAILQ_REMOVE(&t->by_read, o, read);
	t->files--;
	return steal(o->file);
}

/* ---- objects ---- */

/* With no lock held. */
static void object_free(struct nfs_objects *t, struct object *o)
{
	if (!o)
		return;
	node_close_file(t->view->node, o->file);
	place_fini(&o->place);
	free(o);
}

/* Its file stays with it. */
static void unlist_locked(struct nfs_objects *t, struct object *o)
{
	struct handle *h = take_file_locked(t, o);

	o->file = h;
	TAILQ_REMOVE(&t->by_age, o, age);
	map_del(&t->by_handle, o->fh.bytes, o->fh.len);
}

void nfs_objects_free(struct nfs_objects *t)
{
	struct object *o;

	if (!t)
		return;
	while ((o = TAILQ_FIRST(&t->by_age))) {
		unlist_locked(t, o);
		object_free(t, o);
	}
	map_fini(&t->by_handle);
	nfs_forms_free(t->forms);
	lock_fini(&t->lock);
	nfs_keys_wipe(&t->keys);
	free(t);
}

static struct object *find_locked(struct nfs_objects *t, const struct nfs_fh *fh)
{
	struct object *o = map_find(&t->by_handle, fh->bytes, fh->len);

	if (o) {
		TAILQ_REMOVE(&t->by_age, o, age);
		TAILQ_INSERT_TAIL(&t->by_age, o, age);
	}
	return o;
}

/* Lists a new one; what has to go for it is *ret_old. */
static int add_locked(struct nfs_objects *t, struct object *o, struct object **ret_old)
{
	int r = map_put(&t->by_handle, o->fh.bytes, o->fh.len, o);

	if (r < 0)
		return r;
	TAILQ_INSERT_TAIL(&t->by_age, o, age);
	if (t->by_handle.count > OBJECTS_MAX) {
		*ret_old = TAILQ_FIRST(&t->by_age);
		unlist_locked(t, *ret_old);
	}
	return 0;
}

int nfs_objects_handle(struct nfs_objects *t, const struct place *p, struct nfs_fh *ret)
{
	struct nfs_form form;
	int r = nfs_form_of(t->forms, p, &form);

	return r < 0 ? r : nfs_handle_print(t->keys.at[0], &form, ret);
}

/* Where a blob was looked up last counts: that is where it is read from. */
void nfs_objects_note(struct nfs_objects *t, const struct nfs_fh *fh, const struct place *p)
{
	struct object *o = calloc(1, sizeof(*o)), *known, *old = NULL;

	if (!o || place_copy(p, &o->place) < 0) {
		free(o);
		return;
	}
	o->fh = *fh;
	lock_take(&t->lock);
	known = find_locked(t, fh);
	if (known) {
		struct place before = known->place;

		known->place = o->place;
		o->place = before;
		old = o;
	} else if (add_locked(t, o, &old) < 0) {
		old = o;
	}
	lock_drop(&t->lock);
	object_free(t, old);
}

bool nfs_is_removed(const struct view *v, const struct place *p)
{
	struct stat st;

	if (p->kind != PLACE_SCRATCH)
		return false;
	scratch_stat(v->scratch, p->written, &st);
	return st.st_nlink == 0;
}

/* What clients wrote and removed is gone, although somebody knows of it. */
static int check_alive(struct nfs_objects *t, struct place *p)
{
	if (!nfs_is_removed(t->view, p))
		return 0;
	place_fini(p);
	return -ESTALE;
}

static int parse(const struct nfs_objects *t, const struct nfs_fh *fh, struct nfs_form *ret)
{
	int r = NFS_BADHANDLE;

	for (unsigned i = 0; r == NFS_BADHANDLE && i < t->keys.count; i++)
		r = nfs_handle_parse(t->keys.at[i], fh->bytes, fh->len, ret);
	return r;
}

int nfs_objects_find(struct nfs_objects *t, const struct nfs_fh *fh, struct waiter *w,
		     struct place *ret)
{
	struct nfs_form form;
	struct object *o;
	int r = 0;

	lock_take(&t->lock);
	o = find_locked(t, fh);
	if (o)
		r = place_copy(&o->place, ret);
	lock_drop(&t->lock);
	if (o)
		return r < 0 ? r : check_alive(t, ret);
	r = parse(t, fh, &form);
	if (r == 0)
		r = nfs_form_place(t->forms, &form, w, ret);
	if (r == 0)
		nfs_objects_note(t, fh, ret);
	return r;
}

void nfs_objects_tell(struct nfs_objects *t, const struct nfs_fh *fh, struct buf *ret)
{
	const struct object *o;

	lock_take(&t->lock);
	o = find_locked(t, fh);
	if (o)
		place_tell(&o->place, ret);
	lock_drop(&t->lock);
}

bool nfs_objects_etag(struct nfs_objects *t, const struct nfs_fh *fh,
		      char ret[static DIGEST_HEX_MAX + 1])
{
	const struct object *o;
	bool blob;

	lock_take(&t->lock);
	o = find_locked(t, fh);
	blob = o && o->place.kind == PLACE_BLOB;
	if (blob)
		place_etag(&o->place, ret);
	lock_drop(&t->lock);
	return blob;
}

/* ---- reading ---- */

struct handle *nfs_objects_opened(struct nfs_objects *t, const struct nfs_fh *fh)
{
	struct handle *h = NULL;
	struct object *o;

	lock_take(&t->lock);
	o = find_locked(t, fh);
	if (o && o->file) {
		h = node_ref_file(o->file);
		put_file_locked(t, o, take_file_locked(t, o)); /* as the youngest */
	}
	lock_drop(&t->lock);
	return h;
}

/* Leaves it open for who reads on; somebody else may just have done so. */
static void keep_open(struct nfs_objects *t, const struct nfs_fh *fh, struct handle *h)
{
	struct handle *old = NULL;
	struct object *o;

	lock_take(&t->lock);
	o = find_locked(t, fh);
	if (o && !o->file) {
		put_file_locked(t, o, node_ref_file(h));
		if (t->files > FILES_MAX)
			old = take_file_locked(t, TAILQ_FIRST(&t->by_read));
	}
	lock_drop(&t->lock);
	node_close_file(t->view->node, old);
}

int nfs_objects_open(struct nfs_objects *t, const struct nfs_fh *fh, const struct place *p,
		     struct handle **ret)
{
	int r;

	*ret = nfs_objects_opened(t, fh);
	if (*ret)
		return 0;
	r = node_open_file(t->view->node, p->snapshot, p->node, ret);
	if (r < 0)
		return r;
	node_begin_anew(t->view->node, *ret); /* what clients keep of it is not ours to drop */
	keep_open(t, fh, *ret);
	return 0;
}

static bool has_etag(const struct place *p, const char *etag)
{
	char its[DIGEST_HEX_MAX + 1];

	place_etag(p, its);
	return strcmp(its, etag) == 0;
}

/* A file that nobody has read since then, of that blob (NULL: any), taken out of its object. */
static struct handle *take_idle(struct nfs_objects *t, int64_t before_ms, const char *etag)
{
	struct handle *h = NULL;
	struct object *o;

	lock_take(&t->lock);
	TAILQ_FOREACH(o, &t->by_read, read) {
		if (o->read_ms >= before_ms)
			break;
		if (etag && !has_etag(&o->place, etag))
			continue;
		h = take_file_locked(t, o);
		break;
	}
	lock_drop(&t->lock);
	return h;
}

static bool close_idle(struct nfs_objects *t, int64_t idle_ms, const char *etag)
{
	int64_t before_ms = clock_ms() - idle_ms;
	bool any = false;
	struct handle *h;

	while ((h = take_idle(t, before_ms, etag))) {
		node_close_file(t->view->node, h);
		any = true;
	}
	return any;
}

void nfs_objects_tick(struct nfs_objects *t)
{
	close_idle(t, FILE_IDLE_MS, NULL);
}

bool nfs_objects_let_go(struct nfs_objects *t, const char *etag)
{
	return close_idle(t, FILE_REST_MS, etag);
}
