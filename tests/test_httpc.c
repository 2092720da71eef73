/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/httpc.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "daemon/base/buf.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/fake_origin.h"
#include "tests/tls_server.h"

#define BIG (4 << 20)

struct fixture {
	struct fake_origin *origin;
	struct httpc *client;
	char *big; /* BIG bytes */
};

/* What one call gave. */
struct got {
	struct buf body;
	char header[128]; /* value of the header asked for below, "-" if absent */
	const char *header_name;
	unsigned heads;
	int status;
	int64_t length, wait_ms;
	uint64_t first, last;
	int64_t total;
	int range_result;
	int head_answer, body_answer; /* what the callbacks return */
	size_t answer_at;             /* ... that of the body: when so much has come */
};

static int on_head(void *arg, const struct httpc_response *r)
{
	struct got *g = arg;
	const char *value = g->header_name ? httpc_header(r, g->header_name) : NULL;

	assert_int_equal(g->body.len, 0);
	g->heads++;
	g->status = httpc_status(r);
	g->length = httpc_content_length(r);
	g->wait_ms = httpc_retry_after_ms(r);
	g->range_result = httpc_content_range(r, &g->first, &g->last, &g->total);
	snprintf(g->header, sizeof(g->header), "%s", value ? value : "-");
	return g->head_answer;
}

static int on_body(void *arg, const void *data, size_t len)
{
	struct got *g = arg;

	assert_int_equal(buf_add(&g->body, data, len), 0);
	return g->body.len >= g->answer_at ? g->body_answer : 0;
}

static struct httpc_request request(const struct fixture *f, const char *target,
				    char url[static 512], struct got *g)
{
	snprintf(url, 512, "%s%s", fake_origin_url(f->origin), target);
	return (struct httpc_request){
		.method = "GET",
		.url = url,
		.deadline_ms = clock_ms() + 5000,
		.head = on_head,
		.body = on_body,
		.arg = g,
	};
}

static int get(struct fixture *f, const char *target, struct got *g)
{
	char url[512];
	struct httpc_request q = request(f, target, url, g);

	return httpc_run(f->client, &q);
}

static void got_fini(struct got *g)
{
	buf_free(&g->body);
}

static int set_up(void **state)
{
	const struct httpc_conf conf = { .user_agent = "test/1",
					 .connect_ms = 500,
					 .stall_ms = 300 };
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->origin = fake_origin_start();
	assert_int_equal(httpc_new(&conf, &f->client), 0);
	f->big = malloc(BIG);
	assert_non_null(f->big);
	for (int i = 0; i < BIG; i++)
		f->big[i] = (char)(i * 31 >> 3);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	httpc_free(f->client);
	fake_origin_stop(f->origin);
	free(f->big);
	free(f);
	return 0;
}

/* --- what comes is what one sees */

static void test_get(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { .header_name = "x-TWICE" };

	fake_origin_add(f->origin, "/a",
			(struct fake_answer){ .status = 200,
					      .body = "hello",
					      .headers = "X-Twice: one\r\nX-Twice: two\r\n" });
	assert_int_equal(get(f, "/a", &g), 200);
	assert_string_equal(buf_str(&g.body), "hello");
	assert_string_equal(g.header, "two");
	assert_int_equal(g.heads, 1);
	assert_int_equal(g.status, 200);
	assert_int_equal(g.length, 5);
	assert_int_equal(g.wait_ms, -1);
	assert_int_equal(g.range_result, -EINVAL);
	assert_true(fake_origin_saw(f->origin, "/a", "User-Agent: test/1\r\n"));
	assert_true(fake_origin_saw(f->origin, "/a", "Accept-Encoding: identity\r\n"));
	assert_false(fake_origin_saw(f->origin, "/a", "Authorization"));
	assert_false(fake_origin_saw(f->origin, "/a", "Range"));
}

