/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/assay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/map.h"
#include "daemon/base/num.h"
#include "daemon/base/wait.h"
#include "daemon/base/workers.h"
#include "daemon/cache/chunk.h"

#define LOOK_MS 200   /* whether all of a segment is there is looked at so often */
#define QUIET_MS 2000 /* of what comes no further, what is there is compared */
#define BUSY_MS 500   /* an owner that finds out is asked again so much later, then twice that */
#define BUSY_MAX_MS 4000
#define TRIES 3
#define OWN_TRIES 4      /* of one that gave of it itself; then witnesses are asked */
#define WITNESS_TRIES 16 /* what a hub gives a witness may take its time */
#define STOP_MS 2000
#define NICE 10 /* readers come first */

/* A segment of which members gave something. */
struct part {
	struct assay *all;
	struct part *newer, **older; /* in a list, made longest ago first */
	char key[DIGEST_HEX_MAX + sizeof(":4294967295")];
	struct source_blob what; /* its path is owned */
	uint32_t segment;
	struct wire_digests told; /* by its owner: the thread's, like all until the lock's */
	uint64_t told_by;         /* the key of its address */
	unsigned tries;
	bool disputed; /* it was once, and who gave it stood by it */
	bool stalled;  /* who should have told gave of it, and was still finding out */
	/* Guarded by the lock of all. */
	int64_t came_ms; /* the last of it */
	bool fresh;      /* that was after it was compared */
	bool queued;     /* the thread has it, or will */
	bool gone;       /* nobody finds it any more */
};

struct assay {
	struct assay_conf conf; /* set once, before there is a thread */
	struct httpc_cancel cancel;
	struct lock lock;
	/* Guarded by lock. */
	struct workers *workers; /* one thread; NULL: it compares nothing */
	struct map by_key;
	struct part *oldest, **newest;
	unsigned count;
	struct {
		uint64_t owner;
		int64_t until_ms;
	} refuted[ASSAY_REFUTED];
	unsigned refuted_count;
};

/* ---- what waits ---- */

static void free_locked(struct part *p)
{
	struct assay *a = p->all;

	*p->older = p->newer;
	if (p->newer)
		p->newer->older = p->older;
	else
		a->newest = p->older;
	a->count--;
	free((void *)(uintptr_t)p->what.path);
	free(p);
}

/* Nobody finds it; it is freed once the thread has done with it. */
static void leave_locked(struct part *p)
{
	if (!p->gone)
		map_del_str(&p->all->by_key, p->key);
	p->gone = true;
	if (!p->queued)
		free_locked(p);
}

/* True if another one may wait. */
static bool make_room_locked(struct assay *a)
{
	struct part *p = a->oldest;

	while (p && p->queued)
		p = p->newer;
	if (a->count >= ASSAY_MAX && p)
		leave_locked(p);
	return a->count < ASSAY_MAX;
}

static void write_key(const char *etag, uint32_t segment, char *ret, size_t size)
{
	snprintf(ret, size, "%.*s:%u", DIGEST_HEX_MAX, etag, segment);
}

/* NULL: too many wait, or there is no memory. */
static struct part *add_locked(struct assay *a, const struct source_blob *what, uint32_t segment)
{
	struct part *p = make_room_locked(a) ? calloc(1, sizeof(*p)) : NULL;

	if (!p)
		return NULL;
	p->all = a;
	p->what = *what;
	p->what.path = strdup(what->path);
	p->segment = segment;
	write_key(what->etag, segment, p->key, sizeof(p->key));
	if (!p->what.path || map_put_str(&a->by_key, p->key, p) < 0) {
		free((void *)(uintptr_t)p->what.path);
		free(p);
		return NULL;
	}
	p->older = a->newest;
	*a->newest = p;
	a->newest = &p->newer;
	a->count++;
	return p;
}

/* ---- comparing ---- */

/* True if a hub tells everybody what chunk i must be. What comes from then on is compared
 * when it comes. */
static bool is_published(const struct assay *a, const char *etag, uint32_t i)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	return evidence_knows(a->conf.trials->evidence, etag, i, digest) == EVIDENCE_PUBLISHED;
}

static void moved(UNUSED void *arg)
{
}

/* What an owner said was not so, or it lies alone with all others: nobody can tell. To ask it on
 * would cost a witness each time. */
static void note_refuted(struct assay *a, const char *owner)
{
	unsigned i;

	lock_take(&a->lock);
	i = a->refuted_count++ % ASSAY_REFUTED;
	a->refuted[i].owner = placement_key(owner);
	a->refuted[i].until_ms = clock_ms() + ASSAY_REFUTED_MS;
	lock_drop(&a->lock);
	log_info(
		"peer=%s vouched for digests that others contradict: it is not asked for some time",
		owner);
}

static bool is_refuted(struct assay *a, const char *owner)
{
	bool so = false;

	lock_take(&a->lock);
	for (unsigned i = 0; i < ASSAY_REFUTED; i++)
		so |= a->refuted[i].owner == placement_key(owner) &&
		      a->refuted[i].until_ms > clock_ms();
	lock_drop(&a->lock);
	return so;
}

