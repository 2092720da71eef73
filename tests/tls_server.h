/* SPDX-License-Identifier: Apache-2.0 */
/* A server that speaks TLS, of Debian's openssl, for localhost. In its folder lie its certificate
 * ("cert") and that of another ("other"). */
#ifndef MATRIXFS_TLS_SERVER_H
#define MATRIXFS_TLS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct tls_server {
	char dir[32], cert[64], other[64];
	int port;
	pid_t pid;
};

/* False if there is no openssl. `mode`: "-www" answers a page to all, "-HTTP" with files of the
 * folder, which are whole answers. It listens in a moment. */
bool tls_server_start(struct tls_server *s, const char *mode);
/* Its folder goes, too. */
void tls_server_stop(struct tls_server *s);

#endif
