/* SPDX-License-Identifier: Apache-2.0 */
/* A hub and a storage host, both scripted; every rule has a twin that shows the rule is the
 * reason. */
#include "daemon/hub/hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/hub/source_hub.h"
#include "tests/fake_origin.h"

#define COMMIT "1111111111111111111111111111111111111111"
#define OTHER "2222222222222222222222222222222222222222"
#define OID "0123456789abcdef0123456789abcdef01234567"
#define SHA "aaaaaaaabbbbbbbbccccccccddddddddaaaaaaaabbbbbbbbccccccccdddddddd"
#define SHA2 "baaaaaaabbbbbbbbccccccccddddddddaaaaaaaabbbbbbbbccccccccdddddddd"
#define SIZE (12u << 20)
#define DOWN_MS 5000
#define REST_MS 300 /* of one that refused at once: much less */

#define INFO "/api/models/org/name"
#define TREE INFO "/tree/" COMMIT "?recursive=true"
#define FILE_PATH "dir/a b.bin"
#define RESOLVE "/org/name/resolve/" COMMIT "/dir/a%20b.bin"
#define REVISION_JSON \
	"{\"id\":\"org/name\",\"sha\":\"" COMMIT "\",\"lastModified\":\"2024-01-02T03:04:05.000Z\"}"
#define FILE_JSON(path) "[{\"type\":\"file\",\"path\":\"" path "\",\"oid\":\"" OID "\",\"size\":1}]"

struct fixture {
	struct fake_origin *origin, *storage;
	struct httpc *http;
	struct hub *hub;
	struct metrics_source metrics;
	struct source *source;
	struct repo_id id;
	char *huge;            /* of one test; its origin may send it to the end */
	char *big;             /* SIZE bytes */
	struct buf headers[8]; /* texts that scripts borrow */
	unsigned header_count;
};

static struct hub *make_hub(struct fixture *f, const char *url, const char *token)
{
	const struct hub_conf conf = {
		.url = url,
		.token = token,
		.http = f->http,
		.timeout_ms = 20000, /* 64 MiB take it under a sanitizer */
		.down_ms = DOWN_MS,
		.metrics = &f->metrics,
	};
	struct hub *h = NULL;

	assert_int_equal(hub_new(&conf, &h), 0);
	return h;
}

static int set_up(void **state)
{
	const struct httpc_conf conf = { .connect_ms = 1000, .stall_ms = 500 };
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->origin = fake_origin_start();
	f->storage = fake_origin_start();
	assert_int_equal(httpc_new(&conf, &f->http), 0);
	f->hub = make_hub(f, fake_origin_url(f->origin), "hf_secret");
	assert_int_equal(source_hub_new(f->hub, &f->source), 0);
	assert_int_equal(repo_id_parse(REPO_MODEL, "org/name", &f->id), 0);
	f->big = malloc(SIZE);
	assert_non_null(f->big);
	for (unsigned i = 0; i < SIZE; i++)
		f->big[i] = (char)(i * 2654435761u >> 24);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	source_hub_free(f->source);
	hub_free(f->hub);
	httpc_free(f->http);
	fake_origin_stop(f->origin);
	fake_origin_stop(f->storage);
	for (unsigned i = 0; i < f->header_count; i++)
		buf_free(&f->headers[i]);
	free(f->huge);
	free(f->big);
	free(f);
	return 0;
}

/* A header line with the URL of an origin in it, kept until the end of the test. */
static const char *header(struct fixture *f, const char *before, struct fake_origin *o,
			  const char *after)
{
	struct buf *b = &f->headers[f->header_count++];

	assert_true(f->header_count <= ARRAY_LEN(f->headers));
	assert_int_equal(buf_printf(b, "%s%s%s\r\n", before, fake_origin_url(o), after), 0);
	return buf_str(b);
}

static void script(struct fake_origin *o, const char *target, int status, const char *headers,
		   const char *body)
{
	fake_origin_add(o, target,
			(struct fake_answer){ .status = status, .headers = headers, .body = body });
}

static void rescript(struct fake_origin *o, const char *target, int status, const char *headers,
		     const char *body)
{
	fake_origin_clear(o, target);
	script(o, target, status, headers, body);
}

static int get_revision(struct fixture *f, const char *revision, struct hub_revision *ret)
{
	return hub_get_revision(f->hub, &f->id, revision, NULL, ret, NULL);
}

static int revision_result(struct fixture *f)
{
	struct hub_revision revision;

	return get_revision(f, NULL, &revision);
}

/* --- revisions */

static void test_revision(void **state)
{
	struct fixture *f = *state;
	struct hub_revision v;

	script(f->origin, INFO, 200, NULL, REVISION_JSON);
	script(f->origin, INFO "/revision/refs%2Fpr%2F1", 200, NULL,
	       "{\"id\":\"Org/Name\",\"sha\":\"" OTHER "\"}");
	script(f->origin, "/api/datasets/org/name/revision/main", 200, NULL, REVISION_JSON);
	assert_int_equal(get_revision(f, NULL, &v), 0);
	assert_string_equal(v.commit, COMMIT);
	assert_int_equal(v.date_s, 1704164645);
	assert_true(fake_origin_saw(f->origin, INFO, "Authorization: Bearer hf_secret\r\n"));
	assert_int_equal(get_revision(f, "refs/pr/1", &v), 0);
	assert_string_equal(v.commit, OTHER);
	assert_string_equal(v.id.name, "Org/Name");
	assert_int_equal(v.date_s, -1);
	f->id.type = REPO_DATASET;
	assert_int_equal(get_revision(f, "main", &v), 0);
	assert_int_equal(v.id.type, REPO_DATASET);
}

