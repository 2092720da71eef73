/* SPDX-License-Identifier: Apache-2.0 */
/* Input: what a client of git-lfs sends, taken as a batch, as one object, and as a list of parts;
 * and as the query of a link, which none of them may be. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "admin/hub/lfs_asked.h"
#include "admin/hub/lfs_link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define OID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PARTS 3

static void check_objects(const struct lfs_asked *a)
{
	assert(a->count <= LFS_OBJECTS_MAX);
	for (size_t i = 0; i < a->count; i++) {
		const struct lfs_object *o = &a->objects[i];

		assert(o->oid && !o->here && o->size <= INT64_MAX);
		assert(!o->valid || (strlen(o->oid) == LFS_OID && hex_is(o->oid, LFS_OID)));
	}
}

static void check_asked(const char *text, size_t len)
{
	CLEANUP(lfs_asked_fini) struct lfs_asked batch, object;
	const char *why = NULL;
	int r = lfs_asked_batch(text, len, &batch, &why);

	assert(r == 0 || (r >= 400 && r < 500 && why));
	if (r == 0)
		check_objects(&batch);
	r = lfs_asked_object(text, len, &object, &why);
	assert(r == 0 || r == 400);
	if (r == 0)
		check_objects(&object);
}

static void check_parts(const char *text, size_t len)
{
	CLEANUP(lfs_parts_fini) struct lfs_parts parts;
	const char *why = NULL;
	int r = lfs_asked_parts(text, len, PARTS, &parts, &why);

	assert(r == 0 || (r == 400 && why));
	for (int i = 0; r == 0 && i < PARTS; i++)
		assert(parts.sums[i]);
}

/* Nobody has the key. */
static void check_link(const char *query)
{
	static const uint8_t key[CAPABILITY_KEY] = { 7 };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct lfs_link link;

	assert(lfs_link_read(key, OID, query, 0, &link, &why) == -EACCES && why.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	if (buf_add(&text, data, len) < 0)
		return 0;
	check_asked(buf_str(&text), len);
	check_parts(buf_str(&text), len);
	check_link(buf_str(&text));
	return 0;
}
