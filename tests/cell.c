/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/cache/chunk.h"

static int no_room(UNUSED void *arg, UNUSED int refusal)
{
	return 0;
}

static void on_wrong(UNUSED void *arg, UNUSED const char *etag)
{
}

void cell_init(struct cell *c, uint64_t seed)
{
	const struct httpc_conf http = { .user_agent = "test",
					 .connect_ms = 1000,
					 .stall_ms = 5000 };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct fetch_conf fetch = {
		.timeout_ms = 2000,
		.memory_bytes = UINT64_C(64) << 20,
		.make_room = no_room,
		.outcry.on_wrong = on_wrong,
	};
	struct testimony_conf conf = { .hubs = c->hubs, .hub_count = 1 };

	*c = (struct cell){ 0 };
	workdir_init(&c->dir);
	failures_init(&c->failures);
	fake_source_init(&c->hub, "hub", seed);
	c->hubs[0] = &c->hub.source;
	assert_int_equal(httpc_new(&http, &c->http), 0);
	assert_int_equal(store_open(c->dir.path, "me", &c->store, &why), 0);
	assert_int_equal(catalog_open(store_index_dir(c->store), &c->catalog, &why), 0);
	fetch.http = conf.http = c->http;
	fetch.store = conf.store = c->store;
	fetch.catalog = c->catalog;
	fetch.outcry.metrics = &c->metrics;
	fetch.outcry.failures = &c->failures;
	assert_int_equal(fetch_new(&fetch, &c->fetch), 0);
	assert_int_equal(opened_start(c->fetch, c->store, &c->opened), 0);
	assert_int_equal(evidence_new(UINT64_C(1) << 20, &c->evidence), 0);
	conf.opened = c->opened;
	conf.fetch = c->fetch;
	conf.evidence = c->evidence;
	assert_int_equal(testimony_start(&conf, &c->testimony), 0);
}

void cell_fini(struct cell *c)
{
	fetch_stop(c->fetch);
	assert_true(testimony_stop(c->testimony));
	opened_stop(c->opened);
	fetch_free(c->fetch);
	evidence_free(c->evidence);
	catalog_close(c->catalog);
	store_close(c->store);
	failures_fini(&c->failures);
	httpc_free(c->http);
	fake_source_fini(&c->hub);
	workdir_fini(&c->dir);
}

void cell_put(struct cell *c, const struct source_blob *what, uint32_t i, uint64_t seed,
	      const char *member)
{
	size_t len = (size_t)(chunk_end(i, what->file.size) - chunk_start(i));
	CLEANUP(freep) char *bytes = malloc(len);
	struct blob *b;

	assert_non_null(bytes);
	fake_bytes(seed, chunk_start(i), bytes, len);
	assert_int_equal(store_blob(c->store, what->etag, what->file.size, false, &b), 0);
	assert_int_equal(blob_write(b, bytes, len, chunk_start(i)), 0);
	assert_int_equal(blob_put_chunk(b, i, xxh3_of(bytes, len)), 0);
	blob_unref(b);
	evidence_note(c->evidence, what->etag, what->file.size, i, i + 1, member);
}

void cell_digest(uint64_t seed, uint64_t size, uint32_t i, uint8_t ret[static 32])
{
	size_t len = (size_t)(chunk_end(i, size) - chunk_start(i));
	CLEANUP(freep) char *bytes = malloc(len);

	assert_non_null(bytes);
	fake_bytes(seed, chunk_start(i), bytes, len);
	assert_int_equal(digest_of(DIGEST_SHA256, bytes, len, ret), 0);
}
