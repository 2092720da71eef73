/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/err.h"

#define RULES_MAX 4
#define NAMES(n, ...) (&(struct repo_names){ { __VA_ARGS__ }, (n), false })

static struct conf_list list(const char *const *items)
{
	struct conf_list ret = { .items = (char **)(uintptr_t)items };

	while (items[ret.count])
		ret.count++;
	return ret;
}

static struct filter *make(const char *const *allow, const char *const *deny)
{
	struct conf_list allowed = list(allow), denied = list(deny);
	CLEANUP(buf_free) struct buf why = { 0 };
	struct filter *r = NULL;

	assert_int_equal(filter_new(&allowed, &denied, &r, &why), 0);
	return r;
}

static struct repo_id id(enum repo_type type, const char *name)
{
	struct repo_id ret;

	assert_int_equal(repo_id_parse(type, name, &ret), 0);
	return ret;
}

static bool may(const struct filter *r, enum repo_type type, const char *name)
{
	struct repo_id i = id(type, name);

	return filter_repo(r, NAMES(1, &i));
}

static bool may_read(const struct filter *r, const char *name, const char *path)
{
	struct repo_id i = id(REPO_MODEL, name);

	return filter_file(r, NAMES(1, &i), path);
}

static void without_filter_all_may_be_read(void **state)
{
	const char *const none[RULES_MAX] = { NULL };
	struct filter *r = make(none, none);
	struct repo_id i = id(REPO_MODEL, "org/name");

	(void)state;
	assert_true(filter_repo(r, NAMES(1, &i)));
	assert_true(filter_file(r, NAMES(1, &i), "x.gguf"));
	assert_true(filter_all_files(r, NAMES(1, &i)));
	filter_unref(r);
}

static void a_namespace_a_kind_or_a_name_is_denied(void **state)
{
	const char *const none[RULES_MAX] = { NULL };
	const char *const deny[RULES_MAX] = { "evil/*", "spaces/*", "*/*-GGUF" };
	struct filter *r = make(none, deny);

	(void)state;
	assert_false(may(r, REPO_MODEL, "evil/name"));
	assert_false(may(r, REPO_DATASET, "EVIL/name"));
	assert_false(may(r, REPO_SPACE, "org/name"));
	assert_false(may(r, REPO_SPACE, "gpt2"));
	assert_false(may(r, REPO_MODEL, "org/llama-gguf"));
	assert_true(may(r, REPO_MODEL, "org/name"));
	assert_true(may(r, REPO_MODEL, "devil/name"));
	assert_true(may(r, REPO_MODEL, "gpt2"));
	assert_false(may_read(r, "evil/name", "x"));
	assert_true(may_read(r, "org/name", "x"));
	filter_unref(r);
}

static void files_are_denied_wherever_they_lie(void **state)
{
	const char *const none[RULES_MAX] = { NULL };
	const char *const deny[RULES_MAX] = { "*:*.gguf", "org/*:original/*" };
	struct filter *r = make(none, deny);
	struct repo_id i = id(REPO_MODEL, "org/name");

	(void)state;
	assert_true(filter_repo(r, NAMES(1, &i)));
	assert_false(filter_all_files(r, NAMES(1, &i)));
	assert_false(may_read(r, "org/name", "x.gguf"));
	assert_false(may_read(r, "gpt2", "deep/below/x.gguf"));
	assert_true(may_read(r, "org/name", "x.GGUF"));
	assert_true(may_read(r, "org/name", "x.gguf.txt"));
	assert_false(may_read(r, "org/name", "original/deep/x"));
	assert_true(may_read(r, "other/name", "original/x"));
	filter_unref(r);
}

static void what_is_denied_of_a_former_name_is_denied_of_the_new_one(void **state)
{
	const char *const none[RULES_MAX] = { NULL };
	const char *const deny[RULES_MAX] = { "old/*", "was/it:*.gguf" };
	const char *const allow[RULES_MAX] = { "old/*" };
	struct repo_id now = id(REPO_MODEL, "new/name"), old = id(REPO_MODEL, "old/name");
	struct repo_id was = id(REPO_MODEL, "was/it");
	struct filter *r = make(none, deny);

	(void)state;
	assert_false(filter_repo(r, NAMES(2, &now, &old)));
	assert_true(filter_repo(r, NAMES(2, &now, &was)));
	assert_false(filter_file(r, NAMES(2, &now, &was), "x.gguf"));
	assert_true(filter_file(r, NAMES(2, &now, &was), "x.json"));
	assert_true(filter_file(r, NAMES(1, &now), "x.gguf"));
	assert_false(filter_all_files(r, NAMES(2, &now, &was)));
	filter_unref(r);
	r = make(allow, none); /* that a name is allowed is of that name */
	assert_false(filter_repo(r, NAMES(2, &now, &old)));
	assert_true(filter_repo(r, NAMES(2, &old, &now)));
	filter_unref(r);
}