static void test_token_range_accept(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	char url[512];
	struct httpc_request q = request(f, "/big", url, &g);

	fake_origin_add(
		f->origin, "/big",
		(struct fake_answer){ .status = 200, .body = f->big, .len = BIG, .ranges = true });
	q.token = "hf_secret";
	q.accept = "application/json";
	q.range_off = 1000;
	q.range_len = 2000000;
	assert_int_equal(httpc_run(f->client, &q), 206);
	assert_int_equal(g.body.len, 2000000);
	assert_memory_equal(g.body.data, f->big + 1000, g.body.len);
	assert_int_equal(g.range_result, 0);
	assert_int_equal(g.first, 1000);
	assert_int_equal(g.last, 2000999);
	assert_int_equal(g.total, BIG);
	assert_true(fake_origin_saw(f->origin, "/big", "Authorization: Bearer hf_secret\r\n"));
	assert_true(fake_origin_saw(f->origin, "/big", "Range: bytes=1000-2000999\r\n"));
	assert_true(fake_origin_saw(f->origin, "/big", "Accept: application/json\r\n"));
	/* The session is used again, and knows none of it. */
	assert_int_equal(get(f, "/next", &(struct got){ 0 }), 404);
	assert_false(fake_origin_saw(f->origin, "/next", "Authorization"));
	assert_false(fake_origin_saw(f->origin, "/next", "Range"));
}

static void test_token_cannot_add_a_header(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	char url[512];
	struct httpc_request q = request(f, "/a", url, &g);

	q.token = "hf\r\nX-Evil: 1";
	assert_int_equal(httpc_run(f->client, &q), -EINVAL);
	assert_int_equal(fake_origin_count(f->origin, NULL), 0);
}

static void fields_of_the_callers_own_are_sent_besides(void **state)
{
	const char *const fields[] = { "Authorization: Matrix a=1", "Peer-Zone: r1" };
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	char url[512];
	struct httpc_request q = request(f, "/a", url, &g);

	q.fields = fields;
	q.field_count = ARRAY_LEN(fields);
	assert_int_equal(httpc_run(f->client, &q), 404);
	assert_true(fake_origin_saw(f->origin, "/a", "Authorization: Matrix a=1\r\n"));
	assert_true(fake_origin_saw(f->origin, "/a", "Peer-Zone: r1\r\n"));
	q.field_count = 0;
	assert_int_equal(httpc_run(f->client, &q), 404);
	assert_false(fake_origin_saw(f->origin, "/a", "Authorization"));
	assert_false(fake_origin_saw(f->origin, "/a", "Peer-Zone"));
}

static void a_field_cannot_add_or_take_away_another(void **state)
{
	const char *const bad[] = { "A: 1\r\nX-Evil: 1",
				    "A: \t1",
				    "A: 1\x7f",
				    "A:",
				    "A: ",
				    "A;",
				    "A:1",
				    "",
				    "A B: 1",
				    ": 1",
				    "A" };
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	char url[512];
	struct httpc_request q = request(f, "/a", url, &g);

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		q.fields = &bad[i];
		q.field_count = 1;
		assert_int_equal(httpc_run(f->client, &q), -EINVAL);
	}
	assert_int_equal(fake_origin_count(f->origin, NULL), 0);
}

static void test_content_is_sent_as_json_by_any_method(void **state)
{
	static const char *const methods[] = { "POST", "PUT", "PATCH", "DELETE" };
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got plain = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		CLEANUP(got_fini) struct got g = { 0 };
		char url[512], target[16], line[64];
		struct httpc_request q;

		snprintf(target, sizeof(target), "/%zu", i);
		snprintf(line, sizeof(line), "%s %s HTTP/1.1\r\n", methods[i], target);
		fake_origin_add(f->origin, target,
				(struct fake_answer){ .status = 200,
						      .headers = "Connection: close\r\n",
						      .body = "done" });
		q = request(f, target, url, &g);
		q.method = methods[i];
		q.content = "{\"a\":1}";
		q.content_len = 7;
		assert_int_equal(httpc_run(f->client, &q), 200);
		assert_string_equal(buf_str(&g.body), "done");
		assert_true(fake_origin_saw(f->origin, target, line));
		assert_true(
			fake_origin_saw(f->origin, target, "Content-Type: application/json\r\n"));
		assert_true(fake_origin_saw(f->origin, target, "Content-Length: 7\r\n"));
	}
	assert_int_equal(get(f, "/0", &plain), 200);
	assert_false(fake_origin_saw(f->origin, "/0", "Content-Type"));
	assert_true(fake_origin_saw(f->origin, "/0", "GET /0 "));
}

