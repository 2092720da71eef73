/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/pressure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/file.h"
#include "tests/workdir.h"

#define MEMINFO(available) \
	"MemTotal:       16000000 kB\nMemFree:          100 kB\nMemAvailable:   " available " kB\n"
#define PSI(percent) \
	"some avg10=" percent " avg60=0.00 avg300=0.00 total=9\n" \
	"full avg10=99.00 avg60=0.00 avg300=0.00 total=9\n"
#define PLENTY MEMINFO("8000000")

/* What the kernel tells: NULL is no such file. */
struct told {
	const char *meminfo, *psi, *group, *group_psi;
	bool high;
};

static void put(const struct workdir *dir, const char *path, const char *text)
{
	CLEANUP(buf_free) struct buf full = { 0 };
	char *slash;

	if (!text)
		return;
	buf_printf(&full, "%s/%s", dir->path, path);
	slash = strrchr(full.data, '/');
	*slash = '\0';
	assert_int_equal(file_mkdirs(full.data), 0);
	*slash = '/';
	assert_int_equal(file_replace(dir->dirfd, path, text, strlen(text), 0600), 0);
}

static void memory_is_short_when_the_kernel_says_so(UNUSED void **state)
{
	static const struct told table[] = {
		{ NULL, NULL, NULL, NULL, false },
		{ PLENTY, NULL, NULL, NULL, false },
		{ PLENTY, PSI("0.00"), NULL, NULL, false },
		{ MEMINFO("1000001"), NULL, NULL, NULL, false },
		{ MEMINFO("999999"), NULL, NULL, NULL, true },
		{ MEMINFO("3999999"), PSI("10.00"), NULL, NULL, false },
		{ MEMINFO("3999999"), PSI("10.01"), NULL, NULL, true },
		{ MEMINFO("4000001"), PSI("10.01"), NULL, NULL, false }, /* others' limits */
		{ NULL, PSI("55.00"), NULL, NULL, true },
		{ "rubbish", "rubbish", NULL, NULL, false },
		{ "MemTotal: x", "some avg10=y", NULL, NULL, false },
		{ PLENTY, PSI("0.00"), "0::/a/b\n", PSI("10.01"), true },
		{ PLENTY, PSI("0.00"), "4:memory:/x\n0::/a/b\n", PSI("80.00"), true },
		{ PLENTY, PSI("0.00"), "0::/a/b\n", PSI("0.00"), false },
		{ PLENTY, PSI("0.00"), "10::/a/b\n", PSI("80.00"), false }, /* not ours */
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct told *t = &table[i];
		struct pressure p;
		struct workdir dir;

		workdir_init(&dir);
		put(&dir, "proc/meminfo", t->meminfo);
		put(&dir, "proc/pressure/memory", t->psi);
		put(&dir, "proc/self/cgroup", t->group);
		put(&dir, "sys/fs/cgroup/a/b/memory.pressure", t->group_psi);
		pressure_init(&p, dir.path);
		assert_int_equal(pressure_high(&p), t->high);
		pressure_fini(&p);
		workdir_fini(&dir);
	}
}

static void it_is_looked_at_once_a_second(void **state)
{
	struct workdir *dir = *state;
	struct pressure p;

	put(dir, "proc/meminfo", PLENTY);
	pressure_init(&p, dir->path);
	assert_false(pressure_high(&p));
	put(dir, "proc/meminfo", MEMINFO("10"));
	assert_false(pressure_high(&p));
	p.looked_ms -= 1000; /* as if that long had passed */
	assert_true(pressure_high(&p));
	pressure_fini(&p);
}

static void this_machine_can_be_asked(UNUSED void **state)
{
	struct pressure p;

	pressure_init(&p, "");
	(void)pressure_high(&p);
	pressure_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_short_when_the_kernel_says_so),
		cmocka_unit_test_setup_teardown(it_is_looked_at_once_a_second, workdir_setup,
						workdir_teardown),
		cmocka_unit_test(this_machine_can_be_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
