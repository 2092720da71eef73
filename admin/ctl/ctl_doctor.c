/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl/ctl_checks.h"
#include "daemon/base/why.h"

/* --- a matrixfs */

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

static void check_peers(struct ctl *c, struct ctl_checkup *u)
{
	CLEANUP(jdoc_freep) struct jdoc *peers = NULL;
	int r = ctl_ask(c, "GET", "/peers", NULL, &peers);

	buf_clear(&c->why);
	if (r == 0 || r == -ENOENT)
		ctl_check_peers(u, r == 0 ? jdoc_root(peers) : NULL);
}

static void check_daemon(struct ctl *c, struct ctl_checkup *u, const struct jval *status)
{
	CLEANUP(jdoc_freep) struct jdoc *hubs = NULL, *config = NULL;
	const char *mountpoint = jval_get_str(status, "mountpoint");

	ctl_check_version(u, "matrixfs", status);
	ctl_check_held(u, status);
	ask(c, u, "GET", "/config", &config);
	if (config)
		ctl_check_config(u, jdoc_root(config), jval_get_size(status, "since"));
	ctl_check_files(u, status);
	ctl_check_mount(u, status);
	ctl_check_passthrough(u, status);
	ask(c, u, "POST", "/hubs/check", &hubs);
	ctl_check_hubs(u, hubs ? jdoc_root(hubs) : NULL,
		       jval_bool(jval_get(status, "offline")) > 0);
	check_peers(c, u);
	if (mountpoint)
		ctl_check_clients(u, mountpoint, getenv);
}

static void check_node(struct ctl *c, struct ctl_checkup *u)
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

/* --- a hub */

/* What cannot be told is a line. */
static void add_refusal(struct ctl *c, struct ctl_checkup *u, const char *path)
{
	ctl_checkup_add(u, CTL_FAIL, "hub", "the hub's log says more", CTL_API "%s: %s", path,
			buf_str(&c->why));
	buf_clear(&c->why);
}

static bool ask_hub(struct ctl *c, struct ctl_checkup *u, const char *path, struct jdoc **ret)
{
	if (ctl_ask(c, "GET", path, NULL, ret) == 0)
		return true;
	add_refusal(c, u, path);
	return false;
}

static void check_as_admin(struct ctl *c, struct ctl_checkup *u, const struct jval *status)
{
	CLEANUP(jdoc_freep) struct jdoc *scrub = NULL, *collector = NULL;

	ctl_check_state(u, status);
	if (ask_hub(c, u, "/scrub", &scrub))
		ctl_check_scrub(u, jdoc_root(scrub), jval_get_size(status, "uptime_seconds"));
	if (ask_hub(c, u, "/collect", &collector))
		ctl_check_collector(u, jdoc_root(collector));
}

/* Who asks, and may it ask the rest? */
static void check_token(struct ctl *c, struct ctl_checkup *u)
{
	CLEANUP(jdoc_freep) struct jdoc *who = NULL, *status = NULL;
	int r;

	if (!c->hub.token) {
		ctl_checkup_add(
			u, CTL_WARN, "token",
			"--token-file=FILE or MATRIXHUB_TOKEN_FILE: DATA/admin.token is the "
			"first one",
			"none: what only an administrator sees is not looked at");
		return;
	}
	if (ctl_ask(c, "GET", "/api/whoami-v2", NULL, &who) < 0) {
		ctl_checkup_add(u, CTL_FAIL, "token",
				"matrixctl token create makes another; the first one is "
				"DATA/admin.token",
				"%s", buf_str(&c->why));
		buf_clear(&c->why);
		return;
	}
	r = ctl_ask(c, "GET", "/status", NULL, &status);
	if (r == 0 || r == -EACCES)
		ctl_check_who(u, jdoc_root(who), r == 0);
	else
		add_refusal(c, u, "/status");
	buf_clear(&c->why);
	if (r == 0)
		check_as_admin(c, u, jdoc_root(status));
}

static void check_hub(struct ctl *c, struct ctl_checkup *u)
{
	CLEANUP(ctl_door_fini) struct ctl_door health = { 0 }, ready = { 0 };
	int r = ctl_hub_look(&c->hub, "/healthz", &health, &c->why);

	if (r < 0)
		ctl_check_no_door(u, r, buf_str(&c->why));
	buf_clear(&c->why);
	if (r < 0 || !ctl_check_door(u, &health, c->hub.url))
		return;
	r = ctl_hub_look(&c->hub, "/readyz", &ready, &c->why);
	if (r < 0)
		ctl_check_no_door(u, r, buf_str(&c->why));
	else
		ctl_check_ready(u, &ready);
	buf_clear(&c->why);
	check_token(c, u);
}

/* --- what was found */

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
	(c->hub.socket ? check_node : check_hub)(c, &u);
	r = put(c, &u);
	bad = u.counts[CTL_FAIL];
	if (r < 0 || !bad)
		return r;
	return complain(&c->why, "%u %s failed.", bad, bad == 1 ? "check has" : "checks have");
}
