/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest as bytes for the catalog (docs/formats.md, "manifest"). Little-endian, no padding:
 *
 *	u32 magic "MFSM"   u32 version (1)   u32 files
 *	per file, in sorted order (a directory's content follows it, components in natural order):
 *		u16 bytes of the path shared with the file before
 *		u16 bytes that follow
 *		u8  digest kind (1 git SHA-1, 2 SHA-256)
 *		u64 size
 *		    rest of the path
 *		    digest (20 or 32 bytes); for SHA-256 then the pointer's git id (20)
 *	u64 XXH3 of all bytes before
 *
 * Unpacking runs through the builder, so that bytes from disk pass the same checks as bytes from a
 * hub; since files come sorted, it costs no sort. A manifest without files is 20 bytes. */
#include "daemon/model/manifest_priv.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/err.h"

#define PACK_MAGIC 0x4d53464du /* "MFSM" */
#define PACK_VERSION 1
#define PACK_HEAD_BYTES 12
#define PACK_SUM_BYTES 8

/* --- packing */

static size_t shared_length(const char *a, const char *b)
{
	size_t i = 0;

	while (a[i] && a[i] == b[i])
		i++;
	return i;
}

static void pack_u16(struct buf *ret, size_t v)
{
	uint16_t le = htole16((uint16_t)v);

	buf_add(ret, &le, sizeof(le));
}

static void pack_file(const struct manifest_file *f, const char *before, const char *path,
		      struct buf *ret)
{
	size_t shared = shared_length(before, path), rest = strlen(path) - shared;
	uint8_t kind = (uint8_t)f->kind;

	pack_u16(ret, shared);
	pack_u16(ret, rest);
	buf_add(ret, &kind, 1);
	buf_add_u64(ret, f->size);
	buf_add(ret, path + shared, rest);
	buf_add(ret, f->digest, digest_size(f->kind));
	if (f->kind == DIGEST_SHA256)
		buf_add(ret, f->oid, sizeof(f->oid));
}

static int pack_files(const struct manifest *m, struct buf *ret)
{
	CLEANUP(buf_free) struct buf before = { 0 };
	CLEANUP(buf_free) struct buf path = { 0 };

	for (uint32_t n = MANIFEST_ROOT; n != MANIFEST_NONE; n = manifest_next(m, n)) {
		struct buf swap = before;

		if (!manifest_file(m, n))
			continue;
		before = path;
		path = swap;
		buf_clear(&path);
		if (manifest_path(m, n, &path) < 0)
			return -ENOMEM;
		pack_file(manifest_file(m, n), buf_str(&before), buf_str(&path), ret);
	}
	return ret->failed;
}

int manifest_pack(const struct manifest *m, struct buf *ret)
{
	size_t start = ret->len;
	int r;

	buf_add_u32(ret, PACK_MAGIC);
	buf_add_u32(ret, PACK_VERSION);
	buf_add_u32(ret, m->file_count);
	r = pack_files(m, ret);
	if (r < 0)
		return r;
	return buf_add_u64(ret, xxh3_of(ret->data + start, ret->len - start));
}

/* --- unpacking */

struct reader {
	const uint8_t *at, *end;
	bool overrun; /* something beyond the end was asked for */
};

/* The next len bytes, borrowed; NULL beyond the end. */
static const void *read_bytes(struct reader *in, size_t len)
{
	const uint8_t *at = in->at;

	if ((size_t)(in->end - in->at) < len) {
		in->overrun = true;
		return NULL;
	}
	in->at += len;
	return at;
}

static void read_into(struct reader *in, void *ret, size_t len)
{
	const void *bytes = read_bytes(in, len);

	if (bytes)
		memcpy(ret, bytes, len);
}

static uint64_t read_number(struct reader *in, size_t bytes)
{
	uint64_t le = 0;

	read_into(in, &le, bytes);
	return le64toh(le);
}

struct unpack {
	struct reader in;
	struct manifest_builder *b;
	struct buf why; /* nobody reads it: damage is damage */
	char path[MANIFEST_PATH_MAX + 1];
	size_t path_len;
};

static void unpack_fini(struct unpack *u)
{
	manifest_builder_free(u->b);
	buf_free(&u->why);
}

/* Turns the path before into the next one. */
static int unpack_path(struct unpack *u, size_t shared, size_t rest)
{
	const void *bytes = read_bytes(&u->in, rest);

	if (!bytes || shared > u->path_len || shared + rest > MANIFEST_PATH_MAX ||
	    memchr(bytes, '\0', rest))
		return ERR_CORRUPT;
	memcpy(u->path + shared, bytes, rest);
	u->path_len = shared + rest;
	u->path[u->path_len] = '\0';
	return 0;
}

static int unpack_file(struct unpack *u)
{
	struct manifest_file file = { 0 };
	size_t shared = read_number(&u->in, 2), rest = read_number(&u->in, 2);
	uint64_t kind = read_number(&u->in, 1);
	int r;

	if (kind != DIGEST_GIT_SHA1 && kind != DIGEST_SHA256)
		return ERR_CORRUPT;
	file.kind = (enum digest_kind)kind;
	file.size = read_number(&u->in, 8);
	r = unpack_path(u, shared, rest);
	if (r < 0)
		return r;
	read_into(&u->in, file.digest, digest_size(file.kind));
	if (file.kind == DIGEST_SHA256)
		read_into(&u->in, file.oid, sizeof(file.oid));
	if (u->in.overrun)
		return ERR_CORRUPT;
	return manifest_builder_add(u->b, u->path, &file, &u->why);
}

/* Checks what surrounds the files, and leaves the reader at the first one. */
static int unpack_head(struct reader *in, const void *data, size_t len, uint64_t *ret_files)
{
	struct reader sum;

	*in = (struct reader){ .at = data, .end = (const uint8_t *)data + len };
	if (len < PACK_HEAD_BYTES + PACK_SUM_BYTES || read_number(in, 4) != PACK_MAGIC)
		return ERR_CORRUPT;
	if (read_number(in, 4) != PACK_VERSION)
		return ERR_FORMAT;
	*ret_files = read_number(in, 4);
	in->end -= PACK_SUM_BYTES;
	sum = (struct reader){ .at = in->end, .end = in->end + PACK_SUM_BYTES };
	if (read_number(&sum, 8) != xxh3_of(data, len - PACK_SUM_BYTES))
		return ERR_CORRUPT;
	return 0;
}

int manifest_unpack(const void *data, size_t len, struct manifest **ret)
{
	CLEANUP(unpack_fini) struct unpack u = { 0 };
	uint64_t files = 0;
	int r = unpack_head(&u.in, data, len, &files);

	if (r == 0)
		r = manifest_builder_new(&u.b);
	for (uint64_t i = 0; i < files && r == 0; i++)
		r = unpack_file(&u);
	if (r == 0 && u.in.at != u.in.end)
		r = ERR_CORRUPT;
	if (r == 0)
		r = manifest_builder_finish(u.b, ret, &u.why);
	return r == ERR_HOSTILE ? ERR_CORRUPT : r;
}