static void a_repository_with_too_many_names_has_those_that_are_denied(void **state)
{
	const char *const none[RULES_MAX] = { NULL };
	const char *const deny[RULES_MAX] = { "old/*" };
	struct repo_id now = id(REPO_MODEL, "new/name");
	struct repo_names names = { { &now }, 1, true };
	struct filter *r = make(none, deny);

	(void)state;
	assert_false(filter_repo(r, &names));
	filter_unref(r);
	r = make(none, none);
	assert_true(filter_repo(r, &names));
	filter_unref(r);
}

static void who_holds_rules_keeps_them_when_others_take_their_place(void **state)
{
	const char *const none[RULES_MAX] = { NULL };
	const char *const deny[RULES_MAX] = { "org/*" };
	struct repo_id i = id(REPO_MODEL, "org/name");
	struct filter *first = make(none, deny), *held, *now;
	unsigned version = filter_version(first);
	struct filter_now n;

	(void)state;
	filter_now_init(&n);
	assert_null(filter_hold(&n));
	filter_change(&n, first);
	held = filter_hold(&n);
	assert_ptr_equal(held, first);
	for (int round = 0; round < 100; round++) /* each gone when nobody holds it: see asan */
		filter_change(&n, make(none, none));
	assert_false(filter_repo(held, NAMES(1, &i)));
	now = filter_hold(&n);
	assert_true(filter_repo(now, NAMES(1, &i)));
	assert_int_not_equal(filter_version(now), version);
	filter_unref(held);
	filter_unref(now);
	filter_now_fini(&n);
}

static void where_something_is_allowed_nothing_else_is(void **state)
{
	const char *const allow[RULES_MAX] = { "org/*", "models/gpt2:*.json", "team/a?" };
	const char *const deny[RULES_MAX] = { "org/secret", "*:*.bin" };
	struct filter *r = make(allow, deny);

	(void)state;
	assert_true(may(r, REPO_MODEL, "org/name"));
	assert_true(may(r, REPO_DATASET, "Org/Name"));
	assert_false(may(r, REPO_MODEL, "org/secret"));
	assert_false(may(r, REPO_MODEL, "other/name"));
	assert_true(may(r, REPO_MODEL, "gpt2"));
	assert_false(may(r, REPO_DATASET, "gpt2"));
	assert_true(may_read(r, "gpt2", "config.json"));
	assert_false(may_read(r, "gpt2", "model.safetensors"));
	assert_true(may_read(r, "org/name", "x"));
	assert_false(may_read(r, "org/name", "x.bin"));
	assert_true(may(r, REPO_MODEL, "team/ab"));
	assert_false(may(r, REPO_MODEL, "team/abc"));
	filter_unref(r);
}

static void what_is_no_rule_is_told(void **state)
{
	static const char *const bad[] = { "",           ":x",       "org/",           "/name",
					   "org/name/x", "models/",  "a b/c",          "a\\b",
					   "org/*:",     "org/*:/x", "datasets/a/b/c", "org/*=x",
					   "!x",         "[a",       "a/[]",           "a]",
					   "{a,b}/c" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(buf_free) struct buf why = { 0 };
		const char *const rules[] = { bad[i], NULL };
		struct conf_list deny = list(rules), allow = { 0 };
		struct filter *r;

		assert_int_equal(filter_new(&allow, &deny, &r, &why), ERR_CONF);
		assert_non_null(strstr(buf_str(&why), "\"deny\""));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_filter_all_may_be_read),
		cmocka_unit_test(a_namespace_a_kind_or_a_name_is_denied),
		cmocka_unit_test(files_are_denied_wherever_they_lie),
		cmocka_unit_test(what_is_denied_of_a_former_name_is_denied_of_the_new_one),
		cmocka_unit_test(a_repository_with_too_many_names_has_those_that_are_denied),
		cmocka_unit_test(who_holds_rules_keeps_them_when_others_take_their_place),
		cmocka_unit_test(where_something_is_allowed_nothing_else_is),
		cmocka_unit_test(what_is_no_rule_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
