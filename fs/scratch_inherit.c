/* SPDX-License-Identifier: Apache-2.0 */
/* The scratch as the process before left it: nodes, then names, then their ages. */
#include <errno.h>
#include <string.h>

#include "fs/scratch_left.h"

static void set_content(struct scratch *s, struct scratch_node *n, struct scratch_left *left)
{
	size_t len = 0;

	n->data = estate_check(s->estate, left->bytes, ESTATE_BYTES, left->size, &len);
	n->bytes = n->data ? left->bytes : 0;
	left->bytes = n->bytes; /* the number of another one, one day */
	n->cap = len;
	n->size = n->data ? left->size : 0;
}

static void set_attributes(struct scratch_node *n, const struct scratch_left *left)
{
	n->mirrors = left->mirrors;
	n->mode = left->mode;
	n->uid = left->uid;
	n->gid = left->gid;
	n->atime = left->times[0];
	n->mtime = left->times[1];
	n->ctime = left->times[2];
}

static char *target_of(struct scratch *s, const struct scratch_left *left)
{
	size_t len;
	const char *text = estate_check(s->estate, left->target, ESTATE_TEXT, 0, &len);

	return text ? strndup(text, len) : NULL;
}

/* What makes no sense is not left to the next one, too. */
static int ignore(struct scratch *s, uint32_t record)
{
	estate_del(s->estate, record);
	return 0;
}

/* It counts as open until its names and those who have it open are known. */
static int add_node(void *arg, uint32_t record, void *data, size_t len)
{
	CLEANUP(freep) char *target = NULL;
	struct scratch_left *left = data;
	struct scratch *s = arg;
	struct scratch_node *n = s->root;
	int r = 0;

	if (len < sizeof(*left) || left->side >= SCRATCH_SIDES)
		return ignore(s, record);
	if (left->id != s->root->id) {
		if (map_find_u64(&s->by_id, left->id))
			return ignore(s, record);
		target = target_of(s, left);
		s->last_id = left->id - 1; /* it gets this one */
		r = scratch_node_new(s, (enum scratch_side)left->side, left->mode, left->uid,
				     left->gid, target, &n);
		if (r < 0)
			return r;
		n->open_count++;
	}
	n->record = record;
	set_attributes(n, left);
	set_content(s, n, left);
	return 0;
}

static int note_last_id(void *arg, uint32_t record UNUSED, void *data, size_t len)
{
	const struct scratch_left *left = data;
	uint64_t *last = arg;

	if (len >= sizeof(*left) && left->last_id > *last)
		*last = left->last_id;
	if (len >= sizeof(*left) && left->id > *last)
		*last = left->id;
	return 0;
}

static int add_entry(void *arg, uint32_t record, void *data, size_t len)
{
	const struct scratch_left_entry *left = data;
	struct scratch *s = arg;
	size_t name_len = len - sizeof(*left);
	struct scratch_node *dir, *node;
	struct scratch_entry *e;
	char name[256];
	int r;

	if (len <= sizeof(*left) || name_len >= sizeof(name))
		return ignore(s, record);
	memcpy(name, left + 1, name_len);
	name[name_len] = '\0';
	dir = map_find_u64(&s->by_id, left->dir);
	node = map_find_u64(&s->by_id, left->node);
	if (!dir || !node || !S_ISDIR(dir->mode) || scratch_entry_find(dir, name) ||
	    (S_ISDIR(node->mode) && (node->names || node == s->root)))
		return ignore(s, record);
	r = scratch_entry_new(dir, name, &e);
	if (r < 0)
		return r;
	e->record = record;
	scratch_entry_restore(e, node);
	return 0;
}

/* Those written longest ago come first. */
static int older_first(const void *a, const void *b)
{
	const struct scratch_node *x = *(struct scratch_node *const *)a,
				  *y = *(struct scratch_node *const *)b;

	if (x->ctime.tv_sec != y->ctime.tv_sec)
		return x->ctime.tv_sec < y->ctime.tv_sec ? -1 : 1;
	return (x->ctime.tv_nsec > y->ctime.tv_nsec) - (x->ctime.tv_nsec < y->ctime.tv_nsec);
}

struct all {
	struct scratch_node **list;
	size_t count;
	const struct scratch_node *root;
};

static int collect(void *arg, void *value)
{
	struct all *all = arg;

	if (value != all->root)
		all->list[all->count++] = value;
	return 0;
}

static int list_all(struct scratch *s, struct all *ret)
{
	*ret = (struct all){ .root = s->root };
	ret->list = calloc(s->by_id.count + 1, sizeof(ret->list[0]));
	if (!ret->list)
		return -ENOMEM;
	map_each(&s->by_id, collect, ret);
	qsort(ret->list, ret->count, sizeof(ret->list[0]), older_first);
	return 0;
}

static int inherit_locked(struct scratch *s, struct estate *e)
{
	struct all all = { 0 };
	uint64_t last = s->last_id;
	int r;

	s->estate = e;
	r = estate_each(e, ESTATE_NODE, add_node, s);
	if (r == 0)
		r = estate_each(e, ESTATE_ENTRY, add_entry, s);
	if (r == 0)
		r = list_all(s, &all);
	for (size_t i = 0; r == 0 && i < all.count; i++)
		scratch_node_restore(s, all.list[i]);
	free(all.list);
	estate_each(e, ESTATE_NODE, note_last_id, &last);
	s->last_id = last;
	if (e && !s->root->record)
		scratch_left_add(s, s->root);
	return r;
}

int scratch_inherit(struct scratch *s, struct estate *e)
{
	int r;

	lock_take(&s->lock);
	r = inherit_locked(s, e);
	lock_drop(&s->lock);
	return r;
}

void scratch_inherited(struct scratch *s)
{
	struct all all;

	lock_take(&s->lock);
	if (list_all(s, &all) < 0)
		all.count = 0; /* what has no name is not forgotten then */
	for (size_t i = 0; i < all.count; i++) {
		all.list[i]->open_count--;
		scratch_node_unref(s, all.list[i]);
	}
	free(all.list);
	lock_drop(&s->lock);
}
