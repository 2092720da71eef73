/* SPDX-License-Identifier: Apache-2.0 */
/* Who adds a reply while nobody sends becomes the sender (rpcd_out), until all is sent or the
 * socket is full; then the loop goes on when there is room again. While the loop takes calls it is
 * the sender by itself, so that many small replies leave in one go. */
#include "fs/rpcd_conn.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "daemon/base/clock.h"
#include "fs/rpc.h"
#include "fs/rpcd_out.h"

#define CALLS_HELD_MAX (2 * RPCD_HELD_MAX) /* with what many calls that had to wait add at once */
#define BATCH_CALLS 256                    /* then others of the loop have their turn */

int rpcd_conn_new(struct rpcd_all *all, int epoll, int fd, const char *address, void *who,
		  struct rpcd_conn **ret)
{
	struct rpcd_conn *c = calloc(1, sizeof(*c));
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	int r = c ? 0 : -ENOMEM;

	if (r == 0) {
		*c = (struct rpcd_conn){
			.all = all,
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
	c->all->conf.went(c->all->conf.arg, c->who);
	atomic_fetch_sub(&c->all->open, 1);
	buf_free(&c->leftover);
	lock_fini(&c->lock);
	free(c);
}

void rpcd_conn_kill(struct rpcd_conn *c)
{
	lock_take(&c->lock);
	rpcd_out_kill_locked(c);
	lock_drop(&c->lock);
}

/* ---- replies ---- */

/* What is to lie there for a while holds nothing from the start. */
static void rest_if_held_up(struct rpcd_conn *c, struct rpcd_reply *r)
{
	bool held_up;

	if (!r->rest || !r->data)
		return;
	lock_take(&c->lock);
	held_up = rpcd_out_is_held_up_locked(c);
	lock_drop(&c->lock);
	if (held_up)
		r->rest(r, false);
}

void rpcd_send(struct rpcd_conn *c, struct rpcd_reply *r)
{
	bool queued = false, mine = false;

	rpcd_out_seal(r);
	r->sent = 0;
	r->awake = false;
	rest_if_held_up(c, r);
	lock_take(&c->lock);
	c->calls--;
	if (r->head.failed)
		rpcd_out_kill_locked(c);
	else
		queued = rpcd_out_add_locked(c, r);
	mine = rpcd_out_begin_locked(c);
	lock_drop(&c->lock);
	if (!queued)
		r->done(r);
	if (mine)
		rpcd_out_flush(c);
	rpcd_conn_unref(c);
}

void rpcd_go_on(struct rpcd_conn *c)
{
	bool mine = false;

	lock_take(&c->lock);
	if (c->wait == RPCD_WAITS) {
		c->wait = RPCD_WAITS_NOT;
		mine = rpcd_out_begin_locked(c);
	} else {
		c->wait = RPCD_WAIT_OVER;
	}
	lock_drop(&c->lock);
	if (mine)
		rpcd_out_flush(c);
	rpcd_conn_unref(c);
}

void rpcd_drop(struct rpcd_conn *c, bool hang_up)
{
	bool mine;

	lock_take(&c->lock);
	c->calls--;
	if (hang_up)
		rpcd_out_kill_locked(c);
	mine = rpcd_out_begin_locked(c);
	lock_drop(&c->lock);
	if (mine)
		rpcd_out_flush(c);
	rpcd_conn_unref(c);
}

void rpcd_keep(struct rpcd_conn *c, size_t bytes)
{
	lock_take(&c->lock);
	c->kept_bytes += bytes;
	rpcd_out_hold_locked(c, bytes, 0);
	lock_drop(&c->lock);
}

void rpcd_unkeep(struct rpcd_conn *c, size_t bytes)
{
	lock_take(&c->lock);
	c->kept_bytes -= bytes;
	rpcd_out_hold_locked(c, 0, bytes);
	lock_drop(&c->lock);
}

size_t rpcd_room(struct rpcd_conn *c)
{
	bool short_of;

	lock_take(&c->lock);
	short_of = c->held >= CALLS_HELD_MAX || rpcd_out_is_short_of_room(c);
	lock_drop(&c->lock);
	return short_of ? RPCD_ROOM_LEAST : SIZE_MAX;
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
	may = rpcd_out_may_take_locked(c);
	if (may) {
		c->calls++;
		atomic_fetch_add(&c->refs, 1);
	}
	c->records_left = !may;
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
			c->records_left = true;
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
		c->all->conf.call(c->all->conf.arg, c, record, record_len);
	}
}

/* Puts aside what is left for later. */
static int keep_leftover(struct rpcd_conn *c, const uint8_t *data, size_t len)
{
	buf_free(&c->leftover);
	return len ? buf_add(&c->leftover, data, len) : 0;
}

/* Reads what there is behind what was kept; how many bytes there are then. At the end of the stream
 * that is noted. */
static size_t read_more(struct rpcd_conn *c, uint8_t *room)
{
	size_t have = c->leftover.len;
	ssize_t n = 0;
	int e = 0;
	bool ended;

	if (have)
		memcpy(room, c->leftover.data, have);
	lock_take(&c->lock);
	ended = c->said_all || !rpcd_out_may_take_locked(c) || have == RPCD_ROOM;
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
		c->said_all = true;
	else if (e != EAGAIN && e != EINTR)
		rpcd_out_kill_locked(c);
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
	mine = rpcd_out_begin_locked(c);
	c->records_left = false;
	lock_drop(&c->lock);
	r = take_calls(c, room, have, &used);
	if (r < 0 || keep_leftover(c, room + used, have - used) < 0)
		rpcd_conn_kill(c);
	lock_take(&c->lock);
	if (!mine)
		mine = rpcd_out_begin_locked(c);
	rpcd_out_arm_locked(c);
	lock_drop(&c->lock);
	if (mine)
		rpcd_out_flush(c);
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

/* How long it may be silent as it is. Who has hung up has said no more, as has who only waits. */
static int64_t patience_locked(const struct rpcd_conn *c)
{
	if (c->said_all)
		return c->all->conf.ended_ms;
	if (c->calls)
		return INT64_MAX;
	return c->leftover.len ? c->all->conf.torn_ms : c->all->conf.idle_ms;
}

void rpcd_conn_check(struct rpcd_conn *c, int64_t now_ms)
{
	int64_t silent_ms = now_ms - c->heard_ms;

	lock_take(&c->lock);
	if (c->queued ? c->blocked && now_ms - c->progress_ms > c->all->conf.stall_ms
		      : silent_ms > patience_locked(c))
		rpcd_out_kill_locked(c);
	lock_drop(&c->lock);
}

void rpcd_conn_end(struct rpcd_conn *c)
{
	struct rpcd_reply *left;

	epoll_ctl(c->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	lock_take(&c->lock);
	rpcd_out_kill_locked(c);
	left = rpcd_out_take_all_locked(c);
	lock_drop(&c->lock);
	rpcd_out_end_all(left);
}
