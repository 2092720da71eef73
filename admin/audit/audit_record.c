/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/jwrite.h"
#include "daemon/model/manifest.h"

#define SEQ_KEY "{\"seq\":"
#define HASH_KEY ",\"hash\":\""
#define HASH_END "\"}"
/* Bytes behind what the hash is of. */
#define TAIL (sizeof(HASH_KEY) - 1 + AUDIT_HASH_HEX + sizeof(HASH_END) - 1)
#define SHA256_BYTES 32

/* --- time */

int64_t audit_time_parse(const char *text)
{
	int64_t s = text ? clock_parse_iso(text) : -1, ms = 0, unit = 100;
	const char *at = s < 0 ? NULL : strchr(text, '.');

	for (at = at ? at + 1 : ""; *at >= '0' && *at <= '9'; at++, unit /= 10)
		ms += (*at - '0') * unit;
	return s < 0 ? -1 : s * 1000 + ms;
}

/* --- a record as text */

#define TEXTS 14

/* All its texts. */
static void texts_of(struct audit_record *rec, const char **ret[static TEXTS])
{
	const char **all[TEXTS] = { &rec->kind,    &rec->act,  &rec->user,       &rec->token,
				    &rec->address, &rec->repo, &rec->commit,     &rec->file,
				    &rec->outcome, &rec->why,  &rec->request_id, &rec->given_id,
				    &rec->agent,   &rec->note };

	memcpy(ret, all, sizeof(all));
}

struct audit_record *audit_record_copy(const struct audit_record *rec)
{
	struct audit_record copy = *rec, *ret;
	const char **texts[TEXTS];
	size_t need = sizeof(copy);
	char *at;

	texts_of(&copy, texts);
	for (size_t i = 0; i < TEXTS; i++)
		need += *texts[i] ? strlen(*texts[i]) + 1 : 0;
	ret = malloc(need);
	at = (char *)(ret + 1);
	for (size_t i = 0; ret && i < TEXTS; i++)
		if (*texts[i]) {
			size_t len = strlen(*texts[i]) + 1;

			*texts[i] = memcpy(at, *texts[i], len);
			at += len;
		}
	if (ret)
		*ret = copy;
	return ret;
}

/* Cut between characters: the bytes of one that begin with 10 belong to those before. */
static void add_text(struct jwrite *w, const char *key, const char *text, size_t max)
{
	char part[MANIFEST_PATH_MAX + 1];
	size_t len = text ? strnlen(text, max + 1) : 0;

	if (!len)
		return;
	if (len > max)
		for (len = max; len && ((unsigned char)text[len] & 0xc0) == 0x80;)
			len--;
	memcpy(part, text, len);
	part[len] = '\0';
	jwrite_text(w, key, part);
}

static void add_bytes(struct jwrite *w, const struct audit_record *rec)
{
	if (rec->has_bytes) {
		jwrite_uint(w, "bytes", rec->bytes);
		jwrite_uint(w, "size", rec->size);
	}
	if (rec->requests)
		jwrite_uint(w, "requests", rec->requests);
	if (rec->since_ms)
		jwrite_time(w, "since", rec->since_ms);
	if (rec->status)
		jwrite_int(w, "status", rec->status);
}

void audit_record_body(const struct audit_record *rec, struct buf *ret)
{
	struct jwrite w = { .to = ret, .more = true };

	jwrite_text(&w, "kind", rec->kind);
	add_text(&w, "act", rec->act, AUDIT_TEXT_MAX);
	add_text(&w, "user", rec->user, AUDIT_TEXT_MAX);
	add_text(&w, "token", rec->token, AUDIT_TEXT_MAX);
	add_text(&w, "address", rec->address, AUDIT_TEXT_MAX);
	add_text(&w, "repo", rec->repo, AUDIT_TEXT_MAX);
	add_text(&w, "commit", rec->commit, AUDIT_TEXT_MAX);
	add_text(&w, "file", rec->file, MANIFEST_PATH_MAX);
	add_bytes(&w, rec);
	add_text(&w, "outcome", rec->outcome, AUDIT_TEXT_MAX);
	add_text(&w, "why", rec->why, AUDIT_TEXT_MAX);
	add_text(&w, "request", rec->request_id, AUDIT_TEXT_MAX);
	add_text(&w, "given", rec->given_id, AUDIT_TEXT_MAX);
	add_text(&w, "agent", rec->agent, AUDIT_TEXT_MAX);
	add_text(&w, "note", rec->note, AUDIT_TEXT_MAX);
}

