/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/account/guesses.h"
#include "admin/account/rights.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/workers.h"
#include "tests/hub_db.h"

#define HOME "192.0.2.1"

static struct workers *workers;

static bool open_auth(struct hub_db *h, struct auth **ret)
{
	const struct workers_conf conf = { "test", 1, 10, false };
	bool made;

	assert_int_equal(workers_start(&conf, &workers), 0);
	assert_int_equal(auth_open(h->dir.path, h->db, workers, ret, &made, &h->why), 0);
	return made;
}

static void close_auth(struct auth *a)
{
	assert_true(workers_stop(workers, CLOCK_FOREVER));
	auth_close(a);
}

static int check(struct auth *a, const char *scheme, const char *value, struct identity *ret)
{
	CLEANUP(buf_free) struct buf field = { 0 };

	buf_printf(&field, "%s%s", scheme, value);
	return auth_check(a, buf_str(&field), HOME, ret);
}

static int check_value(struct auth *a, const char *value)
{
	struct identity who;
	int r = check(a, "Bearer ", value, &who);

	if (r < 0)
		assert_false(who.known || who.is_hub_admin || *who.user || who.token.grants);
	identity_fini(&who);
	return r;
}

static void read_admin_file(struct hub_db *h, struct buf *ret)
{
	buf_clear(ret);
	assert_int_equal(file_read_all(h->dir.dirfd, AUTH_ADMIN_FILE, 4096, ret), 0);
	buf_trim_end(ret);
}

