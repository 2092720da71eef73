/* SPDX-License-Identifier: Apache-2.0 */
/* Order of writes: lines, fdatasync, head. A head is therefore never ahead of what is durable, and
 * what lies behind it and does not follow it was never told to be durable. A failed flush may have
 * left anything behind the end: the next one writes over it. */
#include "admin/audit/audit_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/num.h"

#define SEGMENT_AGE_MS (24LL * 3600 * 1000)
#define RESERVE_STEP (2 * AUDIT_RESERVE_BYTES)

struct audit_chain {
	int dirfd, headfd;
	int fd; /* of the last segment, or -1 */
	uint64_t segment_bytes;
	struct audit_begins segments; /* their bytes do not count the last one's */
	uint64_t size;                /* of the last one: what is durable */
	uint64_t reserved;            /* blocks are there up to this size */
	int cramped;                  /* why it is longer than it should be, or 0 */
	struct audit_mark end;        /* the last durable record */
	/* Added and not flushed. */
	struct buf waiting;
	struct audit_mark added;
};

static void chain_free(struct audit_chain *c)
{
	closep(&c->fd);
	closep(&c->headfd);
	closep(&c->dirfd);
	audit_begins_free(&c->segments);
	buf_free(&c->waiting);
	free(c);
}

static void chain_freep(struct audit_chain **c)
{
	if (*c)
		chain_free(*c);
}

void audit_chain_close(struct audit_chain *c)
{
	/* Gives the reserve back; the reader of a segment does not care. */
	if (c && c->fd >= 0 && ftruncate(c->fd, (off_t)c->size) < 0)
		err_forget_note();
	chain_freep(&c);
}

/* --- adding */

static struct audit_begun *last_segment(const struct audit_chain *c)
{
	return c->segments.count ? &c->segments.at[c->segments.count - 1] : NULL;
}

/* Its last record is the one that reaches the size. What was begun before a disk was full can
 * still be recorded. */
static uint64_t size_limit(const struct audit_chain *c)
{
	return c->segment_bytes + (c->cramped ? AUDIT_RESERVE_BYTES : 0);
}

/* One that has only its first record is not, whatever its size should be. */
static bool is_full(const struct audit_chain *c)
{
	const struct audit_begun *last = last_segment(c);

	return c->size + c->waiting.len >= size_limit(c) && last && c->added.seq > last->seq;
}

int audit_chain_add(struct audit_chain *c, int64_t time_ms, const char *body, size_t len)
{
	struct audit_mark next = c->added;
	size_t before = c->waiting.len;
	int r;

	if (is_full(c))
		return 1;
	r = audit_record_line(c->added.seq + 1, time_ms, body, len, next.hash, &c->waiting);
	if (r < 0) {
		c->waiting.len = before;
		c->waiting.failed = 0;
		return r;
	}
	c->added.seq++;
	memcpy(c->added.hash, next.hash, sizeof(next.hash));
	return 0;
}

size_t audit_chain_waiting(const struct audit_chain *c)
{
	return c->waiting.len;
}

static int write_head(struct audit_chain *c)
{
	char text[AUDIT_MARK_BYTES + 1];

	audit_mark_print(&c->end, text);
	return file_pwrite(c->headfd, text, AUDIT_MARK_BYTES, 0);
}

/* After a failed fdatasync the pages may count as clean: they are written anew. */
static int write_waiting(struct audit_chain *c)
{
	int r;

	if (!c->waiting.len)
		return 0;
	r = file_pwrite(c->fd, c->waiting.data, c->waiting.len, c->size);
	if (r == 0 && fdatasync(c->fd) < 0)
		r = -errno;
	if (r < 0)
		return r;
	c->size += c->waiting.len;
	buf_free(&c->waiting);
	c->end = c->added;
	return write_head(c);
}

/* --- segments */

