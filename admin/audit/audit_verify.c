/* SPDX-License-Identifier: Apache-2.0 */
/* What is expected of the next line is its number and that its hash follows the one before. Where
 * that fails, what stands there is believed for what follows, so that one change is told once. */
#include "admin/audit/audit_verify.h"

#include <errno.h>
#include <string.h>

#include "admin/audit/audit_files.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"

struct audit_verify {
	int dirfd;
	struct audit_mark mark, witness, anchor;
	bool has_mark, has_anchor, anchored; /* anchored: the chain says so itself */
	struct audit_lines lines;
	uint64_t line;    /* of the segment, the last that was read */
	uint64_t segment; /* where it is */
	uint64_t seq;     /* of the last record in its place */
	bool unknown;     /* the hash of the one before is not known */
	bool reached;     /* the mark was met */
	bool more;        /* a segment follows this one */
	struct audit_verdict verdict;
	audit_problem_fn fn; /* of the call */
	void *arg;
};

void audit_verify_free(struct audit_verify *v)
{
	if (!v)
		return;
	closep(&v->dirfd);
	audit_lines_close(&v->lines);
	free(v);
}

void audit_verify_freep(struct audit_verify **v)
{
	audit_verify_free(*v);
}

PRINTF(4, 5)
static void complain_of(struct audit_verify *v, const char *what, uint64_t seq, const char *fmt,
			...)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct audit_problem p = { v->segment, v->line, seq, what, NULL };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	p.text = buf_str(&text);
	v->verdict.problems++;
	if (v->fn)
		v->fn(v->arg, &p);
}

/* --- opening */

static int read_marks(struct audit_verify *v, const struct audit_mark *mark)
{
	int r = audit_mark_read(v->dirfd, AUDIT_ANCHOR_FILE, &v->anchor);

	v->has_anchor = r == 0;
	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	if (mark) {
		v->mark = *mark;
		v->has_mark = true;
		return 0;
	}
	r = audit_mark_read(v->dirfd, AUDIT_HEAD_FILE, &v->mark);
	v->has_mark = r == 0;
	return r == -ENOENT || r == ERR_CORRUPT ? 0 : r;
}

int audit_verify_open(const char *data, const struct audit_mark *mark,
		      const struct audit_mark *witness, struct audit_verify **ret)
{
	CLEANUP(audit_verify_freep) struct audit_verify *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->lines.fd = -1;
	if (witness)
		v->witness = *witness;
	v->verdict.witness_seq = v->witness.seq;
	v->dirfd = audit_dir_open(data);
	r = v->dirfd < 0 ? v->dirfd : read_marks(v, mark);
	if (r < 0)
		return r;
	/* What retention dropped ends with the anchor; without one the trail begins at nothing. */
	v->segment = v->anchor.segment;
	v->seq = v->verdict.dropped_seq = v->anchor.seq;
	memcpy(v->verdict.hash, v->anchor.hash, sizeof(v->anchor.hash));
	*ret = steal(v);
	return 0;
}

/* --- lines */

static void check_place(struct audit_verify *v, const struct audit_link *link)
{
	uint64_t next = v->seq + 1;

	if (link->seq == next + 1)
		complain_of(v, "missing", next, "record %ju is missing", (uintmax_t)next);
	else if (link->seq > next)
		complain_of(v, "missing", next, "records %ju to %ju are missing", (uintmax_t)next,
			    (uintmax_t)link->seq - 1);
	v->unknown |= link->seq > next;
}

/* Records of a segment's beginning and of retention say more. */
static void check_more(struct audit_verify *v, const char *line, size_t len)
{
	struct audit_record rec;
	struct jdoc *doc;
	const char *dropped;

	if (v->line > 1 && (v->anchored || !memmem(line, len, "\"retention\"", 11)))
		return;
	if (audit_record_parse(line, len, &rec, &doc) < 0)
		return;
	dropped = jval_get_str(jdoc_root(doc), "dropped_hash");
	if (!strcmp(rec.kind, AUDIT_RETENTION) && dropped && !strcmp(dropped, v->anchor.hash))
		v->anchored = true;
	if (v->line == 1 && (strcmp(rec.kind, AUDIT_SEGMENT) != 0 ||
			     jval_get_size(jdoc_root(doc), "segment") != (int64_t)v->segment))
		complain_of(v, "misplaced", rec.seq, "segment %ju has not its own first record",
			    (uintmax_t)v->segment);
	jdoc_free(doc);
}

static void check_mark(struct audit_verify *v, const struct audit_link *link)
{
	if (v->has_mark && link->seq == v->mark.seq && strcmp(link->hash, v->mark.hash) != 0)
		complain_of(v, "changed", link->seq,
			    "record %ju is not the one that was last written",
			    (uintmax_t)link->seq);
	else if (link->seq == v->witness.seq && strcmp(link->hash, v->witness.hash) != 0)
		complain_of(v, "changed", link->seq,
			    "record %ju is not the one that the hub's metadata bear witness of",
			    (uintmax_t)link->seq);
}

