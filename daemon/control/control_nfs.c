/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes by NFS, and what each was given. */
#include "daemon/control/control_priv.h"

#include <string.h>

static int write_client(void *ctx, const struct control_nfs_client *c)
{
	struct jwrite *w = ctx;

	jwrite_object(w, NULL);
	jwrite_text(w, "address", c->address);
	jwrite_uint(w, "connections", c->connections);
	jwrite_array(w, "mounts");
	for (const char *path = c->mounts; *path; path += strlen(path) + 1)
		jwrite_text(w, NULL, path);
	jwrite_array_end(w);
	jwrite_uint(w, "requests", c->requests);
	jwrite_uint(w, "bytes", c->bytes);
	jwrite_uint(w, "denied", c->denied);
	jwrite_int(w, "since", c->since_s);
	jwrite_int(w, "last_request", c->heard_s);
	jwrite_object_end(w);
	return 0;
}

void control_nfs(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	const struct control_face *face = c->conf.face;
	struct jwrite w = { .to = &b };
	int r;

	if (!face->each_nfs_client) {
		control_refuse(q, 404, "no_nfs", "this node exports nothing: --nfs lets it");
		return;
	}
	jwrite_object(&w, NULL);
	jwrite_array(&w, "clients");
	r = face->each_nfs_client(face->nfs, write_client, &w);
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	if (r < 0)
		control_fail(q, r);
	else
		control_reply(q, 200, &b);
}
