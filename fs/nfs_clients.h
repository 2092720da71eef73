/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes by NFS, by address: what each may see, has mounted and was given. It remembers so many,
 * also when they are gone; those that were heard longest ago are forgotten first. Threads: any. */
#ifndef MATRIXFS_NFS_CLIENTS_H
#define MATRIXFS_NFS_CLIENTS_H

#include "daemon/base/log.h"
#include "daemon/base/network.h"
#include "daemon/control/control.h"
#include "daemon/metrics.h"
#include "fs/view.h"

struct nfs_clients;
struct nfs_mounted;

/* All that come from one address. */
struct nfs_client {
	struct nfs_client *next; /* the table's, like the next two */
	unsigned connections;
	struct nfs_mounted *mounts; /* the latest first */
	atomic_uint refs;
	uint64_t number; /* no other client's, ever; not 0. It stays, like the next four */
	struct scope *scope;
	int64_t since_s;
	char address[NETWORK_ADDRESS_MAX];
	struct view view; /* the tree as it sees it */
	/* Anybody's. */
	struct log_flood denials, arrivals; /* of lines in the log */
	metric requests;
	metric bytes;   /* of files */
	metric denied;  /* calls about what it may not see */
	metric heard_s; /* the time of its last call */
	/* nfs_trail.h's: what it read and no line has told. */
	struct nfs_client *next_untold;
	uint64_t untold_files, untold_bytes;
};

/* The rules and the metrics are borrowed, as is what the view borrows. -ENOMEM. */
MUST_USE int nfs_clients_new(const struct scope_rules *rules, const struct view *v,
			     struct metrics *m, struct nfs_clients **ret);
/* All have been given back. NULL is fine. */
void nfs_clients_free(struct nfs_clients *t);

/* A connection was made from this address: its client, with a reference. -ENOMEM; -EMFILE: it has
 * as many as one address may have. */
MUST_USE int nfs_clients_came(struct nfs_clients *t, const char *address, struct nfs_client **ret);
/* It is gone: the reference is given back. */
void nfs_clients_went(struct nfs_clients *t, struct nfs_client *c);
/* One more reference, for who has one / one less. */
struct nfs_client *nfs_client_ref(struct nfs_client *c);
void nfs_client_unref(struct nfs_client *c);

/* Notes that a client has mounted a path / has not any more, with no path: anything. Of one client
 * the latest are noted; when all have too many, or memory is short, it is not: nothing hangs on
 * it. */
void nfs_clients_mounted(struct nfs_clients *t, struct nfs_client *c, const char *path);
void nfs_clients_unmounted(struct nfs_clients *t, struct nfs_client *c, const char *path);

/* Calls fn for each client that is remembered, no lock held, until it returns non-zero, and returns
 * that. -ENOMEM. */
int nfs_clients_each(struct nfs_clients *t, control_nfs_fn fn, void *arg);

#endif
