/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a POSIX tree over scratch_node: what may be made, removed, renamed, read and
 * written. All is done under one lock, for metadata is small and clients write little of it. */
#include "fs/scratch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/base/log.h"
#include "fs/scratch_left.h"

/* --- the whole */

int scratch_new(const struct scratch_conf *conf, struct scratch **ret)
{
	CLEANUP(freep) struct scratch *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	TAILQ_INIT(&s->parts[SCRATCH_BESIDE_HUB].by_age);
	TAILQ_INIT(&s->parts[SCRATCH_BELOW_HUB].by_age);
	r = scratch_node_new(s, SCRATCH_BESIDE_HUB, S_IFDIR | 0755, conf->uid, conf->gid, NULL,
			     &s->root);
	if (r)
		return r;
	lock_init(&s->lock, LOCK_SCRATCH);
	s->root->open_count = 1;
	s->root->mirrors = true;
	scratch_node_settle(s, s->root);
	*ret = steal(s);
	return 0;
}

static void free_part(struct scratch *s, struct scratch_part *part)
{
	struct scratch_node *n;

	while ((n = TAILQ_FIRST(&part->by_age))) {
		TAILQ_REMOVE(&part->by_age, n, age);
		for (size_t i = 0; i < n->count; i++)
			free(n->entries[i]);
		scratch_node_free(s, n);
	}
}

void scratch_free(struct scratch *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SCRATCH_SIDES; i++)
		free_part(s, &s->parts[i]);
	map_fini(&s->by_id);
	lock_fini(&s->lock);
	free(s);
}

struct scratch_node *scratch_ref(struct scratch_node *n)
{
	atomic_fetch_add(&n->refs, 1);
	return n;
}

void scratch_unref(struct scratch *s, struct scratch_node *n)
{
	lock_take(&s->lock);
	scratch_node_unref(s, n);
	lock_drop(&s->lock);
}

uint64_t scratch_id(const struct scratch_node *n)
{
	return n->id;
}

int scratch_by_id(struct scratch *s, uint64_t id, struct scratch_node **ret)
{
	struct scratch_node *n;
	bool alive;

	lock_take(&s->lock);
	n = map_find_u64(&s->by_id, id);
	alive = n && n->alive;
	if (alive)
		scratch_ref(n);
	lock_drop(&s->lock);
	*ret = alive ? n : NULL;
	return alive ? 0 : -ENOENT;
}

const char *scratch_target(const struct scratch_node *n)
{
	return n->target;
}

/* No setuid, no setgid: the file may be run by another user than the one who says he made it. */
static mode_t kept_mode(mode_t format, mode_t mode)
{
	return format | (mode & (S_ISDIR(format) ? 01777 : 0777));
}

/* --- names */

/* The entry of a directory, or NULL; refuses what is no directory and what is no name. */
static int look_locked(const struct scratch_node *dir, const char *name, struct scratch_entry **ret)
{
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	*ret = scratch_entry_find(dir, name);
	return 0;
}

/* The same of one that has to be there. -ENOENT. */
static int get_locked(const struct scratch_node *dir, const char *name, struct scratch_entry **ret)
{
	int r = look_locked(dir, name, ret);

	return !r && !*ret ? -ENOENT : r;
}

static void remove_locked(struct scratch *s, struct scratch_entry *e)
{
	struct scratch_node *node = e->node;

	scratch_entry_detach(s, e);
	scratch_node_settle(s, node);
}

static int make_locked(struct scratch *s, struct scratch_node *dir, const char *name, mode_t mode,
		       uid_t uid, gid_t gid, const char *target, struct scratch_node **ret)
{
	CLEANUP(freep) struct scratch_entry *e = NULL;
	enum scratch_side side = scratch_entry_side(s, dir, name);
	int r = scratch_room_for_node(s, side, dir);

	if (!r)
		r = scratch_entry_new(dir, name, &e);
	if (!r)
		r = scratch_node_new(s, side, mode, uid, gid, target, ret);
	if (!r)
		scratch_entry_attach(s, steal(e), *ret);
	return r;
}

/* From a directory to its child of this name; the reference moves along. */
static int step_locked(struct scratch *s, const char *name, bool make, struct scratch_node **at)
{
	struct scratch_node *dir = *at, *next = NULL;
	struct scratch_entry *e = NULL;
	int r = look_locked(dir, name, &e);

	if (r)
		return r;
	if (e)
		next = scratch_ref(e->node);
	else if (!make)
		return -ENOENT;
	else
		r = make_locked(s, dir, name, S_IFDIR | 0755, s->conf.uid, s->conf.gid, NULL,
				&next);
	if (r)
		return r;
	next->mirrors |= !e;
	scratch_left_note(s, next);
	scratch_node_unref(s, dir);
	*at = next;
	return 0;
}

static int walk_locked(struct scratch *s, const char *path, bool make, struct scratch_node **at)
{
	char name[NAME_MAX + 1];

	for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
		size_t len = strcspn(path, "/");
		int r;

		if (len > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		r = step_locked(s, name, make, at);
		if (r)
			return r;
		path += len;
	}
	return S_ISDIR((*at)->mode) ? 0 : -ENOTDIR;
}

