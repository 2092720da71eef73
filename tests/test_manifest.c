/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"

#define OID "0123456789abcdef0123456789abcdef01234567"
#define SHA "aaaaaaaabbbbbbbbccccccccddddddddaaaaaaaabbbbbbbbccccccccdddddddd"
#define PLAIN "\"oid\":\"" OID "\",\"size\":7"
#define LFS \
	"\"oid\":\"" OID "\",\"size\":9,\"lfs\":{\"oid\":\"" SHA \
	"\",\"size\":9,\"pointerSize\":130}"

/* --- making */

/* A file whose digest begins with the number n. */
static struct manifest_file git_file(uint64_t n)
{
	struct manifest_file f = { .size = n, .kind = DIGEST_GIT_SHA1 };

	memcpy(f.digest, &n, sizeof(n));
	memcpy(f.oid, &n, sizeof(n));
	return f;
}

/* Makes a manifest of a NULL-terminated list of paths; the file at index i has size i. */
static int make(const char *const *paths, struct manifest **ret, struct buf *why)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	int r = manifest_builder_new(&b);

	for (uint64_t i = 0; r == 0 && paths[i]; i++) {
		struct manifest_file f = git_file(i);

		r = manifest_builder_add(b, paths[i], &f, why);
	}
	return r < 0 ? r : manifest_builder_finish(b, ret, why);
}

static int make_page(const char *json, struct manifest **ret, struct buf *why)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	int r = manifest_builder_new(&b);

	if (r == 0)
		r = manifest_builder_page(b, json, strlen(json), why);
	return r < 0 ? r : manifest_builder_finish(b, ret, why);
}

/* Only what makes sense of a page; how many were left out. */
static uint32_t make_of_the_good(const char *json, struct manifest **ret, struct buf *why)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;

	assert_int_equal(manifest_builder_new(&b), 0);
	manifest_builder_be_lenient(b);
	assert_int_equal(manifest_builder_page(b, json, strlen(json), why), 0);
	assert_int_equal(manifest_builder_finish(b, ret, why), 0);
	return manifest_builder_left_out(b);
}

static int page_result(const char *json)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	return make_page(json, &m, &why);
}

static int path_result(const char *path)
{
	const char *const paths[] = { path, NULL };
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = make(paths, &m, &why);

	/* A refusal always says why, and an acceptance says nothing. */
	assert_int_equal(r<0, why.len> 0);
	return r;
}

static void assert_children(const struct manifest *m, const char *dir, const char *expected)
{
	CLEANUP(buf_free) struct buf names = { 0 };
	uint32_t count, node = manifest_find(m, dir);
	uint32_t first = manifest_children(m, node, &count);

	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(manifest_parent(m, first + i), node);
		buf_printf(&names, "%s%s", i ? " " : "", manifest_name(m, first + i));
	}
	assert_string_equal(buf_str(&names), expected);
}

/* --- the tree */

static const char *const model[] = {
	"model-00010-of-00010.safetensors",
	"layer10/w",
	"README.md",
	"layer2/w",
	"layer2/sub/deep/x",
	"model-00002-of-00010.safetensors",
	"layer2.txt",
	NULL,
};

static void test_tree(void **state)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	uint32_t node;

	(void)state;
	assert_int_equal(make(model, &m, &why), 0);
	assert_int_equal(manifest_file_count(m), 7);
	assert_int_equal(manifest_count(m), 1 + 7 + 4);
	assert_int_equal(manifest_total_bytes(m), 0 + 1 + 2 + 3 + 4 + 5 + 6);
	assert_children(m, "",
			"README.md layer2 layer2.txt layer10 model-00002-of-00010.safetensors "
			"model-00010-of-00010.safetensors");
	assert_children(m, "layer2", "sub w");
	assert_children(m, "layer2/sub/deep", "x");
	node = manifest_find(m, "layer2/sub/deep/x");
	assert_int_equal(manifest_depth(m, node), 3);
	assert_int_equal(manifest_file(m, node)->size, 4);
	assert_null(manifest_file(m, manifest_find(m, "layer2")));
	assert_int_equal(manifest_depth(m, MANIFEST_ROOT), 0);
	assert_string_equal(manifest_name(m, MANIFEST_ROOT), "");
}

