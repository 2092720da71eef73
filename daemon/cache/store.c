/* SPDX-License-Identifier: Apache-2.0 */
/* The cache directory: its lock, and the table of open blobs. */
#include "daemon/cache/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/cache/chunk_list.h"
#include "daemon/cache/chunkmap.h"
#include "daemon/cache/format.h"
#include "daemon/cache/store_priv.h"

#define LOCK_FILE "lock"

/* Opens the lock file and takes it; tells who has it if that fails. */
static int take_lock(struct store *s, const char *dir, const char *owner, struct buf *why)
{
	CLEANUP(buf_free) struct buf who = { 0 };
	int r;

	s->lockfd = openat(s->dirfd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lockfd < 0) {
		r = -errno;
		buf_printf(why, "cannot write in the cache directory %s: %s", dir, strerror(-r));
		return r;
	}
	r = file_lock(s->lockfd);
	if (r < 0) {
		if (file_read_all(s->dirfd, LOCK_FILE, 4096, &who) < 0 || who.len == 0)
			buf_add_str(&who, "another process");
		buf_printf(why,
			   "the cache directory %s is in use by %s: stop it, or give this one a "
			   "--cache of its own",
			   dir, buf_str(&who));
		return ERR_LOCKED;
	}
	if (ftruncate(s->lockfd, 0) < 0)
		return -errno;
	return file_pwrite(s->lockfd, owner, strlen(owner), 0);
}

static int add_used(void *arg, const char *etag UNUSED, uint64_t bytes, int64_t used_s UNUSED)
{
	struct store *s = arg;

	usage_add(&s->usage, bytes);
	return 0;
}

static int open_dirs(struct store *s, const char *dir, struct buf *why)
{
	static const char *const subdirs[] = { "blobs", "index" };
	int r = file_mkdirs(dir);

	if (r < 0) {
		buf_printf(why, "cannot make the cache directory %s: %s", dir, strerror(-r));
		return r;
	}
	s->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0) {
		r = -errno;
		buf_printf(why, "cannot open the cache directory %s: %s", dir, strerror(-r));
		return r;
	}
	r = format_refuse_foreign(s->dirfd, dir, why);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(subdirs); i++)
		if (mkdirat(s->dirfd, subdirs[i], 0700) < 0 && errno != EEXIST) {
			r = -errno;
			buf_printf(why, "cannot write in the cache directory %s: %s", dir,
				   strerror(-r));
			return r;
		}
	if (asprintf(&s->index_dir, "%s/index", dir) < 0)
		return -ENOMEM;
	return 0;
}

static void store_closep(struct store **s)
{
	store_close(*s);
}

int store_open(const char *dir, const char *owner, struct store **ret, struct buf *why)
{
	CLEANUP(store_closep) struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->dirfd = s->lockfd = s->ownfd = s->usage.fd = -1;
	lock_init(&s->lock, LOCK_STORE);
	r = open_dirs(s, dir, why);
	if (r == 0)
		r = take_lock(s, dir, owner, why);
	if (r == 0)
		r = format_check(s->dirfd, dir, why);
	if (r == 0)
		file_sweep(s->dirfd);
	if (r < 0) {
		if (!why->len)
			buf_printf(why, "cannot use the cache directory %s: %s", dir, err_text(r));
		return r;
	}
	store_each(s, add_used, s);
	*ret = steal(s);
	return 0;
}

int store_set_own(struct store *s, const char *dir)
{
	s->ownfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->ownfd < 0 ? -errno : 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	closep(&s->dirfd);
	closep(&s->lockfd);
	closep(&s->ownfd);
	map_fini(&s->open);
	map_fini(&s->open_own);
	lock_fini(&s->lock);
	free(s->index_dir);
	free(s);
}

const char *store_index_dir(const struct store *s)
{
	return s->index_dir;
}

uint64_t store_used_bytes(struct store *s)
{
	return usage_bytes(&s->usage);
}

void store_limit(struct store *s, const struct cache_limits *limits)
{
	usage_limit(&s->usage, limits->max_bytes, s->dirfd, limits->min_free_bytes);
}

struct cache_limits store_limits(struct store *s)
{
	return (struct cache_limits){ s->usage.most, s->usage.min_free };
}

uint64_t store_capacity(struct store *s)
{
	return usage_capacity(&s->usage);
}

void store_watch(struct store *s, uint64_t above, void (*fn)(void *arg), void *arg)
{
	usage_watch(&s->usage, above, fn, arg);
}

void store_watch_above(struct store *s, uint64_t above)
{
	usage_watch_above(&s->usage, above);
}

int store_space(struct store *s, uint64_t *ret_total, uint64_t *ret_free)
{
	return file_space(s->dirfd, ret_free, ret_total);
}

static int open_blob_locked(struct store *s, const char *etag, uint64_t size, enum blob_kind kind,
			    struct blob **ret)
{
	struct map *open = kind == BLOB_OWN ? &s->open_own : &s->open;
	struct blob *b = map_find_str(open, etag);
	int r;

	if (b && b->size != size)
		return -EBUSY;
	if (b) {
		b->refs++;
		*ret = b;
		return 0;
	}
	r = blob_open(s, etag, size, kind, &b);
	if (r < 0)
		return r;
	b->unused = true;
	r = map_put_str(open, b->etag, b);
	if (r < 0)
		blob_close(b);
	else
		*ret = b;
	return r;
}