static void test_revision_nonsense(void **state)
{
	static const char *const bodies[] = {
		"<html>sign in</html>",
		"",
		"[]",
		"{\"id\":\"org/name\"}",
		"{\"sha\":\"" COMMIT "\"}",
		"{\"id\":\"org/name\",\"sha\":\"main\"}",
		"{\"id\":\"../name\",\"sha\":\"" COMMIT "\"}",
		"{\"id\":\"org/name\",\"sha\":\"" COMMIT,
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		rescript(f->origin, INFO, 200, NULL, bodies[i]);
		assert_int_equal(revision_result(f), ERR_PROTO);
	}
	rescript(f->origin, INFO, 200, NULL, REVISION_JSON);
	assert_int_equal(revision_result(f), 0);
}

static void test_refusals(void **state)
{
	static const struct {
		int status;
		const char *headers;
		int result;
	} cases[] = {
		{ 401, "X-Error-Code: RepoNotFound\r\n", ERR_NOREPO },
		{ 404, "X-Error-Code: RepoNotFound\r\n", ERR_NOREPO },
		{ 404, "X-Error-Code: RevisionNotFound\r\n", ERR_NOREV },
		{ 404, "X-Error-Code: EntryNotFound\r\n", ERR_NOENTRY },
		{ 404, "X-Error-Code: SomethingNew\r\n", ERR_PROTO },
		{ 404, NULL, ERR_PROTO },
		{ 403, "X-Error-Code: GatedRepo\r\n", ERR_GATED },
		{ 401, "X-Error-Code: GatedRepo\r\n", ERR_GATED },
		{ 403, NULL, -EACCES },
		{ 403, "X-Error-Message: Access to this resource is disabled.\r\n", ERR_DISABLED },
		{ 403, "X-Error-Message: Access to this resource is fine.\r\n", -EACCES },
		{ 401, "X-Error-Message: Invalid credentials in Authorization header\r\n",
		  ERR_TOKEN },
		{ 401, NULL, ERR_TOKEN }, /* a token was sent */
		{ 400, NULL, ERR_PROTO },
		{ 204, NULL, ERR_PROTO },
		{ 304, NULL, ERR_PROTO },
		{ 302, NULL, ERR_PROTO }, /* to nowhere */
		{ 302, "Location: ftp://x/\r\n", ERR_PROTO },
		{ 408, NULL, ERR_BUSY },
		{ 429, NULL, ERR_BUSY },
		{ 429, "X-Error-Code: RepoNotFound\r\n", ERR_BUSY },
		{ 500, NULL, ERR_SERVER },
		{ 503, "X-Error-Code: RepoNotFound\r\n", ERR_SERVER },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		rescript(f->origin, INFO, cases[i].status, cases[i].headers, NULL);
		assert_int_equal(revision_result(f), cases[i].result);
	}
	assert_int_equal(fake_origin_connections(f->origin), 1);
}

static void test_unauthorized_without_a_token(void **state)
{
	struct fixture *f = *state;

	hub_free(f->hub);
	f->hub = make_hub(f, fake_origin_url(f->origin), NULL);
	script(f->origin, INFO, 401, NULL, NULL);
	assert_int_equal(revision_result(f), ERR_NOREPO);
	assert_false(fake_origin_saw(f->origin, INFO, "Authorization"));
}

static void test_wait_hint(void **state)
{
	struct fixture *f = *state;
	struct hub_revision v;
	int64_t wait_ms = 0;

	script(f->origin, INFO, 429, "Retry-After: 3\r\n", NULL);
	script(f->origin, INFO, 429, NULL, NULL);
	assert_int_equal(hub_get_revision(f->hub, &f->id, NULL, NULL, &v, &wait_ms), ERR_BUSY);
	assert_int_equal(wait_ms, 3000);
	assert_int_equal(hub_get_revision(f->hub, &f->id, NULL, NULL, &v, &wait_ms), ERR_BUSY);
	assert_int_equal(wait_ms, -1);
}

static void test_renamed(void **state)
{
	struct fixture *f = *state;
	struct hub_revision v;

	script(f->origin, INFO, 307, "Location: /api/models/new/name\r\n", NULL);
	script(f->origin, "/api/models/new/name", 200, NULL,
	       "{\"id\":\"new/name\",\"sha\":\"" COMMIT "\"}");
	assert_int_equal(get_revision(f, NULL, &v), 0);
	assert_string_equal(v.id.name, "new/name");
	assert_true(fake_origin_saw(f->origin, "/api/models/new/name", "Bearer hf_secret"));
}

static void test_token_stays_at_home(void **state)
{
	struct fixture *f = *state;

	script(f->origin, INFO, 302, header(f, "Location: ", f->storage, "/elsewhere"), NULL);
	script(f->storage, "/elsewhere", 200, NULL, REVISION_JSON);
	assert_int_equal(revision_result(f), 0);
	assert_int_equal(fake_origin_count(f->storage, "/elsewhere"), 1);
	assert_false(fake_origin_saw(f->storage, "/elsewhere", "hf_secret"));
	assert_true(fake_origin_saw(f->origin, INFO, "hf_secret"));
}