static void test_head_has_no_body(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	char url[512];
	struct httpc_request q = request(f, "/a", url, &g);

	fake_origin_add(f->origin, "/a", (struct fake_answer){ .status = 200, .body = "hello" });
	q.method = "HEAD";
	assert_int_equal(httpc_run(f->client, &q), 200);
	assert_int_equal(g.length, 5);
	assert_int_equal(g.body.len, 0);
}

static void test_redirects_are_shown_not_followed(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { .header_name = "Location" };

	fake_origin_add(f->origin, "/a",
			(struct fake_answer){ .status = 302, .headers = "Location: /b\r\n" });
	assert_int_equal(get(f, "/a", &g), 302);
	assert_string_equal(g.header, "/b");
	assert_int_equal(fake_origin_count(f->origin, NULL), 1);
}

static void test_nothing_is_decoded(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { .header_name = "Content-Encoding" };

	fake_origin_add(f->origin, "/a",
			(struct fake_answer){ .status = 200,
					      .body = "no gzip at all",
					      .headers = "Content-Encoding: gzip\r\n" });
	assert_int_equal(get(f, "/a", &g), 200);
	assert_string_equal(g.header, "gzip");
	assert_string_equal(buf_str(&g.body), "no gzip at all");
}

static void test_chunked(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	CLEANUP(got_fini) struct got cut = { 0 };
	struct fake_answer a = { .status = 200, .body = f->big, .len = 5000, .chunked = true };

	fake_origin_add(f->origin, "/a", a);
	assert_int_equal(get(f, "/a", &g), 200);
	assert_int_equal(g.length, -1);
	assert_int_equal(g.body.len, 5000);
	assert_memory_equal(g.body.data, f->big, 5000);
	a.cut = true;
	a.cut_at = 4000;
	fake_origin_add(f->origin, "/cut", a);
	assert_int_equal(get(f, "/cut", &cut), ERR_CUT);
}

static void test_connections_are_reused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };

	fake_origin_add(f->origin, "/a", (struct fake_answer){ .status = 200, .body = "x" });
	for (int i = 0; i < 5; i++) {
		assert_int_equal(get(f, "/a", &g), 200);
		buf_clear(&g.body);
	}
	assert_int_equal(fake_origin_count(f->origin, "/a"), 5);
	assert_int_equal(fake_origin_connections(f->origin), 1);
	assert_int_equal(get(f, "/b", &g), 404);
	assert_int_equal(fake_origin_connections(f->origin), 1);
}

/* Who has enough with the last byte spoils nothing, also at a multiple of what is handed over. */
static void test_enough_at_the_end_keeps_the_connection(void **state)
{
	struct fixture *f = *state;
	const size_t lens[] = { 3 * 256 * 1024, 3 * 256 * 1024 - 1 };

	fake_origin_add(f->origin, "/0",
			(struct fake_answer){ .status = 200, .body = f->big, .len = lens[0] });
	fake_origin_add(f->origin, "/1",
			(struct fake_answer){ .status = 200, .body = f->big, .len = lens[1] });
	for (int i = 0; i < 6; i++) {
		CLEANUP(got_fini) struct got g = { .body_answer = 1, .answer_at = lens[i % 2] };

		assert_int_equal(get(f, i % 2 ? "/1" : "/0", &g), 1);
		assert_int_equal(g.body.len, lens[i % 2]);
	}
	assert_int_equal(fake_origin_connections(f->origin), 1);
}

