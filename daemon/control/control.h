/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: HTTP with JSON on CACHE/control, for this user alone, and on a TCP address
 * for monitoring if asked, where nothing can be changed. Endpoints, fields and examples:
 * docs/control.md. No answer ever holds a token. Threads: any. */
#ifndef MATRIXFS_CONTROL_H
#define MATRIXFS_CONTROL_H

#include <sys/types.h>

#include "daemon/base/conf.h"
#include "daemon/keeper.h"
#include "daemon/node.h"
#include "daemon/warmup.h"

#define CONTROL_SOCKET "control" /* in the cache directory */
#define CONTROL_READERS_MAX 64

struct control;

/* What a path is. Texts are borrowed until `found` returns. */
struct control_file {
	const char *kind;           /* "file", "link", "directory", ... */
	const struct repo_id *repo; /* or NULL */
	const char *commit;         /* "" if it belongs to none */
	const char *path;           /* in the repository */
	const char *etag;           /* "" if it is no file of a hub */
	uint64_t size;
	unsigned opens, passthrough_opens; /* the kernel's, now */
	uint64_t reads_hit,
		reads_waited; /* answered at once / parked first, since it was first seen */
	pid_t readers[CONTROL_READERS_MAX]; /* who opened it, as far as there is room */
	unsigned reader_count;
};

/* What the face keeps in memory. */
struct control_counts {
	uint64_t inodes;                       /* names the kernel knows */
	uint64_t scratch_bytes, scratch_nodes; /* metadata that clients wrote */
};

/* All that came by NFS from one address. Texts are borrowed until the function returns that is
 * called with it; `mounts` are paths, one behind the other, each with its NUL, and an empty one. */
struct control_nfs_client {
	const char *address, *mounts;
	unsigned connections;
	uint64_t requests, denied;
	uint64_t bytes;           /* of files */
	int64_t since_s, heard_s; /* wall clock */
};
/* Who goes on with the mount when this process ends. */
struct control_held {
	const char *by;     /* "systemd", "holder" or "nobody" */
	pid_t holder_pid;   /* or 0 */
	unsigned takeovers; /* how many processes had the mount before */
};
typedef int (*control_nfs_fn)(void *ctx, const struct control_nfs_client *c);

/* What only the face that mounts knows. Functions are called from any thread, no lock held. */
struct control_face {
	const char *mountpoint; /* NULL: there is none */
	/* NULL if verified files are read by the kernel itself, else why they are not. */
	const char *(*passthrough_why_not)(void *arg);
	/* The FUSE library's version, and the kernel's protocol once it is known; NULL: no FUSE. */
	const char *(*fuse)(void *arg, unsigned *ret_major, unsigned *ret_minor);
	/* Requests of the kernel under way, and the age of the oldest. */
	unsigned (*under_way)(void *arg, int64_t *ret_oldest_ms);
	void (*count)(void *arg, struct control_counts *ret);
	/* Looks up a path below the mount point; calls found once, from any thread. */
	void (*find)(void *arg, const char *path,
		     void (*found)(void *ctx, int r, const struct control_file *f), void *ctx);
	/* Calls fn for each that is remembered, until it returns non-zero, and returns that; NULL:
	 * nothing is exported. -ENOMEM. */
	int (*each_nfs_client)(void *nfs, control_nfs_fn fn, void *ctx);
	void *nfs;
	/* NULL: nobody does. */
	void (*held)(void *holding, struct control_held *ret);
	void *holding;
	void *arg; /* of the other functions */
};

struct control_conf {
	struct node *node; /* borrowed until control_stop, like the next */
	struct keeper *keeper;
	struct warmups *warmups;
	const struct control_face *face;
	/* The parameters and their values, borrowed until control_stop; NULL: not told. */
	const struct conf_table *parameters;
	const void *values;
	const char *cache_dir;
	const char *listen; /* ADDRESS:PORT, or NULL */
	int64_t timeout_ms;
	bool offline, strict; /* as node_conf's */
};

/* Opens the socket (and the address) and answers. Sentences in why. */
MUST_USE int control_start(const struct control_conf *conf, struct control **ret, struct buf *why);
/* Lets answers go out for a moment, ends streams, takes the socket away. After node_stop, so that
 * nobody waits any more. False if somebody works on a request still: then what was borrowed stays
 * so until the process ends. NULL is fine. */
MUST_USE bool control_stop(struct control *c);

#endif
