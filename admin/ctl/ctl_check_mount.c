/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc and /sys say of a mount: it is not touched, since one that hangs would hang us. */
#include "admin/ctl/ctl_checks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/file.h"
#include "daemon/base/mountinfo.h"

#define READ_AHEAD_WANTED 8192 /* KiB */
static void check_read_ahead(struct ctl_checkup *u, const struct mountinfo *l)
{
	CLEANUP(buf_free) struct buf text = { 0 }, advice = { 0 };
	char path[64];
	unsigned kib;

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", l->major, l->minor);
	if (file_read_all(AT_FDCWD, path, 64, &text) < 0) {
		ctl_checkup_add(u, CTL_WARN, "read_ahead", "mount /sys into this container",
				"%s cannot be read", path);
		return;
	}
	kib = (unsigned)strtoul(buf_str(&text), NULL, 10);
	buf_printf(&advice, "as root: echo %u > %s; matrixfs does it when it runs as root",
		   READ_AHEAD_WANTED, path);
	ctl_checkup_add(u, kib < READ_AHEAD_WANTED ? CTL_WARN : CTL_OK, "read_ahead",
			kib < READ_AHEAD_WANTED ? buf_str(&advice) : NULL,
			"the kernel reads %u KiB ahead", kib);
}

static void check_answers(struct ctl_checkup *u, const struct jval *status)
{
	double oldest = 0, limit = 0;

	if (!jval_real(jval_get(status, "oldest_request_seconds"), &oldest) ||
	    !jval_real(jval_get(jval_get(status, "limits"), "timeout_seconds"), &limit))
		return;
	if (oldest > limit)
		ctl_checkup_add(u, CTL_FAIL, "requests",
				"matrixctl why PATH of what is read; then restart matrixfs",
				"one waits for %.0f s, and none may for more than %.0f s", oldest,
				limit);
	else
		ctl_checkup_add(u, CTL_OK, "requests", NULL, "none waits too long");
}

void ctl_check_mount(struct ctl_checkup *u, const struct jval *status)
{
	const char *at = jval_get_str(status, "mountpoint");
	CLEANUP(freep) struct mountinfo *l = calloc(1, sizeof(*l));

	if (!at) {
		ctl_checkup_add(u, CTL_OK, "mount", NULL, "none: it exports by NFS alone");
		return;
	}
	if (!l || !mountinfo_find(at, l) || strncmp(l->type, "fuse", 4) != 0) {
		ctl_checkup_add(u, CTL_FAIL, "mount",
				"it is in another mount namespace: run matrixfs without "
				"PrivateMounts= and ProtectSystem=, share the mount with the "
				"container (rslave)",
				"%s is no mount of matrixfs here", at);
		return;
	}
	ctl_checkup_add(u, CTL_OK, "mount", NULL, "%s, %s", at, l->type);
	if (strstr(l->super, "allow_other"))
		ctl_checkup_add(u, CTL_OK, "allow-other", NULL, "all users may read it");
	else
		ctl_checkup_add(u, CTL_WARN, "allow-other",
				"start matrixfs with --allow-other; not as root it needs "
				"user_allow_other in /etc/fuse.conf",
				"only the user who runs matrixfs may read it");
	check_read_ahead(u, l);
	check_answers(u, status);
}

/* What to do about a reason, by its first words. */
static const struct {
	const char *reason, *advice;
} cures[] = {
	{ "switched off", "take passthrough = no out of the configuration, and restart" },
	{ "not offered by this kernel", "it needs Linux 6.9 with CONFIG_FUSE_PASSTHROUGH" },
	{ "built with a FUSE library", "build it with libfuse 3.17 or newer" },
	{ "refused by the kernel: it needs root", "run matrixfs as root" },
	{ "refused by the kernel: the cache lies",
	  "put the cache on a disk's own file system (ext4, xfs), not on overlay" },
};

void ctl_check_passthrough(struct ctl_checkup *u, const struct jval *status)
{
	const char *library = jval_get_str(status, "fuse_library");
	const char *protocol = jval_get_str(status, "fuse_protocol");
	const char *why_not = jval_get_str(status, "passthrough_why_not");
	const char *advice = "see the log of matrixfs";

	if (!jval_get_str(status, "mountpoint"))
		return;
	ctl_checkup_add(u, CTL_OK, "FUSE", NULL, "library %s, protocol %s",
			library ? library : "unknown", protocol ? protocol : "unknown");
	if (!why_not) {
		ctl_checkup_add(u, CTL_OK, "passthrough", NULL,
				"the kernel reads verified files by itself");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(cures); i++)
		if (!strncmp(why_not, cures[i].reason, strlen(cures[i].reason)))
			advice = cures[i].advice;
	ctl_checkup_add(u, CTL_WARN, "passthrough", advice,
			"verified files are read through matrixfs: %s", why_not);
}
