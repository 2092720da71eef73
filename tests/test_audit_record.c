/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define TIME_MS INT64_C(1795287634123)

static const struct audit_record full = {
	.kind = AUDIT_DOWNLOAD,
	.act = "get",
	.user = "ann",
	.token = "laptop",
	.address = "192.0.2.1",
	.repo = "models/org/tiny",
	.commit = "0123456789012345678901234567890123456789",
	.file = "a \"b\"\\\n\xff.bin",
	.has_bytes = true,
	.bytes = 5,
	.size = 7,
	.requests = 2,
	.since_ms = TIME_MS - 1,
	.status = 206,
	.outcome = AUDIT_PART,
	.why = "because",
	.request_id = "id-1",
	.given_id = "mine",
	.agent = "agent/1",
	.note = "note",
};

/* The first record of a chain. */
static void print(const struct audit_record *rec, struct buf *ret)
{
	CLEANUP(buf_free) struct buf body = { 0 };
	char prev[AUDIT_HASH_HEX + 1] = AUDIT_NO_HASH;

	audit_record_body(rec, &body);
	assert_int_equal(audit_record_line(1, TIME_MS, buf_str(&body), body.len, prev, ret), 0);
}

static void a_record_is_one_line_that_anybody_can_check(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf line = { 0 };
	const struct audit_record rec = { .kind = AUDIT_HUB, .act = "start" };

	print(&rec, &line);
	/* printf '%s' "0000...{"seq":1,...,"act":"start"" | sha256sum */
	assert_string_equal(
		buf_str(&line),
		"{\"seq\":1,\"time\":\"2026-11-21T19:00:34.123Z\",\"kind\":\"hub\",\"act\":"
		"\"start\",\"hash\":"
		"\"c8aa66a976d4f28d9f6ac119e0af47649ad0a7ec0c46e2e6e3fa2a16b1609a0b\"}\n");
}

static void what_was_written_is_read(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf line = { 0 };
	struct audit_record got;
	struct jdoc *doc;

	print(&full, &line);
	assert_null(memchr(buf_str(&line), '\n', line.len - 1));
	assert_int_equal(audit_record_parse(line.data, line.len - 1, &got, &doc), 0);
	assert_int_equal(got.seq, 1);
	assert_int_equal(got.time_ms, TIME_MS);
	assert_string_equal(got.kind, full.kind);
	assert_string_equal(got.act, full.act);
	assert_string_equal(got.user, full.user);
	assert_string_equal(got.token, full.token);
	assert_string_equal(got.address, full.address);
	assert_string_equal(got.repo, full.repo);
	assert_string_equal(got.commit, full.commit);
	assert_string_equal(got.file, "a \"b\"\\\n\xef\xbf\xbd.bin");
	assert_true(got.has_bytes);
	assert_int_equal(got.bytes, 5);
	assert_int_equal(got.size, 7);
	assert_int_equal(got.requests, 2);
	assert_int_equal(got.since_ms, TIME_MS - 1);
	assert_int_equal(got.status, 206);
	assert_string_equal(got.outcome, full.outcome);
	assert_string_equal(got.why, full.why);
	assert_string_equal(got.request_id, full.request_id);
	assert_string_equal(got.given_id, full.given_id);
	assert_string_equal(got.agent, full.agent);
	assert_string_equal(got.note, full.note);
	jdoc_free(doc);
}

static void what_is_absent_stays_absent(void **state UNUSED)
{
	const struct audit_record rec = { .kind = AUDIT_SIGNIN, .user = "" };
	CLEANUP(buf_free) struct buf line = { 0 };
	struct audit_record got;
	struct jdoc *doc;

	print(&rec, &line);
	assert_int_equal(audit_record_parse(line.data, line.len - 1, &got, &doc), 0);
	assert_null(got.user);
	assert_null(got.file);
	assert_false(got.has_bytes);
	assert_int_equal(got.since_ms, 0);
	jdoc_free(doc);
}

static void long_texts_are_cut_between_characters(void **state UNUSED)
{
	char agent[3 * AUDIT_TEXT_MAX];
	const struct audit_record rec = { .kind = AUDIT_SIGNIN, .agent = agent };
	CLEANUP(buf_free) struct buf line = { 0 };
	struct audit_record got;
	struct jdoc *doc;

	for (size_t i = 0; i + 3 < sizeof(agent); i += 3)
		memcpy(agent + i, "\xe2\x82\xac", 4); /* the sign of the euro */
	print(&rec, &line);
	assert_int_equal(audit_record_parse(line.data, line.len - 1, &got, &doc), 0);
	assert_int_equal(strlen(got.agent), AUDIT_TEXT_MAX / 3 * 3);
	jdoc_free(doc);
}

