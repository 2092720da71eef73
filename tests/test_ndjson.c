/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/ndjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define OID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEADER "{\"key\":\"header\",\"value\":{\"summary\":\"s\",\"description\":\"d\"}}\n"

static int on_header(void *arg, const struct ndjson_header *h)
{
	return buf_printf(arg, "header %s|%s|%s\n", h->summary, h->description, h->parent);
}

static int on_bytes(void *arg, const void *data, size_t len)
{
	return buf_add(arg, data, len);
}

static int on_op(void *arg, const struct ndjson_op *op)
{
	static const char *const words[] = { "file", "lfs", "deleted", "folder", "copy" };

	buf_printf(arg, "<%s %s", words[op->kind], op->path);
	if (op->kind == NDJSON_LFS_FILE)
		buf_printf(arg, " %.4s %" PRId64, op->oid, op->size);
	if (op->kind == NDJSON_COPY_FILE)
		buf_printf(arg, " %s@%s", op->source, op->source_revision);
	return buf_add_str(arg, ">\n");
}

static const struct ndjson_events events = { on_header, on_bytes, on_op };

/* What is told of a body that comes in pieces. */
static int read_in(const char *body, size_t piece, struct buf *told, struct buf *why)
{
	CLEANUP(ndjson_freep) struct ndjson *n = NULL;
	size_t len = strlen(body);

	buf_clear(told);
	buf_clear(why);
	assert_int_equal(ndjson_new(&events, told, &n), 0);
	for (size_t at = 0; at < len; at += piece) {
		int r = ndjson_take(n, body + at, piece < len - at ? piece : len - at, why);

		if (r < 0)
			return r;
	}
	return ndjson_end(n, why);
}

static void check_told(const char *body, const char *wanted)
{
	CLEANUP(buf_free) struct buf told = { 0 }, why = { 0 };

	for (size_t piece = 1; piece <= strlen(body); piece = piece < 20 ? piece + 1 : 2 * piece) {
		assert_int_equal(read_in(body, piece, &told, &why), 0);
		assert_string_equal(buf_str(&told), wanted);
		assert_string_equal(buf_str(&why), "");
	}
}

static void check_refused(const char *body, const char *wanted)
{
	CLEANUP(buf_free) struct buf told = { 0 }, why = { 0 };
	int error = strstr(wanted, "cannot be the path") ? -EILSEQ : -EINVAL;

	for (size_t piece = 1; piece < 40; piece++) {
		assert_int_equal(read_in(body, piece, &told, &why), error);
		assert_string_equal(buf_str(&why), wanted);
	}
}

/* As huggingface_hub writes it: the content comes before the path. */
static void a_commit_is_told_line_by_line(UNUSED void **state)
{
	check_told("{\"key\": \"header\", \"value\": {\"summary\": \"Add\", \"description\": "
		   "\"two\\nlines\", \"parentCommit\": \"abc\"}}\n"
		   "{\"key\": \"file\", \"value\": {\"content\": \"Zm9vYmFy\", \"path\": "
		   "\"a/b.txt\", \"encoding\": \"base64\"}}\n"
		   "{\"key\": \"lfsFile\", \"value\": {\"path\": \"m.bin\", \"algo\": \"sha256\", "
		   "\"oid\": \"" OID "\", \"size\": 12}}\n"
		   "{\"key\": \"lfsFile\", \"value\": {\"path\": \"copied\", \"algo\": \"sha256\", "
		   "\"oid\": \"" OID "\"}}\n"
		   "{\"key\": \"deletedFile\", \"value\": {\"path\": \"\\u00e9\"}}\n"
		   "{\"key\": \"deletedFolder\", \"value\": {\"path\": \"old/\"}}\n"
		   "{\"key\": \"copyFile\", \"value\": {\"path\": \"to\", \"srcPath\": \"from\", "
		   "\"srcRevision\": \"v1\"}}\n",
		   "header Add|two\nlines|abc\n"
		   "foobar<file a/b.txt>\n"
		   "<lfs m.bin 0123 12>\n"
		   "<lfs copied 0123 -1>\n"
		   "<deleted \xc3\xa9>\n"
		   "<folder old>\n"
		   "<copy to from@v1>\n");
}

