/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/lfs_asked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/buf.h"

#define OID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OBJECT "{\"oid\":\"" OID "\",\"size\":5}"

static int batch(const char *text, struct lfs_asked *ret)
{
	const char *why = NULL;
	int r = lfs_asked_batch(text, strlen(text), ret, &why);

	assert_int_equal(r > 0, why != NULL);
	return r;
}

static void refuse(const char *text, int status)
{
	CLEANUP(lfs_asked_fini) struct lfs_asked got;

	assert_int_equal(batch(text, &got), status);
}

static void a_batch_says_what_is_to_be_done_with_which_objects(void **state)
{
	CLEANUP(lfs_asked_fini) struct lfs_asked up, down;

	(void)state;
	assert_int_equal(batch("{\"operation\":\"upload\",\"objects\":[" OBJECT "," OBJECT "],"
			       "\"transfers\":[\"basic\",\"multipart\"],\"hash_algo\":\"sha_256\"}",
			       &up),
			 0);
	assert_true(up.upload);
	assert_true(up.in_parts);
	assert_false(up.by_xet);
	assert_int_equal(up.count, 2);
	assert_string_equal(up.objects[1].oid, OID);
	assert_int_equal(up.objects[1].size, 5);
	assert_true(up.objects[1].valid);
	assert_int_equal(batch("{\"operation\":\"download\",\"objects\":[]}", &down), 0);
	assert_false(down.upload);
	assert_false(down.in_parts);
	assert_int_equal(down.count, 0);
}

static void what_makes_no_sense_is_refused(void **state)
{
	(void)state;
	refuse("", 400);
	refuse("[1", 400);
	refuse("[]", 422);
	refuse("{\"operation\":\"upload\"}", 422);
	refuse("{\"operation\":\"upload\",\"objects\":{}}", 422);
	refuse("{\"operation\":\"steal\",\"objects\":[]}", 422);
	refuse("{\"operation\":\"upload\",\"objects\":[],\"hash_algo\":\"sha1\"}", 409);
}

static void too_many_objects_are_refused(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(lfs_asked_fini) struct lfs_asked all = { 0 };

	(void)state;
	buf_add_str(&text, "{\"operation\":\"upload\",\"objects\":[1");
	for (int i = 1; i < LFS_OBJECTS_MAX; i++)
		buf_add_str(&text, ",1");
	buf_add_str(&text, "]}");
	assert_int_equal(batch(buf_str(&text), &all), 0);
	assert_int_equal(all.count, LFS_OBJECTS_MAX);
	assert_false(all.objects[0].valid);
	text.len -= 2;
	buf_add_str(&text, ",1]}");
	refuse(buf_str(&text), 422);
}

static void an_object_that_cannot_be_is_known_as_such(void **state)
{
	static const char *const bad[] = {
		"{\"oid\":\"0\",\"size\":5}",
		"{\"oid\":\"" OID "\"}",
		"{\"oid\":\"" OID "\",\"size\":-1}",
		"{\"oid\":\"" OID "\",\"size\":\"5\"}",
		"{\"oid\":\"" OID "0\",\"size\":5}",
		"{\"size\":5}",
		"5",
	};
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(lfs_asked_fini) struct lfs_asked got;

		assert_int_equal(lfs_asked_object(bad[i], strlen(bad[i]), &got, &why), 0);
		assert_false(got.objects[0].valid);
		assert_non_null(got.objects[0].oid);
	}
}

static void an_object_that_can_be_is_taken(void **state)
{
	CLEANUP(lfs_asked_fini) struct lfs_asked got;
	const char *why;

	(void)state;
	assert_int_equal(lfs_asked_object(OBJECT, strlen(OBJECT), &got, &why), 0);
	assert_true(got.objects[0].valid);
	assert_int_equal(got.objects[0].size, 5);
}

static int parts(const char *text, uint32_t count, struct lfs_parts *ret)
{
	const char *why = NULL;

	return lfs_asked_parts(text, strlen(text), count, ret, &why);
}

static void parts_come_in_any_order(void **state)
{
	static const char text[] = "{\"oid\":\"x\",\"parts\":[{\"partNumber\":2,\"etag\":\"b\"},"
				   "{\"partNumber\":9,\"etag\":\"z\"},"
				   "{\"partNumber\":1,\"etag\":\"\\\"a\\\"\"}]}";
	CLEANUP(lfs_parts_fini) struct lfs_parts two, three, none;

	(void)state;
	assert_int_equal(parts(text, 2, &two), 0);
	assert_string_equal(two.sums[0], "\"a\"");
	assert_string_equal(two.sums[1], "b");
	assert_int_equal(parts(text, 3, &three), 400);
	assert_int_equal(parts("{", 1, &none), 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_says_what_is_to_be_done_with_which_objects),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(too_many_objects_are_refused),
		cmocka_unit_test(an_object_that_cannot_be_is_known_as_such),
		cmocka_unit_test(an_object_that_can_be_is_taken),
		cmocka_unit_test(parts_come_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
