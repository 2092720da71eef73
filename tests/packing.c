/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/packing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "daemon/base/own.h"

#define BYTES 300000

static char *make_text(void)
{
	char *text = malloc(BYTES);

	assert_non_null(text);
	for (size_t i = 0; i < BYTES; i++)
		text[i] = "{\"path\": \"file-0123456789\"}"[i * i / 7 % 26];
	return text;
}

static void check_same(const struct packing *p, const void *packed, size_t len, const char *text,
		       size_t text_len)
{
	CLEANUP(freep) char *to = malloc(text_len + 1);

	assert_non_null(to);
	assert_int_equal(p->unpack(packed, len, to, text_len + 1), text_len);
	assert_memory_equal(to, text, text_len);
}

void packing_there_and_back(const struct packing *p)
{
	CLEANUP(freep) char *text = make_text();
	CLEANUP(freep) void *packed = NULL;
	size_t len;

	assert_int_equal(p->pack(text, BYTES, &packed, &len), 0);
	assert_true(len < BYTES / 2);
	check_same(p, packed, len, text, BYTES);
}

void packing_of_nothing(const struct packing *p)
{
	CLEANUP(freep) void *packed = NULL;
	size_t len;

	assert_int_equal(p->pack("", 0, &packed, &len), 0);
	check_same(p, packed, len, "", 0);
}

void packing_is_the_same_each_time(const struct packing *p)
{
	CLEANUP(freep) char *text = make_text();
	CLEANUP(freep) void *one = NULL, *other = NULL;
	size_t len, other_len;

	assert_int_equal(p->pack(text, BYTES, &one, &len), 0);
	assert_int_equal(p->pack(text, BYTES, &other, &other_len), 0);
	assert_int_equal(len, other_len);
	assert_memory_equal(one, other, len);
}