int scratch_dir(struct scratch *s, const char *path, bool make, struct scratch_node **ret)
{
	struct scratch_node *at = scratch_ref(s->root);
	int r;

	lock_take(&s->lock);
	r = walk_locked(s, path, make, &at);
	if (r)
		scratch_node_unref(s, at);
	lock_drop(&s->lock);
	if (!r)
		*ret = at;
	return r;
}

int scratch_find(struct scratch *s, struct scratch_node *dir, const char *name,
		 struct scratch_node **ret)
{
	struct scratch_entry *e = NULL;
	int r;

	lock_take(&s->lock);
	r = get_locked(dir, name, &e);
	if (!r)
		*ret = scratch_ref(e->node);
	lock_drop(&s->lock);
	return r;
}

/* A directory that can take a new name which it does not have yet. */
static int fresh_name_locked(struct scratch *s, struct scratch_node *dir, const char *name)
{
	struct scratch_entry *e = NULL;
	int r = look_locked(dir, name, &e);

	if (!r && e)
		r = -EEXIST;
	if (!r && scratch_node_is_removed(s, dir))
		r = -ENOENT;
	return r;
}

int scratch_make(struct scratch *s, struct scratch_node *dir, const char *name, mode_t mode,
		 uid_t uid, gid_t gid, const char *target, struct scratch_node **ret)
{
	struct scratch_node *n = NULL;
	int r;

	if (target)
		mode = S_IFLNK | 0777;
	else
		mode = kept_mode(S_ISDIR(mode) ? S_IFDIR : S_IFREG, mode);
	lock_take(&s->lock);
	r = fresh_name_locked(s, dir, name);
	if (!r)
		r = make_locked(s, dir, name, mode, uid, gid, target, &n);
	lock_drop(&s->lock);
	if (!r)
		*ret = n;
	return r;
}

int scratch_link(struct scratch *s, struct scratch_node *n, struct scratch_node *dir,
		 const char *name)
{
	CLEANUP(freep) struct scratch_entry *e = NULL;
	int r;

	lock_take(&s->lock);
	r = S_ISDIR(n->mode) ? -EPERM : fresh_name_locked(s, dir, name);
	if (!r && scratch_node_is_removed(s, n))
		r = -ENOENT;
	if (!r && n->side != scratch_entry_side(s, dir, name))
		r = -EXDEV;
	if (!r)
		r = scratch_entry_new(dir, name, &e);
	if (!r)
		scratch_entry_attach(s, steal(e), n);
	lock_drop(&s->lock);
	return r;
}

static int check_file(const struct scratch_node *n)
{
	return S_ISDIR(n->mode) ? -EISDIR : 0;
}

static int check_empty_dir(const struct scratch_node *n)
{
	if (!S_ISDIR(n->mode))
		return -ENOTDIR;
	return n->count ? -ENOTEMPTY : 0;
}

static int remove_if(struct scratch *s, struct scratch_node *dir, const char *name,
		     int (*check)(const struct scratch_node *n))
{
	struct scratch_entry *e = NULL;
	int r;

	lock_take(&s->lock);
	r = get_locked(dir, name, &e);
	if (!r)
		r = check(e->node);
	if (!r)
		remove_locked(s, e);
	lock_drop(&s->lock);
	return r;
}

int scratch_unlink(struct scratch *s, struct scratch_node *dir, const char *name)
{
	return remove_if(s, dir, name, check_file);
}

int scratch_rmdir(struct scratch *s, struct scratch_node *dir, const char *name)
{
	return remove_if(s, dir, name, check_empty_dir);
}

static bool is_in(const struct scratch_node *n, const struct scratch_node *top)
{
	while (n != top && n->names)
		n = n->names->dir;
	return n == top;
}

