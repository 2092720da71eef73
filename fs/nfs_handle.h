/* SPDX-License-Identifier: Apache-2.0 */
/* File handles of NFS as bytes: what a place is, in few enough of them, and a signature over that,
 * so that nobody who was not given a handle has one. The same place has the same handle after a
 * restart, and on every node that has the same key. Layout: docs/nfs.md. Pure. */
#ifndef MATRIXFS_NFS_HANDLE_H
#define MATRIXFS_NFS_HANDLE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/digest.h"
#include "fs/nfs_proto.h"
#include "fs/place.h"

#define NFS_KEY 32         /* bytes */
#define NFS_TEXT_MAX 44    /* of a form, with room for it in a handle of any kind */
#define NFS_COMMIT 20      /* bytes */
#define NFS_COMMIT_SHORT 8 /* of one that its repository knows already */

#define NFS_BADHANDLE (-EBADF) /* the error for what is no handle, or none of this key */

struct nfs_fh {
	uint8_t len;
	uint8_t bytes[NFS_HANDLE_MAX];
};

/* What a handle says. Which of the fields a kind has: nfs_handle.c's table. */
struct nfs_form {
	enum place_kind kind;
	uint8_t type;  /* enum repo_type */
	bool shared;   /* of PLACE_SCRATCH */
	uint64_t repo; /* a number that stands for it */
	uint8_t commit[NFS_COMMIT];
	uint32_t node;                    /* of the commit's manifest */
	uint8_t digest_kind;              /* enum digest_kind */
	uint8_t digest[DIGEST_BYTES_MAX]; /* of PLACE_BLOB */
	uint64_t life, number;            /* of PLACE_SCRATCH: of which process, and which node */
	bool hashed;                      /* the text was too long: this is a digest of it */
	uint8_t text_len;
	char text[NFS_TEXT_MAX + 1];
};

/* Sets the text of a form whose kind is set, or a digest of it. */
MUST_USE int nfs_form_set_text(struct nfs_form *f, const char *text);
/* True if that text is the one of which the form has a digest. */
bool nfs_form_is_digest_of(const struct nfs_form *f, const char *text);
/* The handle of a form. -EIO if it cannot be signed. */
MUST_USE int nfs_handle_print(const uint8_t key[static NFS_KEY], const struct nfs_form *f,
			      struct nfs_fh *ret);
/* The form of a handle. NFS_BADHANDLE. */
MUST_USE int nfs_handle_parse(const uint8_t key[static NFS_KEY], const uint8_t *bytes, size_t len,
			      struct nfs_form *ret);

#endif
