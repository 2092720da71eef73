/* SPDX-License-Identifier: Apache-2.0 */
/* A xorb as it would travel if nobody had packed it: each chunk behind its header. The headers are
 * made on the way, all else is read from the blob. */
#include "admin/hub/xet_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/sending.h"
#include "admin/hub/trace.h"
#include "admin/hub/xet.h"
#include "admin/hub/xet_link.h"
#include "admin/hub/xet_offer.h"
#include "admin/hub/xet_priv.h"
#include "admin/registry/intake.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"

#define BYTES_TYPE "application/octet-stream"

/* What is sent: owned by its answer. */
struct giving {
	struct xet_link link;
	struct recipe file;
	struct recipe_xorb xorb;
	char repo[REPO_KEY_MAX + 1]; /* as it is called now */
	uint64_t size;               /* where the last chunk that the file has ends */
	struct sending_part parts[RANGES_MAX + 1];
	unsigned count;
	uint64_t length;
	struct trace *trace;
	int fd;
};

static void giving_free(struct giving *g)
{
	xet_link_fini(&g->link);
	recipe_xorb_fini(&g->xorb);
	for (unsigned i = 0; i < g->count; i++)
		free(g->parts[i].text);
	closep(&g->fd);
	free(g);
}

static void giving_freep(struct giving **g)
{
	if (*g)
		giving_free(*g);
}

/* ---- bytes ---- */

/* Version 0, packed by none. */
static void print_header(uint32_t bytes, uint8_t ret[static RECIPE_HEADER])
{
	memset(ret, 0, RECIPE_HEADER);
	for (unsigned i = 0; i < 3; i++)
		ret[1 + i] = ret[5 + i] = (uint8_t)(bytes >> 8 * i);
}

/* What there is of one chunk behind that byte of the xorb, at most max. */
static ssize_t read_chunk(const struct giving *g, uint64_t byte, void *to, size_t max)
{
	uint8_t header[RECIPE_HEADER];
	struct recipe_chunk c;
	uint64_t at;
	size_t len;
	int r;

	if (!recipe_chunk_at(&g->xorb, byte, &c))
		return ERR_CORRUPT;
	at = byte - recipe_chunk_byte(&c);
	if (at < RECIPE_HEADER) {
		len = min_u64(max, RECIPE_HEADER - at);
		print_header(c.bytes, header);
		memcpy(to, header + at, len);
		return (ssize_t)len;
	}
	at -= RECIPE_HEADER;
	len = min_u64(max, c.bytes - at);
	r = file_pread(g->fd, to, len, c.off + at);
	return r < 0 ? r : (ssize_t)len;
}

static ssize_t read_bytes(const struct giving *g, uint64_t from, uint64_t to, char *ret, size_t max)
{
	size_t have = 0;

	while (have < max && from < to) {
		ssize_t n = read_chunk(g, from, ret + have, min_u64(max - have, to - from));

		if (n < 0)
			return n;
		have += (size_t)n;
		from += (uint64_t)n;
	}
	return (ssize_t)have;
}

static uint64_t text_len(const struct sending_part *p)
{
	return p->text ? strlen(p->text) : 0;
}

static ssize_t read_part(const struct giving *g, uint64_t pos, void *to, size_t max)
{
	const struct sending_part *p = g->parts;
	uint64_t text;

	for (; pos >= text_len(p) + p->to - p->from; p++)
		pos -= text_len(p) + p->to - p->from;
	text = text_len(p);
	if (pos >= text)
		return read_bytes(g, p->from + pos - text, p->to, to, max);
	max = min_u64(max, text - pos);
	memcpy(to, p->text + pos, max);
	return (ssize_t)max;
}

static ssize_t read_body(void *arg, uint64_t pos, void *to, size_t max)
{
	struct giving *g = arg;
	ssize_t n = read_part(g, pos, to, max);

	trace_handed(g->trace, pos, n);
	return n;
}

static void end_body(void *arg)
{
	giving_free(arg);
}

/* ---- what may be given ---- */

struct finding {
	struct giving *giving;
	const char *uid;
};

static int find_xorb(struct db_txn *t, void *arg)
{
	struct finding *f = arg;
	struct giving *g = f->giving;
	int r = recipes_get(t, g->link.etag, &g->file);

	recipe_xorb_fini(&g->xorb);
	g->xorb = (struct recipe_xorb){ .pieces = { 0 } };
	if (r == 0)
		r = xet_find_file(t, f->uid, &g->file);
	return r < 0 ? r : recipes_xorb(t, g->link.etag, g->link.xorb, &g->xorb);
}

/* A link is good for an hour, a right that was taken back for no moment. */
static int open_link(struct ask *a, struct giving *g)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct registry_repo repo;
	struct finding f = { g, repo.uid };
	int r = xet_link_read(a->server->link_key, a->asked.target.path, a->asked.query,
			      clock_wall_s(), &g->link, &why);

	if (r == 0)
		r = xet_may_read(a, &g->link.of, &repo);
	if (r == 0)
		repo_id_key(&repo.id, g->repo);
	if (r == -EACCES || xet_is_no(r)) {
		answer_refuse(a, 403, "%s",
			      why.len ? buf_str(&why)
				      : "who was given this link may not read that now");
		return ANSWERED;
	}
	if (r == 0)
		r = db_read(a->server->rights.db, find_xorb, &f);
	return r;
}

static uint64_t end_of(const struct recipe_xorb *x)
{
	const struct recipe_piece *all = (const void *)x->pieces.data;
	size_t count = x->pieces.len / sizeof(*all);
	struct recipe_chunk c;

	return count && recipe_chunk(x, all[count - 1].to - 1, &c)
		       ? recipe_chunk_byte(&c) + RECIPE_HEADER + c.bytes
		       : 0;
}

