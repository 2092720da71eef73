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

/* Where that blob is; count if it is not there. */
static unsigned find_locked(const struct failures *f, const char *etag)
{
	unsigned i = 0;

	while (i < f->count && strcmp(f->list[i].etag, etag) != 0)
		i++;
	return i;
}

static void drop_locked(struct failures *f, unsigned i)
{
	f->count--;
	memmove(&f->list[i], &f->list[i + 1], (f->count - i) * sizeof(*f->list));
}

void failures_note(struct failures *f, const char *etag, const char *source, int r)
{
	const char *more = err_noted(r);
	struct failure now = { .at_s = clock_wall_s() };
	unsigned old;

	snprintf(now.etag, sizeof(now.etag), "%s", etag);
	snprintf(now.source, sizeof(now.source), "%s", source);
	snprintf(now.text, sizeof(now.text), *more ? "%s (%s)" : "%s", err_text(r), more);
	lock_take(&f->lock);
	old = find_locked(f, etag);
	if (old < f->count)
		drop_locked(f, old);
	else if (f->count == FAILURES_KEPT)
		drop_locked(f, 0);
	f->list[f->count++] = now;
	lock_drop(&f->lock);
}

bool failures_get(struct failures *f, const char *etag, struct failure *ret)
{
	unsigned i;
	bool found;

	lock_take(&f->lock);
	i = find_locked(f, etag);
	found = i < f->count;
	if (found)
		*ret = f->list[i];
	lock_drop(&f->lock);
	return found;
}
