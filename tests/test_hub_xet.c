/* SPDX-License-Identifier: Apache-2.0 */
/* A hub and its Xet store, both scripted: a file of pieces of two xorbs. */
#include "daemon/hub/hub_xet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/fake_origin.h"
#include "tests/tls_server.h"
#include "tests/xet_maker.h"

#define COMMIT "1111111111111111111111111111111111111111"
#define SHA "aaaaaaaabbbbbbbbccccccccddddddddaaaaaaaabbbbbbbbccccccccdddddddd"
#define HASH "eeeeeeeebbbbbbbbccccccccddddddddeeeeeeeebbbbbbbbccccccccdddddddd"
#define RESOLVE "/org/name/resolve/" COMMIT "/a.bin"
#define TOKENS "/api/models/org/name/xet-read-token/" COMMIT
#define PLAN "/v2/reconstructions/" HASH
#define PLAN_1 "/v1/reconstructions/" HASH
#define CHUNKS 8
#define FOR_EVER 4102444800 /* seconds: the year 2100 */

struct fixture {
	struct fake_origin *origin, *store;
	struct httpc *http;
	struct hub *hub;
	struct made_xorb xorbs[2];
	struct buf heads, token, plan, want, got, spoiled;
	struct buf offered
		[8]; /* tokens that come one after another: what was sent is not written to */
	size_t offered_count;
};

static struct hub *make_hub(struct fixture *f, enum hub_xet xet)
{
	const struct hub_conf conf = {
		.url = fake_origin_url(f->origin),
		.token = "hf_secret",
		.http = f->http,
		.timeout_ms = 5000,
		.xet = xet,
	};
	struct hub *h = NULL;

	assert_int_equal(hub_new(&conf, &h), 0);
	return h;
}

/* Where a chunk of a xorb begins: of the file's bytes, and of those that travel. */
static uint32_t raw_at(const struct made_xorb *x, uint32_t i)
{
	return i ? x->ends[i - 1] : 0;
}

static uint32_t packed_at(const struct made_xorb *x, uint32_t i)
{
	const uint8_t *at = (const uint8_t *)x->bytes.data;

	for (; i; i--)
		at += 8 + (at[1] | at[2] << 8 | at[3] << 16);
	return (uint32_t)(at - (const uint8_t *)x->bytes.data);
}

static void add_part(struct fixture *f, unsigned number, uint32_t from, uint32_t to,
		     const char *end)
{
	const struct made_xorb *x = &f->xorbs[number];

	buf_printf(&f->plan,
		   "{\"url\":\"%s/xorb-%u\",\"ranges\":[{\"chunks\":{\"start\":%u,\"end\":%u},"
		   "\"bytes\":{\"start\":%u,\"end\":%u}}]}%s",
		   fake_origin_url(f->store), number, from, to, packed_at(x, from),
		   packed_at(x, to) - 1, end);
}

static void add_term(struct fixture *f, unsigned number, uint32_t from, uint32_t to,
		     const char *end)
{
	const struct made_xorb *x = &f->xorbs[number];
	uint32_t first = raw_at(x, from), len = raw_at(x, to) - first;
	char name[XET_HASH_HEX + 1];
	uint8_t hash[XET_HASH];

	made_xorb_name(x, hash);
	xet_hash_print(hash, name);
	buf_printf(&f->plan,
		   "{\"hash\":\"%s\",\"unpacked_length\":%u,\"range\":{\"start\":%u,\"end\":%u}}%s",
		   name, len, from, to, end);
	buf_add(&f->want, x->raw.data + first, len);
}

static void add_xorb(struct fixture *f, unsigned number)
{
	char name[XET_HASH_HEX + 1];
	uint8_t hash[XET_HASH];

	made_xorb_name(&f->xorbs[number], hash);
	xet_hash_print(hash, name);
	buf_printf(&f->plan, "\"%s\":[", name);
}

/* All of the second one, and pieces of both. What fails does so in the second one: the plan is
 * always that of the whole file. */
static void make_plan(struct fixture *f)
{
	buf_add_str(&f->plan, "{\"offset_into_first_range\":0,\"terms\":[");
	add_term(f, 1, 0, CHUNKS, ",");
	add_term(f, 0, 1, 3, ",");
	add_term(f, 1, 2, 3, ",");
	add_term(f, 0, 3, 5, "],\"xorbs\":{");
	add_xorb(f, 0);
	add_part(f, 0, 1, 5, "],");
	add_xorb(f, 1);
	add_part(f, 1, 0, CHUNKS, "]}}");
}

