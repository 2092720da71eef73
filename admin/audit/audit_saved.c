/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_saved.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "admin/audit/audit_record.h"
#include "daemon/base/clock.h"
#include "daemon/base/file.h"

#define NEW_FILE ".new-open" /* as file_sweep() knows them */
#define BYTES_MAX (64 * 1024 * 1024)

static int chain(const struct buf *bodies, struct buf *ret)
{
	const char *at = buf_str(bodies), *end;
	char prev[AUDIT_HASH_HEX + 1] = AUDIT_NO_HASH;
	int64_t now_ms = clock_wall_ms();
	uint64_t seq = 0;
	int r = bodies->failed;

	for (; r == 0 && (end = strchr(at, '\n')); at = end + 1)
		r = audit_record_line(++seq, now_ms, at, (size_t)(end - at), prev, ret);
	return r;
}

int audit_saved_put(int dirfd, const struct buf *bodies)
{
	CLEANUP(buf_free) struct buf lines = { 0 };
	CLEANUP(closep) int fd = -1;
	int r = chain(bodies, &lines);

	if (r == 0 && !lines.len)
		return unlinkat(dirfd, AUDIT_SAVED_FILE, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (r < 0)
		return r;
	fd = openat(dirfd, NEW_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : file_pwrite(fd, lines.data, lines.len, 0);
	if (r == 0 && renameat(dirfd, NEW_FILE, dirfd, AUDIT_SAVED_FILE) < 0)
		r = -errno;
	return r;
}

/* The body stands between the time, which is as long in each line, and the hash. */
static int give(const char *line, size_t len, int (*fn)(void *arg, const char *body, size_t len),
		void *arg)
{
	static const char time[] = ",\"time\":\"2026-11-21T19:00:34.123Z\"";
	const char *at = memchr(line, ',', len);
	size_t tail = strlen(",\"hash\":\"\"}") + AUDIT_HASH_HEX, head;

	head = (size_t)(at - line) + sizeof(time) - 1;
	return head + tail < len ? fn(arg, line + head, len - head - tail) : 0;
}

int audit_saved_each(int dirfd, int (*fn)(void *arg, const char *body, size_t len), void *arg)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = file_read_all(dirfd, AUDIT_SAVED_FILE, BYTES_MAX, &text);
	const char *at = buf_str(&text), *end;
	char prev[AUDIT_HASH_HEX + 1] = AUDIT_NO_HASH;
	struct audit_link link;

	for (; r == 0 && (end = strchr(at, '\n')); at = end + 1) {
		size_t len = (size_t)(end - at);

		if (!audit_link_holds(prev, at, len) || !audit_link_of(at, len, &link))
			break;
		memcpy(prev, link.hash, sizeof(prev));
		r = give(at, len, fn, arg);
	}
	return r == -ENOENT ? 0 : r;
}

/* --- how many were lost */

int audit_lost_put(int fd, uint64_t lost)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%020ju\n", (uintmax_t)lost);
	int r = file_pwrite(fd, text, (size_t)len, 0);

	return r == 0 && fdatasync(fd) < 0 ? -errno : r;
}

int audit_lost_open(int dirfd, uint64_t *ret)
{
	CLEANUP(closep) int fd = openat(dirfd, AUDIT_LOST_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char text[32] = "";
	int r = 0;

	*ret = 0;
	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) < 0)
		return -errno;
	*ret = strtoull(text, NULL, 10);
	if (!*text)
		r = audit_lost_put(fd, 0);
	return r < 0 ? r : steal_fd(&fd);
}
