/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/extracts.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/num.h"

#define TEXT_MAX (1 << 20) /* bytes of a text; larger ones are not read */
#define PIECE (1 << 20)    /* of a file's head, at first */
#define READER 1           /* rows of another reader of headers are made anew */
#define KEY_MAX (DIGEST_HEX_MAX + 1)
#define DTYPE_BYTES sizeof((struct safetensors_dtype){ 0 }.name)

/* As what a file is read: the last letter of a row's key; part of the format. */
enum kind { TEXT = 't', TENSORS = 's', GGUF = 'g' };

struct extract {
	struct extract *next;
	char key[KEY_MAX + 1]; /* etag and kind */
	bool read;
	struct buf bytes; /* a text, or as a row has it; empty: it cannot be read */
};

void extracts_fini(struct extracts *x)
{
	while (x->first) {
		struct extract *next = x->first->next;

		buf_free(&x->first->bytes);
		free(x->first);
		x->first = next;
	}
	map_fini(&x->map);
}

static enum kind kind_of(const struct extract *e)
{
	return (enum kind)e->key[strlen(e->key) - 1];
}

/* ---- files ---- */

/* The first `most` bytes, or all. */
static int read_start(int fd, uint64_t size, uint64_t most, struct buf *ret)
{
	int r;

	buf_clear(ret);
	size = min_u64(size, most);
	r = buf_reserve(ret, size);
	if (r == 0)
		r = file_pread(fd, ret->data, size, 0);
	if (r < 0)
		return r;
	ret->len = size;
	ret->data[size] = '\0';
	return 0;
}

static void pack_tensors(const struct safetensors_counts *counts, struct buf *ret)
{
	for (size_t i = 0; i < counts->count; i++) {
		buf_add(ret, counts->list[i].name, DTYPE_BYTES);
		buf_add_u64(ret, counts->list[i].numbers);
	}
}

/* A header that is none says nothing, and that is known then. */
static int read_tensors(int fd, uint64_t size, struct buf *ret)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	struct safetensors_counts counts = { .count = 0 };
	uint64_t length = 0;
	int r = read_start(fd, size, PIECE, &head);

	if (r < 0)
		return r;
	if (head.len >= sizeof(length))
		memcpy(&length, head.data, sizeof(length));
	length = le64toh(length);
	if (length <= SAFETENSORS_HEADER_MAX && length + sizeof(length) > head.len)
		r = read_start(fd, size, length + sizeof(length), &head);
	if (r == 0 && safetensors_count(head.data, head.len, &counts) == 0)
		pack_tensors(&counts, ret);
	return r;
}

static void pack_gguf(const struct gguf_facts *g, struct buf *ret)
{
	buf_add_u64(ret, g->context_length);
	buf_add_u64(ret, g->total);
	buf_add_str(ret, g->architecture);
}

/* Calls for more of the file as long as that is wanted. */
static int read_gguf(int fd, uint64_t size, struct buf *ret)
{
	CLEANUP(buf_free) struct buf head = { 0 };
	uint64_t want = PIECE, need = 0;
	struct gguf_facts facts;
	int r, known = ERR_PROTO;

	do {
		r = read_start(fd, size, want, &head);
		if (r == 0)
			known = gguf_describe(buf_str(&head), head.len, size, &facts, &need);
		want = max_u64(2 * want, need);
	} while (r == 0 && known == EXTENTS_MORE && head.len < size);
	if (r == 0 && known == 0)
		pack_gguf(&facts, ret);
	return r < 0 ? r : known == -ENOMEM ? known : 0;
}

static int read_bytes(const struct extract *e, int fd, uint64_t size, struct buf *ret)
{
	static const char reader = READER;

	if (kind_of(e) == TEXT)
		return size <= TEXT_MAX ? read_start(fd, size, TEXT_MAX, ret) : 0;
	buf_add(ret, &reader, sizeof(reader));
	return kind_of(e) == TENSORS ? read_tensors(fd, size, ret) : read_gguf(fd, size, ret);
}

/* What cannot be read now may be readable another time. */
static int read_one(struct extracts *x, struct extract *e)
{
	char etag[DIGEST_HEX_MAX + 1];
	CLEANUP(closep) int fd = -1;
	uint64_t size = 0;
	int r;

	snprintf(etag, sizeof(etag), "%.*s", (int)strlen(e->key) - 1, e->key);
	fd = intake_open_blob(x->intake, etag, &size);
	x->reads++;
	r = fd < 0 ? fd : read_bytes(e, fd, size, &e->bytes);
	if (r == 0)
		r = e->bytes.failed;
	if (r < 0)
		buf_free(&e->bytes);
	x->failed += r < 0;
	e->read = r != -ENOMEM;
	x->held += e->bytes.cap;
	return r == -ENOMEM ? r : 0;
}