/* True if it is out of reach. Who is banned can still say what it had. */
static bool is_away(struct assay *a, const struct member *m)
{
	return member_is_doubted(m) &&
	       (!member_is_banned(m, clock_ms()) || is_refuted(a, member_address(m)));
}

/* The owner of the segment, or who follows it where it is not there. False: that is this node, or
 * nobody who can be asked. */
static bool find_owner(const struct part *p, char ret[static MEMBER_ADDRESS_MAX + 1])
{
	const struct trial_conf *conf = p->all->conf.trials;
	const struct membership *members = members_now(conf->members);
	const struct segment segment = { placement_key(p->what.etag), p->segment };
	uint32_t owners[PLACEMENT_OWNERS];
	unsigned n = places_owners(conf->places, members, segment, p->what.file.size, owners);
	unsigned i = 0;

	while (i < n && owners[i] != members->self && is_away(p->all, members->members[owners[i]]))
		i++;
	*ret = '\0';
	if (i < n && owners[i] != members->self)
		snprintf(ret, MEMBER_ADDRESS_MAX + 1, "%s",
			 member_address(members->members[owners[i]]));
	membership_unref(members);
	return *ret && !is_refuted(p->all, ret);
}

static int64_t busy_ms(struct part *p, unsigned tries)
{
	return ++p->tries < tries ? min_i64(BUSY_MS << p->tries, BUSY_MAX_MS) : 0;
}

static enum inquiry_time time_of(const struct part *p)
{
	return p->stalled ? INQUIRY_STALLED : p->disputed ? INQUIRY_LAST : INQUIRY_FIRST;
}

/* The owner does not say what it had. If it may have something to hide that counts for nothing. */
static int64_t wait_for_owner(struct part *p, bool own)
{
	int64_t again_ms = p->stalled ? 0 : busy_ms(p, own ? OWN_TRIES : TRIES);

	if (again_ms || p->stalled || !own)
		return again_ms;
	p->stalled = true;
	p->tries = 0;
	return BUSY_MS;
}

/* In how many ms it is to be tried again; 0: it need not. */
static int64_t compare_with(struct part *p, struct pull *pull, const char *owner)
{
	const struct assay_conf *conf = &p->all->conf;
	struct inquiry_compared c = { .told = p->told };
	const struct doubt d = {
		.what = &p->what,
		.blob = fetch_blob(pull),
		.cancel = &p->all->cancel,
		.moved = moved,
	};
	int r;

	if (p->told_by != placement_key(owner)) /* it vouches for nothing that another said */
		c.told = (struct wire_digests){ 0 };
	p->told_by = placement_key(owner);
	r = inquiry_compare(conf->trials, &d, p->segment, owner, time_of(p), &c);
	p->told = c.told;
	p->disputed = c.open;
	if (c.dropped)
		fetch_lost(conf->fetch, pull, chunk_of(segment_start(p->segment)), c.dropped);
	if (c.refuted && !c.dropped)
		note_refuted(p->all, owner);
	if (r == -EAGAIN)
		return wait_for_owner(p, c.own);
	return c.open ? busy_ms(p, WITNESS_TRIES) : 0;
}

/* The digest of the whole has told, or is not needed any more. */
static bool is_over(struct pull *pull)
{
	const struct waiter guest = { .only = 1 };

	return blob_is_sealed(fetch_blob(pull)) || !fetch_shows(pull, &guest);
}

/* The handle of its blob, if something of that is here. */
static struct pull *open_blob(const struct part *p)
{
	const struct assay_conf *conf = &p->all->conf;
	struct pull *pull;
	uint64_t size;

	if (store_blob_size(conf->store, p->what.etag, &size) < 0 || size != p->what.file.size)
		return NULL;
	return fetch_open_for_guest(conf->fetch, &p->what, &pull) < 0 ? NULL : pull;
}

/* Nobody needs to be asked for what a hub has published. */
static bool find_voucher(const struct part *p, char ret[static MEMBER_ADDRESS_MAX + 1])
{
	const struct membership *members;

	if (!is_published(p->all, p->what.etag, chunk_of(segment_start(p->segment))))
		return find_owner(p, ret);
	members = members_now(p->all->conf.trials->members);
	snprintf(ret, MEMBER_ADDRESS_MAX + 1, "%s",
		 member_address(members->members[members->self]));
	membership_unref(members);
	return true;
}

/* As compare_with() answers. */
static int64_t compare(struct part *p)
{
	char owner[MEMBER_ADDRESS_MAX + 1];
	struct pull *pull = find_voucher(p, owner) ? open_blob(p) : NULL;
	int64_t again_ms;

	if (!pull)
		return 0;
	again_ms = is_over(pull) ? 0 : compare_with(p, pull, owner);
	fetch_close(p->all->conf.fetch, pull);
	return again_ms;
}

/* ---- the thread ---- */

