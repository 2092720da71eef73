/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/snapshot.h"

#include <errno.h>
#include <stdio.h>

struct snapshot *snapshot_ref(struct snapshot *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void snapshot_unref(struct snapshot *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	manifest_free(s->files);
	free(s);
}

void snapshot_unrefp(struct snapshot **s)
{
	snapshot_unref(*s);
}

int snapshot_new(struct repo *r, const char *commit, int64_t date_s, struct manifest *files,
		 struct snapshot **ret)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s) {
		manifest_free(files);
		return -ENOMEM;
	}
	atomic_init(&s->refs, 1);
	s->repo = r;
	snprintf(s->commit, sizeof(s->commit), "%s", commit);
	s->date_s = date_s;
	s->files = files;
	*ret = s;
	return 0;
}
