/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/digest_lists.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/hub/hub_chunks.h"

#define LOOKS_MAX 256 /* blobs; the one asked for longest ago goes */
#define HUBS_MAX 64
#define BLAMED_MAX 32 /* of one list: of more nobody is forgiven */

/* What became of asking for one list. */
struct look {
	char etag[DIGEST_HEX_MAX + 1]; /* "": free */
	bool asking, found, refuted;
	int64_t again_ms; /* nobody asks before */
	uint64_t used;
	/* Of a list that was found: whose it is, whom it blamed, who contradicts which chunk. */
	unsigned hub;
	uint64_t blamed[BLAMED_MAX], against[DIGEST_LISTS_DOUBTED]; /* keys of members */
	unsigned blamed_count, against_count;
	uint32_t chunk;
};

struct digest_lists {
	struct hub *const *hubs;
	unsigned count;
	struct provenance *provenance;
	void (*came)(void *arg, const struct source_blob *what); /* or NULL */
	void *arg;
	struct lock lock;
	/* Guarded by lock. */
	struct cond answered;
	struct look looks[LOOKS_MAX];
	uint64_t clock;
	int64_t stranger_until_ms[HUBS_MAX]; /* they know no lists; 0: not known, or they do */
	int64_t refuted_until_ms[HUBS_MAX];  /* one of theirs was wrong: nothing else ends that */
};

int digest_lists_new(struct hub *const *hubs, unsigned count, struct provenance *p,
		     struct digest_lists **ret)
{
	struct digest_lists *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->hubs = hubs;
	all->count = count < HUBS_MAX ? count : HUBS_MAX;
	all->provenance = p;
	lock_init(&all->lock, LOCK_DIGEST_LISTS);
	cond_init(&all->answered);
	*ret = all;
	return 0;
}

void digest_lists_watch(struct digest_lists *all,
			void (*came)(void *arg, const struct source_blob *what), void *arg)
{
	all->came = came;
	all->arg = arg;
}

void digest_lists_free(struct digest_lists *all)
{
	if (!all)
		return;
	cond_fini(&all->answered);
	lock_fini(&all->lock);
	free(all);
}

/* ---- hubs ---- */

static bool may_ask(struct digest_lists *all, unsigned hub)
{
	int64_t now_ms = clock_ms();
	bool may;

	lock_take(&all->lock);
	may = all->stranger_until_ms[hub] <= now_ms && all->refuted_until_ms[hub] <= now_ms;
	lock_drop(&all->lock);
	return may;
}

/* Who says when to ask again knows what was asked for; who does not, and has none, does not. Who
 * could not be reached says nothing of that. */
static void note_hub(struct digest_lists *all, unsigned hub, int r, int64_t wait_ms)
{
	bool stranger = r == -ENOENT && wait_ms < 0;

	lock_take(&all->lock);
	all->stranger_until_ms[hub] = stranger ? clock_ms() + DIGEST_LISTS_STRANGER_MS : 0;
	lock_drop(&all->lock);
}

/* Asks one hub. True if the list came; else *again_ms is when to ask again, if it said so. */
static bool ask_hub(struct digest_lists *all, unsigned hub, const struct source_blob *what,
		    struct httpc_cancel *cancel, int64_t *again_ms)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	int64_t wait_ms = -1;
	int r = hub_chunk_list(all->hubs[hub], what, cancel, &l, &wait_ms);

	if (r == ERR_CANCELED)
		return false;
	note_hub(all, hub, r, wait_ms);
	if (wait_ms >= 0)
		*again_ms = min_i64(*again_ms, clock_ms() + wait_ms);
	if (r < 0) {
		log_debug("no digest list of etag=%s hub=%s: %s", what->etag,
			  hub_name(all->hubs[hub]), err_text(r));
		return false;
	}
	if (!may_ask(all, hub)) /* meanwhile it was refuted */
		return false;
	provenance_learn(all->provenance, what->etag, l, PROVENANCE_PUBLISHED);
	return true;
}

/* The number of the hub that has the list, or all->count. */
static unsigned ask_hubs(struct digest_lists *all, const struct source_blob *what,
			 struct httpc_cancel *cancel, int64_t *again_ms)
{
	int64_t before = cancel->patience_ms;
	unsigned i = 0;

	cancel->patience_ms = DIGEST_LISTS_WAIT_MS;
	*again_ms = clock_ms() + DIGEST_LISTS_RETRY_MS;
	while (i < all->count && !(may_ask(all, i) && ask_hub(all, i, what, cancel, again_ms)))
		i = cancel->canceled ? all->count : i + 1;
	cancel->patience_ms = before;
	return i;
}

/* ---- blobs ---- */

/* The place of a blob, or of the one that was asked for longest ago; NULL if all are being asked
 * for. */
static struct look *place_locked(struct digest_lists *all, const char *etag)
{
	struct look *oldest = NULL;

	for (struct look *l = all->looks; l < all->looks + LOOKS_MAX; l++) {
		if (strcmp(l->etag, etag) == 0)
			return l;
		if (!l->asking && (!oldest || l->used < oldest->used))
			oldest = l;
	}
	if (oldest) {
		*oldest = (struct look){ 0 };
		snprintf(oldest->etag, sizeof(oldest->etag), "%s", etag);
	}
	return oldest;
}

