/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/blame.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

void blame_add(struct blame *all, const char *address, const char *what, bool sure, uint32_t chunk)
{
	struct blamed *s = all->of;

	while (s < all->of + all->count && (s->what != what || strcmp(s->address, address) != 0))
		s++;
	if (s == all->of + BLAME_MAX)
		return;
	if (s == all->of + all->count) {
		all->count++;
		*s = (struct blamed){ .what = what };
		snprintf(s->address, sizeof(s->address), "%s", address);
	}
	if (s->count < BLAME_CHUNKS_TOLD_MAX)
		s->chunks[s->count] = chunk;
	s->count++;
	s->sure |= sure;
}

void blame_tell(const struct blamed *s, bool sure, const struct source_blob *blob)
{
	CLEANUP(buf_free) struct buf chunks = { 0 };

	for (uint32_t i = 0; i < s->count && i < BLAME_CHUNKS_TOLD_MAX; i++)
		buf_printf(&chunks, "%s%u", i ? "," : "", s->chunks[i]);
	log_warn(ERR_DIGEST, "peer=%s %s %s etag=%s path=%s chunks=%s%s (%u)", s->address,
		 sure ? "gave" : "passed on", s->what, blob->etag, blob->path, buf_str(&chunks),
		 s->count > BLAME_CHUNKS_TOLD_MAX ? ",..." : "", s->count);
}
