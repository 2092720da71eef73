/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a page of a tree listing, or "P" and a packed manifest whose sum is made right here.
 * Whatever comes out is walked, and must survive being packed. */
#include "daemon/model/manifest.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_node(const struct manifest *m, uint32_t node)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	char etag[DIGEST_HEX_MAX + 1];

	assert(manifest_path(m, node, &path) == 0);
	assert(path.len <= MANIFEST_PATH_MAX && !strstr(buf_str(&path), "//"));
	assert(manifest_find(m, buf_str(&path)) == node);
	if (!manifest_file(m, node))
		return;
	manifest_etag(manifest_file(m, node), etag);
	assert(manifest_find_etag(m, etag) != MANIFEST_NONE);
}

static void check(const struct manifest *m)
{
	CLEANUP(manifest_freep) struct manifest *copy = NULL;
	CLEANUP(buf_free) struct buf packed = { 0 };
	CLEANUP(buf_free) struct buf json = { 0 };

	for (uint32_t i = 0; i < manifest_count(m); i++)
		check_node(m, i);
	assert(manifest_tree_json(m, &json) == 0);
	assert(manifest_pack(m, &packed) == 0);
	assert(manifest_unpack(packed.data, packed.len, &copy) == 0);
	assert(manifest_count(copy) == manifest_count(m));
}

static void fuzz_page(const char *json, size_t len)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };

	if (manifest_builder_new(&b) < 0 || manifest_builder_page(b, json, len, &why) < 0 ||
	    manifest_builder_finish(b, &m, &why) < 0)
		return;
	check(m);
}

static void fuzz_packed(const uint8_t *data, size_t len)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf packed = { 0 };

	if (buf_add(&packed, data, len) < 0 || buf_add_u64(&packed, xxh3_of(data, len)) < 0)
		return;
	if (manifest_unpack(packed.data, packed.len, &m) == 0)
		check(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > 0 && data[0] == 'P')
		fuzz_packed(data + 1, len - 1);
	else
		fuzz_page((const char *)data, len);
	return 0;
}
