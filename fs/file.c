/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/file.h"

#include <assert.h>

void files_init(struct files *all)
{
	lock_init(&all->lock, LOCK_FILES);
	all->first = NULL;
}

void files_fini(struct files *all)
{
	assert(!all->first);
	lock_fini(&all->lock);
}

struct file *file_new(struct files *all, struct inode *i)
{
	struct file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->inode = i;
	lock_take(&all->lock);
	f->next = all->first;
	if (all->first)
		all->first->prev = f;
	all->first = f;
	lock_drop(&all->lock);
	return f;
}

static void unlink_file(struct files *all, struct file *f)
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

int file_close(struct files *all, const struct file_world *w, struct file *f)
{
	int id = f->counted ? inode_release(w->inodes, f->inode, f->passthrough) : 0;

	unlink_file(all, f);
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

static struct file *first_file(struct files *all)
{
	struct file *f;

	lock_take(&all->lock);
	f = all->first;
	lock_drop(&all->lock);
	return f;
}

void files_close(struct files *all, const struct file_world *w)
{
	struct file *f;

	while ((f = first_file(all)))
		file_close(all, w, f);
}
