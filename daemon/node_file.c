/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a node: handles, and the bytes behind them. */
#include "daemon/node_file.h"

#include <errno.h>

#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/cache/present.h"
#include "daemon/node_priv.h"

struct handle {
	atomic_uint refs;
	struct pull *pull;
	struct snapshot *snapshot;
	uint32_t file;
	struct blob *blob;             /* the pull's */
	unsigned drops;                /* the pull's, when it was opened */
	atomic_bool touched;           /* a first read has begun */
	_Atomic(struct watch *) watch; /* of its readers, or NULL */
};

int node_open_file(struct node *n, struct snapshot *s, uint32_t file, struct handle **ret)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct source_blob what;
	struct handle *h;
	int r = known_source_blob(s, file, &path, &what);

	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	r = fetch_open(n->fetch, &what, &h->pull);
	if (r < 0) {
		free(h);
		return log_err(r, "cannot open path=%s repo=%s in the cache", what.path,
			       what.repo.name);
	}
	atomic_init(&h->refs, 1);
	h->blob = fetch_blob(h->pull);
	h->drops = fetch_drops(h->pull);
	h->snapshot = snapshot_ref(s);
	h->file = file;
	*ret = h;
	return 0;
}

int node_also_file(struct node *n, struct handle *h, struct snapshot *s, uint32_t file)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct source_blob what;
	int r = known_source_blob(s, file, &path, &what);

	return r < 0 ? r : fetch_also(n->fetch, h->pull, &what);
}

struct handle *node_ref_file(struct handle *h)
{
	atomic_fetch_add(&h->refs, 1);
	return h;
}

void node_close_file(struct node *n, struct handle *h)
{
	if (!h || atomic_fetch_sub(&h->refs, 1) > 1)
		return;
	if (atomic_load(&h->watch))
		prefetch_leave(n->prefetch, atomic_load(&h->watch));
	fetch_close(n->fetch, h->pull);
	snapshot_unref(h->snapshot);
	free(h);
}

int node_sealed_fd(const struct handle *h)
{
	return blob_is_sealed(h->blob) ? blob_fd(h->blob) : -1;
}

/* The first read of a handle makes it known to prefetch: an open alone says nothing, and whoever
 * parks here is to be served before any guess. The request may be over when fetch_read returns, so
 * the handle is held. */
static int read_first(struct node *n, struct handle *h, uint64_t off, uint64_t len,
		      struct waiter *w, const void **ret, uint64_t *ret_len)
{
	int r;

	node_ref_file(h);
	r = fetch_read(n->fetch, h->pull, off, len, w, ret, ret_len);
	if (!blob_is_sealed(h->blob))
		atomic_store(&h->watch, prefetch_watch(n->prefetch, h->snapshot, h->file));
	node_close_file(n, h);
	return r;
}

static bool is_first_read(struct node *n, struct handle *h)
{
	return n->prefetch && !atomic_load(&h->touched) && !atomic_exchange(&h->touched, true);
}

/* What another hand has cut off the cache file, or the disk has lost, is brought anew: behind the
 * end of a file its mapping has nothing, and zeros to the end of the last page. */
static int read_sound(struct node *n, struct handle *h, uint64_t off, uint64_t *len,
		      struct waiter *w, const void **ret)
{
	uint64_t wanted = *len;
	int r = is_first_read(n, h) ? read_first(n, h, off, wanted, w, ret, len)
				    : fetch_read(n->fetch, h->pull, off, wanted, w, ret, len);

	if (r != 0 || fetch_reaches(h->pull, *ret, *len))
		return r;
	fetch_done(h->pull, *ret, *len);
	node_lose(n, h, off, *len);
	return fetch_read(n->fetch, h->pull, off, wanted, w, ret, len);
}

int node_read(struct node *n, struct handle *h, uint64_t off, uint64_t len, struct waiter *w,
	      const void **ret, uint64_t *ret_len)
{
	uint64_t size = blob_size(h->blob);
	struct watch *watch;
	int r;

	*ret = NULL;
	*ret_len = 0;
	if (off >= size || len == 0)
		return 0;
	len = len < size - off ? len : size - off;
	r = read_sound(n, h, off, &len, w, ret);
	if (r != 0)
		return r;
	watch = atomic_load(&h->watch);
	if (watch)
		prefetch_read(n->prefetch, watch, len);
	*ret_len = len;
	return 0;
}

bool node_gave_wrong(const struct handle *h)
{
	return fetch_drops(h->pull) != h->drops;
}

bool node_begin_anew(struct node *n, struct handle *h)
{
	return fetch_begin_anew(n->fetch, h->pull);
}

int node_verdict(struct node *n, struct handle *h, struct waiter *w)
{
	int r = node_gave_wrong(h) ? ERR_DIGEST : fetch_verdict(n->fetch, h->pull, w);

	/* All was brought anew meanwhile, and is right this time. */
	return r == 0 && node_gave_wrong(h) ? ERR_DIGEST : r;
}

int node_copy(const struct handle *h, const void *data, uint64_t len, void *to)
{
	return fetch_copy(h->pull, data, len, to);
}

void node_done(struct handle *h, const void *data, uint64_t len)
{
	if (len)
		fetch_done(h->pull, data, len);
}

bool node_keeps(const struct handle *h, const void *data)
{
	return fetch_keeps(h->pull, data);
}

void node_lose(struct node *n, struct handle *h, uint64_t off, uint64_t len)
{
	fetch_lose(n->fetch, h->pull, off, len);
}

void node_ask_for_room(struct node *n, bool (*let_go)(void *arg, const char *etag), void *arg)
{
	evict_ask(n->evict, let_go, arg);
}

int node_fetch_file(struct node *n, struct handle *h)
{
	return fetch_want(n->fetch, h->pull, 0, blob_size(h->blob), URGENCY_BACKGROUND);
}

int node_fetch_part(struct node *n, struct handle *h, uint64_t from, uint64_t to)
{
	return fetch_want(n->fetch, h->pull, from, to, URGENCY_BACKGROUND);
}

uint64_t node_file_size(const struct handle *h)
{
	return blob_size(h->blob);
}

uint64_t node_file_present(const struct handle *h)
{
	return blob_present_bytes(h->blob);
}

uint64_t node_part_present(const struct handle *h, uint64_t from, uint64_t to)
{
	return present_in(h->blob, from, to);
}

int node_leave_read(struct node *n, struct waiter *w)
{
	atomic_store(&w->canceled, 1);
	return fetch_leave(n->fetch, w);
}
