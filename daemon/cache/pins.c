/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/pins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/map.h"
#include "daemon/cache/usage.h"

struct held {
	char etag[DIGEST_HEX_MAX + 1];
	uint64_t size;
};

struct pin_entry {
	struct pin_entry *next;
	struct pin pin;
	bool held; /* the files of its commit are known, so its blobs are held */
};

struct pins {
	struct catalog *catalog;
	struct lock lock;
	/* Guarded by lock. */
	struct pin_entry *first;
	struct map held; /* etag -> struct held */
};

static int free_held(void *arg UNUSED, void *value)
{
	free(value);
	return 0;
}

static void forget_held(struct map *held)
{
	map_each(held, free_held, NULL);
	map_fini(held);
	*held = (struct map){ 0 };
}

static int hold_file(struct map *held, const struct manifest_file *file)
{
	struct held *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	manifest_etag(file, h->etag);
	h->size = usage_blocks(file->size);
	r = map_find_str(held, h->etag) ? -EEXIST : map_put_str(held, h->etag, h);
	if (r < 0)
		free(h);
	return r == -EEXIST ? 0 : r;
}

/* Adds the blobs of a pinned commit; none if its files are not known yet: *known tells. */
static int hold(struct catalog *c, const struct pin *pin, struct map *held, bool *known)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	int64_t date_s;
	int r = pin->commit[0] ? catalog_get_commit(c, pin->key, pin->commit, &date_s, &m)
			       : -ENOENT;

	*known = r == 0;
	if (r == -ENOENT || r == ERR_CORRUPT)
		return 0;
	for (uint32_t i = 0; r == 0 && i < manifest_count(m); i++)
		if (manifest_file(m, i))
			r = hold_file(held, manifest_file(m, i));
	return r;
}

static int load(void *arg, const char *key, const char *revision, const char *commit,
		int64_t since_s)
{
	struct pins *p = arg;
	struct pin_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->pin.since_s = since_s;
	snprintf(e->pin.key, sizeof(e->pin.key), "%s", key);
	snprintf(e->pin.revision, sizeof(e->pin.revision), "%s", revision);
	snprintf(e->pin.commit, sizeof(e->pin.commit), "%s", commit);
	e->next = p->first;
	p->first = e;
	return 0;
}

/* The blobs of all pins but `but`: two may have some in common. */
static int hold_all_locked(struct pins *p, const struct pin_entry *but, struct map *held)
{
	int r = 0;

	for (struct pin_entry *e = p->first; r == 0 && e; e = e->next)
		r = e == but ? 0 : hold(p->catalog, &e->pin, held, &e->held);
	return r;
}

int pins_new(struct catalog *catalog, struct pins **ret)
{
	struct pins *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->catalog = catalog;
	lock_init(&p->lock, LOCK_PINS);
	r = catalog_each_pin(catalog, load, p);
	if (r == 0)
		r = hold_all_locked(p, NULL, &p->held);
	if (r < 0) {
		pins_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pins_free(struct pins *p)
{
	struct pin_entry *e;

	if (!p)
		return;
	while ((e = p->first)) {
		p->first = e->next;
		free(e);
	}
	forget_held(&p->held);
	lock_fini(&p->lock);
	free(p);
}

static struct pin_entry **find(struct pins *p, const char *key, const char *revision)
{
	struct pin_entry **at = &p->first;

	while (*at &&
	       (strcmp((*at)->pin.key, key) != 0 || strcmp((*at)->pin.revision, revision) != 0))
		at = &(*at)->next;
	return at;
}

static void take_held_locked(struct pins *p, struct map *held)
{
	forget_held(&p->held);
	p->held = *held;
	*held = (struct map){ 0 };
}

static int add_size(void *arg, void *value)
{
	*(uint64_t *)arg += ((const struct held *)value)->size;
	return 0;
}

/* What would be held with this pin in the place of `old`. */
static int hold_with_locked(struct pins *p, const struct pin_entry *old, const struct pin *pin,
			    uint64_t most, struct map *held, bool *known)
{
	uint64_t bytes = 0;
	int r = hold_all_locked(p, old, held);

	if (r == 0)
		r = hold(p->catalog, pin, held, known);
	map_each(held, add_size, &bytes);
	if (r < 0 || bytes <= most)
		return r;
	err_note(ERR_TOO_LARGE, "all pins would take %ju bytes, the cache may take %ju",
		 (uintmax_t)bytes, (uintmax_t)most);
	return ERR_TOO_LARGE;
}

/* Nothing is new: each turn of each pin's work comes here. */
static bool is_held_locked(struct pin_entry *e, const struct pin *pin)
{
	return e && e->held && pin->commit[0] && strcmp(e->pin.commit, pin->commit) == 0;
}

static int put_locked(struct pins *p, const struct pin *pin, uint64_t most)
{
	struct pin_entry *e = *find(p, pin->key, pin->revision);
	struct map held = { 0 };
	bool known = false;
	int r;

	if (is_held_locked(e, pin))
		return 0;
	r = hold_with_locked(p, e, pin, most, &held, &known);
	if (r == 0)
		r = catalog_put_pin(p->catalog, pin->key, pin->revision, pin->commit, pin->since_s);
	if (r == 0 && !e)
		r = load(p, pin->key, pin->revision, pin->commit, pin->since_s);
	if (r == 0) {
		e = *find(p, pin->key, pin->revision);
		e->pin = *pin;
		e->held = known;
		take_held_locked(p, &held);
	}
	forget_held(&held);
	return r;
}

int pins_put(struct pins *p, const struct pin *pin, uint64_t most)
{
	int r;

	lock_take(&p->lock);
	r = put_locked(p, pin, most);
	lock_drop(&p->lock);
	return r;
}

int pins_del(struct pins *p, const char *key, const char *revision)
{
	int r = catalog_del_pin(p->catalog, key, revision);
	struct map held = { 0 };
	struct pin_entry **at, *e;

	if (r < 0)
		return r;
	lock_take(&p->lock);
	at = find(p, key, revision);
	e = *at;
	if (e) {
		*at = e->next;
		if (hold_all_locked(p, NULL, &held) == 0)
			take_held_locked(p, &held);
		else /* too much is held until the next start */
			log_debug("no memory to let go of what was pinned");
	}
	lock_drop(&p->lock);
	forget_held(&held);
	free(e);
	return e ? 0 : -ENOENT;
}

int pins_get(struct pins *p, const char *key, const char *revision, struct pin *ret)
{
	const struct pin_entry *e;

	lock_take(&p->lock);
	e = *find(p, key, revision);
	if (e)
		*ret = e->pin;
	lock_drop(&p->lock);
	return e ? 0 : -ENOENT;
}

int pins_each(struct pins *p, int (*fn)(void *arg, const struct pin *pin), void *arg)
{
	CLEANUP(freep) struct pin *list = NULL;
	size_t count = 0;
	int r = 0;

	lock_take(&p->lock);
	for (const struct pin_entry *e = p->first; e; e = e->next)
		count++;
	list = calloc(count + 1, sizeof(*list));
	count = 0;
	for (const struct pin_entry *e = p->first; list && e; e = e->next)
		list[count++] = e->pin;
	lock_drop(&p->lock);
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = fn(arg, &list[i]);
	return r;
}

bool pins_have(struct pins *p, const char *etag)
{
	bool have;

	lock_take(&p->lock);
	have = map_find_str(&p->held, etag);
	lock_drop(&p->lock);
	return have;
}
