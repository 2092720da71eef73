/* SPDX-License-Identifier: Apache-2.0 */
/* A hub that is asked for a digest list, scripted: what it may say, and what that means. */
#include "daemon/hub/hub_chunks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"
#include "tests/fake_origin.h"

#define COMMIT "1111111111111111111111111111111111111111"
#define ETAG "aaaaaaaabbbbbbbbccccccccddddddddaaaaaaaabbbbbbbbccccccccdddddddd"
#define TARGET "/api/models/org/name/chunks/" COMMIT "/dir/a%20b.bin"
#define SIZE (CHUNK_BYTES + 1)
#define TIMEOUT_MS 300

struct fixture {
	struct fake_origin *origin;
	struct httpc *http;
	struct hub *hub;
	struct source_blob what;
	struct buf text; /* the list, as the hub tells it */
};

static int set_up(void **state)
{
	const struct httpc_conf http = { .connect_ms = 1000, .stall_ms = 5000 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct hub_conf conf = { .token = "hf_secret", .timeout_ms = TIMEOUT_MS, .down_ms = 1 };
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(SIZE);

	assert_true(f && l);
	f->origin = fake_origin_start();
	assert_int_equal(httpc_new(&http, &f->http), 0);
	conf.url = fake_origin_url(f->origin);
	conf.http = f->http;
	assert_int_equal(hub_new(&conf, &f->hub), 0);
	assert_int_equal(repo_id_parse(REPO_MODEL, "org/name", &f->what.repo), 0);
	strcpy(f->what.commit, COMMIT);
	strcpy(f->what.etag, ETAG);
	f->what.path = "dir/a b.bin";
	f->what.file.size = SIZE;
	memset(l->digests, 0x5a, sizeof(l->digests[0]) * 2);
	assert_int_equal(chunk_list_print(ETAG, l, &f->text), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	hub_free(f->hub);
	httpc_free(f->http);
	fake_origin_stop(f->origin);
	buf_free(&f->text);
	free(f);
	return 0;
}

static void script(struct fixture *f, int status, const char *headers, const char *body)
{
	fake_origin_clear(f->origin, TARGET);
	fake_origin_add(f->origin, TARGET,
			(struct fake_answer){ .status = status, .headers = headers, .body = body });
}

static int ask(struct fixture *f, int64_t *ret_wait_ms)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	int r = hub_chunk_list(f->hub, &f->what, NULL, &l, ret_wait_ms);

	assert_true((r == 0) == (l != NULL));
	return r;
}

static void a_list_is_understood(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	struct fixture *f = *state;
	int64_t wait_ms = 0;

	script(f, 200, NULL, buf_str(&f->text));
	assert_int_equal(hub_chunk_list(f->hub, &f->what, NULL, &l, &wait_ms), 0);
	assert_int_equal(wait_ms, -1);
	assert_int_equal(l->size, SIZE);
	assert_int_equal(l->count, 2);
	assert_int_equal(l->digests[1][31], 0x5a);
	assert_true(fake_origin_saw(f->origin, TARGET, "Authorization: Bearer hf_secret\r\n"));
}

static void of_datasets_and_behind_redirects_as_well(void **state)
{
#define DATASET "/api/datasets/org/name/chunks/" COMMIT "/dir/a%20b.bin"
	struct fixture *f = *state;

	f->what.repo.type = REPO_DATASET;
	fake_origin_add(f->origin, DATASET,
			(struct fake_answer){ .status = 307, .headers = "Location: /here\r\n" });
	fake_origin_add(f->origin, "/here",
			(struct fake_answer){ .status = 200, .body = buf_str(&f->text) });
	assert_int_equal(ask(f, NULL), 0);
	fake_origin_clear(f->origin, "/here");
	fake_origin_add(f->origin, "/here",
			(struct fake_answer){ .status = 302, .headers = "Location: /here\r\n" });
	assert_int_equal(ask(f, NULL), -ENOENT);
}

static void a_hub_without_lists_has_none(void **state)
{
	static const struct {
		int status;
		const char *headers, *body;
		int result;
	} cases[] = {
		{ 404, NULL, "Sorry", -ENOENT },
		{ 404, "X-Error-Code: EntryNotFound\r\n", NULL, -ENOENT },
		{ 404, "X-Error-Code: RepoNotFound\r\n", NULL, -ENOENT },
		{ 400, NULL, NULL, -ENOENT },
		{ 405, NULL, NULL, -ENOENT },
		{ 409, NULL, "{\"error\":\"not here yet\"}", -ENOENT },
		{ 200, NULL, "<html>welcome</html>", -ENOENT },
		{ 200, NULL, "", -ENOENT },
		{ 200, NULL, "[]", -ENOENT },
		{ 200, NULL, "{\"id\":\"org/name\"}", -ENOENT },
		{ 204, NULL, NULL, -ENOENT },
		{ 401, NULL, NULL, ERR_TOKEN },
		{ 403, "X-Error-Code: GatedRepo\r\n", NULL, ERR_GATED },
		{ 403, NULL, NULL, -EACCES },
		{ 429, NULL, NULL, ERR_BUSY },
		{ 503, NULL, NULL, ERR_SERVER },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		script(f, cases[i].status, cases[i].headers, cases[i].body);
		assert_int_equal(ask(f, NULL), cases[i].result);
	}
	script(f, 200, NULL, buf_str(&f->text)); /* twin */
	assert_int_equal(ask(f, NULL), 0);
}

static void one_that_is_being_made_is_none_yet(void **state)
{
	struct fixture *f = *state;
	int64_t wait_ms = 0;

	script(f, 202, "Retry-After: 2\r\n", "{\"message\":\"later\"}");
	assert_int_equal(ask(f, &wait_ms), -ENOENT);
	assert_int_equal(wait_ms, 2000);
}

static void a_list_of_something_else_makes_no_sense(void **state)
{
	struct fixture *f = *state;

	script(f, 200, NULL, buf_str(&f->text));
	f->what.file.size--; /* one chunk */
	assert_int_equal(ask(f, NULL), ERR_PROTO);
	f->what.file.size += 2; /* two, but another size */
	assert_int_equal(ask(f, NULL), ERR_PROTO);
	f->what.file.size = SIZE;
	f->what.etag[0] = 'b';
	assert_int_equal(ask(f, NULL), ERR_PROTO);
	f->what.etag[0] = 'a';
	assert_int_equal(ask(f, NULL), 0);
}

/* Blanks do not make another list of it: only how much is taken. */
static void no_more_is_taken_than_a_list_can_have(void **state)
{
	struct fixture *f = *state;
	size_t max = (size_t)chunk_list_text_max(SIZE);

	while (f->text.len < max)
		assert_int_equal(buf_add(&f->text, " ", 1), 0);
	script(f, 200, NULL, buf_str(&f->text));
	assert_int_equal(ask(f, NULL), 0);
	assert_int_equal(buf_add(&f->text, " ", 1), 0);
	script(f, 200, NULL, buf_str(&f->text));
	assert_int_equal(ask(f, NULL), -ENOENT);
}

static void nobody_waits_longer_than_for_other_metadata(void **state)
{
	struct fixture *f = *state;
	struct fake_answer slow = { .status = 200, .body = buf_str(&f->text), .before_ms = 3000 };
	int64_t began_ms = clock_ms();

	fake_origin_add(f->origin, TARGET, slow);
	assert_int_equal(ask(f, NULL), ERR_TIMEOUT);
	assert_in_range(clock_ms() - began_ms, TIMEOUT_MS - 50, 2500);
}

static void a_hub_that_is_gone_is_told_of_as_such(void **state)
{
	struct fixture *f = *state;

	fake_origin_add(f->origin, TARGET, (struct fake_answer){ .status = 0 });
	assert_in_range(-ask(f, NULL), 5001, 5100);
	assert_int_not_equal(ask(f, NULL), ERR_PROTO);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_list_is_understood),
		TEST(of_datasets_and_behind_redirects_as_well),
		TEST(a_hub_without_lists_has_none),
		TEST(one_that_is_being_made_is_none_yet),
		TEST(a_list_of_something_else_makes_no_sense),
		TEST(no_more_is_taken_than_a_list_can_have),
		TEST(nobody_waits_longer_than_for_other_metadata),
		TEST(a_hub_that_is_gone_is_told_of_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
