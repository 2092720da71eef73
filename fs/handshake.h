/* SPDX-License-Identifier: Apache-2.0 */
/* The first exchange between kernel and session: what both agree on. It happens once in the life of
 * a mount, so it is left to later processes, and a session of theirs is told the same again.
 * Threads: the caller's. */
#ifndef MATRIXFS_HANDSHAKE_H
#define MATRIXFS_HANDSHAKE_H

#include "daemon/base/buf.h"
#include "fs/estate.h"
#include "fs/op.h"

#define HANDSHAKE_MAX 256 /* bytes, of each of the two messages */

/* What the ESTATE_SESSION holds, and behind it the two paths of the mount point: as it was given,
 * and as the kernel knows it, each with its NUL. */
struct handshake {
	uint32_t request_len, reply_len;
	uint8_t request[HANDSHAKE_MAX], reply[HANDSHAKE_MAX];
	uint32_t unused_1;
	uint32_t generation; /* how many processes took the mount over until now */
	uint32_t set_up;     /* 1: the kernel's settings of the mount are made */
	uint32_t unused_2[5];
};

/* Makes the exchange for a session that is mounted; what was said is in *ret. -ETIMEDOUT: the
 * kernel says nothing; -EPROTO. */
MUST_USE int handshake_make(struct fuse_session *s, struct handshake *ret);
/* Tells a session what was agreed, and puts it on the kernel's descriptor (borrowed) in place of
 * the one it has. -EPROTO with a sentence in why: this program cannot keep to it. */
MUST_USE int handshake_repeat(struct fuse_session *s, const struct handshake *h, int fd,
			      struct buf *why);
/* True if this kernel gives requests again that a process took and did not answer. */
bool handshake_resends(const struct handshake *h);
/* Has it do so. */
MUST_USE int handshake_resend(int fd);

#endif
