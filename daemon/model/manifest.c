/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a finished manifest: every function here is a few array accesses or a binary search. */
#include "daemon/model/manifest_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/text.h"

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	free(m->nodes);
	free(m->files);
	free(m->names);
	free(m->by_name);
	free(m->by_etag);
	free(m);
}

void manifest_freep(struct manifest **m)
{
	manifest_free(*m);
}

uint32_t manifest_count(const struct manifest *m)
{
	return m->node_count;
}

uint32_t manifest_file_count(const struct manifest *m)
{
	return m->file_count;
}

uint64_t manifest_total_bytes(const struct manifest *m)
{
	return m->total_bytes;
}

static const struct manifest_node *node_at(const struct manifest *m, uint32_t node)
{
	assert(node < m->node_count);
	return &m->nodes[node];
}

const char *manifest_name(const struct manifest *m, uint32_t node)
{
	return m->names + node_at(m, node)->name;
}

uint32_t manifest_parent(const struct manifest *m, uint32_t node)
{
	return node_at(m, node)->parent;
}

const struct manifest_file *manifest_file(const struct manifest *m, uint32_t node)
{
	const struct manifest_node *n = node_at(m, node);

	return n->count == MANIFEST_IS_FILE ? &m->files[n->first] : NULL;
}

uint32_t manifest_children(const struct manifest *m, uint32_t node, uint32_t *ret_count)
{
	const struct manifest_node *n = node_at(m, node);

	*ret_count = n->count == MANIFEST_IS_FILE ? 0 : n->count;
	return *ret_count ? n->first : MANIFEST_NONE;
}

unsigned manifest_depth(const struct manifest *m, uint32_t node)
{
	unsigned depth = 0;

	for (node = manifest_parent(m, node); node != MANIFEST_ROOT; node = m->nodes[node].parent)
		depth++;
	return depth;
}

/* --- looking up */

uint32_t manifest_child(const struct manifest *m, uint32_t node, const char *name, size_t len)
{
	uint32_t count, low = 0;
	uint32_t first = manifest_children(m, node, &count);

	while (low < count) {
		uint32_t middle = low + (count - low) / 2;
		uint32_t child = m->by_name[first + middle];
		const char *there = m->names + m->nodes[child].name;
		int diff = text_order(name, len, there, strlen(there));

		if (diff == 0)
			return child;
		if (diff < 0)
			count = middle;
		else
			low = middle + 1;
	}
	return MANIFEST_NONE;
}

uint32_t manifest_find(const struct manifest *m, const char *path)
{
	uint32_t node = MANIFEST_ROOT;

	if (!*path)
		return node;
	while (node != MANIFEST_NONE) {
		size_t len = strcspn(path, "/");

		node = manifest_child(m, node, path, len);
		if (!path[len])
			break;
		path += len + 1;
	}
	return node;
}

int manifest_digest_compare(const struct manifest_file *a, const struct manifest_file *b)
{
	int diff = memcmp(a->digest, b->digest, sizeof(a->digest));

	return diff ? diff : (int)a->kind - (int)b->kind;
}

static int parse_etag(const char *etag, struct manifest_file *ret)
{
	size_t len = strlen(etag);

	*ret = (struct manifest_file){ .kind = len == 64 ? DIGEST_SHA256 : DIGEST_GIT_SHA1 };
	if (!hex_is(etag, 2 * digest_size(ret->kind)))
		return -EINVAL;
	return hex_parse(etag, len / 2, ret->digest);
}

