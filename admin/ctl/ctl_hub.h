/* SPDX-License-Identifier: Apache-2.0 */
/* One question to a hub's admin API, or to the control socket of a matrixfs, and why it was not
 * answered, in words for who asked. */
#ifndef MATRIXFS_CTL_HUB_H
#define MATRIXFS_CTL_HUB_H

#include "daemon/base/buf.h"

#define CTL_API "/api/admin/v1"
#define CTL_NODE_API "/v1"

struct httpc;

/* What can be seen of a hub without a token. */
struct ctl_door {
	int status;                 /* HTTP */
	int64_t took_ms;            /* to the head of the answer */
	int64_t clock_s;            /* its own; -1: it does not tell */
	int64_t certificate_ends_s; /* -1: no TLS, or a connection that was open already */
	struct buf between;         /* what says that it stands in front of it; owned */
	struct buf body;            /* owned */
};

struct ctl_hub {
	struct httpc *client; /* owned */
	char *url;            /* without slash at its end; owned */
	char *token;          /* or NULL; owned */
	char *socket;         /* of a node, or NULL: it is a hub; owned */
};

/* Where the hub is and who asks: of options (NULL: not given), else of the environment
 * (MATRIXHUB_URL, MATRIXHUB_TOKEN_FILE, MATRIXHUB_TOKEN), else http://127.0.0.1:8080 and nobody.
 * getenv_fn is getenv, or a test's. ERR_CONF with a sentence in why, in which no token stands. */
MUST_USE int ctl_hub_open(const char *url, const char *token_file, char *(*getenv_fn)(const char *),
			  struct ctl_hub *ret, struct buf *why);
/* The same for a matrixfs with that control socket. */
MUST_USE int ctl_hub_open_node(const char *socket, struct ctl_hub *ret, struct buf *why);
void ctl_hub_close(struct ctl_hub *h);
/* The secret that stands in a file ("-": in standard input), without blanks around it; owned, to
 * be wiped. ERR_CONF with a sentence in why. */
MUST_USE int ctl_hub_secret(const char *path, char **ret, struct buf *why);
/* Wipes and frees it; NULL is fine. */
void ctl_hub_wipe(char *secret);

/* Asks: `path` follows CTL_API (of a node: CTL_NODE_API) unless it begins with "/api/"; json (or
 * NULL) is the content. Appends the answer to ret. Negative with a sentence in why: -EACCES (401,
 * 403), -ENOENT (404), ERR_BUSY (503), what httpc_run has for one that does not answer, ERR_CONF
 * for all else. */
MUST_USE int ctl_hub_ask(struct ctl_hub *h, const char *method, const char *path,
			 const struct buf *json, struct buf *ret, struct buf *why);
/* The same for a GET whose answer is long: it is written to fd as it comes. */
MUST_USE int ctl_hub_copy(struct ctl_hub *h, const char *path, int fd, struct buf *why);
/* Asks a path of the server itself ("/readyz") within ten seconds and without the token, whatever
 * the status of the answer. Negative, as above, with a sentence in why. */
MUST_USE int ctl_hub_look(struct ctl_hub *h, const char *path, struct ctl_door *ret,
			  struct buf *why);
void ctl_door_fini(struct ctl_door *d);

#endif
