/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/chunks.h"

#include <errno.h>
#include <stdio.h>

#include "admin/chunker.h"
#include "admin/hub/answer.h"
#include "admin/hub/resolve.h"
#include "daemon/base/num.h"

#define DIGESTS_S (UINT64_C(256) << 20) /* bytes that are digested in a second, about */
#define RETRY_MAX_S 30
#define PARTIAL_S 5 /* peers ask again while they fetch the same */

static int answer_list(struct ask *a, const char *etag, const char *tag, const struct chunk_list *l)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct httpd_head h;
	int r = chunk_list_print(etag, l, &json);

	if (r < 0)
		return r;
	h = answer_head(a, 200, ANSWER_JSON);
	httpd_head_add(&h, "ETag", "\"%s\"", tag);
	answer_json_head(a, &h, &json);
	return 0;
}

static void answer_later(struct ask *a, uint64_t size)
{
	struct httpd_head h = answer_head(a, 202, ANSWER_JSON);
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	httpd_head_add(&h, "Retry-After", "%ju",
		       (uintmax_t)min_u64(1 + size / DIGESTS_S, RETRY_MAX_S));
	jwrite_object(&w, NULL);
	jwrite_text(&w, "message", "The digest list is being made: ask again");
	jwrite_object_end(&w);
	answer_json_head(a, &h, &json);
}

int chunks_show(struct ask *a)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	struct resolve_found f = { 0 };
	char tag[DIGEST_HEX_MAX + sizeof("-chunks")];
	int r = resolve_find(a, &f);

	if (r != 0)
		return r == ANSWERED ? 0 : r;
	snprintf(tag, sizeof(tag), "%s-chunks", f.etag);
	if (answer_held_back(a, tag) || !ask_aside(a, 0, &r))
		return r;
	r = chunker_get(a->server->chunker, f.etag, f.file->size, repo_is_hosted(a->repo), &l);
	if (r == 0)
		return answer_list(a, f.etag, tag, l);
	if (r == -EAGAIN)
		answer_later(a, f.file->size);
	else if (r == -EBUSY)
		answer_refuse(a, 503, "too many digest lists are being made: come back later");
	else if (r == -ENOENT)
		answer_refuse_for(a, 409, PARTIAL_S,
				  "Not all bytes of this file are here yet: ask for its digest "
				  "list once they are");
	else
		return r;
	return 0;
}
