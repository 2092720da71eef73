/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/condition.h"
#include "admin/hub/gated.h"
#include "admin/hub/range.h"
#include "admin/hub/sending.h"
#include "admin/hub/trace.h"
#include "admin/hub/xet_offer.h"
#include "admin/registry/intake.h"
#include "daemon/base/err.h"
#include "daemon/base/url.h"

#define BYTES_TYPE "application/octet-stream"

/* Finds the target's file; PARKED until its list is there. */
static int find(struct ask *a, struct resolve_found *ret)
{
	struct repo_names names;
	int r = ask_snapshot(a);

	if (r != 0)
		return r;
	known_names(node_known(a->server->node), a->repo, &names);
	ret->node = manifest_find(a->snapshot->files, a->asked.target.path);
	ret->file = ret->node == MANIFEST_NONE ? NULL
					       : manifest_file(a->snapshot->files, ret->node);
	a->filtered = !filter_file(a->filter, &names, a->asked.target.path);
	if (!ret->file || a->filtered)
		return ERR_NOENTRY;
	manifest_etag(ret->file, ret->etag);
	return 0;
}

int resolve_find(struct ask *a, struct resolve_found *ret)
{
	int r = gated_pass_file(a);

	if (r == 0)
		r = find(a, ret);
	return r != 0 ? r : gated_pass_found(a, ret->file);
}

/* Bytes of it may not be given when that cannot be recorded. */
static int want(struct ask *a)
{
	a->file_wanted = !a->asked.head;
	return a->asked.head ? 0 : audit_may_read(a->server->audit);
}

/* --- the head */

/* A file name in quotes, and once more as RFC 6266 has it for all that is not plain. */
static void add_disposition(struct httpd_head *h, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	CLEANUP(buf_free) struct buf encoded = { 0 };
	char plain[MANIFEST_NAME_MAX + 1];
	size_t len = 0;

	for (; name[len] && len < MANIFEST_NAME_MAX; len++)
		plain[len] = name[len] < ' ' || name[len] > '~' || strchr("\"\\%", name[len])
				     ? '_'
				     : name[len];
	plain[len] = '\0';
	if (url_encode(&encoded, name, 0) == 0)
		httpd_head_add(h, "Content-Disposition",
			       "inline; filename*=UTF-8''%s; filename=\"%s\";", buf_str(&encoded),
			       plain);
}

static struct httpd_head file_head(const struct ask *a, const struct resolve_found *f, int status)
{
	struct httpd_head h = answer_head(a, status, NULL);

	httpd_head_add(&h, "ETag", "\"%s\"", f->etag);
	httpd_head_add(&h, "Accept-Ranges", "bytes");
	if (f->file->kind == DIGEST_SHA256) {
		httpd_head_add(&h, "X-Linked-Size", "%ju", (uintmax_t)f->file->size);
		httpd_head_add(&h, "X-Linked-Etag", "\"%s\"", f->etag);
	}
	add_disposition(&h, a->asked.target.path);
	xet_offer(a, f->file, f->etag, &h);
	return h;
}

/* --- the body */

static int answer_unsatisfiable(struct ask *a, const struct resolve_found *f)
{
	struct httpd_head h = file_head(a, f, 416);
	struct buf nothing = { 0 };

	httpd_head_add(&h, "Content-Range", "bytes */%ju", (uintmax_t)f->file->size);
	httpd_reply_head(a->http, &h, &nothing);
	return 0;
}

/* An empty file has no range; clients that ask for its first byte to learn its size read that from
 * a Content-Range (hf-contract §1.1). */
static int answer_empty(struct ask *a, const struct resolve_found *f)
{
	struct httpd_head h;
	struct buf nothing = { 0 };
	int r = a->asked.head ? 0 : trace_download(a, 0, NULL, 0, 0);

	if (r < 0)
		return r;
	h = file_head(a, f, 200);
	httpd_head_add(&h, "Content-Type", BYTES_TYPE);
	if (a->asked.range)
		httpd_head_add(&h, "Content-Range", "bytes */0");
	httpd_reply_head(a->http, &h, &nothing);
	return 0;
}

/* All that goes out is on record before the first byte does. */
static int send_bytes(struct ask *a, const struct resolve_found *f, struct httpd_head *h,
		      struct sending_part *parts, unsigned count, uint64_t len)
{
	struct audit_span spans[RANGES_MAX + 1];
	int r;

	for (unsigned i = 0; i < count; i++)
		spans[i] = (struct audit_span){ parts[i].from, parts[i].to };
	r = trace_download(a, f->file->size, spans, count, len);
	if (r == 0)
		return sending_start(a, f->node, h, parts, count);
	sending_drop(h, parts, count);
	return r;
}

static int answer_bytes(struct ask *a, const struct resolve_found *f, struct httpd_head *h,
			struct sending_part *parts, unsigned count)
{
	uint64_t len = 0;

	for (unsigned i = 0; i < count; i++)
		len += (parts[i].text ? strlen(parts[i].text) : 0) + parts[i].to - parts[i].from;
	if (!a->asked.head)
		return send_bytes(a, f, h, parts, count, len);
	for (unsigned i = 0; i < count; i++)
		free(parts[i].text);
	httpd_reply_length(a->http, h, len);
	return 0;
}

