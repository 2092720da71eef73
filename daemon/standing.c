/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/standing.h"

#include "daemon/cache/store.h"
#include "daemon/node_parts.h"

static void tell_hubs(struct node *n, const char *hub, struct buf *ret)
{
	unsigned count = node_hub_count(n), up = 0;

	if (!count) {
		buf_add_str(ret, "offline");
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		struct hub_health health;

		node_hub_health(n, i, &health);
		up += health.down_ms == 0 && health.failed_s <= health.ok_s;
	}
	buf_printf(ret, "%u %s%s, ", count, hub, count > 1 ? "s" : "");
	if (count == 1)
		buf_add_str(ret, up ? "reachable" : "not reachable");
	else
		buf_printf(ret, "%u of %u reachable", up, count);
}

/* Both in the larger one's unit. */
static void tell_bytes(uint64_t used, uint64_t most, struct buf *ret)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double size = 1;
	size_t i = 0;

	for (; i + 1 < ARRAY_LEN(units) && (double)most / size >= 1024; i++)
		size *= 1024;
	buf_printf(ret, "%.1f of %.1f %s", (double)used / size, (double)most / size, units[i]);
}

void standing_tell(struct node *n, const char *hub, struct buf *ret)
{
	tell_hubs(n, hub, ret);
	buf_add_str(ret, ", cache ");
	tell_bytes(store_used_bytes(node_parts(n)->store), node_capacity(n), ret);
}
