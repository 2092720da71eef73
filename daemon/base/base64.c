/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/base64.h"

#include <errno.h>

#define DIGIT 64 /* marks what is one */

/* A digit's value and that mark, by its byte. */
static const uint8_t values[256] = {
	['A'] = 64,  ['B'] = 65,  ['C'] = 66,  ['D'] = 67,  ['E'] = 68,  ['F'] = 69,  ['G'] = 70,
	['H'] = 71,  ['I'] = 72,  ['J'] = 73,  ['K'] = 74,  ['L'] = 75,  ['M'] = 76,  ['N'] = 77,
	['O'] = 78,  ['P'] = 79,  ['Q'] = 80,  ['R'] = 81,  ['S'] = 82,  ['T'] = 83,  ['U'] = 84,
	['V'] = 85,  ['W'] = 86,  ['X'] = 87,  ['Y'] = 88,  ['Z'] = 89,  ['a'] = 90,  ['b'] = 91,
	['c'] = 92,  ['d'] = 93,  ['e'] = 94,  ['f'] = 95,  ['g'] = 96,  ['h'] = 97,  ['i'] = 98,
	['j'] = 99,  ['k'] = 100, ['l'] = 101, ['m'] = 102, ['n'] = 103, ['o'] = 104, ['p'] = 105,
	['q'] = 106, ['r'] = 107, ['s'] = 108, ['t'] = 109, ['u'] = 110, ['v'] = 111, ['w'] = 112,
	['x'] = 113, ['y'] = 114, ['z'] = 115, ['0'] = 116, ['1'] = 117, ['2'] = 118, ['3'] = 119,
	['4'] = 120, ['5'] = 121, ['6'] = 122, ['7'] = 123, ['8'] = 124, ['9'] = 125, ['+'] = 126,
	['/'] = 127,
};

/* A whole group: three bytes, less one for each pad; what the last digit has beyond them is 0. */
static int end_group(struct base64 *b, uint8_t *ret, size_t *ret_len)
{
	for (int i = 0; i < 3 - b->pads; i++)
		ret[(*ret_len)++] = (uint8_t)(b->bits >> (16 - 8 * i));
	if (b->pads && b->bits & (b->pads == 1 ? 0xffU : 0xffffU))
		return -EINVAL;
	b->bits = 0;
	b->count = 0;
	return 0;
}

/* Behind padding comes nothing but more of it, up to the end of the group. */
static int take_digit(struct base64 *b, char c)
{
	uint8_t v = values[(uint8_t)c];

	if (c == '=' && b->count >= 2)
		b->pads++;
	else if (!v || b->pads)
		return -EINVAL;
	b->bits = b->bits << 6 | (v & (DIGIT - 1));
	b->count++;
	return 0;
}

/* Groups as a whole, as many as there are: those at the end may hold padding. The place to write to
 * is a variable of its own, since a byte that is written could be anything else. */
static size_t take_groups(const char *text, size_t len, uint8_t *ret, size_t *ret_len)
{
	uint8_t *to = ret + *ret_len;
	size_t at;

	for (at = 0; len - at >= 4; at += 4, to += 3) {
		uint32_t a = values[(uint8_t)text[at]], b = values[(uint8_t)text[at + 1]];
		uint32_t c = values[(uint8_t)text[at + 2]], d = values[(uint8_t)text[at + 3]];
		uint32_t bits = (a & 63) << 18 | (b & 63) << 12 | (c & 63) << 6 | (d & 63);

		if (!(a & b & c & d & DIGIT))
			break;
		to[0] = (uint8_t)(bits >> 16);
		to[1] = (uint8_t)(bits >> 8);
		to[2] = (uint8_t)bits;
	}
	*ret_len = (size_t)(to - ret);
	return at;
}

int base64_take(struct base64 *b, const char *text, size_t len, uint8_t *ret, size_t *ret_len)
{
	*ret_len = 0;
	for (size_t at = 0; at < len;) {
		int r;

		if (!b->count && !b->pads) {
			at += take_groups(text + at, len - at, ret, ret_len);
			if (at == len)
				break;
		}
		r = take_digit(b, text[at++]);
		if (r == 0 && b->count == 4)
			r = end_group(b, ret, ret_len);
		if (r < 0)
			return r;
	}
	return 0;
}

int base64_end(const struct base64 *b)
{
	return b->count ? -EINVAL : 0;
}
