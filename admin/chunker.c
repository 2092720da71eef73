/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/chunker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/map.h"
#include "daemon/base/workers.h"
#include "daemon/node_lists.h"

#define WAITING_MAX 256
#define FAILED_MS 60000 /* so long one that could not be made is not tried again */
#define NICE 10         /* readers come first */

/* One that is being made, or could not be. */
struct task {
	struct chunker *chunker;
	char key[DIGEST_HEX_MAX + 2]; /* 'o' or 'c', and the etag */
	uint64_t size;
	int failed;              /* why it could not be made; 0: it is being made */
	int64_t failed_until_ms; /* so long that is the answer */
};

struct chunker {
	struct node *node;
	struct intake *intake;
	struct workers *workers; /* NULL once it has stopped */
	atomic_bool stop;
	struct lock lock;
	struct map tasks; /* guarded by lock */
};

static bool is_own(const struct task *t)
{
	return t->key[0] == 'o';
}

static const char *etag_of(const struct task *t)
{
	return t->key + 1;
}

/* ---- start and stop ---- */

int chunker_start(struct node *n, struct intake *in, struct chunker **ret)
{
	const struct workers_conf conf = { "mfs-lists", 1, WAITING_MAX, true };
	struct chunker *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->node = n;
	c->intake = in;
	lock_init(&c->lock, LOCK_CHUNKER);
	r = workers_start(&conf, &c->workers);
	if (r < 0)
		chunker_free(c);
	else
		*ret = c;
	return r;
}

bool chunker_stop(struct chunker *c, int64_t deadline_ms)
{
	if (!c)
		return true;
	atomic_store(&c->stop, true);
	if (!workers_stop(c->workers, deadline_ms))
		return false;
	c->workers = NULL;
	return true;
}

static int free_task(void *arg UNUSED, void *value)
{
	free(value);
	return 0;
}

void chunker_free(struct chunker *c)
{
	if (!c)
		return;
	map_each(&c->tasks, free_task, NULL);
	map_fini(&c->tasks);
	lock_fini(&c->lock);
	free(c);
}

/* ---- making one ---- */

static int rest(void *arg)
{
	const struct chunker *c = arg;

	return atomic_load(&c->stop) ? ERR_STOPPING : 0;
}

/* If the blob was collected meanwhile nobody else takes away what is put beside it now. */
static int keep_own(const struct chunker *c, const char *etag, const struct chunk_list *l)
{
	int r = chunk_list_save(intake_root(c->intake), etag, l);

	if (r == 0 && !intake_is_there(c->intake, etag))
		chunk_list_remove(intake_root(c->intake), etag);
	return r;
}

static int make_own(struct chunker *c, const struct task *t)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	uint64_t size = 0;
	CLEANUP(closep) int fd = intake_open_blob(c->intake, etag_of(t), &size);
	int r = fd < 0 ? fd : size != t->size ? -ENOENT : 0;

	if (r == 0)
		r = intake_has_room(c->intake, 0);
	if (r == 0)
		r = chunk_list_make(fd, etag_of(t), size, rest, c, &l);
	return r < 0 ? r : keep_own(c, etag_of(t), l);
}

static void make(void *arg, uint64_t number UNUSED)
{
	struct task *t = arg;
	struct chunker *c = t->chunker;
	int r;

	thread_be_nice(NICE);
	r = is_own(t) ? make_own(c, t)
		      : node_make_chunk_list(c->node, etag_of(t), t->size, rest, c);
	if (r < 0 && r != -ENOENT && r != ERR_STOPPING)
		log_err(r, "cannot make the digest list etag=%s", etag_of(t));
	lock_take(&c->lock);
	t->failed = r;
	t->failed_until_ms = clock_ms() + FAILED_MS;
	if (r == 0 || r == -ENOENT)
		map_del_str(&c->tasks, t->key);
	lock_drop(&c->lock);
	if (r == 0 || r == -ENOENT)
		free(t);
}

/* ---- asking for one ---- */

static int forget_old(void *arg, void *value)
{
	struct chunker *c = arg;
	struct task *t = value;

	if (!t->failed || t->failed_until_ms > clock_ms())
		return 0;
	map_del_str(&c->tasks, t->key);
	free(t);
	return 0;
}

/* What is known of it: -EAGAIN, why it could not be made; 0 if it is to be made, which t is for. */
static int look_up_locked(struct chunker *c, struct task *t)
{
	const struct task *known;

	map_each(&c->tasks, forget_old, c);
	known = map_find_str(&c->tasks, t->key);
	if (known)
		return known->failed ? known->failed : -EAGAIN;
	return c->tasks.count >= WAITING_MAX ? -EBUSY : map_put_str(&c->tasks, t->key, t);
}

static int begin(struct chunker *c, struct task *t)
{
	const struct work work = { .fn = make, .arg = t };
	int r;

	lock_take(&c->lock);
	r = look_up_locked(c, t);
	lock_drop(&c->lock);
	if (r < 0) {
		free(t);
		return r;
	}
	r = workers_add(c->workers, &work);
	if (r == 0)
		return -EAGAIN;
	lock_take(&c->lock);
	map_del_str(&c->tasks, t->key);
	lock_drop(&c->lock);
	free(t);
	return r == -EAGAIN ? -EBUSY : r;
}

static int make_later(struct chunker *c, const char *etag, uint64_t size, bool own)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->chunker = c;
	t->size = size;
	snprintf(t->key, sizeof(t->key), "%c%.*s", own ? 'o' : 'c', DIGEST_HEX_MAX, etag);
	return begin(c, t);
}

static bool is_here(const struct chunker *c, const char *etag, uint64_t size, bool own)
{
	return own ? intake_is_there(c->intake, etag) : node_can_list(c->node, etag, size);
}

/* What cannot be read, or used, is made again. */
int chunker_get(struct chunker *c, const char *etag, uint64_t size, bool own,
		struct chunk_list **ret)
{
	int r;

	if (size == 0) {
		*ret = chunk_list_new(0);
		return *ret ? 0 : -ENOMEM;
	}
	r = own ? chunk_list_load(intake_root(c->intake), etag, size, ret)
		: node_chunk_list(c->node, etag, size, ret);
	if (r == 0 || r == -ENOMEM)
		return r;
	return is_here(c, etag, size, own) ? make_later(c, etag, size, own) : -ENOENT;
}