static void script(struct fake_origin *o, const char *target, int status, const char *headers,
		   const struct buf *body)
{
	fake_origin_add(o, target,
			(struct fake_answer){ .status = status,
					      .headers = headers,
					      .body = body ? body->data : "no",
					      .len = body ? body->len : 0,
					      .ranges = body && headers == NULL });
}

static void rescript(struct fake_origin *o, const char *target, int status, const char *headers,
		     const struct buf *body)
{
	fake_origin_clear(o, target);
	script(o, target, status, headers, body);
}

static int set_up(void **state)
{
	const struct httpc_conf conf = { .connect_ms = 1000, .stall_ms = 1000 };
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->origin = fake_origin_start();
	f->store = fake_origin_start();
	assert_int_equal(httpc_new(&conf, &f->http), 0);
	f->hub = make_hub(f, HUB_XET_AUTO);
	for (unsigned i = 0; i < 2; i++) {
		made_xorb_fill(&f->xorbs[i], CHUNKS, i + 1);
		fake_origin_add(f->store, i ? "/xorb-1" : "/xorb-0",
				(struct fake_answer){ .status = 200,
						      .body = f->xorbs[i].bytes.data,
						      .len = f->xorbs[i].bytes.len,
						      .ranges = true });
	}
	make_plan(f);
	buf_printf(&f->token, "{\"accessToken\":\"xet_secret\",\"exp\":%lld,\"casUrl\":\"%s/\"}",
		   (long long)FOR_EVER, fake_origin_url(f->store));
	buf_printf(&f->heads, "X-Xet-Hash: " HASH "\r\nLink: <" TOKENS ">; rel=\"xet-auth\"\r\n"
			      "X-Repo-Commit: " COMMIT "\r\nX-Linked-Etag: \"" SHA "\"\r\n");
	script(f->origin, RESOLVE, 403, buf_str(&f->heads), NULL);
	script(f->origin, TOKENS, 200, "X: y\r\n", &f->token);
	script(f->store, PLAN, 200, "X: y\r\n", &f->plan);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	hub_free(f->hub);
	httpc_free(f->http);
	fake_origin_stop(f->origin);
	fake_origin_stop(f->store);
	for (unsigned i = 0; i < 2; i++)
		made_xorb_free(&f->xorbs[i]);
	buf_free(&f->heads);
	buf_free(&f->token);
	for (size_t i = 0; i < f->offered_count; i++)
		buf_free(&f->offered[i]);
	buf_free(&f->plan);
	buf_free(&f->want);
	buf_free(&f->got);
	buf_free(&f->spoiled);
	free(f);
	return 0;
}

static int take(void *arg, const void *data, size_t len)
{
	return buf_add(&((struct fixture *)arg)->got, data, len);
}

static int get(struct fixture *f)
{
	struct source_blob blob = { .path = "a.bin", .commit = COMMIT, .etag = SHA };
	struct source_ask ask = {
		.blob = &blob,
		.len = f->want.len,
		.deadline_ms = clock_ms() + 10000,
		.sink = take,
		.arg = f,
	};

	assert_int_equal(repo_id_parse(REPO_MODEL, "org/name", &blob.repo), 0);
	blob.file.size = f->want.len;
	buf_clear(&f->got);
	return hub_get_range(f->hub, &ask, NULL);
}

static void assert_right(struct fixture *f)
{
	assert_int_equal(get(f), 0);
	assert_int_equal(f->got.len, f->want.len);
	assert_memory_equal(f->got.data, f->want.data, f->want.len);
}

static void test_what_is_offered_alone_comes_and_each_part_once(void **state)
{
	struct fixture *f = *state;

	assert_right(f);
	assert_right(f);
	assert_int_equal(fake_origin_count(f->origin, RESOLVE), 1);
	assert_int_equal(fake_origin_count(f->origin, TOKENS), 1);
	assert_int_equal(fake_origin_count(f->store, PLAN), 2);
	assert_int_equal(fake_origin_count(f->store, "/xorb-0"), 2);
	assert_int_equal(fake_origin_count(f->store, "/xorb-1"), 2);
}

