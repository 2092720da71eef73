/* SPDX-License-Identifier: Apache-2.0 */
/* Input: lines of a trail, and what a record may say. No line makes the readers do more than refuse
 * it; what a record says comes back, and only its own hash holds. */
#include "admin/audit/audit_record.h"

#include <assert.h>
#include <string.h>

#include "daemon/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_line(const char *line, size_t len)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct audit_record rec;
	struct audit_link link;
	struct jdoc *doc;
	int r = audit_record_parse(line, len, &rec, &doc);

	assert(r == 0 || r == ERR_CORRUPT);
	(void)audit_link_holds(AUDIT_NO_HASH, line, len);
	if (r < 0)
		return;
	assert(audit_link_of(line, len, &link) && link.seq == rec.seq && rec.kind);
	audit_csv_row(&rec, &row);
	assert(row.len > 2 && !memcmp(row.data + row.len - 2, "\r\n", 2));
	jdoc_free(doc);
}

static void write_record(const char *text)
{
	CLEANUP(buf_free) struct buf body = { 0 }, line = { 0 };
	const struct audit_record rec = { .kind = AUDIT_CHANGE, .user = text, .file = text };
	char prev[AUDIT_HASH_HEX + 1] = AUDIT_NO_HASH;
	struct audit_record got;
	struct jdoc *doc;
	int r;

	audit_record_body(&rec, &body);
	r = audit_record_line(1, 0, buf_str(&body), body.len, prev, &line);
	assert(r == 0 && !memchr(line.data, '\n', line.len - 1));
	assert(audit_link_holds(AUDIT_NO_HASH, line.data, line.len - 1));
	r = audit_record_parse(line.data, line.len - 1, &got, &doc);
	assert(r == 0 && !got.user == !*text);
	jdoc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	const char *at, *end;

	if (buf_add(&text, data, len) < 0)
		return 0;
	write_record(buf_str(&text));
	for (at = buf_str(&text); (end = strchr(at, '\n')); at = end + 1)
		read_line(at, (size_t)(end - at));
	read_line(buf_str(&text), text.len);
	return 0;
}
