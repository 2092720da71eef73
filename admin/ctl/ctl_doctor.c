/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_doctor.h"

#include <stdlib.h>
#include <string.h>

#include "admin/ctl/ctl_checks.h"
#include "daemon/base/why.h"

/* Asks the daemon, and says so if it does not answer: then *ret stays NULL. */
static void ask(struct ctl *c, struct ctl_checkup *u, const char *method, const char *path,
		struct jdoc **ret)
{
	if (ctl_ask(c, method, path, NULL, ret) == 0)
		return;
	ctl_checkup_add(u, CTL_FAIL, "matrixfs",
			"systemctl status matrixfs, or start it: matrixfs /models", "%s",
			buf_str(&c->why));
	buf_clear(&c->why);
}

/* The directory of the cache: as the daemon says, else that of its socket; owned. */
static char *find_cache(const struct ctl *c, const struct jval *status)
{
	const char *dir = jval_get_str(status, "cache");
	const char *slash = strrchr(c->hub.socket, '/');

	if (dir)
		return strdup(dir);
	return slash ? strndup(c->hub.socket,
			       (size_t)(slash - c->hub.socket) + (slash == c->hub.socket))
		     : strdup(".");
}

static void check_daemon(struct ctl *c, struct ctl_checkup *u, const struct jval *status)
{
	CLEANUP(jdoc_freep) struct jdoc *hubs = NULL;
	const char *mountpoint = jval_get_str(status, "mountpoint");
	const char *version = jval_get_str(status, "version");

	if (!version || strcmp(version, MATRIXFS_VERSION) != 0)
		ctl_checkup_add(u, CTL_WARN, "matrixfs", "restart it: another version is installed",
				"version %s runs, and this is matrixctl " MATRIXFS_VERSION,
				version ? version : "?");
	else
		ctl_checkup_add(u, CTL_OK, "matrixfs", NULL, "version %s runs", version);
	ctl_check_mount(u, status);
	ctl_check_passthrough(u, status);
	ask(c, u, "POST", "/hubs/check", &hubs);
	ctl_check_hubs(u, hubs ? jdoc_root(hubs) : NULL,
		       jval_bool(jval_get(status, "offline")) > 0);
	if (mountpoint)
		ctl_check_clients(u, mountpoint, getenv);
}

static void check_all(struct ctl *c, struct ctl_checkup *u)
{
	CLEANUP(jdoc_freep) struct jdoc *status = NULL;
	CLEANUP(freep) char *dir = NULL;
	const struct jval *root;

	ctl_check_kernel(u);
	ctl_check_device(u);
	ask(c, u, "GET", "/status", &status);
	root = status ? jdoc_root(status) : NULL;
	dir = find_cache(c, root);
	if (dir)
		ctl_check_cache(u, dir, root);
	if (root)
		check_daemon(c, u, root);
}

static int put(struct ctl *c, struct ctl_checkup *u)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	if (!c->json)
		return ctl_put(c, &u->text);
	jwrite_array_end(&u->to);
	buf_printf(&text, "{\"ok\":%u,\"warn\":%u,\"fail\":%u,%s}\n", u->counts[CTL_OK],
		   u->counts[CTL_WARN], u->counts[CTL_FAIL], buf_str(&u->json));
	return u->json.failed ? u->json.failed : ctl_put(c, &text);
}

int ctl_doctor(struct ctl *c)
{
	CLEANUP(ctl_checkup_fini) struct ctl_checkup u = { .coloured = c->coloured };
	unsigned bad;
	int r;

	ctl_checkup_begin(&u);
	check_all(c, &u);
	r = put(c, &u);
	bad = u.counts[CTL_FAIL];
	if (r < 0 || !bad)
		return r;
	return complain(&c->why, "%u %s failed.", bad, bad == 1 ? "check has" : "checks have");
}