static void a_line_follows_only_the_one_before(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf line = { 0 };
	char other[] = AUDIT_NO_HASH;

	other[5] = '1';
	print(&full, &line);
	assert_true(audit_link_holds(AUDIT_NO_HASH, line.data, line.len - 1));
	assert_false(audit_link_holds(other, line.data, line.len - 1));
	for (size_t i = 0; i < line.len - 1; i++) {
		char was = line.data[i];

		line.data[i] = was == 'x' ? 'y' : 'x';
		assert_false(audit_link_holds(AUDIT_NO_HASH, line.data, line.len - 1));
		line.data[i] = was;
	}
}

static void what_is_no_record_is_refused(void **state UNUSED)
{
	static const char *const bad[] = {
		"",
		"{}",
		"{\"seq\":1}",
		"{\"seq\":0,\"kind\":\"hub\",\"hash\":\"" AUDIT_NO_HASH "\"}",
		"{\"seq\":1,\"time\":\"2026-11-21T19:00:34.123Z\",\"hash\":\"" AUDIT_NO_HASH "\"}",
		"{\"seq\":1,\"time\":\"yesterday\",\"kind\":\"hub\",\"hash\":\"" AUDIT_NO_HASH
		"\"}",
		"{\"seq\":1,\"seq\":2,\"time\":\"2026-11-21T19:00:34.123Z\",\"kind\":\"hub\","
		"\"hash\":\"" AUDIT_NO_HASH "\"}",
		"{\"seq\":99999999999999999999999,\"time\":\"2026-11-21T19:00:34.123Z\",\"kind\":"
		"\"hub\",\"hash\":\"" AUDIT_NO_HASH "\"}",
	};
	struct audit_record got;
	struct jdoc *doc;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(audit_record_parse(bad[i], strlen(bad[i]), &got, &doc),
				 ERR_CORRUPT);
}

static void times_go_there_and_back(void **state UNUSED)
{
	char text[CLOCK_ISO_MAX];

	clock_print_iso(TIME_MS, text);
	assert_string_equal(text, "2026-11-21T19:00:34.123Z");
	assert_int_equal(audit_time_parse(text), TIME_MS);
	assert_int_equal(audit_time_parse("2026-11-21T19:00:34Z"), TIME_MS - 123);
	assert_int_equal(audit_time_parse("2026-11-21T19:00:34.5Z"), TIME_MS - 123 + 500);
	assert_int_equal(audit_time_parse("now"), -1);
	assert_int_equal(audit_time_parse(NULL), -1);
}

static void a_copy_has_texts_of_its_own(void **state UNUSED)
{
	char user[] = "ann";
	const struct audit_record rec = { .kind = AUDIT_ADMIN, .user = user, .bytes = 7 };
	struct audit_record *copy = audit_record_copy(&rec);

	user[0] = 'x';
	assert_string_equal(copy->user, "ann");
	assert_null(copy->file);
	assert_int_equal(copy->bytes, 7);
	free(copy);
}

static void a_table_has_a_column_for_each_field(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf table = { 0 };
	const struct audit_record rec = {
		.seq = 1, .time_ms = TIME_MS, .kind = AUDIT_HUB, .note = "a, \"b\""
	};

	audit_csv_head(&table);
	audit_csv_row(&full, &table);
	audit_csv_row(&rec, &table);
	assert_string_equal(
		buf_str(&table),
		"seq,time,kind,act,user,token,address,repo,commit,file,bytes,size,requests,since,"
		"status,outcome,why,request,given,agent,note\r\n"
		"0,1970-01-01T00:00:00.000Z,download,get,ann,laptop,192.0.2.1,models/org/tiny,"
		"0123456789012345678901234567890123456789,\"a \"\"b\"\"\\\n\xff.bin\",5,7,2,"
		"2026-11-21T19:00:34.122Z,206,part,because,id-1,mine,agent/1,note\r\n"
		"1,2026-11-21T19:00:34.123Z,hub,,,,,,,,,,,,,,,,,,\"a, \"\"b\"\"\"\r\n");
}

static void no_cell_is_a_formula(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf table = { 0 };
	const struct audit_record rec = { .kind = AUDIT_HUB, .agent = "=cmd|' /c calc'!A0" };

	audit_csv_row(&rec, &table);
	assert_non_null(strstr(buf_str(&table), ",\"'=cmd|' /c calc'!A0\","));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_one_line_that_anybody_can_check),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(what_is_absent_stays_absent),
		cmocka_unit_test(long_texts_are_cut_between_characters),
		cmocka_unit_test(a_line_follows_only_the_one_before),
		cmocka_unit_test(what_is_no_record_is_refused),
		cmocka_unit_test(times_go_there_and_back),
		cmocka_unit_test(a_copy_has_texts_of_its_own),
		cmocka_unit_test(a_table_has_a_column_for_each_field),
		cmocka_unit_test(no_cell_is_a_formula),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
