/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_node.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/url.h"

const char ctl_shape_repo[] =
	"type id visibility because"
	";refs name commit;commits commit date:time files bytes:size cached_bytes:size";

static const char why_shape[] =
	"kind repo commit path etag size:size state verified present:size percent source pinned "
	"opens passthrough_opens reads_hit reads_waited readers last_error.message "
	"last_error.source last_error.at:time transfer.requests transfer.bytes_per_second:size "
	"transfer.waiting transfer.waiting_seconds transfer.silent_seconds";

int ctl_ls(struct ctl *c)
{
	const struct ctl_option *o = c->line->verb->options;
	const struct ctl_verb node_all = {
		"ls",
		"",
		o,
		"",
		"GET",
		"/repos",
		";repos repo revision commit files bytes:size cached_bytes:size",
		NULL,
		NULL,
	};
	const struct ctl_verb node_one = {
		"ls",
		"[REPO[@REV]]",
		o,
		"",
		"GET",
		"/files",
		"repo commit files bytes:size cached_bytes:size;list path size:size present:size "
		"percent",
		NULL,
		NULL,
	};
	const struct ctl_verb hub_all = {
		"ls", "", o, "", "GET", "/repos", ";items type id visibility", NULL, NULL,
	};
	const struct ctl_verb hub_one = {
		"ls", "REPO", o, "", "GET", "/repos/{type}s/{REPO}", ctl_shape_repo, NULL, NULL,
	};
	bool one = ctl_operand(c->line, "REPO") != NULL;

	if (c->hub.socket)
		return ctl_run_as(c, one ? &node_one : &node_all);
	return ctl_run_as(c, one ? &hub_one : &hub_all);
}

/* True if a path is this directory, or below it. */
static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]);
}

/* Who stands in the mount names files from there. The mount is not asked: it may be what hangs. */
static int add_absolute(struct ctl *c, const char *path, struct buf *ret)
{
	CLEANUP(buf_free) struct buf here = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	char cwd[PATH_MAX];
	const char *at;
	int r = 0;

	if (*path != '/' && getcwd(cwd, sizeof(cwd))) {
		r = ctl_ask(c, "GET", "/status", NULL, &d);
		at = r < 0 ? NULL : jval_get_str(jdoc_root(d), "mountpoint");
		if (at && is_below(cwd, at)) {
			r = buf_printf(&here, "%s/%s", cwd, path);
			path = buf_str(&here);
		}
	}
	return r < 0 ? r : url_encode(ret, path, 0);
}

int ctl_why(struct ctl *c)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	int r = buf_add_str(&path, "/why?path=");

	if (r == 0)
		r = add_absolute(c, ctl_operand(c->line, "PATH"), &path);
	if (r == 0)
		r = ctl_ask(c, "GET", buf_str(&path), NULL, &d);
	return r < 0 ? r : ctl_show(c, why_shape, jdoc_root(d));
}
