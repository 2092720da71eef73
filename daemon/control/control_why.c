/* SPDX-License-Identifier: Apache-2.0 */
/* Why is this path slow, or wrong, or not there: all that is known of one file. */
#include "daemon/control/control_priv.h"

#include <string.h>

#include "daemon/base/err.h"

struct search {
	struct control *c;
	struct httpd_request *q;
	control_found_fn *found;
};

static void write_transfer(struct jwrite *w, struct node *n, const char *etag)
{
	struct transfer t;

	if (!node_transfer(n, etag, &t) || (!t.requests && !t.queued && !t.waiting)) {
		jwrite_null(w, "transfer");
		return;
	}
	jwrite_object(w, "transfer");
	control_write_progress(w, &t);
	jwrite_object_end(w);
}

static const char *state_of(const struct node_blob *blob, uint64_t present, uint64_t size)
{
	if (blob->sealed)
		return "sealed";
	if (present == 0 && size > 0)
		return "absent";
	return present == size ? "complete" : "partial";
}

static void write_blob(struct jwrite *w, struct node *n, const struct control_file *f)
{
	struct node_blob blob;
	struct failure failure;
	uint64_t present = node_present_bytes(n, f->etag, f->size);

	node_blob(n, f->etag, f->size, &blob);
	jwrite_text(w, "etag", f->etag);
	jwrite_uint(w, "size", f->size);
	jwrite_text(w, "state", state_of(&blob, present, f->size));
	jwrite_bool(w, "verified", blob.sealed);
	jwrite_uint(w, "present", present);
	control_write_percent(w, present, f->size);
	jwrite_text(w, "source", blob.source[0] ? blob.source : NULL);
	jwrite_bool(w, "pinned", pins_have(node_parts(n)->pins, f->etag));
	jwrite_uint(w, "opens", f->opens);
	jwrite_uint(w, "passthrough_opens", f->passthrough_opens);
	jwrite_uint(w, "reads_hit", f->reads_hit);
	jwrite_uint(w, "reads_waited", f->reads_waited);
	jwrite_array(w, "readers");
	for (unsigned i = 0; i < f->reader_count; i++)
		jwrite_int(w, NULL, f->readers[i]);
	jwrite_array_end(w);
	control_write_failure(w, node_failure(n, f->etag, &failure) ? &failure : NULL);
	write_transfer(w, n, f->etag);
}

static void write_file(struct control *c, struct httpd_request *q, const struct control_file *f)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };
	char repo[REPO_KEY_MAX + 1];

	jwrite_object(&w, NULL);
	jwrite_text(&w, "kind", f->kind);
	if (f->repo)
		repo_id_key(f->repo, repo);
	jwrite_text(&w, "repo", f->repo ? repo : NULL);
	jwrite_text(&w, "commit", f->commit[0] ? f->commit : NULL);
	jwrite_text(&w, "path", f->path[0] ? f->path : NULL);
	if (f->etag[0])
		write_blob(&w, c->conf.node, f);
	jwrite_object_end(&w);
	control_reply(q, 200, &b);
}

/* --- a path */

static void on_found(void *arg, int r, const struct control_file *f)
{
	CLEANUP(freep) struct search *s = arg;

	if (r < 0 && err_errno(r) == ENOENT)
		control_refuse(s->q, 404, "not_found", "there is no such path: %s", err_text(r));
	else if (r < 0)
		control_fail(s->q, r);
	else
		s->found(s->c, s->q, f);
}

/* What of a path lies below the mount point; NULL if it lies elsewhere. Without a mount point it is
 * that of the tree. */
static const char *below(const char *mountpoint, const char *path)
{
	size_t len = mountpoint ? strlen(mountpoint) : 0;

	if (path[0] != '/' || !mountpoint)
		return path;
	if (strncmp(path, mountpoint, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

void control_find(struct control *c, struct httpd_request *q, control_found_fn *found)
{
	const struct control_face *face = c->conf.face;
	const char *path = httpd_query(q, "path");
	struct search *s;

	if (!path || !*path) {
		control_refuse(q, 400, "bad_request", "say which: ?path=PATH");
		return;
	}
	path = below(face->mountpoint, path);
	if (!path) {
		control_refuse(q, 400, "bad_request", "the path is not below %s", face->mountpoint);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		control_fail(q, -ENOMEM);
		return;
	}
	*s = (struct search){ c, q, found };
	face->find(face->arg, path, on_found, s);
}

void control_why(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	control_find(c, q, write_file);
}
