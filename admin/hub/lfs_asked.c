/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/lfs_asked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/lfs_link.h"
#include "daemon/base/err.h"

static int refuse(int status, const char **ret_why, const char *why)
{
	*ret_why = why;
	return status;
}

static int parse(const char *text, size_t len, struct jdoc **ret, const char **ret_why)
{
	int r = jdoc_parse(text, len, ret);

	return r == ERR_PROTO ? refuse(400, ret_why, "the body is no JSON") : r;
}

void lfs_asked_fini(struct lfs_asked *a)
{
	jdoc_free(a->doc);
	free(a->objects);
}

/* ---- objects ---- */

static struct lfs_object read_object(const struct jval *v)
{
	const char *oid = jval_get_str(v, "oid");
	int64_t size = jval_get_size(v, "size");
	bool valid = oid && strlen(oid) == LFS_OID && hex_is(oid, LFS_OID) && size >= 0;

	return (struct lfs_object){
		.oid = oid ? oid : "",
		.size = size < 0 ? 0 : (uint64_t)size,
		.valid = valid,
	};
}

static int read_objects(const struct jval *list, struct lfs_asked *a, const char **ret_why)
{
	size_t count = jval_count(list);

	if (!jval_is_array(list) || count > LFS_OBJECTS_MAX)
		return refuse(422, ret_why, "\"objects\" must be a list of at most 4096 objects");
	a->objects = calloc(count + 1, sizeof(*a->objects));
	if (!a->objects)
		return -ENOMEM;
	for (; a->count < count; a->count++)
		a->objects[a->count] = read_object(jval_at(list, a->count));
	return 0;
}

static bool names(const struct jval *transfers, const char *way)
{
	for (size_t i = 0; i < jval_count(transfers); i++) {
		const char *word = jval_str(jval_at(transfers, i));

		if (word && !strcmp(word, way))
			return true;
	}
	return false;
}

static bool is_sha256(const char *algorithm)
{
	return !algorithm || !strcmp(algorithm, "sha256") || !strcmp(algorithm, "sha_256");
}

int lfs_asked_batch(const char *text, size_t len, struct lfs_asked *ret, const char **ret_why)
{
	const struct jval *root;
	const char *operation;
	int r;

	*ret = (struct lfs_asked){ 0 };
	r = parse(text, len, &ret->doc, ret_why);
	if (r != 0)
		return r;
	root = jdoc_root(ret->doc);
	operation = jval_get_str(root, "operation");
	ret->upload = operation && !strcmp(operation, "upload");
	if (!ret->upload && (!operation || strcmp(operation, "download") != 0))
		return refuse(422, ret_why, "\"operation\" must be \"upload\" or \"download\"");
	if (!is_sha256(jval_get_str(root, "hash_algo")))
		return refuse(409, ret_why, "the hash algorithm must be sha256");
	ret->in_parts = names(jval_get(root, "transfers"), "multipart");
	ret->by_xet = names(jval_get(root, "transfers"), "xet");
	return read_objects(jval_get(root, "objects"), ret, ret_why);
}

int lfs_asked_object(const char *text, size_t len, struct lfs_asked *ret, const char **ret_why)
{
	int r;

	*ret = (struct lfs_asked){ 0 };
	r = parse(text, len, &ret->doc, ret_why);
	if (r != 0)
		return r;
	ret->objects = calloc(1, sizeof(*ret->objects));
	if (!ret->objects)
		return -ENOMEM;
	ret->objects[0] = read_object(jdoc_root(ret->doc));
	ret->count = 1;
	return 0;
}

/* ---- parts ---- */

int lfs_asked_parts(const char *text, size_t len, uint32_t count, struct lfs_parts *ret,
		    const char **ret_why)
{
	const struct jval *list;
	int r;

	*ret = (struct lfs_parts){ 0 };
	r = parse(text, len, &ret->doc, ret_why);
	if (r != 0)
		return r;
	ret->sums = calloc((size_t)count + 1, sizeof(*ret->sums));
	if (!ret->sums)
		return -ENOMEM;
	list = jval_get(jdoc_root(ret->doc), "parts");
	for (size_t i = 0; i < jval_count(list); i++) {
		int64_t number = jval_get_size(jval_at(list, i), "partNumber");

		if (number >= 1 && number <= count)
			ret->sums[number - 1] = jval_get_str(jval_at(list, i), "etag");
	}
	for (uint32_t i = 0; i < count; i++)
		if (!ret->sums[i])
			return refuse(400, ret_why, "\"parts\" does not name each part");
	return 0;
}

void lfs_parts_fini(struct lfs_parts *p)
{
	jdoc_free(p->doc);
	free(p->sums);
}
