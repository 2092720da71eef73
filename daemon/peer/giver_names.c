/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/giver_names.h"

#include <stdio.h>
#include <stdlib.h>

/* NULL: there is no room for it. */
static struct giver_name *add(struct giver_names *n, const char *member)
{
	struct giver_name *one = giver_names_is_full(n) ? NULL : calloc(1, sizeof(*one));

	if (!one)
		return NULL;
	while (n->of[n->next])
		n->next = (n->next + 1) % GIVER_NAMES_MAX;
	one->number = (uint16_t)n->next;
	snprintf(one->text, sizeof(one->text), "%s", member);
	if (map_put_str(&n->by_name, one->text, one) < 0) {
		free(one);
		return NULL;
	}
	return n->of[one->number] = one;
}

unsigned giver_names_number(struct giver_names *n, const char *member)
{
	const struct giver_name *one = map_find_str(&n->by_name, member);

	if (!one)
		one = add(n, member);
	return one ? one->number : GIVER_NAMES_MAX;
}

bool giver_names_is_full(const struct giver_names *n)
{
	return n->by_name.count >= GIVER_NAMES_MAX;
}

const char *giver_names_text(const struct giver_names *n, unsigned number)
{
	return n->of[number]->text;
}

void giver_names_use(struct giver_names *n, unsigned number)
{
	n->of[number]->used = true;
}

void giver_names_forget_unused(struct giver_names *n)
{
	for (struct giver_name **one = n->of; one < n->of + GIVER_NAMES_MAX; one++) {
		if (*one && !(*one)->used) {
			map_del_str(&n->by_name, (*one)->text);
			free(steal(*one));
		}
		if (*one)
			(*one)->used = false;
	}
}

void giver_names_fini(struct giver_names *n)
{
	for (unsigned i = 0; i < GIVER_NAMES_MAX; i++)
		free(n->of[i]);
	map_fini(&n->by_name);
}