static int answer_one(struct ask *a, const struct resolve_found *f, const struct range *range)
{
	struct sending_part part = { .to = f->file->size };
	struct httpd_head h = file_head(a, f, range ? 206 : 200);

	httpd_head_add(&h, "Content-Type", BYTES_TYPE);
	if (range) {
		part.from = range->from;
		part.to = range->to;
		httpd_head_add(&h, "Content-Range", "bytes %ju-%ju/%ju", (uintmax_t)range->from,
			       (uintmax_t)range->to - 1, (uintmax_t)f->file->size);
	}
	return answer_bytes(a, f, &h, &part, 1);
}

/* RFC 9110 §14.6. */
static int answer_several(struct ask *a, const struct resolve_found *f, const struct ranges *ranges)
{
	struct sending_part parts[RANGES_MAX + 1] = { 0 };
	struct httpd_head h = file_head(a, f, 206);
	unsigned count = 0;

	httpd_head_add(&h, "Content-Type", RANGE_PARTS_TYPE);
	for (; count < ranges->count; count++) {
		const struct range *r = &ranges->at[count];

		parts[count] = (struct sending_part){ range_part_head(r, f->file->size, count == 0),
						      r->from, r->to };
		if (!parts[count].text)
			break;
	}
	parts[count].text = count == ranges->count ? strdup(RANGE_PARTS_END) : NULL;
	if (parts[count].text)
		return answer_bytes(a, f, &h, parts, count + 1);
	sending_drop(&h, parts, count);
	return -ENOMEM;
}

/* A client whose transfer broke because bytes were wrong asks for the rest of the file: it must
 * have all of it. */
static bool resumes_wrong(const struct ask *a, const struct resolve_found *f,
			  const struct ranges *ranges)
{
	struct node_blob blob;

	if (repo_is_hosted(a->repo) || a->asked.if_range || ranges->count != 1 ||
	    ranges->at[0].from == 0 || ranges->at[0].to != f->file->size)
		return false;
	node_blob(a->server->node, f->etag, f->file->size, &blob);
	return blob.was_wrong;
}

/* What others host they count themselves. */
static void count(const struct ask *a, const struct resolve_found *f)
{
	const char *whom = a->who.known ? a->who.user : a->asked.address;

	if (repo_is_hosted(a->repo))
		downloads_note(a->server->downloads, repo_id_of(a->repo), a->asked.target.path,
			       f->etag, whom);
}

/* Only a question for bytes tells whether an upstream gives them to us, and whether what somebody
 * brought can be had. */
static bool asks_for_bytes(const struct ask *a, const struct resolve_found *f)
{
	return !a->asked.head || repo_is_restricted(a->repo) ||
	       (repo_is_hosted(a->repo) && !intake_is_there(a->server->intake, f->etag));
}

/* True if that is all a client wants to know, and it is to be had so. */
static bool answer_offer(struct ask *a, const struct resolve_found *f)
{
	struct buf json = { 0 };
	struct httpd_head h;

	if (a->asked.head || !a->asked.takes_xet)
		return false;
	xet_offer_json(a, f->file, f->etag, &json);
	if (!json.len)
		return false;
	h = file_head(a, f, 200);
	httpd_head_add(&h, "Content-Type", ASKED_XET_TYPE);
	httpd_head_add(&h, "Vary", "Accept");
	httpd_reply_head(a->http, &h, &json);
	return true;
}

static int answer_file(struct ask *a, const struct resolve_found *f)
{
	struct ranges ranges = { 0 };
	int r = 0;

	if (answer_held_back(a, f->etag) || answer_offer(a, f))
		return 0;
	if (f->file->size == 0)
		return answer_empty(a, f);
	/* A part of another file would be worse than all of this one. */
	if (!a->asked.head && condition_allows_part(a->asked.if_range, f->etag))
		r = ranges_parse(a->asked.range, f->file->size, &ranges);
	if (r == -ERANGE)
		return answer_unsatisfiable(a, f);
	if (resumes_wrong(a, f, &ranges))
		ranges.count = 0;
	if (asks_for_bytes(a, f))
		r = ask_byte(a, f->node, ranges.count ? ranges.at[0].from : 0);
	if (r != 0)
		return r;
	count(a, f);
	if (ranges.count > 1)
		return answer_several(a, f, &ranges);
	return answer_one(a, f, ranges.count ? &ranges.at[0] : NULL);
}

int resolve_file(struct ask *a)
{
	struct resolve_found f = { 0 };
	int r = want(a);

	if (r == 0)
		r = resolve_find(a, &f);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	return answer_file(a, &f);
}

/* --- as git has it */

int resolve_pointer(const struct manifest_file *f, struct buf *ret)
{
	char etag[DIGEST_HEX_MAX + 1];

	manifest_etag(f, etag);
	return buf_printf(ret,
			  "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %ju\n",
			  etag, (uintmax_t)f->size);
}

int resolve_raw(struct ask *a)
{
	CLEANUP(buf_free) struct buf pointer = { 0 };
	char oid[2 * sizeof(((struct manifest_file *)0)->oid) + 1];
	struct resolve_found f = { 0 };
	struct httpd_head h;
	int r = want(a);

	if (r == 0)
		r = gated_pass(a);
	if (r == 0)
		r = find(a, &f);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	if (f.file->kind != DIGEST_SHA256)
		return answer_file(a, &f);
	hex_print(f.file->oid, sizeof(f.file->oid), oid);
	if (answer_held_back(a, oid))
		return 0;
	r = resolve_pointer(f.file, &pointer);
	if (r < 0)
		return r;
	h = answer_head(a, 200, "text/plain; charset=utf-8");
	httpd_head_add(&h, "ETag", "\"%s\"", oid);
	answer_json_head(a, &h, &pointer);
	return 0;
}