static void test_find_knows_only_what_is_there(void **state)
{
	static const char *const absent[] = { "layer",       "layer1",    "layer2/",
					      "/layer2",     "layer2//w", "layer2/sub/x",
					      "README.md/x", "zzz",       "readme.md",
					      NULL };
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	(void)state;
	assert_int_equal(make(model, &m, &why), 0);
	for (int i = 0; model[i]; i++) {
		CLEANUP(buf_free) struct buf path = { 0 };
		uint32_t node = manifest_find(m, model[i]);

		assert_int_not_equal(node, MANIFEST_NONE);
		assert_int_equal(manifest_path(m, node, &path), 0);
		assert_string_equal(buf_str(&path), model[i]);
	}
	for (int i = 0; absent[i]; i++)
		assert_int_equal(manifest_find(m, absent[i]), MANIFEST_NONE);
	assert_int_equal(manifest_child(m, MANIFEST_ROOT, "layer2.txt-and-more", 10),
			 manifest_find(m, "layer2.txt"));
}

static void test_empty(void **state)
{
	static const char *const none[] = { NULL };
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	CLEANUP(buf_free) struct buf json = { 0 };

	(void)state;
	assert_int_equal(make(none, &m, &why), 0);
	assert_int_equal(manifest_count(m), 1);
	assert_children(m, "", "");
	assert_int_equal(manifest_find(m, "x"), MANIFEST_NONE);
	assert_int_equal(manifest_find_etag(m, OID), MANIFEST_NONE);
	assert_int_equal(manifest_tree_json(m, &json), 0);
	assert_string_equal(buf_str(&json), "{\"format_version\":1,\"files\":{}}");
}

static void test_natural(void **state)
{
	static const char *const sorted[] = { "",      "-",      "0",    "00",       "1",
					      "01",    "1a",     "2",    "10",       "a",
					      "a-b",   "a1",     "a01b", "a2",       "a10",
					      "a10b1", "a010b2", "b",    "\xc3\xa9", NULL };

	(void)state;
	for (int i = 0; sorted[i]; i++) {
		for (int j = 0; sorted[j]; j++) {
			int diff = manifest_natural(sorted[i], sorted[j]);

			if (i == j)
				assert_int_equal(diff, 0);
			else if (strcmp(sorted[i], "1") == 0 && strcmp(sorted[j], "01") == 0)
				assert_true(diff > 0); /* equal numbers: bytewise */
			else if (strcmp(sorted[i], "01") == 0 && strcmp(sorted[j], "1") == 0)
				assert_true(diff < 0);
			else
				assert_true((diff < 0) == (i < j));
		}
	}
	assert_true(manifest_natural("99999999999999999999998", "99999999999999999999999") < 0);
}

/* --- etags */

static void test_etags(void **state)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	char etag[DIGEST_HEX_MAX + 1];

	(void)state;
	assert_int_equal(make_page("[{\"type\":\"file\",\"path\":\"a\"," PLAIN "},"
				   "{\"type\":\"file\",\"path\":\"b\"," LFS "},"
				   "{\"type\":\"file\",\"path\":\"c\"," LFS "}]",
				   &m, &why),
			 0);
	manifest_etag(manifest_file(m, manifest_find(m, "b")), etag);
	assert_string_equal(etag, SHA);
	assert_int_equal(manifest_file(m, manifest_find_etag(m, SHA))->size, 9);
	assert_int_equal(manifest_find_etag(m, OID), manifest_find(m, "a"));
	/* The git id of a pointer is nobody's etag; nor is anything else. */
	assert_int_equal(manifest_find_etag(m, "1123456789abcdef0123456789abcdef01234567"),
			 MANIFEST_NONE);
	assert_int_equal(manifest_find_etag(m, ""), MANIFEST_NONE);
	assert_int_equal(manifest_find_etag(m, "../" OID), MANIFEST_NONE);
	assert_int_equal(manifest_find_etag(m, SHA "0"), MANIFEST_NONE);
}

