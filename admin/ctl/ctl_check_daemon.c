/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon stands on: who holds its mount, how many files it may open, its peers. */
#include "admin/ctl/ctl_checks.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl/ctl_held.h"
#include "daemon/base/file.h"

#define FILES_WANTED 16384
#define REPEATS_SINCE 609 /* Linux 6.9: FUSE_NOTIFY_RESEND */
#define PROC_BYTES_MAX 65536

/* --- who holds the mount */

void ctl_check_held(struct ctl_checkup *u, const struct jval *status)
{
	CLEANUP(buf_free) struct buf who = { 0 };
	int64_t takeovers = 0;
	enum ctl_held held = ctl_held_by(status, &takeovers);
	unsigned kernel = ctl_kernel_version();

	if (held == CTL_HELD_UNTOLD)
		return;
	ctl_held_print(status, &who);
	if (held == CTL_HELD_BY_NOBODY)
		ctl_checkup_add(
			u, CTL_WARN, "held by",
			"start it by systemd, in the background, or with --holder=yes: then "
			"readers go on across an upgrade (docs/upgrade.md)",
			"%s", buf_str(&who));
	else if (kernel && kernel < REPEATS_SINCE)
		ctl_checkup_add(u, CTL_WARN, "held by",
				"boot Linux 6.9 or newer, or restart while nobody reads",
				"%s; but this kernel does not repeat requests: the mount is made "
				"anew, and readers get ENOTCONN",
				buf_str(&who));
	else
		ctl_checkup_add(u, CTL_OK, "held by", NULL, "%s", buf_str(&who));
}

/* --- how many files it may open */

/* How many it has open, or 0 if we may not look. */
static unsigned count_open(long long pid)
{
	unsigned count = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%lld/fd", pid);
	dir = opendir(path);
	for (struct dirent *d; dir && (d = readdir(dir));)
		count += isdigit((unsigned char)d->d_name[0]) != 0;
	if (dir)
		closedir(dir);
	return count;
}

/* By the name of a process: what mount(8) starts has another one, as far as names go. */
static bool is_ours(const char *name)
{
	static const char *const ours[] = { "matrixfs", "mfs", "mount.fuse.matr" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (!strncmp(name, ours[i], strlen(ours[i])))
			return true;
	return false;
}

/* The limit of a process, or 0. In another PID namespace the number may be another's. */
static unsigned long long find_limit(long long pid)
{
	static const char row[] = "Max open files";
	CLEANUP(buf_free) struct buf name = { 0 }, limits = { 0 };
	const char *at;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%lld/comm", pid);
	if (file_read_all(AT_FDCWD, path, PROC_BYTES_MAX, &name) < 0 || !is_ours(buf_str(&name)))
		return 0;
	snprintf(path, sizeof(path), "/proc/%lld/limits", pid);
	if (file_read_all(AT_FDCWD, path, PROC_BYTES_MAX, &limits) < 0)
		return 0;
	at = strstr(buf_str(&limits), row);
	return at ? strtoull(at + strlen(row), NULL, 10) : 0;
}

void ctl_check_files(struct ctl_checkup *u, const struct jval *status)
{
	static const char advice[] =
		"LimitNOFILE=1048576 in its unit, or ulimit -n before it starts";
	long long pid = jval_get_size(status, "pid");
	unsigned long long limit = find_limit(pid);
	unsigned open = limit ? count_open(pid) : 0;

	if (!limit)
		return;
	if (open > limit / 10 * 9)
		ctl_checkup_add(u, CTL_FAIL, "files", advice, "%u of %llu are open", open, limit);
	else
		ctl_checkup_add(u, limit < FILES_WANTED ? CTL_WARN : CTL_OK, "files",
				limit < FILES_WANTED ? advice : NULL,
				"it may open %llu, and has %u", limit, open);
}

/* --- its peers */

static const struct {
	const char *state;
	enum ctl_finding finding;
	const char *found, *advice;
} troubles[] = {
	{ "refused", CTL_FAIL, "has another cluster key",
	  "one cluster-key-file for all, then systemctl restart: docs/peers.md#trust" },
	{ "tls", CTL_FAIL, "cannot be asked by TLS",
	  "peer-tls-cert, peer-tls-key and peer-tls-ca of both: matrixctl peers says why" },
	{ "banned", CTL_WARN, "sent wrong bytes", "scrub there; then matrixctl peers forgive" },
	{ "silent", CTL_WARN, "does not answer",
	  "is it up, is its peer-address right, is the port open?" },
};

static size_t check_member(struct ctl_checkup *u, const struct jval *member)
{
	const char *state = jval_get_str(member, "state"), *why = jval_get_str(member, "why");
	const char *address = jval_get_str(member, "address");

	for (size_t i = 0; state && i < ARRAY_LEN(troubles); i++)
		if (!strcmp(state, troubles[i].state)) {
			ctl_checkup_add(u, troubles[i].finding, "peers", troubles[i].advice,
					"%s %s%s%s", address ? address : "?", troubles[i].found,
					why ? ": " : "", why ? why : "");
			return 1;
		}
	return 0;
}

void ctl_check_peers(struct ctl_checkup *u, const struct jval *answer)
{
	const struct jval *members = jval_get(answer, "members");
	size_t bad = 0, count = jval_count(members);

	for (size_t i = 0; i < count; i++)
		bad += check_member(u, jval_at(members, i));
	if (!answer)
		ctl_checkup_add(u, CTL_OK, "peers", NULL, "none are configured");
	else if (!bad)
		ctl_checkup_add(u, CTL_OK, "peers", NULL,
				"%zu with this one, and nothing against any", count);
}
