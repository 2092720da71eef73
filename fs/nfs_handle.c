/* SPDX-License-Identifier: Apache-2.0 */
/* A handle: version, kind, the fields of the kind in the order of enum field, signature. */
#include "fs/nfs_handle.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define VERSION 1
#define SIGNATURE 16
#define HEAD 2
#define HASHED 0x80 /* in the kind's byte */
#define TEXT_DIGEST 20

enum field {
	F_TYPE = 1,
	F_SHARED = 2,
	F_REPO = 4,
	F_COMMIT = 8,
	F_COMMIT_SHORT = 16,
	F_NODE = 32,
	F_DIGEST = 64,
	F_LIFE = 128,
	F_TEXT = 256,
};

static const uint16_t fields_of[] = {
	[PLACE_ROOT] = 0,
	[PLACE_HUB] = 0,
	[PLACE_LOCKS] = F_TEXT,
	[PLACE_REPO] = F_REPO,
	[PLACE_ALIAS] = F_TEXT,
	[PLACE_BLOBS] = F_REPO,
	[PLACE_SNAPSHOTS] = F_REPO,
	[PLACE_REFS] = F_REPO | F_TEXT,
	[PLACE_REF] = F_REPO | F_TEXT,
	[PLACE_LINK_DIR] = F_REPO | F_COMMIT | F_NODE,
	[PLACE_LINK] = F_REPO | F_COMMIT | F_NODE,
	[PLACE_BLOB] = F_REPO | F_DIGEST,
	[PLACE_NO_EXIST] = F_REPO,
	[PLACE_ABSENT_DIR] = F_REPO | F_COMMIT_SHORT | F_TEXT,
	[PLACE_ABSENT_FILE] = F_REPO | F_COMMIT_SHORT | F_TEXT,
	[PLACE_TREES] = F_REPO,
	[PLACE_TREE_JSON] = F_REPO | F_COMMIT,
	[PLACE_FILES] = 0,
	[PLACE_TYPE] = F_TYPE,
	[PLACE_ORG] = F_TYPE | F_TEXT,
	[PLACE_PLAIN_DIR] = F_REPO | F_COMMIT | F_NODE,
	[PLACE_SCRATCH] = F_SHARED | F_LIFE,
};

/* Room for the text of a kind: what its other fields leave. */
static size_t text_room(uint16_t fields)
{
	size_t room = NFS_HANDLE_MAX - HEAD - SIGNATURE;

	room -= fields & F_TYPE ? 1 : 0;
	room -= fields & F_REPO ? sizeof(uint64_t) : 0;
	room -= fields & F_COMMIT_SHORT ? NFS_COMMIT_SHORT : 0;
	return room < NFS_TEXT_MAX ? room : NFS_TEXT_MAX;
}

int nfs_form_set_text(struct nfs_form *f, const char *text)
{
	size_t len = strlen(text);

	f->hashed = len > text_room(fields_of[f->kind]);
	f->text_len = f->hashed ? TEXT_DIGEST : (uint8_t)len;
	if (f->hashed)
		return digest_of(DIGEST_GIT_SHA1, text, len, (uint8_t *)f->text);
	memcpy(f->text, text, len);
	return 0;
}

/* ---- to bytes ---- */

static void put(struct nfs_fh *h, const void *data, size_t len)
{
	assert(h->len + len <= sizeof(h->bytes));
	memcpy(h->bytes + h->len, data, len);
	h->len = (uint8_t)(h->len + len);
}

static void put_u64(struct nfs_fh *h, uint64_t v)
{
	v = htole64(v);
	put(h, &v, sizeof(v));
}

static void put_fields(struct nfs_fh *h, const struct nfs_form *f, uint16_t fields)
{
	uint32_t node = htole32(f->node);
	uint8_t shared = f->shared;

	if (fields & F_TYPE)
		put(h, &f->type, 1);
	if (fields & F_SHARED)
		put(h, &shared, 1);
	if (fields & F_REPO)
		put_u64(h, f->repo);
	if (fields & (F_COMMIT | F_COMMIT_SHORT))
		put(h, f->commit, fields & F_COMMIT ? NFS_COMMIT : NFS_COMMIT_SHORT);
	if (fields & F_NODE)
		put(h, &node, sizeof(node));
	if (fields & F_DIGEST) {
		put(h, &f->digest_kind, 1);
		put(h, f->digest, digest_size((enum digest_kind)f->digest_kind));
	}
	if (fields & F_LIFE) {
		put_u64(h, f->life);
		put_u64(h, f->number);
	}
	if (fields & F_TEXT)
		put(h, f->text, f->text_len);
}

