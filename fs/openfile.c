/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/openfile.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* A change of what stands here is a new ESTATE_VERSION (docs/formats.md). */
static_assert(sizeof(struct openfile_left) == 32 && offsetof(struct openfile_left, inode) == 8 &&
		      offsetof(struct openfile_left, pid) == 16 &&
		      offsetof(struct openfile_left, kind) == 24 &&
		      offsetof(struct openfile_left, counted) == 25 &&
		      offsetof(struct openfile_left, passthrough) == 26,
	      "as it lies there");

/* A process of a mount has this many numbers to itself: a RELEASE that comes again, of a file that
 * was closed, is never taken for another file's. */
#define GENERATION_BITS 40

void openfiles_init(struct openfiles *all)
{
	lock_init(&all->lock, LOCK_OPENFILES);
	all->first = NULL;
	all->by_number = (struct map){ 0 };
	all->last_number = 0;
	all->estate = NULL;
}

void openfiles_fini(struct openfiles *all)
{
	assert(!all->first);
	map_fini(&all->by_number);
	lock_fini(&all->lock);
}

/* Lists one that has a number. */
static int list_locked(struct openfiles *all, struct openfile *f)
{
	int r = map_put_u64(&all->by_number, f->number, f);

	if (r < 0)
		return r;
	f->next = all->first;
	if (all->first)
		all->first->prev = f;
	all->first = f;
	if (f->number > all->last_number)
		all->last_number = f->number;
	return 0;
}

struct openfile *openfile_new(struct openfiles *all, struct inode *i, pid_t pid)
{
	struct openfile *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return NULL;
	f->inode = i;
	f->pid = pid;
	lock_take(&all->lock);
	f->number = all->last_number + 1;
	r = list_locked(all, f);
	lock_drop(&all->lock);
	if (r == 0)
		return f;
	free(f);
	return NULL;
}

struct openfile *openfile_find(struct openfiles *all, uint64_t number)
{
	struct openfile *f;

	lock_take(&all->lock);
	f = map_find_u64(&all->by_number, number);
	lock_drop(&all->lock);
	return f;
}

/* ---- from process to process ---- */

static int add_left(void *arg, uint32_t record, void *data, size_t len)
{
	const struct openfile_left *left = data;
	struct openfiles *all = arg;
	struct openfile *f;
	int r;

	if (len < sizeof(*left) || left->kind > OPENFILE_DIR || left->number == 0 ||
	    map_find_u64(&all->by_number, left->number)) {
		estate_del(all->estate, record);
		return 0;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	*f = (struct openfile){
		.number = left->number,
		.left_inode = left->inode,
		.record = record,
		.left = true,
		.kind = (enum openfile_kind)left->kind,
		.pid = (pid_t)left->pid,
		.counted = left->counted,
		.passthrough = left->passthrough,
	};
	r = list_locked(all, f);
	if (r < 0)
		free(f);
	return r;
}

int openfiles_inherit(struct openfiles *all, struct estate *e, uint32_t generation)
{
	int r;

	all->estate = e;
	all->last_number = (uint64_t)generation << GENERATION_BITS;
	lock_take(&all->lock);
	r = estate_each(e, ESTATE_OPEN, add_left, all);
	lock_drop(&all->lock);
	return r;
}

void openfiles_each_left(struct openfiles *all, void (*fn)(void *arg, struct openfile *f),
			 void *arg)
{
	for (struct openfile *f = all->first; f; f = f->next)
		if (f->left)
			fn(arg, f);
}

int openfile_keep(struct openfiles *all, struct openfile *f)
{
	struct openfile_left left = {
		.number = f->number,
		.inode = f->inode->number,
		.pid = (uint32_t)f->pid,
		.kind = (uint8_t)f->kind,
		.counted = f->counted,
		.passthrough = f->passthrough,
	};

	return estate_add(all->estate, ESTATE_OPEN, &left, sizeof(left), &f->record);
}

void openfile_revive(struct openfiles *all, struct openfile *f, struct openfile *fresh)
{
	lock_take(&all->lock);
	if (f->left) {
		f->handle = steal(fresh->handle);
		f->written = steal(fresh->written);
		f->listing = steal(fresh->listing);
		f->text = fresh->text;
		fresh->text = (struct buf){ 0 };
		f->left = false;
	}
	lock_drop(&all->lock);
}

static void unlink_openfile(struct openfiles *all, struct openfile *f)
{
	lock_take(&all->lock);
	map_del_u64(&all->by_number, f->number);
	if (f->prev)
		f->prev->next = f->next;
	else
		all->first = f->next;
	if (f->next)
		f->next->prev = f->prev;
	lock_drop(&all->lock);
}

int openfile_close(struct openfiles *all, const struct openfile_world *w, struct openfile *f)
{
	int id;

	/* First: the next process is not to end what this one has ended. */
	estate_del(all->estate, f->record);
	id = f->counted && f->inode ? inode_release(w->inodes, f->inode, f->passthrough) : 0;
	unlink_openfile(all, f);
	node_close_file(w->node, f->handle);
	if (f->written) {
		scratch_close(w->scratch, f->written);
		scratch_unref(w->scratch, f->written);
	}
	listing_close(f->listing);
	buf_free(&f->text);
	free(f);
	return id;
}

static unsigned add_once(pid_t *list, unsigned count, pid_t pid)
{
	for (unsigned i = 0; i < count; i++)
		if (list[i] == pid)
			return count;
	list[count] = pid;
	return count + 1;
}

unsigned openfiles_readers(struct openfiles *all, const char *etag, pid_t *ret, unsigned max)
{
	unsigned count = 0;

	lock_take(&all->lock);
	for (const struct openfile *f = all->first; f && count < max; f = f->next) {
		char open_etag[DIGEST_HEX_MAX + 1] = "";
		const struct inode *i = f->inode;

		if (i && i->place.kind == PLACE_BLOB)
			place_etag(&i->place, open_etag);
		if (strcmp(open_etag, etag) == 0)
			count = add_once(ret, count, f->pid);
	}
	lock_drop(&all->lock);
	return count;
}

static struct openfile *first_openfile(struct openfiles *all)
{
	struct openfile *f;

	lock_take(&all->lock);
	f = all->first;
	lock_drop(&all->lock);
	return f;
}

void openfiles_close(struct openfiles *all, const struct openfile_world *w)
{
	struct openfile *f;

	while ((f = first_openfile(all)))
		openfile_close(all, w, f);
}
