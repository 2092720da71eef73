/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/numberset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/num.h"

void numberset_fini(struct numberset *s)
{
	free(s->words);
	*s = (struct numberset){ 0 };
}

static int reserve(struct numberset *s, size_t count)
{
	size_t cap = (size_t)max_u64(count, s->count + s->count / 2);
	uint64_t *words;

	if (count <= s->count)
		return 0;
	words = reallocarray(s->words, cap, sizeof(*words));
	if (!words)
		return -ENOMEM;
	memset(words + s->count, 0, (cap - s->count) * sizeof(*words));
	s->words = words;
	s->count = cap;
	return 0;
}

int numberset_add(struct numberset *s, uint32_t number)
{
	int r = reserve(s, (size_t)number / 64 + 1);

	if (r == 0)
		s->words[number / 64] |= UINT64_C(1) << number % 64;
	return r;
}

int numberset_add_bits(struct numberset *s, uint32_t first, const uint64_t *words, size_t count)
{
	size_t at = first / 64;
	int r = reserve(s, at + count);

	for (size_t i = 0; r == 0 && i < count; i++)
		s->words[at + i] |= words[i];
	return r;
}

void numberset_keep(struct numberset *s, const struct numberset *other)
{
	for (size_t i = 0; i < s->count; i++)
		s->words[i] &= i < other->count ? other->words[i] : 0;
}

void numberset_drop(struct numberset *s, const struct numberset *other)
{
	for (size_t i = 0; i < s->count && i < other->count; i++)
		s->words[i] &= ~other->words[i];
}

bool numberset_has(const struct numberset *s, uint32_t number)
{
	return number / 64 < s->count && s->words[number / 64] >> number % 64 & 1;
}

size_t numberset_size(const struct numberset *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		n += (size_t)__builtin_popcountll(s->words[i]);
	return n;
}

bool numberset_next(const struct numberset *s, uint32_t *at)
{
	size_t i = *at / 64;
	uint64_t word = i < s->count ? s->words[i] & ~UINT64_C(0) << *at % 64 : 0;

	while (!word && ++i < s->count)
		word = s->words[i];
	if (!word)
		return false;
	*at = (uint32_t)(i * 64 + (size_t)__builtin_ctzll(word));
	return true;
}
