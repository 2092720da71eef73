/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/estate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"

#define END_AT 16 /* where the head says how far the records go */

static struct estate *new_estate(void)
{
	struct estate *e = NULL;

	assert_int_equal(estate_new(&e), 0);
	return e;
}

static struct estate *next(struct estate *e)
{
	struct estate *ret = NULL;

	assert_int_equal(estate_inherit(estate_fd(e), &ret), 0);
	return ret;
}

static uint32_t add(struct estate *e, enum estate_kind kind, const char *text)
{
	uint32_t id = 0;

	assert_int_equal(estate_add(e, kind, text, strlen(text) + 1, &id), 0);
	assert_int_not_equal(id, 0);
	assert_int_equal((uintptr_t)estate_at(e, id) % 16, 0);
	return id;
}

static int append(void *arg, uint32_t id, void *data, size_t len)
{
	char *all = arg;

	assert_int_not_equal(id, 0);
	assert_int_equal(strlen(data) + 1, len);
	strcat(all, data);
	return 0;
}

static void assert_holds(struct estate *e, enum estate_kind kind, const char *want)
{
	char all[256] = "";

	assert_int_equal(estate_each(e, kind, append, all), 0);
	assert_string_equal(all, want);
}

static void test_records_are_there_for_the_next(void **state)
{
	struct estate *e = new_estate(), *n;
	uint32_t b;

	(void)state;
	add(e, ESTATE_NAME, "a");
	b = add(e, ESTATE_NAME, "b");
	add(e, ESTATE_TEXT, "t");
	add(e, ESTATE_NAME, "c");
	estate_del(e, b);
	n = next(e);
	assert_holds(n, ESTATE_NAME, "ac");
	assert_holds(n, ESTATE_TEXT, "t");
	/* What is free is used again, there too. */
	assert_int_equal(add(n, ESTATE_OPEN, "d"), b);
	assert_holds(e, ESTATE_OPEN, "d");
	estate_free(e);
	estate_free(n);
}

static void test_where_there_is_none_nothing_happens(void **state)
{
	uint32_t id = 7;

	(void)state;
	assert_int_equal(estate_add(NULL, ESTATE_NAME, "a", 1, &id), 0);
	assert_int_equal(id, 0);
	assert_null(estate_at(NULL, 3));
	estate_del(NULL, 3);
	assert_int_equal(estate_each(NULL, ESTATE_NAME, append, NULL), 0);
	assert_int_equal(estate_leave(NULL), 0);
	estate_free(NULL);
}

static void test_what_happens_after_leaving_is_not_left(void **state)
{
	struct estate *e = new_estate(), *n;
	uint32_t a = add(e, ESTATE_NAME, "a");

	(void)state;
	assert_int_equal(estate_leave(e), 0);
	add(e, ESTATE_NAME, "b");
	estate_del(e, a);
	assert_holds(e, ESTATE_NAME, "b");
	n = next(e);
	assert_holds(n, ESTATE_NAME, "a");
	estate_free(e);
	estate_free(n);
}

static void test_records_of_any_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 16, 17, 1000, 1009, 5000, 70000, 3 << 20 };
	struct estate *e = new_estate(), *n;
	uint32_t ids[ARRAY_LEN(sizes)], again;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		assert_int_equal(estate_add(e, ESTATE_BYTES, NULL, sizes[i], &ids[i]), 0);
		memset(estate_at(e, ids[i]), (int)i + 1, sizes[i]);
	}
	n = next(e);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		const uint8_t *at = estate_check(n, ids[i], ESTATE_BYTES, sizes[i], &len);

		assert_non_null(at);
		assert_int_equal(len, sizes[i]);
		for (size_t k = 0; k < len; k++)
			assert_int_equal(at[k], i + 1);
		assert_null(estate_check(n, ids[i], ESTATE_BYTES, sizes[i] + 1, &len));
		assert_null(estate_check(n, ids[i], ESTATE_NAME, 0, &len));
		estate_del(n, ids[i]);
		assert_int_equal(estate_add(n, ESTATE_BYTES, NULL, sizes[i], &again), 0);
		assert_int_equal(again, ids[i]);
	}
	assert_int_equal(estate_add(n, ESTATE_BYTES, NULL, (size_t)1 << 40, &again), -ENOMEM);
	estate_free(e);
	estate_free(n);
}