static void check_line(struct audit_verify *v, const char *line, size_t len)
{
	struct audit_link link;

	v->line++;
	v->verdict.bytes += len + 1;
	if (!audit_link_of(line, len, &link)) {
		complain_of(v, "garbage", v->seq + 1, "this line is no record");
		v->unknown = true;
		return;
	}
	v->verdict.records++;
	if (link.seq <= v->seq) {
		complain_of(v, "misplaced", link.seq, "record %ju stands behind record %ju",
			    (uintmax_t)link.seq, (uintmax_t)v->seq);
		return;
	}
	check_place(v, &link);
	if (!v->unknown && !audit_link_holds(v->verdict.hash, line, len))
		complain_of(v, "changed", link.seq,
			    "record %ju is not the one that was written here", (uintmax_t)link.seq);
	check_more(v, line, len);
	check_mark(v, &link);
	if (!v->verdict.first_seq)
		v->verdict.first_seq = link.seq;
	v->seq = v->verdict.last_seq = link.seq;
	v->unknown = false;
	memcpy(v->verdict.hash, link.hash, sizeof(link.hash));
}

/* --- segments */

/* Retention may have gone on since. What it dropped before we came there is its anchor's. */
static int follow_anchor(struct audit_verify *v)
{
	struct audit_mark now;
	int r = audit_mark_read(v->dirfd, AUDIT_ANCHOR_FILE, &now);

	if (r < 0 || now.segment <= v->anchor.segment)
		return r == -ENOENT || r == ERR_CORRUPT ? 0 : r;
	v->anchor = now;
	v->has_anchor = true;
	v->anchored = false;
	if (now.segment <= v->segment)
		return 0;
	v->segment = now.segment;
	v->seq = v->verdict.dropped_seq = now.seq;
	memcpy(v->verdict.hash, now.hash, sizeof(now.hash));
	return 0;
}

static int open_next(struct audit_verify *v)
{
	uint64_t next = 0;
	int r = follow_anchor(v);

	if (r == 0)
		r = audit_segment_after(v->dirfd, v->segment, &next);
	if (r < 0 || !next)
		return r;
	audit_lines_close(&v->lines);
	r = audit_lines_open(v->dirfd, next, 0, &v->lines);
	if (r == -ENOENT) /* it has just been dropped: there is an anchor */
		return open_next(v);
	v->segment = next;
	v->line = 0;
	v->more = false;
	v->verdict.segments++;
	return r < 0 ? r : 1;
}

/* The segment has no line any more. 1: look again, there or in the next; 0: that was all. What was
 * written here before the next began may have come after we looked. */
static int go_on(struct audit_verify *v)
{
	uint64_t next;
	int r;

	if (v->lines.fd < 0)
		return open_next(v);
	if (!v->more) {
		r = audit_segment_after(v->dirfd, v->segment, &next);
		v->more = next;
		return r < 0 ? r : v->more;
	}
	if (v->lines.read > v->lines.at)
		complain_of(v, "garbage", 0, "the last line of segment %ju is not whole",
			    (uintmax_t)v->segment);
	return open_next(v);
}

/* --- the whole */

static void check_end(struct audit_verify *v)
{
	uint64_t last = max_u64(v->has_mark ? v->mark.seq : 0, v->witness.seq);

	v->line = 0;
	if (v->has_anchor && !v->anchored)
		complain_of(v, "anchor", v->anchor.seq,
			    "no record tells of the retention that dropped records up to %ju",
			    (uintmax_t)v->anchor.seq);
	if (!v->has_mark && v->verdict.records)
		complain_of(v, "cut", v->seq, "what tells how many records there are is missing");
	if (v->seq < last)
		complain_of(v, "cut", v->seq + 1, "records %ju to %ju are missing at the end",
			    (uintmax_t)v->seq + 1, (uintmax_t)last);
}

int audit_verify_step(struct audit_verify *v, uint64_t bytes, audit_problem_fn fn, void *arg,
		      struct audit_verdict *ret)
{
	uint64_t until = v->verdict.bytes + bytes;
	const char *line;
	size_t len;
	int r = 1;

	v->fn = fn;
	v->arg = arg;
	while (r == 1 && v->verdict.bytes < until) {
		r = v->lines.fd < 0 ? 0 : audit_lines_next(&v->lines, &line, &len);
		if (r == 1)
			check_line(v, line, len);
		else if (r == 0)
			r = go_on(v);
	}
	if (r == 0)
		check_end(v);
	*ret = v->verdict;
	return r < 0 ? r : !r;
}
