/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/rpc.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define MARK 4
#define LAST_FRAGMENT UINT32_C(0x80000000)
#define RPC_VERSION 2
#define AUTH_BYTES_MAX 400
#define MACHINE_NAME_MAX 255
#define GROUPS_MAX 16

enum { CALL, REPLY };
enum { MSG_ACCEPTED, MSG_DENIED };
enum { RPC_MISMATCH, AUTH_ERROR };
enum { AUTH_BADCRED = 1, AUTH_BADVERF = 3, AUTH_TOOWEAK = 5 };

static uint32_t mark_at(const uint8_t *data)
{
	uint32_t v;

	memcpy(&v, data, sizeof(v));
	return be32toh(v);
}

/* Where the record ends; 0 if that has not come yet. */
static int find_end(const uint8_t *data, size_t len, size_t max, size_t *ret_end)
{
	size_t at = 0, whole = 0;

	for (unsigned n = 0; len - at >= MARK; n++) {
		uint32_t mark = mark_at(data + at);
		size_t size = mark & ~LAST_FRAGMENT;

		whole += size;
		if (whole > max || n == RPC_FRAGMENTS_MAX)
			return -EPROTO;
		if (len - at - MARK < size)
			return 0;
		at += MARK + size;
		if (mark & LAST_FRAGMENT) {
			*ret_end = at;
			return 1;
		}
	}
	return 0;
}

int rpc_record(uint8_t *data, size_t len, size_t max, uint8_t **ret, size_t *ret_len,
	       size_t *ret_used)
{
	size_t end, to = MARK;
	int r = find_end(data, len, max, &end);

	if (r != 1)
		return r;
	for (size_t at = 0; at < end;) {
		size_t size = mark_at(data + at) & ~LAST_FRAGMENT;

		/* The next mark is overwritten only when it has been read. */
		at += MARK;
		memmove(data + to, data + at, size);
		to += size;
		at += size;
	}
	*ret = data + MARK;
	*ret_len = to - MARK;
	*ret_used = end;
	return 1;
}

/* ---- replies ---- */

static void begin(struct buf *reply, uint32_t xid, uint32_t stat)
{
	xdr_put_u32(reply, 0); /* the mark: rpc_seal */
	xdr_put_u32(reply, xid);
	xdr_put_u32(reply, REPLY);
	xdr_put_u32(reply, stat);
}

void rpc_reply(struct buf *reply, uint32_t xid, enum rpc_status status)
{
	begin(reply, xid, MSG_ACCEPTED);
	xdr_put_u32(reply, RPC_AUTH_NONE); /* the verifier, */
	xdr_put_u32(reply, 0);             /* which is empty */
	xdr_put_u32(reply, status);
}

void rpc_reply_versions(struct buf *reply, uint32_t xid, uint32_t low, uint32_t high)
{
	rpc_reply(reply, xid, RPC_PROG_MISMATCH);
	xdr_put_u32(reply, low);
	xdr_put_u32(reply, high);
}

static int deny_version(struct buf *reply, uint32_t xid)
{
	begin(reply, xid, MSG_DENIED);
	xdr_put_u32(reply, RPC_MISMATCH);
	xdr_put_u32(reply, RPC_VERSION);
	xdr_put_u32(reply, RPC_VERSION);
	return 1;
}

static int deny_auth(struct buf *reply, uint32_t xid, uint32_t why)
{
	begin(reply, xid, MSG_DENIED);
	xdr_put_u32(reply, AUTH_ERROR);
	xdr_put_u32(reply, why);
	return 1;
}

void rpc_seal(struct buf *reply, size_t more)
{
	uint32_t mark = htobe32(LAST_FRAGMENT | (uint32_t)(reply->len - MARK + more));

	if (reply->len >= MARK)
		memcpy(reply->data, &mark, sizeof(mark));
}

/* ---- calls ---- */

/* What AUTH_SYS says; false if that is not what it should be. */
static bool parse_sys(struct xdr_in cred, struct rpc_call *ret)
{
	size_t len;
	uint32_t groups;

	xdr_u32(&cred); /* stamp */
	xdr_opaque(&cred, MACHINE_NAME_MAX, &len);
	ret->uid = xdr_u32(&cred);
	ret->gid = xdr_u32(&cred);
	groups = xdr_u32(&cred);
	if (groups > GROUPS_MAX)
		return false;
	xdr_fixed(&cred, groups * sizeof(uint32_t));
	return !cred.bad;
}

/* 0, or what is wrong with the credentials. */
static uint32_t check_auth(struct xdr_in *in, struct rpc_call *ret)
{
	uint32_t flavor = xdr_u32(in);
	size_t len;
	const uint8_t *cred = xdr_opaque(in, AUTH_BYTES_MAX, &len);

	if (!cred)
		return AUTH_BADCRED;
	ret->uid = ret->gid = RPC_NOBODY;
	if (flavor == RPC_AUTH_SYS && !parse_sys((struct xdr_in){ .at = cred, .left = len }, ret))
		return AUTH_BADCRED;
	if (flavor != RPC_AUTH_SYS && flavor != RPC_AUTH_NONE)
		return AUTH_TOOWEAK;
	xdr_u32(in); /* of a verifier nothing is asked, with these */
	return xdr_opaque(in, AUTH_BYTES_MAX, &len) ? 0 : AUTH_BADVERF;
}

int rpc_parse(const uint8_t *record, size_t len, struct rpc_call *ret, struct buf *reply)
{
	struct xdr_in in = { .at = record, .left = len };
	uint32_t version, why;

	*ret = (struct rpc_call){ .xid = xdr_u32(&in) };
	if (xdr_u32(&in) != CALL || in.bad)
		return -EPROTO;
	version = xdr_u32(&in);
	ret->prog = xdr_u32(&in);
	ret->vers = xdr_u32(&in);
	ret->proc = xdr_u32(&in);
	if (in.bad)
		return -EPROTO;
	if (version != RPC_VERSION)
		return deny_version(reply, ret->xid);
	why = check_auth(&in, ret);
	if (why)
		return deny_auth(reply, ret->xid, why);
	ret->args = in;
	return 0;
}
