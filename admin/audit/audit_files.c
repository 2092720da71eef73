/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"

#define DIGITS 10
#define SUFFIX ".jsonl"
#define PIECE (64 * 1024)

int audit_dir_open(const char *data)
{
	CLEANUP(closep) int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : openat(fd, AUDIT_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return r < 0 && fd >= 0 ? -errno : r;
}

/* --- segments */

void audit_segment_name(uint64_t number, char ret[static AUDIT_SEGMENT_NAME_MAX])
{
	snprintf(ret, AUDIT_SEGMENT_NAME_MAX, "%0*ju" SUFFIX, DIGITS, (uintmax_t)number);
}

/* 0 if it is no segment's name. */
static uint64_t number_of(const char *name)
{
	uint64_t number = 0;
	size_t i = 0;

	for (; name[i] >= '0' && name[i] <= '9' && i < 18; i++)
		number = number * 10 + (uint64_t)(name[i] - '0');
	return i >= DIGITS && !strcmp(name + i, SUFFIX) ? number : 0;
}

/* Reads what the first line says; it stays "not whole" if that is nothing. */
static int read_begin(int dirfd, struct audit_begun *b)
{
	CLEANUP(audit_lines_close) struct audit_lines lines = { .fd = -1 };
	struct audit_record rec;
	struct jdoc *doc;
	const char *line, *prev;
	struct stat st;
	size_t len;
	int r = audit_lines_open(dirfd, b->number, 0, &lines);

	if (r < 0)
		return r;
	b->bytes = fstat(lines.fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	r = audit_lines_next(&lines, &line, &len);
	if (r <= 0)
		return r;
	r = audit_record_parse(line, len, &rec, &doc);
	if (r < 0)
		return r == ERR_CORRUPT ? 0 : r;
	prev = jval_get_str(jdoc_root(doc), "prev");
	b->whole = prev && hex_is(prev, AUDIT_HASH_HEX) && audit_link_holds(prev, line, len);
	if (b->whole) {
		b->seq = rec.seq;
		b->time_ms = rec.time_ms;
		memcpy(b->prev, prev, sizeof(b->prev));
	}
	jdoc_free(doc);
	return 0;
}

int audit_begins_add(struct audit_begins *b, const struct audit_begun *one)
{
	struct audit_begun *more = reallocarray(b->at, b->count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	more[b->count++] = *one;
	b->at = more;
	return 0;
}

void audit_begins_free(struct audit_begins *b)
{
	free(b->at);
	*b = (struct audit_begins){ 0 };
}

static int by_number(const void *a, const void *b)
{
	const struct audit_begun *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* One that was dropped meanwhile is none. */
static int add_found(int dirfd, uint64_t number, struct audit_begins *ret)
{
	struct audit_begun found = { .number = number };
	int r = number ? read_begin(dirfd, &found) : -ENOENT;

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : audit_begins_add(ret, &found);
}

static DIR *open_list(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		closep(&fd);
	return d;
}

int audit_begins_list(int dirfd, struct audit_begins *ret)
{
	CLEANUP(closedirp) DIR *d = open_list(dirfd);
	struct dirent *e;
	int r = 0;

	*ret = (struct audit_begins){ 0 };
	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d)))
		r = add_found(dirfd, number_of(e->d_name), ret);
	if (r < 0)
		audit_begins_free(ret);
	else if (ret->count)
		qsort(ret->at, ret->count, sizeof(*ret->at), by_number);
	return r;
}

int audit_segment_after(int dirfd, uint64_t number, uint64_t *ret)
{
	CLEANUP(closedirp) DIR *d = open_list(dirfd);
	struct dirent *e;

	*ret = 0;
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		uint64_t n = number_of(e->d_name);

		if (n > number && (!*ret || n < *ret))
			*ret = n;
	}
	return 0;
}

/* --- lines */

int audit_lines_open(int dirfd, uint64_t number, uint64_t at, struct audit_lines *ret)
{
	char name[AUDIT_SEGMENT_NAME_MAX];
	int fd;

	audit_segment_name(number, name);
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	*ret = (struct audit_lines){ .fd = fd, .number = number, .at = at, .read = at };
	return fd < 0 ? -errno : 0;
}

void audit_lines_close(struct audit_lines *l)
{
	closep(&l->fd);
	buf_free(&l->text);
	*l = (struct audit_lines){ .fd = -1 };
}

/* Reads a piece behind what there is. 1: there is more now; 0: the file has no more. */
static int read_piece(struct audit_lines *l)
{
	size_t left = l->text.len - l->given;
	char piece[PIECE];
	ssize_t n;

	if (l->given) {
		memmove(l->text.data, l->text.data + l->given, left);
		l->text.len = left;
		l->given = 0;
	}
	do
		n = pread(l->fd, piece, sizeof(piece), (off_t)l->read);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	l->read += (uint64_t)n;
	return buf_add(&l->text, piece, (size_t)n) < 0 ? -ENOMEM : 1;
}

int audit_lines_next(struct audit_lines *l, const char **ret, size_t *ret_len)
{
	for (;;) {
		const char *begin = buf_str(&l->text) + l->given;
		size_t left = l->text.len - l->given;
		const char *end = memchr(begin, '\n', left);
		int r;

		if (end || left > AUDIT_LINE_MAX) {
			*ret = begin;
			*ret_len = end ? (size_t)(end - begin) : AUDIT_LINE_MAX;
			l->given += *ret_len + (end != NULL);
			l->at += *ret_len + (end != NULL);
			return 1;
		}
		r = read_piece(l);
		if (r <= 0)
			return r;
	}
}

/* --- marks */

void audit_mark_print(const struct audit_mark *m, char ret[static AUDIT_MARK_BYTES + 1])
{
	char text[AUDIT_MARK_BYTES];

	snprintf(text, sizeof(text), "{\"segment\":%ju,\"seq\":%ju,\"hash\":\"%s\"}",
		 (uintmax_t)m->segment, (uintmax_t)m->seq, m->hash);
	snprintf(ret, AUDIT_MARK_BYTES + 1, "%-*s\n", AUDIT_MARK_BYTES - 1, text);
}

int audit_mark_parse(const char *text, size_t len, struct audit_mark *ret)
{
	struct jdoc *doc;
	int r = jdoc_parse(text, len, &doc);
	const struct jval *v = r < 0 ? NULL : jdoc_root(doc);
	int64_t segment = jval_get_size(v, "segment"), seq = jval_get_size(v, "seq");
	const char *hash = jval_get_str(v, "hash");
	bool good = segment > 0 && seq > 0 && hash && hex_is(hash, AUDIT_HASH_HEX);

	if (good) {
		ret->segment = (uint64_t)segment;
		ret->seq = (uint64_t)seq;
		memcpy(ret->hash, hash, sizeof(ret->hash));
	}
	if (r == 0)
		jdoc_free(doc);
	return good ? 0 : ERR_CORRUPT;
}

int audit_mark_read(int dirfd, const char *name, struct audit_mark *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = file_read_all(dirfd, name, AUDIT_MARK_BYTES, &text);

	*ret = (struct audit_mark){ .hash = AUDIT_NO_HASH };
	if (r == 0)
		r = audit_mark_parse(buf_str(&text), text.len, ret);
	return r == -EFBIG ? ERR_CORRUPT : r;
}