static bool is_due(struct part *p)
{
	uint32_t first = chunk_of(segment_start(p->segment));
	uint64_t end = segment_end(p->segment, p->what.file.size);
	bool due;

	lock_take(&p->all->lock);
	due = p->tries || clock_ms() - p->came_ms >= QUIET_MS;
	lock_drop(&p->all->lock);
	return due || evidence_whole(p->all->conf.trials->evidence, p->what.etag, first,
				     chunk_of(end - 1) + 1);
}

static void work(void *arg, uint64_t number);

/* Too many wait: then it is left to the digest of the whole. */
static void queue_locked(struct part *p, int64_t delay_ms)
{
	const struct work job = { .fn = work, .arg = p, .delay_ms = delay_ms };

	p->queued = p->all->workers && workers_add(p->all->workers, &job) == 0;
}

static bool is_wanted(struct part *p, bool due)
{
	bool wanted;

	lock_take(&p->all->lock);
	wanted = due && !p->gone;
	if (wanted)
		p->fresh = false;
	lock_drop(&p->all->lock);
	return wanted;
}

static void work(void *arg, uint64_t number UNUSED)
{
	struct part *p = arg;
	struct assay *a = p->all;
	bool due = is_due(p);
	int64_t again_ms = due ? 0 : LOOK_MS;

	thread_be_nice(NICE);
	if (is_wanted(p, due))
		again_ms = compare(p);
	lock_take(&a->lock);
	p->queued = false;
	if (!again_ms) { /* what comes now is tried as often, and waited for */
		p->tries = 0;
		p->stalled = false;
	}
	if (p->gone)
		free_locked(p);
	else if (again_ms || p->fresh)
		queue_locked(p, again_ms ? again_ms : LOOK_MS);
	lock_drop(&a->lock);
}

/* ---- from outside ---- */

static bool is_started(struct assay *a)
{
	bool so;

	lock_take(&a->lock);
	so = a->workers;
	lock_drop(&a->lock);
	return so;
}

static void note(struct assay *a, const struct source_blob *what, uint32_t segment)
{
	char key[sizeof(((struct part *)0)->key)];
	struct part *p;

	write_key(what->etag, segment, key, sizeof(key));
	lock_take(&a->lock);
	p = map_find_str(&a->by_key, key);
	if (!p && a->workers)
		p = add_locked(a, what, segment);
	if (p) {
		p->came_ms = clock_ms();
		p->fresh = true;
	}
	if (p && !p->queued)
		queue_locked(p, LOOK_MS);
	lock_drop(&a->lock);
}

void assay_came(struct assay *a, const struct source_blob *what, uint32_t i)
{
	if (is_started(a) && !is_published(a, what->etag, i))
		note(a, what, segment_of(chunk_start(i)));
}

/* Members gave something of it. */
static bool is_given(const struct assay *a, const struct source_blob *what, uint32_t segment)
{
	uint32_t end = chunk_of(segment_end(segment, what->file.size) - 1) + 1;
	char who[MEMBER_ADDRESS_MAX + 1];
	bool so = false;

	for (uint32_t i = chunk_of(segment_start(segment)); !so && i < end; i++)
		so = evidence_giver(a->conf.trials->evidence, what->etag, i, who) ==
		     EVIDENCE_MEMBER;
	return so;
}

void assay_listed(struct assay *a, const struct source_blob *what)
{
	uint32_t count = is_started(a) ? segment_count(what->file.size) : 0;

	for (uint32_t k = 0; k < count; k++)
		if (is_given(a, what, k))
			note(a, what, k);
}

void assay_forget(struct assay *a, const char *etag)
{
	struct part *next;

	lock_take(&a->lock);
	for (struct part *p = a->oldest; p; p = next) {
		next = p->newer;
		if (!p->gone && strcmp(p->what.etag, etag) == 0)
			leave_locked(p);
	}
	lock_drop(&a->lock);
}

int assay_new(struct assay **ret)
{
	struct assay *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->newest = &a->oldest;
	lock_init(&a->lock, LOCK_ASSAY);
	*ret = a;
	return 0;
}

int assay_start(struct assay *a, const struct assay_conf *conf)
{
	const struct workers_conf workers = { "mfs-assay", 1, ASSAY_MAX, true };
	struct workers *w;
	int r = workers_start(&workers, &w);

	if (r < 0)
		return r;
	a->conf = *conf;
	lock_take(&a->lock);
	a->workers = w;
	lock_drop(&a->lock);
	return 0;
}

bool assay_stop(struct assay *a)
{
	struct workers *w;

	lock_take(&a->lock);
	w = steal(a->workers);
	lock_drop(&a->lock);
	if (!w)
		return true;
	httpc_cancel(a->conf.http, &a->cancel);
	return workers_stop(w, clock_ms() + STOP_MS);
}

void assay_free(struct assay *a)
{
	if (!a)
		return;
	lock_take(&a->lock);
	while (a->oldest)
		free_locked(a->oldest);
	lock_drop(&a->lock);
	map_fini(&a->by_key);
	lock_fini(&a->lock);
	free(a);
}