/* Opens the file of a segment, empty or new. */
static int make_file(struct audit_chain *c, uint64_t number)
{
	char name[AUDIT_SEGMENT_NAME_MAX];
	CLEANUP(closep) int fd = -1;
	int r;

	audit_segment_name(number, name);
	fd = openat(c->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : file_sync_dir(c->dirfd);
	return r < 0 ? r : steal_fd(&fd);
}

static void remove_file(const struct audit_chain *c, uint64_t number)
{
	char name[AUDIT_SEGMENT_NAME_MAX];

	audit_segment_name(number, name);
	unlinkat(c->dirfd, name, 0);
}

static int add_first_line(struct audit_chain *c, int64_t now_ms)
{
	const struct audit_record rec = { .kind = AUDIT_SEGMENT };
	CLEANUP(buf_free) struct buf body = { 0 };
	struct jwrite w = { .to = &body, .more = true };

	audit_record_body(&rec, &body);
	jwrite_uint(&w, "segment", c->added.segment);
	jwrite_text(&w, "prev", c->added.hash);
	return body.failed ? body.failed : audit_chain_add(c, now_ms, body.data, body.len);
}

/* Nothing is waiting. If it fails the last segment goes on. */
static int begin_segment(struct audit_chain *c, int64_t now_ms)
{
	struct audit_begun *last = last_segment(c);
	struct audit_begun begun = { .number = max_u64(c->end.segment, last ? last->number : 0) + 1,
				     .whole = true,
				     .seq = c->end.seq + 1,
				     .time_ms = now_ms };
	int old = c->fd, r = make_file(c, begun.number);
	uint64_t old_size = c->size;

	if (r < 0)
		return r;
	if (last)
		last->bytes = old_size;
	memcpy(begun.prev, c->end.hash, sizeof(begun.prev));
	c->fd = r;
	c->size = 0;
	c->added = c->end;
	c->added.segment = begun.number;
	r = add_first_line(c, now_ms);
	if (r == 0)
		r = write_waiting(c);
	if (r == 0)
		r = audit_begins_add(&c->segments, &begun);
	if (r < 0 && c->end.segment < begun.number) {
		closep(&c->fd);
		remove_file(c, begun.number);
		c->fd = old;
		c->size = old_size;
		c->added = c->end;
		buf_clear(&c->waiting);
		return r;
	}
	c->reserved = 0;
	if (old >= 0 && ftruncate(old, (off_t)old_size) < 0) /* gives the reserve back */
		err_forget_note();
	closep(&old);
	return r;
}

static bool is_over(const struct audit_chain *c, int64_t now_ms)
{
	const struct audit_begun *last = last_segment(c);

	return c->size >= c->segment_bytes ||
	       (now_ms - last->time_ms >= SEGMENT_AGE_MS && c->end.seq > last->seq);
}

int audit_chain_flush(struct audit_chain *c, int64_t now_ms)
{
	int r = write_waiting(c);

	if (r < 0 || !is_over(c, now_ms))
		return r;
	c->cramped = r = begin_segment(c, now_ms);
	return c->size < size_limit(c) ? 0 : r;
}

int audit_chain_reserve(struct audit_chain *c)
{
	int r;

	if (c->cramped)
		return c->cramped;
	if (c->reserved >= c->size + AUDIT_RESERVE_BYTES)
		return 0;
	do
		r = fallocate(c->fd, FALLOC_FL_KEEP_SIZE, (off_t)c->size, RESERVE_STEP);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno != EOPNOTSUPP)
		return -errno;
	c->reserved = c->size + RESERVE_STEP;
	return 0;
}

/* --- retention */

/* How many segments at the beginning end before the time: each but the last does where the next
 * begins. */
static size_t old_ones(const struct audit_chain *c, int64_t before_ms)
{
	size_t n = 0;

	while (n + 1 < c->segments.count && c->segments.at[n + 1].whole &&
	       c->segments.at[n + 1].time_ms < before_ms)
		n++;
	return n;
}

static int record_drop(struct audit_chain *c, const struct audit_mark *anchor, int64_t now_ms)
{
	const struct audit_record rec = { .kind = AUDIT_RETENTION, .outcome = AUDIT_DONE };
	CLEANUP(buf_free) struct buf body = { 0 };
	struct jwrite w = { .to = &body, .more = true };
	int r;

	audit_record_body(&rec, &body);
	jwrite_uint(&w, "dropped_segment", anchor->segment);
	jwrite_uint(&w, "dropped_seq", anchor->seq);
	jwrite_text(&w, "dropped_hash", anchor->hash);
	r = body.failed ? body.failed : audit_chain_add(c, now_ms, body.data, body.len);
	if (r > 0)
		return c->cramped ? c->cramped : ERR_FULL;
	return r < 0 ? r : write_waiting(c);
}

/* Removes the first n, which the anchor stands for. */
static void drop(struct audit_chain *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		remove_file(c, c->segments.at[i].number);
	if (!n)
		return;
	c->segments.count -= n;
	memmove(c->segments.at, c->segments.at + n, c->segments.count * sizeof(*c->segments.at));
}

