/* SPDX-License-Identifier: Apache-2.0 */
/* Two members, both played: one that is asked first, and one that is asked besides when the first
 * lets a reader wait. */
#include "daemon/peer/race.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/source_peer.h"
#include "tests/stand_in.h"

#define SIZE (4 * CHUNK_BYTES)
#define WARM 13 /* so often all of it comes before a chunk may come twice */
#define BIT 10000
#define STALL_MS 1500

enum manner {
	GIVES,
	STALLS,  /* after a bit of the first chunk, but for drops, until nobody listens */
	TIRES,   /* likewise, but after two */
	HICCUPS, /* after half of it, and goes on after STALL_MS */
	HOPES,   /* says that it comes */
	HAS_NOT,
};

struct player {
	struct stand_in s;
	_Atomic enum manner manner;
	atomic_uint asked, to_bring; /* and how often to fetch what it has not */
};

struct fixture {
	struct player first, second;
	struct members *members;
	struct placement_cache placement;
	struct segment_notes notes;
	struct probes *probes;
	struct provenance *provenance;
	struct digest_lists *lists;
	struct peer_counts counts;
	struct source *source;
	struct httpc_cancel cancel;
	struct source_blob blob;
	uint64_t came, laid;
	int64_t give_up_ms;
	int64_t lay_ms; /* so long it takes, once */
	bool demand;
	int result; /* of what is asked for; 0: all comes */
};

/* ---- the members ---- */

static void give(struct player *p, int fd, const char *request)
{
	CLEANUP(freep) char *bytes = calloc(1, SIZE);
	size_t now, len = stand_in_promise(&p->s, fd, request, SIZE, SIZE);

	now = p->manner == STALLS  ? BIT
	      : p->manner == TIRES ? 2 * CHUNK_BYTES + BIT
				   : CHUNK_BYTES / 2;
	now = p->manner == GIVES ? len : min_u64(now, len);
	stand_in_send(fd, bytes, now);
	if (p->manner == HICCUPS)
		clock_sleep_ms(STALL_MS);
	if (p->manner == STALLS || p->manner == TIRES)
		stand_in_drip(&p->s, fd, "x");
	else
		stand_in_send(fd, bytes, len - now);
}

static void answer(void *arg, int fd, const char *request)
{
	struct player *p = arg;

	p->asked++;
	p->to_bring += strstr(request, "&bring=1") != NULL;
	if (p->manner == HOPES || p->manner == HAS_NOT)
		stand_in_head(&p->s, fd, request, p->manner == HOPES ? 202 : 404, "",
			      "Content-Length: 0", 0);
	else
		give(p, fd, request);
}

/* ---- who asks them ---- */

static void meet(struct fixture *f)
{
	struct member_spec list[3] = { { "127.0.0.1:1", "", 1 }, { "", "", 1 }, { "", "", 1 } };

	snprintf(list[1].address, sizeof(list[1].address), "%s", f->first.s.address);
	snprintf(list[2].address, sizeof(list[2].address), "%s", f->second.s.address);
	assert_int_equal(members_new(&list[0], &f->members), 0);
	assert_int_equal(members_set(f->members, list, 3), 0);
}

/* A blob whose segment is the first one's, and after that the second one's. */
static void find_blob(struct fixture *f)
{
	const struct membership *m = members_now(f->members);
	int first = membership_find(m, f->first.s.address);
	int second = membership_find(m, f->second.s.address);
	uint32_t owners[PLACEMENT_OWNERS] = { m->self };

	f->blob = (struct source_blob){ .commit = "1111111111111111111111111111111111111111",
					.path = "a",
					.file = { .size = SIZE, .kind = DIGEST_SHA256 } };
	assert_int_equal(repo_id_parse(REPO_MODEL, "org/name", &f->blob.repo), 0);
	for (unsigned i = 0; (int)owners[0] != first || (int)owners[1] != second; i++) {
		assert_true(i < 10000);
		snprintf(f->blob.etag, sizeof(f->blob.etag), "%064x", i);
		assert_true(
			placement_cache_owners(&f->placement, m,
					       (struct segment){ placement_key(f->blob.etag), 0 },
					       SIZE, owners) >= 2);
	}
	membership_unref(m);
}

static bool refused(UNUSED void *arg, UNUSED const struct source_refused *r)
{
	return false;
}

static void came(UNUSED void *arg, UNUSED const struct source_blob *what, UNUSED uint32_t i)
{
}

