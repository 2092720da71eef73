/* SPDX-License-Identifier: Apache-2.0 */
/* check_cache DIRECTORY [INDEX]: compares a cache that nobody runs on with the invariants of
 * docs/formats.md; with INDEX, that copy of its index is opened, which may mend it, and the cache
 * itself is only read. Prints a line for each that is broken, and one for each blob: "ETAG
 * sealed|part|none PRESENT SIZE". Ends with 1 if anything is broken. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/cache/catalog.h"
#include "daemon/cache/chunk.h"
#include "daemon/cache/chunkmap.h"

struct check {
	const char *dir;
	struct catalog *catalog;
	unsigned broken, blobs, commits;
};

__attribute__((format(printf, 2, 3))) static void broken(struct check *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("broken: ", stdout);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
	c->broken++;
}

/* --- blobs */

struct found {
	struct check *c;
	const char *etag;
	int fd;
	uint64_t size, present;
	char *data; /* of one chunk */
};

static int open_beside(int dir, const char *etag, const char *suffix)
{
	CLEANUP(buf_free) struct buf name = { 0 };

	if (buf_printf(&name, "%s%s", etag, suffix) < 0)
		return -1;
	return openat(dir, buf_str(&name), O_RDONLY | O_CLOEXEC);
}

static bool take_chunk(struct found *f, uint32_t i, size_t *ret_len)
{
	*ret_len = (size_t)(chunk_end(i, f->size) - chunk_start(i));
	if (file_pread(f->fd, f->data, *ret_len, chunk_start(i)) == 0)
		return true;
	broken(f->c, "blob %s: chunk %u cannot be read", f->etag, i);
	return false;
}

/* Invariant 1: an entry is written after all of its chunk's bytes. */
static void check_map(struct found *f, int map)
{
	uint32_t count = chunk_count(f->size);
	CLEANUP(freep) uint64_t *sums = calloc(count + 1, sizeof(*sums));
	size_t len;

	if (!sums || chunkmap_load(map, f->size, sums) < 0)
		return; /* it counts as empty */
	for (uint32_t i = 0; i < count; i++) {
		if (!sums[i] || !take_chunk(f, i, &len))
			continue;
		f->present += len;
		if (xxh3_of(f->data, len) != sums[i])
			broken(f->c, "blob %s: chunk %u is not what its entry says", f->etag, i);
	}
}

static void print_hex(const uint8_t *value, size_t len, char *ret)
{
	for (size_t i = 0; i < len; i++)
		snprintf(ret + 2 * i, 3, "%02x", value[i]);
}

/* Invariant 3: a sealed blob is what its name says. */
static void check_digest(struct found *f)
{
	enum digest_kind kind = strlen(f->etag) == DIGEST_HEX_MAX ? DIGEST_SHA256 : DIGEST_GIT_SHA1;
	CLEANUP(digest_freep) struct digest *d = NULL;
	uint8_t value[DIGEST_BYTES_MAX];
	char hex[DIGEST_HEX_MAX + 1];
	int r = digest_new(kind, f->size, &d);
	size_t len;

	for (uint32_t i = 0; r == 0 && i < chunk_count(f->size); i++)
		r = take_chunk(f, i, &len) ? digest_update(d, f->data, len) : -EIO;
	if (r < 0 || digest_final(d, value) < 0) {
		broken(f->c, "blob %s: sealed, but cannot be digested", f->etag);
		return;
	}
	print_hex(value, digest_size(kind), hex);
	f->present = f->size;
	if (strcmp(hex, f->etag) != 0)
		broken(f->c, "blob %s: sealed, but its digest is %s", f->etag, hex);
}

static void judge_blob(struct found *f, int map, int sums)
{
	struct catalog_blob row = { 0 };
	bool sealed = catalog_get_blob(f->c->catalog, f->etag, &row) == 0 && row.sealed &&
		      row.size == f->size && map < 0;

	if (map >= 0 || (sealed && sums >= 0))
		check_map(f, map >= 0 ? map : sums);
	if (sealed)
		check_digest(f);
	printf("%s %s %ju %ju\n", f->etag,
	       sealed     ? "sealed"
	       : map >= 0 ? "part"
			  : "none",
	       (uintmax_t)f->present, (uintmax_t)f->size);
	f->c->blobs++;
}

static void check_blob(struct check *c, int dir, const char *etag)
{
	CLEANUP(freep) char *data = malloc(CHUNK_BYTES);
	CLEANUP(closep) int fd = openat(dir, etag, O_RDONLY | O_CLOEXEC);
	CLEANUP(closep) int map = open_beside(dir, etag, ".map");
	CLEANUP(closep) int sums = open_beside(dir, etag, ".sums");
	struct stat st;
	struct found f = { .c = c, .etag = etag, .fd = fd, .data = data };

	if (!data || fd < 0 || fstat(fd, &st) < 0) {
		broken(c, "blob %s cannot be opened", etag);
		return;
	}
	f.size = (uint64_t)st.st_size;
	judge_blob(&f, map, sums);
}

/* --- directories */

typedef void (*entry_fn)(struct check *c, int dir, const char *folder, const char *name);

