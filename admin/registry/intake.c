/* SPDX-License-Identifier: Apache-2.0 */
/* Order of writes: the bytes, under a name that nobody knows; fsync; the blob's name, by a rename;
 * fsync of its directory. So a blob that can be opened is whole, also after a crash. A second
 * upload of the same puts equal bytes in the place of equal bytes. SHA-1 does not promise that any
 * more: by a git id the first bytes stay, as in git, so that nobody changes what others have
 * committed. */
#include "admin/registry/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/num.h"

#define BLOB_NAME_MAX (sizeof("blobs/aa/") + DIGEST_HEX_MAX)
#define STAGED_NAME_MAX 128
#define STAGED "incoming"
#define FLUSH_BYTES (8 << 20) /* on their way to the disk at a time, while others come */
#define SYNC_EACH_MAX 8       /* more files than these are flushed together */
#define REREAD_BYTES (256 << 10)
#define HELD_MAX (4 << 10) /* bytes of a file of a commit that wait in memory */

struct intake {
	int dirfd, stagefd;     /* of all, and of what is staged */
	atomic_ullong serial;   /* of staged files */
	atomic_ullong promised; /* bytes that are to come, and have no blocks yet */
};

struct intake_file {
	struct intake *in;
	struct intake_want want;
	char name[STAGED_NAME_MAX]; /* "" once it was kept */
	char etag[DIGEST_HEX_MAX + 1];
	struct buf held; /* all of it, while there is no file: its size is not known, and small */
	int fd;
	uint64_t size, flushed;
	struct digest *digest; /* NULL while the id depends on a size that is not known */
	bool ended;
};

/* ---- the directory ---- */

static void remove_staged(void *arg, const char *name)
{
	const struct intake *in = arg;

	if (name[0] >= '0' && name[0] <= '9')
		unlinkat(in->stagefd, name, 0);
}

