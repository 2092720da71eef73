/* SPDX-License-Identifier: Apache-2.0 */
/* Door to GnuTLS, which libmicrohttpd speaks TLS with: the certificate of a server, which may be
 * replaced while connections use it. Threads: any. */
#ifndef MATRIXFS_TLS_H
#define MATRIXFS_TLS_H

#include "daemon/base/buf.h"

struct tls;
struct tls_cert;

/* What may be spoken: 1.2 and 1.3. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* Reads a certificate, with those that vouch for it behind it, and its key, both in PEM. Sentences
 * in why: ERR_CONF if they cannot be used, -ENOMEM. */
MUST_USE int tls_new(const char *cert_file, const char *key_file, struct tls **ret,
		     struct buf *why);
/* All certificates have been dropped. NULL is fine. */
void tls_free(struct tls *t);
/* Reads both again: new connections get the new one, others keep theirs. When it fails, all stays
 * as it was. Errors as above. */
MUST_USE int tls_reload(struct tls *t, const char *cert_file, const char *key_file,
			struct buf *why);

/* Gives a session, which has not begun to speak, the certificate there is now: owned. */
struct tls_cert *tls_use(struct tls *t, void *session);
/* Its session has ended. */
void tls_drop(struct tls_cert *c);
/* A gnutls_certificate_retrieve_function2 that finds none: for a library that wants one or a
 * certificate, of sessions that are given theirs by tls_use. */
intptr_t tls_callback(void);

#endif
