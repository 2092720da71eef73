/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <xxhash.h>

struct digest {
	EVP_MD_CTX *ctx;
};

struct xxh3 {
	XXH3_state_t *state; /* of its own: the library wants it aligned to 64 bytes */
};

size_t digest_size(enum digest_kind kind)
{
	return kind == DIGEST_GIT_SHA1 ? 20 : 32;
}

/* git hashes a file's type and size, with the NUL, before its bytes. */
static int add_git_header(struct digest *d, uint64_t size)
{
	char header[32];
	int n = snprintf(header, sizeof(header), "blob %llu", (unsigned long long)size);

	return digest_update(d, header, (size_t)n + 1);
}

int digest_new(enum digest_kind kind, uint64_t size, struct digest **ret)
{
	CLEANUP(digest_freep) struct digest *d = calloc(1, sizeof(*d));
	const EVP_MD *md = kind == DIGEST_GIT_SHA1 ? EVP_sha1() : EVP_sha256();

	if (!d)
		return -ENOMEM;
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx)
		return -ENOMEM;
	if (!EVP_DigestInit_ex(d->ctx, md, NULL))
		return -EIO;
	if (kind == DIGEST_GIT_SHA1) {
		int r = add_git_header(d, size);

		if (r < 0)
			return r;
	}
	*ret = steal(d);
	return 0;
}

int digest_update(struct digest *d, const void *data, size_t len)
{
	return EVP_DigestUpdate(d->ctx, data, len) ? 0 : -EIO;
}

int digest_final(struct digest *d, uint8_t *ret)
{
	return EVP_DigestFinal_ex(d->ctx, ret, NULL) ? 0 : -EIO;
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
