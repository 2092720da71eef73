/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/xorb_dues.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/account/accounts.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/base/num.h"

struct due {
	char payer[ACCOUNT_NAME_MAX + 1];
	int64_t bytes, files;
	char owner[]; /* the key */
};

struct xorb_dues {
	struct lock lock;
	struct map all; /* owner -> struct due; guarded by lock */
};

int xorb_dues_new(struct xorb_dues **ret)
{
	struct xorb_dues *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	lock_init(&d->lock, LOCK_DUES);
	*ret = d;
	return 0;
}

static int free_due(void *arg UNUSED, void *value)
{
	free(value);
	return 0;
}

void xorb_dues_free(struct xorb_dues *d)
{
	if (!d)
		return;
	map_each(&d->all, free_due, NULL);
	map_fini(&d->all);
	lock_fini(&d->lock);
	free(d);
}

static struct due *find_locked(struct xorb_dues *d, const char *owner)
{
	struct due *one = map_find_str(&d->all, owner);
	size_t len = strlen(owner) + 1;

	if (one)
		return one;
	one = calloc(1, sizeof(*one) + len);
	if (!one)
		return NULL;
	memcpy(one->owner, owner, len);
	if (map_put_str(&d->all, one->owner, one) == 0)
		return one;
	free(one);
	return NULL;
}

static void add_locked(struct xorb_dues *d, const char *owner, const char *payer, int64_t bytes,
		       int files)
{
	struct due *one = find_locked(d, owner);

	if (!one)
		return;
	if (payer)
		snprintf(one->payer, sizeof(one->payer), "%s", payer);
	one->bytes += bytes;
	one->files += files;
	if (one->files <= 0 && one->bytes <= 0)
		free(map_del_str(&d->all, owner));
}

void xorb_dues_add(struct xorb_dues *d, const char *owner, const char *payer, int64_t bytes,
		   int files)
{
	lock_take(&d->lock);
	add_locked(d, owner, payer, bytes, files);
	lock_drop(&d->lock);
}

struct sum {
	const char *payer;
	int64_t bytes, files;
};

static int add_up(void *arg, void *value)
{
	const struct due *one = value;
	struct sum *s = arg;

	if (!strcmp(one->payer, s->payer)) {
		s->bytes += one->bytes;
		s->files += one->files;
	}
	return 0;
}

void xorb_dues_of(struct xorb_dues *d, const char *payer, uint64_t *ret_bytes, uint64_t *ret_files)
{
	struct sum s = { .payer = payer };

	lock_take(&d->lock);
	map_each(&d->all, add_up, &s);
	lock_drop(&d->lock);
	*ret_bytes = (uint64_t)max_i64(s.bytes, 0);
	*ret_files = (uint64_t)max_i64(s.files, 0);
}