/* May e go to the directory `to`, where `old` (or nothing) has its new name? */
static int rename_check(const struct scratch *s, const struct scratch_entry *e,
			const struct scratch_node *to, const struct scratch_entry *old,
			unsigned flags)
{
	bool is_dir = S_ISDIR(e->node->mode);

	if (scratch_node_is_removed(s, to))
		return -ENOENT;
	if (old && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (is_dir && is_in(to, e->node))
		return -EINVAL;
	if (!old || old->node == e->node)
		return 0;
	if (is_dir != S_ISDIR(old->node->mode))
		return is_dir ? -ENOTDIR : -EISDIR;
	return old->node->count ? -ENOTEMPTY : 0;
}

static int rename_locked(struct scratch *s, struct scratch_node *from, const char *from_name,
			 struct scratch_node *to, const char *to_name, unsigned flags)
{
	struct scratch_entry *e = NULL, *old = NULL, *fresh;
	int r = get_locked(from, from_name, &e);

	if (!r)
		r = look_locked(to, to_name, &old);
	if (!r)
		r = rename_check(s, e, to, old, flags);
	if (!r && e->node->side != scratch_entry_side(s, to, to_name))
		r = -EXDEV;
	if (r || (old && old->node == e->node))
		return r; /* two names of one file: rename(2) leaves both */
	r = scratch_entry_new(to, to_name, &fresh);
	if (r)
		return r;
	if (old)
		remove_locked(s, old);
	scratch_entry_attach(s, fresh, e->node);
	scratch_entry_detach(s, e);
	return 0;
}

int scratch_rename(struct scratch *s, struct scratch_node *from, const char *from_name,
		   struct scratch_node *to, const char *to_name, unsigned flags)
{
	int r;

	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	lock_take(&s->lock);
	r = rename_locked(s, from, from_name, to, to_name, flags);
	lock_drop(&s->lock);
	return r;
}

/* --- contents */

void scratch_open(struct scratch *s, struct scratch_node *n)
{
	lock_take(&s->lock);
	n->open_count++;
	scratch_node_settle(s, n);
	lock_drop(&s->lock);
}

void scratch_close(struct scratch *s, struct scratch_node *n)
{
	lock_take(&s->lock);
	n->open_count--;
	scratch_node_settle(s, n);
	lock_drop(&s->lock);
}

static int file_check_locked(const struct scratch_node *n)
{
	if (S_ISDIR(n->mode))
		return -EISDIR;
	if (!S_ISREG(n->mode))
		return -EINVAL;
	/* Forgotten between the look-up and now; the kernel looks it up again. */
	return n->alive ? 0 : -ESTALE;
}

static int grow_locked(struct scratch *s, struct scratch_node *n, uint64_t size)
{
	/* Half as much again, so that a file written in small pieces is not copied for each. */
	uint64_t cap = size + size / 2 < s->conf.max_bytes ? size + size / 2 : s->conf.max_bytes;
	int r = scratch_room_for_bytes(s, n, size - n->size);

	if (!r && size > n->cap)
		r = scratch_left_room(s, n, cap);
	if (r)
		return r;
	memset(n->data + n->size, 0, size - n->size);
	s->parts[n->side].bytes += size - n->size;
	n->size = size;
	scratch_left_note(s, n);
	return 0;
}

static void shrink_locked(struct scratch *s, struct scratch_node *n, uint64_t size)
{
	s->parts[n->side].bytes -= n->size - size;
	n->size = size;
	scratch_left_note(s, n);
	if (size < n->cap / 2 && scratch_left_room(s, n, size ? size : 1) < 0)
		log_debug("memory of what was written stays as it is");
}

int64_t scratch_read(struct scratch *s, struct scratch_node *n, void *ret, size_t len, uint64_t off)
{
	int64_t r;

	lock_take(&s->lock);
	r = file_check_locked(n);
	if (!r && off < n->size) {
		r = (int64_t)(len < n->size - off ? len : n->size - off);
		memcpy(ret, n->data + off, (size_t)r);
	}
	lock_drop(&s->lock);
	return r;
}

int64_t scratch_write(struct scratch *s, struct scratch_node *n, const void *data, size_t len,
		      uint64_t off)
{
	int r;

	lock_take(&s->lock);
	r = file_check_locked(n);
	if (!r && (off > s->conf.max_bytes || len > s->conf.max_bytes - off))
		r = -EFBIG;
	if (!r && len && off + len > n->size)
		r = grow_locked(s, n, off + len);
	if (!r && len) {
		memcpy(n->data + off, data, len);
		scratch_node_written(s, n);
	}
	lock_drop(&s->lock);
	return r ? r : (int64_t)len;
}

int scratch_truncate(struct scratch *s, struct scratch_node *n, uint64_t size)
{
	int r;

	lock_take(&s->lock);
	r = file_check_locked(n);
	if (!r && size > s->conf.max_bytes)
		r = -EFBIG;
	if (!r && size > n->size)
		r = grow_locked(s, n, size);
	else if (!r && size < n->size)
		shrink_locked(s, n, size);
	if (!r)
		scratch_node_written(s, n);
	lock_drop(&s->lock);
	return r;
}

/* --- attributes */

static void set_time(struct timespec *t, struct timespec asked, struct timespec now)
{
	if (asked.tv_nsec == UTIME_NOW)
		*t = now;
	else if (asked.tv_nsec != UTIME_OMIT)
		*t = asked;
}

void scratch_set(struct scratch *s, struct scratch_node *n, const mode_t *mode, uid_t uid,
		 gid_t gid, const struct timespec times[2])
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	lock_take(&s->lock);
	if (mode)
		n->mode = kept_mode(n->mode & S_IFMT, *mode);
	if (uid != (uid_t)-1)
		n->uid = uid;
	if (gid != (gid_t)-1)
		n->gid = gid;
	if (times) {
		set_time(&n->atime, times[0], now);
		set_time(&n->mtime, times[1], now);
	}
	n->ctime = now;
	scratch_left_note(s, n);
	lock_drop(&s->lock);
}