/* What a server sends behind an answer is found by the next request on that connection. */
static void test_a_spoiled_connection_is_not_the_next_requests_fault(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	struct fake_answer a = { .status = 200, .body = "x", .spoiled = true };

	fake_origin_add(f->origin, "/a", a);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get(f, "/a", &g), 200);
		assert_string_equal(buf_str(&g.body), "x");
		buf_clear(&g.body);
	}
	assert_int_equal(fake_origin_count(f->origin, "/a"), 5); /* each but the first, twice */
	assert_int_equal(fake_origin_connections(f->origin), 3);
}

/* --- callbacks end calls */

static void test_callbacks_end_the_call(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got head = { .head_answer = ERR_SIZE };
	CLEANUP(got_fini) struct got body = { .body_answer = 77 };

	fake_origin_add(f->origin, "/a",
			(struct fake_answer){ .status = 200, .body = f->big, .len = BIG });
	assert_int_equal(get(f, "/a", &head), ERR_SIZE);
	assert_int_equal(head.body.len, 0);
	assert_int_equal(get(f, "/a", &body), 77);
	assert_true(body.body.len < BIG);
}

/* --- faults */

static void test_short_and_long_bodies(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got shorter = { 0 };
	CLEANUP(got_fini) struct got whole = { 0 };

	fake_origin_add(f->origin, "/short",
			(struct fake_answer){ .status = 200, .body = "hello", .claim = 9 });
	assert_int_equal(get(f, "/short", &shorter), ERR_CUT);
	assert_string_equal(buf_str(&shorter.body), "hello");
	fake_origin_add(f->origin, "/open",
			(struct fake_answer){ .status = 200, .body = "hello", .claim = -1 });
	assert_int_equal(get(f, "/open", &whole), 200); /* ends with the connection */
	assert_int_equal(whole.length, -1);
}

static void test_reset_and_silence_at_the_start(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };

	fake_origin_add(f->origin, "/none", (struct fake_answer){ .status = 0 });
	assert_int_equal(get(f, "/none", &g), ERR_CUT);
	fake_origin_add(f->origin, "/reset",
			(struct fake_answer){ .status = 200,
					      .body = f->big,
					      .len = 1000,
					      .cut = true,
					      .cut_at = 500,
					      .reset = true });
	assert_int_equal(get(f, "/reset", &g), ERR_CUT);
	assert_int_equal(get(f, "/next", &(struct got){ 0 }), 404);
}

static void test_stall(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	int64_t start = clock_ms();

	fake_origin_add(f->origin, "/head",
			(struct fake_answer){ .status = 200, .body = "x", .before_ms = 3000 });
	assert_int_equal(get(f, "/head", &g), ERR_TIMEOUT);
	fake_origin_add(f->origin, "/body",
			(struct fake_answer){ .status = 200, .body = "xy", .within_ms = 3000 });
	assert_int_equal(get(f, "/body", &g), ERR_TIMEOUT);
	assert_int_equal(g.body.len, 1);
	assert_true(clock_ms() - start < 2000);
	/* Shorter silences are none. */
	fake_origin_add(f->origin, "/slow",
			(struct fake_answer){
				.status = 200, .body = "xy", .before_ms = 150, .within_ms = 150 });
	buf_clear(&g.body);
	assert_int_equal(get(f, "/slow", &g), 200);
}

static void test_deadline(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	char url[512];
	struct httpc_request q = request(f, "/a", url, &g);
	int64_t start = clock_ms();

	fake_origin_add(f->origin, "/a",
			(struct fake_answer){ .status = 200, .body = "x", .before_ms = 3000 });
	q.deadline_ms = start + 100;
	assert_int_equal(httpc_run(f->client, &q), ERR_TIMEOUT);
	assert_in_range(clock_ms() - start, 90, 290);
	q.deadline_ms = start; /* passed already: nothing is even asked */
	assert_int_equal(httpc_run(f->client, &q), ERR_TIMEOUT);
	assert_int_equal(fake_origin_count(f->origin, "/a"), 1);
}

