/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/downloads.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/catalogue/catalogue.h"
#include "admin/registry/registry.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/map.h"
#include "daemon/base/workers.h"
#include "daemon/model/manifest.h"
#include "daemon/base/text.h"

#define DAY_S (24 * 60 * 60)
#define WEEK 7
#define SEEN 4096 /* clients that are remembered; another one may take a place before its time */

/* Of one file, that waits to be written. */
struct use {
	struct use *next;
	struct repo_id repo;
	unsigned count; /* that stand for the repository */
	int64_t at_s;
	char etag[DIGEST_HEX_MAX + 1];
	size_t key_len;
	char key[REPO_KEY_MAX + 1 + DIGEST_HEX_MAX + 1];
};

struct seen {
	uint64_t whom; /* and what */
	int64_t until_s;
};

struct downloads {
	struct db *db;
	struct workers *workers;
	struct lock lock;
	/* Guarded by lock. */
	struct map waiting;
	struct use *first;
	bool asked;  /* a worker is going to write them */
	int64_t day; /* up to which counts were made less */
	struct seen seen[SEEN];
};

/* ---- what is written ---- */

/* By days, today first. */
struct row {
	uint64_t all;
	int64_t day;
	uint64_t days[DOWNLOADS_DAYS];
};

static struct db_key row_key(const char *uid, const char *etag,
			     char room[static REGISTRY_UID + 1 + DIGEST_HEX_MAX])
{
	size_t len = strnlen(etag, DIGEST_HEX_MAX);

	memcpy(room, uid, REGISTRY_UID);
	room[REGISTRY_UID] = '\0';
	memcpy(room + REGISTRY_UID + 1, etag, len);
	return (struct db_key){ room, REGISTRY_UID + 1 + len };
}

static void go_to_day(struct row *row, int64_t day)
{
	struct row old = *row;

	if (day <= old.day)
		return;
	memset(row->days, 0, sizeof(row->days));
	for (int64_t i = 0; i + day - old.day < DOWNLOADS_DAYS; i++)
		row->days[i + day - old.day] = old.days[i];
	row->day = day;
}

static int read_row(struct db_txn *t, const char *uid, int64_t day, struct row *ret)
{
	char room[REGISTRY_UID + 1 + DIGEST_HEX_MAX];
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = db_get(t, DB_DOWNLOADS, row_key(uid, "", room), &text);
	char *at = text.data;

	*ret = (struct row){ .day = day };
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	ret->all = strtoull(at, &at, 10);
	ret->day = strtoll(at, &at, 10);
	for (size_t i = 0; i < DOWNLOADS_DAYS; i++)
		ret->days[i] = strtoull(at, &at, 10);
	go_to_day(ret, day);
	return 0;
}

static int write_row(struct db_txn *t, const char *uid, const struct row *row)
{
	char room[REGISTRY_UID + 1 + DIGEST_HEX_MAX];
	CLEANUP(buf_free) struct buf text = { 0 };

	buf_printf(&text, "%ju %jd", (uintmax_t)row->all, (intmax_t)row->day);
	for (size_t i = 0; i < DOWNLOADS_DAYS; i++)
		buf_printf(&text, " %ju", (uintmax_t)row->days[i]);
	return text.failed ? text.failed
			   : db_put(t, DB_DOWNLOADS, row_key(uid, "", room), text.data, text.len);
}

static uint64_t sum(const struct row *row, size_t days)
{
	uint64_t n = 0;

	for (size_t i = 0; i < days; i++)
		n += row->days[i];
	return n;
}

/* What is much downloaded now goes before what was. */
static int tell_catalogue(struct db_txn *t, const struct repo_id *id, const struct row *row)
{
	int r = catalogue_set(t, id, CATALOGUE_DOWNLOADS, (double)sum(row, DOWNLOADS_DAYS));

	return r < 0 ? r : catalogue_set(t, id, CATALOGUE_TRENDING, (double)sum(row, WEEK));
}

