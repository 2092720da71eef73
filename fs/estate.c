/* SPDX-License-Identifier: Apache-2.0 */
/* A file in memory, mapped at one address for good: a head, and records one behind the other, each
 * with a head of its own. The number of a record is where it lies, in units of 16 bytes. What is
 * taken away stays as a record of nothing, and is used again by one of the same class: that of the
 * sizes up to 1 KiB in steps of a unit, and of powers of two above. */
#include "fs/estate.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/base/err.h"
#include "daemon/base/lock.h"

#define MAGIC UINT64_C(0x5441545345534d46) /* "FMSESTAT" */
#define UNIT 16
#define ROOM (UINT64_C(64) << 30) /* of addresses: what 32 bits number */
#define STEP (UINT64_C(1) << 20)  /* by which the file grows */
#define SMALL 64                  /* units */
#define LARGE (64 << 10)          /* bytes whose memory is given back when they go */
#define CLASSES (SMALL + 32)

struct head {
	uint64_t magic;
	uint32_t version, unused;
	_Atomic uint64_t end; /* of the last record, in bytes */
	uint64_t reserved[5];
};

struct record {
	uint32_t units; /* with this head */
	_Atomic uint32_t kind;
	uint32_t len;  /* of what it holds */
	uint32_t next; /* of nothing: the next in its class; this process's alone */
};

static_assert(sizeof(struct head) % UNIT == 0 && sizeof(struct record) == UNIT, "layout");

struct estate {
	struct lock lock;
	int fd;
	uint8_t *base;
	atomic_bool left; /* what is here is this process's own */
	/* Guarded by lock. */
	uint64_t size;
	bool aside;             /* the file is the next process's */
	uint32_t free[CLASSES]; /* numbers of records */
};

static struct head *head_of(const struct estate *e)
{
	return (struct head *)(void *)e->base;
}

static struct record *record_at(const struct estate *e, uint32_t id)
{
	return (struct record *)(void *)(e->base + (uint64_t)id * UNIT);
}

static uint64_t end_of(const struct estate *e)
{
	return atomic_load(&head_of(e)->end);
}

/* ---- the whole ---- */

/* A core would be as large as the room, and take the time of reading it; and have secrets in it.
 */
static void keep_from_cores(void *at, uint64_t len)
{
	madvise(at, len, MADV_DONTDUMP);
}

static int map(struct estate *e)
{
	void *at = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, e->fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	keep_from_cores(at, ROOM);
	e->base = at;
	return 0;
}

