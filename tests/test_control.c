/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket over a seeded node, asked as a client would. What needs a mount is in
 * flow_control.py. */
#include "daemon/control/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "tests/seeded_node.h"

struct fixture {
	struct seeded_node *seeded;
	struct keeper *keeper;
	struct control *control;
	struct control_face face;
	const char *why_not;
	int port;
};

static struct fixture *current; /* for the face */

/* ---- a face that knows two paths ---- */

static const char *why_not(UNUSED void *arg)
{
	return current->why_not;
}

static unsigned under_way(UNUSED void *arg, int64_t *ret_oldest_ms)
{
	*ret_oldest_ms = 1500;
	return 3;
}

static void count(UNUSED void *arg, struct control_counts *ret)
{
	*ret = (struct control_counts){ .inodes = 21, .scratch_bytes = 22, .scratch_nodes = 23 };
}

static void find(UNUSED void *arg, const char *path,
		 void (*found)(void *ctx, int r, const struct control_file *f), void *ctx)
{
	struct repo_id id;
	struct control_file f = { .kind = "file", .commit = "", .path = "", .etag = "" };

	assert_int_equal(repo_id_parse(REPO_MODEL, "org/model", &id), 0);
	f.repo = &id;
	if (strstr(path, "shard")) {
		f.commit = COMMIT_MAIN;
		f.path = "model-00001-of-00002.safetensors";
		f.etag = ETAG_SHARD_1;
		f.size = SEEDED_SHARD_BYTES;
		f.opens = 2;
		f.reads_hit = 7;
		f.readers[f.reader_count++] = 4711;
		found(ctx, 0, &f);
	} else {
		found(ctx, strstr(path, "late") ? ERR_TIMEOUT : ERR_NOENTRY, &f);
	}
}

static void held(void *holding, struct control_held *ret)
{
	assert_null(holding);
	*ret = (struct control_held){ "holder", 4711, 2 };
}

static int set_up(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct keeper_conf keeper = { .threads = 1 };
	struct control_conf conf = { .timeout_ms = 5000, .offline = true };

	assert_non_null(f);
	current = f;
	seeded_node_setup((void **)&f->seeded);
	keeper.node = f->seeded->node;
	assert_int_equal(keeper_start(&keeper, &f->keeper), 0);
	f->face = (struct control_face){
		.mountpoint = "/models",
		.passthrough_why_not = why_not,
		.under_way = under_way,
		.count = count,
		.find = find,
	};
	conf.node = f->seeded->node;
	conf.keeper = f->keeper;
	conf.face = &f->face;
	conf.cache_dir = f->seeded->dir.path;
	f->port = 20000 + (int)getpid() % 10000; /* below those the kernel gives */
	for (int i = 0; i < 50 && !f->control; i++) {
		char address[32];

		snprintf(address, sizeof(address), "127.0.0.1:%d", ++f->port);
		conf.listen = address;
		if (control_start(&conf, &f->control, &why) < 0)
			f->control = NULL;
	}
	assert_non_null(f->control);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	keeper_stop(f->keeper);
	assert_true(control_stop(f->control));
	assert_int_equal(faccessat(f->seeded->dir.dirfd, CONTROL_SOCKET, F_OK, 0), -1);
	keeper_free(f->keeper);
	seeded_node_teardown((void **)&f->seeded);
	free(f);
	return 0;
}

/* ---- asking ---- */

static int dial(const struct fixture *f, bool local)
{
	struct sockaddr_un path = { .sun_family = AF_UNIX };
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)f->port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(path.sun_path, sizeof(path.sun_path), "%s/control", f->seeded->dir.path);
	if (local)
		assert_int_equal(connect(fd, (struct sockaddr *)&path, sizeof(path)), 0);
	else
		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* The status; the body, and the whole answer, are appended. */
