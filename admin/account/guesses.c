/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses lie in small sets that their hash chooses, with a seed nobody outside knows: so nobody
 * can choose whom to push out. What an address owes is a time: each wrong token adds
 * GUESSES_MS, and time itself takes it off again. */
#include "admin/account/guesses.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "admin/account/client_address.h"
#include "daemon/base/digest.h"
#include "daemon/base/lock.h"

#define SETS 512
#define WAYS 4
#define OWED_MAX_MS ((int64_t)GUESSES_FREE * GUESSES_MS)

struct origin {
	uint64_t address; /* hash */
	uint64_t heard;   /* which note was its last; 0: free */
	int64_t heard_ms;
	int64_t owed_ms; /* at heard_ms */
	unsigned right_at, wrong_at;
	uint64_t right[GUESSES_RIGHT], wrong[GUESSES_WRONG];
};

struct guesses {
	uint64_t seed;
	struct lock lock;
	/* Guarded by lock. */
	uint64_t notes;
	struct origin origins[SETS][WAYS];
};

int guesses_new(struct guesses **ret)
{
	struct guesses *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	if (getrandom(&g->seed, sizeof(g->seed), 0) != sizeof(g->seed)) {
		free(g);
		return errno ? -errno : -EIO;
	}
	lock_init(&g->lock, LOCK_GUESSES);
	*ret = g;
	return 0;
}

void guesses_free(struct guesses *g)
{
	if (!g)
		return;
	lock_fini(&g->lock);
	free(g);
}

static uint64_t hash_of(const struct guesses *g, const char *address)
{
	struct {
		uint64_t seed;
		char network[CLIENT_ADDRESS_MAX];
	} key = { .seed = g->seed };

	client_address_network(address, key.network);
	return xxh3_of(&key, offsetof(typeof(key), network) + strlen(key.network));
}

static struct origin *find_locked(struct guesses *g, uint64_t address)
{
	struct origin *set = g->origins[address % SETS];

	for (size_t i = 0; i < WAYS; i++)
		if (set[i].heard && set[i].address == address)
			return &set[i];
	return NULL;
}

static struct origin *take_locked(struct guesses *g, uint64_t address)
{
	struct origin *set = g->origins[address % SETS], *oldest = &set[0];
	struct origin *known = find_locked(g, address);

	if (known)
		return known;
	for (size_t i = 1; i < WAYS; i++)
		if (set[i].heard < oldest->heard)
			oldest = &set[i];
	*oldest = (struct origin){ .address = address };
	return oldest;
}

static bool has(const uint64_t *list, size_t count, uint64_t token)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == token)
			return true;
	return false;
}

static int64_t owed_at(const struct origin *o, int64_t now_ms)
{
	int64_t left = o->owed_ms - (now_ms - o->heard_ms);

	return left > 0 ? left : 0;
}

bool guesses_may_try(struct guesses *g, const char *address, uint64_t token, int64_t now_ms)
{
	uint64_t hash = hash_of(g, address);
	const struct origin *o;
	bool may;

	lock_take(&g->lock);
	o = find_locked(g, hash);
	may = !o || owed_at(o, now_ms) + GUESSES_MS <= OWED_MAX_MS ||
	      has(o->right, GUESSES_RIGHT, token) || has(o->wrong, GUESSES_WRONG, token);
	lock_drop(&g->lock);
	return may;
}

static void note_right_locked(struct origin *o, uint64_t token)
{
	if (!has(o->right, GUESSES_RIGHT, token))
		o->right[o->right_at++ % GUESSES_RIGHT] = token;
}

static void note_wrong_locked(struct origin *o, uint64_t token)
{
	if (has(o->wrong, GUESSES_WRONG, token))
		return;
	o->wrong[o->wrong_at++ % GUESSES_WRONG] = token;
	o->owed_ms += GUESSES_MS;
}

void guesses_note(struct guesses *g, const char *address, uint64_t token, bool right,
		  int64_t now_ms)
{
	uint64_t hash = hash_of(g, address);
	struct origin *o;

	lock_take(&g->lock);
	o = take_locked(g, hash);
	o->owed_ms = owed_at(o, now_ms);
	o->heard_ms = now_ms;
	o->heard = ++g->notes;
	if (right)
		note_right_locked(o, token);
	else
		note_wrong_locked(o, token);
	lock_drop(&g->lock);
}
