/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl/ctl_print.h"
#include "admin/ctl/ctl_work.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/num.h"
#include "daemon/base/why.h"

#define MIB (UINT64_C(1) << 20)
#define PIECE MIB
#define ALIGNMENT 4096   /* of direct I/O */
#define SIZE_DEFAULT 256 /* MiB */

enum part { DISK_WRITE, DISK_READ, SHA256, LINK, LIMIT, PARTS };

static const char *const names[PARTS] = {
	[DISK_WRITE] = "disk write", [DISK_READ] = "disk read",
	[SHA256] = "sha-256",        [LINK] = "link",
	[LIMIT] = "rate limit",
};
static const char *const keys[PARTS] = {
	[DISK_WRITE] = "disk_write", [DISK_READ] = "disk_read",
	[SHA256] = "sha256",         [LINK] = "link",
	[LIMIT] = "limit",
};

struct bench {
	uint64_t bytes;
	uint64_t rates[PARTS]; /* bytes a second; 0: not measured, or no limit */
	char *piece;           /* aligned; owned */
};

static void bench_fini(struct bench *b)
{
	free(b->piece);
}

static uint64_t rate_of(uint64_t bytes, int64_t began_ms)
{
	return bytes * 1000 / max_u64((uint64_t)(clock_ms() - began_ms), 1);
}

/* --- the disk */

/* A file that nobody sees, past the page cache where that is possible. */
static int open_trial(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_DIRECT, 0600);

	if (fd < 0 && errno == EINVAL)
		fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* -ENOSPC if less than is to stay free would be left. */
static int check_room(int fd, uint64_t bytes, uint64_t min_free)
{
	uint64_t room = 0, total;
	int r = file_space(fd, &room, &total);

	return r < 0 ? r : room < min_free || room - min_free < bytes ? -ENOSPC : 0;
}

static int measure_disk(struct bench *b, const char *dir, uint64_t min_free)
{
	CLEANUP(closep) int fd = open_trial(dir);
	int64_t began_ms = clock_ms();
	int r = fd < 0 ? fd : check_room(fd, b->bytes, min_free);

	for (uint64_t at = 0; r == 0 && at < b->bytes; at += PIECE)
		r = file_pwrite(fd, b->piece, PIECE, at);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		return r;
	b->rates[DISK_WRITE] = rate_of(b->bytes, began_ms);
	r = -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	began_ms = clock_ms();
	for (uint64_t at = 0; r == 0 && at < b->bytes; at += PIECE)
		r = file_pread(fd, b->piece, PIECE, at);
	b->rates[DISK_READ] = rate_of(b->bytes, began_ms);
	return r;
}

/* --- the digest */

static int measure_digest(struct bench *b)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	int r = digest_new(DIGEST_SHA256, b->bytes, &d);
	int64_t began_ms = clock_ms();

	for (uint64_t at = 0; r == 0 && at < b->bytes; at += PIECE)
		r = digest_update(d, b->piece, PIECE);
	b->rates[SHA256] = rate_of(b->bytes, began_ms);
	return r;
}

/* --- the link */

/* Bytes of it that are here already: they are not fetched. */
static uint64_t bytes_here(struct ctl *c)
{
	const struct ctl_line *line = c->line;
	const struct ctl_verb files = {
		"bench", "REPO[@REV]", line->verb->options, "", "GET", "/files", NULL, NULL, NULL,
	};
	CLEANUP(buf_free) struct buf path = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct ctl_line other = *line;
	int64_t bytes = 0;

	other.verb = &files;
	c->line = &other;
	if (ctl_path(c, &path) == 0 && ctl_ask(c, "GET", buf_str(&path), NULL, &d) == 0)
		bytes = jval_get_size(jdoc_root(d), "cached_bytes");
	c->line = line;
	buf_clear(&c->why); /* nothing is known of it yet */
	return bytes > 0 ? (uint64_t)bytes : 0;
}

