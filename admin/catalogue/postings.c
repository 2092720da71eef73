/* SPDX-License-Identifier: Apache-2.0 */
/* A row holds the numbers of one range: as two bytes each, or, if they are many, as a bit each. The
 * two have different lengths, so that nothing needs to say which it is. */
#include "admin/catalogue/postings.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"

#define RANGE 8192 /* numbers a row may hold */
#define BITS_BYTES (RANGE / 8)
#define FEW (BITS_BYTES / 2) /* from so many on they are bits */
#define KEY_MAX (POSTINGS_TERM_MAX + 1 + sizeof(uint16_t))

/* The numbers of one row. */
struct range {
	uint64_t words[RANGE / 64];
	size_t count;
};

static bool is_term(struct db_key term)
{
	return term.len && term.len <= POSTINGS_TERM_MAX && !memchr(term.data, '\0', term.len);
}

/* The term, a NUL, the number of the range. */
static struct db_key row_key(struct db_key term, uint32_t number, char room[static KEY_MAX])
{
	uint16_t range = htobe16((uint16_t)(number / RANGE));

	memcpy(room, term.data, term.len);
	room[term.len] = '\0';
	memcpy(room + term.len + 1, &range, sizeof(range));
	return (struct db_key){ room, term.len + 1 + sizeof(range) };
}

static int unpack(const void *val, size_t len, struct range *ret)
{
	const uint8_t *at = val;

	memset(ret->words, 0, sizeof(ret->words));
	ret->count = 0;
	if (len == BITS_BYTES) {
		for (size_t i = 0; i < RANGE / 64; i++) {
			memcpy(&ret->words[i], at + 8 * i, 8);
			ret->words[i] = le64toh(ret->words[i]);
			ret->count += (size_t)__builtin_popcountll(ret->words[i]);
		}
		return 0;
	}
	if (len > BITS_BYTES || len % 2)
		return ERR_CORRUPT;
	for (; len; len -= 2, at += 2, ret->count++) {
		unsigned n = (unsigned)at[0] | (unsigned)at[1] << 8;

		ret->words[n % RANGE / 64] |= UINT64_C(1) << n % 64;
	}
	return 0;
}

static size_t pack(const struct range *range, uint8_t ret[static BITS_BYTES])
{
	uint8_t *at = ret;

	if (range->count >= FEW) {
		for (size_t i = 0; i < RANGE / 64; i++) {
			uint64_t word = htole64(range->words[i]);

			memcpy(ret + 8 * i, &word, 8);
		}
		return BITS_BYTES;
	}
	for (size_t i = 0; i < RANGE / 64; i++)
		for (uint64_t left = range->words[i]; left; left &= left - 1) {
			size_t n = 64 * i + (size_t)__builtin_ctzll(left);

			*at++ = (uint8_t)n;
			*at++ = (uint8_t)(n >> 8);
		}
	return (size_t)(at - ret);
}

/* A row that is damaged counts as empty: repositories are not found by that term alone, which is no
 * reason to refuse a commit. */
static int set(struct db_txn *t, struct db_key term, uint32_t number, bool there)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	uint64_t bit = UINT64_C(1) << number % 64;
	uint8_t packed[BITS_BYTES];
	struct range range;
	char room[KEY_MAX];
	struct db_key key;
	uint64_t *word = &range.words[number % RANGE / 64];
	int r;

	if (!is_term(term) || number / RANGE > UINT16_MAX)
		return -EINVAL;
	key = row_key(term, number, room);
	r = db_get(t, DB_POSTINGS, key, &row);
	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	if (r < 0 || unpack(buf_str(&row), row.len, &range) < 0)
		range = (struct range){ 0 };
	if (!(*word & bit) == !there)
		return 0;
	*word ^= bit;
	range.count += there ? 1 : (size_t)-1;
	return range.count ? db_put(t, DB_POSTINGS, key, packed, pack(&range, packed))
			   : db_del(t, DB_POSTINGS, key);
}

int postings_add(struct db_txn *t, struct db_key term, uint32_t number)
{
	return set(t, term, number, true);
}

int postings_del(struct db_txn *t, struct db_key term, uint32_t number)
{
	return set(t, term, number, false);
}

struct reading {
	struct numberset *to;
	uint64_t reads;
};

static uint32_t first_of(struct db_key key)
{
	uint16_t range;

	memcpy(&range, (const char *)key.data + key.len - sizeof(range), sizeof(range));
	return (uint32_t)be16toh(range) * RANGE;
}

static int read_row(void *arg, struct db_key key, const char *val, size_t len)
{
	struct reading *d = arg;
	struct range range;

	d->reads++;
	return unpack(val, len, &range) < 0
		       ? 0
		       : numberset_add_bits(d->to, first_of(key), range.words, RANGE / 64);
}

int postings_read(struct db_txn *t, struct db_key term, struct numberset *ret, uint64_t *reads)
{
	struct reading d = { .to = ret };
	char room[KEY_MAX];
	int r;

	if (!is_term(term))
		return -EINVAL;
	row_key(term, 0, room);
	r = db_each(t, DB_POSTINGS, (struct db_key){ room, term.len + 1 }, (struct db_key){ 0 },
		    read_row, &d);
	if (reads)
		*reads += d.reads;
	return r;
}

/* One term after another: the next one begins behind all rows of this one. */
static int note_term(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	struct buf *term = arg;

	buf_clear(term);
	buf_add(term, key.data, key.len - sizeof(uint16_t) - 1);
	return term->failed ? term->failed : 1;
}

int postings_terms(struct db_txn *t, struct db_key prefix, postings_fn fn, void *arg)
{
	CLEANUP(buf_free) struct buf term = { 0 };
	struct db_key after = { 0 };
	char room[KEY_MAX];
	int r;

	while ((r = db_each(t, DB_POSTINGS, prefix, after, note_term, &term)) == 1) {
		struct db_key now = { term.data, term.len };

		r = fn(arg, now);
		if (r != 0)
			return r;
		after = row_key(now, UINT32_MAX, room);
	}
	return r;
}
