/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate that this node shows its peers: read again when one of its files has changed,
 * looked at every few seconds by a thread of its own. One that cannot be used is logged once and
 * changes nothing. Threads: any. */
#ifndef MATRIXFS_PEER_CERT_H
#define MATRIXFS_PEER_CERT_H

#include "daemon/base/buf.h"

#define PEER_CERT_LOOK_MS 2000

struct peer_cert;
struct tls;

/* Sentences in why: ERR_CONF, -ENOMEM, -EAGAIN (no thread). */
MUST_USE int peer_cert_start(const char *cert_file, const char *key_file, struct peer_cert **ret,
			     struct buf *why);
/* No connection uses it any more. NULL is none. */
void peer_cert_stop(struct peer_cert *c);
/* Borrowed until peer_cert_stop. */
struct tls *peer_cert_tls(struct peer_cert *c);

/* 0 if that file holds certificates of who vouches for others, else ERR_CONF and the like with a
 * sentence in why. */
MUST_USE int peer_cert_check_ca(const char *ca_file, struct buf *why);

#endif
