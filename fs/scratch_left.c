/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/scratch_left.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* A change of what stands here is a new ESTATE_VERSION (docs/formats.md). */
static_assert(sizeof(struct scratch_left) == 96 && offsetof(struct scratch_left, size) == 8 &&
		      offsetof(struct scratch_left, last_id) == 16 &&
		      offsetof(struct scratch_left, times) == 24 &&
		      offsetof(struct scratch_left, mode) == 72 &&
		      offsetof(struct scratch_left, uid) == 76 &&
		      offsetof(struct scratch_left, gid) == 80 &&
		      offsetof(struct scratch_left, bytes) == 84 &&
		      offsetof(struct scratch_left, target) == 88 &&
		      offsetof(struct scratch_left, side) == 92 &&
		      offsetof(struct scratch_left, mirrors) == 93,
	      "as it lies there");
static_assert(sizeof(struct scratch_left_entry) == 16 &&
		      offsetof(struct scratch_left_entry, node) == 8,
	      "as it lies there");

void scratch_left_note(struct scratch *s, const struct scratch_node *n)
{
	struct scratch_left *left = estate_at(s->estate, n->record);

	if (!left)
		return;
	left->size = n->size;
	left->times[0] = n->atime;
	left->times[1] = n->mtime;
	left->times[2] = n->ctime;
	left->mode = n->mode;
	left->uid = n->uid;
	left->gid = n->gid;
	left->mirrors = n->mirrors;
}

void scratch_left_add(struct scratch *s, struct scratch_node *n)
{
	struct scratch_left left = { .id = n->id, .side = (uint8_t)n->side, .bytes = n->bytes };
	struct scratch_left *root = s->root ? estate_at(s->estate, s->root->record) : NULL;

	if (root)
		root->last_id = s->last_id;
	if (n->target &&
	    estate_add(s->estate, ESTATE_TEXT, n->target, strlen(n->target), &left.target) < 0)
		return;
	if (estate_add(s->estate, ESTATE_NODE, &left, sizeof(left), &n->record) == 0)
		scratch_left_note(s, n);
}

void scratch_left_del(struct scratch *s, struct scratch_node *n)
{
	const struct scratch_left *left = estate_at(s->estate, n->record);
	uint32_t target = left ? left->target : 0;

	estate_del(s->estate, n->record);
	estate_del(s->estate, target);
	n->record = 0;
}

void scratch_left_name(struct scratch *s, struct scratch_entry *e)
{
	size_t len = strlen(e->name);
	struct {
		struct scratch_left_entry ids;
		char name[256];
	} left = { .ids = { e->dir->id, e->node->id } };

	if (!s->estate || len > sizeof(left.name))
		return;
	memcpy(left.name, e->name, len);
	if (estate_add(s->estate, ESTATE_ENTRY, &left, sizeof(left.ids) + len, &e->record) < 0)
		e->record = 0;
}

void scratch_left_unname(struct scratch *s, const struct scratch_entry *e)
{
	estate_del(s->estate, e->record);
}

static int room_of_our_own(struct scratch_node *n, uint64_t cap)
{
	uint8_t *data = NULL;

	if (cap) {
		data = realloc(n->data, cap);
		if (!data)
			return -ENOMEM;
	} else {
		free(n->data);
	}
	n->data = data;
	n->cap = cap;
	return 0;
}

int scratch_left_room(struct scratch *s, struct scratch_node *n, uint64_t cap)
{
	struct scratch_left *left = estate_at(s->estate, n->record);
	uint64_t keeps = n->size < cap ? n->size : cap;
	uint32_t old = n->bytes, fresh = 0;

	if (!s->estate)
		return room_of_our_own(n, cap);
	if (cap && estate_add(s->estate, ESTATE_BYTES, NULL, cap, &fresh) < 0)
		return -ENOMEM;
	if (keeps)
		memcpy(estate_at(s->estate, fresh), n->data, keeps);
	n->bytes = fresh;
	n->data = estate_at(s->estate, fresh);
	n->cap = cap;
	if (left)
		left->bytes = fresh;
	estate_del(s->estate, old);
	return 0;
}