static void make_source(struct fixture *f)
{
	const struct source_peer_conf conf = {
		.members = f->members,
		.placement = &f->placement,
		.notes = &f->notes,
		.probes = f->probes,
		.provenance = f->provenance,
		.lists = f->lists,
		.watch = { came, refused, NULL },
		.asker = &f->first.s.asker,
		.counts = &f->counts,
		.give_up_ms = f->give_up_ms,
	};

	assert_int_equal(source_peer_new(&conf, &f->source), 0);
	f->source->besides_max = 1;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->first.s.answer = f->second.s.answer = answer;
	f->first.s.arg = &f->first;
	f->second.s.arg = &f->second;
	stand_in_start(&f->first.s);
	f->second.s.key = f->first.s.key;
	stand_in_listen(&f->second.s);
	meet(f);
	placement_cache_init(&f->placement);
	segment_notes_init(&f->notes);
	assert_int_equal(provenance_new(1 << 14, &f->provenance), 0);
	assert_int_equal(digest_lists_new(NULL, 0, f->provenance, &f->lists), 0);
	assert_int_equal(probes_new(&f->first.s.asker, f->members, &f->probes), 0);
	find_blob(f);
	f->give_up_ms = 30000;
	make_source(f);
	f->demand = true;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	probes_free(f->probes);
	source_peer_free(f->source);
	digest_lists_free(f->lists);
	provenance_free(f->provenance);
	segment_notes_fini(&f->notes);
	placement_cache_fini(&f->placement);
	members_free(f->members);
	stand_in_hush(&f->second.s);
	stand_in_stop(&f->first.s);
	free(f);
	return 0;
}

static int lay(void *arg, UNUSED const void *data, size_t len)
{
	struct fixture *f = arg;

	clock_sleep_ms(f->lay_ms);
	f->lay_ms = 0;
	f->laid += len;
	return 0;
}

static void take_back(void *arg)
{
	((struct fixture *)arg)->laid = 0;
}

static int take(void *arg, UNUSED const void *data, size_t len)
{
	struct fixture *f = arg;

	f->came += f->laid + len;
	f->laid = 0;
	return 0;
}

/* All of the blob is brought, as the first member is of that manner, and the second of this one:
 * how long that took. */
static int64_t bring(struct fixture *f, enum manner first, enum manner second)
{
	const struct source_ask ask = { .blob = &f->blob,
					.len = SIZE,
					.deadline_ms = CLOCK_FOREVER,
					.demand = f->demand,
					.cancel = &f->cancel,
					.sink = take,
					.lay = lay,
					.take_back = take_back,
					.arg = f };
	int64_t began_ms = clock_ms(), wait_ms;

	f->came = f->laid = 0;
	f->first.manner = first;
	f->second.manner = second;
	f->first.asked = f->second.asked = 0;
	f->first.to_bring = f->second.to_bring = 0;
	assert_int_equal(f->source->get(f->source, &ask, &wait_ms), f->result);
	assert_int_equal(f->came, f->result ? 0 : SIZE);
	return clock_ms() - began_ms;
}

static void warm_up(struct fixture *f)
{
	for (int i = 0; i < WARM; i++)
		bring(f, GIVES, GIVES);
	assert_int_equal(f->second.asked, 0);
	segment_notes_forget(&f->notes, placement_key(f->blob.etag));
}

struct sums {
	struct fixture *f;
	enum member_state first; /* how that one is */
	uint64_t in;
};

static void add_member(void *arg, const struct member_status *s)
{
	struct sums *sums = arg;

	sums->in += s->bytes_in;
	if (!strcmp(s->address, sums->f->first.s.address))
		sums->first = s->state;
}

static struct sums add_up(struct fixture *f)
{
	struct sums sums = { .f = f };

	members_each(f->members, clock_ms(), add_member, &sums);
	return sums;
}

static uint64_t twice(struct fixture *f)
{
	return metrics_get(&f->counts.bytes_twice);
}

/* ---- stories ---- */

static void who_stalls_is_outrun_by_the_next(void **state)
{
	struct fixture *f = *state;

	warm_up(f);
	assert_in_range(bring(f, STALLS, GIVES), 900, 2200);
	assert_int_equal(metrics_get(&f->counts.raced), 1);
	assert_int_equal(f->second.asked, 2);    /* for the chunk, and for the rest: */
	assert_int_equal(f->second.to_bring, 1); /* for that it is asked alone */
	assert_in_range(twice(f), BIT, 2 * BIT);
	assert_true(twice(f) * 50 <= metrics_get(&f->counts.bytes_in));
	assert_int_equal(add_up(f).first, MEMBER_IS_UP);
	segment_notes_forget(&f->notes, placement_key(f->blob.etag));
	bring(f, GIVES, GIVES); /* and it is asked first all the same */
	assert_int_equal(f->first.asked, 1);
}