static int make_dir(int dirfd, const char *name)
{
	return mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* All of them, once: no blob has to wait for its directory's name to be durable. */
static int make_blob_dirs(struct intake *in)
{
	CLEANUP(closep) int fd = openat(in->dirfd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[sizeof("aa")];
	int r = fd < 0 ? -errno : 0;

	for (unsigned i = 0; r == 0 && i < 256; i++) {
		snprintf(name, sizeof(name), "%02x", i);
		r = make_dir(fd, name);
	}
	return r == 0 ? file_sync_dir(fd) : r;
}

static int open_dirs(struct intake *in, const char *dir)
{
	int r = file_mkdirs(dir);

	if (r < 0)
		return r;
	in->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (in->dirfd < 0)
		return -errno;
	if (file_lock(in->dirfd) < 0)
		return ERR_LOCKED;
	r = make_dir(in->dirfd, STAGED);
	if (r < 0)
		return r;
	in->stagefd = openat(in->dirfd, STAGED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (in->stagefd < 0)
		return -errno;
	r = make_dir(in->dirfd, "blobs");
	if (r == 0)
		r = make_blob_dirs(in);
	return r == 0 ? file_sync_dir(in->dirfd) : r;
}

int intake_open(const char *dir, struct intake **ret, struct buf *why)
{
	struct intake *in = calloc(1, sizeof(*in));
	int r;

	if (!in)
		return -ENOMEM;
	in->dirfd = in->stagefd = -1;
	r = open_dirs(in, dir);
	if (r < 0) {
		buf_printf(why, "cannot use the directory of uploads %s: %s", dir, err_text(r));
		intake_close(in);
		return r;
	}
	file_each_name(in->stagefd, remove_staged, in);
	file_sweep(in->dirfd);
	*ret = in;
	return 0;
}

void intake_close(struct intake *in)
{
	if (!in)
		return;
	closep(&in->dirfd);
	closep(&in->stagefd);
	free(in);
}

/* ---- blobs ---- */

static void blob_name(const char *etag, char ret[static BLOB_NAME_MAX])
{
	snprintf(ret, BLOB_NAME_MAX, "blobs/%.2s/%s", etag, etag);
}

static bool is_etag(const char *etag)
{
	size_t len = strlen(etag);

	return (len == 40 || len == 64) && hex_is(etag, len);
}

int intake_open_blob(struct intake *in, const char *etag, uint64_t *ret_size)
{
	CLEANUP(closep) int fd = -1;
	char name[BLOB_NAME_MAX];
	struct stat st;

	if (!is_etag(etag))
		return -ENOENT;
	blob_name(etag, name);
	fd = openat(in->dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret_size = (uint64_t)st.st_size;
	return steal_fd(&fd);
}

bool intake_is_there(struct intake *in, const char *etag)
{
	char name[BLOB_NAME_MAX];

	if (!is_etag(etag))
		return false;
	blob_name(etag, name);
	return faccessat(in->dirfd, name, F_OK, 0) == 0;
}

bool intake_has(struct intake *in, const char *etag, uint64_t size)
{
	static const struct timespec now[2] = { { .tv_nsec = UTIME_OMIT },
						{ .tv_nsec = UTIME_NOW } };
	char name[BLOB_NAME_MAX];
	struct stat st;

	if (!is_etag(etag))
		return false;
	blob_name(etag, name);
	if (fstatat(in->dirfd, name, &st, 0) < 0)
		return false;
	if (size != INTAKE_ANY_SIZE && (uint64_t)st.st_size != size)
		return false;
	/* If that cannot be noted it may go before its commit, which will then say so. */
	return utimensat(in->dirfd, name, now, 0) == 0 || errno != ENOENT;
}

/* ---- files that come ---- */

int intake_staging(const struct intake *in)
{
	return in->stagefd;
}

bool intake_staged_since(const struct intake *in, const char *name, int64_t since_s)
{
	struct stat st;

	return fstatat(intake_staging(in), name, &st, 0) == 0 && st.st_mtim.tv_sec >= since_s;
}

struct search {
	const struct intake *in;
	const char *prefix, *part;
	int64_t since_s;
	bool found;
};

static void look(void *arg, const char *name)
{
	struct search *s = arg;

	if (strncmp(name, s->prefix, strlen(s->prefix)) == 0 && strstr(name, s->part) &&
	    intake_staged_since(s->in, name, s->since_s))
		s->found = true;
}

bool intake_stages(const struct intake *in, const char *prefix, const char *part, int64_t since_s)
{
	struct search s = { in, prefix, part, since_s, false };

	file_each_name(intake_staging(in), look, &s);
	return s.found;
}

int intake_root(const struct intake *in)
{
	return in->dirfd;
}

/* Beside what was promised to others, and what must stay free. */
static int space_of(struct intake *in, uint64_t *ret)
{
	uint64_t left, total, taken = INTAKE_SPARE_BYTES + atomic_load(&in->promised);
	int r = file_space(in->dirfd, &left, &total);

	if (r < 0)
		return r;
	*ret = left < taken ? 0 : left - taken;
	return left < taken ? ERR_READ_ONLY : 0;
}

int intake_has_room(struct intake *in, uint64_t bytes)
{
	uint64_t space;
	int r = space_of(in, &space);

	return r == 0 && space < bytes ? ERR_READ_ONLY : r;
}

int intake_promise(struct intake *in, uint64_t bytes)
{
	int r = intake_has_room(in, bytes);

	if (r < 0)
		return r;
	atomic_fetch_add(&in->promised, bytes);
	r = intake_has_room(in, 0); /* others may have looked at the same moment */
	if (r < 0)
		intake_redeem(in, bytes);
	return r;
}

void intake_redeem(struct intake *in, uint64_t bytes)
{
	atomic_fetch_sub(&in->promised, bytes);
}

int intake_allocate(struct intake *in, int fd, uint64_t off, uint64_t len)
{
	int r = file_allocate(fd, off, len);

	return r == 0 ? intake_has_room(in, 0) : r;
}

static int file_new(struct intake *in, const struct intake_want *want, struct intake_file **ret)
{
	struct intake_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->in = in;
	f->fd = -1;
	f->want = *want;
	if (want->etag)
		snprintf(f->etag, sizeof(f->etag), "%s", want->etag);
	f->want.etag = want->etag ? f->etag : NULL;
	*ret = f;
	return 0;
}

static int stage(struct intake_file *f)
{
	struct intake *in = f->in;

	snprintf(f->name, sizeof(f->name), "%llu",
		 (unsigned long long)atomic_fetch_add(&in->serial, 1));
	f->fd = openat(in->stagefd, f->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	if (f->fd >= 0)
		return 0;
	f->name[0] = '\0';
	return -errno;
}

int intake_begin(struct intake *in, const struct intake_want *want, struct intake_file **ret)
{
	CLEANUP(intake_dropp) struct intake_file *f = NULL;
	bool known = want->size != INTAKE_ANY_SIZE;
	int r = intake_has_room(in, known ? want->size : 0);

	if (r == 0)
		r = file_new(in, want, &f);
	if (r == 0 && (known || want->kind != DIGEST_GIT_SHA1))
		r = digest_new(want->kind, want->size, &f->digest);
	/* Most commits that come too late bring small files: they must not cost the disk one. */
	if (r == 0 && known)
		r = stage(f);
	/* So that files that come at once do not all count on the same room. */
	if (r == 0 && known && want->size)
		r = intake_allocate(in, f->fd, 0, want->size);
	if (r == 0)
		*ret = steal(f);
	return err_is_full(r) ? ERR_READ_ONLY : r;
}

int intake_adopt(struct intake *in, const struct intake_want *want, const char *name,
		 struct intake_file **ret)
{
	CLEANUP(intake_dropp) struct intake_file *f = NULL;
	struct stat st;
	int r = file_new(in, want, &f);

	if (r < 0)
		return r;
	f->fd = openat(in->stagefd, name, O_RDWR | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st) < 0 || fchmod(f->fd, 0400) < 0)
		return -errno;
	f->size = (uint64_t)st.st_size;
	snprintf(f->name, sizeof(f->name), "%s", name);
	*ret = steal(f);
	return 0;
}

/* What is held goes into a file. */
static int spill(struct intake_file *f)
{
	int r = stage(f);

	if (r == 0 && f->held.len)
		r = file_pwrite(f->fd, f->held.data, f->held.len, 0);
	if (r == 0)
		buf_free(&f->held);
	return r;
}

static int put_down(struct intake_file *f, const void *data, size_t len)
{
	int r = 0;

	if (f->fd < 0 && f->size + len <= HELD_MAX)
		return buf_add(&f->held, data, len);
	if (f->fd < 0)
		r = spill(f);
	return r < 0 ? r : file_pwrite(f->fd, data, len, f->size);
}

int intake_add(struct intake_file *f, const void *data, size_t len)
{
	int r;

	if (len > f->want.size - f->size)
		return ERR_SIZE;
	r = put_down(f, data, len);
	if (r == 0 && f->digest)
		r = digest_update(f->digest, data, len);
	if (r < 0)
		return r;
	f->size += len;
	if (f->size - f->flushed >= FLUSH_BYTES) {
		file_flush(f->fd, f->flushed, f->size - f->flushed);
		f->flushed = f->size;
	}
	return 0;
}

/* The id of what had to come first to be counted. */
static int digest_again(struct intake_file *f)
{
	CLEANUP(freep) char *piece = malloc(REREAD_BYTES);
	int r = piece ? digest_new(f->want.kind, f->size, &f->digest) : -ENOMEM;

	if (r == 0 && f->fd < 0)
		return digest_update(f->digest, buf_str(&f->held), f->held.len);
	for (uint64_t off = 0; r == 0 && off < f->size; off += REREAD_BYTES) {
		uint64_t left = f->size - off;
		size_t len = left < REREAD_BYTES ? (size_t)left : REREAD_BYTES;

		r = file_pread(f->fd, piece, len, off);
		if (r == 0)
			r = digest_update(f->digest, piece, len);
	}
	return r;
}

int intake_end(struct intake_file *f)
{
	uint8_t digest[DIGEST_BYTES_MAX];
	char hex[DIGEST_HEX_MAX + 1];
	int r = 0;

	if (f->want.size != INTAKE_ANY_SIZE && f->size != f->want.size)
		return ERR_SIZE;
	if (!f->digest)
		r = digest_again(f);
	if (r == 0)
		r = digest_final(f->digest, digest);
	if (r < 0)
		return r;
	hex_print(digest, digest_size(f->want.kind), hex);
	if (f->want.etag && strcmp(hex, f->etag) != 0)
		return ERR_DIGEST;
	snprintf(f->etag, sizeof(f->etag), "%s", hex);
	f->ended = true;
	return 0;
}

const char *intake_etag(const struct intake_file *f)
{
	return f->etag;
}

uint64_t intake_size(const struct intake_file *f)
{
	return f->size;
}

int intake_start(const struct intake_file *f, size_t most, struct buf *ret)
{
	size_t len = (size_t)min_u64(f->size, most);
	int r;

	if (f->fd < 0)
		return buf_add(ret, buf_str(&f->held), len);
	r = buf_reserve(ret, len);
	if (r == 0)
		r = file_pread(f->fd, ret->data + ret->len, len, 0);
	if (r < 0)
		return r;
	ret->len += len;
	ret->data[ret->len] = '\0';
	return 0;
}

void intake_drop(struct intake_file *f)
{
	if (!f)
		return;
	if (f->name[0])
		unlinkat(f->in->stagefd, f->name, 0);
	closep(&f->fd);
	digest_free(f->digest);
	buf_free(&f->held);
	free(f);
}

void intake_dropp(struct intake_file **f)
{
	intake_drop(*f);
}

/* ---- to the disk ---- */

static bool is_there(struct intake *in, const struct intake_file *f)
{
	return f->want.kind == DIGEST_GIT_SHA1 && intake_has(in, f->etag, f->size);
}

/* What is held and is a blob already needs no file. */
static int write_held(struct intake *in, struct intake_file *const *files, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct intake_file *f = files[i];

		if (!f->ended)
			r = -EINVAL;
		else if (f->fd < 0 && !is_there(in, f))
			r = spill(f);
	}
	return r;
}

static int flush(struct intake *in, struct intake_file *const *files, size_t count)
{
	if (count > SYNC_EACH_MAX)
		return syncfs(in->dirfd) < 0 ? -errno : 0;
	for (size_t i = 0; i < count; i++)
		if (files[i]->fd >= 0 && fsync(files[i]->fd) < 0)
			return -errno;
	return 0;
}

static int name_file(struct intake *in, struct intake_file *f)
{
	char blob[BLOB_NAME_MAX];

	if (f->fd < 0)
		return 0;
	if (!f->name[0])
		return -EINVAL;
	blob_name(f->etag, blob);
	if (is_there(in, f))
		return 0; /* the staged one goes with its owner */
	if (renameat(in->stagefd, f->name, in->dirfd, blob) < 0)
		return -errno;
	f->name[0] = '\0';
	return 0;
}

static int sync_blob_dir(struct intake *in, unsigned number)
{
	CLEANUP(closep) int fd = -1;
	char dir[sizeof("blobs/aa")];

	snprintf(dir, sizeof(dir), "blobs/%02x", number);
	fd = openat(in->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : file_sync_dir(fd);
}

static int sync_names(struct intake *in, struct intake_file *const *files, size_t count)
{
	bool in_it[256] = { false };
	int r = 0;

	if (count > SYNC_EACH_MAX)
		return syncfs(in->dirfd) < 0 ? -errno : 0;
	for (size_t i = 0; i < count; i++) {
		char first[sizeof("aa")];
		uint8_t number;

		snprintf(first, sizeof(first), "%.2s", files[i]->etag);
		if (hex_parse(first, 1, &number) == 0)
			in_it[number] = true;
	}
	for (unsigned i = 0; r == 0 && i < 256; i++)
		if (in_it[i])
			r = sync_blob_dir(in, i);
	return r;
}

int intake_keep(struct intake *in, struct intake_file *const *files, size_t count)
{
	int r = write_held(in, files, count);

	if (r == 0)
		r = flush(in, files, count);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = name_file(in, files[i]);
	return r == 0 ? sync_names(in, files, count) : r;
}

int intake_put(struct intake *in, const void *data, size_t len, char ret[static DIGEST_HEX_MAX + 1])
{
	const struct intake_want want = { DIGEST_GIT_SHA1, len, NULL };
	CLEANUP(intake_dropp) struct intake_file *f = NULL;
	int r = intake_begin(in, &want, &f);

	if (r == 0)
		r = intake_add(f, data, len);
	if (r == 0)
		r = intake_end(f);
	if (r == 0)
		r = intake_keep(in, &f, 1);
	if (r == 0)
		snprintf(ret, DIGEST_HEX_MAX + 1, "%s", f->etag);
	return r;
}