int extracts_read(struct extracts *x)
{
	uint64_t before = x->reads;
	int r = 0;

	for (struct extract *e = x->first; r == 0 && e; e = e->next)
		if (!e->read)
			r = read_one(x, e);
	return r < 0 ? r : x->reads > before;
}

/* ---- which are known ---- */

static int add(struct extracts *x, const char *key, struct extract **ret)
{
	struct extract *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	snprintf(e->key, sizeof(e->key), "%s", key);
	e->next = x->first;
	x->first = *ret = e;
	return map_put_str(&x->map, e->key, e);
}

/* -ENOENT also if another reader made it. */
static int get_row(struct db_txn *t, const char *key, struct buf *ret)
{
	int r = db_get(t, DB_EXTRACTS, db_text(key), ret);

	if (r == 0 && ret->len && ret->data[0] == READER)
		return 0;
	buf_clear(ret);
	return r == -ENOMEM ? r : -ENOENT;
}

/* What has no row yet. */
static int look(const struct extracts_in *in, const char *key, struct extract *e, struct buf *ret)
{
	int r = 0;

	if (!e->read && !in->writes)
		return -EAGAIN;
	if (!e->read)
		r = read_one(in->x, e);
	if (r == 0 && in->writes && kind_of(e) != TEXT && e->bytes.len)
		r = db_put(in->txn, DB_EXTRACTS, db_text(key), e->bytes.data, e->bytes.len);
	return r < 0 ? r : buf_add(ret, buf_str(&e->bytes), e->bytes.len);
}

static int find(const struct extracts_in *in, enum kind kind, const struct manifest_file *f,
		struct buf *ret)
{
	char etag[DIGEST_HEX_MAX + 1], key[KEY_MAX + 1];
	struct extract *e;
	int r = 0;

	manifest_etag(f, etag);
	snprintf(key, sizeof(key), "%s%c", etag, (char)kind);
	e = map_find_str(&in->x->map, key);
	if (!e && kind != TEXT) {
		r = get_row(in->txn, key, ret);
		if (r != -ENOENT)
			return r;
	}
	r = e ? 0 : add(in->x, key, &e);
	return r < 0 ? r : look(in, key, e, ret);
}

int extracts_forget(struct db_txn *t, const char *etag)
{
	static const enum kind kinds[] = { TENSORS, GGUF };
	char key[KEY_MAX + 1];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(kinds); i++) {
		snprintf(key, sizeof(key), "%s%c", etag, (char)kinds[i]);
		r = db_del(t, DB_EXTRACTS, db_text(key));
	}
	return r;
}

/* ---- what they say ---- */

int extracts_text(const struct extracts_in *in, const struct manifest_file *f, struct buf *ret)
{
	return find(in, TEXT, f, ret);
}

static uint64_t unpack_u64(const char *at)
{
	uint64_t n;

	memcpy(&n, at, sizeof(n));
	return le64toh(n);
}

int extracts_tensors(const struct extracts_in *in, const struct manifest_file *f,
		     struct safetensors_counts *counts)
{
	enum { ROW = DTYPE_BYTES + sizeof(uint64_t) };
	CLEANUP(buf_free) struct buf row = { 0 };
	struct safetensors_counts of = { .count = 0 };
	int r = find(in, TENSORS, f, &row);

	for (size_t at = 1; at + ROW <= row.len && of.count < SAFETENSORS_DTYPES; at += ROW) {
		struct safetensors_dtype *d = &of.list[of.count++];

		memcpy(d->name, row.data + at, DTYPE_BYTES - 1);
		d->numbers = unpack_u64(row.data + at + DTYPE_BYTES);
	}
	if (r == 0 && safetensors_add(&of, counts) < 0)
		return 0; /* more of them than are told */
	return r;
}

int extracts_gguf(const struct extracts_in *in, const struct manifest_file *f,
		  struct gguf_facts *ret)
{
	enum { HEAD = 1 + 2 * sizeof(uint64_t) };
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = find(in, GGUF, f, &row);

	*ret = (struct gguf_facts){ .total = 0 };
	if (r < 0 || row.len < HEAD)
		return r < 0 ? r : -ENOENT;
	ret->context_length = unpack_u64(row.data + 1);
	ret->total = unpack_u64(row.data + 1 + sizeof(uint64_t));
	snprintf(ret->architecture, sizeof(ret->architecture), "%s", row.data + HEAD);
	return 0;
}