static void test_etag_padded_is_another(void **state)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	(void)state;
	assert_int_equal(make_page("[{\"type\":\"file\",\"path\":\"a\"," PLAIN "}]", &m, &why), 0);
	assert_int_equal(manifest_find_etag(m, OID "000000000000000000000000"), MANIFEST_NONE);
}

/* --- pages */

static void test_page_kinds(void **state)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	(void)state;
	assert_int_equal(
		make_page("[{\"type\":\"directory\",\"path\":\"d\",\"oid\":\"x\",\"size\":0},"
			  "{\"type\":\"submodule\",\"path\":\"s\"},"
			  "{\"type\":\"file\",\"path\":\"d/f\"," PLAIN ",\"xetHash\":\"zz\"}]",
			  &m, &why),
		0);
	assert_int_equal(manifest_file_count(m), 1);
	assert_children(m, "", "d");
	assert_int_equal(manifest_file(m, manifest_find(m, "d/f"))->kind, DIGEST_GIT_SHA1);
}

static void test_page_lfs_counts_the_file_not_the_pointer(void **state)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct manifest_file *f;

	(void)state;
	assert_int_equal(make_page("[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" OID
				   "\",\"size\":130,"
				   "\"lfs\":{\"oid\":\"" SHA "\",\"size\":5000000000}}]",
				   &m, &why),
			 0);
	f = manifest_file(m, manifest_find(m, "a"));
	assert_int_equal(f->kind, DIGEST_SHA256);
	assert_int_equal(f->size, 5000000000);
	assert_int_equal(f->oid[1], 0x23);
}