/* As the JavaScript client does, and with what others may add. */
static void the_last_newline_may_be_missing_and_more_may_be_said(UNUSED void **state)
{
	check_told(
		"{\"key\":\"header\",\"value\":{\"summary\":\"s\",\"parentCommit\":null,\"x\":"
		"{\"path\":[1]}},\"value2\":{\"summary\":\"t\"},\"z\":null}\r\n"
		" \n\n"
		"{\"x\":\"y\",\"key\":\"file\",\"value\":{\"encoding\":\"base64\",\"path\":\"e\","
		"\"content\":\"\",\"oldPath\":\"f\"}}",
		"header s||\n<file e>\n");
}

static void what_is_wrong_is_told_with_its_line(UNUSED void **state)
{
	static const char *const bad[][2] = {
		{ "nonsense", "line 1: this is no JSON" },
		{ "{\"key\":", "line 1: this is no JSON" },
		{ "[]", "line 1: this is no JSON object" },
		{ "{}", "line 1: \"key\" is missing" },
		{ "{\"key\":\"header\"}", "line 1: \"value\" is missing" },
		{ "{\"value\":{}}", "line 1: \"key\" comes before \"value\"" },
		{ "{\"key\":5}", "line 1: \"key\" is no text" },
		{ "{\"key\":{}}", "line 1: \"key\" is no text" },
		{ "{\"key\":\"header\",\"key\":\"file\"}", "line 1: \"key\" stands there twice" },
		{ "{\"key\":\"header\",\"value\":[]}", "line 1: \"value\" is no object" },
		{ "{\"key\":\"header\",\"value\":\"x\"}", "line 1: \"value\" is no object" },
		{ "{\"key\":\"header\",\"value\":{}}", "line 1: \"summary\" is missing" },
		{ "{\"key\":\"header\",\"value\":{\"summary\":1}}",
		  "line 1: \"summary\" is no text" },
		{ "{\"key\":\"header\",\"value\":{\"summary\":[]}}",
		  "line 1: \"summary\" is no text" },
		{ "{\"key\":\"deletedFile\",\"value\":{\"path\":\"a\"}}",
		  "line 1: the first line of a commit is its header" },
		{ "{\"key\":\"renamed\",\"value\":{}}",
		  "line 1: there is nothing called \"renamed\" in a commit" },
		{ "", "there is no header: the commit is empty" },
		{ "\n \n", "there is no header: the commit is empty" },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		check_refused(bad[i][0], bad[i][1]);
	check_refused(HEADER HEADER, "line 2: there was a header already");
	check_refused(HEADER "\n{]", "line 3: this is no JSON");
}

static void check_line(const char *line, const char *wanted)
{
	CLEANUP(buf_free) struct buf body = { 0 }, sentence = { 0 };

	buf_printf(&body, HEADER "%s\n", line);
	buf_printf(&sentence, "line 2: %s", wanted);
	check_refused(body.data, sentence.data);
}

static void a_file_must_be_whole(UNUSED void **state)
{
#define FILE_LINE(members) "{\"key\":\"file\",\"value\":{" members "}}"
	check_line(FILE_LINE("\"path\":\"a\",\"encoding\":\"base64\""), "\"content\" is missing");
	check_line(FILE_LINE("\"content\":null,\"path\":\"a\",\"encoding\":\"base64\""),
		   "\"content\" is missing");
	check_line(FILE_LINE("\"content\":\"\",\"encoding\":\"base64\""), "\"path\" is missing");
	check_line(FILE_LINE("\"content\":\"\",\"path\":\"a\""), "\"encoding\" is missing");
	check_line(FILE_LINE("\"content\":\"\",\"path\":\"a\",\"encoding\":\"utf-8\""),
		   "a file's encoding is \"base64\"");
	check_line(FILE_LINE("\"content\":\"Zg=\",\"path\":\"a\",\"encoding\":\"base64\""),
		   "the content is no Base64");
	check_line(FILE_LINE("\"content\":\"Zm 9\",\"path\":\"a\",\"encoding\":\"base64\""),
		   "the content is no Base64");
	check_line(FILE_LINE("\"content\":\"\",\"content\":\"\""),
		   "\"content\" stands there twice");
	check_line(FILE_LINE("\"content\":7"), "\"content\" is no text");
#undef FILE_LINE
}

static void an_lfs_file_says_which_it_is(UNUSED void **state)
{
#define LFS_LINE(members) "{\"key\":\"lfsFile\",\"value\":{\"path\":\"a\"," members "}}"
	check_line(LFS_LINE("\"algo\":\"sha256\""), "\"oid\" is missing");
	check_line(LFS_LINE("\"oid\":\"12\""),
		   "the oid of an LFS file has 64 hex digits in small letters");
	check_line(LFS_LINE("\"algo\":\"md5\",\"oid\":\"" OID "\""),
		   "the algorithm of an LFS file is \"sha256\"");
	check_line(LFS_LINE("\"oid\":\"" OID "\",\"size\":-1"), "\"size\" is no number of bytes");
	check_line(LFS_LINE("\"oid\":\"" OID "\",\"size\":1.5"), "\"size\" is no number of bytes");
	check_line(LFS_LINE("\"oid\":\"" OID "\",\"size\":99999999999999999999"),
		   "\"size\" is no number of bytes");
	check_line(LFS_LINE("\"oid\":\"" OID "\",\"size\":\"1\""), "\"size\" is no number");
#undef LFS_LINE
}

#define DELETED HEADER "{\"key\":\"deletedFile\",\"value\":{\"path\":\"%s\"}}\n"

static void no_path_leaves_its_repository(UNUSED void **state)
{
	static const char *const bad[] = {
		"",       "/", "/a",  "a/",    "a//b",        "..",     "../a",
		"a/../b", ".", "./a", "a/./b", ".git/config", "a/.GIT", "a/..",
	};
	/* In JSON: one backslash each. */
	static const char *const climbing[] = { "..\\\\a", "..\\\\..\\\\a", "..\\\\a/b" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(buf_free) struct buf line = { 0 }, wanted = { 0 };

		buf_printf(&line, "{\"key\":\"deletedFile\",\"value\":{\"path\":\"%s\"}}", bad[i]);
		buf_printf(&wanted, "\"%s\" cannot be the path of a file", bad[i]);
		check_line(line.data, wanted.data);
		buf_clear(&line);
		buf_printf(&line,
			   "{\"key\":\"copyFile\",\"value\":{\"path\":\"a\",\"srcPath\":\"%s\"}}",
			   bad[i]);
		check_line(line.data, wanted.data);
	}
	check_line("{\"key\":\"deletedFolder\",\"value\":{\"path\":\"/\"}}",
		   "\"\" cannot be the path of a file");
	for (size_t i = 0; i < ARRAY_LEN(climbing); i++) {
		CLEANUP(buf_free) struct buf line = { 0 }, told = { 0 }, why = { 0 };

		buf_printf(&line, DELETED, climbing[i]);
		assert_int_equal(read_in(line.data, 100, &told, &why), -EILSEQ);
	}
}

static void a_backslash_and_dots_may_be_in_a_name(UNUSED void **state)
{
	static const char *const good[] = { "a\\\\b", "..a\\\\b", "...", "a\\\\..\\\\b",
					    "a/..\\\\b" };

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CLEANUP(buf_free) struct buf line = { 0 }, told = { 0 }, why = { 0 };

		buf_printf(&line, DELETED, good[i]);
		assert_int_equal(read_in(line.data, 100, &told, &why), 0);
	}
}