int store_peek(struct store *s, const char *etag, uint64_t size, bool sealed, struct blob **ret)
{
	int r;

	lock_take(&s->lock);
	r = open_blob_locked(s, etag, size, sealed ? BLOB_SEALED : BLOB_FILLING, ret);
	lock_drop(&s->lock);
	return r;
}

int store_blob(struct store *s, const char *etag, uint64_t size, bool sealed, struct blob **ret)
{
	int r;

	lock_take(&s->lock);
	r = open_blob_locked(s, etag, size, sealed ? BLOB_SEALED : BLOB_FILLING, ret);
	if (r == 0 && (*ret)->unused) {
		(*ret)->unused = false;
		blob_note_use(*ret);
	}
	lock_drop(&s->lock);
	return r;
}

int store_blob_homeless(struct store *s, const char *etag, uint64_t size, struct blob **ret)
{
	int r;

	lock_take(&s->lock);
	r = open_blob_locked(s, etag, size, BLOB_HOMELESS, ret);
	lock_drop(&s->lock);
	return r;
}

int store_own_blob(struct store *s, const char *etag, uint64_t size, struct blob **ret)
{
	int r;

	lock_take(&s->lock);
	r = open_blob_locked(s, etag, size, BLOB_OWN, ret);
	lock_drop(&s->lock);
	return r;
}

struct blob *blob_ref(struct blob *b)
{
	lock_take(&b->store->lock);
	b->refs++;
	lock_drop(&b->store->lock);
	return b;
}

void blob_unref(struct blob *b)
{
	struct store *s = b->store;
	bool last;

	lock_take(&s->lock);
	last = --b->refs == 0;
	if (last) {
		map_del_str(b->own ? &s->open_own : &s->open, b->etag);
		blob_close(b);
	}
	lock_drop(&s->lock);
}

uint64_t store_disk_bytes(struct store *s, const char *etag)
{
	char path[BLOB_PATH_MAX];
	struct stat st;

	blob_path(etag, "", path);
	if (fstatat(s->dirfd, path, &st, 0) < 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

int store_blob_size(struct store *s, const char *etag, uint64_t *ret)
{
	char path[BLOB_PATH_MAX];
	struct stat st;

	blob_path(etag, "", path);
	if (fstatat(s->dirfd, path, &st, 0) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

bool store_has_own(struct store *s, const char *etag, uint64_t size)
{
	char path[BLOB_PATH_MAX];
	struct stat st;

	blob_path(etag, "", path);
	return s->ownfd >= 0 && fstatat(s->ownfd, path, &st, 0) == 0 &&
	       (uint64_t)st.st_size == size;
}

uint64_t store_present_bytes(struct store *s, const char *etag, uint64_t size)
{
	char path[BLOB_PATH_MAX];
	CLEANUP(closep) int fd = -1;
	uint64_t present = 0;
	struct blob *b;

	lock_take(&s->lock);
	b = map_find_str(&s->open, etag);
	if (b && b->size == size)
		present = blob_present_bytes(b);
	lock_drop(&s->lock);
	if (b)
		return present;
	blob_path(etag, ".map", path);
	fd = openat(s->dirfd, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? 0 : chunkmap_present(fd, size);
}

/* Calls fn for the blob files of one of the two-digit directories. */
static int each_in(struct store *s, const char *path, store_each_fn fn, void *arg)
{
	CLEANUP(closedirp) DIR *d = NULL;
	struct dirent *e;
	struct stat st;
	int fd = openat(s->dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return 0;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return 0;
	}
	while (r == 0 && (e = readdir(d))) {
		size_t len = strlen(e->d_name);

		if ((len == 40 || len == 64) && hex_is(e->d_name, len) &&
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			r = fn(arg, e->d_name, (uint64_t)st.st_blocks * 512, st.st_atim.tv_sec);
	}
	return r;
}

int store_each(struct store *s, store_each_fn fn, void *arg)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 256; i++) {
		char path[sizeof("blobs/aa")];

		snprintf(path, sizeof(path), "blobs/%02x", i);
		r = each_in(s, path, fn, arg);
	}
	return r;
}

struct blob *store_find(struct store *s, const char *etag)
{
	struct blob *b;

	lock_take(&s->lock);
	b = map_find_str(&s->open, etag);
	if (b)
		b->refs++;
	lock_drop(&s->lock);
	return b;
}

bool store_is_open(struct store *s, const char *etag)
{
	bool open;

	lock_take(&s->lock);
	open = map_find_str(&s->open, etag);
	lock_drop(&s->lock);
	return open;
}

int64_t store_evict(struct store *s, const char *etag)
{
	static const char *const beside[] = { ".map", ".sums" };
	char path[BLOB_PATH_MAX];
	uint64_t bytes = store_disk_bytes(s, etag);
	int r = -EBUSY;

	lock_take(&s->lock);
	if (!map_find_str(&s->open, etag)) {
		chunk_list_remove(s->dirfd, etag); /* first: no list without its blob */
		blob_path(etag, "", path);
		r = unlinkat(s->dirfd, path, 0) < 0 ? -errno : 0;
		for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
			blob_path(etag, beside[i], path);
			unlinkat(s->dirfd, path, 0);
		}
	}
	lock_drop(&s->lock);
	if (r < 0)
		return r;
	usage_sub(&s->usage, bytes);
	return (int64_t)bytes;
}
