/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of notify.h: hears what a daemon says to who started it, on a socket that nobody
 * else can reach. Threads: the caller's. */
#ifndef MATRIXFS_HEARING_H
#define MATRIXFS_HEARING_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/base/notify.h"

struct hearing {
	int socket;  /* to be polled for what can be taken */
	int address; /* of the socket, which has no name any more */
};

struct hearing_said {
	pid_t from; /* -1: nobody knows */
	int fd;     /* that came with it, the caller's; or -1 */
	char text[NOTIFY_MESSAGE_MAX + 1];
};

/* Begins; both descriptors lie above what is passed (kept.h). hearing_close ends it, also after a
 * failure. What socket(2) and bind(2) say. */
MUST_USE int hearing_open(struct hearing *h);
void hearing_close(struct hearing *h);
/* Takes one message. -EAGAIN when there is none. */
MUST_USE int hearing_take(const struct hearing *h, struct hearing_said *ret);
/* True if a line of the text is NAME=value: the value, as much as there is room for, is copied. */
bool hearing_value(const char *text, const char *name, char *ret, size_t cap);
/* Tells the process that this one is about to become where it is heard, and that descriptors are
 * kept for it. -EBADF and the like. */
MUST_USE int hearing_tell(const struct hearing *h);

#endif