static int write_last(struct db_txn *t, const char *uid, const struct use *use)
{
	char room[REGISTRY_UID + 1 + DIGEST_HEX_MAX], text[24];
	int64_t was = 0;
	int r = downloads_last_used(t, uid, use->etag, &was);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && use->at_s - was < DOWNLOADS_USED_S)
		return 0;
	r = snprintf(text, sizeof(text), "%jd", (intmax_t)use->at_s);
	return db_put(t, DB_FILE_USES, row_key(uid, use->etag, room), text, (size_t)r);
}

static int write_use(struct db_txn *t, const struct use *use)
{
	struct registry_repo repo;
	struct row row;
	int r = registry_get(t, &use->repo, &repo);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = write_last(t, repo.uid, use);
	if (r < 0 || !use->count)
		return r;
	r = read_row(t, repo.uid, use->at_s / DAY_S, &row);
	if (r < 0)
		return r;
	row.all += use->count;
	row.days[0] += use->count;
	r = write_row(t, repo.uid, &row);
	return r < 0 ? r : tell_catalogue(t, &repo.id, &row);
}

static int write_uses(struct db_txn *t, void *arg)
{
	int r = 0;

	for (const struct use *use = arg; r == 0 && use; use = use->next)
		r = write_use(t, use);
	return r;
}

/* ---- as days go by ---- */

struct aging {
	struct db_txn *t;
	int64_t day;
	struct buf ids; /* struct repo_id, of those that are counted less */
};

static int age(void *arg, const struct registry_repo *repo)
{
	struct aging *a = arg;
	struct catalogue_entry e;
	struct row row;
	int r = catalogue_get(a->t, &repo->id, &e);

	if (r < 0 || e.numbers[CATALOGUE_DOWNLOADS] <= 0)
		return r == -ENOMEM ? r : 0;
	r = read_row(a->t, repo->uid, a->day, &row);
	if (r < 0 || ((double)sum(&row, WEEK) == e.numbers[CATALOGUE_TRENDING] &&
		      (double)sum(&row, DOWNLOADS_DAYS) == e.numbers[CATALOGUE_DOWNLOADS]))
		return r == -ENOMEM ? r : 0;
	return buf_add(&a->ids, &repo->id, sizeof(repo->id));
}

static int age_all(struct db_txn *t, void *arg)
{
	struct aging *a = arg;
	int r;

	a->t = t;
	buf_clear(&a->ids);
	r = registry_each(t, age, a);
	for (size_t at = 0; r == 0 && at < a->ids.len; at += sizeof(struct repo_id)) {
		struct registry_repo repo;
		struct repo_id id;
		struct row row;

		memcpy(&id, a->ids.data + at, sizeof(id));
		r = registry_get(t, &id, &repo);
		if (r == 0)
			r = read_row(t, repo.uid, a->day, &row);
		if (r == 0)
			r = tell_catalogue(t, &id, &row);
	}
	return r;
}

/* ---- a while together ---- */

static struct use *take_locked(struct downloads *d, int64_t today, bool *ret_aging)
{
	*ret_aging = d->day < today;
	d->day = today;
	d->asked = false;
	map_fini(&d->waiting);
	d->waiting = (struct map){ 0 };
	return steal(d->first);
}

int downloads_flush(struct downloads *d, int64_t now_s)
{
	struct aging aging = { .day = now_s / DAY_S };
	struct use *list;
	bool is_aging;
	int r;

	lock_take(&d->lock);
	list = take_locked(d, aging.day, &is_aging);
	lock_drop(&d->lock);
	r = list ? db_write(d->db, write_uses, list) : 0;
	while (list) {
		struct use *next = list->next;

		free(list);
		list = next;
	}
	if (r == 0 && is_aging)
		r = db_write(d->db, age_all, &aging);
	buf_free(&aging.ids);
	return r;
}

static void flush_waiting(void *arg, uint64_t number UNUSED)
{
	int r = downloads_flush(arg, clock_wall_s());

	if (r < 0)
		log_warn(r, "cannot note what was downloaded");
}

