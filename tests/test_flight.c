/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/names/flight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/httpc.h"
#include "tests/workdir.h"

#define WAITERS 50
#define MINUTE_MS 60000
#define SHORT_MS 300
#define IDLE_MS 200

/* A gate that jobs stand at, and what is counted of them. */
struct world {
	struct httpc *http;
	struct flight *flight;
	struct lock lock;
	struct cond cond;
	/* Guarded by lock. */
	bool open;
	int running, most, ran, freed;
	int result;
};

/* A job's argument. */
struct job_arg {
	struct world *world;
};

static int setup(void **state)
{
	struct httpc_conf http = { .user_agent = "test", .connect_ms = 1000, .stall_ms = 1000 };
	struct world *w = calloc(1, sizeof(*w));
	struct flight_conf conf = { .threads_max = 4, .idle_ms = IDLE_MS };

	if (!w || httpc_new(&http, &w->http) < 0)
		return -1;
	conf.http = w->http;
	lock_init(&w->lock, LOCK_TEST);
	cond_init(&w->cond);
	*state = w;
	return flight_new(&conf, &w->flight);
}

static int teardown(void **state)
{
	struct world *w = *state;

	flight_stop(w->flight);
	flight_free(w->flight);
	httpc_free(w->http);
	cond_fini(&w->cond);
	lock_fini(&w->lock);
	free(w);
	return 0;
}

/* Runs until the gate is open, or the flight stops. */
static int work(struct flight_job *job)
{
	struct world *w = ((struct job_arg *)job->arg)->world;
	int r;

	lock_take(&w->lock);
	w->ran++;
	w->running++;
	if (w->running > w->most)
		w->most = w->running;
	cond_wake_all(&w->cond);
	while (!w->open && !atomic_load(job->stop))
		cond_wait(&w->cond, &w->lock, clock_ms() + 5);
	w->running--;
	cond_wake_all(&w->cond);
	r = w->result;
	lock_drop(&w->lock);
	return r;
}

static void free_arg(void *arg)
{
	struct job_arg *a = arg;
	struct world *w = a->world;

	lock_take(&w->lock);
	w->freed++;
	cond_wake_all(&w->cond);
	lock_drop(&w->lock);
	free(a);
}

static void open_gate(struct world *w)
{
	lock_take(&w->lock);
	w->open = true;
	cond_wake_all(&w->cond);
	lock_drop(&w->lock);
}

static int value_of(struct world *w, const int *field)
{
	int v;

	lock_take(&w->lock);
	v = *field;
	lock_drop(&w->lock);
	return v;
}

/* Waits until a count has been reached. */
static bool await(struct world *w, const int *field, int value)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	bool so;

	lock_take(&w->lock);
	while (!(so = *field >= value) && clock_ms() < deadline)
		cond_wait(&w->cond, &w->lock, deadline);
	lock_drop(&w->lock);
	return so;
}

static int join_as(struct world *w, const char *key, struct parked *p)
{
	struct job_arg *a = malloc(sizeof(*a));

	assert_non_null(a);
	a->world = w;
	return flight_join(w->flight, key, work, a, free_arg, CLOCK_FOREVER, &p->waiter);
}

static void join(struct world *w, const char *key, struct parked *p)
{
	parked_init(p, MINUTE_MS);
	assert_int_equal(join_as(w, key, p), PARKED);
}

static void fifty_who_ask_the_same_are_answered_by_one_job(void **state)
{
	struct parked p[WAITERS];
	struct world *w = *state;

	w->result = ERR_NOREPO;
	for (int i = 0; i < WAITERS; i++)
		join(w, "same", &p[i]);
	open_gate(w);
	for (int i = 0; i < WAITERS; i++) {
		assert_int_equal(parked_wait(&p[i]), ERR_NOREPO);
		assert_int_equal(parked_woken(&p[i]), 1);
		parked_fini(&p[i]);
	}
	assert_true(await(w, &w->freed, WAITERS));
	assert_int_equal(w->ran, 1);
	assert_int_equal(w->freed, WAITERS);
}

static void who_asks_something_else_has_a_job_of_its_own(void **state)
{
	struct parked a, b;
	struct world *w = *state;

	join(w, "a", &a);
	join(w, "b", &b);
	assert_true(await(w, &w->running, 2));
	open_gate(w);
	assert_int_equal(parked_wait(&a), 0);
	assert_int_equal(parked_wait(&b), 0);
	parked_fini(&a);
	parked_fini(&b);
}

