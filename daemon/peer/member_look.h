/* SPDX-License-Identifier: Apache-2.0 */
/* One look at where a list of members may be found. Each may wait for a name server or a disk: it
 * touches nothing but what it is given. Threads: one per struct member_file. */
#ifndef MATRIXFS_MEMBER_LOOK_H
#define MATRIXFS_MEMBER_LOOK_H

#include <sys/stat.h>

#include "daemon/peer/member_spec.h"

#define MEMBER_FILE_STILL_MS 1000 /* a file that has changed is read when it is still for so long */

/* What a look may find, beside a failure. */
enum member_found {
	MEMBER_FOUND,     /* a list */
	MEMBER_AS_IT_WAS, /* nothing new */
	MEMBER_UNDER_WAY, /* somebody writes: look again after MEMBER_FILE_STILL_MS */
};

/* What was found. */
struct member_look {
	struct member_spec *list; /* owned (free) */
	size_t count;
	struct buf why; /* of a failure, a sentence without its end */
};
void member_look_fini(struct member_look *k);

/* The members that are told as "ADDR:PORT,ADDR:PORT". MEMBER_FOUND or ERR_CONF. */
MUST_USE int member_look_told(const char *text, struct member_look *ret);
/* The addresses of the name in "NAME:PORT", each with that port: those of IPv4, or if it has none
 * of IPv6, so that a node that has both is there once. MEMBER_FOUND, or a negative error. */
MUST_USE int member_look_dns(const char *name_and_port, struct member_look *ret);

/* A file with lines as member_list_parse reads them, and how it was. Zeroed but for its path: it
 * was not looked at yet. */
struct member_file {
	const char *path;
	struct stat now, taken;
	bool seen; /* `now` and `taken` say something */
};

/* A file that was replaced or written to is read again, but not while it is written. One without
 * members is as good as none. enum member_found, or a negative error. */
MUST_USE int member_look_file(struct member_file *f, struct member_look *ret);

#endif
