/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/verify_queue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/lru.h"
#include "daemon/base/map.h"
#include "daemon/base/num.h"
#include "daemon/base/wait.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/verify_thread.h"

#define LOOK_MS 200   /* whether all of a segment is there is looked at so often */
#define QUIET_MS 2000 /* of what comes no further, what is there is compared */
#define BUSY_MS 500   /* an owner that finds out is asked again so much later, then twice that */
#define BUSY_MAX_MS 4000
#define TRIES 3
#define REST_MS 100      /* likewise one that finds out what it holds, but BUSY_MS at most, */
#define REST_DOUBLED 3   /* after so many */
#define OWN_TRIES 4      /* of one that gave of it itself; then witnesses are asked */
#define WITNESS_TRIES 16 /* what a hub gives a witness may take its time */
#define NICE 10          /* readers come first */

/* A segment of which members gave something. */
struct part {
	struct verify_queue *all;
	struct lru_link link;
	char key[DIGEST_HEX_MAX + sizeof(":4294967295")];
	struct source_blob what; /* its path is owned */
	uint32_t segment;
	struct wire_digests told; /* by its owner: the thread's, like all until the lock's */
	uint64_t told_by;         /* the key of its address */
	struct digest_questions_held held; /* by those who gave of it */
	unsigned rests;                    /* for one of those, in a row */
	unsigned tries;
	bool disputed; /* it was once, and who gave it stood by it */
	bool stalled;  /* who should have told gave of it, and was still finding out */
	/* Guarded by the lock of all. */
	int64_t came_ms; /* the last of it */
	bool fresh;      /* that was after it was compared */
	bool queued;     /* the thread has it, or will */
	bool gone;       /* nobody finds it any more */
};

struct verify_queue {
	struct verify_queue_conf conf; /* set once, before there is a thread */
	struct verify_thread thread;
	/* Guarded by the thread's lock. */
	struct map by_key;
	struct lru by_age; /* of parts, made longest ago first */
	unsigned count;
	struct {
		uint64_t owner;
		int64_t until_ms;
	} refuted[VERIFY_QUEUE_REFUTED];
	unsigned refuted_count;
};

/* ---- what waits ---- */

static struct part *oldest_locked(const struct verify_queue *q)
{
	return lru_item(q->by_age.oldest, struct part, link);
}

static struct part *newer_locked(const struct part *p)
{
	return lru_item(p->link.newer, struct part, link);
}

static void free_locked(struct part *p)
{
	struct verify_queue *q = p->all;

	lru_remove(&q->by_age, &p->link);
	q->count--;
	digest_questions_forget_held(&p->held);
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
static bool make_room_locked(struct verify_queue *q)
{
	struct part *p = oldest_locked(q);

	while (p && p->queued)
		p = newer_locked(p);
	if (q->count >= VERIFY_QUEUE_MAX && p)
		leave_locked(p);
	return q->count < VERIFY_QUEUE_MAX;
}

static void write_key(const char *etag, uint32_t segment, char *ret, size_t size)
{
	snprintf(ret, size, "%.*s:%u", DIGEST_HEX_MAX, etag, segment);
}

/* NULL: too many wait, or there is no memory. */
static struct part *add_locked(struct verify_queue *q, const struct source_blob *what,
			       uint32_t segment)
{
	struct part *p = make_room_locked(q) ? calloc(1, sizeof(*p)) : NULL;

	if (!p)
		return NULL;
	p->all = q;
	p->what = *what;
	p->what.path = strdup(what->path);
	p->segment = segment;
	write_key(what->etag, segment, p->key, sizeof(p->key));
	if (!p->what.path || map_put_str(&q->by_key, p->key, p) < 0) {
		free((void *)(uintptr_t)p->what.path);
		free(p);
		return NULL;
	}
	lru_add(&q->by_age, &p->link);
	q->count++;
	return p;
}

/* ---- comparing ---- */

/* True if a hub tells everybody what chunk i must be. What comes from then on is compared
 * when it comes. */
static bool is_published(const struct verify_queue *q, const char *etag, uint32_t i)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	return provenance_knows(q->conf.verify->provenance, etag, i, digest) ==
	       PROVENANCE_PUBLISHED;
}

