/* SPDX-License-Identifier: Apache-2.0 */
/* The tree: nodes of a level are taken together from the left. A group ends behind the first from
 * its third on whose last number is divisible by four, or has nine; what is left at the end is one
 * group, too. So a level has to keep only the group that is open. */
#include "daemon/xet/xet_hash.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/blake3.h"
#include "daemon/base/buf.h"

#define GROUP_MIN 3
#define ASKED_OF 1024
#define LINE_MAX_LEN (XET_HASH_HEX + 24) /* "hash : bytes\n" */

static const uint8_t data_key[BLAKE3_BYTES] = {
	0x66, 0x97, 0xf5, 0x77, 0x5b, 0x95, 0x50, 0xde, 0x31, 0x35, 0xcb,
	0xac, 0xa5, 0x97, 0x18, 0x1c, 0x9d, 0xe4, 0x21, 0x10, 0x9b, 0xeb,
	0x2b, 0x58, 0xb4, 0xd0, 0xb0, 0x4b, 0x93, 0xad, 0xf2, 0x29,
};
static const uint8_t node_key[BLAKE3_BYTES] = {
	0x01, 0x7e, 0xc5, 0xc7, 0xa5, 0x47, 0x29, 0x96, 0xfd, 0x94, 0x66,
	0x66, 0xb4, 0x8a, 0x02, 0xe6, 0x5d, 0xdd, 0x53, 0x6f, 0x37, 0xc7,
	0x6d, 0xd2, 0xf8, 0x63, 0x52, 0xe6, 0x4a, 0x53, 0x71, 0x3f,
};
static const uint8_t range_key[BLAKE3_BYTES] = {
	0x7f, 0x18, 0x57, 0xd6, 0xce, 0x56, 0xed, 0x66, 0x12, 0x7f, 0xf9,
	0x13, 0xe7, 0xa5, 0xc3, 0xf3, 0xa4, 0xcd, 0x26, 0xd5, 0xb5, 0xdb,
	0x49, 0xe6, 0x41, 0x24, 0x98, 0x7f, 0x28, 0xfb, 0x94, 0xc3,
};
static const uint8_t file_key[BLAKE3_BYTES];

_Static_assert(XET_HASH == BLAKE3_BYTES, "hashes are digests");

/* ---- texts ---- */

static uint64_t number_at(const uint8_t *hash, unsigned i)
{
	uint64_t n;

	memcpy(&n, hash + i * sizeof(n), sizeof(n));
	return le64toh(n);
}

void xet_hash_print(const uint8_t hash[static XET_HASH], char ret[static XET_HASH_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < XET_HASH; i++) {
		uint8_t byte = hash[(i & ~7U) + 7 - (i & 7)];

		*ret++ = digits[byte >> 4];
		*ret++ = digits[byte & 15];
	}
	*ret = '\0';
}

int xet_hash_parse(const char *text, uint8_t ret[static XET_HASH])
{
	uint8_t bytes[XET_HASH];

	if (strlen(text) != XET_HASH_HEX || !hex_is(text, XET_HASH_HEX) ||
	    hex_parse(text, XET_HASH, bytes) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < XET_HASH; i++)
		ret[i] = bytes[(i & ~7U) + 7 - (i & 7)];
	return 0;
}

/* ---- chunks ---- */

bool xet_hash_is_asked(const uint8_t chunk[static XET_HASH])
{
	return number_at(chunk, 3) % ASKED_OF == 0;
}

void xet_hash_chunk(const void *data, size_t len, uint8_t ret[static XET_HASH])
{
	blake3_keyed(data_key, data, len, ret);
}

void xet_hash_range(const uint8_t *hashes, size_t count, uint8_t ret[static XET_HASH])
{
	blake3_keyed(range_key, hashes, count * XET_HASH, ret);
}

/* ---- trees ---- */

static bool ends_group(const struct xet_level *l)
{
	return l->count == XET_GROUP_MAX ||
	       (l->count >= GROUP_MIN && number_at(l->open[l->count - 1].hash, 3) % 4 == 0);
}

/* "hash : bytes\n"; where it ends. By hand: millions of them are hashed. */
static char *print_line(const struct xet_node *n, char *to)
{
	char digits[20];
	unsigned len = 0;
	uint64_t bytes = n->bytes;

	xet_hash_print(n->hash, to);
	to += XET_HASH_HEX;
	*to++ = ' ';
	*to++ = ':';
	*to++ = ' ';
	do
		digits[len++] = (char)('0' + bytes % 10);
	while (bytes /= 10);
	while (len)
		*to++ = digits[--len];
	*to++ = '\n';
	return to;
}

/* The open group becomes one node. */
static void close_group(struct xet_level *l, struct xet_node *ret)
{
	char text[XET_GROUP_MAX * LINE_MAX_LEN], *end = text;

	ret->bytes = 0;
	for (unsigned i = 0; i < l->count; i++) {
		end = print_line(&l->open[i], end);
		ret->bytes += l->open[i].bytes;
	}
	blake3_keyed(node_key, text, (size_t)(end - text), ret->hash);
	l->count = 0;
}

static void add_node(struct xet_tree *t, unsigned level, struct xet_node node)
{
	for (;; level++) {
		struct xet_level *l;

		assert(level < XET_LEVELS);
		l = &t->levels[level];
		l->open[l->count++] = node;
		l->all++;
		if (!ends_group(l))
			return;
		close_group(l, &node);
	}
}

void xet_tree_add(struct xet_tree *t, const uint8_t hash[static XET_HASH], uint64_t bytes)
{
	struct xet_node node = { .bytes = bytes };

	memcpy(node.hash, hash, XET_HASH);
	t->bytes += bytes;
	add_node(t, 0, node);
}

void xet_tree_xorb(struct xet_tree *t, uint8_t ret[static XET_HASH])
{
	struct xet_node node = { .bytes = 0 };
	unsigned level = 0;

	for (; t->levels[level].all > 1; level++) {
		struct xet_level *l = &t->levels[level];

		if (!l->count)
			continue;
		close_group(l, &node);
		add_node(t, level + 1, node);
	}
	memcpy(ret, t->levels[level].open[0].hash, XET_HASH);
}

void xet_tree_file(struct xet_tree *t, uint8_t ret[static XET_HASH])
{
	uint8_t root[XET_HASH];
	bool empty = !t->levels[0].all;

	xet_tree_xorb(t, root);
	if (empty)
		memset(ret, 0, XET_HASH);
	else
		blake3_keyed(file_key, root, XET_HASH, ret);
}
