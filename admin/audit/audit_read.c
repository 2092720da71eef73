/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_read.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "admin/audit/audit_files.h"
#include "daemon/base/err.h"

#define BACK_BYTES (64 * 1024)            /* first looked at for the last records */
#define BACK_BYTES_MAX (16 * 1024 * 1024) /* looked at in all, about */

struct audit_reader {
	int dirfd;
	struct audit_query query;
	char *kind, *user, *repo, *address, *outcome; /* the query's texts */
	struct audit_begins begins;                   /* when it was opened, or looked last */
	struct audit_lines lines;                     /* of the segment it is in, or closed */
	uint64_t number, at;                          /* where it is; number 0: nowhere yet */
	uint64_t next; /* number of the segment after it, 0: none was seen */
};

void audit_reader_free(struct audit_reader *r)
{
	if (!r)
		return;
	closep(&r->dirfd);
	audit_begins_free(&r->begins);
	audit_lines_close(&r->lines);
	free(r->kind);
	free(r->user);
	free(r->repo);
	free(r->address);
	free(r->outcome);
	free(r);
}

void audit_reader_freep(struct audit_reader **r)
{
	audit_reader_free(*r);
}

/* --- opening */

static int copy_text(const char **text, char **ret)
{
	if (*text && **text)
		*text = *ret = strdup(*text);
	else
		*text = NULL;
	return *text && !**ret ? -ENOMEM : 0;
}

static int copy_query(struct audit_reader *r, const struct audit_query *q)
{
	struct audit_query *own = &r->query;

	*own = *q;
	if (copy_text(&own->kind, &r->kind) < 0 || copy_text(&own->user, &r->user) < 0 ||
	    copy_text(&own->repo, &r->repo) < 0 || copy_text(&own->address, &r->address) < 0 ||
	    copy_text(&own->outcome, &r->outcome) < 0)
		return -ENOMEM;
	return 0;
}

/* The segment before the first that begins at the time or later: what is that old may be in it. A
 * clock that went back makes it an early one. */
static void go_to_time(struct audit_reader *r, int64_t from_ms)
{
	r->number = r->begins.count ? r->begins.at[0].number : 0;
	r->at = 0;
	for (size_t i = 1; i < r->begins.count && r->begins.at[i].time_ms < from_ms; i++)
		r->number = r->begins.at[i].number;
}

static int parse_cursor(struct audit_reader *r, const char *text)
{
	unsigned long long number, at;
	int end = -1;

	/* sscanf alone would take signs and blanks. */
	if (text[strspn(text, "0123456789-")] || *text == '-' || strstr(text, "--") ||
	    sscanf(text, "%19llu-%19llu%n", &number, &at, &end) != 2 || text[end])
		return -EINVAL;
	r->number = number;
	r->at = at;
	return 0;
}

int audit_reader_open(const char *data, const struct audit_query *q, const char *cursor,
		      struct audit_reader **ret)
{
	CLEANUP(audit_reader_freep) struct audit_reader *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->lines.fd = -1;
	r->dirfd = audit_dir_open(data);
	if (r->dirfd < 0 && r->dirfd != -ENOENT)
		return r->dirfd;
	e = copy_query(r, q);
	if (e == 0 && r->dirfd >= 0)
		e = audit_begins_list(r->dirfd, &r->begins);
	if (e < 0)
		return e;
	if (cursor && *cursor)
		e = parse_cursor(r, cursor);
	else
		go_to_time(r, r->query.from_ms);
	if (e == 0)
		*ret = steal(r);
	return e;
}

void audit_reader_cursor(const struct audit_reader *r, char ret[static AUDIT_CURSOR_MAX])
{
	snprintf(ret, AUDIT_CURSOR_MAX, "%ju-%ju", (uintmax_t)r->number, (uintmax_t)r->at);
}

/* --- going on */

static bool is(const char *want, const char *have)
{
	return !want || (have && !strcmp(want, have));
}

static bool fits(const struct audit_query *q, const struct audit_record *rec)
{
	return (!q->from_ms || rec->time_ms >= q->from_ms) &&
	       (!q->to_ms || rec->time_ms < q->to_ms) && is(q->kind, rec->kind) &&
	       is(q->user, rec->user) && is(q->repo, rec->repo) && is(q->address, rec->address) &&
	       is(q->outcome, rec->outcome) && !(q->anonymous && rec->user);
}

/* Parsing costs more than looking whether the text is in the line at all, which tells nothing of
 * one that JSON has another way to write. */
static bool may_have(const char *text, const char *line, size_t len)
{
	bool plain = text && *text != '\0';

	for (const char *at = text; plain && *at; at++)
		plain = *at >= ' ' && *at < 0x7f && *at != '"' && *at != '\\';
	return !plain || memmem(line, len, text, strlen(text));
}

static bool may_fit(const struct audit_query *q, const char *line, size_t len)
{
	return may_have(q->user, line, len) && may_have(q->repo, line, len) &&
	       may_have(q->address, line, len) && may_have(q->kind, line, len);
}

