/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_clients.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"

#define CLIENTS_MAX 2048    /* more than may be connected at once */
#define CONNECTIONS_MAX 256 /* of one address */
#define MOUNTS_MAX 32       /* of one address, ... */
#define ALL_MOUNTS_MAX 8192 /* ... of all of them */

struct nfs_mounted {
	struct nfs_mounted *next;
	char path[];
};

struct nfs_clients {
	const struct scope_rules *rules;
	struct view view;
	struct metrics *metrics;
	struct lock lock;
	/* Guarded by lock. */
	struct map by_address;
	struct nfs_client *first;
	uint64_t last_number;
	unsigned mounts;
};

int nfs_clients_new(const struct scope_rules *rules, const struct view *v, struct metrics *m,
		    struct nfs_clients **ret)
{
	struct nfs_clients *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->rules = rules;
	t->view = *v;
	t->metrics = m;
	lock_init(&t->lock, LOCK_NFS_CLIENTS);
	*ret = t;
	return 0;
}

static void mounts_free(struct nfs_mounted *m)
{
	while (m) {
		struct nfs_mounted *next = m->next;

		free(m);
		m = next;
	}
}

static void client_free(struct nfs_client *c)
{
	if (!c)
		return;
	mounts_free(c->mounts);
	scope_free(c->scope);
	free(c);
}

void nfs_clients_free(struct nfs_clients *t)
{
	if (!t)
		return;
	while (t->first) {
		struct nfs_client *next = t->first->next;

		client_free(t->first);
		t->first = next;
	}
	map_fini(&t->by_address);
	lock_fini(&t->lock);
	free(t);
}

/* ---- who comes and goes ---- */

static struct nfs_client *client_new(const struct nfs_clients *t, const char *address)
{
	struct nfs_client *c = calloc(1, sizeof(*c));

	if (!c || scope_new(t->rules, address, &c->scope) < 0) {
		free(c);
		return NULL;
	}
	memcpy(c->address, address, strnlen(address, sizeof(c->address) - 1));
	c->view = t->view;
	c->view.scope = c->scope;
	c->since_s = clock_wall_s();
	c->heard_s = (uint64_t)c->since_s;
	return c;
}

/* Of those that nobody refers to, the one that was heard longest ago. */
static struct nfs_client **oldest_locked(struct nfs_clients *t)
{
	struct nfs_client **ret = NULL;

	for (struct nfs_client **at = &t->first; *at; at = &(*at)->next)
		if (atomic_load(&(*at)->refs) == 0 &&
		    (!ret || metrics_get(&(*at)->heard_s) < metrics_get(&(*ret)->heard_s)))
			ret = at;
	return ret;
}

static unsigned count_mounts(const struct nfs_client *c)
{
	unsigned count = 0;

	for (const struct nfs_mounted *m = c->mounts; m; m = m->next)
		count++;
	return count;
}

/* Takes one out for a new one, if there are too many. */
static struct nfs_client *make_room_locked(struct nfs_clients *t)
{
	struct nfs_client **at = t->by_address.count <= CLIENTS_MAX ? NULL : oldest_locked(t);
	struct nfs_client *gone = at ? *at : NULL;

	if (!gone)
		return NULL;
	*at = gone->next;
	map_del_str(&t->by_address, gone->address);
	t->mounts -= count_mounts(gone);
	return gone;
}

/* The client of that address; `fresh` is taken if there is none. */
static struct nfs_client *find_locked(struct nfs_clients *t, const char *address,
				      struct nfs_client **fresh)
{
	struct nfs_client *c = map_find_str(&t->by_address, address);

	if (!c && *fresh && map_put_str(&t->by_address, (*fresh)->address, *fresh) == 0) {
		c = steal(*fresh);
		c->number = ++t->last_number;
		c->next = t->first;
		t->first = c;
	}
	return c;
}

static int connect_locked(struct nfs_clients *t, struct nfs_client *c)
{
	if (!c)
		return -ENOMEM;
	if (c->connections == CONNECTIONS_MAX)
		return -EMFILE;
	atomic_fetch_add(&c->refs, 1);
	if (c->connections++ == 0)
		metrics_add(&t->metrics->nfs_hosts, 1);
	return 0;
}

