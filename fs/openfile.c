/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/openfile.h"

#include <assert.h>
#include <string.h>

void openfiles_init(struct openfiles *all)
{
	lock_init(&all->lock, LOCK_OPENFILES);
	all->first = NULL;
}

void openfiles_fini(struct openfiles *all)
{
	assert(!all->first);
	lock_fini(&all->lock);
}

struct openfile *openfile_new(struct openfiles *all, struct inode *i, pid_t pid)
{
	struct openfile *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->inode = i;
	f->pid = pid;
	lock_take(&all->lock);
	f->next = all->first;
	if (all->first)
		all->first->prev = f;
	all->first = f;
	lock_drop(&all->lock);
	return f;
}

static void unlink_openfile(struct openfiles *all, struct openfile *f)
{
	lock_take(&all->lock);
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
	int id = f->counted ? inode_release(w->inodes, f->inode, f->passthrough) : 0;

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

		if (f->inode->place.kind == PLACE_BLOB)
			place_etag(&f->inode->place, open_etag);
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