static void test_each_secret_goes_to_whom_it_is_for(void **state)
{
	struct fixture *f = *state;

	assert_right(f);
	assert_true(fake_origin_saw(f->origin, TOKENS, "Bearer hf_secret"));
	assert_true(fake_origin_saw(f->store, PLAN, "Bearer xet_secret"));
	assert_false(fake_origin_saw(f->store, PLAN, "hf_secret"));
	assert_false(fake_origin_saw(f->store, "/xorb-0", "Bearer"));
}

static void test_plain_http_goes_first_unless_it_is_told_otherwise(void **state)
{
	struct fixture *f = *state;

	fake_origin_clear(f->origin, RESOLVE);
	fake_origin_add(f->origin, RESOLVE,
			(struct fake_answer){ .status = 200,
					      .headers = buf_str(&f->heads),
					      .body = f->want.data,
					      .len = f->want.len,
					      .ranges = true });
	assert_right(f);
	assert_int_equal(fake_origin_count(f->store, NULL), 0);
	hub_free(f->hub);
	f->hub = make_hub(f, HUB_XET_ALWAYS);
	assert_right(f);
	assert_int_equal(fake_origin_count(f->store, PLAN), 1);
}

static void test_who_may_not_have_it_or_is_to_wait_is_offered_nothing(void **state)
{
	struct fixture *f = *state;

	buf_add_str(&f->heads, "X-Error-Code: GatedRepo\r\n");
	rescript(f->origin, RESOLVE, 403, buf_str(&f->heads), NULL);
	assert_int_equal(get(f), ERR_GATED);
	rescript(f->origin, RESOLVE, 429, buf_str(&f->heads), NULL);
	assert_int_equal(get(f), ERR_BUSY);
	rescript(f->origin, RESOLVE, 403, "X-Xet-Hash: " HASH "\r\n", NULL);
	assert_int_equal(get(f), -EACCES);
	assert_int_equal(fake_origin_count(f->store, NULL), 0);
}

static void test_an_offer_of_another_file_is_none(void **state)
{
	struct fixture *f = *state;
	char *etag = strstr(f->heads.data, SHA);

	*etag = 'b';
	assert_int_equal(get(f), -EACCES);
	assert_int_equal(fake_origin_count(f->store, NULL), 0);
}

static void test_who_is_never_to_does_not(void **state)
{
	struct fixture *f = *state;

	hub_free(f->hub);
	f->hub = make_hub(f, HUB_XET_NEVER);
	assert_int_equal(get(f), -EACCES);
	assert_int_equal(fake_origin_count(f->store, NULL), 0);
}

static void test_a_token_that_is_refused_is_asked_for_anew_once(void **state)
{
	struct fixture *f = *state;

	fake_origin_clear(f->store, PLAN);
	script(f->store, PLAN, 401, "X: y\r\n", NULL);
	script(f->store, PLAN, 200, "X: y\r\n", &f->plan);
	assert_right(f);
	assert_int_equal(fake_origin_count(f->origin, TOKENS), 2);
	rescript(f->store, PLAN, 401, "X: y\r\n", NULL);
	assert_int_equal(get(f), ERR_SERVER);
	assert_int_equal(fake_origin_count(f->origin, TOKENS), 4);
}

static void test_a_token_is_not_used_to_its_end(void **state)
{
	struct fixture *f = *state;

	buf_clear(&f->token);
	buf_printf(&f->token, "{\"accessToken\":\"t\",\"exp\":%lld,\"casUrl\":\"%s\"}",
		   (long long)clock_wall_s() + 20, fake_origin_url(f->store));
	rescript(f->origin, TOKENS, 200, "X: y\r\n", &f->token);
	assert_right(f);
	assert_right(f);
	assert_int_equal(fake_origin_count(f->origin, TOKENS), 2);
}

static void test_a_link_that_is_refused_is_asked_for_anew_once(void **state)
{
	struct fixture *f = *state;
	const struct buf *bytes = &f->xorbs[1].bytes;

	fake_origin_clear(f->store, "/xorb-1");
	script(f->store, "/xorb-1", 403, "X: y\r\n", NULL);
	script(f->store, "/xorb-1", 200, NULL, bytes);
	assert_right(f);
	assert_int_equal(fake_origin_count(f->store, PLAN), 2);
	assert_int_equal(fake_origin_count(f->origin, TOKENS), 1);
	rescript(f->store, "/xorb-1", 403, "X: y\r\n", NULL);
	assert_int_equal(get(f), ERR_SERVER);
}

