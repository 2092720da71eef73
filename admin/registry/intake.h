/* SPDX-License-Identifier: Apache-2.0 */
/* What people upload: bytes on their way in, and the blobs they become, OWN/blobs/<aa>/<etag>. A
 * file is staged first, below OWN/incoming; once all its bytes are there and its id is right, it is
 * made durable and gets its name, and is never changed from then on. What was not kept is gone
 * after a kill or a restart. Blobs stay: only a collector that knows what is needed may take them
 * (aside.h), and not one that intake_has or intake_keep spoke of lately. Layout: docs/formats.md.
 * Threads: any, but one at a time for each file; all wait for the disk. */
#ifndef MATRIXFS_INTAKE_H
#define MATRIXFS_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"

struct intake;
struct intake_file;

#define INTAKE_ANY_SIZE UINT64_MAX
#define INTAKE_SPARE_BYTES (UINT64_C(16) << 20) /* of the disk: for what is written of blobs */

/* Opens, or makes, the directory for this process alone, and removes what was staged. ERR_LOCKED;
 * a sentence in why. */
MUST_USE int intake_open(const char *dir, struct intake **ret, struct buf *why);
/* All files have been dropped. */
void intake_close(struct intake *in);

/* True if the blob is there, whole and durable, and of this size (or INTAKE_ANY_SIZE): then it
 * stays for the collector's grace (matrixhubd's --collect-grace), until when a commit has to name
 * it. */
bool intake_has(struct intake *in, const char *etag, uint64_t size);
/* True if it is there; nothing is promised, nor noted. */
bool intake_is_there(struct intake *in, const char *etag);
/* A descriptor of a blob, for reading, the caller's to close; *ret_size. -ENOENT. */
MUST_USE int intake_open_blob(struct intake *in, const char *etag, uint64_t *ret_size);

/* What comes. */
struct intake_want {
	enum digest_kind kind;
	uint64_t size;    /* INTAKE_ANY_SIZE: as many bytes as come */
	const char *etag; /* hex digits, or NULL: whatever its id is */
};
/* Begins a file. ERR_READ_ONLY without room for it, -ENOMEM, ... */
MUST_USE int intake_begin(struct intake *in, const struct intake_want *want,
			  struct intake_file **ret);
/* Its next bytes; they are digested as they come. ERR_SIZE: too many; the disk's errors. */
MUST_USE int intake_add(struct intake_file *f, const void *data, size_t len);
/* All have come: ERR_SIZE (too few), ERR_DIGEST (its id is another). */
MUST_USE int intake_end(struct intake_file *f);
/* Of a file that has ended: borrowed until it is dropped. */
const char *intake_etag(const struct intake_file *f);
uint64_t intake_size(const struct intake_file *f);
/* Appends its first bytes, as many as there are. */
MUST_USE int intake_start(const struct intake_file *f, size_t most, struct buf *ret);
/* Makes files that have ended durable blobs, all at once: cheaper than one by one. If it fails,
 * some of them may be, which does no harm. */
MUST_USE int intake_keep(struct intake *in, struct intake_file *const *files, size_t count);
/* Frees it, and removes what was not kept. NULL is none. */
void intake_drop(struct intake_file *f);
void intake_dropp(struct intake_file **f);

/* For who stages files in its own way: the directory, borrowed; 0, or ERR_READ_ONLY without room
 * for so many bytes; and a file of that name there, with all its bytes, taken over: it is to be
 * ended next. Names that begin with a digit are taken. */
int intake_staging(const struct intake *in);
/* True if what lies there under that name was touched since then (wall clock, s). */
bool intake_staged_since(const struct intake *in, const char *name, int64_t since_s);
/* The same of anything whose name begins so and has that in it. */
bool intake_stages(const struct intake *in, const char *prefix, const char *part, int64_t since_s);
/* The directory of all, borrowed: for who looks after what is kept. */
int intake_root(const struct intake *in);
MUST_USE int intake_has_room(struct intake *in, uint64_t bytes);
/* Takes blocks for bytes that are going to come, so that files that come at once do not all count
 * on the same room. ERR_READ_ONLY, -ENOSPC: the file is to be dropped. */
MUST_USE int intake_allocate(struct intake *in, int fd, uint64_t off, uint64_t len);
/* The same for who does not know yet which files they will be: so much less room is there for
 * others until it is redeemed, as the bytes come, or will not. ERR_READ_ONLY. */
MUST_USE int intake_promise(struct intake *in, uint64_t bytes);
void intake_redeem(struct intake *in, uint64_t bytes);
MUST_USE int intake_adopt(struct intake *in, const struct intake_want *want, const char *name,
			  struct intake_file **ret);

/* All of that for bytes of a regular file that are in memory; its git id in ret. */
MUST_USE int intake_put(struct intake *in, const void *data, size_t len,
			char ret[static DIGEST_HEX_MAX + 1]);

#endif