static void a_head_may_have_a_deadline_of_its_own(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	char url[512], url_b[512];
	struct httpc_request q = request(f, "/a", url, &g), b = request(f, "/b", url_b, &g);
	int64_t start = clock_ms();

	fake_origin_add(f->origin, "/a",
			(struct fake_answer){ .status = 200, .body = "xy", .before_ms = 3000 });
	q.head_ms = start + 200;
	assert_int_equal(httpc_run(f->client, &q), ERR_TIMEOUT);
	assert_in_range(clock_ms() - start, 190, 490);
	/* The twin: a body has longer. */
	fake_origin_add(f->origin, "/b",
			(struct fake_answer){ .status = 200, .body = "xy", .within_ms = 250 });
	b.head_ms = clock_ms() + 200;
	assert_int_equal(httpc_run(f->client, &b), 200);
}

/* Listens with a full queue: connecting to it takes for ever. */
static void test_connect_time_out(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	CLEANUP(closep) int listener = socket(AF_INET, SOCK_STREAM, 0);
	CLEANUP(closep) int first = socket(AF_INET, SOCK_STREAM, 0);
	CLEANUP(got_fini) struct got g = { 0 };
	char url[512];
	struct httpc_request q = request(f, "/", url, &g);
	int64_t start = clock_ms();

	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(connect(first, (struct sockaddr *)&addr, len), 0);
	snprintf(url, 512, "http://127.0.0.1:%d/", ntohs(addr.sin_port));
	assert_int_equal(httpc_run(f->client, &q), ERR_UPSTREAM);
	assert_in_range(clock_ms() - start, 400, 1500);
}

static void test_nobody_there(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	char url[512];
	struct httpc_request q = request(f, "/", url, &g);

	snprintf(url, 512, "http://127.0.0.1:1/");
	assert_int_equal(httpc_run(f->client, &q), ERR_UPSTREAM);
	snprintf(url, 512, "http://host.invalid/");
	assert_int_equal(httpc_run(f->client, &q), ERR_UPSTREAM);
}

static void test_a_reason_is_not_that_of_an_earlier_failure(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { .head_answer = ERR_UPSTREAM };
	char url[512];
	struct httpc_request q = request(f, "/a", url, &g);

	fake_origin_add(f->origin, "/a", (struct fake_answer){ .status = 200 });
	snprintf(url, 512, "http://127.0.0.1:1/");
	assert_int_equal(httpc_run(f->client, &q), ERR_UPSTREAM);
	assert_string_not_equal(err_noted(ERR_UPSTREAM), "");
	assert_int_equal(get(f, "/a", &g), ERR_UPSTREAM); /* whoever called it knows why */
	assert_string_equal(err_noted(ERR_UPSTREAM), "");
}

static void test_not_http(void **state)
{
	struct fixture *f = *state;
	static const char *const urls[] = { "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x/",
					    "http://", "" };
	CLEANUP(got_fini) struct got g = { 0 };
	CLEANUP(buf_free) struct buf line = { 0 };
	char url[512];
	struct httpc_request q = request(f, "/", url, &g);

	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		snprintf(url, 512, "%s", urls[i]);
		assert_int_equal(httpc_run(f->client, &q), ERR_PROTO);
	}
	/* A head that never ends. */
	for (int i = 0; i < 6000; i++)
		buf_printf(&line, "X-%d: %0100d\r\n", i, i);
	fake_origin_add(f->origin, "/endless",
			(struct fake_answer){ .status = 200, .headers = buf_str(&line) });
	assert_int_equal(get(f, "/endless", &g), ERR_PROTO);
	assert_int_equal(get(f, "/next", &(struct got){ 0 }), 404);
}