static void each_entry(struct check *c, int parent, const char *folder, entry_fn fn)
{
	int fd = openat(parent, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		broken(c, "%s/%s is no directory", c->dir, folder);
		return;
	}
	while ((e = readdir(dir))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			fn(c, fd, folder, e->d_name);
	}
	closedir(dir);
}

static bool is_etag(const char *name, size_t len)
{
	return (len == 40 || len == DIGEST_HEX_MAX) && strspn(name, "0123456789abcdef") >= len;
}

static void in_folder(struct check *c, int dir, const char *folder, const char *name)
{
	size_t len = strcspn(name, ".");

	if (!is_etag(name, len) || strncmp(name, folder, 2) != 0 ||
	    (name[len] && strcmp(name + len, ".map") != 0 && strcmp(name + len, ".sums") != 0))
		broken(c, "blobs/%s/%s does not belong there", folder, name);
	else if (!name[len])
		check_blob(c, dir, name);
	/* A map without its blob: a kill in the middle of an eviction left it, and it counts for
	 * nothing. */
}

static void in_blobs(struct check *c, int dir, const char *folder UNUSED, const char *name)
{
	if (strlen(name) == 2)
		each_entry(c, dir, name, in_folder);
	else
		broken(c, "blobs/%s does not belong there", name);
}

/* Who may read it makes handles that count. */
static void check_key(struct check *c, int dir)
{
	struct stat st;

	if (fstatat(dir, "nfs.key", &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size != 32 ||
	    st.st_mode != (S_IFREG | 0600))
		broken(c, "nfs.key is not 32 bytes for its owner alone");
}

static void in_cache(struct check *c, int dir, const char *folder UNUSED, const char *name)
{
	static const char *const known[] = { "version", "lock",  "clean", "matrixfs.log",
					     "blobs",   "index", "pins",  "control" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(name, known[i]) == 0)
			return;
	}
	if (strcmp(name, "nfs.key") == 0)
		check_key(c, dir);
	else
		broken(c, "%s does not belong there", name);
}

/* --- the index */

/* Names are collected first, each with its NUL: who is called for a row may not ask for others. */
static int add_name(struct buf *names, const char *name)
{
	return buf_add(names, name, strlen(name) + 1);
}

static const char *next_name(const struct buf *names, const char *name)
{
	const char *end = (const char *)names->data + names->len;

	name = name ? name + strlen(name) + 1 : (const char *)names->data;
	return name == end ? NULL : name;
}

static int on_repo(void *arg, const char *key, const char *canonical UNUSED)
{
	return add_name(arg, key);
}

static int on_ref(void *arg, const char *ref UNUSED, const char *commit, int64_t checked_s UNUSED)
{
	return add_name(arg, commit);
}

static int on_commit(void *arg, const char *commit)
{
	return add_name(arg, commit);
}

static void check_commit(struct check *c, const char *repo, const char *commit)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	int64_t date_s;
	int r = catalog_get_commit(c->catalog, repo, commit, &date_s, &m);

	c->commits++;
	if (r < 0)
		broken(c, "commit %s of %s: %s", commit, repo, err_text(r));
}

/* Invariant 5: a ref's commit is in the index. */
static void check_repo(struct check *c, const char *repo)
{
	CLEANUP(buf_free) struct buf commits = { 0 };
	const char *commit = NULL;

	if (catalog_each_ref(c->catalog, repo, on_ref, &commits) < 0 ||
	    catalog_each_commit(c->catalog, repo, on_commit, &commits) < 0)
		broken(c, "the rows of %s cannot be read", repo);
	while (commits.len && (commit = next_name(&commits, commit)))
		check_commit(c, repo, commit);
}

static void check_index(struct check *c)
{
	CLEANUP(buf_free) struct buf repos = { 0 };
	const char *repo = NULL;

	if (catalog_each_repo(c->catalog, on_repo, &repos) < 0)
		broken(c, "the rows of repositories cannot be read");
	while (repos.len && (repo = next_name(&repos, repo)))
		check_repo(c, repo);
}

int main(int argc, char **argv)
{
	CLEANUP(buf_free) struct buf index = { 0 };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct check c = { .dir = argc > 1 ? argv[1] : "" };
	int r;

	if (argc < 2 || argc > 3) {
		fputs("usage: check_cache DIRECTORY [INDEX]\n", stderr);
		return 2;
	}
	if ((argc == 3 ? buf_add_str(&index, argv[2]) : buf_printf(&index, "%s/index", c.dir)) < 0)
		return 2;
	r = catalog_open(buf_str(&index), &c.catalog, &why);
	if (r < 0) {
		broken(&c, "%s", buf_str(&why));
		return 1;
	}
	each_entry(&c, AT_FDCWD, c.dir, in_cache);
	check_index(&c);
	buf_clear(&index);
	if (buf_printf(&index, "%s/blobs", c.dir) == 0)
		each_entry(&c, AT_FDCWD, buf_str(&index), in_blobs);
	catalog_close(c.catalog);
	printf("%u blobs, %u commits, %u broken\n", c.blobs, c.commits, c.broken);
	return c.broken > 0;
}
