/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/verify_lists.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/wait.h"
#include "daemon/cache/blob_lists.h"
#include "daemon/peer/verify_thread.h"

#define LOOK_MS 500 /* whether a hub's bytes are here is looked at so often, */
#define TRIES 120
#define NICE 10 /* readers come first */

/* A chunk in which members contradict a hub's list. */
struct doubted_chunk {
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
	const struct verify_conf *conf; /* set before the thread starts, like the next */
	struct store *store;
	struct verify_thread thread;
	struct doubted_chunk of[VERIFY_LISTS_MAX]; /* guarded by the thread's lock */
};

/* ---- comparing ---- */

/* The digest of what a hub gave. -ENOENT: it has not, or that is not here. */
static int digest_given(const struct doubted_chunk *d, uint8_t ret[static CHUNK_LIST_DIGEST])
{
	char who[MEMBER_ADDRESS_MAX + 1];
	struct blob *b = store_find(d->all->store, d->etag);
	int r = -ENOENT;

	if (!b)
		return r;
	if (blob_size(b) == d->size &&
	    provenance_giver(d->all->conf->provenance, d->etag, d->chunk, who) == PROVENANCE_HUB)
		r = blob_chunk_digest(b, d->chunk, ret);
	blob_unref(b);
	return r;
}

/* True if that is to be tried again. */
static bool compare(struct doubted_chunk *d)
{
	const struct verify_conf *conf = d->all->conf;
	uint8_t must[CHUNK_LIST_DIGEST], is[CHUNK_LIST_DIGEST];
	int r;

	if (provenance_knows(conf->provenance, d->etag, d->chunk, must) != PROVENANCE_PUBLISHED)
		return false;
	r = digest_given(d, is);
	if (r == 0 && !chunk_digest_same(is, must))
		digest_lists_refute(conf->lists, conf->members, d->etag, d->chunk,
				    "what hubs give");
	return r == -ENOENT && ++d->tries < TRIES;
}

static void work(void *arg, uint64_t number);

/* Too many wait: then it is left to the digest of the whole. */
static void queue_locked(struct doubted_chunk *d)
{
	const struct work job = { .fn = work, .arg = d, .delay_ms = LOOK_MS };

	d->taken = verify_thread_add_locked(&d->all->thread, &job);
}

static bool is_wanted(struct doubted_chunk *d)
{
	bool wanted;

	lock_take(&d->all->thread.lock);
	wanted = !d->gone;
	lock_drop(&d->all->thread.lock);
	return wanted;
}

static void work(void *arg, uint64_t number UNUSED)
{
	struct doubted_chunk *d = arg;
	bool again;

	thread_be_nice(NICE);
	again = is_wanted(d) && compare(d);
	lock_take(&d->all->thread.lock);
	d->taken = false;
	if (again && !d->gone)
		queue_locked(d);
	lock_drop(&d->all->thread.lock);
}

/* ---- from outside ---- */

static bool is_about(const struct doubted_chunk *d, const char *etag)
{
	return d->taken && !d->gone && strcmp(d->etag, etag) == 0;
}

/* Where another one may be put; NULL: it is there, or there is no room. */
static struct doubted_chunk *place_locked(struct verify_lists *all, const char *etag, uint32_t i)
{
	struct doubted_chunk *free_one = NULL;

	for (struct doubted_chunk *d = all->of; d < all->of + VERIFY_LISTS_MAX; d++) {
		if (is_about(d, etag) && d->chunk == i)
			return NULL;
		if (!d->taken)
			free_one = d;
	}
	return free_one;
}

void verify_lists_add(struct verify_lists *all, const struct source_blob *what, uint32_t i)
{
	struct doubted_chunk *d;

	lock_take(&all->thread.lock);
	d = place_locked(all, what->etag, i);
	if (d) {
		*d = (struct doubted_chunk){ .all = all, .size = what->file.size, .chunk = i };
		snprintf(d->etag, sizeof(d->etag), "%s", what->etag);
		queue_locked(d);
	}
	lock_drop(&all->thread.lock);
}

void verify_lists_forget(struct verify_lists *all, const char *etag)
{
	lock_take(&all->thread.lock);
	for (struct doubted_chunk *d = all->of; d < all->of + VERIFY_LISTS_MAX; d++)
		d->gone |= is_about(d, etag);
	lock_drop(&all->thread.lock);
}

int verify_lists_new(struct verify_lists **ret)
{
	struct verify_lists *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	verify_thread_init(&all->thread, LOCK_VERIFY_LISTS);
	*ret = all;
	return 0;
}

int verify_lists_start(struct verify_lists *all, const struct verify_conf *conf, struct store *s)
{
	all->conf = conf;
	all->store = s;
	return verify_thread_start(&all->thread, "mfs-lists", 1, VERIFY_LISTS_MAX, NULL);
}

bool verify_lists_stop(struct verify_lists *all)
{
	return verify_thread_stop(&all->thread);
}

void verify_lists_free(struct verify_lists *all)
{
	if (!all)
		return;
	verify_thread_fini(&all->thread);
	free(all);
}
