/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/chunk_list.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"

#define MAGIC "MFSCHK1"
#define LIST_PATH_MAX (sizeof("blobs/aa/") + DIGEST_HEX_MAX + sizeof(".chunks"))
#define PIECE_BYTES (256 << 10)
#define ALGORITHM "sha256"
#define TEXT_HEAD 4096  /* of a text, beside its digests */
#define TEXT_DIGEST 128 /* of one of them: 64 digits, quotes, a comma, and an indented line */

struct head {
	char magic[8];
	uint32_t chunk_bytes;
	uint32_t count;
	uint64_t size;
};
_Static_assert(sizeof(struct head) == 24, "on-disk size");

static bool is_etag(const char *etag)
{
	size_t len = strlen(etag);

	return (len == 40 || len == DIGEST_HEX_MAX) && hex_is(etag, len);
}

struct chunk_list *chunk_list_new(uint64_t size)
{
	uint32_t count = chunk_count(size);
	struct chunk_list *l = calloc(1, sizeof(*l) + (size_t)count * sizeof(l->digests[0]));

	if (!l)
		return NULL;
	l->size = size;
	l->count = count;
	return l;
}

void chunk_list_free(struct chunk_list *l)
{
	free(l);
}

void chunk_list_freep(struct chunk_list **l)
{
	chunk_list_free(*l);
}

/* ---- from bytes ---- */

struct chunk_listing {
	uint64_t size, at;    /* at: bytes that have come */
	struct digest *whole; /* of all of them */
	struct digest *chunk; /* of those of the chunk that is coming, or NULL: it has not begun */
	struct chunk_list *list; /* of those that are whole; NULL if none is wanted */
};

int chunk_listing_begin(enum digest_kind kind, uint64_t size, bool lists,
			struct chunk_listing **ret)
{
	CLEANUP(chunk_listing_freep) struct chunk_listing *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	g->size = size;
	g->list = lists ? chunk_list_new(size) : NULL;
	r = lists && !g->list ? -ENOMEM : digest_new(kind, size, &g->whole);
	if (r < 0)
		return r;
	*ret = steal(g);
	return 0;
}

void chunk_listing_free(struct chunk_listing *g)
{
	if (!g)
		return;
	digest_free(g->whole);
	digest_free(g->chunk);
	chunk_list_free(g->list);
	free(g);
}

void chunk_listing_freep(struct chunk_listing **g)
{
	chunk_listing_free(*g);
}

/* Bytes at `at` that lie in one chunk, which may end with them. */
static int add_to_chunk(struct chunk_listing *g, uint64_t at, const void *data, size_t len)
{
	uint32_t i = chunk_of(at);
	int r = g->chunk ? 0 : digest_new(DIGEST_SHA256, 0, &g->chunk);

	if (r == 0)
		r = digest_update(g->chunk, data, len);
	if (r < 0 || at + len < chunk_end(i, g->size))
		return r;
	r = digest_final(g->chunk, g->list->digests[i]);
	digest_free(steal(g->chunk));
	return r;
}

static int add_to_chunks(struct chunk_listing *g, const char *data, size_t len)
{
	int r = 0;

	for (size_t done = 0, part; r == 0 && done < len; done += part) {
		uint64_t at = g->at + done;

		part = (size_t)min_u64(len - done, chunk_end(chunk_of(at), g->size) - at);
		r = add_to_chunk(g, at, data + done, part);
	}
	return r;
}

int chunk_listing_update(struct chunk_listing *g, const void *data, size_t len)
{
	int r;

	if (len > g->size - g->at)
		return ERR_SIZE;
	r = digest_update(g->whole, data, len);
	if (r == 0 && g->list)
		r = add_to_chunks(g, data, len);
	g->at += len;
	return r;
}

int chunk_listing_end(struct chunk_listing *g, uint8_t *ret_whole, struct chunk_list **ret_list)
{
	int r = g->at == g->size ? digest_final(g->whole, ret_whole) : ERR_SIZE;

	if (r < 0)
		return r;
	*ret_list = steal(g->list);
	return 0;
}

