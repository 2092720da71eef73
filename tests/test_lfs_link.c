/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/lfs_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "tests/hub_db.h"

#define OID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ORIGIN "https://hub.example:8443/base"
#define NOW 1700000000

static const uint8_t key[CAPABILITY_KEY] = { 1, 2, 3 };

static char repo[] = "models/org/m", user[] = "a&b", token[] = "my laptop", none[] = "";

static struct lfs_link example(enum lfs_act act)
{
	return (struct lfs_link){ .act = act,
				  .oid = OID,
				  .size = UINT64_C(1) << 40,
				  .part = act == LFS_PART ? 7 : 0,
				  .part_bytes = act == LFS_PART ? 1000 : 0,
				  .repo = repo,
				  .user = user,
				  .token = token };
}

static char *print(const struct lfs_link *l)
{
	struct buf text = { 0 };

	assert_int_equal(lfs_link_print(key, ORIGIN, l, NOW, &text), 0);
	return buf_take(&text);
}

/* The query of one, whose path was checked. */
static const char *query_of(const char *text)
{
	static const char start[] = ORIGIN LFS_LINK_ROOT OID "?";

	assert_int_equal(strncmp(text, start, strlen(start)), 0);
	return text + strlen(start);
}

static int parse(const char *oid, const char *query, int64_t now_s, struct lfs_link *ret)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = lfs_link_read(key, oid, query, now_s, ret, &why);

	assert_int_equal(r == -EACCES, why.len > 0);
	return r;
}

static void a_link_says_what_was_printed(void **state)
{
	(void)state;
	for (enum lfs_act act = 0; act < LFS_ACT_COUNT; act++) {
		struct lfs_link l = example(act), got = { 0 };
		CLEANUP(freep) char *text = print(&l);

		assert_int_equal(parse(OID, query_of(text), NOW + LFS_LINK_S, &got), 0);
		assert_int_equal(got.act, act);
		assert_string_equal(got.oid, OID);
		assert_true(got.size == l.size);
		assert_int_equal(got.part, l.part);
		assert_int_equal(got.part_bytes, l.part_bytes);
		assert_string_equal(got.repo, repo);
		assert_string_equal(got.user, user);
		assert_string_equal(got.token, token);
		lfs_link_fini(&got);
	}
}

static void nobody_may_have_asked_for_it(void **state)
{
	struct lfs_link l = example(LFS_PUT), got = { 0 };
	CLEANUP(freep) char *text = NULL;

	(void)state;
	l.user = l.token = none;
	text = print(&l);
	assert_null(strstr(text, "user="));
	assert_int_equal(parse(OID, query_of(text), NOW, &got), 0);
	assert_string_equal(got.user, "");
	lfs_link_fini(&got);
}

/* Each byte of it counts. */
static void whoever_changes_a_link_has_none(void **state)
{
	struct lfs_link l = example(LFS_PART), got;
	CLEANUP(freep) char *text = print(&l);
	char *query = text + (query_of(text) - text), other[] = OID;

	(void)state;
	other[0] = 'f';
	assert_int_equal(parse(other, query, NOW, &got), -EACCES);
	assert_int_equal(parse("x", query, NOW, &got), -EACCES);
	assert_int_equal(parse(OID, "", NOW, &got), -EACCES);
	for (char *at = query; *at; at++) {
		char was = *at;

		*at = was == '1' ? '2' : '1';
		assert_int_equal(parse(OID, query, NOW, &got), -EACCES);
		*at = was;
	}
	assert_int_equal(parse(OID, query, NOW, &got), 0);
	lfs_link_fini(&got);
}

static void a_link_has_its_time(void **state)
{
	struct lfs_link l = example(LFS_GET), got;
	CLEANUP(freep) char *text = print(&l);

	(void)state;
	assert_int_equal(parse(OID, query_of(text), NOW + LFS_LINK_S + 1, &got), -EACCES);
}

static void the_key_is_made_once(void **state)
{
	uint8_t first[CAPABILITY_KEY] = { 0 }, again[CAPABILITY_KEY] = { 0 };
	static const uint8_t nothing[CAPABILITY_KEY];
	struct hub_db *h = *state;

	assert_int_equal(lfs_link_key(h->db, first), 0);
	hub_db_reopen(h);
	assert_int_equal(lfs_link_key(h->db, again), 0);
	assert_memory_equal(first, again, CAPABILITY_KEY);
	assert_memory_not_equal(first, nothing, CAPABILITY_KEY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_says_what_was_printed),
		cmocka_unit_test(nobody_may_have_asked_for_it),
		cmocka_unit_test(whoever_changes_a_link_has_none),
		cmocka_unit_test(a_link_has_its_time),
		cmocka_unit_test_setup_teardown(the_key_is_made_once, hub_db_setup,
						hub_db_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
