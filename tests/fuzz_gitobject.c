/* SPDX-License-Identifier: Apache-2.0 */
/* Input: an object of git, or the pointer of a file. What can be read of it is printed again as it
 * was: a tree that is in order, a commit without other fields, a pointer. */
#include "admin/git/gitobject.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ENTRIES 64

static bool read_tree(const uint8_t *data, size_t len, struct git_entry list[ENTRIES],
		      size_t *ret_count)
{
	const char *at = (const char *)data;
	size_t left = len;
	int r = 1;

	*ret_count = 0;
	while (*ret_count < ENTRIES && (r = git_tree_next(&at, &left, &list[*ret_count])) == 1) {
		assert(at + left == (const char *)data + len);
		++*ret_count;
	}
	return r == 0;
}

static void check_tree(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf once = { 0 }, twice = { 0 };
	struct git_entry list[ENTRIES], again[ENTRIES];
	size_t count, more;

	if (!read_tree(data, len, list, &count) || git_tree_print(list, count, &once) < 0)
		return;
	assert(once.len == len);
	assert(read_tree((const uint8_t *)buf_str(&once), once.len, again, &more) && more == count);
	assert(git_tree_print(again, more, &twice) == 0 && twice.len == len);
	assert(len == 0 || memcmp(once.data, twice.data, len) == 0);
}

static void check_commit(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf first = { 0 }, second = { 0 }, third = { 0 };
	struct git_commit c;

	buf_add(&first, data, len);
	if (git_commit_parse(&first, &c) < 0)
		return;
	assert(git_commit_print(&c, &second) == 0);
	buf_add(&third, second.data, second.len);
	assert(git_commit_parse(&third, &c) == 0);
	buf_clear(&first);
	assert(git_commit_print(&c, &first) == 0);
	assert(strcmp(first.data, second.data) == 0);
}

static void check_pointer(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	uint8_t sha[32];
	uint64_t size;

	if (!git_pointer_parse(data, len, sha, &size))
		return;
	assert(git_pointer_print(sha, size, &text) == 0);
	assert(text.len == len && memcmp(text.data, data, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_tree(data, len);
	check_commit(data, len);
	check_pointer(data, len);
	return 0;
}