static void test_redirect_loop(void **state)
{
	struct fixture *f = *state;
	char target[32], location[12][48];

	script(f->origin, INFO, 302, "Location: /r0\r\n", NULL);
	for (int i = 0; i < 12; i++) {
		snprintf(target, sizeof(target), "/r%d", i);
		snprintf(location[i], sizeof(location[i]), "Location: /r%d\r\n", i + 1);
		script(f->origin, target, 302, location[i], NULL);
	}
	assert_int_equal(revision_result(f), ERR_REDIRECT);
	assert_int_equal(fake_origin_count(f->origin, NULL), 11);
	rescript(f->origin, "/r9", 200, NULL, REVISION_JSON);
	assert_int_equal(revision_result(f), 0); /* ten are allowed */
}

static void test_huge_answer(void **state)
{
	struct fixture *f = *state;
	size_t len = (64u << 20) + 1;
	char *body = f->huge = malloc(len);

	assert_non_null(body);
	memset(body, ' ', len);
	memcpy(body, REVISION_JSON, strlen(REVISION_JSON));
	fake_origin_add(f->origin, INFO,
			(struct fake_answer){ .status = 200, .body = body, .len = len });
	fake_origin_add(f->origin, INFO,
			(struct fake_answer){ .status = 200, .body = body, .len = len - 1 });
	fake_origin_add(f->origin, INFO,
			(struct fake_answer){ .status = 403, .body = body, .len = len });
	assert_int_equal(revision_result(f), ERR_PROTO);
	assert_int_equal(revision_result(f), 0);
	assert_int_equal(revision_result(f), -EACCES); /* of which only the head was wanted */
}

static void test_hub_with_a_path_and_credentials(void **state)
{
	struct fixture *f = *state;
	char url[128];

	hub_free(f->hub);
	snprintf(url, sizeof(url), "http://user:word@%s/mirror/", fake_origin_url(f->origin) + 7);
	f->hub = make_hub(f, url, "hf_secret");
	snprintf(url, sizeof(url), "%s/mirror", fake_origin_url(f->origin));
	assert_string_equal(hub_name(f->hub), url);
	script(f->origin, "/mirror" INFO, 200, NULL, REVISION_JSON);
	assert_int_equal(revision_result(f), 0);
	assert_true(fake_origin_saw(f->origin, "/mirror" INFO, "Bearer hf_secret"));
}

static void test_bad_conf(void **state)
{
	struct fixture *f = *state;
	struct hub_conf conf = { .url = "huggingface.co", .http = f->http };
	struct hub *h = NULL;

	assert_int_equal(hub_new(&conf, &h), -EINVAL);
	conf.url = "ftp://huggingface.co";
	assert_int_equal(hub_new(&conf, &h), -EINVAL);
	conf.url = "https://huggingface.co";
	conf.token = "hf_a\nb";
	assert_int_equal(hub_new(&conf, &h), -EINVAL);
	assert_null(h);
}

/* --- lists */

static int get_manifest(struct fixture *f, struct manifest **ret, struct buf *why)
{
	uint32_t left_out;

	return hub_get_manifest(f->hub, &f->id, COMMIT, NULL, ret, why, &left_out, NULL);
}

static int manifest_result(struct fixture *f)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	return get_manifest(f, &m, &why);
}

static void test_pages(void **state)
{
	struct fixture *f = *state;
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	script(f->origin, TREE, 200,
	       header(f, "Link: <http://x/first>; rel=\"first\", <", f->origin,
		      "/page?n=2,3>; rel=\"next\""),
	       FILE_JSON("a"));
	script(f->origin, "/page?n=2,3", 200, "Link: </page?n=4>; rel=\"next\"\r\n",
	       FILE_JSON("d/b"));
	script(f->origin, "/page?n=4", 200, "Link: </page?n=2>; rel=\"prev\"\r\n", FILE_JSON("c"));
	assert_int_equal(get_manifest(f, &m, &why), 0);
	assert_int_equal(manifest_file_count(m), 3);
	assert_int_not_equal(manifest_find(m, "d/b"), MANIFEST_NONE);
	assert_true(fake_origin_saw(f->origin, "/page?n=2,3", "hf_secret"));
}

static void test_next_page_elsewhere_gets_no_token(void **state)
{
	struct fixture *f = *state;

	script(f->origin, TREE, 200, header(f, "Link: <", f->storage, "/page>; rel=\"next\""),
	       FILE_JSON("a"));
	script(f->storage, "/page", 200, NULL, FILE_JSON("b"));
	assert_int_equal(manifest_result(f), 0);
	assert_int_equal(fake_origin_count(f->storage, "/page"), 1);
	assert_false(fake_origin_saw(f->storage, "/page", "hf_secret"));
}

static void test_page_loops(void **state)
{
	struct fixture *f = *state;

	script(f->origin, TREE, 200, "Link: </p1>; rel=\"next\"\r\n", "[]");
	script(f->origin, "/p1", 200, "Link: </p2>; rel=\"next\"\r\n", "[]");
	script(f->origin, "/p2", 200, "Link: </p3>; rel=\"next\"\r\n", "[]");
	script(f->origin, "/p3", 200, "Link: </p1>; rel=\"next\"\r\n", "[]");
	assert_int_equal(manifest_result(f), ERR_PROTO);
	assert_true(fake_origin_count(f->origin, NULL) < 12);
	rescript(f->origin, "/p3", 200, NULL, "[]");
	assert_int_equal(manifest_result(f), 0);
	rescript(f->origin, TREE, 200, "Link: <" TREE ">; rel=\"next\"\r\n", "[]");
	assert_int_equal(manifest_result(f), ERR_PROTO);
}