/* --- the chain */

static int link_hash(const char *prev, const char *text, size_t len,
		     char ret[static AUDIT_HASH_HEX + 1])
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	uint8_t sum[SHA256_BYTES];
	int r = digest_new(DIGEST_SHA256, 0, &d);

	if (r == 0)
		r = digest_update(d, prev, AUDIT_HASH_HEX);
	if (r == 0)
		r = digest_update(d, text, len);
	if (r == 0)
		r = digest_final(d, sum);
	if (r == 0)
		hex_print(sum, sizeof(sum), ret);
	return r;
}

int audit_record_line(uint64_t seq, int64_t time_ms, const char *body, size_t body_len,
		      char prev[static AUDIT_HASH_HEX + 1], struct buf *ret)
{
	char time[CLOCK_ISO_MAX];
	size_t begin = ret->len;
	int r;

	clock_print_iso(time_ms, time);
	buf_add_str(ret, SEQ_KEY);
	buf_add_digits(ret, seq);
	buf_add_str(ret, ",\"time\":\"");
	buf_add_str(ret, time);
	buf_add_str(ret, "\"");
	r = buf_add(ret, body, body_len);
	if (r == 0)
		r = link_hash(prev, ret->data + begin, ret->len - begin, prev);
	buf_add_str(ret, HASH_KEY);
	buf_add_str(ret, prev);
	buf_add_str(ret, HASH_END "\n");
	return r < 0 ? r : ret->failed;
}

bool audit_link_of(const char *line, size_t len, struct audit_link *ret)
{
	const char *at = line + sizeof(SEQ_KEY) - 1, *tail;
	uint64_t seq = 0;

	*ret = (struct audit_link){ 0 };
	if (len < sizeof(SEQ_KEY) + TAIL || len > AUDIT_LINE_MAX || memchr(line, '\0', len) ||
	    strncmp(line, SEQ_KEY, sizeof(SEQ_KEY) - 1) != 0)
		return false;
	tail = line + len - TAIL;
	for (; *at >= '0' && *at <= '9' && seq < UINT64_MAX / 100; at++)
		seq = seq * 10 + (uint64_t)(*at - '0');
	if (!seq || *at != ',' || strncmp(tail, HASH_KEY, sizeof(HASH_KEY) - 1) != 0 ||
	    strncmp(line + len - (sizeof(HASH_END) - 1), HASH_END, sizeof(HASH_END) - 1) != 0)
		return false;
	memcpy(ret->hash, tail + sizeof(HASH_KEY) - 1, AUDIT_HASH_HEX);
	ret->seq = seq;
	return hex_is(ret->hash, AUDIT_HASH_HEX);
}

bool audit_link_holds(const char *prev, const char *line, size_t len)
{
	char hash[AUDIT_HASH_HEX + 1];
	struct audit_link link;

	return audit_link_of(line, len, &link) && link_hash(prev, line, len - TAIL, hash) == 0 &&
	       !strcmp(hash, link.hash);
}

/* --- and back */

