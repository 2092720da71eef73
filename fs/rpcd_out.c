/* SPDX-License-Identifier: Apache-2.0 */
/* Only the sender takes replies off the queue, or looks into them; all others add to its end. While
 * a client takes nothing the replies that wait for it let their data go, whatever that is, so that
 * it holds nothing but memory that is counted; and have it again when it is their turn. */
#include "fs/rpcd_out.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "daemon/base/clock.h"
#include "daemon/base/wait.h"
#include "fs/rpc.h"

#define CALLS_MAX 128
#define REPLIES_MAX 4096
#define HELD_MAX (8 << 20)        /* bytes for a connection: then no more calls are taken from it */
#define HELD_WORST (2 * HELD_MAX) /* with what many calls that had to wait add at once */
#define BUDGET (64 << 20)         /* bytes of memory for all connections together; beyond it: */
#define SHARE_MIN (64 << 10)      /* ... what each may hold all the same */
#define HELD_STEP (32 << 10)      /* by less than that the sum may be wrong for a connection */
#define SPARE_MAX (64 << 10)      /* room that a reply's head may have behind it */
#define HEAP_BYTES 32             /* what the heap adds for a reply and its head */
#define PIECES_MAX 48
#define RESUMED_MAX (PIECES_MAX / 3) /* replies; and bytes: */
#define RESUMED_BYTES (1 << 20)      /* ... what a socket hardly takes at once */
#define ROUNDS_MAX 4 /* of sending, then the loop goes on: whoever has a reply has more to do */
#define FAULTS_MAX 3

/* ---- limits ---- */

/* What all connections together may have waiting. */
static bool is_spent(const struct rpcd_all *all)
{
	return atomic_load_explicit(&all->held, memory_order_relaxed) >= BUDGET;
}

bool rpcd_out_is_short_of_room_locked(const struct rpcd_conn *c)
{
	return c->held >= HELD_WORST || is_spent(c->all);
}

static void count_for_all(struct rpcd_all *all, size_t more)
{
	size_t held = atomic_fetch_add(&all->held, more) + more;

	if (held > atomic_load_explicit(&all->peak, memory_order_relaxed))
		atomic_store_explicit(&all->peak, held, memory_order_relaxed);
}

/* A few small replies, which come and go at once, never come to be in the sum of all. */
void rpcd_out_hold_locked(struct rpcd_conn *c, size_t more, size_t less)
{
	size_t off;

	c->held += more;
	c->held -= less;
	off = c->held > c->counted ? c->held - c->counted : c->counted - c->held;
	if (off < HELD_STEP && (c->held || !off))
		return;
	count_for_all(c->all, c->held - c->counted); /* which may be less */
	c->counted = c->held;
}

void rpcd_out_set_aside_locked(struct rpcd_conn *c, size_t bytes)
{
	rpcd_out_hold_locked(c, bytes, c->aside);
	c->aside = bytes;
}

/* Whoever holds little may go on, however much others hold: so all do, if only by small steps. */
bool rpcd_out_may_take_locked(const struct rpcd_conn *c)
{
	return !c->dead && c->calls < CALLS_MAX && c->queued < REPLIES_MAX &&
	       c->queued_bytes + c->kept_bytes < HELD_MAX &&
	       c->held - c->aside < (is_spent(c->all) ? SHARE_MIN : HELD_MAX);
}