static void test_list_faults(void **state)
{
	struct fixture *f = *state;
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	script(f->origin, TREE, 200, NULL, "[{\"type\":\"file\"");
	assert_int_equal(manifest_result(f), ERR_PROTO);
	rescript(f->origin, TREE, 404, "X-Error-Code: RevisionNotFound\r\n", NULL);
	assert_int_equal(manifest_result(f), ERR_NOREV);
	rescript(f->origin, TREE, 200, NULL, FILE_JSON("../x"));
	assert_int_equal(get_manifest(f, &m, &why), ERR_HOSTILE);
	assert_non_null(strstr(buf_str(&why), "../x"));
	/* A page that cannot be had is not an end. */
	rescript(f->origin, TREE, 200, "Link: </p>; rel=\"next\"\r\n", FILE_JSON("x"));
	script(f->origin, "/p", 503, NULL, NULL);
	assert_int_equal(manifest_result(f), ERR_SERVER);
	/* The same file on two pages. */
	rescript(f->origin, "/p", 200, NULL, FILE_JSON("x"));
	assert_int_equal(manifest_result(f), ERR_HOSTILE);
	rescript(f->origin, "/p", 200, NULL, FILE_JSON("y"));
	assert_int_equal(manifest_result(f), 0);
}

static void test_date(void **state)
{
	struct fixture *f = *state;
	const char *target = INFO "/commits/" COMMIT "?limit=1";
	int64_t date = 0;

	script(f->origin, target, 200, NULL, "[{\"id\":\"x\",\"date\":\"2024-01-02T03:04:05Z\"}]");
	assert_int_equal(hub_get_date(f->hub, &f->id, COMMIT, NULL, &date, NULL), 0);
	assert_int_equal(date, 1704164645);
	rescript(f->origin, target, 200, NULL, "[]");
	assert_int_equal(hub_get_date(f->hub, &f->id, COMMIT, NULL, &date, NULL), ERR_PROTO);
	rescript(f->origin, target, 404, NULL, NULL);
	assert_int_equal(hub_get_date(f->hub, &f->id, COMMIT, NULL, &date, NULL), ERR_PROTO);
}

/* --- ranges */

struct sink {
	struct buf bytes;
	int answer;
};

static int on_bytes(void *arg, const void *data, size_t len)
{
	struct sink *s = arg;

	assert_int_equal(buf_add(&s->bytes, data, len), 0);
	return s->answer;
}

static struct source_blob the_blob(const struct fixture *f)
{
	struct source_blob blob = { .repo = f->id,
				    .commit = COMMIT,
				    .path = FILE_PATH,
				    .file = { .size = SIZE, .kind = DIGEST_SHA256 },
				    .etag = SHA };

	assert_int_equal(hex_parse(SHA, 32, blob.file.digest), 0);
	return blob;
}

static int get_into(struct fixture *f, uint64_t off, uint64_t len, struct sink *sink)
{
	struct source_blob blob = the_blob(f);
	const struct source_ask ask = { .blob = &blob,
					.off = off,
					.len = len,
					.deadline_ms = clock_ms() + 4000,
					.sink = on_bytes,
					.arg = sink };
	int64_t wait_ms;

	return f->source->get(f->source, &ask, &wait_ms);
}

/* Asks for a range and checks that what came, all or a part, is right. */
static int get_range(struct fixture *f, uint64_t off, uint64_t len)
{
	struct sink sink = { 0 };
	int r = get_into(f, off, len, &sink);

	assert_true(sink.bytes.len <= len);
	assert_memory_equal(sink.bytes.len ? sink.bytes.data : "", f->big + off, sink.bytes.len);
	if (r == 0)
		assert_int_equal(sink.bytes.len, len);
	buf_free(&sink.bytes);
	return r;
}

static struct fake_answer big_file(const struct fixture *f, const char *headers)
{
	return (struct fake_answer){
		.status = 200, .headers = headers, .body = f->big, .len = SIZE, .ranges = true
	};
}

/* The hub sends us to the storage's /signed, which has the file. */
static void script_signed(struct fixture *f, const char *query)
{
	char target[256];

	fake_origin_clear(f->origin, RESOLVE);
	snprintf(target, sizeof(target),
		 "/signed%s\r\nX-Repo-Commit: " COMMIT "\r\nX-Linked-Etag: \"" SHA
		 "\"\r\nX-Linked-Size: 12582912\r\nETag: \"page\"",
		 query);
	script(f->origin, RESOLVE, 302, header(f, "Location: ", f->storage, target), NULL);
	snprintf(target, sizeof(target), "/signed%s", query);
	fake_origin_add(f->storage, target, big_file(f, "ETag: \"s3-1\"\r\n"));
}

static void test_range_direct(void **state)
{
	struct fixture *f = *state;

	fake_origin_add(f->origin, RESOLVE,
			big_file(f, "ETag: W/\"" SHA "\"\r\nX-Repo-Commit: " COMMIT "\r\n"));
	assert_int_equal(get_range(f, 0, 1), 0);
	assert_int_equal(get_range(f, 1000, 3000000), 0);
	assert_int_equal(get_range(f, SIZE - 7, 7), 0);
	assert_int_equal(get_range(f, 0, SIZE), 0);
	assert_true(fake_origin_saw(f->origin, RESOLVE, "Bearer hf_secret"));
	assert_int_equal(fake_origin_connections(f->origin), 1);
	assert_string_equal(f->source->name, fake_origin_url(f->origin));
}

