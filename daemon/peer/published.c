/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/published.h"

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
#define ACCUSED_MAX 32 /* of one list: of more nobody is forgiven */

/* What became of asking for one list. */
struct look {
	char etag[DIGEST_HEX_MAX + 1]; /* "": free */
	bool asking, found, refuted;
	int64_t again_ms; /* nobody asks before */
	uint64_t used;
	/* Of a list that was found: whose it is, whom it accused, who contradicts which chunk. */
	unsigned hub;
	uint64_t accused[ACCUSED_MAX], against[PUBLISHED_DOUBTED]; /* keys of members */
	unsigned accused_count, against_count;
	uint32_t chunk;
};

struct published {
	struct hub *const *hubs;
	unsigned count;
	struct evidence *evidence;
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

int published_new(struct hub *const *hubs, unsigned count, struct evidence *e,
		  struct published **ret)
{
	struct published *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->hubs = hubs;
	p->count = count < HUBS_MAX ? count : HUBS_MAX;
	p->evidence = e;
	lock_init(&p->lock, LOCK_PUBLISHED);
	cond_init(&p->answered);
	*ret = p;
	return 0;
}

void published_watch(struct published *p, void (*came)(void *arg, const struct source_blob *what),
		     void *arg)
{
	p->came = came;
	p->arg = arg;
}

void published_free(struct published *p)
{
	if (!p)
		return;
	cond_fini(&p->answered);
	lock_fini(&p->lock);
	free(p);
}

/* ---- hubs ---- */

static bool may_ask(struct published *p, unsigned hub)
{
	int64_t now_ms = clock_ms();
	bool may;

	lock_take(&p->lock);
	may = p->stranger_until_ms[hub] <= now_ms && p->refuted_until_ms[hub] <= now_ms;
	lock_drop(&p->lock);
	return may;
}

/* Who says when to ask again knows what was asked for; who does not, and has none, does not. Who
 * could not be reached says nothing of that. */
static void note_hub(struct published *p, unsigned hub, int r, int64_t wait_ms)
{
	bool stranger = r == -ENOENT && wait_ms < 0;

	lock_take(&p->lock);
	p->stranger_until_ms[hub] = stranger ? clock_ms() + PUBLISHED_STRANGER_MS : 0;
	lock_drop(&p->lock);
}

/* Asks one hub. True if the list came; else *again_ms is when to ask again, if it said so. */
static bool ask_hub(struct published *p, unsigned hub, const struct source_blob *what,
		    struct httpc_cancel *cancel, int64_t *again_ms)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	int64_t wait_ms = -1;
	int r = hub_chunk_list(p->hubs[hub], what, cancel, &l, &wait_ms);

	if (r == ERR_CANCELED)
		return false;
	note_hub(p, hub, r, wait_ms);
	if (wait_ms >= 0)
		*again_ms = min_i64(*again_ms, clock_ms() + wait_ms);
	if (r < 0) {
		log_debug("no digest list of etag=%s hub=%s: %s", what->etag,
			  hub_name(p->hubs[hub]), err_text(r));
		return false;
	}
	if (!may_ask(p, hub)) /* meanwhile it was refuted */
		return false;
	evidence_learn(p->evidence, what->etag, l, EVIDENCE_PUBLISHED);
	return true;
}

/* The number of the hub that has the list, or p->count. */
static unsigned ask_hubs(struct published *p, const struct source_blob *what,
			 struct httpc_cancel *cancel, int64_t *again_ms)
{
	int64_t before = cancel->patience_ms;
	unsigned i = 0;

	cancel->patience_ms = PUBLISHED_WAIT_MS;
	*again_ms = clock_ms() + PUBLISHED_RETRY_MS;
	while (i < p->count && !(may_ask(p, i) && ask_hub(p, i, what, cancel, again_ms)))
		i = cancel->canceled ? p->count : i + 1;
	cancel->patience_ms = before;
	return i;
}

/* ---- blobs ---- */

/* The place of a blob, or of the one that was asked for longest ago; NULL if all are being asked
 * for. */
static struct look *place_locked(struct published *p, const char *etag)
{
	struct look *oldest = NULL;

