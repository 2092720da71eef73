/* SPDX-License-Identifier: Apache-2.0 */
/* A node is alive while it has a name or is open. The living are counted, and stand in by_age with
 * the one written longest ago first. Who dies loses its content at once, while the struct waits for
 * the last reference: references are the kernel's lookup counts and what NFS clients lately used,
 * and if they kept nodes alive, forgetting would make no room.
 *
 * A directory holds its entries sorted by name. A node knows its entries too: a file one for each
 * hard link, a directory one, which is how parents are found. The root has none; it counts as open,
 * so that it never dies. */
#include "fs/scratch_node.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "daemon/base/grow.h"
#include "fs/scratch_left.h"

static struct timespec now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t;
}

/* --- life and death */

int scratch_node_new(struct scratch *s, enum scratch_side side, mode_t mode, uid_t uid, gid_t gid,
		     const char *target, struct scratch_node **ret)
{
	CLEANUP(freep) struct scratch_node *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	if (target && !(n->target = strdup(target)))
		return -ENOMEM;
	n->id = ++s->last_id;
	if (map_put_u64(&s->by_id, n->id, n) < 0) {
		free(n->target);
		return -ENOMEM;
	}
	n->side = side;
	n->mode = mode;
	n->uid = uid;
	n->gid = gid;
	n->atime = n->mtime = n->ctime = now();
	atomic_init(&n->refs, 1);
	*ret = steal(n);
	return 0;
}

static void drop_room(struct scratch *s, struct scratch_node *n)
{
	int r = scratch_left_room(s, n, 0);

	assert(r == 0); /* none can always be had */
	(void)r;
}

void scratch_node_free(struct scratch *s, struct scratch_node *n)
{
	map_del_u64(&s->by_id, n->id);
	free(n->target);
	drop_room(s, n);
	free(n->entries);
	free(n);
}

static void drop_content(struct scratch *s, struct scratch_node *n)
{
	s->parts[n->side].bytes -= n->size;
	n->size = 0;
	drop_room(s, n);
}

void scratch_node_settle(struct scratch *s, struct scratch_node *n)
{
	struct scratch_part *part = &s->parts[n->side];
	bool alive = n->names || n->open_count;

	if (alive && !n->alive) {
		TAILQ_INSERT_TAIL(&part->by_age, n, age);
		part->nodes++;
		scratch_left_add(s, n);
	} else if (!alive && n->alive) {
		TAILQ_REMOVE(&part->by_age, n, age);
		part->nodes--;
		scratch_left_del(s, n);
		drop_content(s, n);
	}
	n->alive = alive;
	if (!alive && !atomic_load(&n->refs))
		scratch_node_free(s, n);
}

void scratch_node_restore(struct scratch *s, struct scratch_node *n)
{
	struct scratch_part *part = &s->parts[n->side];

	TAILQ_INSERT_TAIL(&part->by_age, n, age);
	part->nodes++;
	part->bytes += n->size;
	n->alive = true;
}

void scratch_node_unref(struct scratch *s, struct scratch_node *n)
{
	unsigned before = atomic_fetch_sub(&n->refs, 1);

	assert(before > 0);
	scratch_node_settle(s, n);
}

void scratch_node_written(struct scratch *s, struct scratch_node *n)
{
	n->mtime = n->ctime = now();
	if (n->alive) {
		TAILQ_REMOVE(&s->parts[n->side].by_age, n, age);
		TAILQ_INSERT_TAIL(&s->parts[n->side].by_age, n, age);
	}
	scratch_left_note(s, n);
}

bool scratch_node_is_removed(const struct scratch *s, const struct scratch_node *n)
{
	return !n->names && n != s->root;
}

/* --- directories */

