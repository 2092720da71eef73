/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/chunk_in.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"

static bool is_whole_blob(const struct chunk_in *c)
{
	return c->size == c->ask->blob->file.size;
}

/* Only what can be compared with something is digested. */
static int begin_digest(struct chunk_in *c)
{
	const struct source_blob *blob = c->ask->blob;
	uint32_t chunk = chunk_of(c->pos);
	uint8_t must[CHUNK_LIST_DIGEST];

	if (is_whole_blob(c))
		return digest_new(blob->file.kind, c->size, &c->digest);
	if (!provenance_knows(c->provenance, blob->etag, chunk, must) &&
	    !provenance_dropped(c->provenance, blob->etag, chunk))
		return 0;
	return digest_new(DIGEST_SHA256, c->size, &c->digest);
}

static bool is_laid(const struct chunk_in *c)
{
	return c->ask->lay && c->end - c->pos == c->size;
}

int chunk_in_begin(struct chunk_in *c, uint64_t pos, uint64_t end)
{
	uint32_t chunk = chunk_of(pos);
	uint64_t stop = chunk_end(chunk, c->ask->blob->file.size);

	c->pos = pos;
	c->end = min_u64(end, stop);
	c->size = stop - chunk_start(chunk);
	c->have = 0;
	c->trust = PROVENANCE_UNKNOWN;
	c->wrong = false;
	c->comes = true;
	c->kept = is_laid(c) ? NULL : malloc(c->size);
	return is_laid(c) || c->kept ? begin_digest(c) : -ENOMEM;
}

/* Bytes that have come, wherever they go. */
static int note(struct chunk_in *c, const void *data, size_t len)
{
	if (c->kept)
		memcpy(c->kept + c->have, data, len);
	c->have += len;
	return c->digest ? digest_update(c->digest, data, len) : 0;
}

int chunk_in_add(struct chunk_in *c, const void *data, size_t len)
{
	int r = note(c, data, len);

	if (r < 0 || c->kept)
		return r;
	return c->ask->lay(c->ask->arg, data, len);
}

/* What is known of it may be otherwise than when it began. What was found wrong
 * once goes round: others had it from the same member. ERR_DIGEST. */
static int judge(struct chunk_in *c)
{
	const struct source_blob *blob = c->ask->blob;
	const struct manifest_file *file = &blob->file;
	uint32_t chunk = chunk_of(c->pos);
	uint8_t must[CHUNK_LIST_DIGEST];

	if (is_whole_blob(c))
		c->wrong = memcmp(c->is, file->digest, digest_size(file->kind)) != 0;
	else if ((c->trust = provenance_knows(c->provenance, blob->etag, chunk, must)))
		c->wrong = memcmp(c->is, must, sizeof(must)) != 0;
	else
		c->wrong = provenance_was_wrong(c->provenance, blob->etag, chunk, c->is);
	return c->wrong ? ERR_DIGEST : 0;
}

int chunk_in_compare(struct chunk_in *c, const void *data, size_t len)
{
	int r = note(c, data, len);

	if (r == 0 && c->digest) {
		r = digest_final(c->digest, c->is);
		r = r < 0 ? r : judge(c);
	}
	return r;
}

/* What the sink has not taken, though it was to, is not there. */
int chunk_in_give(struct chunk_in *c, const void *data, size_t len)
{
	const struct source_ask *ask = c->ask;
	int r = c->kept ? ask->sink(ask->arg, c->kept + (c->pos - chunk_floor(c->pos)),
				    c->end - c->pos)
			: ask->sink(ask->arg, data, len);

	if (r < 0)
		return r;
	c->comes = false;
	c->have = 0;
	digest_free(steal(c->digest));
	free(steal(c->kept));
	return r;
}

void chunk_in_end(struct chunk_in *c)
{
	if (c->comes && !c->kept && c->have)
		c->ask->take_back(c->ask->arg);
	c->comes = false;
	digest_free(steal(c->digest));
	free(steal(c->kept));
}