static int read_all(int fd, struct chunk_listing *g, uint64_t size, int (*rest)(void *arg),
		    void *arg)
{
	CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
	int r = piece ? 0 : -ENOMEM;

	for (uint64_t off = 0; r == 0 && off < size; off += PIECE_BYTES) {
		size_t len = (size_t)min_u64(size - off, PIECE_BYTES);

		r = file_pread(fd, piece, len, off);
		if (r == 0)
			r = chunk_listing_update(g, piece, len);
		if (r == 0 && rest)
			r = rest(arg);
	}
	return r;
}

int chunk_list_make(int fd, const char *etag, uint64_t size, int (*rest)(void *arg), void *arg,
		    struct chunk_list **ret)
{
	CLEANUP(chunk_listing_freep) struct chunk_listing *g = NULL;
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	enum digest_kind kind = strlen(etag) == 40 ? DIGEST_GIT_SHA1 : DIGEST_SHA256;
	uint8_t want[DIGEST_BYTES_MAX], whole[DIGEST_BYTES_MAX];
	int r = is_etag(etag) ? chunk_listing_begin(kind, size, true, &g) : -EINVAL;

	if (r == 0)
		r = hex_parse(etag, digest_size(kind), want);
	if (r == 0)
		r = read_all(fd, g, size, rest, arg);
	if (r == 0)
		r = chunk_listing_end(g, whole, &l);
	if (r != 0)
		return r;
	if (memcmp(whole, want, digest_size(kind)) != 0)
		return ERR_DIGEST;
	*ret = steal(l);
	return 0;
}

/* ---- beside the blob ---- */

static void path_of(const char *etag, char ret[static LIST_PATH_MAX])
{
	snprintf(ret, LIST_PATH_MAX, "blobs/%.2s/%.*s.chunks", etag, DIGEST_HEX_MAX, etag);
}

static size_t packed_bytes(uint32_t count)
{
	return sizeof(struct head) + (size_t)count * CHUNK_LIST_DIGEST + sizeof(uint64_t);
}

/* Of the name and all that comes before it: so a file is of no use under another name. */
static int sum_of(const char *etag, const void *data, size_t len, uint64_t *ret)
{
	struct xxh3 *x;
	int r = xxh3_new(&x);

	if (r < 0)
		return r;
	xxh3_update(x, etag, strlen(etag));
	xxh3_update(x, data, len);
	*ret = htole64(xxh3_value(x));
	xxh3_free(x);
	return 0;
}

int chunk_list_pack(const char *etag, const struct chunk_list *l, struct buf *ret)
{
	const struct head h = { .magic = MAGIC,
				.chunk_bytes = htole32((uint32_t)CHUNK_BYTES),
				.count = htole32(l->count),
				.size = htole64(l->size) };
	size_t from = ret->len;
	uint64_t sum = 0;
	int r = buf_add(ret, &h, sizeof(h));

	if (r == 0)
		r = buf_add(ret, l->digests, (size_t)l->count * CHUNK_LIST_DIGEST);
	if (r == 0)
		r = sum_of(etag, ret->data + from, ret->len - from, &sum);
	return r < 0 ? r : buf_add(ret, &sum, sizeof(sum));
}

static bool head_fits(const struct head *h, uint64_t size, size_t len)
{
	uint32_t count = chunk_count(size);

	return memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 &&
	       le32toh(h->chunk_bytes) == CHUNK_BYTES && le32toh(h->count) == count &&
	       le64toh(h->size) == size && len == packed_bytes(count);
}

int chunk_list_unpack(const char *etag, uint64_t size, const void *data, size_t len,
		      struct chunk_list **ret)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	const char *bytes = data;
	uint64_t sum, has;
	struct head h;
	int r;

	if (len < packed_bytes(0))
		return ERR_CORRUPT;
	memcpy(&h, bytes, sizeof(h));
	memcpy(&has, bytes + len - sizeof(has), sizeof(has));
	if (!head_fits(&h, size, len))
		return ERR_CORRUPT;
	r = sum_of(etag, bytes, len - sizeof(sum), &sum);
	if (r < 0 || sum != has)
		return r < 0 ? r : ERR_CORRUPT;
	l = chunk_list_new(size);
	if (!l)
		return -ENOMEM;
	memcpy(l->digests, bytes + sizeof(h), (size_t)l->count * CHUNK_LIST_DIGEST);
	*ret = steal(l);
	return 0;
}

