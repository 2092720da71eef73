/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/hub/hub_chunks.h"

#include <errno.h>

#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/base/url.h"
#include "daemon/hub/hub_priv.h"

#define TEXT_BYTES_MAX (UINT64_C(64) << 20) /* whatever size a listing says that the file has */

static int url_of(const struct hub *h, const struct source_blob *what, struct buf *ret)
{
	buf_printf(ret, "%s/api/%s/%s/chunks/%s/", h->url, repo_type_plural(what->repo.type),
		   what->repo.name, what->commit);
	return url_encode(ret, what->path, 1);
}

/* What most hubs answer to a question they do not know: a refusal, a page for people, or one that
 * is longer than a list of this file would be. */
static bool is_no_list(int r)
{
	return r == ERR_PROTO || r == ERR_NOREPO || r == ERR_NOREV || r == ERR_NOENTRY ||
	       r == ERR_REDIRECT;
}

int hub_chunk_list(struct hub *h, const struct source_blob *what, struct httpc_cancel *cancel,
		   struct chunk_list **ret, int64_t *ret_wait_ms)
{
	CLEANUP(buf_free) struct buf url = { 0 }, text = { 0 };
	uint64_t max = min_u64(chunk_list_text_max(what->file.size), TEXT_BYTES_MAX);
	int r = url_of(h, what, &url);

	if (r == 0)
		r = hub_get_text(h, buf_str(&url), (size_t)max, cancel, &text, ret_wait_ms);
	if (r < 0)
		return is_no_list(r) ? -ENOENT : r;
	r = chunk_list_parse(buf_str(&text), text.len, what->etag, what->file.size, ret);
	return r == -EBADMSG ? -ENOENT : r;
}
