/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/account/uses.h"
#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/workers.h"
#include "tests/hub_db.h"

static const struct token plain = { .user = "ann", .name = "laptop", .role = ROLE_READ };

struct found {
	uint8_t digest[TOKEN_DIGEST];
	struct token token;
};

static int get(struct db_txn *t, void *arg)
{
	struct found *f = arg;

	token_fini(&f->token);
	return token_get(t, f->digest, &f->token);
}

static int find(struct hub_db *h, const char *value, struct found *ret)
{
	*ret = (struct found){ 0 };
	assert_int_equal(token_digest(value, strlen(value), ret->digest), 0);
	return db_read(h->db, get, ret);
}

static void a_token_is_found_by_its_value(void **state)
{
	CLEANUP(buf_free) struct buf value = { 0 };
	struct hub_db *h = *state;
	struct found f;

	hub_db_user(h, "Ann");
	assert_int_equal(tokens_add(h->db, &plain, NULL, &value, &h->why), 0);
	assert_int_equal(value.len, 40);
	assert_int_equal(strncmp(value.data, "hf_", 3), 0);
	hub_db_reopen(h);
	assert_int_equal(find(h, value.data, &f), 0);
	assert_string_equal(f.token.user, "Ann");
	assert_string_equal(f.token.name, "laptop");
	assert_int_equal(f.token.role, ROLE_READ);
	assert_int_equal(f.token.expires_s, 0);
	assert_int_equal(f.token.used_s, 0);
	assert_true(f.token.created_s > 1700000000);
	token_fini(&f.token);
	value.data[39] ^= 1;
	assert_int_equal(find(h, value.data, &f), -ENOENT);
}

static void the_value_is_nowhere_in_the_files(void **state)
{
	CLEANUP(buf_free) struct buf value = { 0 }, path = { 0 }, file = { 0 };
	struct hub_db *h = *state;

	hub_db_user(h, "ann");
	assert_int_equal(tokens_add(h->db, &plain, NULL, &value, &h->why), 0);
	buf_printf(&path, "%s/hub/data.mdb", h->dir.path);
	assert_int_equal(file_read_all(-1, buf_str(&path), 64 << 20, &file), 0);
	assert_non_null(memmem(file.data, file.len, "laptop", 6));
	assert_null(memmem(file.data, file.len, value.data + 3, 16));
}

static void any_value_an_existing_client_holds_can_be_taken_over(void **state)
{
	struct hub_db *h = *state;
	struct token token = plain;
	struct found f;

	hub_db_user(h, "ann");
	assert_int_equal(tokens_add(h->db, &token, "x!@#$", NULL, &h->why), 0);
	assert_int_equal(find(h, "x!@#$", &f), 0);
	token_fini(&f.token);
	strcpy(token.name, "other");
	assert_int_equal(tokens_add(h->db, &token, "x!@#$", NULL, &h->why), -EEXIST);
	assert_string_equal(buf_str(&h->why), "somebody has a token of that value already");
}

static void what_cannot_be_a_token_is_refused(void **state)
{
	static const char *const values[] = { "", "a b", "a\n", "ä" };
	struct hub_db *h = *state;
	struct grant grant = { .what = "org", .role = ROLE_READ };
	struct token token = plain;

	hub_db_user(h, "ann");
	hub_db_org(h, "lab");
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		assert_int_equal(tokens_add(h->db, &token, values[i], NULL, &h->why), -EINVAL);
	*token.name = '\0';
	assert_int_equal(tokens_add(h->db, &token, NULL, NULL, &h->why), -EINVAL);
	strcpy(token.name, "two\nlines");
	assert_int_equal(tokens_add(h->db, &token, NULL, NULL, &h->why), -EINVAL);
	token = plain;
	token.expires_s = clock_wall_s() - 1;
	assert_int_equal(tokens_add(h->db, &token, NULL, NULL, &h->why), -EINVAL);
	token = plain;
	token.grants = &grant;
	token.grant_count = 1;
	assert_int_equal(tokens_add(h->db, &token, NULL, NULL, &h->why), -EINVAL);
	token = plain;
	strcpy(token.user, "lab");
	assert_int_equal(tokens_add(h->db, &token, NULL, NULL, &h->why), -ENOENT);
	strcpy(token.user, "bob");
	assert_int_equal(tokens_add(h->db, &token, NULL, NULL, &h->why), -ENOENT);
	assert_int_equal(tokens_add(h->db, &plain, NULL, NULL, &h->why), 0);
	assert_int_equal(tokens_add(h->db, &plain, NULL, NULL, &h->why), -EEXIST);
}

static void grants_are_for_repositories_and_namespaces(void **state)
{
	static const char *const bad[] = {
		"", "a/b", "models/", "models/a/b/c", "kernels/a/b", "a--b", "models/a--b/c"
	};
	struct hub_db *h = *state;
	struct grant grants[] = { { "models/Org/Tiny", ROLE_WRITE }, { "Lab", ROLE_READ } };
	struct token token = { .user = "ann", .name = "fine", .grants = grants, .grant_count = 2 };
	struct found f;

	hub_db_user(h, "ann");
	assert_int_equal(tokens_add(h->db, &token, "fine", NULL, &h->why), 0);
	assert_int_equal(find(h, "fine", &f), 0);
	assert_int_equal(f.token.role, ROLE_NONE);
	assert_int_equal(f.token.grant_count, 2);
	assert_string_equal(f.token.grants[0].what, "models/org/tiny");
	assert_int_equal(f.token.grants[0].role, ROLE_WRITE);
	assert_string_equal(f.token.grants[1].what, "lab");
	token_fini(&f.token);
	strcpy(token.name, "bad");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		strcpy(grants[1].what, bad[i]);
		assert_int_equal(tokens_add(h->db, &token, NULL, NULL, &h->why), -EINVAL);
	}
	strcpy(grants[1].what, "lab");
	grants[1].role = ROLE_ADMIN;
	assert_int_equal(tokens_add(h->db, &token, NULL, NULL, &h->why), -EINVAL);
	token.grant_count = GRANTS_MAX + 1;
	assert_int_equal(tokens_add(h->db, &token, NULL, NULL, &h->why), -EINVAL);
}

