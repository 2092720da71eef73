/* SPDX-License-Identifier: Apache-2.0 */
/* A repository has a number, by which its rows and postings know it. In an order's keys the largest
 * number of a kind comes first, then names by their bytes. */
#include "admin/catalogue/rows.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"

#define NEXT "catalogue" /* of DB_META: the number that nobody has had */
#define HEAD 'h'
#define HEAD_FORMAT 1
#define HOSTED 1
#define GATED 2
#define MANUAL 4
#define HEAD_BYTES (2 + 8 * CATALOGUE_NUMBERS + COMMIT_HEX)

/* ---- numbers of repositories ---- */

static struct db_key name_key(const struct repo_id *id, char room[static REPO_KEY_MAX + 1])
{
	repo_id_key_small(id, room);
	return db_text(room);
}

static int get_u32(struct db_txn *t, enum db_table table, struct db_key key, uint32_t *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, table, key, &row);

	return r < 0 ? r : rows_place_number(buf_str(&row), row.len, ret);
}

static int put_u32(struct db_txn *t, enum db_table table, struct db_key key, uint32_t number)
{
	uint32_t val = htole32(number);

	return db_put(t, table, key, &val, sizeof(val));
}

int rows_place_number(const char *val, size_t len, uint32_t *ret)
{
	if (len != sizeof(*ret))
		return ERR_CORRUPT;
	memcpy(ret, val, sizeof(*ret));
	*ret = le32toh(*ret);
	return 0;
}

/* Names begin with the letter of a kind of repository, as no other row here does: "models/...". */
int rows_number(struct db_txn *t, const struct repo_id *id, uint32_t *ret)
{
	char room[REPO_KEY_MAX + 1];

	return get_u32(t, DB_CATALOGUE, name_key(id, room), ret);
}

int rows_make_number(struct db_txn *t, const struct repo_id *id, uint32_t *ret, bool *ret_new)
{
	char room[REPO_KEY_MAX + 1];
	int r = rows_number(t, id, ret);

	*ret_new = r == -ENOENT;
	if (r != -ENOENT)
		return r;
	r = get_u32(t, DB_META, db_text(NEXT), ret);
	if (r == -ENOENT) {
		*ret = 0;
		r = 0;
	}
	if (r == 0)
		r = put_u32(t, DB_META, db_text(NEXT), *ret + 1);
	return r < 0 ? r : put_u32(t, DB_CATALOGUE, name_key(id, room), *ret);
}

/* A letter no kind's name begins with, and the number. */
static struct db_key number_key(char letter, uint32_t number, char room[static 6])
{
	uint32_t big = htobe32(number);

	room[0] = '\1';
	room[1] = letter;
	memcpy(room + 2, &big, sizeof(big));
	return (struct db_key){ room, 6 };
}

/* ---- texts ---- */

int rows_text(struct db_txn *t, uint32_t number, enum rows_text which, struct buf *ret)
{
	char room[6];

	return db_get(t, DB_CATALOGUE, number_key((char)which, number, room), ret);
}

static int put_changed(struct db_txn *t, struct db_key key, const void *val, size_t len)
{
	CLEANUP(buf_free) struct buf old = { 0 };
	int r = db_get(t, DB_CATALOGUE, key, &old);

	if (r == 0 && len && old.len == len && !memcmp(old.data, val, len))
		return 0;
	if (r == -ENOMEM)
		return r;
	return len ? db_put(t, DB_CATALOGUE, key, val, len) : db_del(t, DB_CATALOGUE, key);
}

int rows_put_text(struct db_txn *t, uint32_t number, enum rows_text which, const char *text)
{
	char room[6];

	return put_changed(t, number_key((char)which, number, room), text, strlen(text));
}

/* ---- orders ---- */

/* Bytes in the order of the numbers, the largest first. */
static void print_number(double number, char ret[static 8])
{
	uint64_t bits;

	number += 0.0; /* there is one zero */
	memcpy(&bits, &number, sizeof(bits));
	bits ^= bits >> 63 ? UINT64_MAX : UINT64_C(1) << 63;
	bits = htobe64(~bits);
	memcpy(ret, &bits, sizeof(bits));
}

struct db_key rows_order(enum repo_type type, enum catalogue_number sort,
			 char room[static ROWS_KEY_MAX])
{
	room[0] = (char)('0' + type);
	room[1] = (char)('a' + sort);
	return (struct db_key){ room, 2 };
}

struct db_key rows_place(enum repo_type type, enum catalogue_number sort, double number,
			 const char *name, char room[static ROWS_KEY_MAX])
{
	struct db_key key = rows_order(type, sort, room);
	size_t len = strnlen(name, REPO_NAME_MAX);

	if (sort < CATALOGUE_NUMBERS) {
		print_number(number, room + key.len);
		key.len += 8;
	}
	memcpy(room + key.len, name, len);
	key.len += len;
	return key;
}

static double number_in(const struct catalogue_entry *e, unsigned sort)
{
	return sort < CATALOGUE_NUMBERS ? e->numbers[sort] : 0;
}

static int del_place(struct db_txn *t, const struct catalogue_entry *e, unsigned sort)
{
	enum catalogue_number which = (enum catalogue_number)sort;
	char room[ROWS_KEY_MAX];

	return db_del(t, DB_ORDERS,
		      rows_place(e->id.type, which, number_in(e, sort), e->id.name, room));
}