/* Somebody asks for it: waits for that. */
static void wait_locked(struct digest_lists *all, const char *etag)
{
	int64_t until = clock_ms() + DIGEST_LISTS_WAIT_MS;
	const struct look *l = place_locked(all, etag);

	while (l && l->asking && !l->found && clock_ms() < until) {
		cond_wait(&all->answered, &all->lock, until);
		l = place_locked(all, etag);
	}
}

static bool is_remembered(struct digest_lists *all, const struct source_blob *what)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	return provenance_knows(all->provenance, what->etag, 0, digest) == PROVENANCE_PUBLISHED;
}

/* What came of asking. Whose list is as it was before is blamed of what it was before; who was
 * stopped has found out nothing. */
static void note_locked(struct digest_lists *all, struct look *l, unsigned hub, int64_t again_ms)
{
	l->asking = false; /* its place was its own meanwhile */
	if (hub < all->count && (!l->found || l->hub != hub))
		l->blamed_count = l->against_count = 0;
	if (hub < all->count) {
		l->found = true;
		l->refuted = false;
		l->hub = hub;
		again_ms = clock_ms() + DIGEST_LISTS_KEPT_MS;
	}
	l->again_ms = again_ms;
	cond_wake_all(&all->answered);
}

/* A list that is there stays while its hub does not answer. */
static bool ask_for(struct digest_lists *all, struct look *l, const struct source_blob *what,
		    struct httpc_cancel *cancel)
{
	int64_t again_ms;
	unsigned hub = ask_hubs(all, what, cancel, &again_ms);
	bool found;

	lock_take(&all->lock);
	note_locked(all, l, hub, cancel->canceled ? 0 : again_ms);
	found = l->found && is_remembered(all, what);
	lock_drop(&all->lock);
	if (hub < all->count && all->came)
		all->came(all->arg, what);
	return found;
}

bool digest_lists_look(struct digest_lists *all, const struct source_blob *what,
		       struct httpc_cancel *cancel)
{
	struct look *l;
	bool found, ask;

	lock_take(&all->lock);
	wait_locked(all, what->etag);
	l = place_locked(all, what->etag);
	if (l && l->found && !is_remembered(all, what)) {
		l->found = false;
		l->again_ms = 0;
	}
	found = l && l->found;
	ask = l && !l->asking && l->again_ms <= clock_ms();
	if (l)
		l->used = ++all->clock;
	if (ask)
		l->asking = true;
	lock_drop(&all->lock);
	return ask ? ask_for(all, l, what, cancel) : found;
}

/* ---- lists that are wrong ---- */

static struct look *found_locked(struct digest_lists *all, const char *etag)
{
	for (struct look *l = all->looks; l < all->looks + LOOKS_MAX; l++)
		if (l->found && strcmp(l->etag, etag) == 0)
			return l;
	return NULL;
}

/* One more of them, unless it is there or there are too many. */
static void add_key(uint64_t *keys, unsigned *count, unsigned max, uint64_t key)
{
	unsigned i = 0;

	while (i < *count && keys[i] != key)
		i++;
	if (i == *count && i < max)
		keys[(*count)++] = key;
}

bool digest_lists_contradicted(struct digest_lists *all, const char *etag, uint32_t i,
			       const char *member)
{
	uint64_t key = placement_key(member);
	bool doubted = false;
	struct look *l;

	lock_take(&all->lock);
	l = found_locked(all, etag);
	if (l) {
		if (l->chunk != i)
			l->against_count = 0;
		l->chunk = i;
		add_key(l->blamed, &l->blamed_count, BLAMED_MAX, key);
		add_key(l->against, &l->against_count, DIGEST_LISTS_DOUBTED, key);
		doubted = l->against_count == DIGEST_LISTS_DOUBTED;
	}
	lock_drop(&all->lock);
	return doubted;
}

bool digest_lists_is_refuted(struct digest_lists *all, const char *etag)
{
	bool so = false;

	lock_take(&all->lock);
	for (const struct look *l = all->looks; !so && l < all->looks + LOOKS_MAX; l++)
		so = l->refuted && strcmp(l->etag, etag) == 0;
	lock_drop(&all->lock);
	return so;
}

static unsigned forgive(struct members *m, const struct look *l)
{
	const struct membership *members = members_now(m);
	unsigned forgiven = 0;

	for (unsigned i = 0; i < l->blamed_count; i++) {
		int at = placement_find(members->nodes, members->count, l->blamed[i]);

		if (at >= 0)
			forgiven += members_forgive(m, member_address(members->members[at]));
	}
	membership_unref(members);
	return forgiven;
}

void digest_lists_refute(struct digest_lists *all, struct members *m, const char *etag, uint32_t i,
			 const char *by)
{
	struct look was = { 0 }, *l;

	lock_take(&all->lock);
	l = found_locked(all, etag);
	if (l) {
		was = *l;
		l->found = false;
		l->refuted = true;
		l->again_ms = 0; /* another hub may have a right one */
		all->refuted_until_ms[l->hub] = clock_ms() + DIGEST_LISTS_STRANGER_MS;
	}
	lock_drop(&all->lock);
	provenance_unlearn(all->provenance, etag);
	if (was.found)
		log_warn(
			ERR_DIGEST,
			"hub=%s published a wrong digest list etag=%s chunk=%u, as %s shows: it is "
			"forgotten, and %u peers are not banned for it any more",
			hub_name(all->hubs[was.hub]), etag, i, by, forgive(m, &was));
}
