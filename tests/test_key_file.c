/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"

#define ONE "the first key of 16 bytes or more\n"
#define TWO "0123456789abcdef0123456789abcdef\n"

static char dir[] = "/tmp/test_key_file.XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/key", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void put(const char *text, mode_t mode)
{
	assert_int_equal(file_replace(AT_FDCWD, path, text, strlen(text), 0600), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static struct key_file read_of(const char *text, mode_t mode)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct key_file_stamp stamp;
	struct key_file keys;

	put(text, mode);
	assert_int_equal(key_file_read(path, &keys, &stamp, &why), 0);
	assert_string_equal(buf_str(&why), "");
	return keys;
}

static void assert_refused_at(const char *at, int r, const char *words)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct key_file_stamp stamp;
	struct key_file keys;

	assert_int_equal(key_file_read(at, &keys, &stamp, &why), r);
	assert_non_null(strstr(buf_str(&why), words));
	assert_non_null(strstr(buf_str(&why), at));
	assert_null(strstr(buf_str(&why), "first key"));
}

static void assert_refused(const char *text, mode_t mode, const char *words)
{
	put(text, mode);
	assert_refused_at(path, ERR_CONF, words);
}

static bool same_key(const struct key_file_key *a, const struct key_file_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void a_file_holds_one_key_or_two(void **state)
{
	struct key_file one = read_of(ONE, 0600), both = read_of(ONE TWO, 0600);
	struct key_file other = read_of("\n# when\n\n  " TWO "\r\n\t# why\n" ONE "\n", 0600);

	(void)state;
	assert_int_equal(one.count, 1);
	assert_int_equal(both.count, 2);
	assert_int_equal(other.count, 2);
	assert_true(same_key(&one.at[0], &both.at[0]) && same_key(&one.at[0], &other.at[1]));
	assert_true(same_key(&both.at[1], &other.at[0]));
	assert_string_not_equal(both.at[0].id, both.at[1].id);
	assert_memory_not_equal(both.at[0].secret, both.at[1].secret, KEY_FILE_BYTES);
	assert_int_equal(read_of("0123456789abcdef", 0600).count, 1);
	assert_refused("0123456789abcde\n", 0600, "has a line of 15 bytes");
	assert_refused(ONE TWO "0123456789abcdefg\n", 0600, "more than two");
	assert_refused("", 0600, "empty");
	assert_refused("# 0123456789abcdefg\n", 0600, "empty");
}

static void a_file_that_others_may_read_is_refused(void **state)
{
	(void)state;
	assert_refused(ONE, 0644, "chmod 600");
	assert_refused(ONE, 0602, "chmod 600");
	assert_refused(ONE, 0660, "chmod 600");
	/* As secrets are mounted for a group. */
	assert_int_equal(read_of(ONE, 0640).count, 1);
}

static void a_file_of_another_user_is_refused(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	put(ONE, 0600);
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_refused_at(path, ERR_CONF, "belongs to another user");
}

static void what_is_no_file_of_a_keys_size_is_not_read(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	(void)state;
	assert_refused_at(dir, ERR_CONF, "no file");
	assert_refused_at("/nowhere/key", -ENOENT, "No such file");
	buf_printf(&text, ONE "#%0*d", 4096 - (int)strlen(ONE "#"), 0);
	assert_int_equal(read_of(buf_str(&text), 0600).count, 1);
	buf_add_str(&text, "0");
	assert_refused(buf_str(&text), 0600, "too large");
}

static void a_change_is_seen_once(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct key_file_stamp stamp;
	struct key_file keys;

	(void)state;
	put(ONE, 0600);
	assert_int_equal(key_file_read(path, &keys, &stamp, &why), 0);
	assert_false(key_file_changed(path, &stamp));
	put(ONE, 0600);
	assert_true(key_file_changed(path, &stamp));
	assert_false(key_file_changed(path, &stamp));
	assert_int_equal(chmod(path, 0640), 0);
	assert_true(key_file_changed(path, &stamp));
	assert_int_equal(unlink(path), 0);
	assert_true(key_file_changed(path, &stamp));
	assert_false(key_file_changed(path, &stamp));
	put(ONE, 0600);
	assert_true(key_file_changed(path, &stamp));
}

static void keys_are_overwritten(void **state)
{
	struct key_file keys = read_of(ONE TWO, 0600), nothing;

	(void)state;
	memset(&nothing, 0, sizeof(nothing));
	key_file_wipe(&keys);
	assert_memory_equal(&keys, &nothing, sizeof(keys));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_holds_one_key_or_two),
		cmocka_unit_test(a_file_that_others_may_read_is_refused),
		cmocka_unit_test(a_file_of_another_user_is_refused),
		cmocka_unit_test(what_is_no_file_of_a_keys_size_is_not_read),
		cmocka_unit_test(a_change_is_seen_once),
		cmocka_unit_test(keys_are_overwritten),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
