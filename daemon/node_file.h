/* SPDX-License-Identifier: Apache-2.0 */
/* The face of the core as far as it is about bytes: files that are open. Waiters and threads: as
 * node.h says. */
#ifndef MATRIXFS_NODE_FILE_H
#define MATRIXFS_NODE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/own.h"
#include "daemon/base/wait.h"

struct node;
struct snapshot;
struct handle;

/* Opens a file of a snapshot (a node of its manifest) for reading; no network. */
MUST_USE int node_open_file(struct node *n, struct snapshot *s, uint32_t file, struct handle **ret);
/* Tells the handle of another place where the same blob lies: it is fetched there if it cannot be
 * had at the first. */
MUST_USE int node_also_file(struct node *n, struct handle *h, struct snapshot *s, uint32_t file);
void node_close_file(struct node *n, struct handle *h);
/* The same handle once more: it stays until each has been closed. */
struct handle *node_ref_file(struct handle *h);
/* A descriptor of the whole verified file, borrowed until it is closed, or -1 if not sealed. */
int node_sealed_fd(const struct handle *h);
/* Bytes [off, off + len) of the file (cut at its end, or, with w->some, where they end that are
 * there while others are slow to come; *ret_len tells; 0 at the end), mapped; borrowed until
 * node_done. What another hand has cut off the cache file is had anew first; it may still be cut in
 * between, and who uses them fail. With a NULL waiter PARKED only means "would wait". */
MUST_USE int node_read(struct node *n, struct handle *h, uint64_t off, uint64_t len,
		       struct waiter *w, const void **ret, uint64_t *ret_len);
/* Copies bytes given by node_read: for large amounts faster than to look at them. -EIO. */
MUST_USE int node_copy(const struct handle *h, const void *data, uint64_t len, void *to);
/* The bytes given by node_read were used. */
void node_done(struct handle *h, const void *data, uint64_t len);
/* True if they lie in the cache, where others have them, too, and not only in this reader's memory.
 */
bool node_keeps(const struct handle *h, const void *data);
/* Bytes [off, off + len) of the file cannot be read from the disk: what is damaged is absent from
 * now on, so that node_read has it brought anew. */
void node_lose(struct node *n, struct handle *h, uint64_t off, uint64_t len);
/* True if bytes that were given since it was opened may have been wrong: their digest was. */
bool node_gave_wrong(const struct handle *h);
/* True if bytes of it were given that were not kept, so that no digest is going to speak for them.
 * Who has opened it just now is to have none of them, and who found them wrong no other: what is
 * kept of it goes, too, unless somebody else has it open. */
bool node_begin_anew(struct node *n, struct handle *h);
/* Waits until all bytes of the file are there and its digest has told: 0 if all that were given are
 * right, else ERR_DIGEST. Fetches nothing. */
MUST_USE int node_verdict(struct node *n, struct handle *h, struct waiter *w);
/* Takes w out of a wait for node_read or node_verdict: 1 if it will not be woken. */
int node_leave_read(struct node *n, struct waiter *w);

/* Who keeps files open only because they may be read again is asked to close one that is in the
 * way: see evict_ask. Once, before node_stop. */
void node_ask_for_room(struct node *n, bool (*let_go)(void *arg, const char *etag), void *arg);

/* Queues all that is absent of the file: it comes while it is open and nothing more urgent does. */
MUST_USE int node_fetch_file(struct node *n, struct handle *h);
/* The same for [from, to), within the file. */
MUST_USE int node_fetch_part(struct node *n, struct handle *h, uint64_t from, uint64_t to);
/* Its size, and bytes of its chunks that are there, sealed or not. */
uint64_t node_file_size(const struct handle *h);
uint64_t node_file_present(const struct handle *h);
/* The same of the chunks in [from, to). */
uint64_t node_part_present(const struct handle *h, uint64_t from, uint64_t to);

#endif