static int ask(const struct fixture *f, bool local, const char *method, const char *target,
	       const char *body, struct buf *ret)
{
	CLEANUP(closep) int fd = dial(f, local);
	CLEANUP(buf_free) struct buf q = { 0 };
	char piece[8192];
	ssize_t n;

	buf_printf(
		&q,
		"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		method, target, strlen(body), body);
	assert_int_equal(send(fd, q.data, q.len, MSG_NOSIGNAL), (ssize_t)q.len);
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		buf_add(ret, piece, (size_t)n);
	assert_true(ret->len > 12);
	return atoi(ret->data + 9);
}

static const char *body_of(const struct buf *answer)
{
	const char *end = strstr(buf_str(answer), "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

/* The answer as JSON, which must be what it claims to be. */
static struct jdoc *json(const struct fixture *f, const char *method, const char *target,
			 const char *body, int status)
{
	CLEANUP(buf_free) struct buf answer = { 0 };
	struct jdoc *d = NULL;
	int got = ask(f, true, method, target, body, &answer);

	if (got != status)
		fail_msg("%s %s: %s", method, target, buf_str(&answer));
	assert_non_null(strstr(buf_str(&answer), "Content-Type: application/json"));
	assert_int_equal(jdoc_parse(body_of(&answer), strlen(body_of(&answer)), &d), 0);
	return d;
}

static void refused(const struct fixture *f, const char *method, const char *target,
		    const char *body, int status, const char *error)
{
	CLEANUP(jdoc_freep) struct jdoc *d = json(f, method, target, body, status);

	assert_string_equal(jval_get_str(jdoc_root(d), "error"), error);
	assert_true(strlen(jval_get_str(jdoc_root(d), "message")) > 0);
}

/* ---- stories ---- */

static void status_says_what_it_runs_with(void **state)
{
	struct fixture *f = *state;
	CLEANUP(jdoc_freep) struct jdoc *d = json(f, "GET", "/v1/status", "", 200);
	CLEANUP(jdoc_freep) struct jdoc *again = NULL;
	const struct jval *root = jdoc_root(d);

	assert_string_equal(jval_get_str(root, "version"), MATRIXFS_VERSION);
	assert_string_equal(jval_get_str(root, "mountpoint"), "/models");
	assert_int_equal(jval_get_size(root, "pid"), getpid());
	assert_int_equal(jval_get_size(root, "requests_under_way"), 3);
	assert_null(jval_get(root, "passthrough_why_not"));
	assert_string_equal(jval_get_str(root, "held_by"), "nobody");
	assert_null(jval_get(root, "holder_pid"));
	assert_int_equal(jval_get_size(root, "takeovers"), 0);
	assert_true(jval_is_array(jval_get(root, "hubs")));
	f->why_not = "switched off";
	f->face.held = held;
	again = json(f, "GET", "/v1/status", "", 200);
	root = jdoc_root(again);
	assert_string_equal(jval_get_str(root, "passthrough_why_not"), "switched off");
	assert_string_equal(jval_get_str(root, "held_by"), "holder");
	assert_int_equal(jval_get_size(root, "holder_pid"), 4711);
	assert_int_equal(jval_get_size(root, "takeovers"), 2);
}

static void why_tells_all_of_a_file(void **state)
{
	struct fixture *f = *state;
	CLEANUP(jdoc_freep)
	struct jdoc *d = json(f, "GET", "/v1/why?path=/models/shard", "", 200);
	const struct jval *root = jdoc_root(d);

	assert_string_equal(jval_get_str(root, "kind"), "file");
	assert_string_equal(jval_get_str(root, "repo"), "models/org/model");
	assert_string_equal(jval_get_str(root, "etag"), ETAG_SHARD_1);
	assert_string_equal(jval_get_str(root, "state"), "absent");
	assert_int_equal(jval_get_size(root, "size"), SEEDED_SHARD_BYTES);
	assert_int_equal(jval_get_size(root, "present"), 0);
	assert_int_equal(jval_get_size(root, "reads_hit"), 7);
	assert_int_equal(jval_size(jval_at(jval_get(root, "readers"), 0)), 4711);
	refused(f, "GET", "/v1/why", "", 400, "bad_request");
	refused(f, "GET", "/v1/why?path=/modelsX/shard", "", 400, "bad_request");
	refused(f, "GET", "/v1/why?path=none", "", 404, "not_found");
	refused(f, "GET", "/v1/why?path=late", "", 504, "failed");
}

static void what_is_no_endpoint_or_method_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf b = { 0 };

	refused(f, "GET", "/", "", 404, "no_endpoint");
	refused(f, "GET", "/v1/status/", "", 404, "no_endpoint");
	refused(f, "GET", "/v1/jobs/1/2", "", 404, "no_endpoint");
	refused(f, "DELETE", "/v1/cache", "", 405, "method_not_allowed");
	assert_int_equal(ask(f, true, "POST", "/v1/limits", "", &b), 405);
	assert_non_null(strstr(buf_str(&b), "Allow: GET, HEAD, PUT\r\n"));
	buf_clear(&b);
	assert_int_equal(ask(f, true, "HEAD", "/v1/status", "", &b), 200);
	assert_string_equal(body_of(&b), "");
}

static void bad_wishes_are_told_what_is_wrong(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{}",
		"{\"repo\":1}",
		"{\"repo\":\"../x\"}",
		"{\"repo\":\"org/model\",\"type\":\"mod\"}",
		"{\"repo\":\"org/model\",\"type\":7}",
		"{\"repo\":\"org/model\",\"revision\":\"a..b\"}",
		"{\"repo\":\"org/model\",\"revision\":[]}",
		"{\"repo\":\"org/model\",\"Revision\":\"v1\"}",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		refused(f, "POST", "/v1/pull", bad[i], 400, "bad_request");
		refused(f, "POST", "/v1/evict", bad[i], 400, "bad_request");
	}
	refused(f, "POST", "/v1/scrub", "{\"bytes_per_second\":-1}", 400, "bad_request");
	refused(f, "PUT", "/v1/limits", "{\"total\":\"fast\"}", 400, "bad_request");
	refused(f, "PUT", "/v1/limits", "7", 400, "bad_request");
	refused(f, "POST", "/v1/pin", bad[ARRAY_LEN(bad) - 1], 400, "bad_request");
	refused(f, "POST", "/v1/unpin", bad[ARRAY_LEN(bad) - 1], 400, "bad_request");
	refused(f, "POST", "/v1/scrub", "{\"rate\":1}", 400, "bad_request");
	refused(f, "POST", "/v1/scrub", "{\"bytes_per_second\":9000000000000000000}", 400,
		"bad_request");
	refused(f, "PUT", "/v1/limits", "{\"total\":1e3}", 400, "bad_request");
	refused(f, "PUT", "/v1/limits", "{\"total\":99999999999999999999}", 400, "bad_request");
	refused(f, "PUT", "/v1/limits", "{\"total\":9000000000000000000}", 400, "bad_request");
	refused(f, "POST", "/v1/unpin", "{\"repo\":\"org/model\"}", 404, "no_pin");
	refused(f, "POST", "/v1/evict", "{\"repo\":\"org/none\"}", 404, "no_repository");
	refused(f, "POST", "/v1/evict", "{\"repo\":\"org/model\",\"revision\":\"no\"}", 404,
		"no_revision");
}

static void an_unknown_name_is_told_with_the_known_ones(void **state)
{
	struct fixture *f = *state;
	CLEANUP(jdoc_freep)
	struct jdoc *d = json(f, "PUT", "/v1/limits", "{\"total\":5,\"demnad\":7}", 400);
	const char *message = jval_get_str(jdoc_root(d), "message");

	assert_string_equal(message, "there is no \"demnad\" here; there is \"total\", \"demand\", "
				     "\"ahead\", \"prefetch\", \"background\"");
	assert_int_equal(node_limits(f->seeded->node).total, 0); /* and nothing was set */
}

static void what_is_not_known_cannot_be_evicted(void **state)
{
	struct fixture *f = *state;
	CLEANUP(jdoc_freep)
	struct jdoc *d = json(f, "POST", "/v1/evict", "{\"repo\":\"org/none\"}", 404);

	assert_string_equal(jval_get_str(jdoc_root(d), "message"),
			    "nothing of models/org/none is known here");
}

static void a_pin_is_listed_until_it_is_forgotten(void **state)
{
	struct fixture *f = *state;
	CLEANUP(jdoc_freep)
	struct jdoc *pin =
		json(f, "POST", "/v1/pin", "{\"repo\":\"org/data\",\"type\":\"dataset\"}", 202);
	CLEANUP(jdoc_freep) struct jdoc *cache = json(f, "GET", "/v1/cache", "", 200);
	CLEANUP(jdoc_freep) struct jdoc *jobs = json(f, "GET", "/v1/jobs", "", 200);
	const struct jval *pins = jval_get(jdoc_root(cache), "pins");

	assert_string_equal(jval_get_str(jdoc_root(pin), "kind"), "pin");
	assert_string_equal(jval_get_str(jdoc_root(pin), "what"), "datasets/org/data@main");
	assert_int_equal(jval_count(pins), 1);
	assert_string_equal(jval_get_str(jval_at(pins, 0), "repo"), "datasets/org/data");
	assert_int_equal(jval_count(jval_get(jdoc_root(jobs), "jobs")), 1);
	jdoc_free(
		json(f, "POST", "/v1/unpin", "{\"repo\":\"org/data\",\"type\":\"datasets\"}", 200));
	refused(f, "POST", "/v1/unpin", "{\"repo\":\"org/data\",\"type\":\"dataset\"}", 404,
		"no_pin");
}

static void events_end_with_their_job(void **state)
{
	struct fixture *f = *state;
	CLEANUP(jdoc_freep) struct jdoc *job = json(f, "POST", "/v1/scrub", "", 202);
	CLEANUP(buf_free) struct buf b = { 0 };
	char target[64];

	snprintf(target, sizeof(target), "/v1/jobs/%d/events",
		 (int)jval_get_size(jdoc_root(job), "id"));
	assert_int_equal(ask(f, true, "GET", target, "", &b), 200);
	assert_non_null(strstr(buf_str(&b), "Content-Type: text/event-stream"));
	assert_non_null(strstr(buf_str(&b), "event: end\ndata: {\"id\":"));
	snprintf(target, sizeof(target), "/v1/jobs/%d", (int)jval_get_size(jdoc_root(job), "id"));
	refused(f, "DELETE", target, "", 409, "not_running");
	refused(f, "DELETE", "/v1/jobs/999", "", 404, "no_job");
	refused(f, "GET", "/v1/jobs/x", "", 404, "no_job");
	refused(f, "GET", "/v1/jobs/999/events", "", 404, "no_job");
}

static void limits_are_set_one_by_one(void **state)
{
	struct fixture *f = *state;
	CLEANUP(jdoc_freep)
	struct jdoc *d = json(f, "PUT", "/v1/limits", "{\"total\":5000,\"background\":100}", 200);
	CLEANUP(jdoc_freep) struct jdoc *then = json(f, "PUT", "/v1/limits", "{\"total\":0}", 200);
	CLEANUP(jdoc_freep) struct jdoc *status = NULL;
	const struct jval *shown;

	assert_int_equal(jval_get_size(jdoc_root(d), "total"), 5000);
	assert_int_equal(jval_get_size(jdoc_root(then), "total"), 0);
	assert_int_equal(jval_get_size(jdoc_root(then), "background"), 100);
	assert_int_equal(node_limits(f->seeded->node).of[URGENCY_BACKGROUND], 100);
	status = json(f, "GET", "/v1/status", "", 200);
	shown = jval_get(jval_get(jdoc_root(status), "limits"), "bytes_per_second");
	assert_int_equal(jval_get_size(shown, "background"), 100);
}

static void on_an_address_nothing_can_be_changed(void **state)
{
	static const char *const shown[] = { "/healthz", "/metrics", "/v1/status", "/v1/transfers",
					     "/v1/cache" };
	static const char *const hidden[][2] = {
		{ "POST", "/v1/pull" },      { "POST", "/v1/pin" },   { "POST", "/v1/unpin" },
		{ "POST", "/v1/evict" },     { "POST", "/v1/scrub" }, { "PUT", "/v1/limits" },
		{ "GET", "/v1/why?path=x" }, { "GET", "/v1/jobs" },   { "DELETE", "/v1/jobs/1" },
		{ "GET", "/v1/jobs/1" },     { "GET", "/v1/nfs" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		CLEANUP(buf_free) struct buf b = { 0 }, posted = { 0 };

		assert_int_equal(ask(f, false, "GET", shown[i], "", &b), 200);
		assert_int_equal(ask(f, false, "POST", shown[i], "", &posted), 405);
	}
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		CLEANUP(buf_free) struct buf b = { 0 };

		assert_int_equal(
			ask(f, false, hidden[i][0], hidden[i][1], "{\"repo\":\"org/model\"}", &b),
			404);
	}
}

static int two_clients(UNUSED void *nfs, control_nfs_fn fn, void *ctx)
{
	static const struct control_nfs_client one = {
		.address = "192.0.2.1",
		.mounts = "/hub\0/files\0",
		.connections = 2,
		.bytes = 12345,
	};
	static const struct control_nfs_client other = { .address = "::1", .mounts = "" };
	int r = fn(ctx, &one);

	return r ? r : fn(ctx, &other);
}

static void clients_of_nfs_are_told_if_there_may_be_any(void **state)
{
	struct fixture *f = *state;
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *clients;

	refused(f, "GET", "/v1/nfs", "", 404, "no_nfs");
	f->face.each_nfs_client = two_clients;
	d = json(f, "GET", "/v1/nfs", "", 200);
	clients = jval_get(jdoc_root(d), "clients");
	assert_string_equal(jval_get_str(jval_at(clients, 0), "address"), "192.0.2.1");
	assert_int_equal(jval_get_size(jval_at(clients, 0), "bytes"), 12345);
	assert_string_equal(jval_str(jval_at(jval_get(jval_at(clients, 0), "mounts"), 1)),
			    "/files");
	assert_null(jval_at(jval_get(jval_at(clients, 1), "mounts"), 0));
	assert_null(jval_at(clients, 2));
}

static void metrics_are_in_the_text_format(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf b = { 0 };

	metrics_time(&node_metrics(f->seeded->node)->read_time, 700);
	assert_int_equal(ask(f, true, "GET", "/metrics", "", &b), 200);
	assert_non_null(strstr(buf_str(&b), "Content-Type: text/plain; version=0.0.4"));
	assert_non_null(strstr(buf_str(&b), "\nmatrixfs_read_seconds_bucket{le=\"0.0005\"} 0\n"));
	assert_non_null(strstr(buf_str(&b), "\nmatrixfs_read_seconds_bucket{le=\"0.001\"} 1\n"));
	assert_non_null(strstr(buf_str(&b), "\nmatrixfs_read_seconds_bucket{le=\"+Inf\"} 1\n"));
	assert_non_null(strstr(buf_str(&b), "\nmatrixfs_read_seconds_sum 0.000700\n"));
	assert_non_null(strstr(buf_str(&b), "\nmatrixfs_wedged_waits_total 0\n"));
	assert_non_null(strstr(buf_str(&b), "\nmatrixfs_passthrough 1\n"));
	assert_non_null(strstr(buf_str(&b), "\nmatrixfs_inodes 21\n"));
	assert_non_null(strstr(buf_str(&b), "\nmatrixfs_scratch_bytes 22\n"));
	assert_non_null(strstr(buf_str(&b), "\nmatrixfs_scratch_nodes 23\n"));
	assert_non_null(strstr(buf_str(&b), "\nmatrixfs_index_map_bytes "));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(status_says_what_it_runs_with),
		TEST(why_tells_all_of_a_file),
		TEST(what_is_no_endpoint_or_method_is_refused),
		TEST(bad_wishes_are_told_what_is_wrong),
		TEST(an_unknown_name_is_told_with_the_known_ones),
		TEST(what_is_not_known_cannot_be_evicted),
		TEST(a_pin_is_listed_until_it_is_forgotten),
		TEST(events_end_with_their_job),
		TEST(limits_are_set_one_by_one),
		TEST(on_an_address_nothing_can_be_changed),
		TEST(clients_of_nfs_are_told_if_there_may_be_any),
		TEST(metrics_are_in_the_text_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
