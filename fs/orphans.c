/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/orphans.h"

#include "daemon/base/map.h"
#include "fs/heritage.h"
#include "fs/scratch_left.h"

struct sweep {
	struct estate *estate;
	struct map used; /* numbers of records */
};

static int use(struct sweep *s, uint32_t record)
{
	return !record || map_find_u64(&s->used, record) ? 0 : map_put_u64(&s->used, record, s);
}

static int use_of_node(void *arg, uint32_t record UNUSED, void *data, size_t len)
{
	const struct scratch_left *left = data;
	int r = len < sizeof(*left) ? 0 : use(arg, left->bytes);

	return r < 0 || len < sizeof(*left) ? r : use(arg, left->target);
}

static int use_of_inode(void *arg, uint32_t record UNUSED, void *data, size_t len)
{
	const struct heir *heir = data;

	return len < sizeof(*heir) ? 0 : use(arg, heir->name);
}

static int drop_unused(void *arg, uint32_t record, void *data UNUSED, size_t len UNUSED)
{
	struct sweep *s = arg;

	if (!map_find_u64(&s->used, record))
		estate_del(s->estate, record);
	return 0;
}

int orphans_sweep(struct estate *e)
{
	struct sweep s = { .estate = e };
	int r = estate_each(e, ESTATE_NODE, use_of_node, &s);

	if (r == 0)
		r = estate_each(e, ESTATE_INODE, use_of_inode, &s);
	if (r == 0)
		r = estate_each(e, ESTATE_BYTES, drop_unused, &s);
	if (r == 0)
		r = estate_each(e, ESTATE_TEXT, drop_unused, &s);
	map_fini(&s.used);
	return r;
}
