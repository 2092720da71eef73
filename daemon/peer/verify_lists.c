/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/verify_lists.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "daemon/base/wait.h"
#include "daemon/base/workers.h"
#include "daemon/cache/blob_lists.h"

#define LOOK_MS 500 /* whether a hub's bytes are here is looked at so often, */
#define TRIES 120
#define STOP_MS 2000
#define NICE 10 /* readers come first */

/* A chunk in which members contradict a hub's list. */
struct doubted_list {
	struct verify_lists *all;
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t size;
	uint32_t chunk;
	unsigned tries; /* the thread's */
	/* Guarded by the lock of all. */
	bool taken; /* the thread has it, or will */
	bool gone;  /* nobody wants to know any more */
};

struct verify_lists {
	const struct verify_conf *conf; /* set once, like the next, before there is a thread */
	struct store *store;
	struct lock lock;
	/* Guarded by lock. */
	struct workers *workers; /* one thread; NULL: nothing is compared */
	struct doubted_list of[VERIFY_LISTS_MAX];
};

/* ---- comparing ---- */

/* The digest of what a hub gave. -ENOENT: it has not, or that is not here. */
static int digest_given(const struct doubted_list *c, uint8_t ret[static CHUNK_LIST_DIGEST])
{
	char who[MEMBER_ADDRESS_MAX + 1];
	struct blob *b = store_find(c->all->store, c->etag);
	int r = -ENOENT;

	if (!b)
		return r;
	if (blob_size(b) == c->size &&
	    provenance_giver(c->all->conf->provenance, c->etag, c->chunk, who) == PROVENANCE_HUB)
		r = blob_chunk_digest(b, c->chunk, ret);
	blob_unref(b);
	return r;
}

/* True if that is to be tried again. */
static bool compare(struct doubted_list *c)
{
	const struct verify_conf *conf = c->all->conf;
	uint8_t must[CHUNK_LIST_DIGEST], is[CHUNK_LIST_DIGEST];
	int r;

	if (provenance_knows(conf->provenance, c->etag, c->chunk, must) != PROVENANCE_PUBLISHED)
		return false;
	r = digest_given(c, is);
	if (r == 0 && !chunk_digest_same(is, must))
		digest_lists_refute(conf->lists, conf->members, c->etag, c->chunk,
				    "what hubs give");
	return r == -ENOENT && ++c->tries < TRIES;
}

static void work(void *arg, uint64_t number);

/* Too many wait: then it is left to the digest of the whole. */
static void queue_locked(struct doubted_list *c)
{
	const struct work job = { .fn = work, .arg = c, .delay_ms = LOOK_MS };

	c->taken = c->all->workers && workers_add(c->all->workers, &job) == 0;
}

static bool is_wanted(struct doubted_list *c)
{
	bool wanted;

	lock_take(&c->all->lock);
	wanted = !c->gone;
	lock_drop(&c->all->lock);
	return wanted;
}

static void work(void *arg, uint64_t number UNUSED)
{
	struct doubted_list *c = arg;
	bool again;

	thread_be_nice(NICE);
	again = is_wanted(c) && compare(c);
	lock_take(&c->all->lock);
	c->taken = false;
	if (again && !c->gone)
		queue_locked(c);
	lock_drop(&c->all->lock);
}

/* ---- from outside ---- */

static bool is_about(const struct doubted_list *c, const char *etag)
{
	return c->taken && !c->gone && strcmp(c->etag, etag) == 0;
}

/* Where another one may be put; NULL: it is there, or there is no room. */
static struct doubted_list *place_locked(struct verify_lists *all, const char *etag, uint32_t i)
{
	struct doubted_list *free_one = NULL;

	for (struct doubted_list *c = all->of; c < all->of + VERIFY_LISTS_MAX; c++) {
		if (is_about(c, etag) && c->chunk == i)
			return NULL;
		if (!c->taken)
			free_one = c;
	}
	return free_one;
}

void verify_lists_add(struct verify_lists *all, const struct source_blob *what, uint32_t i)
{
	struct doubted_list *c;

	lock_take(&all->lock);
	c = place_locked(all, what->etag, i);
	if (c) {
		*c = (struct doubted_list){ .all = all, .size = what->file.size, .chunk = i };
		snprintf(c->etag, sizeof(c->etag), "%s", what->etag);
		queue_locked(c);
	}
	lock_drop(&all->lock);
}

void verify_lists_forget(struct verify_lists *all, const char *etag)
{
	lock_take(&all->lock);
	for (struct doubted_list *c = all->of; c < all->of + VERIFY_LISTS_MAX; c++)
		c->gone |= is_about(c, etag);
	lock_drop(&all->lock);
}

int verify_lists_new(struct verify_lists **ret)
{
	struct verify_lists *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	lock_init(&c->lock, LOCK_VERIFY_LISTS);
	*ret = c;
	return 0;
}

int verify_lists_start(struct verify_lists *c, const struct verify_conf *conf, struct store *s)
{
	const struct workers_conf workers = { "mfs-lists", 1, VERIFY_LISTS_MAX, true };
	struct workers *w;
	int r = workers_start(&workers, &w);

	if (r < 0)
		return r;
	c->conf = conf;
	c->store = s;
	lock_take(&c->lock);
	c->workers = w;
	lock_drop(&c->lock);
	return 0;
}

bool verify_lists_stop(struct verify_lists *c)
{
	struct workers *w;

	lock_take(&c->lock);
	w = steal(c->workers);
	lock_drop(&c->lock);
	return workers_stop(w, clock_ms() + STOP_MS);
}

void verify_lists_free(struct verify_lists *c)
{
	if (!c)
		return;
	lock_fini(&c->lock);
	free(c);
}