static void who_hiccups_and_comes_first_has_won(void **state)
{
	struct fixture *f = *state;

	warm_up(f);
	assert_in_range(bring(f, HICCUPS, STALLS), STALL_MS, STALL_MS + 2000);
	assert_int_equal(metrics_get(&f->counts.raced), 1);
	assert_int_equal(f->first.asked, 1);
	assert_int_equal(f->first.to_bring, 1);
	assert_int_equal(f->second.to_bring, 0);
	assert_in_range(twice(f), BIT, 2 * BIT);
	assert_int_equal(add_up(f).first, MEMBER_IS_UP);
}

static void who_has_nothing_costs_nothing(void **state)
{
	struct fixture *f = *state;

	warm_up(f);
	bring(f, HICCUPS, HAS_NOT);
	assert_int_equal(f->second.asked, 1); /* and then there is nobody left */
	assert_int_equal(f->first.asked, 1);
	assert_int_equal(twice(f), 0);
}

static void who_has_it_coming_does_not_either(void **state)
{
	struct fixture *f = *state;

	warm_up(f);
	bring(f, HICCUPS, HOPES);
	assert_in_range(f->second.asked, 1, 5);
	assert_int_equal(f->first.asked, 1);
	assert_int_equal(twice(f), 0);
}

/* A hub has published that all chunks are others than those that the second one gives. */
static void what_is_wrong_wins_nothing(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(SIZE);
	struct fixture *f = *state;

	warm_up(f);
	assert_non_null(l);
	memset(l->digests, 1, l->count * sizeof(l->digests[0]));
	provenance_learn(f->provenance, f->blob.etag, l, PROVENANCE_PUBLISHED);
	f->result = SOURCE_PASS;
	bring(f, STALLS, GIVES);
	assert_int_equal(metrics_get(&f->counts.raced), 1);
	assert_true(metrics_get(&f->counts.bytes_wrong) >= CHUNK_BYTES);
}

/* Twice within a minute: who gave whole chunks before is not slow for it, and is named for those. */
static struct sums outrun_twice(struct fixture *f, enum manner first)
{
	warm_up(f);
	for (int i = 0; i < WARM; i++)
		bring(f, GIVES, GIVES);
	segment_notes_forget(&f->notes, placement_key(f->blob.etag));
	for (int i = 0; i < 2; i++) {
		bring(f, first, GIVES);
		segment_notes_forget(&f->notes, placement_key(f->blob.etag));
	}
	assert_int_equal(metrics_get(&f->counts.raced), 2);
	return add_up(f);
}

static void who_gives_before_it_is_outrun_is_not_slow(void **state)
{
	struct fixture *f = *state;
	struct sums sums = outrun_twice(f, TIRES);

	assert_int_equal(sums.first, MEMBER_IS_UP);
	assert_true(sums.in >= metrics_get(&f->counts.bytes_in));
}

/* The twin. */
static void who_gives_nothing_is(void **state)
{
	assert_int_equal(outrun_twice(*state, STALLS).first, MEMBER_IS_SLOW);
}

/* Both: the rest is left to the hubs, and not long after that. */
static void who_stalls_besides_is_left_too(void **state)
{
	struct fixture *f = *state;
	int64_t began_ms;

	warm_up(f);
	f->result = SOURCE_PASS;
	began_ms = clock_ms();
	bring(f, STALLS, STALLS);
	assert_in_range(clock_ms() - began_ms, 2000, 9000);
	assert_in_range(twice(f), 2 * BIT, 4 * BIT);
}

/* As the first one hopes, only the source is left after a while. */
static int64_t bring_in_time(struct fixture *f, enum manner second, int result)
{
	source_peer_free(f->source);
	f->give_up_ms = 1200;
	make_source(f);
	warm_up(f);
	f->result = result;
	return bring(f, HOPES, second);
}

static void who_drips_besides_does_not_keep_a_reader_from_the_source(void **state)
{
	assert_in_range(bring_in_time(*state, STALLS, SOURCE_PASS), 2000, 3800);
}

/* The twin. */
static void who_has_half_of_it_by_then_is_waited_for(void **state)
{
	struct fixture *f = *state;

	assert_in_range(bring_in_time(f, HICCUPS, 0), 2000, 6000);
	assert_int_equal(twice(f), 0);
	assert_int_equal(f->second.to_bring, 1); /* the rest comes from it, too */
}