static uint64_t held_bytes(const struct estate *e)
{
	struct stat st;

	assert_int_equal(fstat(estate_fd(e), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* And stays while it is there, or if who takes it away has left. */
static void test_what_was_taken_away_is_nowhere(void **state)
{
	static const char secret[] = "hf_secret";
	struct estate *e = new_estate(), *n;
	uint32_t text = add(e, ESTATE_TEXT, secret), large, kept;
	uint64_t before = held_bytes(e), size = 3 << 20;
	char found[sizeof(secret)];

	(void)state;
	assert_int_equal(estate_add(e, ESTATE_BYTES, NULL, size, &large), 0);
	memset(estate_at(e, large), 'x', size);
	kept = add(e, ESTATE_NAME, "kept");
	assert_true(held_bytes(e) >= before + size);
	assert_int_equal(file_pread(estate_fd(e), found, sizeof(found), (text + 1) * 16ULL), 0);
	assert_string_equal(found, secret);
	estate_del(e, text);
	estate_del(e, large);
	assert_true(held_bytes(e) <= before + (64 << 10));
	assert_int_equal(file_pread(estate_fd(e), found, sizeof(found), (text + 1) * 16ULL), 0);
	assert_memory_equal(found, (char[sizeof(secret)]){ 0 }, sizeof(found));
	assert_string_equal(estate_at(e, kept), "kept");
	/* The twin. */
	assert_int_equal(estate_add(e, ESTATE_BYTES, NULL, size, &large), 0);
	memset(estate_at(e, large), 'y', size);
	assert_int_equal(estate_leave(e), 0);
	estate_del(e, large);
	n = next(e);
	assert_int_equal(((char *)estate_at(n, large))[size - 1], 'y');
	estate_free(e);
	estate_free(n);
}

static void assert_refused(struct estate *e, uint64_t off, const void *data, size_t len, int want)
{
	struct estate *n = NULL;
	uint8_t before[16];

	assert_int_equal(file_pread(estate_fd(e), before, len, off), 0);
	assert_int_equal(file_pwrite(estate_fd(e), data, len, off), 0);
	assert_int_equal(estate_inherit(estate_fd(e), &n), want);
	assert_null(n);
	assert_int_equal(file_pwrite(estate_fd(e), before, len, off), 0);
}

static void test_damage_and_other_versions_are_refused(void **state)
{
	struct estate *e = new_estate();
	const uint64_t far = UINT64_C(1) << 40, inside = 72;
	const uint32_t none = 0, many = 1 << 20, version = ESTATE_VERSION + 1;
	uint64_t at = (uint64_t)add(e, ESTATE_NAME, "a") * 16;

	(void)state;
	assert_refused(e, 0, "x", 1, ERR_CORRUPT);
	assert_refused(e, 8, &version, sizeof(version), ERR_FORMAT);
	assert_refused(e, END_AT, &far, sizeof(far), ERR_CORRUPT);
	assert_refused(e, END_AT, &inside, sizeof(inside), ERR_CORRUPT);
	assert_refused(e, at, &none, sizeof(none), ERR_CORRUPT);
	assert_refused(e, at, &many, sizeof(many), ERR_CORRUPT);
	assert_refused(e, at + 8, &many, sizeof(many), ERR_CORRUPT);
	estate_free(next(e));
	estate_free(e);
}

/* Whoever is killed while it writes leaves what can be read. */
static void test_a_kill_leaves_no_record_by_half(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct estate *e = new_estate(), *n;
		pid_t pid = fork();
		char all[64];

		if (pid == 0) {
			for (unsigned i = 0;; i++) {
				uint32_t id;

				snprintf(all, sizeof(all), "%0*u", (int)(i % 50) + 1, i % 7);
				if (estate_add(e, ESTATE_NAME, all, strlen(all) + 1, &id) == 0 &&
				    i % 3)
					estate_del(e, id);
			}
		}
		usleep(1000 * (useconds_t)(round % 7));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		n = next(e);
		add(n, ESTATE_TEXT, "on");
		assert_holds(n, ESTATE_TEXT, "on");
		estate_free(e);
		estate_free(n);
	}
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they end without memory */
#define WITH_FEW_ADDRESSES
/* In a process of its own, as a limit of addresses stays. 0: as it should be. */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void limit_addresses(uint64_t beyond)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	struct rlimit l;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	l.rlim_cur = l.rlim_max = pages * (uint64_t)sysconf(_SC_PAGESIZE) + beyond;
	assert_int_equal(setrlimit(RLIMIT_AS, &l), 0);
}

/* What of the room holds nothing counts nowhere. */
static int leave_with_little_room(void)
{
	struct estate *e = new_estate(), *n;

	add(e, ESTATE_NAME, "a");
	n = next(e);
	limit_addresses(64 << 20);
	if (estate_leave(e) < 0)
		return 1;
	for (int i = 0; i < 4; i++) {
		uint32_t id;

		if (estate_add(e, ESTATE_BYTES, NULL, 1 << 20, &id) < 0)
			return 2;
		memset(estate_at(e, id), 'x', 1 << 20);
	}
	add(e, ESTATE_TEXT, "late");
	assert_holds(n, ESTATE_TEXT, "");
	assert_holds(n, ESTATE_NAME, "a");
	return 0;
}

/* All is as it was, but for what may be given back. */
static int leave_with_none(void)
{
	struct estate *e = new_estate(), *n = next(e);
	uint32_t id;

	assert_int_equal(estate_add(e, ESTATE_BYTES, NULL, 64 << 20, &id), 0);
	limit_addresses(32 << 20);
	if (estate_leave(e) != -ENOMEM)
		return 1;
	add(e, ESTATE_NAME, "on");
	assert_holds(n, ESTATE_NAME, "on");
	return 0;
}

static int begin_with_none(void)
{
	struct estate *e = NULL;

	limit_addresses(1 << 30);
	return estate_new(&e) == -ENOMEM && !e ? 0 : 1;
}

static void test_leaving_takes_no_room_that_is_not_used(void **state)
{
	(void)state;
	assert_int_equal(in_child(leave_with_little_room), 0);
	assert_int_equal(in_child(leave_with_none), 0);
	assert_int_equal(in_child(begin_with_none), 0);
}
#endif

/* What is read beside the one mapped at that address, up to the next, by /proc/self/smaps. */
static bool is_in_cores(const void *at)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long from, to;
	bool here = false, found = false, in = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from <= (uintptr_t)at && (uintptr_t)at < to;
		if (here && strncmp(line, "VmFlags:", 8) == 0) {
			found = true;
			in = !strstr(line, " dd");
		}
	}
	fclose(f);
	assert_true(found);
	return in;
}

static void test_no_core_has_it(void **state)
{
	struct estate *e = new_estate();
	uint32_t id = add(e, ESTATE_TEXT, "hf_secret"), late;

	(void)state;
	assert_false(is_in_cores(estate_at(e, id)));
	assert_int_equal(estate_leave(e), 0);
	assert_false(is_in_cores(estate_at(e, id)));
	assert_int_equal(estate_add(e, ESTATE_BYTES, NULL, 3 << 20, &late), 0);
	assert_false(is_in_cores(estate_at(e, late)));
	assert_true(is_in_cores(&e)); /* the twin */
	estate_free(e);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_are_there_for_the_next),
		cmocka_unit_test(test_where_there_is_none_nothing_happens),
		cmocka_unit_test(test_what_happens_after_leaving_is_not_left),
		cmocka_unit_test(test_records_of_any_size),
		cmocka_unit_test(test_what_was_taken_away_is_nowhere),
		cmocka_unit_test(test_damage_and_other_versions_are_refused),
		cmocka_unit_test(test_a_kill_leaves_no_record_by_half),
#ifdef WITH_FEW_ADDRESSES
		cmocka_unit_test(test_leaving_takes_no_room_that_is_not_used),
#endif
		cmocka_unit_test(test_no_core_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