static void what_is_longer_than_it_can_be_is_refused(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf line = { 0 }, told = { 0 }, why = { 0 };

	buf_add_str(&line, HEADER "{\"key\":\"deletedFile\",\"value\":{\"path\":\"");
	for (int i = 0; i < 256; i++)
		buf_add_str(&line, "a");
	buf_add_str(&line, "\"}}");
	assert_int_equal(read_in(line.data, 100, &told, &why), -EILSEQ);
	assert_true(strstr(why.data, "cannot be the path of a file"));
	buf_clear(&line);
	buf_add_str(&line, HEADER "{\"key\":\"deletedFile\",\"value\":{\"path\":\"");
	for (int i = 0; i < 600; i++)
		buf_add_str(&line, "a/");
	buf_add_str(&line, "\"}}");
	assert_int_equal(read_in(line.data, 100, &told, &why), -EINVAL);
	assert_string_equal(why.data, "line 2: \"path\" has more than 1024 bytes");
}

static int count_bytes(void *arg, const void *data UNUSED, size_t len)
{
	*(uint64_t *)arg += len;
	return 0;
}

static int pass_header(void *arg UNUSED, const struct ndjson_header *h UNUSED)
{
	return 0;
}

static int pass_op(void *arg UNUSED, const struct ndjson_op *op UNUSED)
{
	return 0;
}