/* The twins: nobody is asked besides. */
static void without_a_reader_there_is_no_race(void **state)
{
	struct fixture *f = *state;

	warm_up(f);
	f->demand = false;
	assert_true(bring(f, HICCUPS, GIVES) >= STALL_MS);
	assert_int_equal(metrics_get(&f->counts.raced), 0);
	assert_int_equal(f->second.asked, 0);
}

static void nor_before_enough_has_come(void **state)
{
	struct fixture *f = *state;

	assert_true(bring(f, HICCUPS, GIVES) >= STALL_MS);
	assert_int_equal(metrics_get(&f->counts.raced), 0);
	assert_int_equal(f->second.asked, 0);
}

static void nor_for_the_time_that_it_takes_to_lay_what_came(void **state)
{
	const int64_t lay_ms = STALL_MS - 100;
	struct fixture *f = *state;
	int64_t took_ms;

	warm_up(f);
	f->lay_ms = lay_ms;
	took_ms = bring(f, HICCUPS, GIVES);
	assert_int_equal(f->lay_ms, 0);
	/* A machine that is so busy lets him wait besides. */
	assert_true(metrics_get(&f->counts.raced) == 0 || took_ms > lay_ms + 1000);
}

static void *leave_soon(void *arg)
{
	struct fixture *f = arg;

	clock_sleep_ms(2000);
	httpc_cancel(f->first.s.asker.http, &f->cancel);
	return NULL;
}

static void who_leaves_ends_both(void **state)
{
	struct fixture *f = *state;
	const struct source_ask ask = { .blob = &f->blob,
					.len = SIZE,
					.deadline_ms = CLOCK_FOREVER,
					.demand = true,
					.cancel = &f->cancel,
					.sink = take,
					.arg = f };
	int64_t began_ms, wait_ms;
	pthread_t thread;

	warm_up(f);
	began_ms = clock_ms();
	f->first.manner = f->second.manner = STALLS;
	assert_int_equal(pthread_create(&thread, NULL, leave_soon, f), 0);
	assert_int_equal(f->source->get(f->source, &ask, &wait_ms), ERR_CANCELED);
	assert_in_range(clock_ms() - began_ms, 1900, 3000);
	assert_int_equal(metrics_get(&f->counts.raced), 1);
	pthread_join(thread, NULL);
}

/* ---- one question alone ---- */

static int race_second(struct fixture *f, struct race *r, enum manner manner)
{
	const struct membership *m = members_now(f->members);
	const struct wire_ask ask = wire_ask_of(&f->blob, CHUNK_BYTES, CHUNK_BYTES);
	int at = membership_find(m, f->second.s.address);

	f->second.manner = manner;
	assert_int_equal(race_begin(r, m->members[at], &ask, 2000, 0, &f->first.s.asker), 0);
	assert_int_equal(r->state, RACE_RUNS);
	for (int i = 0; i < 100 && !race_has_ended(r); i++)
		clock_sleep_ms(5);
	membership_unref(m);
	return race_end(r);
}

static void what_came_whole_is_kept(void **state)
{
	struct race r;
	assert_int_equal(race_second(*state, &r, GIVES), 0);
	assert_int_equal(r.state, RACE_WON);
	assert_int_equal(r.have, CHUNK_BYTES);
	race_fini(&r);
	assert_int_equal(r.state, RACE_NONE);
}

static void what_is_ended_before_is_not_all(void **state)
{
	struct race r;
	assert_int_equal(race_second(*state, &r, STALLS), ERR_CANCELED);
	assert_int_equal(r.state, RACE_NONE);
	assert_in_range(r.have, BIT, 2 * BIT);
	race_fini(&r);
	assert_int_equal(race_second(*state, &r, HAS_NOT), 0);
	assert_int_equal(r.state, RACE_NONE);
	race_fini(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_stalls_is_outrun_by_the_next),
		TEST(who_hiccups_and_comes_first_has_won),
		TEST(who_gives_before_it_is_outrun_is_not_slow),
		TEST(who_gives_nothing_is),
		TEST(what_is_wrong_wins_nothing),
		TEST(who_stalls_besides_is_left_too),
		TEST(who_has_nothing_costs_nothing),
		TEST(who_has_it_coming_does_not_either),
		TEST(who_drips_besides_does_not_keep_a_reader_from_the_source),
		TEST(who_has_half_of_it_by_then_is_waited_for),
		TEST(without_a_reader_there_is_no_race),
		TEST(nor_before_enough_has_come),
		TEST(nor_for_the_time_that_it_takes_to_lay_what_came),
		TEST(who_leaves_ends_both),
		TEST(what_came_whole_is_kept),
		TEST(what_is_ended_before_is_not_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
