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

#define NFS_WAITS 1  /* a procedure may park */
#define NFS_ENDS 2   /* it looks itself at how its wait ended */
#define NFS_BRINGS 4 /* it is given data, not only names */

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
	struct waiter bytes;
	struct underway_item underway;
	struct handle *file; /* that is read; owned, or NULL */
	uint64_t off;        /* of reply.data, in the file */
	bool resuming;       /* what the reply has let go is being had again */
	struct nfs_fh fh;    /* what its arguments begin with, if that can be one */
	uint8_t *args;       /* owned; NULL once the answer is on its way */
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

/* ---- for procedures ---- */

/* The user reads are checked as: nobody, since NFS callers prove nothing. */
struct permit_who nfs_reader(void);
/* Reads a handle from the arguments, and finds its place, owned. As nfs_objects_find; -EBADMSG;
 * -ESTALE also for what the client may not see: so RFC 1813 calls a handle to which "access has
 * been revoked", and not all procedures have a word for EACCES. */
MUST_USE int nfs_take_place(struct nfs_call *c, struct place *ret);
/* Counts and logs that the client asked for something that it may not see: a name in there, or with
 * no name the place itself. */
void nfs_denied(struct nfs_call *c, const struct place *p, const char *name);
/* Appends the handle of a place that is about to be used: it is found at once then. */
MUST_USE int nfs_put_handle(struct nfs_call *c, const struct place *p);
/* Reads a name. -EBADMSG, -ENAMETOOLONG, -EINVAL (bytes that no name has). */
MUST_USE int nfs_take_name(struct nfs_call *c, char ret[static NFS_NAME_MAX + 1]);
/* The same of a path, which may be empty. */
MUST_USE int nfs_take_path(struct nfs_call *c, char ret[static NFS_PATH_MAX + 1]);

#endif
