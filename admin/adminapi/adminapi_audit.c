/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_audit.h"

#include <errno.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/audit/audit.h"
#include "admin/audit/audit_read.h"
#include "admin/audit/audit_verify.h"
#include "admin/audit/audit_witness.h"
#include "daemon/base/err.h"

#define PAGE_BYTES (64 * 1024 * 1024) /* read for one page at most: few may be what is wanted */
#define STEP_BYTES (1024 * 1024)      /* read at once while others of the thread wait */
#define STEP_RECORDS 4096
#define STEPS 4
#define PROBLEMS_MAX 1000 /* that are told: where many are wrong the first ones tell it */

/* --- shapes */

static const struct api_field record_fields[] = {
	API_COUNT_ROW("seq"),
	API_TEXT_ROW("time"),
	API_TEXT_ROW("kind"),
	API_TEXT_ROW("hash"),
	{ .name = "act", .kind = API_TEXT },
	{ .name = "user", .kind = API_TEXT },
	{ .name = "token", .kind = API_TEXT, .doc = "The name of the token." },
	{ .name = "address", .kind = API_TEXT },
	{ .name = "repo", .kind = API_TEXT },
	{ .name = "commit", .kind = API_TEXT },
	{ .name = "file", .kind = API_TEXT },
	{ .name = "bytes", .kind = API_COUNT },
	{ .name = "size", .kind = API_COUNT },
	{ .name = "outcome", .kind = API_TEXT },
	{ .name = "why", .kind = API_TEXT },
	{ .name = "note", .kind = API_TEXT },
	{ 0 },
};
static const struct api_shape record_shape = { "AuditRecord", record_fields };

static const struct api_field records_fields[] = {
	{ .name = "items", .kind = API_LIST, .needed = true, .of = &record_shape },
	{ .name = "next",
	  .kind = API_TEXT,
	  .needed = true,
	  .null = true,
	  .doc = "The cursor of the next page; null at the end." },
	{ .name = "cursor",
	  .kind = API_TEXT,
	  .needed = true,
	  .doc = "Where those will be that are written after this." },
	{ 0 },
};
const struct api_shape api_records_shape = { "AuditRecords", records_fields };

static const struct api_field problem_fields[] = {
	API_COUNT_ROW("segment"), API_COUNT_ROW("line"), API_COUNT_ROW("seq"),
	API_TEXT_ROW("what"),     API_TEXT_ROW("text"),  { 0 },
};
static const struct api_shape problem_shape = { "AuditProblem", problem_fields };

static const struct api_field verdict_fields[] = {
	{ .name = "whole", .kind = API_BOOL, .needed = true },
	API_COUNT_ROW("records"),
	API_COUNT_ROW("first_seq"),
	API_COUNT_ROW("last_seq"),
	{ .name = "dropped_seq",
	  .kind = API_COUNT,
	  .needed = true,
	  .doc = "Records up to this one went by retention; 0: none." },
	{ .name = "hash",
	  .kind = API_TEXT,
	  .needed = true,
	  .doc = "Of the last record: to be kept elsewhere." },
	{ .name = "witness_seq",
	  .kind = API_COUNT,
	  .needed = true,
	  .doc = "The hub's metadata bear witness of the records up to this one." },
	{ .name = "problems",
	  .kind = API_LIST,
	  .needed = true,
	  .of = &problem_shape,
	  .doc = "The first thousand." },
	API_COUNT_ROW("problem_count"),
	{ 0 },
};
const struct api_shape api_verdict_shape = { "AuditVerdict", verdict_fields };

/* --- which records */

/* What a query says, and the texts it borrows from. */
struct wanted {
	struct audit_query query;
	struct buf since, until, kind, user, repo, address, outcome;
};

static void wanted_fini(struct wanted *w)
{
	buf_free(&w->since);
	buf_free(&w->until);
	buf_free(&w->kind);
	buf_free(&w->user);
	buf_free(&w->repo);
	buf_free(&w->address);
	buf_free(&w->outcome);
}

