/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/opened.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/fetch/pull.h"
#include "tests/fetching.h"

#define MIB (UINT64_C(1) << 20)
#define SIZE (3 * MIB)
#define TIB (UINT64_C(1) << 40)

enum { NOBODY, ONE, ANOTHER, LATECOMER = 100 }; /* who has blobs made */

struct world {
	struct fetching node;
	struct opened *opened;
	struct source_blob what, larger, elsewhere; /* the same blob, as others say */
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	fetching_init(&w->node, "hub", 7, true);
	fake_blob(7, SIZE, DIGEST_SHA256, &w->what);
	w->larger = w->elsewhere = w->what;
	w->larger.file.size++;
	w->elsewhere.path = "b/other";
	assert_int_equal(opened_start(w->node.fetch, w->node.store, &w->opened), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	fetch_stop(w->node.fetch);
	opened_stop(w->opened);
	fetching_fini(&w->node);
	free(w);
	return 0;
}

static struct pull *take(struct world *w, const struct source_blob *what, uint64_t maker)
{
	struct pull *p;

	assert_int_equal(opened_take(w->opened, what, maker, &p), 0);
	return p;
}

static int refusal(struct world *w, const struct source_blob *what, uint64_t maker)
{
	struct pull *p;

	return opened_take(w->opened, what, maker, &p);
}

/* A first chunk is there, and nobody has the blob open. */
static void leave_a_part(struct world *w)
{
	char *bytes = calloc(1, MIB);
	struct blob *b;

	assert_non_null(bytes);
	memset(bytes, 7, MIB);
	assert_int_equal(store_blob(w->node.store, w->what.etag, SIZE, false, &b), 0);
	assert_int_equal(blob_write(b, bytes, MIB, 0), 0);
	assert_int_equal(blob_put_chunk(b, 0, 1), 0);
	blob_unref(b);
	free(bytes);
	assert_int_equal(store_present_bytes(w->node.store, w->what.etag, SIZE), MIB);
}

/* ---- sizes ---- */

static void a_wrong_size_makes_no_part_of_a_blob_go(void **state)
{
	struct world *w = *state;

	leave_a_part(w);
	assert_int_equal(refusal(w, &w->larger, ONE), ERR_SIZE);
	assert_int_equal(refusal(w, &w->larger, NOBODY), ERR_SIZE);
	assert_int_equal(store_present_bytes(w->node.store, w->what.etag, SIZE), MIB);
	opened_give(w->opened, take(w, &w->what, NOBODY));
	assert_int_equal(store_present_bytes(w->node.store, w->what.etag, SIZE), MIB);
}

static void a_wrong_size_does_not_stay_for_the_next_guest(void **state)
{
	struct world *w = *state;
	struct pull *p = take(w, &w->larger, ONE);
	uint64_t size;

	assert_int_equal(refusal(w, &w->what, ONE), ERR_SIZE); /* it is used now */
	opened_give(w->opened, p);
	opened_stop(w->opened); /* as it is idle */
	assert_int_equal(store_blob_size(w->node.store, w->what.etag, &size), 0);
	assert_int_equal(size, SIZE + 1);
	assert_int_equal(opened_start(w->node.fetch, w->node.store, &w->opened), 0);
	opened_give(w->opened, take(w, &w->what, ONE)); /* nothing is lost by that */
	assert_int_equal(store_blob_size(w->node.store, w->what.etag, &size), 0);
	assert_int_equal(size, SIZE);
}

/* Somebody has it open here with its true size, and nobody with another one. */
static void wins(struct world *w)
{
	struct pull *q;

	assert_int_equal(fetch_open(w->node.fetch, &w->what, &q), 0);
	assert_int_equal(refusal(w, &w->larger, ONE), ERR_SIZE);
	assert_int_equal(blob_size(fetch_blob(q)), SIZE);
	fetch_close(w->node.fetch, q);
}

static void who_opens_it_here_wins_over_an_idle_guest(void **state)
{
	struct world *w = *state;

	opened_give(w->opened, take(w, &w->larger, ONE));
	wins(w);
}

/* A member who waits for the first bytes, and goes when it is told what became of that. */
struct visitor {
	struct world *w;
	struct pull *pull;
	struct waiter waiter;
	int told;
};

static void go(struct waiter *waiter, int r)
{
	struct visitor *v = container_of(waiter, struct visitor, waiter);

	v->told = r;
	opened_give(v->w->opened, v->pull);
}

static int read_first(struct visitor *v)
{
	const void *data;
	uint64_t len;

	return fetch_read(v->w->node.fetch, v->pull, 0, 100, &v->waiter, &data, &len);
}

/* One that wants it with another size, of which the hub gives nothing. */
static void come(struct world *w, struct visitor *v)
{
	const struct fake_rule hold = { .act = FAKE_HOLD };

	fake_source_rule(&w->node.hub, &hold);
	*v = (struct visitor){ .w = w, .pull = take(w, &w->larger, ONE) };
	waiter_init(&v->waiter, 60000, go);
	v->waiter.only = 100;
	assert_int_equal(read_first(v), PARKED);
	assert_true(fake_source_await_held(&w->node.hub, 1));
}

static void who_opens_it_here_wins_over_a_guest_that_waits(void **state)
{
	struct world *w = *state;
	struct visitor v;

	come(w, &v);
	assert_int_equal(refusal(w, &w->what, ONE), ERR_SIZE); /* the twin: another guest */
	assert_int_equal(v.told, 0);
	wins(w);
	assert_int_equal(v.told, ERR_SIZE);
}

static void a_guest_that_does_not_go_waits_for_nothing_more(void **state)
{
	struct world *w = *state;
	struct pull *p = take(w, &w->larger, ONE), *q;
	struct visitor v;

	come(w, &v); /* the other one stays */
	assert_int_equal(fetch_open(w->node.fetch, &w->what, &q), ERR_SIZE);
	assert_int_equal(v.told, ERR_SIZE);
	assert_int_equal(read_first(&v), ERR_SIZE);
	opened_give(w->opened, p);
	wins(w);
}

static void who_reads_it_here_is_not_turned_out(void **state)
{
	struct world *w = *state;
	struct pull *here, *q;
	struct visitor v;

	come(w, &v);
	assert_int_equal(fetch_open(w->node.fetch, &w->larger, &here), 0);
	assert_int_equal(fetch_open(w->node.fetch, &w->what, &q), ERR_SIZE);
	assert_int_equal(v.told, 0);
	fetch_close(w->node.fetch, here);
	wins(w);
}

static void who_opens_it_here_with_the_same_size_shares_it(void **state)
{
	struct world *w = *state;
	struct pull *p = take(w, &w->what, ONE), *q;

	opened_give(w->opened, p);
	assert_int_equal(fetch_open(w->node.fetch, &w->what, &q), 0);
	assert_ptr_equal(p, q);
	fetch_close(w->node.fetch, q);
}

/* ---- at once ---- */

#define GUESTS 8
#define CROWDED_BLOBS 100 /* which is less than one member may have made */

struct crowd {
	struct world *w;
	pthread_barrier_t start;
	bool together;
	pthread_mutex_t alone; /* held by who takes one, if they are not together */
};

static void *take_all(void *arg)
{
	struct crowd *c = arg;
	struct source_blob what = c->w->what;

	for (unsigned i = 0; i < CROWDED_BLOBS; i++) {
		snprintf(what.etag, sizeof(what.etag), "%064x", i);
		pthread_barrier_wait(&c->start);
		if (!c->together)
			pthread_mutex_lock(&c->alone);
		opened_give(c->w->opened, take(c->w, &what, ONE));
		if (!c->together)
			pthread_mutex_unlock(&c->alone);
	}
	return NULL;
}

/* How many blobs are open after all guests have taken and given each, at the same time or one after
 * another, and what they left idle was closed. */
static size_t left_open(struct world *w, bool together)
{
	struct crowd c = { .w = w, .together = together };
	pthread_t guests[GUESTS];

	pthread_barrier_init(&c.start, NULL, GUESTS);
	pthread_mutex_init(&c.alone, NULL);
	for (unsigned i = 0; i < GUESTS; i++)
		assert_int_equal(pthread_create(&guests[i], NULL, take_all, &c), 0);
	for (unsigned i = 0; i < GUESTS; i++)
		pthread_join(guests[i], NULL);
	pthread_mutex_destroy(&c.alone);
	pthread_barrier_destroy(&c.start);
	opened_stop(w->opened);
	assert_int_equal(opened_start(w->node.fetch, w->node.store, &w->opened), 0);
	return fetch_pulls(w->node.fetch)->by_etag.count;
}

static void who_open_one_at_once_leave_none_open(void **state)
{
	assert_int_equal(left_open(*state, true), 0);
}

static void nor_do_they_one_after_another(void **state)
{
	assert_int_equal(left_open(*state, false), 0);
}

/* ---- places, and how many ---- */

static void what_is_to_be_brought_is_looked_for_where_any_guest_says(void **state)
{
	struct world *w = *state;
	struct pull *p = take(w, &w->what, ONE);

	assert_ptr_equal(take(w, &w->elsewhere, NOBODY), p);
	assert_null(p->origins.first->next); /* only looked for here */
	assert_ptr_equal(take(w, &w->elsewhere, ONE), p);
	assert_non_null(p->origins.first->next);
	assert_string_equal(p->origins.first->next->what.path, "b/other");
	for (int i = 0; i < 3; i++)
		opened_give(w->opened, p);
}

static void what_is_not_here_is_opened_only_to_be_brought(void **state)
{
	struct world *w = *state;

	assert_int_equal(refusal(w, &w->what, NOBODY), -ENOENT);
	opened_give(w->opened, take(w, &w->what, ONE));
	opened_give(w->opened, take(w, &w->what, NOBODY));
}

/* So many that are not whole, of one member. */
static struct source_blob make(struct world *w, unsigned count, uint64_t size)
{
	struct source_blob what = w->what;

