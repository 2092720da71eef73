/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define NOW 1700000000
#define ORIGIN "https://hub.example"
#define ETAG "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const uint8_t key[CAPABILITY_KEY] = { 1, 2, 3 };
static char uid[] = "0123456789abcdef01234567", made[] = "1699999999", user[] = "some body",
	    token[] = "my & laptop", none[] = "";

static struct xet_link example(void)
{
	return (struct xet_link){ { uid, user, token, made, NOW + XET_LINK_S, true },
				  { 9, 8, 7 },
				  ETAG };
}

static char *print(const struct xet_link *l)
{
	struct buf text = { 0 };

	assert_int_equal(xet_link_print(key, ORIGIN, l, &text), 0);
	return buf_take(&text);
}

static int parse(const char *url, int64_t now_s, struct xet_link *ret)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	CLEANUP(freep) char *xorb = NULL;
	const char *at = url + strlen(ORIGIN XET_LINK_ROOT), *query = strchr(at, '?');
	int r;

	xorb = strndup(at, (size_t)(query - at));
	assert_non_null(xorb);
	r = xet_link_read(key, xorb, query + 1, now_s, ret, &why);
	assert_int_equal(r == -EACCES, why.len > 0);
	return r;
}

static void a_link_says_what_was_printed(UNUSED void **state)
{
	const struct xet_link l = example();
	CLEANUP(freep) char *url = print(&l);
	struct xet_link got = { .etag = "" };

	assert_int_equal(strncmp(url, ORIGIN XET_LINK_ROOT, strlen(ORIGIN XET_LINK_ROOT)), 0);
	assert_int_equal(parse(url, NOW + XET_LINK_S, &got), 0);
	assert_memory_equal(got.xorb, l.xorb, XET_HASH);
	assert_string_equal(got.etag, ETAG);
	assert_string_equal(got.of.uid, uid);
	assert_string_equal(got.of.user, user);
	assert_string_equal(got.of.token, token);
	assert_string_equal(got.of.made, made);
	xet_link_fini(&got);
}

static void one_of_nobody_is_one_too(UNUSED void **state)
{
	struct xet_link l = example(), got = { .etag = "" };
	CLEANUP(freep) char *url = NULL;

	l.of.user = l.of.token = l.of.made = none;
	url = print(&l);
	assert_int_equal(parse(url, NOW, &got), 0);
	assert_string_equal(got.of.user, "");
	xet_link_fini(&got);
}

static void an_old_one_is_none(UNUSED void **state)
{
	const struct xet_link l = example();
	CLEANUP(freep) char *url = print(&l);
	struct xet_link got = { .etag = "" };

	assert_int_equal(parse(url, NOW + XET_LINK_S + 1, &got), -EACCES);
	assert_null(got.of.uid);
}

/* Twin of the first: any byte counts. */
static void one_that_was_changed_is_none(UNUSED void **state)
{
	const struct xet_link l = example();
	CLEANUP(freep) char *url = print(&l);
	struct xet_link got = { .etag = "" };

	for (size_t i = strlen(ORIGIN XET_LINK_ROOT); url[i]; i++) {
		char was = url[i];

		if (was == '?')
			continue;
		url[i] = was == '1' ? '2' : '1';
		assert_int_equal(parse(url, NOW, &got), -EACCES);
		url[i] = was;
	}
	assert_int_equal(parse(url, NOW, &got), 0);
	xet_link_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_says_what_was_printed),
		cmocka_unit_test(one_of_nobody_is_one_too),
		cmocka_unit_test(an_old_one_is_none),
		cmocka_unit_test(one_that_was_changed_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