/* Takes the descriptor. */
static int estate_on(int fd, struct estate **ret)
{
	struct estate *e = calloc(1, sizeof(*e));
	int r = e ? 0 : -ENOMEM;

	if (!e) {
		close(fd);
		return r;
	}
	lock_init(&e->lock, LOCK_ESTATE);
	e->fd = fd;
	r = map(e);
	if (r < 0) {
		estate_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void estate_free(struct estate *e)
{
	if (!e)
		return;
	if (e->base)
		munmap(e->base, ROOM);
	closep(&e->fd);
	lock_fini(&e->lock);
	free(e);
}

int estate_fd(const struct estate *e)
{
	return e->fd;
}

/* Behind what was left, in memory of this process alone. */
static int grow_aside(struct estate *e, uint64_t size)
{
	void *at = mmap(e->base + e->size, size - e->size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	keep_from_cores(at, size - e->size);
	return 0;
}

static int grow_locked(struct estate *e, uint64_t size)
{
	int r = 0;

	size = (size + STEP - 1) / STEP * STEP;
	if (size > ROOM)
		return -ENOMEM;
	if (size <= e->size)
		return 0;
	if (e->aside)
		r = grow_aside(e, size);
	else if (ftruncate(e->fd, (off_t)size) < 0)
		r = -errno;
	if (r == 0)
		e->size = size;
	return r;
}

int estate_new(struct estate **ret)
{
	int fd = memfd_create("matrixfs-estate", MFD_CLOEXEC);
	struct estate *e;
	int r;

	if (fd < 0)
		return -errno;
	r = estate_on(fd, &e);
	if (r < 0)
		return r;
	lock_take(&e->lock);
	r = grow_locked(e, sizeof(struct head));
	lock_drop(&e->lock);
	if (r < 0) {
		estate_free(e);
		return r;
	}
	atomic_store(&head_of(e)->end, sizeof(struct head));
	head_of(e)->version = ESTATE_VERSION;
	head_of(e)->magic = MAGIC;
	*ret = e;
	return 0;
}

/* A private copy of what there is, page by page as this process writes: of no more, since it counts
 * as memory where none is promised that is not there (vm.overcommit_memory = 2). Made beside it and
 * then moved, so that there is one of the two at any time, also for other threads. The rest is
 * nobody's any more. */
static int leave_locked(struct estate *e)
{
	void *at = mmap(NULL, e->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, e->fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	keep_from_cores(at, e->size);
	if (mremap(at, e->size, e->size, MREMAP_MAYMOVE | MREMAP_FIXED, e->base) == MAP_FAILED) {
		int r = -errno;

		munmap(at, e->size);
		return r;
	}
	e->aside = true;
	if (e->size < ROOM)
		mprotect(e->base + e->size, ROOM - e->size, PROT_NONE);
	return 0;
}

int estate_leave(struct estate *e)
{
	int r = 0;

	if (!e)
		return 0;
	lock_take(&e->lock);
	e->left = true; /* before it is so: what is given back is gone for all */
	if (!e->aside)
		r = leave_locked(e);
	lock_drop(&e->lock);
	return r;
}

/* ---- records ---- */

static unsigned class_of(uint32_t units)
{
	return units <= SMALL ? units - 1 : SMALL + 31 - (unsigned)__builtin_clz(units);
}

/* Of a record for so many bytes; 0: no record is that large. */
static uint32_t units_for(size_t len)
{
	uint64_t units = 1 + ((uint64_t)len + UNIT - 1) / UNIT, most = UINT32_C(1) << 28;

	if (units > most)
		return 0;
	if (units <= SMALL)
		return (uint32_t)units;
	return UINT32_C(1) << (32 - __builtin_clz((uint32_t)units - 1));
}

static void put_free_locked(struct estate *e, uint32_t id)
{
	struct record *r = record_at(e, id);
	uint32_t *first = &e->free[class_of(r->units)];

	r->next = *first;
	*first = id;
}

static uint32_t take_free_locked(struct estate *e, uint32_t units)
{
	uint32_t *first = &e->free[class_of(units)], id = *first;

	if (id)
		*first = record_at(e, id)->next;
	return id;
}

/* One at the end, of nothing yet. */
static int append_locked(struct estate *e, uint32_t units, uint32_t *ret)
{
	uint64_t at = end_of(e), end = at + (uint64_t)units * UNIT;
	int r = grow_locked(e, end);

	if (r < 0)
		return r;
	*ret = (uint32_t)(at / UNIT);
	record_at(e, *ret)->units = units;
	atomic_store(&record_at(e, *ret)->kind, ESTATE_NOTHING);
	atomic_store(&head_of(e)->end, end);
	return 0;
}

int estate_add(struct estate *e, enum estate_kind kind, const void *data, size_t len, uint32_t *ret)
{
	uint32_t units = units_for(len), id = 0;
	struct record *rec;
	int r = 0;

	*ret = 0;
	if (!e)
		return 0;
	if (!units)
		return -ENOMEM;
	lock_take(&e->lock);
	id = take_free_locked(e, units);
	if (!id)
		r = append_locked(e, units, &id);
	lock_drop(&e->lock);
	if (r < 0)
		return r;
	rec = record_at(e, id);
	rec->len = (uint32_t)len;
	if (data)
		memcpy(rec + 1, data, len);
	else
		memset(rec + 1, 0, len);
	atomic_store(&rec->kind, kind); /* from here on it is there */
	*ret = id;
	return 0;
}

/* What was there may be a secret, or large. */
static void wipe(struct estate *e, struct record *r)
{
	off_t at = (off_t)((uint8_t *)(r + 1) - e->base);

	if (r->len >= LARGE && !e->left &&
	    fallocate(e->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, r->len) == 0)
		return; /* parts of pages are zeros now, too */
	explicit_bzero(r + 1, r->len);
}

void estate_del(struct estate *e, uint32_t id)
{
	if (!e || !id)
		return;
	atomic_store(&record_at(e, id)->kind, ESTATE_NOTHING);
	wipe(e, record_at(e, id));
	lock_take(&e->lock);
	put_free_locked(e, id);
	lock_drop(&e->lock);
}

void *estate_at(struct estate *e, uint32_t id)
{
	return e && id ? record_at(e, id) + 1 : NULL;
}

void *estate_check(struct estate *e, uint32_t id, enum estate_kind kind, size_t min_len,
		   size_t *ret_len)
{
	struct record *r;

	if (!e || (uint64_t)id * UNIT < sizeof(struct head) ||
	    ((uint64_t)id + 1) * UNIT > end_of(e))
		return NULL;
	r = record_at(e, id);
	if (atomic_load(&r->kind) != (uint32_t)kind || r->len < min_len)
		return NULL;
	*ret_len = r->len;
	return r + 1;
}

int estate_each(struct estate *e, enum estate_kind kind, estate_each_fn fn, void *arg)
{
	uint64_t end = e ? end_of(e) : 0, at = sizeof(struct head);
	int r = 0;

	while (r == 0 && at < end) {
		struct record *rec = record_at(e, (uint32_t)(at / UNIT));
		uint32_t units = rec->units;

		if (atomic_load(&rec->kind) == (uint32_t)kind)
			r = fn(arg, (uint32_t)(at / UNIT), rec + 1, rec->len);
		at += (uint64_t)units * UNIT;
	}
	return r;
}

/* ---- from another process ---- */

/* All records lie in the file, behind each other; what is nothing is to be used again. */
static int check_records(struct estate *e)
{
	uint64_t end = end_of(e), at = sizeof(struct head);

	if (end < at || end > e->size)
		return ERR_CORRUPT;
	while (at < end) {
		struct record *r = record_at(e, (uint32_t)(at / UNIT));
		uint64_t bytes = (uint64_t)r->units * UNIT;

		if (end - at < UNIT || r->units == 0 || bytes > end - at ||
		    (uint64_t)r->len + UNIT > bytes)
			return ERR_CORRUPT;
		if (atomic_load(&r->kind) == ESTATE_NOTHING) {
			lock_take(&e->lock);
			put_free_locked(e, (uint32_t)(at / UNIT));
			lock_drop(&e->lock);
		}
		at += bytes;
	}
	return 0;
}

static int check(struct estate *e)
{
	struct stat st;

	if (fstat(e->fd, &st) < 0)
		return -errno;
	e->size = (uint64_t)st.st_size;
	if (e->size < sizeof(struct head) || e->size > ROOM || head_of(e)->magic != MAGIC)
		return ERR_CORRUPT;
	if (head_of(e)->version != ESTATE_VERSION)
		return ERR_FORMAT;
	return check_records(e);
}

int estate_inherit(int fd, struct estate **ret)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct estate *e;
	int r;

	if (own < 0)
		return -errno;
	r = estate_on(own, &e);
	if (r < 0)
		return r;
	r = check(e);
	if (r < 0) {
		estate_free(e);
		return r;
	}
	*ret = e;
	return 0;
}
