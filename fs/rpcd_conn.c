/* SPDX-License-Identifier: Apache-2.0 */
/* Who adds a reply while nobody sends becomes the sender, until all is sent or the socket is full;
 * then the loop goes on when there is room again. While the loop takes calls it is the sender by
 * itself, so that many small replies leave in one go. */
#include "fs/rpcd_conn.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "daemon/base/clock.h"
#include "fs/rpc.h"

#define CALLS_MAX 128
#define QUEUE_MAX (8 << 20) /* bytes; more are taken in only when the client has taken some */
#define REPLIES_MAX 4096    /* the same */
#define BATCH_CALLS 256     /* then others of the loop have their turn */
#define PIECES_MAX 48
#define ROUNDS_MAX 4 /* of sending, then the loop goes on: whoever has a reply has more to do */

int rpcd_conn_new(const struct rpcd_conf *conf, atomic_uint *open, int epoll, int fd,
		  const char *address, void *who, struct rpcd_conn **ret)
{
	struct rpcd_conn *c = calloc(1, sizeof(*c));
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	int r = c ? 0 : -ENOMEM;

	if (r == 0) {
		*c = (struct rpcd_conn){
			.conf = conf,
			.open = open,
			.epoll = epoll,
			.fd = fd,
			.who = who,
			.refs = 1,
		};
		c->armed = EPOLLIN;
		c->heard_ms = clock_ms();
		memcpy(c->address, address, strnlen(address, sizeof(c->address) - 1));
		lock_init(&c->lock, LOCK_RPCD_CONN);
		/* Then it may be served at once. */
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
			r = -errno;
	}
	if (r < 0) {
		close(fd);
		if (c)
			lock_fini(&c->lock);
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

uint16_t rpcd_port_of(int fd)
{
	struct sockaddr_in6 at = { 0 };
	socklen_t len = sizeof(at);

	/* It lies at the same place in both kinds of address. */
	return getsockname(fd, (struct sockaddr *)&at, &len) < 0 ? 0 : ntohs(at.sin6_port);
}

uint16_t rpcd_port(const struct rpcd_conn *c)
{
	return rpcd_port_of(c->fd);
}

void rpcd_conn_unref(struct rpcd_conn *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	close(c->fd);
	c->conf->went(c->conf->arg, c->who);
	atomic_fetch_sub(c->open, 1);
	buf_free(&c->rest);
	lock_fini(&c->lock);
	free(c);
}

static bool may_take_locked(const struct rpcd_conn *c)
{
	return !c->dead && c->calls < CALLS_MAX && c->queued < REPLIES_MAX &&
	       c->queued_bytes + c->kept_bytes < QUEUE_MAX;
}

/* Tells epoll what is waited for now. What was kept back is taken when something can be sent, which
 * is at once. */
static void arm_locked(struct rpcd_conn *c)
{
	uint32_t events = c->blocked ? EPOLLOUT : 0;
	struct epoll_event e = { .data.ptr = c };

	if (may_take_locked(c))
		events |= (c->ended ? 0 : EPOLLIN) | (c->kept ? EPOLLOUT : 0);
	if (events == c->armed || c->dead)
		return;
	c->armed = e.events = events;
	epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void kill_locked(struct rpcd_conn *c)
{
	if (!c->dead)
		shutdown(c->fd, SHUT_RDWR); /* the loop is told, whatever it is armed for */
	c->dead = true;
}

void rpcd_conn_kill(struct rpcd_conn *c)
{
	lock_take(&c->lock);
	kill_locked(c);
	lock_drop(&c->lock);
}

/* ---- replies ---- */

static struct rpcd_reply *take_all_locked(struct rpcd_conn *c)
{
	struct rpcd_reply *all = c->first;

	c->first = c->last = NULL;
	c->queued_bytes = 0;
	c->queued = 0;
	return all;
}

static void end_all(struct rpcd_reply *all)
{
	while (all) {
		struct rpcd_reply *next = all->next;

		all->done(all);
		all = next;
	}
}

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

	for (const struct rpcd_reply *r = c->first; r && count + 3 <= PIECES_MAX; r = r->next) {
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
	while (c->first && bytes >= c->first->size - c->first->sent) {
		bytes -= c->first->size - c->first->sent;
		last = c->first;
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

/* True if the sender has something to send still. */
static bool go_on_locked(struct rpcd_conn *c)
{
	if (!c->first && c->ended && !c->kept && c->calls == 0)
		kill_locked(c);
	if (!c->first || c->blocked || c->dead)
		c->sending = false;
	return c->sending;
}

static void send_once(struct rpcd_conn *c, const struct iovec *pieces, unsigned count)
{
	const struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)pieces,
				  .msg_iovlen = count };
	ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	struct rpcd_reply *sent = NULL;
	int e = errno;

	lock_take(&c->lock);
	if (n > 0) {
		sent = advance_locked(c, (size_t)n);
	} else if (e == EAGAIN) {
		c->blocked = true;
		c->progress_ms = clock_ms();
	} else if (e != EINTR) {
		kill_locked(c);
	}
	lock_drop(&c->lock);
	if (n > 0)
		metrics_add(&c->conf->metrics->nfs_bytes_out, (uint64_t)n);
	end_all(sent);
}

/* The sender's: sends what there is, until the socket is full, or it is enough: then the loop is
 * told at once that there is room. */
static void flush(struct rpcd_conn *c)
{
	struct iovec pieces[PIECES_MAX];
	struct rpcd_reply *left = NULL;
	unsigned count = 1;

	for (unsigned n = 0; count; n++) {
		lock_take(&c->lock);
		if (n == ROUNDS_MAX && c->first)
			c->blocked = true;
		count = go_on_locked(c) ? gather_locked(c, pieces) : 0;
		if (!count) {
			left = c->dead ? take_all_locked(c) : NULL;
			arm_locked(c);
		}
		lock_drop(&c->lock);
		if (count)
			send_once(c, pieces, count);
	}
	end_all(left);
}

/* Becomes the sender, if nobody is and something can be sent. */
static bool begin_sending_locked(struct rpcd_conn *c)
{
	if (c->sending || c->blocked)
		return false;
	return c->sending = true;
}

static bool queue_locked(struct rpcd_conn *c, struct rpcd_reply *r)
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
	return true;
}

void rpcd_send(struct rpcd_conn *c, struct rpcd_reply *r)
{
	size_t more = r->data_len + xdr_padding(r->data_len);
	bool queued = false, mine = false;

	rpc_seal(&r->head, more);
	r->size = r->head.len + more;
	r->sent = 0;
	lock_take(&c->lock);
	c->calls--;
	if (r->head.failed)
		kill_locked(c);
	else
		queued = queue_locked(c, r);
	mine = begin_sending_locked(c);
	lock_drop(&c->lock);
	if (!queued)
		r->done(r);
	if (mine)
		flush(c);
	rpcd_conn_unref(c);
}

void rpcd_drop(struct rpcd_conn *c, bool hang_up)
{
	bool mine;

	lock_take(&c->lock);
	c->calls--;
	if (hang_up)
		kill_locked(c);
	mine = begin_sending_locked(c);
	lock_drop(&c->lock);
	if (mine)
		flush(c);
	rpcd_conn_unref(c);
}

void rpcd_keep(struct rpcd_conn *c, size_t bytes)
{
	lock_take(&c->lock);
	c->kept_bytes += bytes;
	lock_drop(&c->lock);
}

void rpcd_unkeep(struct rpcd_conn *c, size_t bytes)
{
	lock_take(&c->lock);
	c->kept_bytes -= bytes;
	lock_drop(&c->lock);
}

void *rpcd_who(const struct rpcd_conn *c)
{
	return c->who;
}

const char *rpcd_address(const struct rpcd_conn *c)
{
	return c->address;
}

/* ---- calls ---- */

/* Counts one more call if it may be taken now. */
static bool begin_call(struct rpcd_conn *c)
{
	bool may;

	lock_take(&c->lock);
	may = may_take_locked(c);
	if (may) {
		c->calls++;
		atomic_fetch_add(&c->refs, 1);
	}
	c->kept = !may;
	lock_drop(&c->lock);
	return may;
}

/* Takes the calls out of len bytes; *ret_used: how many bytes they were. 0, -EPROTO. */
static int take_calls(struct rpcd_conn *c, uint8_t *data, size_t len, size_t *ret_used)
{
	uint8_t *record;
	size_t record_len, used;
	int r;

	*ret_used = 0;
	for (unsigned n = 0;; n++) {
		/* A limit was reached, or it was long enough: the rest is looked at later. */
		if (n == BATCH_CALLS || !begin_call(c)) {
			lock_take(&c->lock);
			c->kept = true;
			lock_drop(&c->lock);
			return 0;
		}
		r = rpc_record(data + *ret_used, len - *ret_used, RPCD_RECORD_MAX, &record,
			       &record_len, &used);
		if (r != 1) {
			rpcd_drop(c, r < 0);
			return r;
		}
		*ret_used += used;
		c->conf->call(c->conf->arg, c, record, record_len);
	}
}

/* Puts aside what is left for later. */
static int keep_rest(struct rpcd_conn *c, const uint8_t *data, size_t len)
{
	buf_free(&c->rest);
	return len ? buf_add(&c->rest, data, len) : 0;
}

/* Reads what there is behind what was kept; how many bytes there are then. At the end of the stream
 * that is noted. */
static size_t read_more(struct rpcd_conn *c, uint8_t *room)
{
	size_t have = c->rest.len;
	ssize_t n = 0;
	int e = 0;
	bool ended;

	if (have)
		memcpy(room, c->rest.data, have);
	lock_take(&c->lock);
	ended = c->ended || !may_take_locked(c) || have == RPCD_ROOM;
	lock_drop(&c->lock);
	if (ended)
		return have;
	n = recv(c->fd, room + have, RPCD_ROOM - have, MSG_DONTWAIT);
	e = n < 0 ? errno : 0;
	if (n > 0) {
		c->heard_ms = clock_ms();
		return have + (size_t)n;
	}
	lock_take(&c->lock);
	if (n == 0)
		c->ended = true;
	else if (e != EAGAIN && e != EINTR)
		kill_locked(c);
	lock_drop(&c->lock);
	return have;
}

/* The sender meanwhile, so that the replies to many small calls go out together. */
static void take(struct rpcd_conn *c, uint8_t *room)
{
	size_t have = read_more(c, room), used = 0;
	bool mine;
	int r;

	lock_take(&c->lock);
	mine = begin_sending_locked(c);
	c->kept = false;
	lock_drop(&c->lock);
	r = take_calls(c, room, have, &used);
	if (r < 0 || keep_rest(c, room + used, have - used) < 0)
		rpcd_conn_kill(c);
	lock_take(&c->lock);
	if (!mine)
		mine = begin_sending_locked(c);
	arm_locked(c);
	lock_drop(&c->lock);
	if (mine)
		flush(c);
}

bool rpcd_conn_serve(struct rpcd_conn *c, uint32_t events, uint8_t *room)
{
	bool dead;

	if (events & (EPOLLHUP | EPOLLERR))
		rpcd_conn_kill(c);
	if (events & EPOLLOUT) {
		lock_take(&c->lock);
		c->blocked = false;
		lock_drop(&c->lock);
	}
	take(c, room);
	lock_take(&c->lock);
	dead = c->dead;
	lock_drop(&c->lock);
	return !dead;
}

void rpcd_conn_check(struct rpcd_conn *c, int64_t now_ms)
{
	int64_t silent_ms = now_ms - c->heard_ms;

	lock_take(&c->lock);
	if (c->first ? c->blocked && now_ms - c->progress_ms > c->conf->stall_ms
		     : c->calls == 0 &&
			       silent_ms > (c->rest.len ? c->conf->torn_ms : c->conf->idle_ms))
		kill_locked(c);
	lock_drop(&c->lock);
}

void rpcd_conn_end(struct rpcd_conn *c)
{
	struct rpcd_reply *left;

	epoll_ctl(c->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	lock_take(&c->lock);
	kill_locked(c);
	left = c->sending ? NULL : take_all_locked(c);
	lock_drop(&c->lock);
	end_all(left);
}