static void the_first_start_makes_an_administrator(void **state)
{
	CLEANUP(buf_free) struct buf value = { 0 };
	struct hub_db *h = *state;
	struct identity who;
	struct auth *a;
	struct stat st;

	assert_true(open_auth(h, &a));
	read_admin_file(h, &value);
	assert_int_equal(fstatat(h->dir.dirfd, AUTH_ADMIN_FILE, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(check(a, "Bearer ", buf_str(&value), &who), 0);
	assert_string_equal(who.user, "admin");
	assert_string_equal(who.token.name, AUTH_ADMIN_FILE);
	assert_int_equal(rights_admin(&who), 0);
	identity_fini(&who);
	close_auth(a);
	assert_false(open_auth(h, &a)); /* and the second one finds it */
	assert_int_equal(check_value(a, buf_str(&value)), 0);
	close_auth(a);
}

static void read_data(struct hub_db *h, struct buf *ret)
{
	assert_int_equal(file_read_all(h->dir.dirfd, "hub/data.mdb", 64 << 20, ret), 0);
}

static void the_second_start_writes_nothing(void **state)
{
	CLEANUP(buf_free) struct buf before = { 0 }, after = { 0 };
	struct hub_db *h = *state;
	struct auth *a;

	assert_true(open_auth(h, &a));
	close_auth(a);
	read_data(h, &before);
	assert_false(open_auth(h, &a));
	close_auth(a);
	read_data(h, &after);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, before.len);
	assert_int_equal(unlinkat(h->dir.dirfd, AUTH_ADMIN_FILE, 0), 0);
	assert_true(open_auth(h, &a));
	close_auth(a);
	buf_clear(&after);
	read_data(h, &after);
	assert_memory_not_equal(before.data, after.data, before.len);
}

static void another_file_is_another_token(void **state)
{
	CLEANUP(buf_free) struct buf first = { 0 }, second = { 0 };
	struct hub_db *h = *state;
	struct auth *a;

	assert_true(open_auth(h, &a));
	close_auth(a);
	read_admin_file(h, &first);
	assert_int_equal(unlinkat(h->dir.dirfd, AUTH_ADMIN_FILE, 0), 0);
	assert_true(open_auth(h, &a));
	read_admin_file(h, &second);
	assert_int_equal(check_value(a, buf_str(&first)), ERR_TOKEN);
	assert_int_equal(check_value(a, buf_str(&second)), 0);
	close_auth(a);
}

static void files_that_hold_no_token_of_its_own_are_refused(void **state)
{
	struct token token = { .user = "ann", .name = "hers", .role = ROLE_READ };
	struct hub_db *h = *state;
	struct auth *a;
	bool made;

	hub_db_user(h, "ann");
	assert_int_equal(tokens_add(h->db, &token, "hers", NULL, &h->why), 0);
	assert_int_equal(file_replace(h->dir.dirfd, AUTH_ADMIN_FILE, " \n", 2, 0600), 0);
	assert_int_equal(auth_open(h->dir.path, h->db, NULL, &a, &made, &h->why), ERR_CONF);
	assert_non_null(strstr(buf_str(&h->why), "is empty"));
	assert_int_equal(file_replace(h->dir.dirfd, AUTH_ADMIN_FILE, "hers\n", 5, 0600), 0);
	assert_int_equal(auth_open(h->dir.path, h->db, NULL, &a, &made, &h->why), -EEXIST);
	assert_non_null(strstr(buf_str(&h->why), "somebody else"));
	assert_null(strstr(buf_str(&h->why), "hers"));
}

static void the_words_before_a_token_may_vary(void **state)
{
	CLEANUP(buf_free) struct buf value = { 0 };
	struct hub_db *h = *state;
	struct identity who;
	struct auth *a;

	assert_true(open_auth(h, &a));
	read_admin_file(h, &value);
	for (const char **s = (const char *[]){ "Bearer ", "bearer ", "BEARER   ", NULL }; *s;
	     s++) {
		assert_int_equal(check(a, *s, buf_str(&value), &who), 0);
		identity_fini(&who);
	}
	for (const char **s =
		     (const char *[]){ "Bearer", "Basic ", "Bearer x ", "", "Bearer\t", NULL };
	     *s; s++)
		assert_int_equal(check(a, *s, buf_str(&value), &who), ERR_TOKEN);
	assert_int_equal(auth_check(a, NULL, HOME, &who), 0);
	assert_false(who.known);
	close_auth(a);
}

/* As programs of git say it. */
static void a_token_may_come_as_the_password_of_its_user(void **state)
{
	static const struct {
		const char *field;
		int r;
	} cases[] = {
		{ "Basic YW5uOmhlcnMtaXQtaXM=", 0 },         /* ann:hers-it-is */
		{ "basic  QU5OOmhlcnMtaXQtaXM=", 0 },        /* ANN */
		{ "Basic YmVuOmhlcnMtaXQtaXM=", ERR_TOKEN }, /* ben */
		{ "Basic OmhlcnMtaXQtaXM=", ERR_TOKEN },     /* nobody */
		{ "Basic YW5uOmhlcnM=", ERR_TOKEN },         /* ann:hers */
		{ "Basic YW5uOg==", ERR_TOKEN },             /* ann: */
		{ "Basic YW5u", ERR_TOKEN },                 /* ann */
		{ "Basic YW5uADpoZXJzLWl0LWlz", ERR_TOKEN }, /* ann, NUL */
		{ "Basic YW5uOmhlcnMtaXQtaXM", ERR_TOKEN },  /* no padding */
		{ "Basic ann:hers-it-is", ERR_TOKEN },
	};
	struct token token = { .user = "ann", .name = "t", .role = ROLE_READ };
	struct hub_db *h = *state;
	struct identity who;
	struct auth *a;

	assert_true(open_auth(h, &a));
	hub_db_user(h, "ann");
	hub_db_user(h, "ben");
	assert_int_equal(tokens_add(h->db, &token, "hers-it-is", NULL, &h->why), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(auth_check(a, cases[i].field, HOME, &who), cases[i].r);
		assert_string_equal(who.user, cases[i].r ? "" : "ann");
		identity_fini(&who);
	}
	for (int r = ERR_TOKEN, n = 0; r != ERR_GUESSING; n++) { /* guessers are slowed */
		char field[32];

		assert_true(n < 1000);
		snprintf(field, sizeof(field), "Basic YW5uOmd1%04d", n); /* ann:gu... */
		r = auth_check(a, field, HOME, &who);
		assert_true(r == ERR_TOKEN || r == ERR_GUESSING);
	}
	assert_int_equal(auth_check(a, cases[0].field, HOME, &who), 0);
	identity_fini(&who);
	close_auth(a);
}

static void absurd_fields_open_nothing(void **state)
{
	static const char *const absurd[] = {
		"",           " ",           "Bearer",     "Bearer ",
		"Bearer    ", "Bearer \xff", "Bearer a b", "Bearer %00",
		"\x01",       "Bearer ''--", "Bearer {}",  "Bearer Bearer",
		"=",          "Basic Og==",  "Bearer hf_", "Digest x"
	};
	struct hub_db *h = *state;
	struct identity who;
	struct auth *a;
	char *large = malloc(1 << 20);

	assert_non_null(large);
	assert_true(open_auth(h, &a));
	for (size_t i = 0; i < ARRAY_LEN(absurd); i++)
		assert_int_equal(auth_check(a, absurd[i], HOME, &who), ERR_TOKEN);
	memset(large, 'a', (1 << 20) - 1);
	large[(1 << 20) - 1] = '\0';
	memcpy(large, "Bearer ", 7);
	assert_int_equal(auth_check(a, large, HOME, &who), ERR_TOKEN);
	free(large);
	close_auth(a);
}

static void whatever_is_wrong_with_a_token_is_the_same(void **state)
{
	struct account_change c = ACCOUNT_AS_IS;
	struct token token = { .user = "ann", .name = "t", .role = ROLE_READ };
	struct hub_db *h = *state;
	struct auth *a;

	assert_true(open_auth(h, &a));
	hub_db_user(h, "ann");
	assert_int_equal(check_value(a, "unknown"), ERR_TOKEN);
	token.expires_s = clock_wall_s() + 1;
	assert_int_equal(tokens_add(h->db, &token, "short", NULL, &h->why), 0);
	assert_int_equal(check_value(a, "short"), 0);
	while (clock_wall_s() < token.expires_s)
		clock_sleep_ms(20);
	assert_int_equal(check_value(a, "short"), ERR_TOKEN);
	token.expires_s = 0;
	strcpy(token.name, "u");
	assert_int_equal(tokens_add(h->db, &token, "long", NULL, &h->why), 0);
	assert_int_equal(check_value(a, "long"), 0);
	c.disabled = 1;
	assert_int_equal(accounts_change(h->db, "ann", &c, &h->why), 0);
	assert_int_equal(check_value(a, "long"), ERR_TOKEN);
	c.disabled = 0;
	assert_int_equal(accounts_change(h->db, "ann", &c, &h->why), 0);
	assert_int_equal(check_value(a, "long"), 0);
	assert_int_equal(tokens_remove(h->db, "ann", "u"), 0);
	assert_int_equal(check_value(a, "long"), ERR_TOKEN);
	close_auth(a);
}

static void only_what_is_wrong_with_a_token_is_a_refusal(void **state UNUSED)
{
	assert_true(auth_refuses(ERR_TOKEN));
	assert_true(auth_refuses(ERR_GUESSING));
	assert_false(auth_refuses(0));
	assert_false(auth_refuses(-EIO));
	assert_false(auth_refuses(-ENOMEM));
	assert_false(auth_refuses(ERR_CORRUPT));
}

static void a_guesser_is_slowed_and_who_was_right_there_is_not(void **state)
{
	struct token token = { .user = "ann", .name = "t", .role = ROLE_READ };
	struct hub_db *h = *state;
	struct identity who;
	struct auth *a;
	char value[32];
	int r = ERR_TOKEN, wrong = 0;

	assert_true(open_auth(h, &a));
	hub_db_user(h, "ann");
	assert_int_equal(tokens_add(h->db, &token, "known there", NULL, &h->why), -EINVAL);
	assert_int_equal(tokens_add(h->db, &token, "known-there", NULL, &h->why), 0);
	strcpy(token.name, "u");
	assert_int_equal(tokens_add(h->db, &token, "new-there", NULL, &h->why), 0);
	assert_int_equal(check_value(a, "known-there"), 0);
	for (; r == ERR_TOKEN && wrong < 1000; wrong++) {
		snprintf(value, sizeof(value), "guess-%d", wrong);
		r = check_value(a, value);
	}
	assert_int_equal(r, ERR_GUESSING);
	assert_in_range(wrong, GUESSES_FREE, GUESSES_FREE + 10);
	assert_int_equal(check_value(a, "new-there"), ERR_GUESSING);
	assert_int_equal(check_value(a, "known-there"), 0);
	assert_int_equal(check_value(a, "guess-0") == ERR_TOKEN ||
				 check_value(a, "guess-0") == ERR_GUESSING,
			 1);
	assert_int_equal(auth_check(a, "Bearer new-there", "192.0.2.2", &who), 0);
	identity_fini(&who);
	assert_int_equal(auth_check(a, NULL, HOME, &who), 0); /* nobody is nobody's guess */
	close_auth(a);
}

static void a_use_is_noted_at_the_stop_at_last(void **state)
{
	CLEANUP(buf_free) struct buf value = { 0 };
	struct hub_db *h = *state;
	struct identity who;
	struct auth *a;

	assert_true(open_auth(h, &a));
	read_admin_file(h, &value);
	assert_int_equal(check_value(a, buf_str(&value)), 0);
	close_auth(a);
	assert_false(open_auth(h, &a));
	assert_int_equal(check(a, "Bearer ", buf_str(&value), &who), 0);
	assert_true(who.token.used_s >= clock_wall_s() - 60);
	identity_fini(&who);
	close_auth(a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_start_makes_an_administrator),
		TEST(the_second_start_writes_nothing),
		TEST(another_file_is_another_token),
		TEST(files_that_hold_no_token_of_its_own_are_refused),
		TEST(the_words_before_a_token_may_vary),
		TEST(a_token_may_come_as_the_password_of_its_user),
		TEST(absurd_fields_open_nothing),
		TEST(whatever_is_wrong_with_a_token_is_the_same),
		cmocka_unit_test(only_what_is_wrong_with_a_token_is_a_refusal),
		TEST(a_guesser_is_slowed_and_who_was_right_there_is_not),
		TEST(a_use_is_noted_at_the_stop_at_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
