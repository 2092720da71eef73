/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/repo_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void assert_valid(const char *name)
{
	struct repo_id id;

	assert_int_equal(repo_id_parse(REPO_MODEL, name, &id), 0);
	assert_int_equal(id.type, REPO_MODEL);
	assert_string_equal(id.name, name);
}

static void names_of_the_hub_are_taken(UNUSED void **state)
{
	char longest[REPO_NAME_MAX + 1];

	assert_valid("gpt2");
	assert_valid("openai-community/gpt2");
	assert_valid("a/b");
	assert_valid("_x_/y__z");
	assert_valid("Qwen/Qwen2.5-0.5B_v1");
	assert_valid("org/my.github");
	memset(longest, 'x', REPO_NAME_MAX);
	longest[96] = '/';
	longest[REPO_NAME_MAX] = '\0';
	assert_valid(longest);
}

static void other_names_are_refused(UNUSED void **state)
{
	static const char *const bad[] = {
		"",     "/",    "a/",    "/a",     "a/b/c",    "a--b",  "a..b",    "-a",
		"a-",   ".a",   "a.",    "..",     ".",        "a.git", "o/a.git", ".git/a",
		"a b",  "a\nb", "a%2fb", "a\\b",   "\xc3\xa4", "a:b",   "o-/a",    "a//b",
		"o/..", "../a", "o/-",   "o/a--b", "~a",       "a@b",
	};
	struct repo_id id;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(repo_id_parse(REPO_MODEL, bad[i], &id), -EINVAL);
}

static void a_part_may_have_96_letters_and_no_more(UNUSED void **state)
{
	char part[98];

	memset(part, 'x', sizeof(part));
	assert_true(repo_part_valid(part, 1));
	assert_true(repo_part_valid(part, 96));
	assert_false(repo_part_valid(part, 97));
	assert_false(repo_part_valid(part, 0));
	part[96] = '/';
	part[97] = '\0';
	assert_false(repo_part_valid(part, 97));
}

static void a_folder_names_its_repository_and_back(UNUSED void **state)
{
	static const struct {
		enum repo_type type;
		const char *name, *folder, *key;
	} rows[] = {
		{ REPO_MODEL, "gpt2", "models--gpt2", "models/gpt2" },
		{ REPO_MODEL, "o-rg/na-me", "models--o-rg--na-me", "models/o-rg/na-me" },
		{ REPO_DATASET, "a/b", "datasets--a--b", "datasets/a/b" },
		{ REPO_SPACE, "a/b", "spaces--a--b", "spaces/a/b" },
	};
	char folder[REPO_FOLDER_MAX + 1], key[REPO_KEY_MAX + 1];
	struct repo_id id, from_folder, from_key;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(repo_id_parse(rows[i].type, rows[i].name, &id), 0);
		repo_id_folder(&id, folder);
		repo_id_key(&id, key);
		assert_string_equal(folder, rows[i].folder);
		assert_string_equal(key, rows[i].key);
		assert_int_equal(repo_id_parse_folder(folder, &from_folder), 0);
		assert_int_equal(repo_id_parse_key(key, &from_key), 0);
		assert_memory_equal(&from_folder, &id, sizeof(id));
		assert_memory_equal(&from_key, &id, sizeof(id));
	}
}

static void however_it_is_spelled_rows_have_one_key(UNUSED void **state)
{
	static const char *const spelled[] = { "Org/Name-1", "org/name-1", "ORG/NAME-1" };
	char key[REPO_KEY_MAX + 1];
	struct repo_id id;

	for (size_t i = 0; i < ARRAY_LEN(spelled); i++) {
		assert_int_equal(repo_id_parse(REPO_DATASET, spelled[i], &id), 0);
		repo_id_key_small(&id, key);
		assert_string_equal(key, "datasets/org/name-1");
		repo_id_key(&id, key); /* twin */
		assert_string_equal(key + strlen("datasets/"), spelled[i]);
	}
}