/* --- cancel */

struct canceler {
	struct httpc *client;
	struct httpc_cancel cancel;
};

static void *cancel_soon(void *arg)
{
	struct canceler *c = arg;

	clock_sleep_ms(100);
	httpc_cancel(c->client, &c->cancel);
	return NULL;
}

/* A call of `caller` that would take three seconds is canceled by the fixture's client, and tried
 * once more. */
static void cancel_call_of(struct fixture *f, struct httpc *caller)
{
	CLEANUP(got_fini) struct got g = { 0 };
	struct canceler canceler = { f->client, { 0 } };
	char url[512];
	struct httpc_request q = request(f, "/a", url, &g);
	int64_t start = clock_ms();
	pthread_t thread;

	fake_origin_add(f->origin, "/a",
			(struct fake_answer){ .status = 200, .body = "x", .before_ms = 3000 });
	q.cancel = &canceler.cancel;
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &canceler), 0);
	assert_int_equal(httpc_run(caller, &q), ERR_CANCELED);
	assert_in_range(clock_ms() - start, 90, 250);
	pthread_join(thread, NULL);
	/* It stays canceled: a later call does not begin. */
	assert_int_equal(httpc_run(caller, &q), ERR_CANCELED);
	assert_int_equal(fake_origin_count(f->origin, "/a"), 1);
	/* Others go on. */
	assert_int_equal(get(f, "/b", &(struct got){ 0 }), 404);
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;

	cancel_call_of(f, f->client);
}

static void who_is_elder_ends_calls_of_the_younger(void **state)
{
	struct fixture *f = *state;
	const struct httpc_conf conf = { .connect_ms = 500, .stall_ms = 5000, .elder = f->client };
	CLEANUP(httpc_freep) struct httpc *younger = NULL;

	assert_int_equal(httpc_new(&conf, &younger), 0);
	cancel_call_of(f, younger);
}

/* --- proxies */

static void who_goes_directly_passes_the_proxy_of_the_environment(void **state)
{
	struct fixture *f = *state;
	CLEANUP(got_fini) struct got g = { 0 };
	struct httpc_conf conf = { .connect_ms = 500, .stall_ms = 2000 };
	CLEANUP(httpc_freep) struct httpc *by_proxy = NULL, *direct = NULL;
	char url[512];
	struct httpc_request q = request(f, "/a", url, &g);

	fake_origin_add(f->origin, "/a", (struct fake_answer){ .status = 200, .body = "x" });
	assert_int_equal(httpc_new(&conf, &by_proxy), 0);
	conf.direct = true;
	assert_int_equal(httpc_new(&conf, &direct), 0);
	setenv("http_proxy", "http://127.0.0.1:9", 1);
	assert_int_equal(httpc_run(by_proxy, &q), ERR_UPSTREAM);
	assert_int_equal(httpc_run(direct, &q), 200);
	unsetenv("http_proxy");
}

/* --- many threads */

static void *get_many(void *arg)
{
	struct fixture *f = arg;

	for (int i = 0; i < 30; i++) {
		CLEANUP(got_fini) struct got g = { 0 };
		struct httpc_cancel cancel = { .canceled = i % 10 == 9 };
		char url[512];
		struct httpc_request q = request(f, "/big", url, &g);

		q.cancel = &cancel;
		q.range_off = (uint64_t)i * 1000;
		q.range_len = 50000;
		if (cancel.canceled) {
			assert_int_equal(httpc_run(f->client, &q), ERR_CANCELED);
			continue;
		}
		assert_int_equal(httpc_run(f->client, &q), 206);
		assert_memory_equal(g.body.data, f->big + q.range_off, 50000);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[16];

	fake_origin_add(
		f->origin, "/big",
		(struct fake_answer){ .status = 200, .body = f->big, .len = BIG, .ranges = true });
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, get_many, f), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(fake_origin_connections(f->origin) <= 16);
}

/* --- heads */