/* What was kept back is taken when something can be sent, which is at once. */
void rpcd_out_arm_locked(struct rpcd_conn *c)
{
	uint32_t events = c->blocked ? EPOLLOUT : 0;
	struct epoll_event e = { .data.ptr = c };

	if (rpcd_out_may_take_locked(c))
		events |= (c->said_all ? 0 : EPOLLIN) | (c->records_left ? EPOLLOUT : 0);
	if (events == c->armed || c->dead)
		return;
	c->armed = e.events = events;
	epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

void rpcd_out_kill_locked(struct rpcd_conn *c)
{
	if (!c->dead)
		shutdown(c->fd, SHUT_RDWR); /* the loop is told, whatever it is armed for */
	c->dead = true;
}

bool rpcd_out_is_held_up_locked(const struct rpcd_conn *c)
{
	return !c->dead && (c->blocked || c->wait == RPCD_WAITS);
}

/* ---- the queue ---- */

void rpcd_out_seal(struct rpcd_reply *r)
{
	size_t more = r->data_len + xdr_padding(r->data_len);

	rpc_seal(&r->head, more);
	if (r->head.cap - r->head.len > SPARE_MAX)
		buf_fit(&r->head);
	r->size = r->head.len + more;
}

static bool is_resting(const struct rpcd_reply *r)
{
	return r->data_len && !r->data;
}

/* What lies in a mapped file is not memory of ours, as far as it can be let go. What is
 * sent is the least part of a small reply. */
static void count_locked(struct rpcd_conn *c, struct rpcd_reply *r)
{
	size_t held = r->around + r->head.cap + HEAP_BYTES;

	if (r->data && !r->awake)
		held += r->data_len;
	rpcd_out_hold_locked(c, held, r->held);
	r->held = held;
}

static void note_awake_locked(struct rpcd_conn *c, struct rpcd_reply *r, bool awake)
{
	c->awake += awake;
	c->awake -= r->awake;
	r->awake = awake;
}

bool rpcd_out_add_locked(struct rpcd_conn *c, struct rpcd_reply *r)
{
	if (c->dead)
		return false;
	r->next = NULL;
	if (c->last)
		c->last->next = r;
	else
		c->first = r;
	c->last = r;
	c->queued_bytes += r->size;
	c->queued++;
	note_awake_locked(c, r, r->rest && r->data);
	r->held = 0;
	count_locked(c, r);
	return true;
}

struct rpcd_reply *rpcd_out_take_all_locked(struct rpcd_conn *c)
{
	struct rpcd_reply *all = c->first;

	if (c->sending || c->wait == RPCD_WAITS)
		return NULL;
	c->first = c->last = NULL;
	for (const struct rpcd_reply *r = all; r; r = r->next)
		rpcd_out_hold_locked(c, 0, r->held);
	c->queued_bytes = 0;
	c->queued = c->awake = 0;
	return all;
}

void rpcd_out_end_all(struct rpcd_reply *all)
{
	while (all) {
		struct rpcd_reply *next = all->next;

		all->done(all);
		all = next;
	}
}

/* ---- sending ---- */

/* The bytes [skip, ...) of one part of a reply. */
static void add_piece(struct iovec *list, unsigned *count, const void *data, size_t len,
		      size_t *skip)
{
	size_t from = *skip < len ? *skip : len;

	*skip -= from;
	if (from < len)
		list[(*count)++] = (struct iovec){
			.iov_base = (char *)(uintptr_t)data + from,
			.iov_len = len - from,
		};
}

static unsigned gather_locked(const struct rpcd_conn *c, struct iovec *ret)
{
	static const uint8_t zeros[XDR_UNIT];
	unsigned count = 0;

	for (const struct rpcd_reply *r = c->first; r && !is_resting(r) && count + 3 <= PIECES_MAX;
	     r = r->next) {
		size_t skip = r->sent;

		add_piece(ret, &count, r->head.data, r->head.len, &skip);
		add_piece(ret, &count, r->data, r->data_len, &skip);
		add_piece(ret, &count, zeros, xdr_padding(r->data_len), &skip);
	}
	return count;
}

/* Bytes went out; replies that went out as a whole are taken off the queue. */
static struct rpcd_reply *advance_locked(struct rpcd_conn *c, size_t bytes)
{
	struct rpcd_reply *first = c->first, *last = NULL;

	c->queued_bytes -= bytes;
	c->progress_ms = clock_ms();
	c->faults = 0;
	while (c->first && bytes >= c->first->size - c->first->sent) {
		bytes -= c->first->size - c->first->sent;
		last = c->first;
		last->sent = last->size;
		note_awake_locked(c, last, false);
		rpcd_out_hold_locked(c, 0, last->held);
		c->first = last->next;
		c->queued--;
	}
	if (c->first)
		c->first->sent += bytes;
	else
		c->last = NULL;
	if (!last)
		return NULL;
	last->next = NULL;
	return first;
}

/* The first reply's data cannot be read: it is had again, or the connection ends. */
static void break_first(struct rpcd_conn *c)
{
	struct rpcd_reply *r;
	bool again;

	lock_take(&c->lock);
	r = c->first;
	again = r->awake && c->faults++ < FAULTS_MAX;
	note_awake_locked(c, r, false);
	lock_drop(&c->lock);
	if (again)
		r->rest(r, true);
	if (again && is_resting(r))
		return;
	lock_take(&c->lock);
	rpcd_out_kill_locked(c);
	lock_drop(&c->lock);
}

static void send_once(struct rpcd_conn *c, const struct iovec *pieces, unsigned count)
{
	const struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)pieces,
				  .msg_iovlen = count };
	ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	struct rpcd_reply *sent = NULL;
	int e = n < 0 ? errno : 0;

	lock_take(&c->lock);
	if (n > 0) {
		sent = advance_locked(c, (size_t)n);
	} else if (e == EAGAIN) {
		c->blocked = true;
		c->progress_ms = clock_ms();
	} else if (e != EINTR && e != EFAULT) {
		rpcd_out_kill_locked(c);
	}
	lock_drop(&c->lock);
	if (e == EFAULT)
		break_first(c);
	if (n > 0)
		metrics_add(&c->all->conf.metrics->nfs_bytes_out, (uint64_t)n);
	rpcd_out_end_all(sent);
}

/* ---- resting ---- */

