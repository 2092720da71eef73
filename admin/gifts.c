/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/gifts.h"

#include <errno.h>

#include "admin/server.h"
#include "daemon/base/err.h"

#define AGENT "matrixfs-peer "

bool gifts_may_be_brought(void *arg, const struct repo_id *id, const char *path)
{
	struct server *s = arg;
	struct filter *filter = filter_hold(&s->filter);
	struct repo_names names;
	bool may;

	known_names_of(node_known(s->node), id, &names);
	may = filter_file(filter, &names, path);
	filter_unref(filter);
	return may;
}

/* What is hosted here is nobody's to forbid but its owner's, who told the member its digest. */
static int may(void *arg, const struct peer_gift *gift)
{
	const struct gifts *g = arg;
	const struct source_blob *b = gift->blob;

	if (!atomic_load(&g->begun))
		return -EAGAIN;
	if (!b->own && !gifts_may_be_brought(g->server, &b->repo, b->path))
		return -ENOENT;
	return audit_may_read(g->server->audit);
}

/* The many requests for one file are one event: see audit_download_begin. */
static void gave(void *arg, const struct peer_gift *gift)
{
	const struct gifts *g = arg;
	const struct source_blob *b = gift->blob;
	const struct audit_span span = { gift->off, gift->off + gift->len };
	CLEANUP(buf_free) struct buf agent = { 0 }, note = { 0 };
	char repo[REPO_KEY_MAX + 1];
	struct audit_record rec = {
		.kind = AUDIT_DOWNLOAD,
		.address = gift->from,
		.repo = repo,
		.commit = b->commit,
		.file = b->path,
		.has_bytes = true,
		.size = b->file.size,
		.since_ms = gift->since_ms,
		.status = 206,
	};

	repo_id_key(&b->repo, repo);
	buf_printf(&agent, AGENT "%s", gift->member);
	buf_printf(&note, "digest %s; where it lies is the member's word", b->etag);
	rec.agent = buf_str(&agent);
	rec.note = buf_str(&note);
	audit_download_begin(g->server->audit, &rec);
	audit_download_end(g->server->audit, &rec, &span, 1, gift->len, gift->cut);
}

void gifts_init(struct gifts *g, struct server *s)
{
	g->host = (struct peer_host){ may, gave, g };
	g->server = s;
	atomic_init(&g->begun, false);
}

void gifts_begin(struct gifts *g)
{
	atomic_store(&g->begun, true);
}