static int put_place(struct db_txn *t, uint32_t number, const struct catalogue_entry *e,
		     unsigned sort)
{
	enum catalogue_number which = (enum catalogue_number)sort;
	char room[ROWS_KEY_MAX];

	return put_u32(t, DB_ORDERS,
		       rows_place(e->id.type, which, number_in(e, sort), e->id.name, room), number);
}

/* ---- heads ---- */

static void pack_head(const struct catalogue_entry *e, struct buf *ret)
{
	char start[2] = { HEAD_FORMAT, 0 }, commit[COMMIT_HEX] = { 0 };

	start[1] = (char)((e->hosted ? HOSTED : 0) | (e->gated ? GATED : 0) |
			  (e->manual ? MANUAL : 0));
	buf_add(ret, start, sizeof(start));
	for (size_t i = 0; i < CATALOGUE_NUMBERS; i++) {
		uint64_t bits;

		memcpy(&bits, &e->numbers[i], sizeof(bits));
		buf_add_u64(ret, bits);
	}
	memcpy(commit, e->commit, strlen(e->commit));
	buf_add(ret, commit, sizeof(commit));
	buf_printf(ret, "%c%s", '0' + (char)e->id.type, e->id.name);
}

static int unpack_head(const char *at, size_t len, struct catalogue_entry *ret)
{
	if (len < HEAD_BYTES + 2 || at[0] != HEAD_FORMAT || len - HEAD_BYTES - 1 > REPO_NAME_MAX)
		return ERR_CORRUPT;
	*ret = (struct catalogue_entry){ .hosted = at[1] & HOSTED,
					 .gated = at[1] & GATED,
					 .manual = at[1] & MANUAL };
	for (size_t i = 0; i < CATALOGUE_NUMBERS; i++) {
		uint64_t bits;

		memcpy(&bits, at + 2 + 8 * i, sizeof(bits));
		bits = le64toh(bits);
		memcpy(&ret->numbers[i], &bits, sizeof(bits));
	}
	memcpy(ret->commit, at + HEAD_BYTES - COMMIT_HEX, COMMIT_HEX);
	at += HEAD_BYTES;
	len -= HEAD_BYTES;
	if (*at < '0' || *at >= '0' + REPO_TYPE_COUNT)
		return ERR_CORRUPT;
	ret->id.type = (enum repo_type)(*at - '0');
	snprintf(ret->id.name, sizeof(ret->id.name), "%.*s", (int)(len - 1), at + 1);
	return 0;
}

int rows_head(struct db_txn *t, uint32_t number, struct catalogue_entry *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[6];
	int r = db_get(t, DB_CATALOGUE, number_key(HEAD, number, room), &row);

	return r < 0 ? r : unpack_head(buf_str(&row), row.len, ret);
}

int rows_put_head(struct db_txn *t, uint32_t number, const struct catalogue_entry *old,
		  const struct catalogue_entry *e)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	bool renamed = !old || strcmp(old->id.name, e->id.name) != 0;
	char room[6];
	int r = 0;

	pack_head(e, &row);
	for (unsigned i = 0; r == 0 && i <= CATALOGUE_NUMBERS; i++) {
		if (!renamed && (i == CATALOGUE_NUMBERS || old->numbers[i] == e->numbers[i]))
			continue;
		if (old)
			r = del_place(t, old, i);
		if (r == 0)
			r = put_place(t, number, e, i);
	}
	if (r < 0 || row.failed)
		return r < 0 ? r : row.failed;
	return put_changed(t, number_key(HEAD, number, room), row.data, row.len);
}

int rows_remove(struct db_txn *t, uint32_t number, const struct catalogue_entry *old)
{
	static const char letters[] = { HEAD, ROWS_TERMS, ROWS_DOC };
	char room[6], name[REPO_KEY_MAX + 1];
	int r = db_del(t, DB_CATALOGUE, name_key(&old->id, name));

	for (unsigned i = 0; r == 0 && i <= CATALOGUE_NUMBERS; i++)
		r = del_place(t, old, i);
	for (size_t i = 0; r == 0 && i < sizeof(letters); i++)
		r = db_del(t, DB_CATALOGUE, number_key(letters[i], number, room));
	return r;
}

/* ---- all of them ---- */

struct each {
	struct db_txn *t;
	catalogue_fn fn;
	void *arg;
};

static int each_place(void *arg, struct db_key key UNUSED, const char *val, size_t len)
{
	const struct each *e = arg;
	struct catalogue_entry entry;
	uint32_t number;
	int r = rows_place_number(val, len, &number);

	if (r == 0)
		r = rows_head(e->t, number, &entry);
	return r == -ENOMEM ? r : r < 0 ? 0 : e->fn(e->arg, &entry);
}

int rows_each(struct db_txn *t, catalogue_fn fn, void *arg)
{
	struct each e = { t, fn, arg };
	char room[ROWS_KEY_MAX];
	int r = 0;

	for (int type = 0; r == 0 && type < REPO_TYPE_COUNT; type++)
		r = db_each(t, DB_ORDERS, rows_order((enum repo_type)type, CATALOGUE_NUMBERS, room),
			    (struct db_key){ 0 }, each_place, &e);
	return r;
}
