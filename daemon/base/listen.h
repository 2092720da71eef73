/* SPDX-License-Identifier: Apache-2.0 */
/* Listening stream sockets: on a path for this user alone, or on an address. Threads: any. */
#ifndef MATRIXFS_LISTEN_H
#define MATRIXFS_LISTEN_H

#include <stdbool.h>

#include "daemon/base/buf.h"

/* Listens on `name` in directory `dir`, mode 0600 from its first moment. The socket of a dead
 * process is replaced; of one that answers, or anything that is no socket, -EADDRINUSE. The
 * length of dir does not matter. A descriptor, non-blocking, or a sentence in why. */
MUST_USE int listen_path(const char *dir, const char *name, struct buf *why);
/* Takes `name` away if it is a socket that nobody listens on any more. */
void listen_unlink(const char *dir, const char *name);
/* True if the text has the form that listen_address takes. Asks nobody. */
bool listen_is_address(const char *text);
/* Listens on "ADDRESS:PORT", "[ADDRESS]:PORT" or ":PORT" (all addresses, of IPv4 and
 * IPv6); names count as well. -EINVAL if it is none of these or a name that nobody knows, or what
 * the system says. As above. */
MUST_USE int listen_address(const char *text, struct buf *why);
/* A socket that somebody else made: 0 if it listens for streams; it is non-blocking then. -EINVAL,
 * or what the system says. */
MUST_USE int listen_adopt(int fd);
/* Appends where a socket listens, as listen_address takes it. Nothing, if that is no address. */
void listen_tell(int fd, struct buf *ret);

#endif
