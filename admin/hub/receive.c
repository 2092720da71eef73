/* SPDX-License-Identifier: Apache-2.0 */
/* One buffer is filled by the server while the worker empties the other. The worker is given one as
 * soon as it is worth the way, or the body has ended. The server lets go of it when the body ends,
 * the worker when it has told of the end: whoever is last frees it. */
#include "admin/hub/receive.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/num.h"

#define BUFFER_BYTES (512 * 1024)
#define WORTH_BYTES (128 * 1024) /* what a worker is woken for before the end */

struct piece {
	char *data;
	size_t len;
};

struct receive {
	struct receive_conf conf;
	struct httpd_request *q;
	size_t cap; /* of a buffer */
	struct lock lock;
	/* Guarded by lock. */
	unsigned refs;
	struct piece pieces[2];
	unsigned filling; /* the worker's is the other */
	bool busy;        /* the worker has one, or is going to */
	bool stuck;       /* the server waits for room */
	bool ended;       /* no more comes */
	bool told;        /* of the end */
	int result;
};

static void receive_free(struct receive *v)
{
	free(v->pieces[0].data);
	free(v->pieces[1].data);
	lock_fini(&v->lock);
	free(v);
}

static void release(struct receive *v)
{
	bool last;

	lock_take(&v->lock);
	last = --v->refs == 0;
	lock_drop(&v->lock);
	if (last)
		receive_free(v);
}

/* ---- the worker ---- */

static void work(void *arg, uint64_t number);

static void tell(struct receive *v, int r)
{
	v->conf.end(v->conf.end_arg, r);
	release(v);
}

/* The worker takes the buffer that was filled; without memory for that it is all over. */
static void hand_over(struct receive *v)
{
	const struct work job = { .fn = work, .arg = v };
	int r = workers_add(v->conf.workers, &job);
	bool tells;

	if (r == 0)
		return;
	lock_take(&v->lock);
	v->result = r;
	tells = !v->told;
	v->told = true;
	lock_drop(&v->lock);
	if (tells)
		tell(v, r);
}

static bool is_worth_locked(const struct receive *v)
{
	size_t len = v->pieces[v->filling].len;

	return v->ended || len >= WORTH_BYTES || len == v->cap;
}

/* The buffers change places, if the worker has nothing to do. True: hand over. */
static bool swap_locked(struct receive *v)
{
	if (v->busy || v->told || !is_worth_locked(v))
		return false;
	v->filling ^= 1;
	v->busy = true;
	return true;
}

/* The worker is done with a piece. What is to be done next: */
struct next {
	bool more, over;
	int result;
};

static struct next end_piece(struct receive *v, int r)
{
	struct next next;

	lock_take(&v->lock);
	if (r < 0 && v->result == 0)
		v->result = r;
	v->pieces[v->filling ^ 1].len = 0;
	v->busy = false;
	next.result = v->result;
	next.over = v->result < 0 || (v->ended && v->pieces[v->filling].len == 0);
	v->told = next.over;
	next.more = swap_locked(v);
	/* Under the lock: once it was told, on another thread perhaps, the request may be gone. */
	if (v->stuck && !next.over)
		httpd_wake(v->q);
	v->stuck = false;
	lock_drop(&v->lock);
	return next;
}

static void work(void *arg, uint64_t number UNUSED)
{
	struct receive *v = arg;
	struct piece piece;
	struct next next;
	int r;

	lock_take(&v->lock);
	piece = v->pieces[v->filling ^ 1];
	r = v->result;
	lock_drop(&v->lock);
	if (r == 0 && piece.len)
		r = v->conf.take(v->conf.arg, piece.data, piece.len);
	next = end_piece(v, r);
	if (next.more)
		hand_over(v);
	if (next.over)
		tell(v, next.result);
}

/* ---- the server ---- */

static size_t fill_locked(struct receive *v, const void *data, size_t len)
{
	struct piece *p = &v->pieces[v->filling];

	len = (size_t)min_u64(len, v->cap - p->len);
	memcpy(p->data + p->len, data, len);
	p->len += len;
	return len;
}

static size_t come(void *arg, const void *data, size_t len)
{
	struct receive *v = arg;
	bool more;
	size_t n;

	lock_take(&v->lock);
	n = v->result < 0 ? len : fill_locked(v, data, len);
	v->stuck = n < len;
	more = swap_locked(v);
	if (more && v->stuck) {
		n += fill_locked(v, (const char *)data + n, len - n);
		v->stuck = n < len;
	}
	lock_drop(&v->lock);
	if (more)
		hand_over(v);
	return n;
}

static void end(void *arg, int r)
{
	struct receive *v = arg;
	bool more;

	lock_take(&v->lock);
	v->ended = true;
	v->stuck = false;
	if (v->result == 0)
		v->result = r;
	more = swap_locked(v);
	lock_drop(&v->lock);
	if (more)
		hand_over(v);
	release(v);
}

/* Memory that is not touched costs nothing. */
static struct receive *receive_new(size_t cap)
{
	struct receive *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	lock_init(&v->lock, LOCK_RECEIVE);
	v->cap = cap;
	v->pieces[0].data = malloc(cap);
	v->pieces[1].data = malloc(cap);
	if (v->pieces[0].data && v->pieces[1].data)
		return v;
	receive_free(v);
	return NULL;
}

int receive_start(struct httpd_request *q, int64_t length, const struct receive_conf *conf)
{
	bool small = length > 0 && length < BUFFER_BYTES;
	struct receive *v = receive_new(small ? (size_t)length : BUFFER_BYTES);
	const struct httpd_pieces pieces = { come, end, v };

	if (!v)
		return -ENOMEM;
	v->conf = *conf;
	v->q = q;
	v->refs = 2;
	httpd_receive(q, &pieces);
	return 0;
}