static void who_asks_after_the_end_starts_anew(void **state)
{
	struct parked a, b;
	struct world *w = *state;

	open_gate(w);
	join(w, "same", &a);
	assert_int_equal(parked_wait(&a), 0);
	join(w, "same", &b);
	assert_int_equal(parked_wait(&b), 0);
	assert_int_equal(value_of(w, &w->ran), 2);
	parked_fini(&a);
	parked_fini(&b);
}

static void no_more_jobs_run_at_once_than_allowed(void **state)
{
	struct parked p[12];
	struct world *w = *state;
	char key[16];

	for (int i = 0; i < 12; i++) {
		snprintf(key, sizeof(key), "%d", i);
		join(w, key, &p[i]);
	}
	assert_true(await(w, &w->running, 4));
	open_gate(w);
	for (int i = 0; i < 12; i++) {
		assert_int_equal(parked_wait(&p[i]), 0);
		parked_fini(&p[i]);
	}
	assert_int_equal(w->most, 4);
	assert_int_equal(w->ran, 12);
}

/* One idle worker cannot take two jobs: the second needs a thread although somebody is idle. */
static void two_jobs_at_once_do_not_wait_for_one_idle_worker(void **state)
{
	struct parked first, a, b;
	struct world *w = *state;

	open_gate(w);
	join(w, "first", &first);
	assert_int_equal(parked_wait(&first), 0);
	assert_true(await(w, &w->freed, 1));
	clock_sleep_ms(20); /* that it is idle now cannot be seen from here */
	lock_take(&w->lock);
	w->open = false;
	lock_drop(&w->lock);
	join(w, "a", &a);
	join(w, "b", &b);
	assert_true(await(w, &w->running, 2));
	open_gate(w);
	assert_int_equal(parked_wait(&a), 0);
	assert_int_equal(parked_wait(&b), 0);
	parked_fini(&first);
	parked_fini(&a);
	parked_fini(&b);
}

static void a_deadline_is_its_waiters_own(void **state)
{
	struct parked hasty, patient;
	struct world *w = *state;
	int64_t start = clock_ms();

	join(w, "same", &patient);
	parked_init(&hasty, SHORT_MS);
	assert_int_equal(join_as(w, "same", &hasty), PARKED);
	assert_int_equal(parked_wait(&hasty), ERR_TIMEOUT);
	assert_in_range(clock_ms() - start, SHORT_MS, 2 * SHORT_MS);
	assert_int_equal(parked_woken(&patient), 0);
	open_gate(w);
	assert_int_equal(parked_wait(&patient), 0);
	parked_fini(&hasty);
	parked_fini(&patient);
}

static void an_impatient_waiter_is_sent_back_and_the_job_goes_on(void **state)
{
	struct job_arg *a = malloc(sizeof(*a));
	struct parked p, patient, beside;
	struct world *w = *state;
	int64_t start = clock_ms();

	assert_non_null(a);
	a->world = w;
	parked_init(&p, MINUTE_MS);
	assert_int_equal(
		flight_join(w->flight, "old", work, a, free_arg, start + SHORT_MS, &p.waiter),
		PARKED);
	join(w, "new", &patient);
	join(w, "old", &beside); /* whose patience is its own */
	assert_int_equal(parked_wait(&p), 0);
	assert_in_range(clock_ms() - start, SHORT_MS, 3 * SHORT_MS);
	assert_int_equal(value_of(w, &w->freed), 1); /* what beside brought */
	assert_int_equal(parked_woken(&patient), 0);
	assert_int_equal(parked_woken(&beside), 0);
	open_gate(w);
	assert_int_equal(parked_wait(&patient), 0);
	assert_int_equal(parked_wait(&beside), 0);
	assert_true(await(w, &w->freed, 3));
	assert_int_equal(parked_woken(&p), 1);
	parked_fini(&p);
	parked_fini(&beside);
	parked_fini(&patient);
}

static void who_leaves_is_not_woken_and_the_job_goes_on(void **state)
{
	struct parked p;
	struct world *w = *state;

	join(w, "same", &p);
	assert_true(await(w, &w->running, 1));
	assert_int_equal(flight_leave(w->flight, &p.waiter), 1);
	assert_int_equal(flight_leave(w->flight, &p.waiter), 0);
	open_gate(w);
	assert_true(await(w, &w->freed, 1));
	assert_int_equal(w->ran, 1);
	assert_int_equal(parked_woken(&p), 0);
	parked_fini(&p);
}