static void test_content_range(void **state)
{
	static const struct {
		const char *text;
		int64_t total; /* -2: malformed */
	} cases[] = {
		{ "bytes 0-9/10", 10 },
		{ "Bytes 0-9/*", -1 },
		{ "bytes 0-9/9", -2 },
		{ "bytes 9-0/10", -2 },
		{ "bytes */10", -2 },
		{ "bytes 0-9", -2 },
		{ "bytes 0-9/", -2 },
		{ "bytes 0-9/10x", -2 },
		{ "bytes -9/10", -2 },
		{ "items 0-9/10", -2 },
		{ "bytes=0-9/10", -2 },
		{ "bytes 0-9/**", -2 },
		{ "bytes 0- 9/10", -2 },
		{ "bytes +0-9/10", -2 },
		{ "bytes 0-99999999999999999999/*", -2 },
	};
	struct fixture *f = *state;
	char headers[ARRAY_LEN(cases)][128];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(got_fini) struct got g = { 0 };

		snprintf(headers[i], sizeof(headers[i]), "Content-Range: %s\r\n", cases[i].text);
		fake_origin_clear(f->origin, "/a");
		fake_origin_add(f->origin, "/a",
				(struct fake_answer){ .status = 206, .headers = headers[i] });
		assert_int_equal(get(f, "/a", &g), 206);
		assert_int_equal(g.range_result, cases[i].total == -2 ? -EINVAL : 0);
		if (g.range_result == 0)
			assert_int_equal(g.total, cases[i].total);
	}
}

static void test_retry_after(void **state)
{
	static const struct {
		const char *headers;
		int64_t ms;
	} cases[] = {
		{ "Retry-After: 7\r\n", 7000 },
		{ "Retry-After: 0\r\n", 0 },
		{ "Retry-After: Sat, 01 Jan 2000 00:00:00 GMT\r\n", 0 },
		{ "Retry-After: soon\r\n", -1 },
		{ "Retry-After: 99999999999\r\n", 24 * 3600 * 1000 },
		{ "RateLimit: \"api\";r=0;t=55\r\n", 55000 },
		{ "RateLimit: \"api\";r=12;t=55\r\n", -1 },
		{ "RateLimit: \"api\"\r\n", -1 },
		{ "Retry-After: 7\r\nRateLimit: \"api\";r=0;t=55\r\n", 7000 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(got_fini) struct got g = { 0 };

		fake_origin_clear(f->origin, "/a");
		fake_origin_add(f->origin, "/a",
				(struct fake_answer){ .status = 429, .headers = cases[i].headers });
		assert_int_equal(get(f, "/a", &g), 429);
		assert_int_equal(g.wait_ms, cases[i].ms);
	}
}

/* --- TLS, against Debian's openssl if it is there */

static int get_tls(int port, const char *ca_file)
{
	const struct httpc_conf conf = { .connect_ms = 2000, .stall_ms = 2000, .ca_file = ca_file };
	CLEANUP(httpc_freep) struct httpc *c = NULL;
	char url[64];
	struct httpc_request q = { .method = "GET", .url = url };
	int r = ERR_UPSTREAM;

	assert_int_equal(httpc_new(&conf, &c), 0);
	snprintf(url, sizeof(url), "https://localhost:%d/", port);
	for (int i = 0; i < 100 && r == ERR_UPSTREAM; i++) {
		q.deadline_ms = clock_ms() + 5000;
		r = httpc_run(c, &q);
		if (r == ERR_UPSTREAM)
			clock_sleep_ms(50);
	}
	return r;
}

static void whose_certificate_is_trusted_the_system_says_or_the_caller(void **state)
{
	int untrusted, trusted, told, told_another;
	struct tls_server server;

	(void)state;
	if (!tls_server_start(&server, "-www"))
		skip();
	untrusted = get_tls(server.port, NULL);
	told = get_tls(server.port, server.cert);
	setenv("SSL_CERT_FILE", server.cert, 1);
	trusted = get_tls(server.port, NULL);
	told_another = get_tls(server.port, server.other);
	unsetenv("SSL_CERT_FILE");
	tls_server_stop(&server);
	assert_int_equal(untrusted, ERR_TLS);
	assert_int_equal(told, 200);
	assert_int_equal(trusted, 200);
	assert_int_equal(told_another, ERR_TLS);
}

/* Answers one request on a socket file. */
static void *answer_once(void *arg)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
				     "Connection: close\r\n\r\nhello";
	CLEANUP(closep) int fd = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC);
	char request[4096];

	if (fd >= 0 && recv(fd, request, sizeof(request), 0) > 0)
		(void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
	return NULL;
}