static void fill(const struct jval *v, struct audit_record *ret)
{
	int64_t since = audit_time_parse(jval_get_str(v, "since"));

	*ret = (struct audit_record){
		.seq = jval_get_size_or_0(v, "seq"),
		.time_ms = audit_time_parse(jval_get_str(v, "time")),
		.kind = jval_get_str(v, "kind"),
		.act = jval_get_str(v, "act"),
		.user = jval_get_str(v, "user"),
		.token = jval_get_str(v, "token"),
		.address = jval_get_str(v, "address"),
		.repo = jval_get_str(v, "repo"),
		.commit = jval_get_str(v, "commit"),
		.file = jval_get_str(v, "file"),
		.has_bytes = jval_get_size(v, "bytes") >= 0,
		.bytes = jval_get_size_or_0(v, "bytes"),
		.size = jval_get_size_or_0(v, "size"),
		.requests = jval_get_size_or_0(v, "requests"),
		.since_ms = since < 0 ? 0 : since,
		.status = (int)(jval_get_size_or_0(v, "status") % 1000),
		.outcome = jval_get_str(v, "outcome"),
		.why = jval_get_str(v, "why"),
		.request_id = jval_get_str(v, "request"),
		.given_id = jval_get_str(v, "given"),
		.agent = jval_get_str(v, "agent"),
		.note = jval_get_str(v, "note"),
	};
}

int audit_record_parse(const char *line, size_t len, struct audit_record *ret,
		       struct jdoc **ret_doc)
{
	struct audit_link link;
	struct jdoc *doc;
	int r = audit_link_of(line, len, &link) ? jdoc_parse(line, len, &doc) : ERR_CORRUPT;

	if (r < 0)
		return r == -ENOMEM ? r : ERR_CORRUPT;
	fill(jdoc_root(doc), ret);
	if (ret->seq != link.seq || ret->time_ms < 0 || !ret->kind) {
		jdoc_free(doc);
		return ERR_CORRUPT;
	}
	*ret_doc = doc;
	return 0;
}

/* --- tables */

static void csv_text(struct buf *b, const char *text)
{
	text = text ? text : "";
	buf_add_str(b, ",");
	if (strpbrk(text, ",\"\r\n") || (*text && strchr("=+-@\t", *text))) {
		buf_add_str(b, strchr("=+-@\t\r", *text) ? "\"'" : "\"");
		for (; *text; text++)
			buf_add(b, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
		buf_add_str(b, "\"");
		return;
	}
	buf_add_str(b, text);
}

static void csv_number(struct buf *b, bool is_there, uint64_t n)
{
	if (is_there)
		buf_printf(b, ",%ju", (uintmax_t)n);
	else
		buf_add_str(b, ",");
}

void audit_csv_head(struct buf *ret)
{
	buf_add_str(ret, "seq,time,kind,act,user,token,address,repo,commit,file,bytes,size,"
			 "requests,since,status,outcome,why,request,given,agent,note\r\n");
}

void audit_csv_row(const struct audit_record *rec, struct buf *ret)
{
	const char *before[] = { rec->kind,    rec->act,  rec->user,   rec->token,
				 rec->address, rec->repo, rec->commit, rec->file };
	const char *after[] = { rec->outcome,  rec->why,   rec->request_id,
				rec->given_id, rec->agent, rec->note };
	char time[CLOCK_ISO_MAX];

	clock_print_iso(rec->time_ms, time);
	buf_printf(ret, "%ju,%s", (uintmax_t)rec->seq, time);
	for (size_t i = 0; i < ARRAY_LEN(before); i++)
		csv_text(ret, before[i]);
	csv_number(ret, rec->has_bytes, rec->bytes);
	csv_number(ret, rec->has_bytes, rec->size);
	csv_number(ret, rec->requests > 0, rec->requests);
	clock_print_iso(rec->since_ms, time);
	csv_text(ret, rec->since_ms ? time : NULL);
	csv_number(ret, rec->status > 0, (uint64_t)rec->status);
	for (size_t i = 0; i < ARRAY_LEN(after); i++)
		csv_text(ret, after[i]);
	buf_add_str(ret, "\r\n");
}
