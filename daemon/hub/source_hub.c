/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/hub/source_hub.h"

#include <errno.h>

struct source_hub {
	struct source source;
	struct hub *hub; /* borrowed */
};

static int get(struct source *s, const struct source_ask *ask, int64_t *ret_wait_ms)
{
	return hub_get_range(container_of(s, struct source_hub, source)->hub, ask, ret_wait_ms);
}

static bool is_slow(struct source *s)
{
	return hub_was_silent(container_of(s, struct source_hub, source)->hub);
}

int source_hub_new(struct hub *h, struct source **ret)
{
	struct source_hub *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->source.name = hub_name(h);
	s->source.get = get;
	s->source.is_slow = is_slow;
	s->hub = h;
	*ret = (struct source *)s; /* its first member, named so that gcc's analyzer sees no leak */
	return 0;
}

void source_hub_free(struct source *s)
{
	if (s)
		free(container_of(s, struct source_hub, source));
}