static void test_range_by_signed_location(void **state)
{
	struct fixture *f = *state;

	script_signed(f, "?X-Amz-Signature=abc");
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(get_range(f, i * 100000, 100000), 0);
	assert_int_equal(fake_origin_count(f->origin, RESOLVE), 1);
	assert_int_equal(fake_origin_count(f->storage, NULL), 5);
	assert_false(fake_origin_saw(f->storage, "/signed?X-Amz-Signature=abc", "Authorization"));
	assert_false(fake_origin_saw(f->storage, "/signed?X-Amz-Signature=abc", "hf_secret"));
}

static void test_short_lived_location_is_not_kept(void **state)
{
	struct fixture *f = *state;

	script_signed(f, "?Expires=1000000000");
	assert_int_equal(get_range(f, 0, 10), 0);
	assert_int_equal(get_range(f, 10, 10), 0);
	assert_int_equal(fake_origin_count(f->origin, RESOLVE), 2);
}

static void test_expired_location_is_resolved_anew(void **state)
{
	static const int statuses[] = { 401, 403, 404, 410 };
	struct fixture *f = *state;

	script_signed(f, "");
	assert_int_equal(get_range(f, 0, 10), 0);
	for (unsigned i = 0; i < ARRAY_LEN(statuses); i++) {
		fake_origin_clear(f->storage, "/signed");
		script(f->storage, "/signed", statuses[i], NULL, "<Error/>");
		fake_origin_add(f->storage, "/signed", big_file(f, NULL));
		assert_int_equal(get_range(f, 0, 10), 0);
		assert_int_equal(fake_origin_count(f->origin, RESOLVE), 2 + i);
		assert_int_equal(get_range(f, 0, 10), 0);
		assert_int_equal(fake_origin_count(f->origin, RESOLVE), 2 + i);
	}
}

static void test_refused_though_just_signed(void **state)
{
	struct fixture *f = *state;

	script_signed(f, "");
	fake_origin_clear(f->storage, "/signed");
	script(f->storage, "/signed", 403, NULL, "<Error/>");
	assert_int_equal(get_range(f, 0, 10), ERR_SERVER);
	assert_int_equal(fake_origin_count(f->storage, NULL), 1);
	/* It was not kept; the next range begins at the hub. */
	assert_int_equal(get_range(f, 0, 10), ERR_SERVER);
	assert_int_equal(fake_origin_count(f->origin, RESOLVE), 2);
	rescript(f->storage, "/signed", 503, "Retry-After: 1\r\n", NULL);
	assert_int_equal(get_range(f, 0, 10), ERR_SERVER);
	rescript(f->storage, "/signed", 429, NULL, NULL);
	assert_int_equal(get_range(f, 0, 10), ERR_BUSY);
	assert_int_equal(fake_origin_count(f->origin, RESOLVE),
			 3); /* busy is no reason to forget */
}

static void test_location_etag_must_stay(void **state)
{
	struct fixture *f = *state;

	script_signed(f, "");
	assert_int_equal(get_range(f, 0, 10), 0);
	assert_int_equal(get_range(f, 0, 10), 0);
	fake_origin_clear(f->storage, "/signed");
	fake_origin_add(f->storage, "/signed", big_file(f, "ETag: \"s3-2\"\r\n"));
	assert_int_equal(get_range(f, 0, 10), ERR_CHANGED);
	assert_int_equal(get_range(f, 0, 10),
			 0); /* forgotten, resolved anew, and from then on s3-2 */
	assert_int_equal(fake_origin_count(f->origin, RESOLVE), 2);
}

static void test_storage_down_is_not_the_hub_down(void **state)
{
	struct fixture *f = *state;

	script(f->origin, RESOLVE, 302, "Location: http://127.0.0.1:1/x\r\n", NULL);
	assert_int_equal(get_range(f, 0, 10), ERR_UPSTREAM);
	script_signed(f, "");
	assert_int_equal(get_range(f, 0, 10), 0);
}

static void test_chain_of_redirects(void **state)
{
	struct fixture *f = *state;

	script(f->origin, RESOLVE, 307, "Location: /new/name/x\r\n", NULL);
	script(f->origin, "/new/name/x", 302, header(f, "Location: ", f->storage, "/first"), NULL);
	script(f->storage, "/first", 302, "Location: /second\r\n", NULL);
	fake_origin_add(f->storage, "/second", big_file(f, NULL));
	assert_int_equal(get_range(f, 5, 10), 0);
	assert_true(fake_origin_saw(f->origin, "/new/name/x", "hf_secret"));
	assert_false(fake_origin_saw(f->storage, "/second", "hf_secret"));
	assert_int_equal(get_range(f, 15, 10), 0);
	assert_int_equal(fake_origin_count(f->origin, NULL), 2);
	assert_int_equal(fake_origin_count(f->storage, "/first"), 1); /* the last one is kept */
	rescript(f->storage, "/second", 302, "Location: /second\r\n", NULL);
	assert_int_equal(get_range(f, 15, 10), ERR_REDIRECT);
}