static int note(void *arg, const struct token *t)
{
	return buf_printf(arg, "%s:%s ", t->user, t->name);
}

static void check_list(struct hub_db *h, const char *user, const char *want)
{
	CLEANUP(buf_free) struct buf names = { 0 };

	assert_int_equal(tokens_each(h->db, user, note, &names), 0);
	assert_string_equal(buf_str(&names), want);
}

static void a_removed_token_is_taken_no_more(void **state)
{
	struct hub_db *h = *state;
	struct token token = plain;
	struct found f;

	hub_db_user(h, "ann");
	hub_db_user(h, "anna");
	assert_int_equal(tokens_add(h->db, &token, "one", NULL, &h->why), 0);
	strcpy(token.name, "a second one");
	assert_int_equal(tokens_add(h->db, &token, "two", NULL, &h->why), 0);
	strcpy(token.user, "anna");
	assert_int_equal(tokens_add(h->db, &token, "three", NULL, &h->why), 0);
	check_list(h, "Ann", "ann:a second one ann:laptop ");
	assert_int_equal(tokens_remove(h->db, "ANN", "laptop"), 0);
	assert_int_equal(tokens_remove(h->db, "ann", "laptop"), -ENOENT);
	assert_int_equal(find(h, "one", &f), -ENOENT);
	assert_int_equal(find(h, "two", &f), 0);
	token_fini(&f.token);
	check_list(h, "ann", "ann:a second one ");
	check_list(h, "nobody", "");
}

static void values_are_never_the_same(void **state)
{
	CLEANUP(buf_free) struct buf a = { 0 }, b = { 0 };

	(void)state;
	assert_int_equal(token_make(&a), 0);
	assert_int_equal(token_make(&b), 0);
	assert_string_not_equal(buf_str(&a), buf_str(&b));
}

/* ---- uses ---- */

static struct workers *start_workers(void)
{
	const struct workers_conf conf = { "test", 1, 10, false };
	struct workers *w;

	assert_int_equal(workers_start(&conf, &w), 0);
	return w;
}

static void close_uses(struct workers *w, struct uses *u)
{
	assert_true(workers_stop(w, CLOCK_FOREVER));
	uses_free(u);
}

static void uses_are_written_down_once_in_a_while(void **state)
{
	struct hub_db *h = *state;
	uint8_t unknown[TOKEN_DIGEST] = { 1 };
	int64_t now_s = clock_wall_s();
	struct workers *workers = start_workers();
	struct uses *u;
	struct found f;

	hub_db_user(h, "ann");
	assert_int_equal(tokens_add(h->db, &plain, "one", NULL, &h->why), 0);
	assert_int_equal(find(h, "one", &f), 0);
	assert_int_equal(uses_new(h->db, workers, &u), 0);
	uses_note(u, f.digest, 0);
	uses_note(u, f.digest, 0);
	uses_note(u, unknown, 0); /* it was removed meanwhile */
	close_uses(workers, u);
	assert_int_equal(find(h, "one", &f), 0);
	assert_in_range(f.token.used_s, now_s, now_s + 60);
	assert_int_equal(find(h, "two", &f), -ENOENT);
}

static void a_use_just_after_another_writes_nothing(void **state)
{
	struct hub_db *h = *state;
	int64_t now_s = clock_wall_s();
	struct workers *workers = start_workers();
	struct uses *u;
	struct found f;

	hub_db_user(h, "ann");
	assert_int_equal(tokens_add(h->db, &plain, "one", NULL, &h->why), 0);
	assert_int_equal(find(h, "one", &f), 0);
	assert_int_equal(uses_new(h->db, workers, &u), 0);
	uses_note(u, f.digest, now_s - USES_EVERY_S + 30);
	close_uses(workers, u);
	assert_int_equal(find(h, "one", &f), 0);
	assert_int_equal(f.token.used_s, 0);
	workers = start_workers();
	assert_int_equal(uses_new(h->db, workers, &u), 0);
	uses_note(u, f.digest, now_s - USES_EVERY_S - 30);
	close_uses(workers, u);
	assert_int_equal(find(h, "one", &f), 0);
	assert_true(f.token.used_s >= now_s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_token_is_found_by_its_value),
		TEST(the_value_is_nowhere_in_the_files),
		TEST(any_value_an_existing_client_holds_can_be_taken_over),
		TEST(what_cannot_be_a_token_is_refused),
		TEST(grants_are_for_repositories_and_namespaces),
		TEST(a_removed_token_is_taken_no_more),
		TEST(values_are_never_the_same),
		TEST(uses_are_written_down_once_in_a_while),
		TEST(a_use_just_after_another_writes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
