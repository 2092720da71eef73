/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/forget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <semaphore.h>
#include <stdatomic.h>

struct kernel {
	sem_t may_go, told;
	atomic_ullong sum;
};

static void tell(void *arg, uint64_t number)
{
	struct kernel *k = arg;

	sem_wait(&k->may_go);
	atomic_fetch_add(&k->sum, number);
	sem_post(&k->told);
}

static void each_number_is_told_once(void **state)
{
	struct kernel k = { .sum = 0 };
	struct forget *f;

	(void)state;
	sem_init(&k.may_go, 0, 100);
	sem_init(&k.told, 0, 0);
	assert_int_equal(forget_start(tell, &k, &f), 0);
	for (uint64_t i = 1; i <= 100; i++)
		forget_add(f, i);
	for (int i = 0; i < 100; i++)
		sem_wait(&k.told);
	forget_stop(f);
	assert_int_equal(atomic_load(&k.sum), 5050);
}

static void adding_does_not_wait_for_the_kernel(void **state)
{
	struct kernel k = { .sum = 0 };
	struct forget *f;

	(void)state;
	sem_init(&k.may_go, 0, 0);
	sem_init(&k.told, 0, 0);
	assert_int_equal(forget_start(tell, &k, &f), 0);
	for (uint64_t i = 0; i < 5000; i++) /* more than it keeps */
		forget_add(f, 1);
	assert_int_equal(atomic_load(&k.sum), 0);
	sem_post(&k.may_go);
	sem_wait(&k.told);
	for (int i = 0; i < 5000; i++)
		sem_post(&k.may_go);
	forget_stop(f);
	assert_true(atomic_load(&k.sum) >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_number_is_told_once),
		cmocka_unit_test(adding_does_not_wait_for_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