static void test_page_nonsense(void **state)
{
	static const char *const pages[] = {
		"",
		"<html></html>",
		"{}",
		"null",
		"[1]",
		"[{\"type\":\"file\"}]",
		"[",
		"[{\"path\":\"a\"," PLAIN "}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"size\":7}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" OID "\"}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" OID "\",\"size\":-1}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" OID "\",\"size\":1.5}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" OID
		"\",\"size\":4611686018427387905}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"0123\",\"size\":7}]",
		"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" OID "00\",\"size\":7}]",
		"[{\"type\":\"file\",\"path\":\"a\"," PLAIN ",\"lfs\":{\"size\":7}}]",
		"[{\"type\":\"file\",\"path\":\"a\"," PLAIN ",\"lfs\":{\"oid\":\"" SHA "\"}}]",
		"[{\"type\":\"file\",\"path\":\"a\"," PLAIN ",\"lfs\":{\"oid\":\"" OID
		"\",\"size\":7}}]",
		"[{\"type\":\"file\",\"path\":\"a\\u0000b\"," PLAIN "}]",
		"[{\"type\":\"file\",\"path\":\"a\xff\"," PLAIN "}]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		assert_int_equal(page_result(pages[i]), ERR_PROTO);
	assert_int_equal(page_result("[{\"type\":\"file\",\"path\":\"a\"," PLAIN "}]"), 0);
	assert_int_equal(page_result("[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" OID
				     "\",\"size\":4611686018427387904}]"),
			 0);
	assert_int_equal(page_result("[{\"type\":\"file\",\"path\":\"../a\"," PLAIN "}]"),
			 ERR_HOSTILE);
	assert_int_equal(page_result("[{\"type\":\"file\",\"path\":\"a\\nb\"," PLAIN "}]"),
			 ERR_HOSTILE);
}

/* --- hostile paths */

static void test_hostile_paths(void **state)
{
	static const char *const paths[] = {
		"",
		"/",
		"/a",
		"a/",
		"a//b",
		".",
		"..",
		"a/..",
		"../a",
		"a/../b",
		"a/./b",
		"./a",
		"a\nb",
		"a\x1b[31m",
		"a\x7f",
		"\x01",
		"\xff",
		"\xc0\xaf",
		"\xc1\xbf",
		"\xe0\x80\xaf",
		"\xed\xa0\x80",
		"\xf0\x80\x80\xaf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"a\x80",
		"a\xc3",
		"\xc3(",
		"\xe2\x82",
	};
	static const char *const fine[] = {
		"a",
		"...",
		"..a",
		"a..",
		".git",
		"a/...",
		"a b",
		"a\\b",
		"C:",
		"\xc3\xa9",
		"\xe2\x82\xac",
		"\xed\x9f\xbf",
		"\xf0\x9f\xa4\x97",
		"\xf4\x8f\xbf\xbf",
		"100%/?#&",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_int_equal(path_result(paths[i]), ERR_HOSTILE);
	for (size_t i = 0; i < ARRAY_LEN(fine); i++)
		assert_int_equal(path_result(fine[i]), 0);
}

static void test_long_paths(void **state)
{
	char path[MANIFEST_PATH_MAX + 2];

	(void)state;
	memset(path, 'a', sizeof(path));
	path[MANIFEST_NAME_MAX] = '\0';
	assert_int_equal(path_result(path), 0);
	path[MANIFEST_NAME_MAX] = 'a';
	path[MANIFEST_NAME_MAX + 1] = '\0';
	assert_int_equal(path_result(path), ERR_HOSTILE);
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 ? '/' : 'a';
	path[MANIFEST_PATH_MAX - 1] = '\0';
	assert_int_equal(path_result(path), 0); /* 512 components */
	memcpy(path + MANIFEST_PATH_MAX - 1, "bc", 3);
	assert_int_equal(path_result(path), ERR_HOSTILE);
	path[MANIFEST_PATH_MAX] = '\0';
	assert_int_equal(path_result(path), 0);
}

static void test_why_is_printable(void **state)
{
	const char *const paths[] = { "x\x1b\ny", NULL };
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	(void)state;
	assert_int_equal(make(paths, &m, &why), ERR_HOSTILE);
	assert_string_equal(buf_str(&why), "The path 'x??y' holds a control character.");
}

static int conflict(const char *a, const char *b, const char *c)
{
	const char *const paths[] = { a, b, c, NULL };
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = make(paths, &m, &why);

	assert_int_equal(r<0, why.len> 0);
	return r;
}

static void what_must_not_be_shown_can_be_left_out(void **state)
{
	static const char page[] = "[{\"type\":\"file\",\"path\":\"good\"," PLAIN "},"
				   "{\"type\":\"file\",\"path\":\"../bad\"," PLAIN "},"
				   "{\"type\":\"file\",\"path\":\"a\\nb\"," PLAIN "},"
				   "{\"type\":\"file\",\"path\":7," PLAIN "},"
				   "{\"type\":\"file\",\"path\":\"negative\",\"oid\":\"" OID
				   "\",\"size\":-1},"
				   "{\"type\":\"file\",\"path\":\"both/below/it\"," PLAIN "},"
				   "{\"type\":\"file\",\"path\":\"both\"," PLAIN "},"
				   "{\"type\":\"file\",\"path\":\"good\"," PLAIN "},"
				   "{\"type\":\"file\",\"path\":\"both/beside\"," PLAIN "}]";
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	(void)state;
	assert_int_equal(make_of_the_good(page, &m, &why), 7);
	assert_string_equal(buf_str(&why), "The path '../bad' has a component '.' or '..'.");
	assert_int_equal(manifest_file_count(m), 2);
	assert_int_not_equal(manifest_find(m, "good"), MANIFEST_NONE);
	assert_non_null(manifest_file(m, manifest_find(m, "both")));
	/* The twin: else they refuse the list. */
	assert_int_equal(page_result(page), ERR_HOSTILE);
}

static void a_list_without_anything_good_is_none(void **state)
{
	static const char page[] = "[{\"type\":\"file\",\"path\":\"../bad\"," PLAIN "}]";
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(manifest_freep) struct manifest *empty = NULL, *none = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	(void)state;
	assert_int_equal(make_of_the_good("[]", &empty, &why), 0);
	assert_int_equal(manifest_builder_new(&b), 0);
	manifest_builder_be_lenient(b);
	assert_int_equal(manifest_builder_page(b, page, strlen(page), &why), 0);
	assert_int_equal(manifest_builder_finish(b, &none, &why), ERR_PROTO);
}

static void test_conflicts(void **state)
{
	(void)state;
	assert_int_equal(conflict("a", "b", "a"), ERR_HOSTILE);
	assert_int_equal(conflict("d/a", "d-", "d/a"), ERR_HOSTILE);
	assert_int_equal(conflict("d/a", "d.x", "d"), ERR_HOSTILE);
	assert_int_equal(conflict("d", "d-1", "d/x/y"), ERR_HOSTILE);
	assert_int_equal(conflict("d/e", "d/e.", "d/e/f"), ERR_HOSTILE);
	assert_int_equal(conflict("d/a", "d.x", "d-"), 0);
	assert_int_equal(conflict("1", "01", "001"), 0);
	assert_int_equal(conflict("ab/c", "a/c", "a/b"), 0);
	assert_int_equal(conflict("a", "A", "B/a"), 0);
}

/* --- packed */

static void pack_of(const char *const *paths, struct buf *ret)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(make(paths, &m, &why), 0);
	assert_int_equal(manifest_pack(m, ret), 0);
}

static void test_pack_round_trip(void **state)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(manifest_freep) struct manifest *copy = NULL;
	CLEANUP(buf_free) struct buf why = { 0 }, packed = { 0 }, again = { 0 };
	CLEANUP(buf_free) struct buf json = { 0 }, json_copy = { 0 };

	(void)state;
	assert_int_equal(make_page("[{\"type\":\"file\",\"path\":\"d/a\"," PLAIN "},"
				   "{\"type\":\"file\",\"path\":\"d/b\"," LFS "}]",
				   &m, &why),
			 0);
	assert_int_equal(manifest_pack(m, &packed), 0);
	assert_int_equal(manifest_unpack(packed.data, packed.len, &copy), 0);
	assert_int_equal(manifest_pack(copy, &again), 0);
	assert_int_equal(packed.len, again.len);
	assert_memory_equal(packed.data, again.data, packed.len);
	assert_int_equal(manifest_tree_json(m, &json), 0);
	assert_int_equal(manifest_tree_json(copy, &json_copy), 0);
	assert_string_equal(buf_str(&json), buf_str(&json_copy));
}

