/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a question for the digests of a segment: all that is known is in the head of the
 * answer, which is signed. */
#include "daemon/peer/serve_priv.h"

#include <errno.h>

/* A witness costs a hub a segment: only who follows the owner is one. */
static bool is_witness(const struct guest *g, const struct wire_ask *ask)
{
	const struct serve_conf *conf = &g->serve->conf;
	const struct membership *members = members_now(conf->members);
	uint32_t owners[PLACEMENT_OWNERS];
	unsigned n = placement_cache_owners(conf->placement, members, wire_segment(ask), ask->size,
					    owners);
	bool so = false;

	for (unsigned i = 1; i < n; i++)
		so |= owners[i] == members->self;
	membership_unref(members);
	return so;
}

void serve_digests(const struct guest *g, const struct wire_ask *ask)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct wire_digests digests = { 0 };
	struct source_blob what;
	int r = wire_blob(ask, &what);

	if (r == 0)
		r = serve_may(g, &what);
	if (r == 0 && ask->witness && !is_witness(g, ask))
		r = -ENOENT;
	if (r == 0)
		r = digest_answers_get(g->serve->answers, ask, &digests);
	if (r == -EAGAIN)
		serve_say(g, WIRE_COMING, NULL, 0);
	else if (r < 0)
		serve_fail(g, r);
	if (r < 0)
		return;
	wire_write_digests(ask, &digests, &text);
	if (text.failed)
		serve_fail(g, text.failed);
	else
		serve_told(g, buf_str(&text));
}