static void moved(UNUSED void *arg)
{
}

/* What an owner said was not so, or it lies alone with all others: nobody can tell. To ask it on
 * would cost a witness each time. */
static void note_refuted(struct verify_queue *q, const char *owner)
{
	unsigned i;

	lock_take(&q->thread.lock);
	i = q->refuted_count++ % VERIFY_QUEUE_REFUTED;
	q->refuted[i].owner = placement_key(owner);
	q->refuted[i].until_ms = clock_ms() + VERIFY_QUEUE_REFUTED_MS;
	lock_drop(&q->thread.lock);
	log_info(
		"peer=%s vouched for digests that others contradict: it is not asked for some time",
		owner);
}

static bool is_refuted(struct verify_queue *q, const char *owner)
{
	bool so = false;

	lock_take(&q->thread.lock);
	for (unsigned i = 0; i < VERIFY_QUEUE_REFUTED; i++)
		so |= q->refuted[i].owner == placement_key(owner) &&
		      q->refuted[i].until_ms > clock_ms();
	lock_drop(&q->thread.lock);
	return so;
}

/* True if it is out of reach. Who is banned can still say what it had. */
static bool is_away(struct verify_queue *q, const struct member *m)
{
	return member_is_doubted(m) &&
	       (!member_is_banned(m, clock_ms()) || is_refuted(q, member_address(m)));
}

/* The owner of the segment, or who follows it where it is not there. False: that is this node, or
 * nobody who can be asked. */