static void go_to(struct audit_reader *r, uint64_t number, uint64_t at)
{
	audit_lines_close(&r->lines);
	r->number = number;
	r->at = at;
	r->next = 0;
}

/* The segment has no line for now. True: it is worth another try, here or in the one that follows
 * it: what was written here before that began may have come after we looked. */
static int go_on(struct audit_reader *r, bool is_gone)
{
	int e = 0;

	if (!r->next)
		e = audit_segment_after(r->dirfd, r->number, &r->next);
	else
		is_gone = true;
	if (e == 0 && r->next && is_gone)
		go_to(r, r->next, 0);
	else if (e == 0 && !r->next)
		return 0;
	return e < 0 ? e : 1;
}

/* The next line, from whichever segment. 1: there it is; 0: there is none now. */
static int next_line(struct audit_reader *r, const char **line, size_t *len)
{
	int e = 1;

	if (r->dirfd < 0)
		return 0;
	while (e > 0) {
		e = r->lines.fd < 0 ? audit_lines_open(r->dirfd, r->number, r->at, &r->lines) : 0;
		if (e == 0 && (e = audit_lines_next(&r->lines, line, len)) == 1) {
			r->at = r->lines.at;
			return 1;
		}
		if (e == 0 || e == -ENOENT) /* retention may have dropped it */
			e = go_on(r, e == -ENOENT);
	}
	return e;
}

/* What fn says of a line that is asked for; *ret_given counts it. */
static int give(const struct audit_reader *r, const char *line, size_t len, audit_record_fn fn,
		void *arg, unsigned *ret_given)
{
	struct audit_record rec;
	struct jdoc *doc;
	int e;

	if (!may_fit(&r->query, line, len))
		return 0;
	e = audit_record_parse(line, len, &rec, &doc);
	if (e < 0)
		return e == -ENOMEM ? e : 0;
	if (fits(&r->query, &rec)) {
		(*ret_given)++;
		e = fn(arg, &rec, line, len);
	}
	jdoc_free(doc);
	return e;
}

int audit_reader_next(struct audit_reader *r, unsigned count, uint64_t bytes, audit_record_fn fn,
		      void *arg)
{
	unsigned given = 0;
	uint64_t read = 0;
	const char *line;
	size_t len;
	int e = 1;

	while (given < count && read < bytes) {
		e = next_line(r, &line, &len);
		if (e <= 0)
			return e < 0 ? e : 1;
		read += len;
		e = give(r, line, len, fn, arg, &given);
		if (e != 0)
			return e;
	}
	return 0;
}

/* --- the last ones */

struct lasts {
	const struct audit_reader *reader;
	unsigned max, count; /* count: of all there were */
	struct place {
		uint64_t number, at;
	} places[AUDIT_LAST_MAX];
};

static int note_place(void *arg, const struct audit_record *rec UNUSED, const char *line UNUSED,
		      size_t len)
{
	struct lasts *l = arg;
	uint64_t number = l->reader->number, at = l->reader->at - len - 1;

	l->places[l->count++ % l->max] = (struct place){ number, at };
	return 0;
}

/* Goes about so many bytes back from the end, to the beginning of a line. True: there is nothing
 * before. */
static bool go_back(struct audit_reader *r, uint64_t bytes)
{
	size_t i = r->begins.count;
	const char *line;
	size_t len;

	while (i-- > 0 && r->begins.at[i].bytes < bytes)
		bytes -= r->begins.at[i].bytes;
	if (i == SIZE_MAX) {
		go_to(r, r->begins.count ? r->begins.at[0].number : 0, 0);
		return true;
	}
	go_to(r, r->begins.at[i].number, r->begins.at[i].bytes - bytes);
	if (r->at > 0)
		r->at--;
	if (next_line(r, &line, &len) < 0)
		go_to(r, r->number, 0);
	return false;
}

/* How long the segments are now. */
static int look(struct audit_reader *r)
{
	audit_begins_free(&r->begins);
	return r->dirfd < 0 ? 0 : audit_begins_list(r->dirfd, &r->begins);
}

int audit_reader_last(struct audit_reader *r, unsigned count)
{
	CLEANUP(freep) struct lasts *l = calloc(1, sizeof(*l));
	bool all = false;
	int e = l ? look(r) : -ENOMEM;

	if (e < 0)
		return e;
	e = 1;
	l->reader = r;
	l->max = count > AUDIT_LAST_MAX ? AUDIT_LAST_MAX : count ? count : 1;
	for (uint64_t bytes = BACK_BYTES; e == 1 && l->count < l->max && !all; bytes *= 4) {
		all = go_back(r, bytes) || bytes >= BACK_BYTES_MAX;
		l->count = 0;
		e = audit_reader_next(r, UINT_MAX, 2 * BACK_BYTES_MAX, note_place, l);
	}
	if (l->count && count) {
		const struct place *p = &l->places[l->count > l->max ? l->count % l->max : 0];

		go_to(r, p->number, p->at);
	}
	return e < 0 ? e : 0;
}
