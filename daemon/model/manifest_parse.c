/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of the hub's tree listing (hf-contract §1.4). Only files count: directories follow from
 * paths, and kinds of entries not known here (submodules) have no bytes to show. */
#include "daemon/model/manifest_priv.h"

#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"

static int parse_hex(const char *text, size_t bytes, uint8_t *ret)
{
	if (!text || strlen(text) != 2 * bytes || hex_parse(text, bytes, ret) < 0)
		return ERR_PROTO;
	return 0;
}

static int parse_size(const struct jval *v, uint64_t *ret)
{
	int64_t size = jval_get_size(v, "size");

	if (size < 0 || (uint64_t)size > MANIFEST_SIZE_MAX)
		return ERR_PROTO;
	*ret = (uint64_t)size;
	return 0;
}

/* The item's own oid and size; for an LFS file these are replaced by what its pointer says,
 * since some hubs list the pointer's size. */
static int parse_file(const struct jval *item, struct manifest_file *ret)
{
	const struct jval *lfs = jval_get(item, "lfs");
	int r = parse_hex(jval_get_str(item, "oid"), sizeof(ret->oid), ret->oid);

	if (r < 0)
		return r;
	if (!lfs) {
		ret->kind = DIGEST_GIT_SHA1;
		memcpy(ret->digest, ret->oid, sizeof(ret->oid));
		return parse_size(item, &ret->size);
	}
	ret->kind = DIGEST_SHA256;
	r = parse_hex(jval_get_str(lfs, "oid"), digest_size(DIGEST_SHA256), ret->digest);
	return r < 0 ? r : parse_size(lfs, &ret->size);
}

static int add_item(struct manifest_builder *b, const struct jval *item, struct buf *why)
{
	const char *type = jval_get_str(item, "type"), *path = jval_get_str(item, "path");
	struct manifest_file file = { 0 };
	int r;

	if (!type || !path)
		return manifest_builder_leave_out(b, ERR_PROTO);
	if (strcmp(type, "file") != 0)
		return 0;
	r = parse_file(item, &file);
	return r < 0 ? manifest_builder_leave_out(b, r) : manifest_builder_add(b, path, &file, why);
}

int manifest_builder_page(struct manifest_builder *b, const char *json, size_t len, struct buf *why)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r = jdoc_parse(json, len, &doc);
	const struct jval *page;

	if (r < 0)
		return r;
	page = jdoc_root(doc);
	if (!jval_is_array(page))
		return ERR_PROTO;
	for (size_t i = 0; i < jval_count(page) && r == 0; i++)
		r = add_item(b, jval_at(page, i), why);
	return r;
}
