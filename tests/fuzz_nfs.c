/* SPDX-License-Identifier: Apache-2.0 */
/* Input: what a client of NFS sends. Records, calls and file handles are taken apart within their
 * bounds; a call that is refused is told why, and a handle that is good is printed again. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "fs/nfs_handle.h"
#include "fs/rpc.h"

#define RECORD_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t key[NFS_KEY] = "not much of a key, as keys go 32";

/* Any bytes, signed as a handle would be: what stands behind the signature must not be trusted. */
static void check_handle(const uint8_t *bytes, size_t len)
{
	struct nfs_form f, again;
	struct nfs_fh h;
	uint8_t mac[32], own[NFS_HANDLE_MAX];
	size_t own_len = len < NFS_HANDLE_MAX - 16 ? len : NFS_HANDLE_MAX - 16;

	assert(nfs_handle_parse(key, bytes, len, &f) == NFS_BADHANDLE);
	memcpy(own, bytes, own_len);
	assert(digest_hmac(key, NFS_KEY, own, own_len, mac) == 0);
	memcpy(own + own_len, mac, 16);
	if (nfs_handle_parse(key, own, own_len + 16, &f) < 0)
		return;
	assert(nfs_handle_print(key, &f, &h) == 0);
	assert(nfs_handle_parse(key, h.bytes, h.len, &again) == 0);
	assert(again.kind == f.kind && again.text_len == f.text_len && again.repo == f.repo);
}

static void check_args(struct xdr_in in)
{
	size_t left = in.left, len;
	const uint8_t *bytes = xdr_opaque(&in, NFS_HANDLE_MAX, &len);

	assert(in.left <= left && (bytes != NULL) == !in.bad);
	if (bytes)
		check_handle(bytes, len);
	bytes = xdr_opaque(&in, RECORD_MAX, &len);
	assert(!bytes || len <= RECORD_MAX);
	for (size_t i = 0; bytes && i < len; i++)
		assert(bytes[i] == bytes[i]); /* all of it can be read */
	xdr_u64(&in);
	xdr_bool(&in);
	assert(in.left <= left);
}

static void check_call(const uint8_t *record, size_t len)
{
	CLEANUP(buf_free) struct buf reply = { 0 };
	struct rpc_call call;
	int r = rpc_parse(record, len, &call, &reply);

	assert(r == 0 || r == 1 || r == -EPROTO);
	assert((r == 1) == (reply.len > 0));
	if (r != 0)
		return;
	assert(call.args.left <= len && !call.args.bad);
	check_args(call.args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *stream = malloc(len + 1);
	size_t at = 0, record_len, used;
	uint8_t *record;

	assert(stream);
	memcpy(stream, data, len);
	while (rpc_record(stream + at, len - at, RECORD_MAX, &record, &record_len, &used) == 1) {
		assert(used <= len - at && record_len <= RECORD_MAX && record_len <= used);
		assert(record >= stream + at && record + record_len <= stream + at + used);
		check_call(record, record_len);
		at += used;
	}
	free(stream);
	return 0;
}
