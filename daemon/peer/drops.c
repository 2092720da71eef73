/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/drops.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/own.h"

static bool was(const struct drop *d, const uint8_t *digest)
{
	return chunk_digest_same(d->was, digest);
}

/* The same may be dropped again and again. */
static struct drop *find(struct drops *all, const char *etag, uint32_t i, const uint8_t *is)
{
	for (struct drop *d = all->of; d < all->of + DROPS_MAX; d++)
		if (d->chunk == i && was(d, is) && strcmp(d->etag, etag) == 0)
			return d;
	return NULL;
}

void drops_note(struct drops *all, const char *etag, uint32_t i,
		const uint8_t is[static CHUNK_LIST_DIGEST], bool proven)
{
	struct drop *d = find(all, etag, i, is);

	if (d) {
		d->proven |= proven;
		return;
	}
	d = &all->of[all->count++ % DROPS_MAX];
	drops_lose(all, d->etag);
	*d = (struct drop){ .chunk = i, .proven = proven };
	snprintf(d->etag, sizeof(d->etag), "%s", etag);
	memcpy(d->was, is, CHUNK_LIST_DIGEST);
}

void drops_note_unlike(struct drops *all, const char *etag, const struct chunk_list *former,
		       const struct chunk_list *other, bool proven)
{
	unsigned noted = 0;

	for (uint32_t i = 0; i < former->count && noted < DROPS_AT_ONCE_MAX; i++) {
		if (chunk_digest_same(former->digests[i], other->digests[i]))
			continue;
		drops_note(all, etag, i, former->digests[i], proven);
		noted++;
	}
	if (noted == DROPS_AT_ONCE_MAX)
		drops_lose(all, etag);
}

void drops_lose(struct drops *all, const char *etag)
{
	if (*etag && !drops_is_lost(all, etag))
		snprintf(all->lost[all->lost_count++ % DROPS_LOST_MAX], sizeof(all->lost[0]), "%s",
			 etag);
}

bool drops_is_lost(const struct drops *all, const char *etag)
{
	bool so = false;

	for (unsigned i = 0; !so && i < DROPS_LOST_MAX; i++)
		so = strcmp(all->lost[i], etag) == 0;
	return so;
}

void drops_forget_right(struct drops *all, const char *etag, const struct chunk_list *right)
{
	for (struct drop *d = all->of; d < all->of + DROPS_MAX; d++)
		if (strcmp(d->etag, etag) == 0 && d->chunk < right->count &&
		    was(d, right->digests[d->chunk]))
			*d = (struct drop){ 0 };
}

static bool is_any(UNUSED const struct drop *d, UNUSED const uint8_t *digest)
{
	return true;
}

static bool is_wrong(const struct drop *d, const uint8_t *digest)
{
	return d->proven && was(d, digest);
}

static bool is_other(const struct drop *d, const uint8_t *digest)
{
	return !was(d, digest);
}

static bool has(const struct drops *all, const char *etag, uint32_t i,
		bool (*fits)(const struct drop *d, const uint8_t *digest), const uint8_t *digest)
{
	bool so = false;

	for (const struct drop *d = all->of; !so && d < all->of + DROPS_MAX; d++)
		so = d->chunk == i && strcmp(d->etag, etag) == 0 && fits(d, digest);
	return so;
}

bool drops_has(const struct drops *all, const char *etag, uint32_t i)
{
	return has(all, etag, i, is_any, NULL);
}

bool drops_has_wrong(const struct drops *all, const char *etag, uint32_t i, const uint8_t *is)
{
	return has(all, etag, i, is_wrong, is);
}

bool drops_has_other(const struct drops *all, const char *etag, uint32_t i, const uint8_t *is)
{
	return has(all, etag, i, is_other, is);
}
