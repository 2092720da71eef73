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
	struct digest_answers_conf conf = { .hubs = c->node.hubs, .hub_count = 1 };

	*c = (struct cell){ 0 };
	fetching_init(&c->node, "hub", seed, false);
	assert_int_equal(opened_start(c->node.fetch, c->node.store, &c->opened), 0);
	assert_int_equal(provenance_new(UINT64_C(1) << 20, &c->provenance), 0);
	conf.http = c->node.http;
	conf.store = c->node.store;
	conf.opened = c->opened;
	conf.fetch = c->node.fetch;
	conf.provenance = c->provenance;
	assert_int_equal(digest_answers_start(&conf, &c->answers), 0);
}

void cell_fini(struct cell *c)
{
	fetch_stop(c->node.fetch);
	assert_true(digest_answers_stop(c->answers));
	opened_stop(c->opened);
	provenance_free(c->provenance);
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
	provenance_note(c->provenance, what->etag, what->file.size, i, i + 1, member);
}

void cell_digest(uint64_t seed, uint64_t size, uint32_t i, uint8_t ret[static 32])
{
	size_t len = (size_t)(chunk_end(i, size) - chunk_start(i));
	CLEANUP(freep) char *bytes = malloc(len);

	assert_non_null(bytes);
	fake_bytes(seed, chunk_start(i), bytes, len);
	assert_int_equal(digest_of(DIGEST_SHA256, bytes, len, ret), 0);
}
