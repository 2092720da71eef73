/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/rulewatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/registry/tag_rules.h"
#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/workers.h"
#include "tests/hub_db.h"

#define SOON_MS 5000

static _Atomic int64_t now_ms;

static int64_t tell_time(void)
{
	return now_ms;
}

/* A watch over one rule of each kind, and the workers that count for it. */
struct watched {
	struct hub_db *h;
	struct workers *workers;
	struct rulewatch *watch;
};

static int put_rules(struct db_txn *t, void *arg UNUSED)
{
	const struct tag_scope s = tag_scope_of_namespace("acme");
	int r = lock_rule_put(t, &s, &(struct lock_rule){ .tags = "v*", .user = "ann" });

	return r < 0 ? r
		     : promotion_rule_put(t, &s,
					  &(struct promotion_rule){
						  .name = "release", .to = "prod", .from = "*" });
}

static int remove_rule(struct db_txn *t, void *arg)
{
	const struct tag_scope s = tag_scope_of_namespace("acme");

	return lock_rule_del(t, &s, arg);
}

static struct watched begin(struct hub_db *h)
{
	const struct workers_conf workers = { "test", 1, 8, false };
	struct watched x = { .h = h };

	assert_int_equal(db_write(h->db, put_rules, NULL), 0);
	assert_int_equal(workers_start(&workers, &x.workers), 0);
	return x;
}

/* Damages the row of either rule. */
static void damage(struct watched *x, bool lock, bool promotion)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	if (lock)
		hub_db_damage(x->h, DB_LOCK_RULES, db_pair(&room, "/acme", "v*"));
	if (promotion)
		hub_db_damage(x->h, DB_PROMOTION_RULES, db_pair(&room, "/acme", "release"));
}

static void watch(struct watched *x)
{
	const struct rulewatch_conf conf = { x->h->db, x->workers, tell_time };

	assert_int_equal(rulewatch_new(&conf, &x->watch), 0);
}

static unsigned told(struct watched *x)
{
	unsigned count = 77;

	assert_int_equal(rulewatch_damaged(x->watch, &count), 0);
	return count;
}

static void end(struct watched *x)
{
	if (x->workers)
		assert_true(workers_stop(x->workers, clock_ms() + SOON_MS));
	rulewatch_free(x->watch);
}

static void rules_of_both_kinds_are_counted_if_they_are_damaged(void **state)
{
	static const struct {
		bool lock, promotion;
		unsigned want;
	} cases[] = { { false, false, 0 }, { true, false, 1 }, { true, true, 2 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct watched x = begin(*state);

		damage(&x, cases[i].lock, cases[i].promotion);
		watch(&x);
		rulewatch_look(x.watch);
		assert_int_equal(told(&x), cases[i].want);
		end(&x);
	}
}

/* Whoever asks a thousand times has them counted once, by a worker; and a minute later again. */
static void who_asks_counts_nothing_and_a_worker_does_now_and_then(void **state)
{
	struct watched x = begin(*state);
	char glob[] = "v*";

	damage(&x, true, false);
	watch(&x);
	now_ms = 1000;
	rulewatch_look(x.watch);
	assert_int_equal(db_write(x.h->db, remove_rule, glob), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(told(&x), 1);
	now_ms += RULEWATCH_MS;
	assert_int_equal(told(&x), 1); /* what is known, while it is found out */
	assert_true(workers_stop(steal(x.workers), clock_ms() + SOON_MS));
	assert_int_equal(told(&x), 0);
	end(&x);
}

static void a_look_after_a_change_is_told_at_once(void **state)
{
	struct watched x = begin(*state);
	char glob[] = "v*";

	damage(&x, true, true);
	watch(&x);
	rulewatch_look(x.watch);
	assert_int_equal(told(&x), 2);
	assert_int_equal(db_write(x.h->db, remove_rule, glob), 0);
	rulewatch_look(x.watch);
	assert_int_equal(told(&x), 1);
	end(&x);
}

/* How many lines name a rule while the watch looks so often. */
static unsigned lines_of(struct watched *x, unsigned looks)
{
	char path[] = "/tmp/rulewatch-XXXXXX", line[4096];
	int fd = mkstemp(path), was = dup(STDERR_FILENO);
	unsigned n = 0;
	FILE *f;

	assert_true(fd >= 0 && was >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	while (looks--)
		rulewatch_look(x->watch);
	assert_true(dup2(was, STDERR_FILENO) >= 0);
	close(was);
	f = fdopen(fd, "r");
	rewind(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "it holds until it is removed kind=") != NULL;
	fclose(f);
	unlink(path);
	return n;
}

static void the_log_names_each_once_and_none_that_is_whole(void **state)
{
	struct watched x = begin(*state);

	watch(&x);
	assert_int_equal(lines_of(&x, 3), 0);
	rulewatch_free(x.watch);
	damage(&x, true, true);
	watch(&x);
	assert_int_equal(lines_of(&x, 3), 2);
	end(&x);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(rules_of_both_kinds_are_counted_if_they_are_damaged),
		STORY(who_asks_counts_nothing_and_a_worker_does_now_and_then),
		STORY(a_look_after_a_change_is_told_at_once),
		STORY(the_log_names_each_once_and_none_that_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
