/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a README.md. Its head lies in it, between two fences; what is made of it is JSON, and so
 * is what is told of it. */
#include "admin/registry/card.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "admin/registry/frontmatter.h"
#include "daemon/base/jdoc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_found(const char *text, size_t len)
{
	const char *at;
	size_t n;

	if (!frontmatter_find(text, len, &at, &n))
		return;
	assert(at >= text + 4 && at + n + 4 <= text + len);
	assert((at[-1] == '\n' || at[-1] == '\r') && (at[n] == '\n' || at[n] == '\r'));
}

static void check_json(const char *text, size_t len)
{
	CLEANUP(buf_free) struct buf json = { 0 }, why = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r = frontmatter_json(text, len, &json, &why);

	assert(r == 0 || r == -ENOENT || r == -EINVAL || r == -ENOMEM);
	assert((r == -EINVAL) == (why.len > 0));
	if (r == 0)
		assert(jdoc_parse(json.data, json.len, &doc) == 0 &&
		       jval_is_object(jdoc_root(doc)));
}

static void check_answer(const char *text, size_t len, enum repo_type type)
{
	CLEANUP(buf_free) struct buf json = { 0 }, first = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *errors;

	if (card_check(text, len, type, &json, &first) < 0)
		return;
	assert(jdoc_parse(json.data, json.len, &doc) == 0);
	errors = jval_get(jdoc_root(doc), "errors");
	assert((jval_count(errors) > 0) == (first.len > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_found((const char *)data, len);
	check_json((const char *)data, len);
	for (int type = 0; type < REPO_TYPE_COUNT; type++)
		check_answer((const char *)data, len, (enum repo_type)type);
	return 0;
}