int audit_chain_retain(struct audit_chain *c, int64_t before_ms, int64_t now_ms)
{
	size_t n = old_ones(c, before_ms);
	char text[AUDIT_MARK_BYTES + 1];
	struct audit_mark anchor = { 0 };
	int r;

	if (!n)
		return 0;
	anchor.segment = c->segments.at[n - 1].number;
	anchor.seq = c->segments.at[n].seq - 1;
	memcpy(anchor.hash, c->segments.at[n].prev, sizeof(anchor.hash));
	r = record_drop(c, &anchor, now_ms);
	audit_mark_print(&anchor, text);
	if (r == 0)
		r = file_replace(c->dirfd, AUDIT_ANCHOR_FILE, text, AUDIT_MARK_BYTES, 0600);
	if (r == 0)
		drop(c, n);
	return r;
}

/* --- opening */

/* What tells how far the trail reached. */
struct marks {
	struct audit_mark head, anchor;
	const struct audit_mark *witness; /* or NULL */
};

/* A crash may have come before the files went. */
static void drop_anchored(struct audit_chain *c, uint64_t segment)
{
	size_t n = 0;

	while (n < c->segments.count && c->segments.at[n].number <= segment)
		n++;
	drop(c, n);
}

/* The last segment of a crash that came before its first line was durable. */
static void drop_unbegun(struct audit_chain *c, const struct audit_mark *head,
			 struct audit_mended *m)
{
	const struct audit_begun *last;

	while ((last = last_segment(c))) {
		if (last->whole || last->number <= head->segment)
			return;
		m->cut += last->bytes;
		remove_file(c, last->number);
		c->segments.count--;
	}
}

/* Follows the last segment to its end. Behind the head, what does not follow was never finished;
 * before it, it is damage, which stays for those who verify. */
static int find_end(struct audit_chain *c, const struct audit_mark *head)
{
	const struct audit_begun *last = last_segment(c);
	CLEANUP(audit_lines_close) struct audit_lines lines = { .fd = -1 };
	const char *line;
	size_t len;
	int r = audit_lines_open(c->dirfd, last->number, 0, &lines);

	c->end.segment = last->number;
	c->end.seq = last->whole ? last->seq - 1 : 0;
	memcpy(c->end.hash, last->whole ? last->prev : AUDIT_NO_HASH, sizeof(c->end.hash));
	while (r == 0 && (r = audit_lines_next(&lines, &line, &len)) == 1) {
		struct audit_link link;
		bool form = audit_link_of(line, len, &link), follows;

		r = 0;
		follows = form && link.seq == c->end.seq + 1 &&
			  audit_link_holds(c->end.hash, line, len);
		if (!follows && c->end.seq >= head->seq)
			return 0;
		c->size = lines.at;
		if (form && link.seq > c->end.seq) {
			c->end.seq = link.seq;
			memcpy(c->end.hash, link.hash, sizeof(link.hash));
		}
	}
	return r;
}

static int open_last(struct audit_chain *c, struct audit_mended *m)
{
	char name[AUDIT_SEGMENT_NAME_MAX];
	struct stat st;

	audit_segment_name(c->end.segment, name);
	c->fd = openat(c->dirfd, name, O_WRONLY | O_CLOEXEC);
	if (c->fd < 0 || fstat(c->fd, &st) < 0)
		return -errno;
	m->cut += (uint64_t)st.st_size - c->size;
	if (ftruncate(c->fd, (off_t)c->size) < 0 || fdatasync(c->fd) < 0)
		return -errno;
	return 0;
}

/* The hash of a record, as its line tells; "" if there is none in the segment that has its place,
 * which those who verify see. */
static int find_hash(const struct audit_chain *c, uint64_t seq, char ret[static AUDIT_HASH_HEX + 1])
{
	CLEANUP(audit_lines_close) struct audit_lines lines = { .fd = -1 };
	struct audit_link link = { 0 };
	size_t i = c->segments.count, len;
	const char *line;
	int r;

	*ret = '\0';
	while (i && (!c->segments.at[i - 1].whole || c->segments.at[i - 1].seq > seq))
		i--;
	if (!i)
		return 0;
	r = audit_lines_open(c->dirfd, c->segments.at[i - 1].number, 0, &lines);
	while (r == 0 && (r = audit_lines_next(&lines, &line, &len)) == 1) {
		r = 0;
		if (!audit_link_of(line, len, &link) || link.seq != seq)
			continue;
		memcpy(ret, link.hash, sizeof(link.hash));
		return 0;
	}
	return r;
}