/* What the answer's names must be, of the bytes and of a redirect to them. */
static void test_names(void **state)
{
	static const struct {
		const char *headers;
		int direct, redirect;
	} cases[] = {
		{ "ETag: \"" SHA "\"\r\n", 0, 0 },
		{ "ETag: " SHA "\r\n", 0, 0 },
		{ "ETag: \"" SHA2 "\"\r\n", ERR_CHANGED, ERR_CHANGED },
		{ "ETag: \"" SHA "0\"\r\n", ERR_CHANGED, 0 },
		{ "ETag: \"12-34\"\r\n", ERR_CHANGED, 0 }, /* of the redirect's own page */
		{ "ETag: \"12-34\"\r\nX-Linked-Etag: \"" SHA "\"\r\n", 0, 0 },
		{ "ETag: \"" SHA "\"\r\nX-Linked-Etag: \"" SHA2 "\"\r\n", ERR_CHANGED,
		  ERR_CHANGED },
		{ "X-Repo-Commit: " COMMIT "\r\n", 0, 0 },
		{ "X-Repo-Commit: " OTHER "\r\n", ERR_CHANGED, ERR_CHANGED },
		{ "X-Linked-Size: 12582912\r\n", 0, 0 },
		{ "X-Linked-Size: 12582913\r\n", ERR_SIZE, ERR_SIZE },
	};
	struct fixture *f = *state;

	fake_origin_add(f->origin, "/there", big_file(f, NULL));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char headers[512];

		fake_origin_clear(f->origin, RESOLVE);
		fake_origin_add(f->origin, RESOLVE, big_file(f, cases[i].headers));
		assert_int_equal(get_range(f, 10, 10), cases[i].direct);
		snprintf(headers, sizeof(headers), "Location: /there\r\n%s", cases[i].headers);
		rescript(f->origin, RESOLVE, 302, headers, NULL);
		assert_int_equal(get_range(f, 10, 10), cases[i].redirect);
	}
}

/* Scripts a 206 for bytes 100 ... 109 with this Content-Range. */
static int part_result(struct fixture *f, const char *headers, size_t len)
{
	fake_origin_clear(f->origin, RESOLVE);
	fake_origin_add(
		f->origin, RESOLVE,
		(struct fake_answer){
			.status = 206, .headers = headers, .body = f->big + 100, .len = len });
	return get_range(f, 100, 10);
}

static void test_parts(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(part_result(f, "Content-Range: bytes 100-109/12582912\r\n", 10), 0);
	assert_int_equal(part_result(f, "Content-Range: bytes 100-109/*\r\n", 10), 0);
	assert_int_equal(part_result(f, NULL, 10), ERR_PROTO);
	assert_int_equal(part_result(f, "Content-Range: bytes 99-109/12582912\r\n", 11), ERR_PROTO);
	assert_int_equal(part_result(f, "Content-Range: bytes 101-110/12582912\r\n", 10),
			 ERR_PROTO);
	assert_int_equal(part_result(f, "Content-Range: bytes 100-109/12582911\r\n", 10), ERR_SIZE);
	assert_int_equal(part_result(f, "Content-Range: bytes 100-99999999/*\r\n", 10), ERR_SIZE);
	/* Less than asked for, and more. */
	assert_int_equal(part_result(f, "Content-Range: bytes 100-104/12582912\r\n", 5), ERR_CUT);
	assert_int_equal(part_result(f, "Content-Range: bytes 100-199/12582912\r\n", 100), 0);
	assert_int_equal(part_result(f, "Content-Range: bytes 100-109/12582912\r\n", 100), 0);
	assert_int_equal(part_result(f, "Content-Range: bytes 100-109/12582912\r\n", 9), ERR_CUT);
}

static void test_whole_instead_of_part(void **state)
{
	struct fixture *f = *state;
	struct fake_answer a = big_file(f, NULL);

	a.ranges = false;
	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 0, 10), 0);
	assert_int_equal(get_range(f, 1000000, 300000), 0);
	assert_int_equal(get_range(f, 8 << 20, 10), 0);
	assert_int_equal(get_range(f, (8 << 20) + 1, 10), ERR_PROTO);
	a.claim = -1; /* no length: fine, unless it turns out too short */
	fake_origin_clear(f->origin, RESOLVE);
	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 1000000, 300000), 0);
	a.len = 1100000;
	fake_origin_clear(f->origin, RESOLVE);
	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 1000000, 300000), ERR_CUT);
	a.claim = 0;
	fake_origin_clear(f->origin, RESOLVE);
	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 1000000, 300000), ERR_SIZE);
}

static void test_bodies_that_are_not_the_file(void **state)
{
	struct fixture *f = *state;
	struct fake_answer a = big_file(f, "Content-Encoding: gzip\r\n");

	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 0, 10), ERR_PROTO);
	fake_origin_clear(f->origin, RESOLVE);
	a.headers = "Content-Encoding: identity\r\n";
	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 0, 10), 0);
	fake_origin_clear(f->origin, RESOLVE);
	a.headers = "Content-Type: text/html; charset=utf-8\r\n";
	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 0, 10), ERR_PROTO);
	fake_origin_clear(f->origin, RESOLVE);
	a.headers = "Content-Type: text/html\r\nETag: \"" SHA "\"\r\n";
	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 0, 10), 0);
	rescript(f->origin, RESOLVE, 416, NULL, NULL);
	assert_int_equal(get_range(f, 0, 10), ERR_SIZE);
	rescript(f->origin, RESOLVE, 404, "X-Error-Code: EntryNotFound\r\n", NULL);
	assert_int_equal(get_range(f, 0, 10), ERR_NOENTRY);
	rescript(f->origin, RESOLVE, 204, NULL, NULL);
	assert_int_equal(get_range(f, 0, 10), ERR_PROTO);
}

static void test_body_breaks_off(void **state)
{
	struct fixture *f = *state;
	struct fake_answer a = big_file(f, NULL);

	a.cut = true;
	a.cut_at = 500000;
	fake_origin_add(f->origin, RESOLVE, a);
	a.reset = true;
	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 0, 1000000), ERR_CUT);
	assert_int_equal(get_range(f, 0, 1000000), ERR_CUT);
	fake_origin_clear(f->origin, RESOLVE);
	fake_origin_add(f->origin, RESOLVE, big_file(f, NULL));
	assert_int_equal(get_range(f, 0, 1000000), 0);
}