static void test_a_store_without_a_second_version(void **state)
{
	struct fixture *f = *state;

	rescript(f->store, PLAN, 501, "X: y\r\n", NULL);
	script(f->store, PLAN_1, 200, "X: y\r\n", &f->plan);
	assert_right(f);
	assert_right(f);
	assert_int_equal(fake_origin_count(f->store, PLAN), 1);
	assert_int_equal(fake_origin_count(f->store, PLAN_1), 2);
	/* Another one comes in its place, which knows no other but that. */
	rescript(f->store, PLAN_1, 404, "X: y\r\n", NULL);
	rescript(f->store, PLAN, 200, "X: y\r\n", &f->plan);
	assert_right(f);
	assert_right(f);
	assert_int_equal(fake_origin_count(f->store, PLAN), 1 + 2);
	assert_int_equal(fake_origin_count(f->store, PLAN_1), 2 + 1);
}

static void give_token(struct fixture *f, const char *bearer)
{
	struct buf *token = &f->offered[f->offered_count++];

	buf_printf(token, "{\"accessToken\":\"%s\",\"exp\":%lld,\"casUrl\":\"%s\"}", bearer,
		   (long long)FOR_EVER, fake_origin_url(f->store));
	rescript(f->origin, TOKENS, 200, "X: y\r\n", token);
}

/* Who names the store names what it is asked with, too: no more than a word. */
static void test_a_token_is_a_word_and_no_header_of_its_own(void **state)
{
	struct fixture *f = *state;
	char large[8192 + 2];

	memset(large, 'a', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	const char *const none[] = { "",         "a\\r\\nX-Evil: 1", "a\\nb", "a b",
				     "a\\u007f", "\u00e4",           large };

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		give_token(f, none[i]);
		assert_int_equal(get(f), ERR_PROTO);
	}
	assert_int_equal(fake_origin_count(f->store, NULL), 0);
	give_token(f, "a.b-c_d~+/=");
	assert_right(f);
	assert_true(fake_origin_saw(f->store, PLAN, "Bearer a.b-c_d~+/=\r\n"));
}

static void put_token(const struct fixture *f, const struct tls_server *s)
{
	char name[64];
	FILE *file;

	snprintf(name, sizeof(name), "%s/tokens", s->dir);
	file = fopen(name, "w");
	assert_non_null(file);
	fprintf(file, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n%s", f->token.len,
		buf_str(&f->token));
	assert_int_equal(fclose(file), 0);
}

/* The twins are all the others: there even the token came in the clear. */
static void test_a_token_that_came_in_secret_is_not_said_aloud(void **state)
{
	struct fixture *f = *state;
	struct httpc_conf conf = { .connect_ms = 2000, .stall_ms = 2000 };
	struct tls_server server;
	int r = ERR_UPSTREAM;

	if (!tls_server_start(&server, "-HTTP"))
		skip();
	put_token(f, &server);
	buf_clear(&f->heads);
	buf_printf(&f->heads,
		   "X-Xet-Hash: " HASH "\r\nLink: <https://localhost:%d/tokens>; "
		   "rel=\"xet-auth\"\r\n",
		   server.port);
	rescript(f->origin, RESOLVE, 403, buf_str(&f->heads), NULL);
	hub_free(f->hub);
	httpc_free(f->http);
	conf.ca_file = server.cert;
	assert_int_equal(httpc_new(&conf, &f->http), 0);
	f->hub = make_hub(f, HUB_XET_AUTO);
	for (int i = 0; i < 100 && r == ERR_UPSTREAM; i++, clock_sleep_ms(50))
		r = get(f);
	tls_server_stop(&server);
	assert_int_equal(r, ERR_PROTO);
	assert_int_equal(fake_origin_count(f->store, NULL), 0);
}

/* The second xorb comes whole, the first one in part. */
static void test_a_wrong_byte_of_a_whole_xorb_is_noticed(void **state)
{
	struct fixture *f = *state;
	const struct buf *bytes = &f->xorbs[1].bytes;

	assert_int_equal(buf_add(&f->spoiled, bytes->data, bytes->len), 0);
	f->spoiled.data[bytes->len / 2] ^= 1;
	fake_origin_clear(f->store, "/xorb-1");
	script(f->store, "/xorb-1", 200, NULL, &f->spoiled);
	script(f->store, "/xorb-1", 200, NULL, bytes);
	assert_right(f);
	assert_int_equal(fake_origin_count(f->store, "/xorb-1"), 2);
}

