/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/jscan.h"

#include <string.h>

/* From its first quote to behind its last one; NULL: it does not end. */
static const char *skip_string(const char *p)
{
	for (p = strpbrk(p + 1, "\"\\"); p && *p == '\\'; p = strpbrk(p + 2, "\"\\"))
		if (!p[1])
			return NULL;
	return p ? p + 1 : NULL;
}

static const char *skip_nested(const char *p)
{
	size_t depth = 0;

	do {
		if (*p == '"') {
			p = skip_string(p);
		} else {
			depth += *p == '{' || *p == '[';
			depth -= *p == '}' || *p == ']';
			p++;
		}
		if (depth && p)
			p = strpbrk(p, "\"{}[]");
	} while (depth && p);
	return p;
}

static const char *skip_value(const char *p)
{
	if (*p == '"')
		return skip_string(p);
	if (*p == '{' || *p == '[')
		return skip_nested(p);
	return p + strcspn(p, ",}");
}

bool jscan_next(const char **at, struct jscan_member *ret)
{
	const char *name = *at, *colon, *end;

	if (*name != '{' && *name != ',')
		return false;
	name++;
	colon = *name == '"' ? skip_string(name) : NULL;
	if (!colon || *colon != ':')
		return false;
	end = skip_value(colon + 1);
	if (!end || (*end != ',' && *end != '}') || end == colon + 1)
		return false;
	*ret = (struct jscan_member){ name + 1, colon + 1, (size_t)(colon - name) - 2,
				      (size_t)(end - colon) - 1 };
	*at = end;
	return true;
}