static int open_blob(struct ask *a, struct giving *g)
{
	uint64_t size;

	g->size = end_of(&g->xorb);
	g->fd = intake_open_blob(a->server->intake, g->link.etag, &size);
	if (g->fd < 0)
		return g->fd;
	return size == g->file.size && g->size ? 0 : ERR_CORRUPT;
}

/* ---- ranges ---- */

static int add_span(struct buf *spans, uint64_t from, uint64_t to)
{
	struct audit_span *all = (void *)spans->data, span = { from, to };
	size_t count = spans->len / sizeof(*all);

	if (count && all[count - 1].to == from) {
		all[count - 1].to = to;
		return 0;
	}
	return from < to ? buf_add(spans, &span, sizeof(span)) : 0;
}

/* The bytes of the file in a range of the xorb. -ERANGE: it has not all of that. */
static int add_spans(const struct recipe_xorb *x, const struct range *range, struct buf *spans)
{
	uint64_t byte = range->from;
	struct recipe_chunk c;
	int r = 0;

	while (r == 0 && byte < range->to) {
		uint64_t begin, end;

		if (!recipe_chunk_at(x, byte, &c) || recipe_chunk_byte(&c) > byte)
			return -ERANGE;
		begin = recipe_chunk_byte(&c) + RECIPE_HEADER;
		end = min_u64(begin + c.bytes, range->to);
		r = add_span(spans, c.off + (byte > begin ? byte - begin : 0),
			     c.off + (end > begin ? end - begin : 0));
		byte = begin + c.bytes;
	}
	return r;
}

static int add_part(struct giving *g, const struct range *range, bool several)
{
	struct sending_part *p = &g->parts[g->count];

	*p = (struct sending_part){ .from = range->from, .to = range->to };
	if (several)
		p->text = range_part_head(range, g->size, g->count == 0);
	if (several && !p->text)
		return -ENOMEM;
	g->count++;
	g->length += text_len(p) + p->to - p->from;
	return 0;
}

/* RFC 9110 §14.6: several ranges are parts of one body, which has an end. */
static int add_parts(struct giving *g, const struct ranges *ranges, struct buf *spans)
{
	bool several = ranges->count > 1;
	int r = ranges->count ? 0 : -ERANGE;

	for (unsigned i = 0; r == 0 && i < ranges->count; i++) {
		r = add_spans(&g->xorb, &ranges->at[i], spans);
		if (r == 0)
			r = add_part(g, &ranges->at[i], several);
	}
	if (r < 0 || !several)
		return r;
	g->parts[g->count].text = strdup(RANGE_PARTS_END);
	if (!g->parts[g->count].text)
		return -ENOMEM;
	g->length += strlen(RANGE_PARTS_END);
	g->count++;
	return 0;
}

/* ---- the answer ---- */

/* On record before the first byte goes out. */
static int record(struct ask *a, struct giving *g, const struct buf *spans)
{
	struct audit_record rec;

	trace_record(a, AUDIT_DOWNLOAD, &rec);
	rec.repo = g->repo;
	rec.file = g->link.etag;
	rec.size = g->file.size;
	return trace_bytes(a, &rec, (const void *)spans->data,
			   (unsigned)(spans->len / sizeof(struct audit_span)), g->length);
}

static int answer_unsatisfiable(struct ask *a, const struct giving *g)
{
	struct httpd_head h = answer_head(a, 416, NULL);
	struct buf nothing = { 0 };

	httpd_head_add(&h, "Content-Range", "bytes */%ju", (uintmax_t)g->size);
	httpd_reply_head(a->http, &h, &nothing);
	return 0;
}

static void start(struct ask *a, struct giving *g, const struct range *first)
{
	struct httpd_flow flow = { g->length, read_body, end_body, g };
	bool several = g->count > 1;
	struct httpd_head h = answer_head(a, 206, several ? RANGE_PARTS_TYPE : BYTES_TYPE);

	httpd_head_add(&h, "Accept-Ranges", "bytes");
	if (!several)
		httpd_head_add(&h, "Content-Range", "bytes %ju-%ju/%ju", (uintmax_t)first->from,
			       (uintmax_t)first->to - 1, (uintmax_t)g->size);
	if (a->asked.head) {
		httpd_reply_length(a->http, &h, g->length);
		giving_free(g);
		return;
	}
	g->trace = a->trace;
	httpd_reply_flow(a->http, &h, &flow);
}

static int give(struct ask *a, struct giving **g)
{
	CLEANUP(buf_free) struct buf spans = { 0 };
	struct ranges ranges;
	int r = open_link(a, *g);

	if (r == 0)
		r = open_blob(a, *g);
	if (r != 0)
		return r;
	r = ranges_parse(a->asked.range, (*g)->size, &ranges);
	if (r == 0)
		r = add_parts(*g, &ranges, &spans);
	if (r == -ERANGE)
		return answer_unsatisfiable(a, *g);
	if (r == 0 && !a->asked.head)
		r = record(a, *g, &spans);
	if (r == 0)
		start(a, steal(*g), &ranges.at[0]);
	return r;
}

int xet_give_bytes(struct ask *a)
{
	CLEANUP(giving_freep) struct giving *g = NULL;
	int r = a->asked.head ? 0 : audit_may_read(a->server->audit);

	if (!xet_offered(a->server))
		return xet_nothing(a);
	g = r == 0 ? calloc(1, sizeof(*g)) : NULL;
	if (!g)
		return r < 0 ? r : -ENOMEM;
	g->fd = -1;
	r = give(a, &g);
	if (r == -ENOENT)
		answer_refuse(a, 404, "what this link names is not here any more");
	else if (r < 0)
		return log_err(r, "cannot give the chunks of a xorb");
	return 0;
}
