/* SPDX-License-Identifier: Apache-2.0 */
/* What members are told of digests, by requests that serve.c has let in. */
#include "daemon/peer/serve_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#include "daemon/base/clock.h"
#include "tests/served.h"
#include "tests/verifying.h"

struct fixture {
	struct verifying *v;
	struct served served;
	struct serve serve;
	struct peer_host host;
	int may; /* what the program says of who may have it */
};

static int may(void *arg, const struct peer_gift *gift UNUSED)
{
	struct fixture *f = arg;

	return f->may;
}

static void handle(void *arg, struct httpd_request *q)
{
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 };
	struct fixture *f = arg;
	const struct guest g = { .serve = &f->serve, .http = q, .nonce = "1", .address = "a:1" };
	struct wire_ask ask;

	if (wire_read_ask(httpd_target(q), "", &ask, &path, &why) < 0)
		serve_no_sense(&g, "question", buf_str(&why));
	else
		serve_digests(&g, &ask);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *v;

	assert_non_null(f);
	assert_int_equal(verifying_set_up(&v), 0);
	f->v = v;
	f->host = (struct peer_host){ .may = may, .arg = f };
	f->serve.conf = (struct serve_conf){
		.key = f->v->key,
		.members = f->v->members,
		.placement = &f->v->placement,
		.counts = &f->v->counts,
		.host = &f->host,
		.zone = "",
		.process = "77",
	};
	f->serve.answers = f->v->cell.answers;
	served_start(&f->served, handle, f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *v = f->v;

	served_stop(&f->served);
	assert_int_equal(verifying_tear_down(&v), 0);
	free(f);
	return 0;
}

/* Until it has been found out. */
static int ask(struct fixture *f, const struct source_blob *what, bool witness)
{
	CLEANUP(buf_free) struct buf target = { 0 }, range = { 0 };
	struct wire_ask ask = wire_ask_of(what, 0, VERIFYING_SIZE);
	int64_t until_ms = clock_ms() + 10000;
	int status;

	ask.digests = true;
	ask.witness = witness;
	assert_int_equal(wire_write_ask(&ask, &target, &range), 0);
	while ((status = served_ask(&f->served, "GET", buf_str(&target))) == WIRE_COMING &&
	       clock_ms() < until_ms)
		clock_sleep_ms(10);
	return status;
}

/* A file that this node is to be a witness of, or is not. */
static void find_file(struct fixture *f, bool witness, uint64_t *seed, struct source_blob *ret)
{
	const struct membership *members = members_now(f->v->members);
	uint32_t owners[PLACEMENT_OWNERS];
	bool is;

	do {
		unsigned n;

		fake_blob(++*seed, VERIFYING_SIZE, DIGEST_SHA256, ret);
		n = placement_cache_owners(&f->v->placement, members,
					   (struct segment){ placement_key(ret->etag), 0 },
					   VERIFYING_SIZE, owners);
		is = false;
		for (unsigned i = 1; i < n; i++)
			is |= owners[i] == members->self;
	} while (is != witness);
	membership_unref(members);
}

static void what_a_hub_gave_is_told_and_signed(void **state)
{
	struct fixture *f = *state;
	uint8_t digest[CHUNK_LIST_DIGEST];
	char hex[2 * CHUNK_LIST_DIGEST + 1];

	cell_put(&f->v->cell, &f->v->what, 1, f->v->seed, NULL);
	assert_int_equal(ask(f, &f->v->what, false), WIRE_TOLD);
	cell_digest(f->v->seed, VERIFYING_SIZE, 1, digest);
	hex_print(digest, sizeof(digest), hex);
	assert_true(served_says(&f->served, hex));
	assert_true(
		served_says(&f->served, WIRE_DIGESTS ": -,")); /* of the first nothing is known */
	assert_true(served_says(&f->served, "Authentication-Info: MatrixFS key="));
}

/* The twin. */
static void what_a_member_gave_is_not(void **state)
{
	struct fixture *f = *state;

	cell_put(&f->v->cell, &f->v->what, 1, f->v->seed, f->v->giver->address);
	assert_int_equal(ask(f, &f->v->what, false), WIRE_NOT_HERE);
	assert_false(served_says(&f->served, WIRE_DIGESTS));
	assert_true(served_says(&f->served, "Authentication-Info: MatrixFS key="));
}

/* What it says is what a hub gives it now. */
static void who_follows_the_owner_is_a_witness(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 1000;
	struct source_blob what;

	find_file(f, true, &seed, &what);
	f->v->cell.node.hub.seed = seed;
	cell_put(&f->v->cell, &what, 0, seed, f->v->giver->address); /* it knows the file */
	assert_int_equal(ask(f, &what, true), WIRE_TOLD);
	assert_false(served_says(&f->served, "-,"));
}

/* The twin: it would cost a hub a segment. */
static void who_does_not_is_none(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 1000;
	struct source_blob what;

	find_file(f, false, &seed, &what);
	f->v->cell.node.hub.seed = seed;
	cell_put(&f->v->cell, &what, 0, seed, f->v->giver->address);
	assert_int_equal(ask(f, &what, true), WIRE_NOT_HERE);
	assert_int_equal(f->v->cell.node.hub.bytes, 0);
}

static void who_may_not_have_the_file_is_told_nothing(void **state)
{
	struct fixture *f = *state;

	cell_put(&f->v->cell, &f->v->what, 1, f->v->seed, NULL);
	f->may = -ENOENT;
	assert_int_equal(ask(f, &f->v->what, false), WIRE_NOT_HERE);
	assert_false(served_says(&f->served, WIRE_DIGESTS));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_hub_gave_is_told_and_signed),        TEST(what_a_member_gave_is_not),
		TEST(who_follows_the_owner_is_a_witness),        TEST(who_does_not_is_none),
		TEST(who_may_not_have_the_file_is_told_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