/* Meanwhile others add to an empty queue. */
static void rest_all(struct rpcd_conn *c)
{
	struct rpcd_reply *all, *last;

	lock_take(&c->lock);
	all = c->first;
	last = c->last;
	c->first = c->last = NULL;
	lock_drop(&c->lock);
	for (struct rpcd_reply *r = all; r; r = r->next)
		if (r->awake)
			r->rest(r, false);
	lock_take(&c->lock);
	for (struct rpcd_reply *r = all; r; r = r->next) {
		note_awake_locked(c, r, false);
		count_locked(c, r);
	}
	last->next = c->first;
	c->first = all;
	if (!c->last)
		c->last = last;
	lock_drop(&c->lock);
}

static int resume_one(struct rpcd_conn *c, struct rpcd_reply *r, bool may_park)
{
	size_t before = r->size;
	int rc = r->resume(r, may_park);

	if (rc != 0)
		return rc;
	if (r->sent == 0)
		rpcd_out_seal(r);
	lock_take(&c->lock);
	c->queued_bytes += r->size - before;
	note_awake_locked(c, r, r->data != NULL);
	count_locked(c, r);
	lock_drop(&c->lock);
	return r->head.failed;
}

/* The first replies, as far as they rest, and are worth to be woken together. */
static unsigned list_resting_locked(const struct rpcd_conn *c, struct rpcd_reply **ret)
{
	unsigned count = 0;
	size_t bytes = 0;

	for (struct rpcd_reply *r = c->first;
	     r && is_resting(r) && count < RESUMED_MAX && bytes < RESUMED_BYTES; r = r->next) {
		bytes += r->size - r->sent;
		ret[count++] = r;
	}
	return count;
}

/* What came of resuming the first; true if others may follow. Whoever ended the connection while it
 * was about to park did not find it. */
static bool note_resumed(struct rpcd_conn *c, int r)
{
	bool gone;

	lock_take(&c->lock);
	if (r != PARKED)
		c->wait = RPCD_WAITS_NOT;
	else
		c->wait = c->wait == RPCD_WAIT_OVER ? RPCD_WAITS_NOT : RPCD_WAITS;
	gone = c->wait == RPCD_WAITS && c->dead;
	if (r < 0)
		rpcd_out_kill_locked(c);
	lock_drop(&c->lock);
	if (gone)
		c->all->conf.gone(c->all->conf.arg, c);
	if (r != PARKED) /* never the last one: the sender was called by somebody */
		atomic_fetch_sub(&c->refs, 1);
	return r == 0;
}

static void resume_first(struct rpcd_conn *c)
{
	struct rpcd_reply *list[RESUMED_MAX], *first;
	unsigned count;

	lock_take(&c->lock);
	first = c->first;
	count = list_resting_locked(c, list);
	c->wait = RPCD_WAIT_BEGINS;
	atomic_fetch_add(&c->refs, 1);
	lock_drop(&c->lock);
	if (!note_resumed(c, resume_one(c, first, true)))
		return;
	for (unsigned i = 1; i < count; i++)
		if (resume_one(c, list[i], false) != 0)
			return;
}

/* ---- the sender ---- */

/* It is also asked for who has come to rest too late. */
bool rpcd_out_begin_locked(struct rpcd_conn *c)
{
	if (c->sending || (rpcd_out_is_held_up_locked(c) && !c->awake))
		return false;
	return c->sending = true;
}

enum step { STEP_SEND, STEP_RESUME, STEP_REST, STEP_END };

/* At the end nobody is the sender any more. */
static enum step next_locked(struct rpcd_conn *c, bool may_rest)
{
	if (rpcd_out_is_held_up_locked(c)) {
		if (c->awake && may_rest)
			return STEP_REST;
	} else if (c->first && !c->dead) {
		return is_resting(c->first) ? STEP_RESUME : STEP_SEND;
	}
	if (!c->first && c->said_all && !c->records_left && c->calls == 0)
		rpcd_out_kill_locked(c);
	c->sending = false;
	return STEP_END;
}

/* True if the socket has no room: then it may be long until it has. */
static bool is_full(const struct rpcd_conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 0;
}

struct turn {
	struct iovec pieces[PIECES_MAX];
	unsigned count, rounds;
	struct rpcd_reply *left; /* at its end: nobody will get them */
};

static enum step next(struct rpcd_conn *c, struct turn *t)
{
	bool over = t->rounds == ROUNDS_MAX, full = over && is_full(c);
	enum step step;

	lock_take(&c->lock);
	if (over && c->first)
		c->blocked = true;
	step = next_locked(c, !over || full);
	if (step == STEP_SEND)
		t->count = gather_locked(c, t->pieces);
	if (step == STEP_END) {
		t->left = c->dead ? rpcd_out_take_all_locked(c) : NULL;
		rpcd_out_arm_locked(c);
	}
	lock_drop(&c->lock);
	return step;
}

void rpcd_out_flush(struct rpcd_conn *c)
{
	struct turn t = { .left = NULL };
	enum step step;

	while ((step = next(c, &t)) != STEP_END) {
		if (step == STEP_SEND) {
			send_once(c, t.pieces, t.count);
			t.rounds++;
		} else if (step == STEP_RESUME) {
			resume_first(c);
		} else {
			rest_all(c);
		}
	}
	rpcd_out_end_all(t.left);
}