/* Of a file that is larger than what a test may hold. */
static void the_bytes_of_a_file_pass_through(UNUSED void **state)
{
	static const struct ndjson_events counting = { pass_header, count_bytes, pass_op };
	static char piece[1 << 20];
	CLEANUP(ndjson_freep) struct ndjson *n = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	static const char head[] = HEADER "{\"key\":\"file\",\"value\":{\"content\":\"";
	static const char tail[] = "\",\"path\":\"a\",\"encoding\":\"base64\"}}";
	uint64_t count = 0;

	memset(piece, 'A', sizeof(piece));
	assert_int_equal(ndjson_new(&counting, &count, &n), 0);
	assert_int_equal(ndjson_take(n, head, strlen(head), &why), 0);
	for (int i = 0; i < 64; i++)
		assert_int_equal(ndjson_take(n, piece, sizeof(piece), &why), 0);
	assert_int_equal(ndjson_take(n, tail, strlen(tail), &why), 0);
	assert_int_equal(ndjson_end(n, &why), 0);
	assert_int_equal(count, 48 << 20);
}

static int refuse_op(void *arg UNUSED, const struct ndjson_op *op UNUSED)
{
	return -ENOSPC;
}

static int refuse_bytes(void *arg UNUSED, const void *data UNUSED, size_t len UNUSED)
{
	return -EINVAL;
}

static void who_is_told_may_end_it(UNUSED void **state)
{
	static const struct ndjson_events refusing = { pass_header, refuse_bytes, refuse_op };
	static const char *const lines[] = {
		"{\"key\":\"deletedFile\",\"value\":{\"path\":\"a\"}}\n",
		"{\"key\":\"file\",\"value\":{\"content\":\"Zm9v\"",
	};
	static const int wanted[] = { -ENOSPC, -EINVAL };

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		CLEANUP(ndjson_freep) struct ndjson *n = NULL;
		CLEANUP(buf_free) struct buf body = { 0 }, why = { 0 };

		buf_printf(&body, "%s%s", HEADER, lines[i]);
		assert_int_equal(ndjson_new(&refusing, NULL, &n), 0);
		assert_int_equal(ndjson_take(n, body.data, body.len, &why), wanted[i]);
		assert_string_equal(buf_str(&why), "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_is_told_line_by_line),
		cmocka_unit_test(the_last_newline_may_be_missing_and_more_may_be_said),
		cmocka_unit_test(what_is_wrong_is_told_with_its_line),
		cmocka_unit_test(a_file_must_be_whole),
		cmocka_unit_test(an_lfs_file_says_which_it_is),
		cmocka_unit_test(no_path_leaves_its_repository),
		cmocka_unit_test(a_backslash_and_dots_may_be_in_a_name),
		cmocka_unit_test(what_is_longer_than_it_can_be_is_refused),
		cmocka_unit_test(the_bytes_of_a_file_pass_through),
		cmocka_unit_test(who_is_told_may_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
