/* SPDX-License-Identifier: Apache-2.0 */
/* One map by key and one list by use, under one lock. */
#include "daemon/hub/location.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/lru.h"
#include "daemon/base/map.h"

#define LIFE_MAX_S 3600
#define LIFE_UNKNOWN_S 600
#define MARGIN_S 30 /* clocks differ, and an answer takes a while to end */

struct location {
	struct lru_link link;
	int64_t until_ms;
	char *etag; /* or NULL: none seen yet */
	char *url;  /* behind key, in the same allocation */
	char key[];
};

struct location_memory {
	struct lock lock;
	struct cond answered;
	struct map asking; /* keys that somebody asks the hub for; guarded by lock */
	struct map map;    /* guarded by lock */
	struct lru by_use; /* guarded by lock */
	unsigned max;
};

static void drop_locked(struct location_memory *m, struct location *l) NEEDS(m->lock);
static struct location *find_locked(struct location_memory *m, const char *key, const char *url)
	NEEDS(m->lock);

int location_memory_new(unsigned max, struct location_memory **ret)
{
	struct location_memory *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	lock_init(&m->lock, LOCK_HUB);
	cond_init(&m->answered);
	m->max = max;
	*ret = m;
	return 0;
}

static struct location *oldest_locked(struct location_memory *m)
{
	return lru_item(m->by_use.oldest, struct location, link);
}

static void location_free(struct location *l)
{
	if (!l)
		return;
	free(l->etag);
	explicit_bzero(l->url, strlen(l->url)); /* signed, or with a token */
	free(l);
}

void location_memory_free(struct location_memory *m)
{
	if (!m)
		return;
	lock_take(&m->lock);
	while (m->by_use.oldest)
		drop_locked(m, oldest_locked(m));
	lock_drop(&m->lock);
	map_fini(&m->map);
	map_fini(&m->asking);
	cond_fini(&m->answered);
	lock_fini(&m->lock);
	free(m);
}

static void drop_locked(struct location_memory *m, struct location *l)
{
	if (!l)
		return;
	map_del_str(&m->map, l->key);
	lru_remove(&m->by_use, &l->link);
	location_free(l);
}

/* The location under key if it is this url, or NULL. */
static struct location *find_locked(struct location_memory *m, const char *key, const char *url)
{
	struct location *l = map_find_str(&m->map, key);

	return l && strcmp(l->url, url) == 0 ? l : NULL;
}

static int get_locked(struct location_memory *m, const char *key, int64_t now_ms, struct buf *ret)
{
	struct location *l = map_find_str(&m->map, key);

	if (!l || now_ms >= l->until_ms) {
		drop_locked(m, l);
		return -ENOENT;
	}
	lru_use(&m->by_use, &l->link);
	return buf_add_str(ret, l->url);
}

/* Notes that the caller asks. Without memory nobody waits for him, which costs a question. */
static void claim_locked(struct location_memory *m, const char *key)
{
	char *copy = map_find_str(&m->asking, key) ? NULL : strdup(key);

	if (copy && map_put_str(&m->asking, copy, copy) < 0)
		free(copy);
}

int location_get(struct location_memory *m, const char *key, int64_t now_ms, int64_t until_ms,
		 struct buf *ret)
{
	int r;

	lock_take(&m->lock);
	while ((r = get_locked(m, key, now_ms, ret)) == -ENOENT && map_find_str(&m->asking, key))
		if (cond_wait(&m->answered, &m->lock, until_ms) == -ETIMEDOUT)
			break;
	if (r == -ENOENT)
		claim_locked(m, key);
	lock_drop(&m->lock);
	return r;
}

void location_asked(struct location_memory *m, const char *key)
{
	char *copy;

	lock_take(&m->lock);
	copy = map_find_str(&m->asking, key);
	if (copy)
		map_del_str(&m->asking, key);
	cond_wake_all(&m->answered);
	lock_drop(&m->lock);
	free(copy);
}

static struct location *location_new(const char *key, const char *url, int64_t until_ms)
{
	size_t key_size = strlen(key) + 1, url_size = strlen(url) + 1;
	struct location *l = calloc(1, sizeof(*l) + key_size + url_size);

