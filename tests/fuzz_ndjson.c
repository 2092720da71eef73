/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a commit's body. However it is cut into pieces, the same is told of it; what the other
 * reader of JSON takes, the one of pieces takes too. */
#include "admin/registry/ndjson.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/base/jdoc.h"
#include "daemon/base/jpush.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int on_header(void *arg, const struct ndjson_header *h)
{
	return buf_printf(arg, "h %s %s %s\n", h->summary, h->description, h->parent);
}

static int on_bytes(void *arg, const void *data, size_t len)
{
	return buf_add(arg, data, len);
}

static int on_op(void *arg, const struct ndjson_op *op)
{
	assert(*op->path && *op->path != '/' && !strstr(op->path, "//"));
	assert(op->kind != NDJSON_LFS_FILE || (strlen(op->oid) == 64 && op->size >= -1));
	return buf_printf(arg, "o %d %s %s %" PRId64 " %s %s %" PRIu64 "\n", op->kind, op->path,
			  op->oid, op->size, op->source, op->source_revision, op->line);
}

/* What is told and what is refused of it, one behind the other. */
static int read_in(const uint8_t *data, size_t len, size_t piece, struct buf *told)
{
	static const struct ndjson_events events = { on_header, on_bytes, on_op };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct ndjson *n;
	int r;

	if (ndjson_new(&events, told, &n) < 0)
		return 0;
	r = 0;
	for (size_t at = 0; r == 0 && at < len; at += piece)
		r = ndjson_take(n, data + at, piece < len - at ? piece : len - at, &why);
	if (r == 0)
		r = ndjson_end(n, &why);
	assert((r < 0) == (why.len > 0));
	buf_add_str(told, buf_str(&why));
	ndjson_free(n);
	return r;
}

static void check_pieces(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf whole = { 0 }, cut = { 0 };
	int r = read_in(data, len, len + 1, &whole);

	for (size_t piece = 1; piece < 8; piece += 3) {
		buf_clear(&cut);
		assert(read_in(data, len, piece, &cut) == r);
		assert(r < 0 || (cut.len == whole.len &&
				 memcmp(buf_str(&cut), buf_str(&whole), cut.len) == 0));
	}
}

static int pass(void *arg UNUSED, enum jpush_event event UNUSED, const char *data UNUSED,
		size_t len UNUSED)
{
	return 0;
}

/* True if it is nowhere near the limits of the reader of pieces. A NUL behind a number is none to
 * the other. */
static bool is_small(const uint8_t *data, size_t len)
{
	size_t depth = 0;

	for (size_t i = 0; i < len; i++)
		depth += data[i] == '[' || data[i] == '{';
	return depth <= JPUSH_DEPTH && len < JPUSH_WORD && !memmem(data, len, "\\u0000", 6) &&
	       !memchr(data, 0, len);
}

static void check_json(const uint8_t *data, size_t len)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	struct jpush p;

	if (!is_small(data, len) || jdoc_parse((const char *)data, len, &doc) < 0)
		return;
	jpush_begin(&p, pass, NULL);
	assert(jpush_take(&p, (const char *)data, len) == 0 && jpush_end(&p) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_pieces(data, len);
	check_json(data, len);
	return 0;
}
