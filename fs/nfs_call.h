/* SPDX-License-Identifier: Apache-2.0 */
/* One request of an NFS client on its way, as op.h is for one of the kernel: its procedure is run
 * with the arguments that came, and either writes the answer, fails, or leaves its waiter parked;
 * then it is run again, from the start, when woken. */
#ifndef MATRIXFS_NFS_CALL_H
#define MATRIXFS_NFS_CALL_H

#include <errno.h>

#include "fs/nfs_clients.h"
#include "fs/nfs_cookie.h"
#include "fs/nfs_objects.h"
#include "fs/nfs_trail.h"
#include "fs/permit.h"
#include "fs/rpc.h"
#include "fs/rpcd.h"
#include "fs/underway.h"

/* Answers of NFS that errno has no word for, as errors that are not needed for anything else; one
 * more is NFS_BADHANDLE (nfs_handle.h). */
#define NFS_NOT_SYNC (-EDEADLK)
#define NFS_BAD_COOKIE (-EBADE)
#define NFS_TOOSMALL (-EOVERFLOW)

struct nfs_call;
struct nfs_kept;
struct walk;

#define NFS_WAITS 1  /* a procedure may park */
#define NFS_ENDS 2   /* it looks itself at how its wait ended */
#define NFS_BRINGS 4 /* it is given data, not only names */
#define NFS_NAMES 8  /* it is given names: one may be missing; else the handle's own file is */

struct nfs_proc {
	const char *name; /* NULL: there is none of this number */
	/* 0: the answer is written, its status first; PARKED; or negative, which becomes the
	 * status, with fail_words zeros behind it: whatever else such an answer would tell is left
	 * out. -EBADMSG: the arguments make no sense. Once it has parked the call may be gone: it
	 * is not touched any more. */
	int (*run)(struct nfs_call *c);
	unsigned fail_words;
	unsigned flags; /* NFS_WAITS ... */
};

struct nfs_program {
	uint32_t number, version;
	const struct nfs_proc *procs; /* NULL behind the last program */
	uint32_t count;
};

/* What all calls share. */
struct nfs_world {
	const struct nfs_program *programs;
	const struct view *view; /* all of it; what a client sees: nfs_client's */
	struct nfs_objects *objects;
	struct nfs_clients *clients;
	struct nfs_trail *trail;
	struct nfs_kept *kept;
	struct underway *underway;
	struct metrics *metrics;
	int64_t timeout_ms;
	uint64_t life; /* tells this process from the one before it */
	struct nfs_cookie_key cookies;
	char *const *allow; /* networks, and what is for which: for who asks what is exported */
	size_t allow_count;
	const struct scope_rules *rules;
};

/* What a READ has, beside its reply's data. */
struct nfs_reading {
	struct waiter waiter; /* for bytes */
	struct handle *file;  /* owned, or NULL */
	uint64_t off;         /* of reply.data, in the file */
	bool resuming;        /* what the reply has let go is being had again, and waited for */
};

struct nfs_call {
	struct rpcd_reply reply; /* head: what is written */
	struct rpcd_conn *conn;
	struct nfs_world *world; /* borrowed, like the next, which is the connection's */
	struct nfs_client *client;
	const struct nfs_proc *proc;
	struct rpc_call rpc;
	struct xdr_in in;     /* the arguments; from their start at each run */
	size_t head_bytes;    /* of the answer, before what the procedure writes */
	int ended;            /* its wait ended with this error; 0: it did not */
	bool placing;         /* it waits for a handle's place */
	bool waited;          /* it was parked */
	struct waiter waiter; /* for names */
	struct underway_item underway;
	struct nfs_reading read;
	struct walk *walk; /* of MNT; owned, or NULL */
	struct nfs_fh fh;  /* what its arguments begin with, if that can be one */
	uint8_t *args;     /* owned; NULL once the answer is on its way */
};

/* A call has come; as rpcd_conf's `call`. */
void nfs_call_start(struct nfs_world *w, struct rpcd_conn *conn, const uint8_t *record, size_t len);
/* A connection is at its end: what its calls wait for is not waited for any more; as rpcd_conf's
 * `gone`. */
void nfs_calls_end(struct nfs_world *w, const struct rpcd_conn *conn);
/* Answers it, from whatever it was waiting for. Gone when this returns. */
void nfs_call_finish(struct nfs_call *c, int r);
/* Its answer says that it has failed, whatever was written before. */
void nfs_call_fail(struct nfs_call *c, int r);
/* An answered READ begins to wait for what its reply has let go / does not any more: in between it
 * is under way again, and nfs_call_resume() may be called by whoever ends its connection. */
void nfs_call_watch(struct nfs_call *c);
void nfs_call_unwatch(struct nfs_call *c);
/* The wait of a reply that is being resumed has ended so: it goes on, or to its end. */
void nfs_call_resume(struct nfs_call *c, int r);

#endif
