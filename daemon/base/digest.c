/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <xxhash.h>
#if __has_include(<xxh_x86dispatch.h>) /* installed where the library was built with it */
#include <xxh_x86dispatch.h> /* with what this processor has: four times as fast with AVX2 */
#endif

struct digest {
	EVP_MD_CTX *ctx;
};

struct xxh3 {
	XXH3_state_t *state; /* of its own: the library wants it aligned to 64 bytes */
};

/* Fetched once: else the library looks them up in its tables each time, for longer than a short
 * text takes. Never freed. */
static const EVP_MD *sha1, *sha256;

static void fetch(void)
{
	sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static const EVP_MD *algorithm(enum digest_kind kind)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fetch);
	return kind == DIGEST_GIT_SHA1 ? sha1 : sha256;
}

size_t digest_size(enum digest_kind kind)
{
	return kind == DIGEST_GIT_SHA1 ? 20 : 32;
}

/* git hashes an object's type and size, with the NUL, before its bytes. */
static int add_git_header(struct digest *d, const char *type, uint64_t size)
{
	char header[32];
	int n = snprintf(header, sizeof(header), "%s %llu", type, (unsigned long long)size);

	return digest_update(d, header, (size_t)n + 1);
}

static int begin(const EVP_MD *md, struct digest **ret)
{
	CLEANUP(digest_freep) struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx)
		return -ENOMEM;
	if (!md || !EVP_DigestInit_ex(d->ctx, md, NULL))
		return -EIO;
	*ret = steal(d);
	return 0;
}

int digest_new(enum digest_kind kind, uint64_t size, struct digest **ret)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	int r = begin(algorithm(kind), &d);

	if (r == 0 && kind == DIGEST_GIT_SHA1)
		r = add_git_header(d, "blob", size);
	if (r == 0)
		*ret = steal(d);
	return r;
}

int digest_of(enum digest_kind kind, const void *data, size_t len, uint8_t *ret)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	int r = digest_new(kind, len, &d);

	if (r == 0)
		r = digest_update(d, data, len);
	return r < 0 ? r : digest_final(d, ret);
}

int digest_git_object(const char *type, const void *data, size_t len, uint8_t ret[static 20])
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	int r = begin(algorithm(DIGEST_GIT_SHA1), &d);

	if (r == 0)
		r = add_git_header(d, type, len);
	if (r == 0)
		r = digest_update(d, data, len);
	return r < 0 ? r : digest_final(d, ret);
}

int digest_update(struct digest *d, const void *data, size_t len)
{
	return EVP_DigestUpdate(d->ctx, data, len) ? 0 : -EIO;
}

int digest_final(struct digest *d, uint8_t *ret)
{
	return EVP_DigestFinal_ex(d->ctx, ret, NULL) ? 0 : -EIO;
}

int digest_hmac(const void *key, size_t key_len, const void *data, size_t len,
		uint8_t ret[static 32])
{
	return HMAC(EVP_sha256(), key, (int)key_len, data, len, ret, NULL) ? 0 : -EIO;
}

bool digest_same(const uint8_t *a, const uint8_t *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

void digest_freep(struct digest **d)
{
	digest_free(*d);
}

static uint64_t never_zero(uint64_t v)
{
	return v ? v : 1;
}

uint64_t xxh3_of(const void *data, size_t len)
{
	return never_zero(XXH3_64bits(data, len));
}

int xxh3_new(struct xxh3 **ret)
{
	CLEANUP(freep) struct xxh3 *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->state = XXH3_createState();
	if (!x->state)
		return -ENOMEM;
	xxh3_reset(x);
	*ret = steal(x);
	return 0;
}

void xxh3_reset(struct xxh3 *x)
{
	XXH3_64bits_reset(x->state);
}

void xxh3_update(struct xxh3 *x, const void *data, size_t len)
{
	XXH3_64bits_update(x->state, data, len);
}

uint64_t xxh3_value(const struct xxh3 *x)
{
	return never_zero(XXH3_64bits_digest(x->state));
}

void xxh3_free(struct xxh3 *x)
{
	if (!x)
		return;
	XXH3_freeState(x->state);
	free(x);
}