int chunk_list_load(int dirfd, const char *etag, uint64_t size, struct chunk_list **ret)
{
	CLEANUP(buf_free) struct buf file = { 0 };
	char path[LIST_PATH_MAX];
	int r;

	if (!is_etag(etag))
		return -ENOENT;
	path_of(etag, path);
	r = file_read_all(dirfd, path, packed_bytes(chunk_count(size)), &file);
	if (r == -EFBIG || r == -EIO)
		return ERR_CORRUPT;
	return r < 0 ? r : chunk_list_unpack(etag, size, buf_str(&file), file.len, ret);
}

int chunk_list_save(int dirfd, const char *etag, const struct chunk_list *l)
{
	CLEANUP(buf_free) struct buf file = { 0 };
	char path[LIST_PATH_MAX];
	int r = is_etag(etag) ? chunk_list_pack(etag, l, &file) : -EINVAL;

	if (r < 0)
		return r;
	path_of(etag, path);
	return file_replace(dirfd, path, file.data, file.len, 0600);
}

void chunk_list_remove(int dirfd, const char *etag)
{
	char path[LIST_PATH_MAX];

	path_of(etag, path);
	unlinkat(dirfd, path, 0);
}

/* ---- as JSON ---- */

int chunk_list_print(const char *etag, const struct chunk_list *l, struct buf *ret)
{
	char hex[2 * CHUNK_LIST_DIGEST + 1];
	struct jwrite w = { .to = ret };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "etag", etag);
	jwrite_uint(&w, "size", l->size);
	jwrite_uint(&w, "chunkSize", CHUNK_BYTES);
	jwrite_text(&w, "algorithm", ALGORITHM);
	jwrite_array(&w, "digests");
	for (uint32_t i = 0; i < l->count; i++) {
		hex_print(l->digests[i], CHUNK_LIST_DIGEST, hex);
		jwrite_text(&w, NULL, hex);
	}
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	return ret->failed;
}

uint64_t chunk_list_text_max(uint64_t size)
{
	return TEXT_HEAD + (uint64_t)chunk_count(size) * TEXT_DIGEST;
}

/* True if all that a list has is there, whatever it is of. */
static bool is_list(const struct jval *v)
{
	const struct jval *digests = jval_get(v, "digests");
	bool is = jval_get_str(v, "etag") && jval_get_size(v, "size") >= 0 &&
		  jval_get_size(v, "chunkSize") > 0 && jval_get_str(v, "algorithm") &&
		  jval_is_array(digests);

	for (size_t i = 0; is && i < jval_count(digests); i++)
		is = jval_str(jval_at(digests, i)) != NULL;
	return is;
}

static bool is_of(const struct jval *v, const char *etag, uint64_t size)
{
	return strcmp(jval_get_str(v, "etag"), etag) == 0 &&
	       (uint64_t)jval_get_size(v, "size") == size &&
	       (uint64_t)jval_get_size(v, "chunkSize") == CHUNK_BYTES &&
	       strcmp(jval_get_str(v, "algorithm"), ALGORITHM) == 0 &&
	       jval_count(jval_get(v, "digests")) == chunk_count(size);
}

static int take_digests(const struct jval *digests, struct chunk_list *l)
{
	for (uint32_t i = 0; i < l->count; i++) {
		const char *hex = jval_str(jval_at(digests, i));

		if (!hex_is(hex, sizeof(l->digests[0]) * 2) ||
		    hex_parse(hex, sizeof(l->digests[0]), l->digests[i]) < 0)
			return ERR_PROTO;
	}
	return 0;
}

int chunk_list_parse(const char *text, size_t len, const char *etag, uint64_t size,
		     struct chunk_list **ret)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *v;
	int r = jdoc_parse(text, len, &doc);

	if (r < 0)
		return r == ERR_PROTO ? -EBADMSG : r;
	v = jdoc_root(doc);
	if (!is_list(v))
		return -EBADMSG;
	if (!is_of(v, etag, size))
		return ERR_PROTO;
	l = chunk_list_new(size);
	r = l ? take_digests(jval_get(v, "digests"), l) : -ENOMEM;
	if (r == 0)
		*ret = steal(l);
	return r;
}