/* Where a directory has this name, or would have it. */
static size_t entry_pos(const struct scratch_node *dir, const char *name)
{
	size_t low = 0, high = dir->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(dir->entries[mid]->name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct scratch_entry *scratch_entry_find(const struct scratch_node *dir, const char *name)
{
	size_t pos = entry_pos(dir, name);

	if (pos == dir->count || strcmp(dir->entries[pos]->name, name) != 0)
		return NULL;
	return dir->entries[pos];
}

enum scratch_side scratch_entry_side(const struct scratch *s, const struct scratch_node *dir,
				     const char *name)
{
	return dir == s->root && strcmp(name, "hub") == 0 ? SCRATCH_BELOW_HUB : dir->side;
}

int scratch_entry_new(struct scratch_node *dir, const char *name, struct scratch_entry **ret)
{
	struct scratch_entry *e;
	size_t len = strlen(name);
	int r = grow_list(dir->entries, dir->count, dir->room);

	if (r < 0)
		return r;
	e = calloc(1, sizeof(*e) + len + 1);
	if (!e)
		return -ENOMEM;
	memcpy(e->name, name, len);
	e->dir = dir;
	*ret = e;
	return 0;
}

void scratch_entry_restore(struct scratch_entry *e, struct scratch_node *node)
{
	struct scratch_node *dir = e->dir;
	size_t pos = entry_pos(dir, e->name);

	memmove(&dir->entries[pos + 1], &dir->entries[pos],
		(dir->count - pos) * sizeof(dir->entries[0]));
	dir->entries[pos] = e;
	dir->count++;
	dir->subdir_count += S_ISDIR(node->mode);
	e->node = node;
	e->next = node->names;
	node->names = e;
	node->name_count++;
}

void scratch_entry_attach(struct scratch *s, struct scratch_entry *e, struct scratch_node *node)
{
	scratch_entry_restore(e, node);
	scratch_node_written(s, e->dir);
	node->ctime = now();
	scratch_node_settle(s, node);
	scratch_left_note(s, node);
	scratch_left_name(s, e);
}

/* It is no loss: it is made again when it is needed. */
static void go_first(struct scratch *s, struct scratch_node *n)
{
	struct scratch_ages *ages = &s->parts[n->side].by_age;

	if (!n->alive)
		return;
	TAILQ_REMOVE(ages, n, age);
	TAILQ_INSERT_HEAD(ages, n, age);
}

void scratch_entry_detach(struct scratch *s, struct scratch_entry *e)
{
	struct scratch_node *dir = e->dir, *node = e->node;
	struct scratch_entry **link = &node->names;
	size_t pos = entry_pos(dir, e->name);

	scratch_left_unname(s, e);
	dir->count--;
	memmove(&dir->entries[pos], &dir->entries[pos + 1],
		(dir->count - pos) * sizeof(dir->entries[0]));
	dir->subdir_count -= S_ISDIR(node->mode);
	scratch_node_written(s, dir);
	if (dir->mirrors && !dir->count)
		go_first(s, dir);

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	node->name_count--;
	node->ctime = now();
	scratch_left_note(s, node);
	free(e);
}

/* --- forgetting */

/* An empty directory may go as a file may, whoever knows of it; but one that mirrors is about to be
 * used if somebody refers to it. */
static bool can_forget(const struct scratch_node *n)
{
	return !n->open_count && !n->count && !(n->mirrors && atomic_load(&n->refs));
}

static void forget(struct scratch *s, struct scratch_node *n)
{
	struct scratch_entry *e, *next;

	for (e = n->names; e; e = next) {
		next = e->next;
		scratch_entry_detach(s, e);
	}
	scratch_node_settle(s, n);
}

static int forget_oldest(struct scratch *s, enum scratch_side side, const struct scratch_node *keep,
			 uint64_t min_bytes)
{
	struct scratch_node *n;

	TAILQ_FOREACH(n, &s->parts[side].by_age, age) {
		if (n != keep && n->size >= min_bytes && can_forget(n)) {
			forget(s, n);
			return 0;
		}
	}
	return -ENOSPC;
}

static enum scratch_side other(enum scratch_side side)
{
	return side == SCRATCH_BELOW_HUB ? SCRATCH_BESIDE_HUB : SCRATCH_BELOW_HUB;
}

/* For a side that will have more than its half (`over`), or less: then the other one has more. */
static int forget_for(struct scratch *s, enum scratch_side side, bool over,
		      const struct scratch_node *keep, uint64_t min_bytes)
{
	if (!over && forget_oldest(s, other(side), keep, min_bytes) == 0)
		return 0;
	return forget_oldest(s, side, keep, min_bytes);
}

int scratch_room_for_node(struct scratch *s, enum scratch_side side, const struct scratch_node *dir)
{
	const struct scratch_part *mine = &s->parts[side], *others = &s->parts[other(side)];
	int r = 0;

	/* The root is not meant by max_nodes. */
	while (!r && mine->nodes + others->nodes > s->conf.max_nodes)
		r = forget_for(s, side, mine->nodes >= s->conf.max_nodes / 2, dir, 0);
	return r;
}

/* Bytes of a side that cannot be forgotten. */
static uint64_t lasting(const struct scratch *s, enum scratch_side side,
			const struct scratch_node *grows)
{
	const struct scratch_node *n;
	uint64_t bytes = 0;

	TAILQ_FOREACH(n, &s->parts[side].by_age, age)
		if (n == grows || !can_forget(n))
			bytes += n->size;
	return bytes;
}

int scratch_room_for_bytes(struct scratch *s, const struct scratch_node *grows, uint64_t more)
{
	enum scratch_side side = grows->side;
	const struct scratch_part *mine = &s->parts[side], *others = &s->parts[other(side)];
	uint64_t max = s->conf.max_bytes, kept;
	int r = 0;

	if (mine->bytes + others->bytes + more <= max)
		return 0;
	/* What cannot fit must not cost the others their lives first. */
	kept = lasting(s, side, grows) + more;
	kept += kept > max / 2 ? others->bytes : lasting(s, other(side), grows);
	if (kept > max)
		return -ENOSPC;
	while (!r && mine->bytes + others->bytes + more > max)
		r = forget_for(s, side, mine->bytes + more > max / 2, grows, 1);
	return r;
}