/* Corrects the sum after a change, so that what is behind it gets tested. */
static void fix_sum(char *packed, size_t len)
{
	uint64_t sum = xxh3_of(packed, len - sizeof(sum));

	memcpy(packed + len - sizeof(sum), &sum, sizeof(sum));
}

static int unpack_result(const char *packed, size_t len)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;

	return manifest_unpack(packed, len, &m);
}

static void test_pack_damage(void **state)
{
	CLEANUP(buf_free) struct buf packed = { 0 };

	(void)state;
	pack_of(model, &packed);
	for (size_t i = 0; i < packed.len; i++)
		assert_true(unpack_result(packed.data, i) < 0);
	for (size_t i = 0; i < packed.len; i++) {
		int r;

		packed.data[i] ^= 0x10;
		r = unpack_result(packed.data, packed.len);
		assert_int_equal(r, i / 4 == 1 ? ERR_FORMAT : ERR_CORRUPT);
		packed.data[i] ^= 0x10;
	}
	assert_int_equal(unpack_result(packed.data, packed.len), 0);
}

/* Also with a right sum nothing hostile comes out. */
static void test_pack_lies(void **state)
{
	CLEANUP(buf_free) struct buf packed = { 0 };
	static const char *const one[] = { "a/b", NULL };

	(void)state;
	pack_of(one, &packed);
	memcpy(packed.data + 12 + 13, "../", 3);
	fix_sum(packed.data, packed.len);
	assert_int_equal(unpack_result(packed.data, packed.len), ERR_CORRUPT);
	memcpy(packed.data + 12 + 13, "a/c", 3);
	fix_sum(packed.data, packed.len);
	assert_int_equal(unpack_result(packed.data, packed.len), 0);
	packed.data[8] = 2; /* files */
	fix_sum(packed.data, packed.len);
	assert_int_equal(unpack_result(packed.data, packed.len), ERR_CORRUPT);
	packed.data[8] = 0;
	fix_sum(packed.data, packed.len);
	assert_int_equal(unpack_result(packed.data, packed.len), ERR_CORRUPT);
	packed.data[8] = 1;
	packed.data[12] = 1; /* shares a byte with the path before, of which there is none */
	fix_sum(packed.data, packed.len);
	assert_int_equal(unpack_result(packed.data, packed.len), ERR_CORRUPT);
}

