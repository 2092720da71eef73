/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of the command line: which words are names, values, mount points; no value is looked
 * into. Also knows the options that mount(8) and fstab(5) give to every file system. Pure. */
#ifndef MATRIXFS_CMDLINE_H
#define MATRIXFS_CMDLINE_H

#include "daemon/base/conf.h"
#include "fs/options.h"

struct cmdline_setting {
	const char *name;  /* the table's */
	const char *value; /* in argv; NULL: a bare flag */
};

/* Borrows from argv. */
struct cmdline {
	enum options_action action;
	bool by_mount; /* called by mount(8), or as it does */
	bool foreground;
	const char *source;       /* NULL unless by_mount */
	const char *mountpoint;   /* NULL: none is named */
	struct buf mount_options; /* of each -o, with commas between them */
	struct cmdline_setting *settings;
	size_t setting_count;
};

enum cmdline_use {
	CMDLINE_PASS,  /* to the kernel */
	CMDLINE_DROP,  /* was meant for mount(8), systemd or people */
	CMDLINE_OTHER, /* not known here */
};

/* Parses into the zeroed *ret. ERR_CONF with a sentence in why, -ENOMEM. */
MUST_USE int cmdline_parse(const struct conf_table *t, int argc, char *const argv[],
			   struct cmdline *ret, struct buf *why);
void cmdline_fini(struct cmdline *c);
/* Who a mount option ("noatime", "comment=...") is for. */
enum cmdline_use cmdline_mount_option(const char *option);

#endif
