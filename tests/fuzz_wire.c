/* SPDX-License-Identifier: Apache-2.0 */
/* Input: three lines: a target, a Range, and what a Peer-Others says. What is read of a request is
 * in bounds and can be asked again, which reads the same; an address is one a request can name. */
#include "daemon/peer/wire.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_same(const struct wire_ask *a, const struct wire_ask *b)
{
	assert(strcmp(a->etag, b->etag) == 0 && a->lfs == b->lfs && a->size == b->size);
	assert(a->off == b->off && a->len == b->len && a->bring == b->bring);
	assert(a->number == b->number && a->failed_count == b->failed_count);
	for (unsigned i = 0; i < a->failed_count; i++)
		assert(strcmp(a->failed[i], b->failed[i]) == 0);
	assert(a->repo.type == b->repo.type && strcmp(a->repo.name, b->repo.name) == 0);
	assert(strcmp(a->commit, b->commit) == 0 && strcmp(a->path, b->path) == 0);
}

static void check_again(const struct wire_ask *ask)
{
	CLEANUP(buf_free) struct buf target = { 0 };
	CLEANUP(buf_free) struct buf range = { 0 };
	CLEANUP(buf_free) struct buf path = { 0 };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct wire_ask again;

	assert(wire_write_ask(ask, &target, &range) == 0);
	for (const char *c = buf_str(&target); *c; c++)
		assert(*c > ' ' && *c < 0x7f && *c != '#');
	assert(wire_read_ask(buf_str(&target), buf_str(&range), &again, &path, &why) == 0);
	check_same(ask, &again);
}

static void check_ask(const char *target, const char *range)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct wire_ask ask;

	if (wire_read_ask(target, range, &ask, &path, &why) < 0) {
		assert(why.len > 0);
		return;
	}
	assert(why.len == 0);
	assert(strlen(ask.etag) == (ask.lfs ? 64 : 40));
	assert(ask.len > 0 && ask.off < ask.size && ask.len <= ask.size - ask.off);
	assert(ask.off / SEGMENT_BYTES == (ask.off + ask.len - 1) / SEGMENT_BYTES);
	assert(ask.failed_count <= WIRE_OTHERS_MAX);
	assert(manifest_check_path(ask.path, &why) == 0);
	check_again(&ask);
}

static void check_others(const char *text)
{
	char others[WIRE_OTHERS_MAX][MEMBER_ADDRESS_MAX + 1];
	char again[WIRE_OTHERS_MAX][MEMBER_ADDRESS_MAX + 1];
	CLEANUP(buf_free) struct buf b = { 0 };
	unsigned count = wire_read_others(text, others);

	assert(count <= WIRE_OTHERS_MAX);
	for (unsigned i = 0; i < count; i++)
		assert(strchr(others[i], ':') && !strpbrk(others[i], "/?#@\\ ,\""));
	wire_write_others(others, count, &b);
	assert(wire_read_others(buf_str(&b), again) == count);
	for (unsigned i = 0; i < count; i++)
		assert(strcmp(others[i], again[i]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	char *next, *line[3];

	if (buf_add(&text, data, len) < 0 || buf_add(&text, "", 1) < 0)
		return 0;
	next = text.data;
	for (int i = 0; i < 3; i++) {
		line[i] = strsep(&next, "\n");
		if (!line[i])
			return 0;
	}
	check_ask(line[0], line[1]);
	check_others(line[2]);
	return 0;
}