uint32_t manifest_find_etag(const struct manifest *m, const char *etag)
{
	uint32_t low = 0, high = m->file_count;
	struct manifest_file wanted;

	if (parse_etag(etag, &wanted) < 0)
		return MANIFEST_NONE;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint32_t node = m->by_etag[middle];
		int diff = manifest_digest_compare(&wanted, &m->files[m->nodes[node].first]);

		if (diff == 0)
			return node;
		if (diff < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return MANIFEST_NONE;
}

/* --- printing */

int manifest_path(const struct manifest *m, uint32_t node, struct buf *ret)
{
	uint32_t above[MANIFEST_PATH_MAX / 2 + 1];
	unsigned depth = 0;
	int r = 0;

	for (; node != MANIFEST_ROOT; node = manifest_parent(m, node))
		above[depth++] = node;
	while (depth > 0 && r == 0) {
		r = buf_add_str(ret, manifest_name(m, above[--depth]));
		if (r == 0 && depth > 0)
			r = buf_add(ret, "/", 1);
	}
	return r;
}

void manifest_etag(const struct manifest_file *f, char ret[static DIGEST_HEX_MAX + 1])
{
	hex_print(f->digest, digest_size(f->kind), ret);
}

uint32_t manifest_next(const struct manifest *m, uint32_t node)
{
	const struct manifest_node *n = &m->nodes[node];

	if (n->count != MANIFEST_IS_FILE && n->count > 0)
		return n->first;
	while (node != MANIFEST_ROOT) {
		const struct manifest_node *parent = &m->nodes[m->nodes[node].parent];

		if (node + 1 < parent->first + parent->count)
			return node + 1;
		node = m->nodes[node].parent;
	}
	return MANIFEST_NONE;
}

static int print_file(const struct manifest_file *f, struct buf *ret)
{
	char oid[2 * sizeof(f->oid) + 1], etag[DIGEST_HEX_MAX + 1];

	hex_print(f->oid, sizeof(f->oid), oid);
	if (f->kind == DIGEST_GIT_SHA1)
		return buf_printf(ret, ":{\"size\":%" PRIu64 ",\"blob_id\":\"%s\"}", f->size, oid);
	manifest_etag(f, etag);
	return buf_printf(ret,
			  ":{\"size\":%" PRIu64 ",\"blob_id\":\"%s\","
			  "\"lfs_sha256\":\"%s\",\"lfs_size\":%" PRIu64 "}",
			  f->size, oid, etag, f->size);
}

/* No xet_hash: clients would then fetch from a store that is not behind this mount. */
int manifest_tree_json(const struct manifest *m, struct buf *ret)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	const char *comma = "";

	buf_add_str(ret, "{\"format_version\":1,\"files\":{");
	for (uint32_t n = MANIFEST_ROOT; n != MANIFEST_NONE; n = manifest_next(m, n)) {
		const struct manifest_file *f = manifest_file(m, n);

		if (!f)
			continue;
		buf_clear(&path);
		if (manifest_path(m, n, &path) < 0)
			return -ENOMEM;
		buf_add_str(ret, comma);
		jdoc_quote(ret, buf_str(&path));
		print_file(f, ret);
		comma = ",";
	}
	buf_add_str(ret, "}}");
	return ret->failed;
}

/* --- natural order */

struct text {
	const char *at, *end;
};

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Moves past a digit run; returns its digits without leading zeros. */
static struct text take_number(struct text *t)
{
	struct text number;

	while (t->at < t->end && *t->at == '0')
		t->at++;
	number.at = t->at;
	while (t->at < t->end && is_digit(*t->at))
		t->at++;
	number.end = t->at;
	return number;
}

static int compare_numbers(struct text *a, struct text *b)
{
	struct text x = take_number(a), y = take_number(b);

	if (x.end - x.at != y.end - y.at)
		return x.end - x.at < y.end - y.at ? -1 : 1;
	return memcmp(x.at, y.at, (size_t)(x.end - x.at));
}

int manifest_natural_n(const char *a, size_t a_len, const char *b, size_t b_len)
{
	struct text x = { a, a + a_len }, y = { b, b + b_len };
	int diff;

	while (x.at < x.end && y.at < y.end) {
		if (is_digit(*x.at) && is_digit(*y.at))
			diff = compare_numbers(&x, &y);
		else
			diff = (unsigned char)*x.at++ - (unsigned char)*y.at++;
		if (diff)
			return diff;
	}
	if (x.at < x.end || y.at < y.end)
		return x.at < x.end ? 1 : -1;
	return text_order(a, a_len, b, b_len); /* "01" and "1" are equal numbers */
}

int manifest_natural(const char *a, const char *b)
{
	return manifest_natural_n(a, strlen(a), b, strlen(b));
}