int nfs_clients_came(struct nfs_clients *t, const char *address, struct nfs_client **ret)
{
	struct nfs_client *fresh = client_new(t, address), *gone = NULL, *c;
	int r;

	lock_take(&t->lock);
	c = find_locked(t, address, &fresh);
	r = connect_locked(t, c);
	if (c && !fresh)
		gone = make_room_locked(t);
	lock_drop(&t->lock);
	client_free(fresh);
	client_free(gone);
	if (r == 0)
		*ret = c;
	return r;
}

void nfs_clients_went(struct nfs_clients *t, struct nfs_client *c)
{
	lock_take(&t->lock);
	if (--c->connections == 0)
		metrics_add(&t->metrics->nfs_hosts, (uint64_t)-1);
	lock_drop(&t->lock);
	nfs_client_unref(c);
}

struct nfs_client *nfs_client_ref(struct nfs_client *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

/* Who is referred to by nobody stays, until there is to be room for another. */
void nfs_client_unref(struct nfs_client *c)
{
	atomic_fetch_sub(&c->refs, 1);
}

/* ---- mounts ---- */

/* Takes those of that path out, and those behind the `most` latest; with no path, all. */
static struct nfs_mounted *take_mounts_locked(struct nfs_clients *t, struct nfs_client *c,
					      const char *path, unsigned most)
{
	struct nfs_mounted **at = &c->mounts, *taken = NULL;
	unsigned count = 0;

	while (*at) {
		struct nfs_mounted *m = *at;

		if (path && strcmp(m->path, path) != 0 && count < most) {
			count++;
			at = &m->next;
			continue;
		}
		*at = m->next;
		m->next = taken;
		taken = m;
		t->mounts--;
	}
	return taken;
}

void nfs_clients_unmounted(struct nfs_clients *t, struct nfs_client *c, const char *path)
{
	struct nfs_mounted *gone;

	lock_take(&t->lock);
	gone = take_mounts_locked(t, c, path, UINT_MAX);
	lock_drop(&t->lock);
	mounts_free(gone);
}

void nfs_clients_mounted(struct nfs_clients *t, struct nfs_client *c, const char *path)
{
	size_t len = strlen(path) + 1;
	struct nfs_mounted *m = calloc(1, sizeof(*m) + len), *old;

	if (!m)
		return;
	memcpy(m->path, path, len);
	lock_take(&t->lock);
	old = take_mounts_locked(t, c, path, MOUNTS_MAX - 1);
	if (t->mounts < ALL_MOUNTS_MAX) {
		t->mounts++;
		m->next = c->mounts;
		c->mounts = steal(m);
	}
	lock_drop(&t->lock);
	mounts_free(old);
	free(m);
}

/* ---- what is told of them ---- */

/* Copies of all facts; their texts stand in one buffer, and are found when that grows no more. */
struct copies {
	struct control_nfs_client *list;
	size_t count;
	struct buf texts;
};

static int add_text(struct buf *texts, const char *text)
{
	return buf_add(texts, text, strlen(text) + 1);
}

static void copy_locked(const struct nfs_client *c, struct copies *to)
{
	to->list[to->count++] = (struct control_nfs_client){
		.connections = c->connections,
		.requests = metrics_get(&c->requests),
		.bytes = metrics_get(&c->bytes),
		.denied = metrics_get(&c->denied),
		.since_s = c->since_s,
		.heard_s = (int64_t)metrics_get(&c->heard_s),
	};
	add_text(&to->texts, c->address);
	for (const struct nfs_mounted *m = c->mounts; m; m = m->next)
		add_text(&to->texts, m->path);
	add_text(&to->texts, "");
}

static int copy_all(struct nfs_clients *t, struct copies *to)
{
	lock_take(&t->lock);
	to->list = calloc(t->by_address.count + 1, sizeof(*to->list));
	for (const struct nfs_client *c = t->first; c && to->list; c = c->next)
		copy_locked(c, to);
	lock_drop(&t->lock);
	return to->list ? to->texts.failed : -ENOMEM;
}

static const char *behind(const char *text)
{
	return text + strlen(text) + 1;
}

int nfs_clients_each(struct nfs_clients *t, control_nfs_fn fn, void *arg)
{
	struct copies all = { 0 };
	int r = copy_all(t, &all);
	const char *at = buf_str(&all.texts);

	for (size_t i = 0; r == 0 && i < all.count; i++) {
		all.list[i].address = at;
		all.list[i].mounts = behind(at);
		for (at = behind(at); *at; at = behind(at)) {
		}
		at++;
		r = fn(arg, &all.list[i]);
	}
	buf_free(&all.texts);
	free(all.list);
	return r;
}
