/* SPDX-License-Identifier: Apache-2.0 */
/* Xorbs on their way in: what a client of a Xet store brings before it says which files are made of
 * it. The chunks of one lie unpacked in OWN/incoming/xorb-..., over several runs of the hub, until
 * they are in blobs, or nobody has named them for long. Only who brought them finds them there. One
 * whose chunks are in blobs is read from those (xorb_rows.h). No chunk is given to anybody that is
 * not what its hash says. Threads: any, but one at a time for each that comes; all wait for the
 * disk. */
#ifndef MATRIXFS_XORBS_H
#define MATRIXFS_XORBS_H

#include "admin/registry/intake.h"
#include "admin/registry/xorb_rows.h"

struct xorbs;
struct xorb_file;

#define XORBS_FILES_MAX 100000 /* that should wait for one payer */

/* Also counts what a former run left, and removes what it was at. -ENOMEM. */
MUST_USE int xorbs_new(struct intake *in, struct xorbs **ret);
/* None is coming any more. */
void xorbs_free(struct xorbs *x);

/* What comes. */
struct xorbs_want {
	struct xorb_owner owner;
	const char *payer; /* of its bytes while they wait */
	uint64_t most;     /* so many may wait of that payer; UINT64_MAX: any */
};
/* One begins to come, perhaps once more: what it has by its chunks is to be that name.
 * ERR_READ_ONLY. */
MUST_USE int xorbs_begin(struct xorbs *x, const struct xorbs_want *want,
			 const uint8_t xorb[static XET_HASH], struct xorb_file **ret);
/* Its next bytes, as they travel. -EBADMSG: they are no xorb's, as xorb_file_why() says;
 * ERR_READ_ONLY; ERR_QUOTA: more wait than may. */
MUST_USE int xorb_file_add(struct xorb_file *f, const void *data, size_t len);
/* All came: it can be opened. ERR_DIGEST: it has another name; -EBADMSG; ERR_READ_ONLY. */
MUST_USE int xorb_file_end(struct xorb_file *f);
const char *xorb_file_why(const struct xorb_file *f);
/* Frees it, and removes what did not come to its end. NULL is none. */
void xorb_file_drop(struct xorb_file *f);
/* What waits, or comes, of all that one pays for. */
void xorbs_waiting(struct xorbs *x, const char *payer, uint64_t *ret_bytes, uint64_t *ret_files);

/* One whose chunks can be read. */
struct xorb_view {
	struct xorb_map map;
	int fd;             /* where it waits, or -1: its chunks are in blobs */
	bool fresh;         /* it came while this process runs: what was found right then was */
	bool believed;      /* set by who proves in another way that its bytes are right */
	struct buf *doubts; /* borrowed, or NULL: etags of those that turned out not to have them,
			     * each with a NUL behind */
};

/* Closes it. */
void xorb_view_fini(struct xorb_view *v);
/* One that waits and was brought by that one. -ENOENT, also if it did not survive a crash: then it
 * is gone. */
MUST_USE int xorbs_open(struct xorbs *x, const struct xorb_owner *owner,
			const uint8_t xorb[static XET_HASH], struct xorb_view *ret);
/* It need not wait any more. */
void xorbs_remove(struct xorbs *x, const struct xorb_owner *owner,
		  const uint8_t xorb[static XET_HASH]);
/* Gives the bytes of its chunks [from, to), which there are, to fn, each compared with its hash
 * (of one that waits: unless it is believed).
 * -ENOENT: no blob has one of them any more; ERR_DIGEST: what lies there is something else, and
 * nowhere is it right; fn's, the disk's. */
typedef int (*xorb_bytes_fn)(void *arg, const void *data, size_t len);
MUST_USE int xorb_view_read(struct xorbs *x, const struct xorb_view *v, uint32_t from, uint32_t to,
			    xorb_bytes_fn fn, void *arg);

/* Removes the file of that name, unless it came since that second. */
void xorbs_remove_old(struct xorbs *x, const char *name, int64_t before_s);
/* The directory in which they wait (xorb_name.h); borrowed. */
int xorbs_stage(const struct xorbs *x);
/* True if one has come for the repository of that uid since. */
bool xorbs_coming(struct xorbs *x, const char *uid, int64_t since_s);

#endif
