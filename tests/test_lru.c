/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/lru.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

struct item {
	char name;
	struct lru_link link;
};

static struct lru list;
static struct item a, b, c;

static int set_up(void **state UNUSED)
{
	list = (struct lru){ 0 };
	a = (struct item){ .name = 'a' };
	b = (struct item){ .name = 'b' };
	c = (struct item){ .name = 'c' };
	lru_add(&list, &a.link);
	lru_add(&list, &b.link);
	lru_add(&list, &c.link);
	return 0;
}

/* From the oldest on, and back. */
static void assert_order(const char *names)
{
	const struct item *x = lru_item(list.oldest, struct item, link);
	size_t len = strlen(names);

	for (size_t i = 0; i < len; i++, x = lru_item(x->link.newer, struct item, link))
		assert_int_equal(x->name, names[i]);
	assert_null(x);
	x = lru_item(list.newest, struct item, link);
	for (size_t i = len; i-- > 0; x = lru_item(x->link.older, struct item, link))
		assert_int_equal(x->name, names[i]);
	assert_null(x);
}

static void the_first_to_come_is_the_oldest(void **state UNUSED)
{
	assert_order("abc");
}

static void what_is_used_is_the_newest_wherever_it_was(void **state UNUSED)
{
	lru_use(&list, &a.link);
	assert_order("bca");
	lru_use(&list, &c.link);
	assert_order("bac");
	lru_use(&list, &c.link);
	assert_order("bac");
}

static void what_goes_leaves_the_others_in_their_order(void **state UNUSED)
{
	lru_remove(&list, &b.link);
	assert_order("ac");
	lru_remove(&list, &c.link);
	assert_order("a");
	lru_add(&list, &c.link);
	assert_order("ac");
	lru_remove(&list, &a.link);
	assert_order("c");
}

static void one_alone_goes_and_comes_again(void **state UNUSED)
{
	lru_remove(&list, &a.link);
	lru_remove(&list, &b.link);
	lru_use(&list, &c.link);
	assert_order("c");
	lru_remove(&list, &c.link);
	assert_order("");
	lru_add(&list, &b.link);
	assert_order("b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_to_come_is_the_oldest, set_up),
		cmocka_unit_test_setup(what_is_used_is_the_newest_wherever_it_was, set_up),
		cmocka_unit_test_setup(what_goes_leaves_the_others_in_their_order, set_up),
		cmocka_unit_test_setup(one_alone_goes_and_comes_again, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