	if (!l)
		return NULL;
	l->until_ms = until_ms;
	l->url = l->key + key_size;
	memcpy(l->key, key, key_size);
	memcpy(l->url, url, url_size);
	return l;
}

void location_put(struct location_memory *m, const char *key, const char *url, int64_t now_ms,
		  int64_t life_ms)
{
	struct location *l = life_ms > 0 ? location_new(key, url, now_ms + life_ms) : NULL;

	lock_take(&m->lock);
	drop_locked(m, map_find_str(&m->map, key));
	if (l && map_put_str(&m->map, l->key, l) == 0)
		lru_add(&m->by_use, &steal(l)->link);
	if (m->map.count > m->max)
		drop_locked(m, oldest_locked(m));
	lock_drop(&m->lock);
	location_free(l);
}

void location_forget(struct location_memory *m, const char *key, const char *url)
{
	lock_take(&m->lock);
	drop_locked(m, find_locked(m, key, url));
	lock_drop(&m->lock);
}

int location_check_etag(struct location_memory *m, const char *key, const char *url,
			const char *etag)
{
	struct location *l;
	int r = 0;

	lock_take(&m->lock);
	l = find_locked(m, key, url);
	if (l && !l->etag)
		l->etag = strdup(etag); /* without memory the next answer is the first */
	else if (l && strcmp(l->etag, etag) != 0)
		r = ERR_CHANGED;
	lock_drop(&m->lock);
	return r;
}

unsigned location_count(struct location_memory *m)
{
	unsigned count;

	lock_take(&m->lock);
	count = (unsigned)m->map.count;
	lock_drop(&m->lock);
	return count;
}

/* --- how long a location lives */

/* The value of a query parameter (its end is '&' or NUL), or NULL. */
static const char *find_param(const char *url, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strchr(url, '?'); at; at = strchr(at + 1, '&')) {
		if (strncasecmp(at + 1, name, len) == 0 && at[1 + len] == '=')
			return at + 1 + len + 1;
	}
	return NULL;
}

/* A number of seconds at the beginning of text, or -1. */
static int64_t parse_seconds(const char *text)
{
	char *end;
	long long value;

	if (!text || *text < '0' || *text > '9')
		return -1;
	value = strtoll(text, &end, 10);
	return value < INT64_MAX / 2 ? value : -1;
}

/* "20240102T030405Z" to seconds since 1970, or -1. */
static int64_t parse_compact_date(const char *text)
{
	char iso[sizeof("2024-01-02T03:04:05Z")];
	int length = 0;

	if (!text || sscanf(text, "%*8[0-9]T%*6[0-9]Z%n", &length) < 0 || length != 16)
		return -1;
	snprintf(iso, sizeof(iso), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", text, text + 4, text + 6,
		 text + 9, text + 11, text + 13);
	return clock_parse_iso(iso);
}

static int64_t signed_until_s(const char *url, const char *date_name, const char *life_name)
{
	int64_t date = parse_compact_date(find_param(url, date_name));
	int64_t life = parse_seconds(find_param(url, life_name));

	return date < 0 || life < 0 ? -1 : date + life;
}

static int64_t cached_life_s(const char *cache_control, const char *age)
{
	const char *text = cache_control ? strcasestr(cache_control, "max-age=") : NULL;
	int64_t life = text ? parse_seconds(text + strlen("max-age=")) : -1;
	int64_t spent = parse_seconds(age);

	if (life < 0)
		return LIFE_UNKNOWN_S;
	return spent > 0 ? life - spent : life;
}

int64_t location_life_ms(const char *url, const char *cache_control, const char *age, int64_t now_s)
{
	int64_t until = signed_until_s(url, "X-Amz-Date", "X-Amz-Expires"), life;

	if (until < 0)
		until = signed_until_s(url, "X-Goog-Date", "X-Goog-Expires");
	if (until < 0)
		until = parse_seconds(find_param(url, "Expires"));
	life = until < 0 ? cached_life_s(cache_control, age) : until - now_s;
	if (life > LIFE_MAX_S)
		life = LIFE_MAX_S;
	return life > MARGIN_S ? (life - MARGIN_S) * 1000 : 0;
}
