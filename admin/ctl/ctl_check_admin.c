/* SPDX-License-Identifier: Apache-2.0 */
/* A hub as its administrators see it. */
#include "admin/ctl/ctl_checks.h"

#include <string.h>

#include "admin/ctl/ctl_print.h"
#include "daemon/base/clock.h"

#define ROOM_WANTED (UINT64_C(1) << 30)
#define SCRUB_WANTED_S (30 * 24 * 3600)

void ctl_check_who(struct ctl_checkup *u, const struct jval *who, bool is_admin)
{
	const struct jval *token = jval_get(jval_get(who, "auth"), "accessToken");
	const char *user = jval_get_str(who, "name"), *name = jval_get_str(token, "displayName");
	const char *role = jval_get_str(token, "role");

	if (is_admin)
		ctl_checkup_add(u, CTL_OK, "token", NULL, "%s of %s, an administrator's",
				name ? name : "a token", user ? user : "?");
	else
		ctl_checkup_add(u, CTL_WARN, "token",
				"--token-file=FILE of an administrator's: DATA/admin.token is the "
				"first one",
				"%s of %s (role %s) is no administrator's: the rest is not looked "
				"at",
				name ? name : "a token", user ? user : "?", role ? role : "?");
}

void ctl_check_version(struct ctl_checkup *u, const char *program, const struct jval *status)
{
	const char *version = jval_get_str(status, "version");

	if (!version || strcmp(version, MATRIXFS_VERSION) != 0)
		ctl_checkup_add(u, CTL_WARN, program,
				"restart what is older, or install this version there: members of "
				"answers are added by versions, and none is taken away",
				"version %s runs, and this is matrixctl " MATRIXFS_VERSION,
				version ? version : "?");
	else
		ctl_checkup_add(u, CTL_OK, program, NULL, "version %s runs", version);
}

static void check_upstreams(struct ctl_checkup *u, const struct jval *status)
{
	const struct jval *list = jval_get(status, "upstreams");

	if (jval_bool(jval_get(status, "offline")) > 0)
		ctl_checkup_add(u, CTL_OK, "upstream", NULL,
				"none: what is here and what is uploaded is all there is");
	for (size_t i = 0; i < jval_count(list); i++) {
		const struct jval *up = jval_at(list, i);
		const char *url = jval_get_str(up, "url"), *state = jval_get_str(up, "state");
		const char *error = jval_get_str(up, "last_error");

		if (state && !strcmp(state, "down"))
			ctl_checkup_add(u, CTL_WARN, "upstream",
					"try it from the hub's machine: curl -I; HTTPS_PROXY and "
					"SSL_CERT_FILE are those of matrixhubd",
					"%s is down: %s", url ? url : "", error ? error : "?");
		else
			ctl_checkup_add(u, CTL_OK, "upstream", NULL, "%s %s", url ? url : "",
					state && !strcmp(state, "ok") ? "answers"
								      : "has not been asked yet");
	}
}

static void check_room(struct ctl_checkup *u, const struct jval *status)
{
	const struct jval *disk = jval_get(status, "disk");
	uint64_t left = jval_get_size_or_0(disk, "free_bytes"),
		 total = jval_get_size_or_0(disk, "total_bytes");
	uint64_t keep = jval_get_size_or_0(jval_get(status, "cache"), "min_free_bytes");
	CLEANUP(buf_free) struct buf found = { 0 };

	ctl_print_part(left, total, &found);
	buf_add_str(&found, " are free");
	if (left <= keep)
		ctl_checkup_add(u, CTL_WARN, "room",
				"matrixctl collect, delete repositories, or grow the disk",
				"%s, and cache-min-free wants more: no more of upstreams is kept",
				buf_str(&found));
	else if (left - keep < ROOM_WANTED)
		ctl_checkup_add(u, CTL_WARN, "room", "grow the disk before it is full",
				"%s, and less than 1 GiB may be used", buf_str(&found));
	else
		ctl_checkup_add(u, CTL_OK, "room", NULL, "%s", buf_str(&found));
}

void ctl_check_state(struct ctl_checkup *u, const struct jval *status)
{
	ctl_check_version(u, "matrixhubd", status);
	check_room(u, status);
	check_upstreams(u, status);
}

/* Appends when something was over, and true if it ever was since the start. */
static bool add_age(const struct jval *report, int64_t *ret_s, struct buf *ret)
{
	int64_t ended;

	if (!jval_int(jval_get(report, "ended"), &ended))
		return false;
	*ret_s = clock_wall_s() - ended;
	ctl_print_span(*ret_s > 0 ? *ret_s : 0, ret);
	buf_add_str(ret, " ago");
	return true;
}

void ctl_check_scrub(struct ctl_checkup *u, const struct jval *report, int64_t uptime_s)
{
	unsigned long long lost = jval_count(jval_get(report, "lost"));
	CLEANUP(buf_free) struct buf ago = { 0 };
	int64_t age_s = 0;

	if (lost)
		ctl_checkup_add(
			u, CTL_FAIL, "scrub",
			"matrixctl scrub names them; put them back from a backup, or upload "
			"them again",
			"%llu uploaded files are damaged or missing", lost);
	else if (add_age(report, &age_s, &ago))
		ctl_checkup_add(u, CTL_OK, "scrub", NULL, "%s: %llu uploaded files, all well",
				buf_str(&ago),
				(unsigned long long)jval_get_size_or_0(report, "blobs"));
	else
		ctl_checkup_add(u, uptime_s > SCRUB_WANTED_S ? CTL_WARN : CTL_OK, "scrub",
				uptime_s > SCRUB_WANTED_S
					? "matrixctl scrub; scrub-every has it go "
					  "by itself"
					: NULL,
				"none has ended since it was started");
}

void ctl_check_collector(struct ctl_checkup *u, const struct jval *report)
{
	CLEANUP(buf_free) struct buf ago = { 0 };
	int64_t age_s = 0;

	if (!add_age(report, &age_s, &ago))
		ctl_checkup_add(u, CTL_OK, "collector", NULL,
				"it has taken nothing since it was started");
	else if (jval_bool(jval_get(report, "complete")) != 1)
		ctl_checkup_add(u, CTL_WARN, "collector",
				"the log says why; matrixctl collect tries again",
				"it did not come to its end, %s", buf_str(&ago));
	else
		ctl_checkup_add(u, CTL_OK, "collector", NULL, "%s", buf_str(&ago));
}