static void the_longest_name_fits_all_forms(UNUSED void **state)
{
	char name[REPO_NAME_MAX + 1], folder[REPO_FOLDER_MAX + 1], key[REPO_KEY_MAX + 1];
	struct repo_id id, back;

	memset(name, 'x', REPO_NAME_MAX);
	name[96] = '/';
	name[REPO_NAME_MAX] = '\0';
	assert_int_equal(repo_id_parse(REPO_DATASET, name, &id), 0);
	repo_id_folder(&id, folder);
	assert_int_equal(repo_id_parse_folder(folder, &back), 0);
	assert_string_equal(back.name, name);
	repo_id_key(&id, key);
	assert_int_equal(repo_id_parse_key(key, &back), 0);
	assert_string_equal(back.name, name);
}

static void other_folders_and_keys_are_refused(UNUSED void **state)
{
	static const char *const folders[] = {
		"",
		"models",
		"models--",
		"models--a--",
		"models--a--b--c",
		"model--a--b",
		"models-a",
		"Models--a--b",
		"models----b",
		"models--a---b",
		"models--a/b",
		"blobs--a",
	};
	static const char *const keys[] = { "",        "models",       "models/",
					    "model/a", "models/a/b/c", "a/b" };
	struct repo_id id;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		assert_int_equal(repo_id_parse_folder(folders[i], &id), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_int_equal(repo_id_parse_key(keys[i], &id), -EINVAL);
}

static void types_have_the_hubs_words(UNUSED void **state)
{
	assert_string_equal(repo_type_plural(REPO_MODEL), "models");
	assert_string_equal(repo_type_plural(REPO_DATASET), "datasets");
	assert_string_equal(repo_type_plural(REPO_SPACE), "spaces");
	assert_string_equal(repo_type_prefix(REPO_MODEL), "");
	assert_string_equal(repo_type_prefix(REPO_DATASET), "datasets/");
	assert_string_equal(repo_type_prefix(REPO_SPACE), "spaces/");
}

static void a_commit_has_40_lower_case_digits(UNUSED void **state)
{
	assert_true(commit_valid("607a30d783dfa663caf39e06633721c8d4cfcd7e"));
	assert_false(commit_valid("607A30D783DFA663CAF39E06633721C8D4CFCD7E"));
	assert_false(commit_valid("607a30d783dfa663caf39e06633721c8d4cfcd7"));
	assert_false(commit_valid("607a30d783dfa663caf39e06633721c8d4cfcd7e0"));
	assert_false(commit_valid("main"));
	assert_false(commit_valid(""));
}

static void revisions_as_git_allows_are_taken(UNUSED void **state)
{
	static const char *const good[] = {
		"main",          "v1.0",    "refs/pr/1", "refs/convert/parquet",
		"feature/a-b_c", "a@b",     "@x",        "607a30d783dfa663caf39e06633721c8d4cfcd7e",
		"\xc3\xa4",      "a.lockx", "-x",        "a.b",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(revision_valid(good[i]));
}

static void revisions_git_forbids_are_refused(UNUSED void **state)
{
	static const char *const bad[] = {
		"",   "/",  "a/",    "/a",   "a//b",   "..",       "a..b",     ".a", "a/.b",
		"a.", "@",  "a@{1}", "a b",  "a\tb",   "a\x7f",    "a~1",      "a^", "a:b",
		"a?", "a*", "a[b",   "a\\b", "a.lock", "a.lock/b", "a/b.lock",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(revision_valid(bad[i]));
}

static void a_revision_may_have_255_bytes_and_no_more(UNUSED void **state)
{
	char text[257];

	memset(text, 'x', sizeof(text));
	text[256] = '\0';
	assert_false(revision_valid(text));
	text[255] = '\0';
	assert_true(revision_valid(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_hub_are_taken),
		cmocka_unit_test(other_names_are_refused),
		cmocka_unit_test(a_part_may_have_96_letters_and_no_more),
		cmocka_unit_test(a_folder_names_its_repository_and_back),
		cmocka_unit_test(however_it_is_spelled_rows_have_one_key),
		cmocka_unit_test(the_longest_name_fits_all_forms),
		cmocka_unit_test(other_folders_and_keys_are_refused),
		cmocka_unit_test(types_have_the_hubs_words),
		cmocka_unit_test(a_commit_has_40_lower_case_digits),
		cmocka_unit_test(revisions_as_git_allows_are_taken),
		cmocka_unit_test(revisions_git_forbids_are_refused),
		cmocka_unit_test(a_revision_may_have_255_bytes_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
