/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/warmup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/pair.h"

static struct job_progress warm_up(struct pair *p, bool share, uint64_t *ret_id)
{
	assert_int_equal(warmup_start(p->warmups[0], &p->id, "main", share, ret_id), 0);
	return pair_await(p, 0, *ret_id);
}

/* What is told of each node of a warm-up. */
static struct jdoc *tell(struct pair *p, uint64_t id)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct jwrite w = { .to = &text };
	struct jdoc *d = NULL;

	assert_int_equal(warmup_write(p->warmups[0], id, &w), 0);
	assert_int_equal(jdoc_parse(buf_str(&text), text.len, &d), 0);
	assert_int_equal(jval_count(jval_get(jdoc_root(d), "nodes")), PAIR);
	return d;
}

static const struct jval *node_of(const struct jdoc *d, const char *address)
{
	const struct jval *nodes = jval_get(jdoc_root(d), "nodes");

	for (size_t i = 0; i < jval_count(nodes); i++)
		if (!strcmp(jval_get_str(jval_at(nodes, i), "address"), address))
			return jval_at(nodes, i);
	fail_msg("%s is missing", address);
	return NULL;
}

static void every_node_fetches_all_of_it(void **state)
{
	struct pair *p = *state;
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	uint64_t id;
	struct job_progress at = warm_up(p, false, &id);

	assert_int_equal(at.state, JOB_DONE);
	assert_int_equal(at.kind, JOB_WARMUP);
	assert_string_equal(at.what, "models/org/model@main");
	assert_int_equal(at.bytes_total, PAIR * PAIR_SIZE);
	assert_int_equal(at.bytes_done, PAIR * PAIR_SIZE);
	assert_int_equal(at.files_done, PAIR * 2);
	d = tell(p, id);
	for (int i = 0; i < PAIR; i++) {
		const struct jval *node = node_of(d, p->address[i]);

		assert_int_equal(pair_has(p, i, &p->big), PAIR_BIG_SIZE);
		assert_int_equal(pair_has(p, i, &p->small), PAIR_SMALL_SIZE);
		assert_string_equal(jval_get_str(node, "state"), "done");
		assert_int_equal(jval_get_size(node, "bytes_done"), PAIR_SIZE);
		assert_null(jval_get_str(node, "error"));
	}
}

/* The twin: all of it is there once, among them. */
static void every_node_fetches_its_share(void **state)
{
	struct pair *p = *state;
	uint64_t id, big;
	struct job_progress at = warm_up(p, true, &id);

	assert_int_equal(at.state, JOB_DONE);
	assert_string_equal(at.what, "shares of models/org/model@main");
	assert_int_equal(at.bytes_total, PAIR_SIZE);
	big = pair_has(p, 0, &p->big) + pair_has(p, 1, &p->big);
	assert_int_equal(big, PAIR_BIG_SIZE);
}

static void a_node_that_does_not_answer_fails_it_and_the_others_end(void **state)
{
	struct pair *p = *state;
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	uint64_t id;
	struct job_progress at = warm_up(p, false, &id);
	const struct jval *gone;

	assert_int_equal(at.state, JOB_FAILED);
	assert_int_equal(at.error, ERR_NODES);
	assert_non_null(strstr(at.why, p->address[1]));
	assert_int_equal(pair_has(p, 0, &p->big), PAIR_BIG_SIZE);
	d = tell(p, id);
	gone = node_of(d, p->address[1]);
	assert_string_equal(jval_get_str(gone, "state"), "failed");
	assert_string_equal(jval_get_str(gone, "error"), "it does not answer");
	assert_string_equal(jval_get_str(node_of(d, p->address[0]), "state"), "done");
}

static void who_hangs_does_not_hold_up_the_others(void **state)
{
	struct pair *p = *state;
	int64_t begun_ms = clock_ms();
	uint64_t id;
	struct job_progress at = warm_up(p, false, &id);

	assert_int_equal(at.state, JOB_FAILED);
	assert_int_equal(pair_has(p, 1, &p->big), PAIR_BIG_SIZE);
	assert_in_range(clock_ms() - begun_ms, 0, 15000); /* one after the other: 24 s */
}

static void the_same_again_while_it_runs_is_the_same(void **state)
{
	struct pair *p = *state;
	uint64_t id, again;

	assert_int_equal(warmup_start(p->warmups[0], &p->id, "main", false, &id), 0);
	assert_int_equal(warmup_start(p->warmups[0], &p->id, "main", false, &again), 0);
	assert_int_equal(id, again);
	assert_int_equal(pair_await(p, 0, id).state, JOB_DONE);
}

static void what_cannot_be_a_revision_is_none(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	assert_int_equal(warmup_start(p->warmups[0], &p->id, "a..b", false, &id), ERR_NOREV);
}

static void of_a_job_that_is_none_nothing_is_told(void **state)
{
	struct pair *p = *state;
	CLEANUP(buf_free) struct buf text = { 0 };
	struct jwrite w = { .to = &text };

	assert_int_equal(warmup_write(p->warmups[0], 12345, &w), -ENOENT);
	assert_int_equal(text.len, 0);
}

static void without_peers_there_is_nobody_to_tell(void **state)
{
	struct pair *p = *state;
	uint64_t id;

	assert_int_equal(warmup_start(p->warmups[0], &p->id, "main", false, &id), -ENOENT);
}

#define STORY(name, setup) cmocka_unit_test_setup_teardown(name, setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(every_node_fetches_all_of_it, pair_setup),
		STORY(every_node_fetches_its_share, pair_setup),
		STORY(a_node_that_does_not_answer_fails_it_and_the_others_end, pair_setup_half),
		STORY(who_hangs_does_not_hold_up_the_others, pair_setup_deaf),
		STORY(the_same_again_while_it_runs_is_the_same, pair_setup),
		STORY(what_cannot_be_a_revision_is_none, pair_setup_half),
		STORY(of_a_job_that_is_none_nothing_is_told, pair_setup_half),
		STORY(without_peers_there_is_nobody_to_tell, pair_setup_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