static int take_time(struct api_call *c, const char *name, struct buf *room, int64_t *ret)
{
	const char *text = api_query(c, name, room);

	if (!text)
		return 0;
	*ret = audit_time_parse(text);
	return *ret < 0 ? api_complain(c, -ENOENT, "\"%s\" is no time there was: %s", name, text)
			: 0;
}

static int take_wanted(struct api_call *c, struct wanted *w)
{
	int r = take_time(c, "since", &w->since, &w->query.from_ms);

	if (r == 0)
		r = take_time(c, "until", &w->until, &w->query.to_ms);
	w->query.kind = api_query(c, "kind", &w->kind);
	w->query.user = api_query(c, "user", &w->user);
	w->query.repo = api_query(c, "repo", &w->repo);
	w->query.address = api_query(c, "address", &w->address);
	w->query.outcome = api_query(c, "outcome", &w->outcome);
	return r;
}

static int open_reader(struct api_call *c, const char *cursor, struct audit_reader **ret)
{
	CLEANUP(wanted_fini) struct wanted w = { .query = { 0 } };
	int r = take_wanted(c, &w);

	if (r < 0)
		return r;
	r = audit_reader_open(c->ask->server->data, &w.query, cursor, ret);
	if (r == -EINVAL)
		return api_complain(c, -ENOENT, "the trail has no such place as \"cursor\" says");
	return r;
}

/* --- a page */

struct page {
	struct jwrite *w;
	uint64_t left;
};

static int write_record(void *arg, const struct audit_record *rec UNUSED, const char *line,
			size_t len)
{
	CLEANUP(freep) char *text = strndup(line, len);
	struct page *p = arg;

	if (!text)
		return -ENOMEM;
	jwrite_json(p->w, NULL, text);
	return --p->left == 0;
}

/* 1: the trail has no more for now. */
static int write_page(struct audit_reader *reader, struct page *p)
{
	int r = 0;

	for (uint64_t read = 0; r == 0 && p->left > 0 && read < PAGE_BYTES; read += STEP_BYTES)
		r = audit_reader_next(reader, (unsigned)p->left, STEP_BYTES, write_record, p);
	return r;
}

static int go_to(struct api_call *c, struct audit_reader *reader, struct page *p)
{
	uint64_t last = api_query_count(c, "last", UINT64_MAX);

	if (last == UINT64_MAX)
		return 0;
	p->left = API_ITEMS_MAX;
	return audit_reader_last(reader, (unsigned)last);
}

int api_audit(struct api_call *c)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	CLEANUP(audit_reader_freep) struct audit_reader *reader = NULL;
	struct page p = { &c->w, api_query_count(c, "limit", API_ITEMS) };
	char cursor[AUDIT_CURSOR_MAX];
	bool end;
	int r = open_reader(c, api_query(c, "cursor", &room), &reader);

	if (r == 0)
		r = go_to(c, reader, &p);
	if (r < 0)
		return r;
	jwrite_object(&c->w, NULL);
	jwrite_array(&c->w, "items");
	r = write_page(reader, &p);
	jwrite_array_end(&c->w);
	end = r == 1 && p.left > 0; /* it was not the page that was full */
	audit_reader_cursor(reader, cursor);
	jwrite_text(&c->w, "next", end ? NULL : cursor);
	jwrite_text(&c->w, "cursor", cursor);
	jwrite_object_end(&c->w);
	return r < 0 ? r : 0;
}

/* --- verifying */

struct verifying {
	struct audit_verify *verify;
	struct buf *to; /* of the step */
	struct jwrite w;
	uint64_t told;
	bool begun;
};

static void tell_problem(void *arg, const struct audit_problem *p)
{
	struct verifying *v = arg;
	struct jwrite *w = &v->w;

	if (v->told++ >= PROBLEMS_MAX)
		return;
	jwrite_object(w, NULL);
	jwrite_uint(w, "segment", p->segment);
	jwrite_uint(w, "line", p->line);
	jwrite_uint(w, "seq", p->seq);
	jwrite_text(w, "what", p->what);
	jwrite_text(w, "text", p->text);
	jwrite_object_end(w);
}

