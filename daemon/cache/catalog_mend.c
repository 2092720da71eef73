/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/catalog_mend.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/base/child.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/cache/format.h"

#define DATA_FILE "data.mdb"
#define LOCK_FILE "lock.mdb"
#define SOUND_FILE "sound"
#define DAMAGED_FILE "damaged.mdb"
#define NEW_DIR "new"
#define SOUND_FORMAT "matrixfs-index %016llx\n"
#define PIECE_BYTES (1 << 20)
#define CHILD_MS 60000
#define BYTES_MIN 8192 /* LMDB begins with two pages */
#define GROWTH_BYTES \
	(UINT64_C(64) << 20) /* a copy is at most this larger than twice the original */

enum outcome { COPIED, NEWER, UNREADABLE, FAILED };

/* What the child tells, in memory that both see. */
struct report {
	uint32_t version;
	uint32_t cache; /* the format of the cache by it; 0: it does not say */
	uint64_t lost;
	int error;
};

struct mend {
	const struct kv_conf *conf;
	uint32_t version;
	char new_dir[4096];
	struct report *report;
};

/* ---- the digest ---- */

static int digest_data(int dirfd, uint64_t *ret)
{
	CLEANUP(closep) int fd = openat(dirfd, DATA_FILE, O_RDONLY | O_CLOEXEC);
	CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
	struct xxh3 *x;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	if (!piece || xxh3_new(&x) < 0)
		return -ENOMEM;
	while (n > 0) {
		n = read(fd, piece, PIECE_BYTES);
		xxh3_update(x, piece, n > 0 ? (size_t)n : 0);
	}
	*ret = xxh3_value(x);
	xxh3_free(x);
	return n < 0 ? -EIO : 0;
}

static bool is_vouched(int dirfd)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	char want[64];
	uint64_t sum = 0;

	if (file_read_all(dirfd, SOUND_FILE, 4096, &text) < 0 || digest_data(dirfd, &sum) < 0)
		return false;
	snprintf(want, sizeof(want), SOUND_FORMAT, (unsigned long long)sum);
	return strcmp(buf_str(&text), want) == 0;
}

void catalog_vouch(const char *dir)
{
	CLEANUP(closep) int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char line[64];
	uint64_t sum;

	if (dirfd < 0 || digest_data(dirfd, &sum) < 0)
		return;
	snprintf(line, sizeof(line), SOUND_FORMAT, (unsigned long long)sum);
	if (file_replace(dirfd, SOUND_FILE, line, strlen(line), 0600) < 0)
		log_debug("the index will be looked at again at the next start");
}

/* ---- whose it is ---- */

static struct kv_key index_key(void)
{
	return (struct kv_key){ FORMAT_KEY_INDEX, strlen(FORMAT_KEY_INDEX) };
}

/* The versions that it is of, and whether its rows carry sums: those of version 1 do not. */
static void find_version(struct mend *m, struct kv_old *old, bool *ret_sums)
{
	CLEANUP(buf_free) struct buf row = { 0 }, cache_row = { 0 };
	struct kv_key cache_key = { FORMAT_KEY_CACHE, strlen(FORMAT_KEY_CACHE) };
	uint32_t version = htole32(m->version), cache = 0;

	/* Without that row it is one of ours, damaged: what is left of it has its sums. */
	if (kv_old_get(old, FORMAT_TABLE, index_key(), &row) == 0 && row.len >= sizeof(version))
		memcpy(&version, row.data, sizeof(version));
	if (kv_old_get_sound(old, FORMAT_TABLE, cache_key, &cache_row) == 0 &&
	    cache_row.len == sizeof(cache))
		memcpy(&cache, cache_row.data, sizeof(cache));
	m->report->version = le32toh(version);
	m->report->cache = le32toh(cache);
	*ret_sums = row.len != sizeof(version);
}

/* A version that makes no sense is one more thing that is damaged. */
static bool is_newer(const struct mend *m)
{
	const struct report *r = m->report;

	return r->cache > FORMAT_VERSION || (r->version > m->version && r->version < 256);
}

static int refuse_newer(const struct mend *m, struct buf *why)
{
	const struct report *r = m->report;

	if (r->cache > FORMAT_VERSION)
		return format_refuse_newer("the cache of the index", m->conf->dir, r->cache,
					   FORMAT_VERSION, why);
	return format_refuse_newer("the index in", m->conf->dir, r->version, m->version, why);
}

/* Of an index that need not be looked at in a child. */
static int check_vouched(struct mend *m, struct buf *why)
{
	struct report report = { 0 };
	struct kv_old *old;
	bool sums;
	int r = kv_old_open(m->conf->dir, &old);

	if (r < 0)
		return r;
	m->report = &report;
	find_version(m, old, &sums);
	kv_old_close(old);
	r = is_newer(m) ? refuse_newer(m, why) : 0;
	m->report = NULL;
	return r;
}

