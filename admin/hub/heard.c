/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/heard.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/map.h"
#include "daemon/base/workers.h"

#define AGAIN_MS 10000

struct word {
	struct word *next;
	const char *text, *written; /* being written, or NULL */
	char key[];
};

struct heard {
	struct db *db;
	struct workers *workers;
	struct lock lock;
	/* Guarded by lock; words in `first` stay while a worker writes them, who alone frees. */
	struct map map;
	struct word *first;
	bool under_way; /* a worker will write, and look for more when it has */
};

int heard_new(struct db *db, struct workers *workers, struct heard **ret)
{
	struct heard *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->db = db;
	h->workers = workers;
	lock_init(&h->lock, LOCK_HEARD);
	*ret = h;
	return 0;
}

void heard_free(struct heard *h)
{
	if (!h)
		return;
	while (h->first) {
		struct word *next = h->first->next;

		free(h->first);
		h->first = next;
	}
	map_fini(&h->map);
	lock_fini(&h->lock);
	free(h);
}

/* Marks what is there now: more may come meanwhile, in front of it. */
static struct word *begin(struct heard *h)
{
	struct word *first;

	lock_take(&h->lock);
	first = h->first;
	for (struct word *w = first; w; w = w->next)
		w->written = w->text;
	lock_drop(&h->lock);
	return first;
}

static int write_all(struct db_txn *t, void *arg)
{
	int r = 0;

	for (const struct word *w = arg; r == 0 && w; w = w->next) {
		if (*w->written)
			r = db_put(t, DB_UPSTREAM, db_text(w->key), w->written, strlen(w->written));
		else
			r = db_del(t, DB_UPSTREAM, db_text(w->key));
	}
	return r;
}

/* What was written, and is not something else by now, goes. True if there is more to write now. */
static bool end(struct heard *h, int r)
{
	bool more;

	lock_take(&h->lock);
	for (struct word **at = &h->first; r == 0 && *at;) {
		struct word *w = *at;

		if (w->written != w->text) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		map_del_str(&h->map, w->key);
		free(w);
	}
	h->under_way = h->first != NULL;
	more = r == 0 && h->under_way;
	lock_drop(&h->lock);
	return more;
}

static void write_down(void *arg, uint64_t number);

/* It is under way. Without room among the workers the next word tries again. */
static void have_written(struct heard *h, int64_t delay_ms)
{
	const struct work work = { .fn = write_down, .arg = h, .delay_ms = delay_ms };

	if (workers_add(h->workers, &work) == 0)
		return;
	lock_take(&h->lock);
	h->under_way = false;
	lock_drop(&h->lock);
}

static void write_down(void *arg, uint64_t number UNUSED)
{
	struct heard *h = arg;
	struct word *first;
	int r;

	do {
		first = begin(h);
		r = db_write(h->db, write_all, first);
		if (r < 0)
			log_warn(r, "cannot note what upstreams say of repositories");
	} while (end(h, r));
	if (r < 0)
		have_written(h, AGAIN_MS);
}

static int put_locked(struct heard *h, const char *key, const char *word)
{
	struct word *w = map_find_str(&h->map, key);
	size_t len = strlen(key) + 1;
	int r = 0;

	if (!w) {
		w = calloc(1, sizeof(*w) + len);
		if (!w)
			return -ENOMEM;
		memcpy(w->key, key, len);
		r = map_put_str(&h->map, w->key, w);
		if (r < 0) {
			free(w);
			return r;
		}
		w->next = h->first;
		h->first = w;
	}
	w->text = word;
	return 0;
}

int heard_put(struct heard *h, const char *key, const char *word)
{
	bool begins;
	int r;

	lock_take(&h->lock);
	r = put_locked(h, key, word);
	begins = r == 0 && !h->under_way;
	h->under_way |= begins;
	lock_drop(&h->lock);
	if (begins)
		have_written(h, 0);
	return r;
}

const char *heard_get(struct heard *h, const char *key)
{
	const struct word *w;
	const char *text;

	if (!h)
		return NULL;
	lock_take(&h->lock);
	w = map_find_str(&h->map, key);
	text = w ? w->text : NULL;
	lock_drop(&h->lock);
	return text;
}
