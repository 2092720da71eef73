/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/people.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/jdoc.h"
#include "tests/hub_db.h"

/* What is written of one, in an object under "it". */
struct told {
	const char *name;
	struct buf json;
	struct jdoc *doc;
};

static int tell(struct db_txn *t, void *arg)
{
	struct told *x = arg;
	struct jwrite w = { .to = &x->json };
	int r;

	buf_clear(&x->json);
	jwrite_object(&w, NULL);
	r = people_write(t, &w, "it", x->name);
	jwrite_object_end(&w);
	return r;
}

static const struct jval *ask(struct hub_db *h, struct told *x, const char *name)
{
	x->name = name;
	jdoc_free(x->doc);
	x->doc = NULL;
	assert_int_equal(db_read(h->db, tell, x), 0);
	assert_int_equal(jdoc_parse(buf_str(&x->json), x->json.len, &x->doc), 0);
	return jval_get(jdoc_root(x->doc), "it");
}

static void told_fini(struct told *x)
{
	buf_free(&x->json);
	jdoc_free(x->doc);
}

static void somebody_is_told_of_as_they_write_their_name(void **state)
{
	CLEANUP(told_fini) struct told x = { .name = NULL };
	struct hub_db *h = *state;
	const struct jval *v;

	hub_db_user(h, "Ann");
	hub_db_org(h, "Acme");
	v = ask(h, &x, "ANN");
	assert_string_equal(jval_get_str(v, "name"), "Ann");
	assert_string_equal(jval_get_str(v, "fullname"), "Ann"); /* nobody said another */
	assert_string_equal(jval_get_str(v, "type"), "user");
	assert_int_equal(jval_bool(jval_get(v, "isPro")), 0);
	v = ask(h, &x, "acme");
	assert_string_equal(jval_get_str(v, "name"), "Acme");
	assert_string_equal(jval_get_str(v, "type"), "org");
}

static void of_who_is_gone_nothing_is_told(void **state)
{
	CLEANUP(told_fini) struct told x = { .name = NULL };

	assert_null(ask(*state, &x, "nobody"));
}

static void a_full_name_stands_beside_the_name(void **state UNUSED)
{
	struct account named = { .name = "ann", .full_name = "Ann Arbor" };
	struct account plain = { .name = "bob" };
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	jwrite_array(&w, NULL);
	jwrite_object(&w, NULL);
	people_write_name(&w, "user", &named);
	jwrite_object_end(&w);
	jwrite_object(&w, NULL);
	people_write_name(&w, "name", &plain);
	jwrite_object_end(&w);
	jwrite_array_end(&w);
	assert_string_equal(buf_str(&json), "[{\"user\":\"ann\",\"fullname\":\"Ann Arbor\"},"
					    "{\"name\":\"bob\",\"fullname\":\"bob\"}]");
}

static void an_id_is_of_the_name_in_whatever_letters(void **state UNUSED)
{
	CLEANUP(buf_free) struct buf one = { 0 }, same = { 0 }, other = { 0 };

	people_write_id(&(struct jwrite){ .to = &one }, NULL, "Ann");
	people_write_id(&(struct jwrite){ .to = &same }, NULL, "aNN");
	people_write_id(&(struct jwrite){ .to = &other }, NULL, "anna");
	assert_int_equal(one.len, 2 + 24);
	assert_string_equal(buf_str(&one), buf_str(&same));
	assert_string_not_equal(buf_str(&one), buf_str(&other));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)
	const struct CMUnitTest tests[] = {
		TEST(somebody_is_told_of_as_they_write_their_name),
		TEST(of_who_is_gone_nothing_is_told),
		cmocka_unit_test(a_full_name_stands_beside_the_name),
		cmocka_unit_test(an_id_is_of_the_name_in_whatever_letters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