	what.file.size = size;
	for (unsigned i = 0; i < count; i++) {
		snprintf(what.etag, sizeof(what.etag), "%064x", i);
		opened_give(w->opened, take(w, &what, ONE));
	}
	return what;
}

static void one_member_has_so_many_made_and_others_go_on(void **state)
{
	struct world *w = *state;
	struct source_blob last = make(w, OPENED_OF_MEMBER, SIZE);
	uint64_t size;

	assert_int_equal(refusal(w, &w->what, ONE), -EMFILE);
	assert_int_equal(store_blob_size(w->node.store, w->what.etag, &size), -ENOENT);
	opened_give(w->opened, take(w, &last, ONE)); /* one of them */
	opened_give(w->opened, take(w, &w->what, ANOTHER));
	opened_give(w->opened, take(w, &w->what, ONE)); /* it is open for that one */
}

static void who_had_so_many_made_gets_what_is_whole(void **state)
{
	struct world *w = *state;
	struct blob *b;

	make(w, OPENED_OF_MEMBER, SIZE);
	assert_int_equal(store_blob(w->node.store, w->what.etag, SIZE, false, &b), 0);
	assert_int_equal(refusal(w, &w->what, ONE), -EMFILE); /* it is not yet */
	for (uint32_t i = 0; i < blob_chunks(b); i++)
		assert_int_equal(blob_put_chunk(b, i, 1), 0);
	assert_int_equal(blob_seal(b), 0);
	opened_give(w->opened, take(w, &w->what, ONE));
	blob_unref(b);
}

#ifndef __SANITIZE_THREAD__
static void one_member_has_so_much_made_and_what_is_closed_counts_no_more(void **state)
{
	struct world *w = *state;
	struct source_blob what = make(w, OPENED_BYTES_OF_MEMBER / TIB, TIB);

	assert_int_equal(refusal(w, &w->what, ONE), -EMFILE);
	opened_stop(w->opened); /* as they are idle */
	assert_int_equal(opened_start(w->node.fetch, w->node.store, &w->opened), 0);
	opened_give(w->opened, take(w, &w->what, ONE));
	make(w, OPENED_BYTES_OF_MEMBER / TIB - 1, TIB);
	assert_int_equal(refusal(w, &what, ONE),
			 -EMFILE); /* its file is here, but it is not whole */
	opened_give(w->opened, take(w, &what, NOBODY));
}
#endif

/* As many as may be, eight members' in turn; those of ONE are used longest ago. */
static void fill(struct world *w, struct pull *ret[static OPENED_MAX])
{
	struct source_blob what = w->what;

	for (unsigned i = 0; i < OPENED_MAX; i++) {
		snprintf(what.etag, sizeof(what.etag), "%064x", i);
		ret[i] = take(w, &what, ONE + i / OPENED_OF_MEMBER);
	}
	for (unsigned i = 0; i < OPENED_MAX; i++) {
		if (i == OPENED_OF_MEMBER)
			clock_sleep_ms(5);
		opened_give(w->opened, ret[i]);
	}
}

static void so_many_are_in_use_and_no_more(void **state)
{
	struct world *w = *state;
	struct source_blob what = w->what;
	struct pull *all[OPENED_MAX];

	fill(w, all);
	for (unsigned i = 0; i < OPENED_MAX; i++) {
		snprintf(what.etag, sizeof(what.etag), "%064x", i);
		all[i] = take(w, &what, NOBODY);
	}
	assert_int_equal(refusal(w, &w->what, LATECOMER), -EMFILE);
	assert_int_equal(refusal(w, &w->what, NOBODY), -ENOENT);
	opened_give(w->opened, take(w, &what, ONE)); /* one of them */
	opened_give(w->opened, all[7]);
	opened_give(w->opened, take(w, &w->what, LATECOMER)); /* the twin: one is idle */
	for (unsigned i = 0; i < OPENED_MAX; i++)
		if (i != 7)
			opened_give(w->opened, all[i]);
}

/* A folder of many small files, which are asked for one after another. */
static void the_one_used_longest_ago_makes_room(void **state)
{
	struct world *w = *state;
	struct source_blob what = w->what;
	struct pull *all[OPENED_MAX];

	fill(w, all);
	opened_give(w->opened, take(w, &w->what, LATECOMER));
	snprintf(what.etag, sizeof(what.etag), "%064x", OPENED_MAX);
	assert_int_equal(refusal(w, &what, ANOTHER), -EMFILE); /* its own are all there still */
	opened_give(w->opened, take(w, &what, ONE));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_wrong_size_makes_no_part_of_a_blob_go),
		STORY(a_wrong_size_does_not_stay_for_the_next_guest),
		STORY(who_opens_it_here_wins_over_an_idle_guest),
		STORY(who_opens_it_here_wins_over_a_guest_that_waits),
		STORY(a_guest_that_does_not_go_waits_for_nothing_more),
		STORY(who_reads_it_here_is_not_turned_out),
		STORY(who_opens_it_here_with_the_same_size_shares_it),
		STORY(who_open_one_at_once_leave_none_open),
		STORY(nor_do_they_one_after_another),
		STORY(what_is_to_be_brought_is_looked_for_where_any_guest_says),
		STORY(what_is_not_here_is_opened_only_to_be_brought),
		STORY(one_member_has_so_many_made_and_others_go_on),
		STORY(who_had_so_many_made_gets_what_is_whole),
#ifndef __SANITIZE_THREAD__ /* its address space has no room for four files of a TiB */
		STORY(one_member_has_so_much_made_and_what_is_closed_counts_no_more),
#endif
		STORY(so_many_are_in_use_and_no_more),
		STORY(the_one_used_longest_ago_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