static void tell_verdict(struct jwrite *w, const struct audit_verdict *d)
{
	jwrite_array_end(w);
	jwrite_uint(w, "problem_count", d->problems);
	jwrite_bool(w, "whole", d->problems == 0);
	jwrite_uint(w, "records", d->records);
	jwrite_uint(w, "first_seq", d->first_seq);
	jwrite_uint(w, "last_seq", d->last_seq);
	jwrite_uint(w, "dropped_seq", d->dropped_seq);
	jwrite_text(w, "hash", d->hash);
	jwrite_uint(w, "witness_seq", d->witness_seq);
	jwrite_object_end(w);
}

/* The blank of a step without problems keeps the answer moving; JSON allows it. */
static int verify_next(void *arg, struct buf *ret)
{
	struct verifying *v = arg;
	struct audit_verdict verdict;
	int r;

	v->w.to = ret;
	if (!v->begun) {
		jwrite_object(&v->w, NULL);
		jwrite_array(&v->w, "problems");
		v->begun = true;
	}
	r = audit_verify_step(v->verify, STEP_BYTES, tell_problem, v, &verdict);
	if (r == 1)
		tell_verdict(&v->w, &verdict);
	else if (r == 0)
		buf_add_str(ret, "\n");
	return ret->failed ? ret->failed : r;
}

static void verify_end(void *arg)
{
	struct verifying *v = arg;

	audit_verify_free(v->verify);
	free(v);
}

/* The witness first: it is never ahead of the trail. */
static int open_verify(const struct server *s, struct audit_verify **ret)
{
	struct audit_mark mark, witness;
	int r = audit_witness_get(s->rights.db, &witness);

	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	if (s->audit)
		audit_mark(s->audit, &mark);
	return audit_verify_open(s->data, s->audit ? &mark : NULL, r == 0 ? &witness : NULL, ret);
}

int api_audit_verify(struct api_call *c)
{
	struct httpd_stream stream = { verify_next, verify_end, NULL };
	struct verifying *v = calloc(1, sizeof(*v));
	int r = v ? open_verify(c->ask->server, &v->verify) : -ENOMEM;

	if (r < 0) {
		free(v);
		return r;
	}
	stream.arg = v;
	httpd_reply_stream(c->ask->http, ANSWER_JSON, &stream);
	return API_ANSWERED;
}

/* --- exporting */

struct exporting {
	struct audit_reader *reader;
	bool csv, begun;
};

struct lines {
	const struct exporting *e;
	struct buf *to;
};

static int add_line(void *arg, const struct audit_record *rec, const char *line, size_t len)
{
	const struct lines *l = arg;

	if (l->e->csv) {
		audit_csv_row(rec, l->to);
	} else {
		buf_add(l->to, line, len);
		buf_add_str(l->to, "\n");
	}
	return l->to->failed;
}

static int export_next(void *arg, struct buf *ret)
{
	struct exporting *e = arg;
	struct lines l = { e, ret };
	int r = 0;

	if (e->csv && !e->begun)
		audit_csv_head(ret);
	e->begun = true;
	for (unsigned i = 0; r == 0 && i < STEPS && (i == 0 || !ret->len); i++)
		r = audit_reader_next(e->reader, STEP_RECORDS, STEP_BYTES, add_line, &l);
	return ret->failed ? ret->failed : r;
}

static void export_end(void *arg)
{
	struct exporting *e = arg;

	audit_reader_free(e->reader);
	free(e);
}

int api_audit_export(struct api_call *c)
{
	struct httpd_stream stream = { export_next, export_end, NULL };
	CLEANUP(buf_free) struct buf room = { 0 };
	const char *format = api_query(c, "format", &room);
	struct exporting *e = calloc(1, sizeof(*e));
	int r = e ? open_reader(c, NULL, &e->reader) : -ENOMEM;

	if (r < 0) {
		free(e);
		return r;
	}
	e->csv = format && !strcmp(format, "csv");
	stream.arg = e;
	httpd_reply_stream(c->ask->http, e->csv ? "text/csv" : "application/x-ndjson", &stream);
	return API_ANSWERED;
}
