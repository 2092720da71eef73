/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/range.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/buf.h"
#include "daemon/base/num.h"

#define UNIT "bytes="

/* A number of digits alone, which moves *text on; false if there is none. One beyond all files
 * stays beyond them. */
static bool take_number(const char **text, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	*ret = strtoull(*text, &end, 10);
	*text = end;
	return true;
}

/* What overlaps becomes one (RFC 9110 §15.3.7.2). False if it is one too many. */
static bool add(struct ranges *all, uint64_t from, uint64_t to)
{
	for (unsigned i = 0; i < all->count;) {
		struct range *r = &all->at[i];

		if (from >= r->to || r->from >= to) {
			i++;
			continue;
		}
		from = min_u64(from, r->from);
		to = max_u64(to, r->to);
		memmove(r, r + 1, (--all->count - i) * sizeof(*r));
		i = 0;
	}
	if (all->count == RANGES_MAX)
		return false;
	all->at[all->count++] = (struct range){ from, to };
	return true;
}

/* "5-9", "5-" or "-5". False if it is malformed, or one too many; what lies beyond the end is left
 * out. */
static bool take_range(const char **text, uint64_t size, struct ranges *all)
{
	uint64_t first, last = UINT64_MAX;

	if (**text == '-') {
		++*text;
		if (!take_number(text, &last))
			return false;
		return last == 0 || size == 0 || add(all, last < size ? size - last : 0, size);
	}
	if (!take_number(text, &first) || *(*text)++ != '-')
		return false;
	if (isdigit((unsigned char)**text) && (!take_number(text, &last) || last < first))
		return false;
	return first >= size || add(all, first, last < size ? last + 1 : size);
}

/* The list behind the unit, which may have empty elements; false if it is none. */
static bool take_list(const char *text, uint64_t size, struct ranges *ret)
{
	bool any = false;

	for (;;) {
		text += strspn(text, " \t,");
		if (!*text)
			return any;
		any = true;
		if (!take_range(&text, size, ret))
			return false;
		text += strspn(text, " \t");
		if (*text && *text != ',')
			return false;
	}
}

int ranges_parse(const char *text, uint64_t size, struct ranges *ret)
{
	*ret = (struct ranges){ 0 };
	if (!text || strncasecmp(text, UNIT, strlen(UNIT)) != 0)
		return 0;
	if (!take_list(text + strlen(UNIT), size, ret)) {
		ret->count = 0;
		return 0;
	}
	return ret->count ? 0 : -ERANGE;
}

char *range_part_head(const struct range *r, uint64_t size, bool first)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	buf_printf(&text,
		   "%s--" RANGE_BOUNDARY "\r\nContent-Type: application/octet-stream"
		   "\r\nContent-Range: bytes %ju-%ju/%ju\r\n\r\n",
		   first ? "" : "\r\n", (uintmax_t)r->from, (uintmax_t)r->to - 1, (uintmax_t)size);
	return buf_take(&text);
}