/* ---- in the child ---- */

static int copy_tables(struct mend *m, struct kv_old *old, struct kv *to, bool sums)
{
	uint32_t version = htole32(m->version);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < m->conf->table_count; i++) {
		uint64_t lost;

		r = kv_old_copy(old, to, i, sums, &lost);
		m->report->lost += lost;
	}
	return r == 0 ? kv_put(to, CATALOG_VERSION_TABLE, index_key(), &version, sizeof(version))
		      : r;
}

static int copy_all(void *arg)
{
	struct mend *m = arg;
	struct kv_conf conf = *m->conf;
	struct kv_old *old;
	struct kv *to;
	bool sums;
	int r;

	if (kv_old_open(m->conf->dir, &old) < 0)
		return UNREADABLE;
	find_version(m, old, &sums);
	if (is_newer(m))
		return NEWER;
	conf.dir = m->new_dir;
	r = kv_open(&conf, &to);
	if (r == 0)
		r = copy_tables(m, old, to, sums);
	if (r == 0)
		kv_close(to);
	m->report->error = r;
	return r == 0 ? COPIED : FAILED;
}

/* ---- here ---- */

static void remove_new(int dirfd)
{
	unlinkat(dirfd, NEW_DIR "/" DATA_FILE, 0);
	unlinkat(dirfd, NEW_DIR "/" LOCK_FILE, 0);
	unlinkat(dirfd, NEW_DIR, AT_REMOVEDIR);
}

/* The copy takes the place of the original, at one moment. */
static int take_new(int dirfd)
{
	CLEANUP(closep) int fd = openat(dirfd, NEW_DIR "/" DATA_FILE, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0 || renameat(dirfd, NEW_DIR "/" DATA_FILE, dirfd, DATA_FILE) < 0)
		return -errno;
	return file_sync_dir(dirfd);
}

/* Keeps what was damaged, and begins with what could be saved; with nothing if that is nothing. */
static int replace_damaged(struct mend *m, int dirfd)
{
	int r;

	unlinkat(dirfd, DAMAGED_FILE, 0);
	if (linkat(dirfd, DATA_FILE, dirfd, DAMAGED_FILE, 0) < 0)
		log_debug("the damaged index cannot be kept");
	r = take_new(dirfd);
	if (r == -ENOENT)
		r = unlinkat(dirfd, DATA_FILE, 0) < 0 ? -errno : 0;
	log_line(LOG_LEVEL_WARN, NULL,
		 "the index in %s was damaged: what is lost is asked for again, and blobs are "
		 "digested again; what it was is kept as " DAMAGED_FILE " rows_lost=%llu",
		 m->conf->dir, (unsigned long long)m->report->lost);
	return r;
}

static int settle(struct mend *m, int dirfd, int outcome, struct buf *why)
{
	int r = 0;

	if (outcome == NEWER)
		r = refuse_newer(m, why);
	else if (outcome == FAILED || (outcome < 0 && outcome != ERR_CORRUPT))
		/* No room for a copy, or no process: no reason to call it damaged. */
		r = m->report->version == m->version
			    ? 0
			    : (m->report->error ? m->report->error : outcome);
	else if (outcome == COPIED && m->report->lost == 0)
		r = take_new(dirfd);
	else
		r = replace_damaged(m, dirfd);
	remove_new(dirfd);
	return r;
}

static int mend(struct mend *m, int dirfd, uint64_t bytes, struct buf *why)
{
	int outcome;

	m->report = mmap(NULL, sizeof(*m->report), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m->report == MAP_FAILED)
		return -errno;
	remove_new(dirfd);
	outcome = mkdirat(dirfd, NEW_DIR, 0700) < 0
			  ? -errno
			  : child_run(copy_all, m, CHILD_MS, 2 * bytes + GROWTH_BYTES);
	outcome = settle(m, dirfd, outcome, why);
	munmap(m->report, sizeof(*m->report));
	return outcome;
}

int catalog_mend(const struct kv_conf *conf, uint32_t version, struct buf *why)
{
	CLEANUP(closep) int dirfd = open(conf->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct mend m = { .conf = conf, .version = version };
	struct stat st;

	if (dirfd < 0)
		return -errno;
	/* It belongs to us alone, and only tells who reads: nothing in it is worth trusting. */
	unlinkat(dirfd, LOCK_FILE, 0);
	file_sweep(dirfd);
	if (fstatat(dirfd, DATA_FILE, &st, 0) < 0)
		return 0;
	if (is_vouched(dirfd))
		return check_vouched(&m, why);
	if (st.st_size < BYTES_MIN) /* a first start that was cut off */
		return unlinkat(dirfd, DATA_FILE, 0) < 0 ? -errno : 0;
	snprintf(m.new_dir, sizeof(m.new_dir), "%s/" NEW_DIR, conf->dir);
	return mend(&m, dirfd, (uint64_t)st.st_size, why);
}
