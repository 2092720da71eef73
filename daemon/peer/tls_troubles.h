/* SPDX-License-Identifier: Apache-2.0 */
/* Which members cannot be asked since TLS with them fails, and why, as the library says: told once
 * in the log, and to people, for whom such a member would only be silent. A small memory. Threads:
 * any. */
#ifndef MATRIXFS_TLS_TROUBLES_H
#define MATRIXFS_TLS_TROUBLES_H

#include <stdbool.h>

#include "daemon/base/own.h"

#define TLS_TROUBLES_MAX 64 /* members; of more those are told that failed last */
#define TLS_TROUBLE_TEXT 200

struct tls_troubles;

/* -ENOMEM. */
MUST_USE int tls_troubles_new(struct tls_troubles **ret);
void tls_troubles_free(struct tls_troubles *t);
/* A request to this member, by TLS or without it, ended so (see httpc_run), of which the library
 * says this more. */
void tls_troubles_note(struct tls_troubles *t, const char *member, bool secure, int r,
		       const char *words);
/* True if TLS with it fails, as ret tells. */
MUST_USE bool tls_troubles_find(struct tls_troubles *t, const char *member,
				char ret[static TLS_TROUBLE_TEXT]);

#endif
