/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/uses.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/map.h"
#include "daemon/base/workers.h"

struct use {
	uint8_t digest[TOKEN_DIGEST];
	int64_t at_s;
	struct use *next;
};

struct uses {
	struct db *db;
	struct workers *workers;
	struct lock lock;
	/* Guarded by lock. */
	struct map waiting; /* by digest */
	struct use *first;
	bool asked; /* a worker is going to write them */
};

/* ---- writing ---- */

static int write_all(struct db_txn *t, void *arg)
{
	int r = 0;

	for (const struct use *use = arg; r == 0 && use; use = use->next)
		r = token_put_use(t, use->digest, use->at_s);
	return r;
}

static struct use *take_locked(struct uses *u)
{
	map_fini(&u->waiting);
	u->waiting = (struct map){ 0 };
	return steal(u->first);
}

static void write_down(struct uses *u, struct use *list)
{
	int r = list ? db_write(u->db, write_all, list) : 0;

	if (r < 0)
		log_warn(r, "cannot note which tokens were used");
	while (list) {
		struct use *next = list->next;

		free(list);
		list = next;
	}
}

static void write_waiting(void *arg, uint64_t number UNUSED)
{
	struct uses *u = arg;
	struct use *list;

	lock_take(&u->lock);
	u->asked = false;
	list = take_locked(u);
	lock_drop(&u->lock);
	write_down(u, list);
}

/* ---- noting ---- */

static void add_locked(struct uses *u, const uint8_t *digest, int64_t now_s)
{
	struct use *use;

	if (u->waiting.count >= USES_MAX || map_find(&u->waiting, digest, TOKEN_DIGEST))
		return;
	use = calloc(1, sizeof(*use));
	if (!use)
		return;
	memcpy(use->digest, digest, sizeof(use->digest));
	use->at_s = now_s;
	if (map_put(&u->waiting, use->digest, sizeof(use->digest), use) < 0) {
		free(use);
		return;
	}
	use->next = u->first;
	u->first = use;
}

void uses_note(struct uses *u, const uint8_t digest[static TOKEN_DIGEST], int64_t used_s)
{
	const struct work work = { .fn = write_waiting, .arg = u, .delay_ms = USES_WAIT_MS };
	int64_t now_s = clock_wall_s();
	bool ask;

	if (now_s >= used_s && now_s - used_s < USES_EVERY_S)
		return;
	lock_take(&u->lock);
	add_locked(u, digest, now_s);
	ask = !u->asked && u->first;
	u->asked |= ask;
	lock_drop(&u->lock);
	if (!ask || workers_add(u->workers, &work) == 0)
		return;
	lock_take(&u->lock);
	u->asked = false; /* the next one asks again */
	lock_drop(&u->lock);
}

int uses_new(struct db *db, struct workers *workers, struct uses **ret)
{
	struct uses *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->db = db;
	u->workers = workers;
	lock_init(&u->lock, LOCK_USES);
	*ret = u;
	return 0;
}

void uses_free(struct uses *u)
{
	if (!u)
		return;
	write_waiting(u, 0);
	map_fini(&u->waiting);
	lock_fini(&u->lock);
	free(u);
}