/* Who changes a record, and chains anew what follows, changes the one that is witnessed; or has it
 * dropped by a retention that never was: a witness is borne before it could come to that. */
static int check_witness(const struct audit_chain *c, const struct audit_mark *witness,
			 const struct audit_mark *anchor, struct audit_mended *m)
{
	char hash[AUDIT_HASH_HEX + 1];
	int r;

	if (!witness || witness->seq > c->end.seq)
		return 0;
	r = find_hash(c, witness->seq, hash);
	if (witness->seq == anchor->seq)
		memcpy(hash, anchor->hash, sizeof(hash));
	if (r == 0 && ((*hash && strcmp(hash, witness->hash) != 0) || witness->seq < anchor->seq))
		m->changed = witness->seq;
	return r;
}

/* Where what follows begins: where the trail ends, or where it should. What is not what was
 * witnessed is told by a gap, too: the next witness would know nothing of it. */
static int find_place(struct audit_chain *c, const struct marks *marks, int64_t now_ms,
		      struct audit_mended *m)
{
	const struct audit_begun *last = last_segment(c);
	const struct audit_mark *head = &marks->head;
	int r = last ? find_end(c, head) : 0;

	if (r == 0 && last)
		r = open_last(c, m);
	if (r == 0)
		r = check_witness(c, marks->witness, &marks->anchor, m);
	if (r < 0)
		return r;
	if (head->seq > c->end.seq) {
		m->missing = head->seq - c->end.seq;
		c->end = *head; /* a segment that is gone keeps its number */
	} else if (m->changed) {
		c->end.seq++;
	}
	c->added = c->end;
	if (!last || !last->whole || c->end.segment != last->number)
		return begin_segment(c, now_ms);
	return write_head(c);
}

static int read_mark(const struct audit_chain *c, const char *name, struct audit_mark *ret)
{
	int r = audit_mark_read(c->dirfd, name, ret);

	return r == -ENOENT || r == ERR_CORRUPT ? 0 : r;
}

static int open_chain(struct audit_chain *c, const struct audit_mark *witness, int64_t now_ms,
		      struct audit_mended *m)
{
	struct marks marks = { .witness = witness };
	int r = file_lock(c->dirfd);

	if (r < 0)
		return r == -EWOULDBLOCK ? ERR_LOCKED : r;
	file_sweep(c->dirfd);
	r = read_mark(c, AUDIT_HEAD_FILE, &marks.head);
	if (r == 0)
		r = read_mark(c, AUDIT_ANCHOR_FILE, &marks.anchor);
	if (r < 0)
		return r;
	c->headfd = openat(c->dirfd, AUDIT_HEAD_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	r = c->headfd < 0 ? -errno : audit_begins_list(c->dirfd, &c->segments);
	if (r < 0)
		return r;
	m->no_head = c->segments.count && !marks.head.seq;
	if (witness && witness->seq > marks.head.seq)
		marks.head = *witness;
	drop_anchored(c, marks.anchor.segment);
	drop_unbegun(c, &marks.head, m);
	memcpy(c->end.hash, AUDIT_NO_HASH, sizeof(c->end.hash));
	return find_place(c, &marks, now_ms, m);
}

int audit_chain_open(int dirfd, uint64_t segment_bytes, const struct audit_mark *witness,
		     int64_t now_ms, struct audit_chain **ret, struct audit_mended *ret_mended)
{
	CLEANUP(chain_freep) struct audit_chain *c = calloc(1, sizeof(*c));
	int r;

	*ret_mended = (struct audit_mended){ 0 };
	if (!c) {
		close(dirfd);
		return -ENOMEM;
	}
	c->dirfd = dirfd;
	c->fd = c->headfd = -1;
	c->segment_bytes = segment_bytes;
	r = open_chain(c, witness, now_ms, ret_mended);
	if (r == 0)
		*ret = steal(c);
	return r;
}

/* --- what it is */

void audit_chain_mark(const struct audit_chain *c, struct audit_mark *ret)
{
	*ret = c->end;
}

uint64_t audit_chain_segments(const struct audit_chain *c, uint64_t *ret_bytes)
{
	*ret_bytes = c->size;
	for (size_t i = 0; i + 1 < c->segments.count; i++)
		*ret_bytes += c->segments.at[i].bytes;
	return c->segments.count;
}