static void test_hang(void **state)
{
	struct fixture *f = *state;
	struct fake_answer a = big_file(f, NULL);
	int64_t start = clock_ms();

	a.before_ms = 3000;
	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 0, 10), ERR_TIMEOUT);
	a.before_ms = 0;
	a.within_ms = 3000;
	fake_origin_clear(f->origin, RESOLVE);
	fake_origin_add(f->origin, RESOLVE, a);
	assert_int_equal(get_range(f, 0, 10), ERR_TIMEOUT);
	assert_true(clock_ms() - start < 2500);
	/* A hub that hangs is not down: others are asked as before. */
	script(f->origin, INFO, 200, NULL, REVISION_JSON);
	assert_int_equal(revision_result(f), 0);
}

static void test_sink_has_enough(void **state)
{
	struct fixture *f = *state;
	struct sink sink = { .answer = 42 };

	fake_origin_add(f->origin, RESOLVE, big_file(f, NULL));
	assert_int_equal(get_into(f, 0, SIZE, &sink), 42);
	assert_true(sink.bytes.len < SIZE);
	buf_free(&sink.bytes);
	sink = (struct sink){ .answer = -ENOSPC };
	assert_int_equal(get_into(f, 0, SIZE, &sink), -ENOSPC);
	buf_free(&sink.bytes);
}

/* --- health */

static void test_down_is_left_alone(void **state)
{
	struct fixture *f = *state;
	int64_t start = clock_ms();

	hub_free(f->hub);
	f->hub = make_hub(f, "http://127.0.0.1:1", NULL);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(revision_result(f), ERR_UPSTREAM);
	assert_true(clock_ms() - start < DOWN_MS);
}

static int64_t busy_ms(struct fixture *f)
{
	struct hub_health health;

	hub_health(f->hub, &health);
	return health.busy_ms;
}

static void test_it_is_known_until_when_it_is_busy(void **state)
{
	struct fixture *f = *state;

	script(f->origin, INFO, 429, NULL, NULL);
	script(f->origin, INFO, 429, "Retry-After: 30\r\n", NULL);
	script(f->origin, INFO, 404, NULL, NULL);
	script(f->origin, INFO, 200, NULL, REVISION_JSON);
	assert_int_equal(revision_result(f), ERR_BUSY);
	assert_int_equal(busy_ms(f), 0);
	assert_int_equal(revision_result(f), ERR_BUSY);
	assert_in_range(busy_ms(f), 20000, 30000);
	assert_true(revision_result(f) < 0);
	assert_in_range(busy_ms(f), 20000, 30000);
	assert_int_equal(revision_result(f), 0);
	assert_int_equal(busy_ms(f), 0);
}

/* What the hub is, by an answer with that status and these fields. */
static bool is_matrixhubd(struct fixture *f, int status, const char *fields)
{
	struct hub_health health;

	fake_origin_clear(f->origin, INFO);
	script(f->origin, INFO, status, fields, status == 200 ? REVISION_JSON : NULL);
	assert_int_equal(revision_result(f) == 0, status == 200);
	hub_health(f->hub, &health);
	return health.is_matrixhubd;
}

static void a_matrixhubd_is_known_by_its_answers(void **state)
{
	struct fixture *f = *state;

	assert_true(is_matrixhubd(f, 200, "X-Hub-Program: matrixhubd\r\n"));
	assert_true(is_matrixhubd(f, 502, NULL)); /* so says a proxy before it */
	assert_false(is_matrixhubd(f, 200, NULL));
}

static void any_other_hub_is_not(void **state)
{
	assert_false(is_matrixhubd(*state, 200, NULL));
	assert_false(is_matrixhubd(*state, 200, "X-Hub-Program: another\r\n"));
	assert_false(is_matrixhubd(*state, 200, "Server: matrixhubd\r\n"));
}

/* A proxy is down for a while: the hub's first call fails, and for a moment nothing is even
 * tried. */
static void test_recovers_after_a_rest(void **state)
{
	struct fixture *f = *state;
	struct fake_origin *hub = f->origin;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	assert_int_equal(revision_result(f), ERR_UPSTREAM);
	unsetenv("http_proxy");
	script(hub, INFO, 200, NULL, REVISION_JSON);
	assert_int_equal(revision_result(f), ERR_UPSTREAM);
	assert_int_equal(get_range(f, 0, 10), ERR_UPSTREAM);
	assert_int_equal(fake_origin_count(hub, NULL), 0);
	clock_sleep_ms(REST_MS);
	assert_int_equal(revision_result(f), 0);
	assert_int_equal(revision_result(f), 0);
	assert_int_equal(fake_origin_count(hub, NULL), 2);
}

static void test_errors_are_not_down(void **state)
{
	struct fixture *f = *state;

	script(f->origin, INFO, 500, NULL, NULL);
	script(f->origin, INFO, 429, NULL, NULL);
	script(f->origin, INFO, 0, NULL, NULL); /* on a used connection: libcurl tries a new one */
	script(f->origin, INFO, 0, NULL, NULL);
	script(f->origin, INFO, 200, NULL, REVISION_JSON);
	assert_int_equal(revision_result(f), ERR_SERVER);
	assert_int_equal(revision_result(f), ERR_BUSY);
	assert_int_equal(revision_result(f), ERR_CUT);
	assert_int_equal(revision_result(f), 0);
}

