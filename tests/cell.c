/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/cache/chunk.h"

void cell_init(struct cell *c, uint64_t seed)
{
	struct testimony_conf conf = { .hubs = c->node.hubs, .hub_count = 1 };

	*c = (struct cell){ 0 };
	fetching_init(&c->node, "hub", seed, false);
	assert_int_equal(opened_start(c->node.fetch, c->node.store, &c->opened), 0);
	assert_int_equal(evidence_new(UINT64_C(1) << 20, &c->evidence), 0);
	conf.http = c->node.http;
	conf.store = c->node.store;
	conf.opened = c->opened;
	conf.fetch = c->node.fetch;
	conf.evidence = c->evidence;
	assert_int_equal(testimony_start(&conf, &c->testimony), 0);
}

void cell_fini(struct cell *c)
{
	fetch_stop(c->node.fetch);
	assert_true(testimony_stop(c->testimony));
	opened_stop(c->opened);
	evidence_free(c->evidence);
	fetching_fini(&c->node);
}

void cell_put(struct cell *c, const struct source_blob *what, uint32_t i, uint64_t seed,
	      const char *member)
{
	size_t len = (size_t)(chunk_end(i, what->file.size) - chunk_start(i));
	CLEANUP(freep) char *bytes = malloc(len);
	struct blob *b;

	assert_non_null(bytes);
	fake_bytes(seed, chunk_start(i), bytes, len);
	assert_int_equal(store_blob(c->node.store, what->etag, what->file.size, false, &b), 0);
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
