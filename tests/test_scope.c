/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/err.h"

#define TEXTS_MAX 4

static struct conf_list list(const char *const *items)
{
	struct conf_list ret = { .items = (char **)(uintptr_t)items };

	while (items[ret.count])
		ret.count++;
	return ret;
}

static int make(const char *const *texts, struct scope_rules **ret)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct conf_list all = list(texts);
	int r;

	*ret = NULL;
	r = scope_rules_new(&all, ret, &why);
	assert_int_equal(r<0, why.len> 0);
	return r;
}

static bool sees(const struct scope_rules *rules, const char *address, enum repo_type type,
		 const char *name)
{
	struct repo_id id;
	struct scope *s;
	bool has;

	assert_int_equal(repo_id_parse(type, name, &id), 0);
	assert_int_equal(scope_new(rules, address, &s), 0);
	has = scope_has(s, &id);
	scope_free(s);
	return has;
}

static void without_rules_all_is_seen(void **state)
{
	const char *const none[TEXTS_MAX] = { NULL };
	struct scope_rules *rules;
	struct scope *s;

	(void)state;
	assert_int_equal(make(none, &rules), 0);
	assert_int_equal(scope_new(rules, "192.0.2.1", &s), 0);
	assert_null(s);
	assert_false(scope_is_empty(s));
	assert_true(sees(rules, "192.0.2.1", REPO_MODEL, "org/secret"));
	scope_rules_free(rules);
}

static void what_one_of_its_rules_names_is_seen_and_nothing_else(void **state)
{
	const char *const texts[TEXTS_MAX] = {
		"10.1.0.0/16,2001:db8::/32=org/*,datasets/data/x",
		"10.1.2.3=other/[!a-c]*-GGUF",
		NULL,
	};
	struct scope_rules *rules;
	struct scope *s;

	(void)state;
	assert_int_equal(make(texts, &rules), 0);
	assert_true(sees(rules, "10.1.9.9", REPO_MODEL, "org/model"));
	assert_true(sees(rules, "10.1.9.9", REPO_SPACE, "Org/Model"));
	assert_true(sees(rules, "2001:db8::7", REPO_DATASET, "data/x"));
	assert_false(sees(rules, "2001:db8::7", REPO_MODEL, "data/x"));
	assert_false(sees(rules, "10.1.9.9", REPO_MODEL, "other/m-GGUF"));
	assert_true(sees(rules, "10.1.2.3", REPO_MODEL, "other/m-GGUF"));
	assert_true(sees(rules, "10.1.2.3", REPO_MODEL, "org/model"));
	assert_false(sees(rules, "10.2.0.1", REPO_MODEL, "org/model"));
	assert_int_equal(scope_new(rules, "10.2.0.1", &s), 0);
	assert_true(scope_is_empty(s));
	scope_free(s);
	scope_rules_free(rules);
}

static void what_is_no_rule_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"org/*",
		"10.0.0.0/8",
		"10.0.0.0/8=",
		"=org/*",
		"nets=org/*",
		"10.0.0.0/33=org/*",
		"10.0.0.0/8,=org/*",
		"10.0.0.1=,",
		"10.0.0.1=a/b/c",
		"10.0.0.1=/a",
		"10.0.0.1=a/",
		"10.0.0.1=!x",
		"10.0.0.1=[a",
		"10.0.0.1=a/*,10.0.0.2=b/*",
		"10.0.0.1/8=a/b",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *const texts[TEXTS_MAX] = { "10.0.0.0/8=org/*", bad[i], NULL };
		struct scope_rules *rules;

		if (make(texts, &rules) != ERR_CONF)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

static void add_network(void *arg, const char *network)
{
	struct buf *all = arg;

	buf_printf(all, "%s ", network);
}

static void networks_are_told_as_far_as_they_may_connect(void **state)
{
	char *allow[] = { (char[]){ "10.0.0.0/8" }, (char[]){ "192.0.2.0/24" }, (char[]){ "::1" } };
	const char *const texts[TEXTS_MAX] = { "10.1.0.0/16,172.16.0.0/12=org/*", "0.0.0.0/0=pub/*",
					       NULL };
	const char *const none[TEXTS_MAX] = { NULL };
	CLEANUP(buf_free) struct buf all = { 0 };
	struct scope_rules *rules;

	(void)state;
	assert_int_equal(make(texts, &rules), 0);
	scope_each_network(rules, allow, ARRAY_LEN(allow), add_network, &all);
	assert_string_equal(buf_str(&all), "10.1.0.0/16 10.0.0.0/8 192.0.2.0/24 ");
	scope_rules_free(rules);
	buf_clear(&all);
	assert_int_equal(make(none, &rules), 0);
	scope_each_network(rules, allow, ARRAY_LEN(allow), add_network, &all);
	assert_string_equal(buf_str(&all), "10.0.0.0/8 192.0.2.0/24 ::1 ");
	scope_rules_free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_rules_all_is_seen),
		cmocka_unit_test(what_one_of_its_rules_names_is_seen_and_nothing_else),
		cmocka_unit_test(what_is_no_rule_is_refused),
		cmocka_unit_test(networks_are_told_as_far_as_they_may_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
