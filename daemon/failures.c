/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/failures.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

void failures_init(struct failures *f)
{
	*f = (struct failures){ .count = 0 };
	lock_init(&f->lock, LOCK_FAILURES);
}

void failures_fini(struct failures *f)
{
	lock_fini(&f->lock);
}

void failures_note(struct failures *f, const char *etag, const char *source, int r)
{
	const char *more = err_noted(r);
	struct failure now = { .at_s = clock_wall_s() };

	snprintf(now.etag, sizeof(now.etag), "%s", etag);
	snprintf(now.source, sizeof(now.source), "%s", source);
	snprintf(now.text, sizeof(now.text), *more ? "%s (%s)" : "%s", err_text(r), more);
	lock_take(&f->lock);
	f->list[f->count++ % FAILURES_KEPT] = now;
	lock_drop(&f->lock);
}

bool failures_get(struct failures *f, const char *etag, struct failure *ret)
{
	bool found = false;

	lock_take(&f->lock);
	for (unsigned i = 0; i < f->count && i < FAILURES_KEPT && !found; i++) {
		const struct failure *at = &f->list[(f->count - 1 - i) % FAILURES_KEPT];

		found = strcmp(at->etag, etag) == 0;
		if (found)
			*ret = *at;
	}
	lock_drop(&f->lock);
	return found;
}