/* ---- noting ---- */

/* Which of a model's files clients ask for once, whichever others they want. */
static bool stands_for(const struct repo_id *repo, const char *path)
{
	static const char *const names[] = { "config.json", "model_index.json",
					     "adapter_config.json", "config.yaml" };

	if (repo->type != REPO_MODEL)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(path, names[i]))
			return true;
	return text_ends_with(path, ".gguf") || text_ends_with(path, ".nemo");
}

static bool is_first_locked(struct downloads *d, const char *key, size_t len, const char *whom,
			    int64_t now_s)
{
	uint64_t hash = xxh3_of(key, len) ^ (xxh3_of(whom, strlen(whom)) << 1);
	struct seen *seen = &d->seen[hash % SEEN];

	if (seen->whom == hash && seen->until_s > now_s)
		return false;
	*seen = (struct seen){ hash, now_s + DOWNLOADS_ONCE_S };
	return true;
}

static struct use *use_of_locked(struct downloads *d, const struct use *like)
{
	struct use *use = map_find(&d->waiting, like->key, like->key_len);

	if (use || d->waiting.count >= DOWNLOADS_MAX)
		return use;
	use = malloc(sizeof(*use));
	if (!use)
		return NULL;
	*use = *like;
	if (map_put(&d->waiting, use->key, use->key_len, use) < 0) {
		free(use);
		return NULL;
	}
	use->next = d->first;
	d->first = use;
	return use;
}

static void ask_worker(struct downloads *d)
{
	const struct work work = { .fn = flush_waiting, .arg = d, .delay_ms = DOWNLOADS_WAIT_MS };

	if (workers_add(d->workers, &work) == 0)
		return;
	lock_take(&d->lock);
	d->asked = false; /* the next one asks again */
	lock_drop(&d->lock);
}

void downloads_note(struct downloads *d, const struct repo_id *repo, const char *path,
		    const char *etag, const char *whom)
{
	struct use like = { .repo = *repo, .at_s = clock_wall_s() }, *use;
	size_t repo_len;
	bool ask;

	repo_id_key(repo, like.key);
	repo_len = strlen(like.key);
	snprintf(like.etag, sizeof(like.etag), "%s", etag);
	memcpy(like.key + repo_len + 1, like.etag, strlen(like.etag) + 1);
	like.key_len = repo_len + 1 + strlen(like.etag);
	lock_take(&d->lock);
	use = use_of_locked(d, &like);
	if (use) {
		use->at_s = like.at_s;
		use->count += stands_for(repo, path) &&
			      is_first_locked(d, like.key, repo_len, whom, like.at_s);
	}
	ask = use && !d->asked;
	d->asked |= ask;
	lock_drop(&d->lock);
	if (ask)
		ask_worker(d);
}

/* ---- asked for ---- */

int downloads_get(struct db_txn *t, const char *uid, int64_t now_s, struct downloads_count *ret)
{
	struct row row;
	int r = read_row(t, uid, now_s / DAY_S, &row);

	if (r == 0)
		*ret = (struct downloads_count){ row.all, sum(&row, DOWNLOADS_DAYS),
						 sum(&row, WEEK) };
	return r;
}

int downloads_last_used(struct db_txn *t, const char *uid, const char *etag, int64_t *ret)
{
	char room[REGISTRY_UID + 1 + DIGEST_HEX_MAX];
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = db_get(t, DB_FILE_USES, row_key(uid, etag, room), &text);

	if (r == 0)
		*ret = strtoll(buf_str(&text), NULL, 10);
	return r;
}

int downloads_new(struct db *db, struct workers *workers, struct downloads **ret)
{
	struct downloads *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->db = db;
	d->workers = workers;
	lock_init(&d->lock, LOCK_USES);
	*ret = d;
	return 0;
}

void downloads_free(struct downloads *d)
{
	if (!d)
		return;
	flush_waiting(d, 0);
	lock_fini(&d->lock);
	free(d);
}
