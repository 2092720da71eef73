/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_cookie.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/digest.h"
#include "fs/nfs_handle.h"

#define PURPOSE "matrixfs-nfs-cookies-1"

int nfs_cookies_init(struct nfs_cookies *c, uint32_t room)
{
	*c = (struct nfs_cookies){ 0 };
	c->items = calloc((size_t)room + 1, sizeof(*c->items));
	return c->items ? 0 : -ENOMEM;
}

void nfs_cookies_fini(struct nfs_cookies *c)
{
	free(c->items);
	*c = (struct nfs_cookies){ 0 };
}

void nfs_cookies_add_rest(struct nfs_cookies *c, uint32_t count, uint64_t cookie)
{
	uint64_t first = cookie > NFS_COOKIE_DOTS ? cookie - NFS_COOKIE_DOTS : 0;

	for (uint64_t i = first; i < count; i++)
		c->items[c->count++] = (struct nfs_cookie){ NFS_COOKIE_DOTS + 1 + i, (uint32_t)i };
}

/* Never one that a client might take for negative. */
static int number_of(const struct nfs_cookie_key *key, const char *name, uint64_t *ret)
{
	uint8_t mac[32];
	uint64_t v;
	int r = digest_hmac(key->secret, sizeof(key->secret), name, strlen(name), mac);

	memcpy(&v, mac, sizeof(v));
	v = le64toh(v) >> 1;
	*ret = v <= NFS_COOKIE_DOTS ? NFS_COOKIE_DOTS + 1 : v;
	return r;
}

int nfs_cookie_key_make(const uint8_t *key, struct nfs_cookie_key *ret)
{
	int r = digest_hmac(key, NFS_KEY, PURPOSE, strlen(PURPOSE), ret->secret);

	return r == 0 ? number_of(ret, "", &ret->verifier) : r; /* no name is empty */
}

int nfs_cookies_add_name(struct nfs_cookies *c, const struct nfs_cookie_key *key, const char *name,
			 uint32_t index)
{
	struct nfs_cookie item = { .index = index };
	int r = number_of(key, name, &item.value);

	if (r == 0)
		c->items[c->count++] = item;
	return r;
}

static int by_value(const void *a, const void *b)
{
	const struct nfs_cookie *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

void nfs_cookies_sort(struct nfs_cookies *c)
{
	qsort(c->items, c->count, sizeof(*c->items), by_value);
}

uint32_t nfs_cookies_after(const struct nfs_cookies *c, uint64_t cookie)
{
	uint32_t from = 0, to = c->count;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (c->items[mid].value <= cookie)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}
