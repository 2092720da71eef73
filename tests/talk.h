/* SPDX-License-Identifier: Apache-2.0 */
/* A client's side of a connection, byte by byte. */
#ifndef MATRIXFS_TESTS_TALK_H
#define MATRIXFS_TESTS_TALK_H

#include <netinet/in.h>
#include <stdbool.h>

#include "daemon/base/buf.h"

/* A socket that listens on a free port of the loopback, which *ret_at becomes; the test fails if
 * there is none. */
int talk_listen(struct sockaddr_in *ret_at);
/* A connection to it, on which nothing is waited for longer than ten seconds; and a text sent whole
 * on one. The test fails if that cannot be. */
int talk_dial(const struct sockaddr_in *at);
void talk_say(int fd, const char *text);
/* Reads until `text` has come; false at the end of the connection. */
bool talk_hear(int fd, struct buf *all, const char *text);
/* Reads to the end of the connection: true if that was its peer's doing. */
bool talk_ends(int fd);

#endif
