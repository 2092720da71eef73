/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/squash.h"

#include <errno.h>
#include <string.h>

#include "admin/registry/checks.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"

int squash_ref(struct db_txn *t, struct squash *s, struct buf *why)
{
	CLEANUP(buf_free) struct buf room = { 0 }, text = { 0 };
	struct git_commit now = { .author = s->by, .committer = s->by, .message = s->message };
	char head[COMMIT_HEX + 1];
	struct git_commit old;
	uint8_t id[GIT_ID];
	int r = registry_ref(t, s->uid, s->ref, head);

	if (r == 0)
		r = registry_commit(t, s->uid, head, &room, &old);
	if (r < 0)
		return r == -ENOENT ? ERR_NOREV : r;
	memcpy(now.tree, old.tree, GIT_ID);
	r = git_commit_print(&now, &text);
	if (r == 0)
		r = digest_git_object("commit", buf_str(&text), text.len, id);
	if (r == 0)
		r = registry_put_object(t, s->uid, REGISTRY_COMMIT, id, text.data, text.len);
	if (r < 0)
		return r;
	hex_print(id, GIT_ID, s->commit);
	r = check_follow(t, s->uid, head, s->commit);
	if (r < 0)
		return r;
	return ref_change(t,
			  &(struct ref_change){ .uid = s->uid,
						.ref = s->ref,
						.commit = s->commit,
						.act = "repo.squash",
						.user = s->user },
			  why);
}