/* All that a store has of a xorb may be a part of it: the digest of the file decides. */
static void test_what_is_no_other_the_second_time_is_taken(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(buf_add(&f->spoiled, f->xorbs[1].bytes.data, f->xorbs[1].bytes.len), 0);
	f->spoiled.data[f->spoiled.len / 2] ^= 1;
	rescript(f->store, "/xorb-1", 200, NULL, &f->spoiled);
	assert_int_equal(get(f), 0);
	assert_int_equal(fake_origin_count(f->store, "/xorb-1"), 2);
	assert_memory_not_equal(f->got.data, f->want.data, f->want.len);
}

static void test_chunks_that_lie_are_noticed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(buf_add(&f->spoiled, f->xorbs[1].bytes.data, f->xorbs[1].bytes.len), 0);
	memset(f->spoiled.data + packed_at(&f->xorbs[1], 1) + 5, 0xff, 3); /* 16 MiB of it */
	rescript(f->store, "/xorb-1", 200, NULL, &f->spoiled);
	assert_int_equal(get(f), ERR_DIGEST);
	assert_non_null(strstr(err_noted(ERR_DIGEST), "larger than 128 KiB"));
	assert_int_equal(fake_origin_count(f->store, "/xorb-1"), 3);
}

/* The hub is asked again whether it has the file elsewhere; and offers it as before. */
static void test_an_offer_of_wrong_bytes_is_forgotten(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(buf_add(&f->spoiled, f->xorbs[1].bytes.data, f->xorbs[1].bytes.len), 0);
	memset(f->spoiled.data + packed_at(&f->xorbs[1], 1) + 5, 0xff, 3);
	rescript(f->store, "/xorb-1", 200, NULL, &f->spoiled);
	assert_int_equal(get(f), ERR_DIGEST);
	rescript(f->store, "/xorb-1", 200, NULL, &f->xorbs[1].bytes);
	assert_right(f);
	assert_int_equal(fake_origin_count(f->origin, RESOLVE), 2);
	assert_right(f); /* the twin: what was right is believed */
	assert_int_equal(fake_origin_count(f->origin, RESOLVE), 2);
}

static void test_what_makes_no_sense_ends_it(void **state)
{
	struct fixture *f = *state;
	char half[] = "{\"terms\":";
	struct buf text = { .data = half, .len = strlen(half) };

	rescript(f->store, PLAN, 200, "X: y\r\n", &text);
	assert_int_equal(get(f), ERR_PROTO);
	rescript(f->store, PLAN, 503, "Retry-After: 7\r\n", NULL);
	assert_int_equal(get(f), ERR_SERVER);
	rescript(f->origin, TOKENS, 200, "X: y\r\n", &text);
	hub_free(f->hub);
	f->hub = make_hub(f, HUB_XET_AUTO);
	assert_int_equal(get(f), ERR_PROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_offered_alone_comes_and_each_part_once),
		TEST(test_each_secret_goes_to_whom_it_is_for),
		TEST(test_plain_http_goes_first_unless_it_is_told_otherwise),
		TEST(test_who_may_not_have_it_or_is_to_wait_is_offered_nothing),
		TEST(test_an_offer_of_another_file_is_none),
		TEST(test_who_is_never_to_does_not),
		TEST(test_a_token_that_is_refused_is_asked_for_anew_once),
		TEST(test_a_token_is_not_used_to_its_end),
		TEST(test_a_token_is_a_word_and_no_header_of_its_own),
		TEST(test_a_token_that_came_in_secret_is_not_said_aloud),
		TEST(test_a_link_that_is_refused_is_asked_for_anew_once),
		TEST(test_a_store_without_a_second_version),
		TEST(test_a_wrong_byte_of_a_whole_xorb_is_noticed),
		TEST(test_what_is_no_other_the_second_time_is_taken),
		TEST(test_chunks_that_lie_are_noticed),
		TEST(test_an_offer_of_wrong_bytes_is_forgotten),
		TEST(test_what_makes_no_sense_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