static void who_was_woken_cannot_leave(void **state)
{
	struct parked p;
	struct world *w = *state;

	open_gate(w);
	join(w, "same", &p);
	assert_int_equal(parked_wait(&p), 0);
	assert_int_equal(flight_leave(w->flight, &p.waiter), 0);
	parked_fini(&p);
}

static void an_interrupt_before_joining_counts(void **state)
{
	struct parked p;
	struct world *w = *state;

	parked_init(&p, MINUTE_MS);
	atomic_store(&p.waiter.canceled, 1);
	assert_int_equal(join_as(w, "same", &p), ERR_CANCELED);
	assert_int_equal(value_of(w, &w->freed), 1);
	assert_int_equal(value_of(w, &w->ran), 0);
	assert_int_equal(parked_woken(&p), 0);
	parked_fini(&p);
}

static void stopping_wakes_all_and_ends_what_runs(void **state)
{
	struct parked p[8], late;
	struct world *w = *state;
	char key[16];

	for (int i = 0; i < 8; i++) {
		snprintf(key, sizeof(key), "%d", i);
		join(w, key, &p[i]);
	}
	assert_true(await(w, &w->running, 4));
	flight_stop(w->flight);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(parked_wait(&p[i]), ERR_STOPPING);
		assert_int_equal(parked_woken(&p[i]), 1);
		parked_fini(&p[i]);
	}
	assert_int_equal(w->ran, 4); /* the queued ones never began */
	assert_int_equal(w->freed, 8);
	parked_init(&late, MINUTE_MS);
	assert_int_equal(join_as(w, "late", &late), ERR_STOPPING);
	assert_int_equal(w->freed, 9);
	parked_fini(&late);
}

/* Number of this process' threads of that name. */
static int count_threads(const char *name)
{
	CLEANUP(closedirp) DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		char path[300], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f))
			comm[strcspn(comm, "\n")] = '\0';
		fclose(f);
		n += strcmp(comm, name) == 0;
	}
	return n;
}

static void idle_workers_end_and_new_ones_start(void **state)
{
	int64_t deadline = clock_ms() + PARKED_WAIT_MS;
	struct parked p;
	struct world *w = *state;

	open_gate(w);
	join(w, "a", &p);
	assert_int_equal(parked_wait(&p), 0);
	parked_fini(&p);
	while (count_threads("mfs-meta") > 0 && clock_ms() < deadline)
		clock_sleep_ms(5);
	assert_int_equal(count_threads("mfs-meta"), 0);
	join(w, "a", &p);
	assert_int_equal(parked_wait(&p), 0);
	parked_fini(&p);
}

static int note_once(struct flight_job *job UNUSED)
{
	if (*err_noted(ERR_UPSTREAM))
		return ERR_PROTO;
	err_note(ERR_UPSTREAM, "Connection refused");
	return ERR_UPSTREAM;
}

static void no_job_has_the_reasons_of_another(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 4; i++) {
		struct parked p;

		parked_init(&p, MINUTE_MS);
		assert_int_equal(flight_join(w->flight, "a", note_once, malloc(1), free,
					     CLOCK_FOREVER, &p.waiter),
				 PARKED);
		assert_int_equal(parked_wait(&p), ERR_UPSTREAM);
		parked_fini(&p);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fifty_who_ask_the_same_are_answered_by_one_job),
		TEST(who_asks_something_else_has_a_job_of_its_own),
		TEST(who_asks_after_the_end_starts_anew),
		TEST(no_more_jobs_run_at_once_than_allowed),
		TEST(two_jobs_at_once_do_not_wait_for_one_idle_worker),
		TEST(a_deadline_is_its_waiters_own),
		TEST(who_leaves_is_not_woken_and_the_job_goes_on),
		TEST(an_impatient_waiter_is_sent_back_and_the_job_goes_on),
		TEST(who_was_woken_cannot_leave),
		TEST(an_interrupt_before_joining_counts),
		TEST(stopping_wakes_all_and_ends_what_runs),
		TEST(idle_workers_end_and_new_ones_start),
		TEST(no_job_has_the_reasons_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
