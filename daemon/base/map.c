/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing. A deleted entry leaves a tombstone, so that a walk may
 * delete the value it stands on; the next growth sweeps them. At most three quarters of the
 * slots are used, so every probe ends at an empty one.
 *
 * Byte keys come from hubs and may be chosen to collide: they are hashed by SipHash-1-3 under a
 * key made once per process. Numbers are our own and only need mixing. */
#include "daemon/base/map.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define CAP_MIN 16
#define LEN_NUMBER SIZE_MAX /* length of keys that are numbers */

struct map_key {
	union {
		const void *bytes;
		uint64_t number;
	};
	size_t len;
	uint64_t hash;
};

struct map_slot {
	struct map_key key;
	void *value; /* NULL: empty */
};

/* The value of tombstones. */
static char dead;

static uint64_t hash_seed[2];
static pthread_once_t hash_seeded = PTHREAD_ONCE_INIT;

static void seed_hash(void)
{
	struct timespec ts;

	if (getrandom(hash_seed, sizeof(hash_seed), GRND_NONBLOCK) == sizeof(hash_seed))
		return;
	/* Early in boot there is no entropy yet: guessable is better than waiting for it. */
	clock_gettime(CLOCK_REALTIME, &ts);
	hash_seed[0] = (uint64_t)ts.tv_sec ^ (uint64_t)getpid() << 32;
	hash_seed[1] = (uint64_t)ts.tv_nsec;
}

static uint64_t rotl(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static void sip_round(uint64_t v[static 4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[static 4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

/* Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF". */
static uint64_t sip_hash(const void *bytes, size_t len)
{
	const char *at = bytes;
	uint64_t word, v[4] = {
		hash_seed[0] ^ 0x736f6d6570736575,
		hash_seed[1] ^ 0x646f72616e646f6d,
		hash_seed[0] ^ 0x6c7967656e657261,
		hash_seed[1] ^ 0x7465646279746573,
	};

	for (; len - (size_t)(at - (const char *)bytes) >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sip_word(v, le64toh(word));
	}
	word = 0;
	if (len % sizeof(word))
		memcpy(&word, at, len % sizeof(word));
	sip_word(v, le64toh(word) | (uint64_t)len << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct map_key key_bytes(const void *bytes, size_t len)
{
	pthread_once(&hash_seeded, seed_hash);
	return (struct map_key){ .bytes = bytes, .len = len, .hash = sip_hash(bytes, len) };
}

/* Source of the mixer: Steele, Lea, Flood, "Fast splittable pseudorandom number generators". */
static struct map_key key_number(uint64_t number)
{
	uint64_t h = number;

	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9;
	h = (h ^ h >> 27) * 0x94d049bb133111eb;
	return (struct map_key){ .number = number, .len = LEN_NUMBER, .hash = h ^ h >> 31 };
}

static int key_same(const struct map_key *a, const struct map_key *b)
{
	if (a->hash != b->hash || a->len != b->len)
		return 0;
	if (a->len == LEN_NUMBER)
		return a->number == b->number;
	return !a->len || !memcmp(a->bytes, b->bytes, a->len);
}

static int is_live(const struct map_slot *s)
{
	return s->value && s->value != &dead;
}

static struct map_slot *find_slot(const struct map *m, const struct map_key *key)
{
	if (!m->cap)
		return NULL;
	for (size_t i = key->hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[i];

		if (!s->value)
			return NULL;
		if (is_live(s) && key_same(&s->key, key))
			return s;
	}
}

/* Fills the first empty slot for a key that is in no other. */
static void fill_slot(struct map *m, const struct map_key *key, void *value)
{
	size_t i = key->hash & (m->cap - 1);

	while (m->slots[i].value)
		i = (i + 1) & (m->cap - 1);
	m->slots[i] = (struct map_slot){ .key = *key, .value = value };
	m->count++;
	m->used++;
}

/* Moves the live entries to a table that is at most half full. */
static int rebuild(struct map *m)
{
	struct map to = { .cap = CAP_MIN };

	while (to.cap < (m->count + 1) * 2)
		to.cap *= 2;
	to.slots = calloc(to.cap, sizeof(*to.slots));
	if (!to.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++)
		if (is_live(&m->slots[i]))
			fill_slot(&to, &m->slots[i].key, m->slots[i].value);
	free(m->slots);
	*m = to;
	return 0;
}

static void *find(const struct map *m, struct map_key key)
{
	const struct map_slot *s = find_slot(m, &key);

	return s ? s->value : NULL;
}

static int put(struct map *m, struct map_key key, void *value)
{
	assert(value && !find_slot(m, &key));
	if ((m->used + 1) * 4 > m->cap * 3) {
		int r = rebuild(m);

		if (r < 0)
			return r;
	}
	fill_slot(m, &key, value);
	return 0;
}

static void *del(struct map *m, struct map_key key)
{
	struct map_slot *s = find_slot(m, &key);
	void *value;

	if (!s)
		return NULL;
	value = s->value;
	s->value = &dead;
	m->count--;
	return value;
}

void map_fini(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}

void *map_find(const struct map *m, const void *key, size_t key_len)
{
	return find(m, key_bytes(key, key_len));
}

void *map_find_str(const struct map *m, const char *key)
{
	return find(m, key_bytes(key, strlen(key)));
}

void *map_find_u64(const struct map *m, uint64_t key)
{
	return find(m, key_number(key));
}

int map_put(struct map *m, const void *key, size_t key_len, void *value)
{
	return put(m, key_bytes(key, key_len), value);
}

int map_put_str(struct map *m, const char *key, void *value)
{
	return put(m, key_bytes(key, strlen(key)), value);
}

int map_put_u64(struct map *m, uint64_t key, void *value)
{
	return put(m, key_number(key), value);
}

void *map_del(struct map *m, const void *key, size_t key_len)
{
	return del(m, key_bytes(key, key_len));
}

void *map_del_str(struct map *m, const char *key)
{
	return del(m, key_bytes(key, strlen(key)));
}

void *map_del_u64(struct map *m, uint64_t key)
{
	return del(m, key_number(key));
}

int map_each(struct map *m, map_each_fn fn, void *arg)
{
	for (size_t i = 0; i < m->cap; i++) {
		int r = is_live(&m->slots[i]) ? fn(arg, m->slots[i].value) : 0;

		if (r)
			return r;
	}
	return 0;
}
