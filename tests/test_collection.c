/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/collection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ID "0123456789abcdef01234567"

static struct collection_item item_of(const char *id, const char *name)
{
	struct collection_item item = { .type = "model" };

	snprintf(item.id, sizeof(item.id), "%s", id);
	snprintf(item.name, sizeof(item.name), "%s", name);
	return item;
}

static void add(struct collection *c, const char *id, const char *name)
{
	struct collection_item item = item_of(id, name);

	assert_int_equal(collection_add(c, &item), 0);
}

static void check(const struct collection *c, const char *want)
{
	CLEANUP(buf_free) struct buf names = { 0 };

	for (size_t i = 0; i < c->count; i++)
		buf_printf(&names, "%s ", c->items[i].name);
	assert_string_equal(buf_str(&names), want);
}

static void items_come_move_and_go(void **state UNUSED)
{
	CLEANUP(collection_fini) struct collection c = { .count = 0 };
	struct collection_item again = item_of("x", "NS/A");

	add(&c, "1", "ns/a");
	add(&c, "2", "ns/b");
	add(&c, "3", "ns/c");
	assert_int_equal(collection_add(&c, &again), -EEXIST);
	collection_move(&c, 0, 1);
	check(&c, "ns/b ns/a ns/c ");
	collection_move(&c, 0, 99);
	check(&c, "ns/a ns/c ns/b ");
	collection_move(&c, 2, 0);
	check(&c, "ns/b ns/a ns/c ");
	collection_drop(&c, collection_item(&c, "1"));
	check(&c, "ns/b ns/c ");
	assert_int_equal(collection_item(&c, "1"), c.count);
	assert_int_equal(collection_item_named(&c, "dataset", "ns/b"), c.count);
	assert_int_equal(collection_item_named(&c, "model", "ns/C"), 1);
}

static void there_are_only_so_many(void **state UNUSED)
{
	CLEANUP(collection_fini) struct collection c = { .count = 0 };
	struct collection_item more = item_of("x", "ns/more");
	char name[16];

	for (unsigned i = 0; i < COLLECTION_ITEMS_MAX; i++) {
		snprintf(name, sizeof(name), "ns/%u", i);
		add(&c, "x", name);
	}
	assert_int_equal(collection_add(&c, &more), -EFBIG);
}

static void a_row_is_read_as_it_was_written(void **state UNUSED)
{
	CLEANUP(collection_fini) struct collection c = { .position = 4, .updated_ms = 7 };
	CLEANUP(collection_fini) struct collection d = { .count = 0 };
	CLEANUP(buf_free) struct buf row = { 0 }, again = { 0 };

	strcpy(c.owner, "Ann");
	strcpy(c.id, ID);
	strcpy(c.title, "a \"title\"");
	strcpy(c.theme, "pink");
	c.is_private = true;
	add(&c, "1", "ns/a");
	strcpy(c.items[0].note, "why");
	collection_print(&c, &row);
	assert_int_equal(collection_parse(buf_str(&row), row.len, &d), 0);
	collection_print(&d, &again);
	assert_string_equal(buf_str(&again), buf_str(&row));
	assert_string_equal(d.items[0].note, "why");
}

static void a_slug_is_made_of_words_and_ends_in_the_id(void **state UNUSED)
{
	static const struct {
		const char *title, *slug;
	} cases[] = {
		{ "My Cool  stuff!", "Ann/my-cool-stuff-" ID },
		{ "a-b", "Ann/a-b-" ID },
		{ "--", "Ann/" ID },
		{ "\xc3\x9c"
		  "ber 2",
		  "Ann/ber-2-" ID },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_free) struct buf slug = { 0 };
		char owner[ACCOUNT_NAME_MAX + 1], id[OWNED_ID + 1];
		struct collection c = { .id = ID, .owner = "Ann" };
		const char *rest;

		snprintf(c.title, sizeof(c.title), "%s", cases[i].title);
		collection_slug(&c, &slug);
		assert_string_equal(buf_str(&slug), cases[i].slug);
		buf_add_str(&slug, "/items/x");
		assert_true(collection_find_slug(buf_str(&slug), owner, id, &rest));
		assert_string_equal(owner, "Ann");
		assert_string_equal(id, ID);
		assert_string_equal(rest, "items/x");
	}
}

static void what_is_no_slug_is_told(void **state UNUSED)
{
	static const char *const bad[] = {
		"",     "ann",      "ann/",        "ann/x",
		"/" ID, "ann/x" ID, "ann/" ID "0", "ann/x-g123456789abcdef01234567"
	};
	char owner[ACCOUNT_NAME_MAX + 1], id[OWNED_ID + 1];
	const char *rest;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(collection_find_slug(bad[i], owner, id, &rest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_come_move_and_go),
		cmocka_unit_test(there_are_only_so_many),
		cmocka_unit_test(a_row_is_read_as_it_was_written),
		cmocka_unit_test(a_slug_is_made_of_words_and_ends_in_the_id),
		cmocka_unit_test(what_is_no_slug_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
