/* SPDX-License-Identifier: Apache-2.0 */
/* ONC RPC version 2 over TCP (RFC 5531): records on a stream, the head of a call, the heads of
 * replies. Pure. */
#ifndef MATRIXFS_RPC_H
#define MATRIXFS_RPC_H

#include "fs/xdr.h"

#define RPC_FRAGMENTS_MAX 64 /* of one record */

/* Finds the first record in what has come. Its fragments are moved together in place; once it has
 * done so the bytes are to be consumed. 1: it is *ret, and *ret_used bytes of data are its; 0: more
 * must come; -EPROTO: it will be longer than max bytes, or in too many pieces. */
MUST_USE int rpc_record(uint8_t *data, size_t len, size_t max, uint8_t **ret, size_t *ret_len,
			size_t *ret_used);

struct rpc_call {
	uint32_t xid, prog, vers, proc;
	uint32_t uid, gid; /* who says to be asking; nobody without AUTH_SYS */
	struct xdr_in args;
};

#define RPC_NOBODY 65534

/* By what a caller may say who he is. */
enum rpc_auth { RPC_AUTH_NONE, RPC_AUTH_SYS };

/* Why a call is accepted, and yet not done. */
enum rpc_status {
	RPC_SUCCESS,
	RPC_PROG_UNAVAIL,
	RPC_PROG_MISMATCH,
	RPC_PROC_UNAVAIL,
	RPC_GARBAGE_ARGS,
	RPC_SYSTEM_ERR,
};

/* Takes the head off a record; args are borrowed from it. 0; 1: the call is refused, and *reply is
 * the whole answer; -EPROTO: it is no call, so that nothing on this stream can be trusted. */
MUST_USE int rpc_parse(const uint8_t *record, size_t len, struct rpc_call *ret, struct buf *reply);
/* Begins a reply: what the procedure answers follows RPC_SUCCESS. PROG_MISMATCH is told which
 * versions there are by the other one. */
void rpc_reply(struct buf *reply, uint32_t xid, enum rpc_status status);
void rpc_reply_versions(struct buf *reply, uint32_t xid, uint32_t low, uint32_t high);
/* Writes the mark of a reply's only fragment, to which `more` bytes are added by the sender. */
void rpc_seal(struct buf *reply, size_t more);

#endif