static void all_requests_go_to_a_socket_that_is_named(void **state)
{
	char path[] = "/tmp/test_httpc.XXXXXX/s";
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CLEANUP(got_fini) struct got g = { 0 };
	struct httpc_conf conf = { .connect_ms = 500, .stall_ms = 2000 };
	struct httpc_request q = { .method = "GET",
				   .url = "http://nobody.invalid/x",
				   .head = on_head,
				   .body = on_body,
				   .arg = &g };
	CLEANUP(httpc_freep) struct httpc *there = NULL, *nowhere = NULL;
	char *slash = strrchr(path, '/');
	pthread_t thread;

	(void)state;
	*slash = '\0';
	assert_non_null(mkdtemp(path));
	*slash = '/';
	memcpy(at.sun_path, path, sizeof(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, answer_once, &fd), 0);
	assert_int_equal(httpc_new(&conf, &nowhere), 0);
	conf.socket = path;
	assert_int_equal(httpc_new(&conf, &there), 0);
	q.deadline_ms = clock_ms() + 5000;
	assert_int_equal(httpc_run(nowhere, &q), ERR_UPSTREAM);
	assert_int_equal(httpc_run(there, &q), 200);
	assert_string_equal(buf_str(&g.body), "hello");
	pthread_join(thread, NULL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(httpc_run(there, &q), ERR_UPSTREAM);
	*slash = '\0';
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_get),
		TEST(test_token_range_accept),
		TEST(test_token_cannot_add_a_header),
		TEST(all_requests_go_to_a_socket_that_is_named),
		TEST(fields_of_the_callers_own_are_sent_besides),
		TEST(a_field_cannot_add_or_take_away_another),
		TEST(test_content_is_sent_as_json_by_any_method),
		TEST(test_content_is_sent_as_json_by_any_method),
		TEST(test_head_has_no_body),
		TEST(test_redirects_are_shown_not_followed),
		TEST(test_nothing_is_decoded),
		TEST(test_chunked),
		TEST(test_connections_are_reused),
		TEST(test_enough_at_the_end_keeps_the_connection),
		TEST(test_a_spoiled_connection_is_not_the_next_requests_fault),
		TEST(test_callbacks_end_the_call),
		TEST(test_short_and_long_bodies),
		TEST(test_reset_and_silence_at_the_start),
		TEST(test_stall),
		TEST(test_deadline),
		TEST(a_head_may_have_a_deadline_of_its_own),
		TEST(test_connect_time_out),
		TEST(test_nobody_there),
		TEST(test_a_reason_is_not_that_of_an_earlier_failure),
		TEST(test_not_http),
		TEST(test_cancel),
		TEST(who_is_elder_ends_calls_of_the_younger),
		TEST(who_goes_directly_passes_the_proxy_of_the_environment),
		TEST(test_threads),
		TEST(test_content_range),
		TEST(test_retry_after),
		cmocka_unit_test(whose_certificate_is_trusted_the_system_says_or_the_caller),
	};

	unsetenv("http_proxy"); /* loopback must be reached directly */
	unsetenv("https_proxy");
	unsetenv("HTTPS_PROXY");
	unsetenv("ALL_PROXY");
	unsetenv("all_proxy");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