static int sign(const uint8_t *key, const uint8_t *bytes, size_t len, uint8_t ret[static SIGNATURE])
{
	uint8_t mac[32];
	int r = digest_hmac(key, NFS_KEY, bytes, len, mac);

	memcpy(ret, mac, SIGNATURE);
	return r;
}

int nfs_handle_print(const uint8_t key[static NFS_KEY], const struct nfs_form *f,
		     struct nfs_fh *ret)
{
	const uint8_t head[HEAD] = { VERSION,
				     (uint8_t)((unsigned)f->kind | (f->hashed ? HASHED : 0)) };
	uint8_t mac[SIGNATURE];
	int r;

	ret->len = 0;
	put(ret, head, HEAD);
	put_fields(ret, f, fields_of[f->kind]);
	r = sign(key, ret->bytes, ret->len, mac);
	put(ret, mac, SIGNATURE);
	return r;
}

/* ---- from bytes ---- */

struct reading {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static void get(struct reading *in, void *ret, size_t len)
{
	if (len > in->left) {
		in->bad = true;
		return;
	}
	memcpy(ret, in->at, len);
	in->at += len;
	in->left -= len;
}

static uint64_t get_u64(struct reading *in)
{
	uint64_t v = 0;

	get(in, &v, sizeof(v));
	return le64toh(v);
}

static void get_digest(struct reading *in, struct nfs_form *f)
{
	get(in, &f->digest_kind, 1);
	if (f->digest_kind != DIGEST_GIT_SHA1 && f->digest_kind != DIGEST_SHA256)
		in->bad = true;
	else
		get(in, f->digest, digest_size((enum digest_kind)f->digest_kind));
}

static void get_fields(struct reading *in, struct nfs_form *f, uint16_t fields)
{
	uint8_t shared = 0;

	if (fields & F_TYPE)
		get(in, &f->type, 1);
	if (fields & F_SHARED)
		get(in, &shared, 1);
	f->shared = shared;
	if (fields & F_REPO)
		f->repo = get_u64(in);
	if (fields & (F_COMMIT | F_COMMIT_SHORT))
		get(in, f->commit, fields & F_COMMIT ? NFS_COMMIT : NFS_COMMIT_SHORT);
	if (fields & F_NODE)
		get(in, &f->node, sizeof(f->node));
	f->node = le32toh(f->node);
	if (fields & F_DIGEST)
		get_digest(in, f);
	if (fields & F_LIFE) {
		f->life = get_u64(in);
		f->number = get_u64(in);
	}
	if (fields & F_TEXT && in->left <= NFS_TEXT_MAX) {
		f->text_len = (uint8_t)in->left;
		get(in, f->text, in->left);
	}
}

int nfs_handle_parse(const uint8_t key[static NFS_KEY], const uint8_t *bytes, size_t len,
		     struct nfs_form *ret)
{
	struct reading in;
	uint8_t mac[SIGNATURE], head[HEAD];

	*ret = (struct nfs_form){ 0 };
	if (len < HEAD + SIGNATURE || len > NFS_HANDLE_MAX || bytes[0] != VERSION)
		return NFS_BADHANDLE;
	if (sign(key, bytes, len - SIGNATURE, mac) < 0 ||
	    !digest_same(mac, bytes + len - SIGNATURE, SIGNATURE))
		return NFS_BADHANDLE;
	in = (struct reading){ .at = bytes, .left = len - SIGNATURE };
	get(&in, head, HEAD);
	ret->hashed = head[1] & HASHED;
	ret->kind = (enum place_kind)(head[1] & ~HASHED);
	if (ret->kind >= ARRAY_LEN(fields_of))
		return NFS_BADHANDLE;
	get_fields(&in, ret, fields_of[ret->kind]);
	return in.bad || in.left || ret->type >= REPO_TYPE_COUNT ||
			       (ret->hashed && ret->text_len != TEXT_DIGEST)
		       ? NFS_BADHANDLE
		       : 0;
}