static int measure_link(struct ctl *c, struct bench *b)
{
	CLEANUP(jdoc_freep) struct jdoc *job = NULL;
	uint64_t before = bytes_here(c), done;
	double started = 0, ended = 0;
	int r = ctl_pull_job(c, &job);

	if (r < 0)
		return r;
	done = (uint64_t)jval_get_size(jdoc_root(job), "bytes_done");
	if (done <= before || !jval_real(jval_get(jdoc_root(job), "started"), &started) ||
	    !jval_real(jval_get(jdoc_root(job), "ended"), &ended))
		return complain(&c->why, "All of %s is here: evict it first, or name another.",
				ctl_operand(c->line, "REPO"));
	b->rates[LINK] = (uint64_t)((double)(done - before) /
				    (ended - started > 0.001 ? ended - started : 0.001));
	return 0;
}

/* --- what comes out */

/* The slowest of what bytes pass on their way into the cache. */
static enum part slowest(const struct bench *b)
{
	static const enum part way[] = { DISK_WRITE, SHA256, LINK, LIMIT };
	enum part least = DISK_WRITE;

	for (size_t i = 0; i < ARRAY_LEN(way); i++)
		if (b->rates[way[i]] && b->rates[way[i]] < b->rates[least])
			least = way[i];
	return least;
}

static int put(struct ctl *c, const struct bench *b)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct jwrite w = { .to = &text };
	char key[64];

	if (c->json)
		jwrite_object(&w, NULL);
	for (unsigned i = 0; i < PARTS; i++) {
		if (c->json) {
			snprintf(key, sizeof(key), "%s_bytes_per_second", keys[i]);
			jwrite_uint(&w, key, b->rates[i]);
			continue;
		}
		buf_printf(&text, "%-12s", names[i]);
		if (b->rates[i]) {
			ctl_print_size(b->rates[i], &text);
			buf_printf(&text, "/s  (%.2f Gbit/s)\n", (double)b->rates[i] * 8 / 1e9);
		} else {
			buf_add_str(&text, i == LIMIT ? "none\n" : "not measured: name a REPO\n");
		}
	}
	if (c->json) {
		jwrite_text(&w, "slowest", keys[slowest(b)]);
		jwrite_object_end(&w);
		buf_add_str(&text, "\n");
	} else {
		buf_printf(&text, "\nNew bytes come no faster than: %s\n", names[slowest(b)]);
	}
	return ctl_put(c, &text);
}

static uint64_t limit_of(const struct jval *status)
{
	const struct jval *limits = jval_get(jval_get(status, "limits"), "bytes_per_second");
	int64_t n = jval_get_size(limits, "total");

	return n > 0 ? (uint64_t)n : 0;
}

static int measure(struct ctl *c, struct bench *b, const struct jval *status)
{
	const char *dir = jval_get_str(status, "cache");
	int64_t keep = jval_get_size(jval_get(status, "limits"), "cache_min_free");
	int r = dir ? measure_disk(b, dir, keep > 0 ? (uint64_t)keep : 0) : -ENOENT;

	if (r == -ENOSPC)
		return complain(&c->why,
				"So many bytes would leave less free on the disk of the cache %s "
				"than cache-min-free says: give a smaller --size.",
				dir);
	if (r < 0)
		return complain(&c->why, "The disk of the cache %s cannot be measured: %s.",
				dir ? dir : "", err_text(r));
	b->rates[LIMIT] = limit_of(status);
	r = measure_digest(b);
	return r == 0 && ctl_operand(c->line, "REPO") ? measure_link(c, b) : r;
}

int ctl_bench(struct ctl *c)
{
	const char *size = ctl_option(c->line, "size");
	CLEANUP(bench_fini) struct bench b = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	int r = ctl_ask(c, "GET", "/status", NULL, &d);

	b.bytes = max_u64(size ? strtoull(size, NULL, 10) : SIZE_DEFAULT, 1) * MIB;
	b.piece = aligned_alloc(ALIGNMENT, PIECE);
	if (r < 0 || !b.piece)
		return r < 0 ? r : -ENOMEM;
	memset(b.piece, 0x5a, PIECE);
	r = measure(c, &b, jdoc_root(d));
	return r < 0 ? r : put(c, &b);
}