static void test_remembered_locations_outlive_the_hub(void **state)
{
	struct fixture *f = *state;

	script_signed(f, "");
	assert_int_equal(get_range(f, 0, 10), 0);
	fake_origin_stop(f->origin);
	assert_int_equal(revision_result(f), ERR_UPSTREAM);
	assert_int_equal(get_range(f, 10, 10), 0);
	f->origin = fake_origin_start();
}

/* --- documents */

static int get_doc(struct fixture *f, const char *tail, struct buf *text, struct buf *next)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r = hub_get_doc(f->hub, &f->id, tail, NULL, &doc, next, NULL);

	return r < 0 ? r : jdoc_print(jdoc_root(doc), NULL, NULL, text);
}

static void test_documents(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(buf_free) struct buf next = { 0 };
	struct fixture *f = *state;

	script(f->origin, INFO "/refs?include_prs=1", 200, NULL, "{ \"tags\": [] }\n");
	assert_int_equal(get_doc(f, "/refs?include_prs=1", &text, &next), 0);
	assert_string_equal(buf_str(&text), "{\"tags\":[]}");
	assert_int_equal(next.len, 0);
	script(f->origin, INFO, 200, NULL, "<html>");
	assert_int_equal(get_doc(f, "", &text, &next), ERR_PROTO);
	script(f->origin, INFO "/x", 404, "X-Error-Code: EntryNotFound\r\n", "{}");
	assert_int_equal(get_doc(f, "/x", &text, &next), ERR_NOENTRY);
}

static void test_the_next_page_of_a_document(void **state)
{
	static const struct {
		const char *link, *next;
	} cases[] = {
		{ "</api/models/org/name/commits/main?p=1&limit=2>; rel=\"next\"",
		  "/commits/main?p=1&limit=2" },
		{ "<https://public.example/api/models/Org/Name/commits/main?p=1>; rel=\"next\"",
		  "/commits/main?p=1" },
		{ "<?p=1>; rel=\"next\"", "/commits/main?p=1" },
		{ "</api/models/org/name-2/commits/main?p=1>; rel=\"next\"", "" },
		{ "</api/datasets/org/name/commits/main?p=1>; rel=\"next\"", "" },
		{ "</elsewhere?u=/api/models/org/name/commits>; rel=\"next\"", "" },
		{ "</api/models/org/name/commits/main?p=0>; rel=\"prev\"", "" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_free) struct buf header = { 0 };
		CLEANUP(buf_free) struct buf text = { 0 };
		CLEANUP(buf_free) struct buf next = { 0 };

		buf_printf(&header, "Link: %s\r\n", cases[i].link);
		rescript(f->origin, INFO "/commits/main", 200, buf_str(&header), "[]");
		assert_int_equal(get_doc(f, "/commits/main", &text, &next), 0);
		assert_string_equal(buf_str(&next), cases[i].next);
	}
}

static void test_a_document_of_any_size_is_not_taken(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(buf_free) struct buf next = { 0 };
	struct fixture *f = *state;

	f->huge = malloc(HUB_DOC_MAX + 1);
	assert_non_null(f->huge);
	memset(f->huge, ' ', HUB_DOC_MAX + 1);
	f->huge[0] = '1';
	for (unsigned more = 0; more < 2; more++) {
		fake_origin_clear(f->origin, INFO);
		fake_origin_add(f->origin, INFO,
				(struct fake_answer){
					.status = 200,
					.body = f->huge,
					.len = HUB_DOC_MAX + more,
				});
		assert_int_equal(get_doc(f, "", &text, &next), more ? ERR_PROTO : 0);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_revision),
		TEST(test_revision_nonsense),
		TEST(test_refusals),
		TEST(test_unauthorized_without_a_token),
		TEST(test_wait_hint),
		TEST(test_renamed),
		TEST(test_token_stays_at_home),
		TEST(test_redirect_loop),
		TEST(test_huge_answer),
		TEST(test_hub_with_a_path_and_credentials),
		TEST(test_bad_conf),
		TEST(test_pages),
		TEST(test_next_page_elsewhere_gets_no_token),
		TEST(test_page_loops),
		TEST(test_list_faults),
		TEST(test_date),
		TEST(test_documents),
		TEST(test_the_next_page_of_a_document),
		TEST(test_a_document_of_any_size_is_not_taken),
		TEST(test_range_direct),
		TEST(test_range_by_signed_location),
		TEST(test_short_lived_location_is_not_kept),
		TEST(test_expired_location_is_resolved_anew),
		TEST(test_refused_though_just_signed),
		TEST(test_location_etag_must_stay),
		TEST(test_storage_down_is_not_the_hub_down),
		TEST(test_chain_of_redirects),
		TEST(test_names),
		TEST(test_parts),
		TEST(test_whole_instead_of_part),
		TEST(test_bodies_that_are_not_the_file),
		TEST(test_body_breaks_off),
		TEST(test_hang),
		TEST(test_sink_has_enough),
		TEST(test_it_is_known_until_when_it_is_busy),
		TEST(a_matrixhubd_is_known_by_its_answers),
		TEST(any_other_hub_is_not),
		TEST(test_down_is_left_alone),
		TEST(test_recovers_after_a_rest),
		TEST(test_errors_are_not_down),
		TEST(test_remembered_locations_outlive_the_hub),
	};

	unsetenv("http_proxy"); /* loopback must be reached directly */
	unsetenv("ALL_PROXY");
	unsetenv("all_proxy");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