static void test_tree_json(void **state)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 }, json = { 0 };

	(void)state;
	assert_int_equal(make_page("[{\"type\":\"file\",\"path\":\"q\\\"/a\"," PLAIN "},"
				   "{\"type\":\"file\",\"path\":\"b\"," LFS ",\"xetHash\":\"ff\"}]",
				   &m, &why),
			 0);
	assert_int_equal(manifest_tree_json(m, &json), 0);
	assert_string_equal(buf_str(&json), "{\"format_version\":1,\"files\":{"
					    "\"b\":{\"size\":9,\"blob_id\":\"" OID
					    "\",\"lfs_sha256\":\"" SHA "\",\"lfs_size\":9},"
					    "\"q\\\"/a\":{\"size\":7,\"blob_id\":\"" OID "\"}}}");
}

/* --- a million files */

#ifdef __SANITIZE_THREAD__
#define MANY 100000 /* the thread sanitizer makes it fifteen times slower */
#else
#define MANY 1000000
#endif

/* Unsorted, unpadded, spread over directories: the worst a listing can be. */
static void many_path(uint32_t i, char ret[static 64])
{
	uint64_t mixed = i * UINT64_C(2654435761) % MANY; /* each number once: no common factor */

	snprintf(ret, 64, "data/part-%d/sample_%d.bin", (int)(mixed % 100), (int)mixed);
}

static void make_many(struct manifest **ret)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(manifest_builder_new(&b), 0);
	for (uint64_t i = 0; i < MANY; i++) {
		struct manifest_file f = git_file(i * 0x9e3779b97f4a7c15);
		char path[64];

		f.size = i;
		many_path((uint32_t)i, path);
		assert_int_equal(manifest_builder_add(b, path, &f, &why), 0);
	}
	assert_int_equal(manifest_builder_finish(b, ret, &why), 0);
}

static void test_a_million_files(void **state)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(manifest_freep) struct manifest *copy = NULL;
	CLEANUP(buf_free) struct buf packed = { 0 };
	int64_t start = clock_ms(), made, packed_ms;

	(void)state;
	make_many(&m);
	made = clock_ms();
	assert_int_equal(manifest_file_count(m), MANY);
	for (uint32_t i = 0; i < MANY; i += 1000) {
		char path[64], etag[DIGEST_HEX_MAX + 1];
		uint32_t node;

		many_path(i, path);
		node = manifest_find(m, path);
		assert_int_equal(manifest_file(m, node)->size, i);
		manifest_etag(manifest_file(m, node), etag);
		assert_int_equal(manifest_find_etag(m, etag), node);
	}
	packed_ms = clock_ms();
	assert_int_equal(manifest_pack(m, &packed), 0);
	assert_int_equal(manifest_unpack(packed.data, packed.len, &copy), 0);
	print_message("%d files: made in %d ms, packed (%zu bytes) and unpacked in %d ms\n", MANY,
		      (int)(made - start), packed.len, (int)(clock_ms() - packed_ms));
	assert_int_equal(manifest_count(copy), manifest_count(m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_find_knows_only_what_is_there),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_natural),
		cmocka_unit_test(test_etags),
		cmocka_unit_test(test_etag_padded_is_another),
		cmocka_unit_test(test_page_kinds),
		cmocka_unit_test(test_page_lfs_counts_the_file_not_the_pointer),
		cmocka_unit_test(test_page_nonsense),
		cmocka_unit_test(test_hostile_paths),
		cmocka_unit_test(test_long_paths),
		cmocka_unit_test(test_why_is_printable),
		cmocka_unit_test(what_must_not_be_shown_can_be_left_out),
		cmocka_unit_test(a_list_without_anything_good_is_none),
		cmocka_unit_test(test_conflicts),
		cmocka_unit_test(test_pack_round_trip),
		cmocka_unit_test(test_pack_damage),
		cmocka_unit_test(test_pack_lies),
		cmocka_unit_test(test_tree_json),
		cmocka_unit_test(test_a_million_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
