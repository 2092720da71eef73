/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/format.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/child.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/kv.h"
#include "daemon/base/log.h"

#define VERSION_FILE "version"
#define MAGIC "matrixfs-cache "
#define DIGITS_MAX 6
#define LOCK_FILE "lock"
#define CLEAN_FILE "clean" /* of version 1: chunks were trusted where it stood */
#define INDEX_DATA "index/data.mdb"
#define DAMAGED 0 /* instead of a version */
#define UNKNOWN 0 /* likewise */
#define CHILD_MS 60000

/* ---- the version file ---- */

/* The version in a line that is exactly as put_version() writes it, or DAMAGED. */
static unsigned parse(const struct buf *text)
{
	unsigned version = 0;
	const char *digits;
	size_t i;

	if (text->len <= strlen(MAGIC) || memcmp(text->data, MAGIC, strlen(MAGIC)) != 0)
		return DAMAGED;
	digits = text->data + strlen(MAGIC);
	if (*digits == '0')
		return DAMAGED;
	for (i = 0; i < DIGITS_MAX && digits[i] >= '0' && digits[i] <= '9'; i++)
		version = version * 10 + (unsigned)(digits[i] - '0');
	return text->len == strlen(MAGIC) + i + 1 && digits[i] == '\n' ? version : DAMAGED;
}

/* What cannot be read, for a bad sector or its size, is damaged, too. */
static int read_file(int dirfd, unsigned *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct stat st;
	int r;

	*ret = DAMAGED;
	if (fstatat(dirfd, VERSION_FILE, &st, 0) == 0 && !S_ISREG(st.st_mode))
		return 0; /* a pipe would never answer */
	r = file_read_all(dirfd, VERSION_FILE, 4096, &text);
	*ret = r < 0 ? DAMAGED : parse(&text);
	return r == -EFBIG || r == -EIO ? 0 : r;
}

static int put_version(int dirfd)
{
	char line[64];

	snprintf(line, sizeof(line), MAGIC "%d\n", FORMAT_VERSION);
	return file_replace(dirfd, VERSION_FILE, line, strlen(line), 0600);
}

/* ---- what the index says ---- */

static struct kv_key key_of(const char *name)
{
	return (struct kv_key){ name, strlen(name) };
}

static unsigned number(const struct buf *row)
{
	uint32_t value;

	if (row->len != sizeof(value))
		return UNKNOWN;
	memcpy(&value, row->data, sizeof(value));
	value = le32toh(value);
	return value < CHILD_RESULT_MAX ? value : CHILD_RESULT_MAX;
}

/* In a child, for LMDB trusts its pages. An index without a row about the cache is of the versions
 * that the two had in common; the first one had rows without sums. */
static int read_index(void *arg)
{
	CLEANUP(buf_free) struct buf row = { 0 }, old_row = { 0 };
	struct kv_old *old;

	if (kv_old_open(arg, &old) < 0)
		return UNKNOWN;
	if (kv_old_get_sound(old, FORMAT_TABLE, key_of(FORMAT_KEY_CACHE), &row) == 0 ||
	    kv_old_get_sound(old, FORMAT_TABLE, key_of(FORMAT_KEY_INDEX), &row) == 0)
		return (int)number(&row);
	return kv_old_get(old, FORMAT_TABLE, key_of(FORMAT_KEY_INDEX), &old_row) == 0 &&
			       number(&old_row) == 1
		       ? 1
		       : UNKNOWN;
}

/* The version of the cache by its index; UNKNOWN if that is lost, or cannot be read. */
static int ask_index(int dirfd, const char *dir)
{
	char path[4096];
	int r;

	if (faccessat(dirfd, INDEX_DATA, F_OK, 0) < 0)
		return UNKNOWN;
	if (snprintf(path, sizeof(path), "%s/index", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r = child_run(read_index, path, CHILD_MS, 0);
	return r == ERR_CORRUPT ? UNKNOWN : r;
}

/* ---- whose directory it is ---- */

typedef bool (*name_fn)(const char *name);

static bool is_blob_folder(const char *name)
{
	return strlen(name) == 2 && hex_is(name, 2);
}

static bool is_not_ours(const char *name)
{
	static const char *const ours[] = { ".",       "..",       VERSION_FILE,
					    LOCK_FILE, CLEAN_FILE, "blobs",
					    "index",   "control",  "matrixfs.log" };

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strcmp(name, ours[i]) == 0)
			return false;
	return strncmp(name, ".new-", strlen(".new-")) != 0;
}

static bool has(int dirfd, const char *path, name_fn fn)
{
	CLEANUP(closedirp) DIR *d = NULL;
	const struct dirent *e;
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		closep(&fd);
		return false;
	}
	while ((e = readdir(d)))
		if (fn(e->d_name))
			return true;
	return false;
}

static bool is_ours(int dirfd)
{
	return faccessat(dirfd, INDEX_DATA, F_OK, 0) == 0 || has(dirfd, "blobs", is_blob_folder) ||
	       (faccessat(dirfd, LOCK_FILE, F_OK, 0) == 0 && !has(dirfd, ".", is_not_ours));
}

int format_refuse_foreign(int dirfd, const char *dir, struct buf *why)
{
	unsigned version;
	int r = read_file(dirfd, &version);

	if (r < 0 || version != DAMAGED || is_ours(dirfd))
		return r == -ENOENT ? 0 : r;
	buf_printf(why, "%s/" VERSION_FILE " is not a matrixfs cache's: use another --cache", dir);
	return ERR_FORMAT;
}

/* ---- the verdict ---- */

int format_refuse_newer(const char *what, const char *dir, unsigned version, unsigned known,
			struct buf *why)
{
	buf_printf(why,
		   "%s %s has format version %u and this matrixfs knows %u: use the newer "
		   "matrixfs, or another --cache",
		   what, dir, version, known);
	return ERR_FORMAT;
}

/* From version 1, which kept no sums of sealed blobs: scrub makes them. */
static int upgrade(int dirfd)
{
	return unlinkat(dirfd, CLEAN_FILE, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int format_check(int dirfd, const char *dir, struct buf *why)
{
	unsigned file, version = FORMAT_VERSION;
	int r = read_file(dirfd, &file), indexed;
	bool is_there = r == 0;

	if (r < 0 && r != -ENOENT)
		return r;
	if (file == FORMAT_VERSION)
		return 0;
	indexed = ask_index(dirfd, dir);
	if (indexed < 0)
		return indexed;
	if (indexed != UNKNOWN)
		version = (unsigned)indexed;
	else if (file != DAMAGED)
		version = file;
	if (version > FORMAT_VERSION)
		return format_refuse_newer("the cache directory", dir, version, FORMAT_VERSION,
					   why);
	if (is_there && file != version)
		log_line(LOG_LEVEL_WARN, NULL,
			 "the version file in %s was damaged: it is written anew", dir);
	r = version < FORMAT_VERSION ? upgrade(dirfd) : 0;
	return r < 0 ? r : put_version(dirfd);
}