	for (struct look *l = p->looks; l < p->looks + LOOKS_MAX; l++) {
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
static void wait_locked(struct published *p, const char *etag)
{
	int64_t until = clock_ms() + PUBLISHED_WAIT_MS;
	const struct look *l = place_locked(p, etag);

	while (l && l->asking && !l->found && clock_ms() < until) {
		cond_wait(&p->answered, &p->lock, until);
		l = place_locked(p, etag);
	}
}

static bool is_remembered(struct published *p, const struct source_blob *what)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	return evidence_knows(p->evidence, what->etag, 0, digest) == EVIDENCE_PUBLISHED;
}

/* What came of asking. Whose list is as it was before is accused of what it was before; who was
 * stopped has found out nothing. */
static void note_locked(struct published *p, struct look *l, unsigned hub, int64_t again_ms)
{
	l->asking = false; /* its place was its own meanwhile */
	if (hub < p->count && (!l->found || l->hub != hub))
		l->accused_count = l->against_count = 0;
	if (hub < p->count) {
		l->found = true;
		l->refuted = false;
		l->hub = hub;
		again_ms = clock_ms() + PUBLISHED_KEPT_MS;
	}
	l->again_ms = again_ms;
	cond_wake_all(&p->answered);
}

/* A list that is there stays while its hub does not answer. */
static bool ask_for(struct published *p, struct look *l, const struct source_blob *what,
		    struct httpc_cancel *cancel)
{
	int64_t again_ms;
	unsigned hub = ask_hubs(p, what, cancel, &again_ms);
	bool found;

	lock_take(&p->lock);
	note_locked(p, l, hub, cancel->canceled ? 0 : again_ms);
	found = l->found && is_remembered(p, what);
	lock_drop(&p->lock);
	if (hub < p->count && p->came)
		p->came(p->arg, what);
	return found;
}

bool published_look(struct published *p, const struct source_blob *what,
		    struct httpc_cancel *cancel)
{
	struct look *l;
	bool found, ask;

	lock_take(&p->lock);
	wait_locked(p, what->etag);
	l = place_locked(p, what->etag);
	if (l && l->found && !is_remembered(p, what)) {
		l->found = false;
		l->again_ms = 0;
	}
	found = l && l->found;
	ask = l && !l->asking && l->again_ms <= clock_ms();
	if (l)
		l->used = ++p->clock;
	if (ask)
		l->asking = true;
	lock_drop(&p->lock);
	return ask ? ask_for(p, l, what, cancel) : found;
}

/* ---- lists that are wrong ---- */

static struct look *found_locked(struct published *p, const char *etag)
{
	for (struct look *l = p->looks; l < p->looks + LOOKS_MAX; l++)
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

bool published_contradicted(struct published *p, const char *etag, uint32_t i, const char *member)
{
	uint64_t key = placement_key(member);
	bool doubted = false;
	struct look *l;

	lock_take(&p->lock);
	l = found_locked(p, etag);
	if (l) {
		if (l->chunk != i)
			l->against_count = 0;
		l->chunk = i;
		add_key(l->accused, &l->accused_count, ACCUSED_MAX, key);
		add_key(l->against, &l->against_count, PUBLISHED_DOUBTED, key);
		doubted = l->against_count == PUBLISHED_DOUBTED;
	}
	lock_drop(&p->lock);
	return doubted;
}

bool published_is_refuted(struct published *p, const char *etag)
{
	bool so = false;

	lock_take(&p->lock);
	for (const struct look *l = p->looks; !so && l < p->looks + LOOKS_MAX; l++)
		so = l->refuted && strcmp(l->etag, etag) == 0;
	lock_drop(&p->lock);
	return so;
}

static unsigned forgive(struct members *m, const struct look *l)
{
	const struct membership *members = members_now(m);
	unsigned forgiven = 0;

	for (unsigned i = 0; i < l->accused_count; i++) {
		int at = placement_find(members->nodes, members->count, l->accused[i]);

		if (at >= 0)
			forgiven += members_forgive(m, member_address(members->members[at]));
	}
	membership_unref(members);
	return forgiven;
}

void published_refute(struct published *p, struct members *m, const char *etag, uint32_t i,
		      const char *by)
{
	struct look was = { 0 }, *l;

	lock_take(&p->lock);
	l = found_locked(p, etag);
	if (l) {
		was = *l;
		l->found = false;
		l->refuted = true;
		l->again_ms = 0; /* another hub may have a right one */
		p->refuted_until_ms[l->hub] = clock_ms() + PUBLISHED_STRANGER_MS;
	}
	lock_drop(&p->lock);
	evidence_unlearn(p->evidence, etag);
	if (was.found)
		log_warn(
			ERR_DIGEST,
			"hub=%s published a wrong digest list etag=%s chunk=%u, as %s shows: it is "
			"forgotten, and %u peers are not banned for it any more",
			hub_name(p->hubs[was.hub]), etag, i, by, forgive(m, &was));
}
