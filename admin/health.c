/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/health.h"

#include "admin/rulewatch.h"
#include "admin/scrubber.h"
#include "admin/registry/intake.h"
#include "daemon/base/err.h"

#define CHANGES_BYTES (UINT64_C(16) << 20) /* what changes and their trail need at least */

int server_read_only(const struct server *s)
{
	uint64_t total, left;
	int r = node_space(s->node, &total, &left);

	if (r < 0)
		return r;
	return left < CHANGES_BYTES ? ERR_READ_ONLY : 0;
}

int server_room(struct server *s, uint64_t bytes)
{
	int r = intake_has_room(s->intake, bytes);

	if (r == ERR_READ_ONLY && node_make_room(s->node, bytes + INTAKE_SPARE_BYTES) > 0)
		r = intake_has_room(s->intake, bytes);
	if (r == 0)
		r = server_read_only(s);
	return r == 0 ? audit_may_change(s->audit) : r;
}

void health_check(const struct server *s, struct health *ret)
{
	struct node *n = s->node;

	*ret = (struct health){ .index = node_probe(n),
				.read_only = server_read_only(s),
				.audit = audit_may_change(s->audit),
				.lost = scrubber_lost(s->scrubber),
				.names = s->names_kept,
				.upstreams = node_hub_count(n) };
	if (ret->index == 0)
		ret->index = rulewatch_damaged(s->rulewatch, &ret->rules);
	if (node_space(n, &ret->disk_bytes, &ret->disk_free_bytes) < 0)
		ret->disk_bytes = 0;
	for (unsigned i = 0; i < ret->upstreams; i++) {
		struct hub_health hub;

		node_hub_health(n, i, &hub);
		ret->upstreams_down += hub.down_ms > 0;
	}
}