static bool find_owner(const struct part *p, char ret[static MEMBER_ADDRESS_MAX + 1])
{
	const struct verify_conf *conf = p->all->conf.verify;
	const struct membership *members = members_now(conf->members);
	const struct segment segment = { placement_key(p->what.etag), p->segment };
	uint32_t owners[PLACEMENT_OWNERS];
	unsigned n = placement_cache_owners(conf->placement, members, segment, p->what.file.size,
					    owners);
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

static enum verify_time time_of(const struct part *p)
{
	return p->stalled ? VERIFY_STALLED : p->disputed ? VERIFY_LAST : VERIFY_FIRST;
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
	const struct verify_queue_conf *conf = &p->all->conf;
	struct verify_compared c = { .told = p->told, .held = p->held };
	const struct doubt d = {
		.what = &p->what,
		.blob = fetch_blob(pull),
		.cancel = verify_thread_take_cancel(&p->all->thread),
		.moved = moved,
	};
	int r;

	if (p->told_by != placement_key(owner)) /* it vouches for nothing that another said */
		c.told = (struct wire_digests){ 0 };
	p->told_by = placement_key(owner);
	r = verify_segment(conf->verify, &d, p->segment, owner, time_of(p), &c);
	verify_thread_give_cancel(&p->all->thread, d.cancel);
	p->told = c.told;
	if (!c.waits) /* what they say next time may be another thing */
		digest_questions_forget_held(&c.held);
	p->held = c.held;
	p->disputed = c.open && !c.waits;
	if (c.dropped)
		fetch_lost(conf->fetch, pull, chunk_of(segment_start(p->segment)), c.dropped);
	if (c.refuted && !c.dropped)
		note_refuted(p->all, owner);
	if (r == -EAGAIN)
		return wait_for_owner(p, c.own);
	if (c.waits)
		return min_i64(REST_MS << min_u64(p->rests++, REST_DOUBLED), BUSY_MS);
	p->rests = 0;
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
	const struct verify_queue_conf *conf = &p->all->conf;
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
	members = members_now(p->all->conf.verify->members);
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

/* ---- the threads ---- */

static bool is_due(struct part *p)
{
	uint32_t first = chunk_of(segment_start(p->segment));
	uint64_t end = segment_end(p->segment, p->what.file.size);
	bool due;

	lock_take(&p->all->thread.lock);
	due = p->tries || p->rests || clock_ms() - p->came_ms >= QUIET_MS;
	lock_drop(&p->all->thread.lock);
	return due || provenance_whole(p->all->conf.verify->provenance, p->what.etag, first,
				       chunk_of(end - 1) + 1);
}

static void work(void *arg, uint64_t number);

/* Too many wait: then it is left to the digest of the whole. */
static void queue_locked(struct part *p, int64_t delay_ms)
{
	const struct work job = { .fn = work, .arg = p, .delay_ms = delay_ms };

	p->queued = verify_thread_add_locked(&p->all->thread, &job);
}

static bool is_wanted(struct part *p, bool due)
{
	bool wanted;

	lock_take(&p->all->thread.lock);
	wanted = due && !p->gone;
	if (wanted)
		p->fresh = false;
	lock_drop(&p->all->thread.lock);
	return wanted;
}

static void work(void *arg, uint64_t number UNUSED)
{
	struct part *p = arg;
	struct verify_queue *q = p->all;
	bool due = is_due(p);
	int64_t again_ms = due ? 0 : LOOK_MS;

	thread_be_nice(NICE);
	if (is_wanted(p, due))
		again_ms = compare(p);
	lock_take(&q->thread.lock);
	p->queued = false;
	if (!again_ms) { /* what comes now is tried as often, and waited for */
		p->tries = p->rests = 0;
		p->stalled = false;
		digest_questions_forget_held(&p->held);
	}
	if (p->gone)
		free_locked(p);
	else if (again_ms || p->fresh)
		queue_locked(p, again_ms ? again_ms : LOOK_MS);
	lock_drop(&q->thread.lock);
}

/* ---- from outside ---- */

static bool is_started(struct verify_queue *q)
{
	bool so;

	lock_take(&q->thread.lock);
	so = q->thread.workers;
	lock_drop(&q->thread.lock);
	return so;
}

static void note(struct verify_queue *q, const struct source_blob *what, uint32_t segment)
{
	char key[sizeof(((struct part *)0)->key)];
	struct part *p;

	write_key(what->etag, segment, key, sizeof(key));
	lock_take(&q->thread.lock);
	p = map_find_str(&q->by_key, key);
	if (!p && q->thread.workers)
		p = add_locked(q, what, segment);
	if (p) {
		p->came_ms = clock_ms();
		p->fresh = true;
	}
	if (p && !p->queued)
		queue_locked(p, LOOK_MS);
	lock_drop(&q->thread.lock);
}

void verify_queue_came(struct verify_queue *q, const struct source_blob *what, uint32_t i)
{
	if (is_started(q) && !is_published(q, what->etag, i))
		note(q, what, segment_of(chunk_start(i)));
}

void verify_queue_listed(struct verify_queue *q, const struct source_blob *what)
{
	uint32_t count = is_started(q) ? chunk_count(what->file.size) : 0, segment;

	for (uint32_t i = 0; i < count; i = chunk_of(segment_start(segment + 1))) {
		i = provenance_next_given(q->conf.verify->provenance, what->etag, i);
		if (i >= count)
			break;
		segment = segment_of(chunk_start(i));
		note(q, what, segment);
	}
}

void verify_queue_forget(struct verify_queue *q, const char *etag)
{
	struct part *next;

	lock_take(&q->thread.lock);
	for (struct part *p = oldest_locked(q); p; p = next) {
		next = newer_locked(p);
		if (!p->gone && strcmp(p->what.etag, etag) == 0)
			leave_locked(p);
	}
	lock_drop(&q->thread.lock);
}

int verify_queue_new(struct verify_queue **ret)
{
	struct verify_queue *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	verify_thread_init(&q->thread, LOCK_VERIFY_QUEUE);
	*ret = q;
	return 0;
}

int verify_queue_start(struct verify_queue *q, const struct verify_queue_conf *conf)
{
	q->conf = *conf;
	return verify_thread_start(&q->thread, "mfs-verify", VERIFY_THREADS, VERIFY_QUEUE_MAX,
				   conf->http);
}

bool verify_queue_stop(struct verify_queue *q)
{
	return verify_thread_stop(&q->thread);
}

void verify_queue_free(struct verify_queue *q)
{
	if (!q)
		return;
	lock_take(&q->thread.lock);
	while (q->by_age.oldest)
		free_locked(oldest_locked(q));
	lock_drop(&q->thread.lock);
	map_fini(&q->by_key);
	verify_thread_fini(&q->thread);
	free(q);
}
