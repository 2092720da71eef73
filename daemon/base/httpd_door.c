/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes in, and who has to go. Connections are accepted here and then given to the library: so
 * that they can be counted by address before they cost anything, so that nobody comes in any more
 * from one moment on (the library's own way, MHD_quiesce_daemon, lets two threads take the socket
 * out of an epoll set, and ends the process when the second finds it gone), and so that a client
 * is told that there is no place instead of being left in the kernel's queue.
 *
 * A link is known by its descriptor: should the library drop a connection without a word, the next
 * one of that number takes its place. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/httpd_calls.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/base/tls.h"

#define SWEEP_MS 1000
#define ACCEPT_BATCH 64
#define ACCEPT_PAUSE_MS 100 /* when there are no descriptors left */
#define LINKS_STEP 256
#define HEARD_PIECES_MAX 16

/* How many links an address has. */
struct client {
	uint64_t key;
	unsigned count, strangers;
};

/* --- counting; the lock is held */

/* A client with IPv6 has a whole /64. */
static uint64_t key_of(const struct in6_addr *a)
{
	uint64_t key;

	memcpy(&key, IN6_IS_ADDR_V4MAPPED(a) ? &a->s6_addr[8] : &a->s6_addr[0], sizeof(key));
	return key;
}

static bool client_add_locked(struct httpd *h, const struct in6_addr *address)
{
	uint64_t key = key_of(address);
	struct client *c = map_find_u64(&h->addresses, key);

	if (c) {
		if ((h->conf.address_max && c->count >= h->conf.address_max) ||
		    (h->conf.strangers_max && c->strangers >= h->conf.strangers_max))
			return false;
		c->count++;
		c->strangers++;
		return true;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return false;
	*c = (struct client){ key, 1, 1 };
	if (map_put_u64(&h->addresses, key, c) == 0)
		return true;
	free(c);
	return false;
}

static void client_del_locked(struct httpd *h, const struct httpd_link *link)
{
	struct client *c = map_find_u64(&h->addresses, key_of(&link->address));

	if (c && !link->idler.known)
		c->strangers--;
	if (c && --c->count == 0)
		free(map_del_u64(&h->addresses, c->key));
}

void httpd_link_know_locked(struct httpd *h, struct httpd_link *link)
{
	struct client *c = link && link->remote && !link->idler.known
				   ? map_find_u64(&h->addresses, key_of(&link->address))
				   : NULL;

	if (c)
		c->strangers--;
	if (link)
		idlers_know(&h->idlers, &link->idler);
}

void httpd_know(struct httpd_request *q)
{
	lock_take(&q->all->lock);
	httpd_link_know_locked(q->all, q->link);
	lock_drop(&q->all->lock);
}

static void link_free_locked(struct httpd *h, struct httpd_link *link)
{
	idlers_del(&h->idlers, &link->idler);
	if (link->remote)
		client_del_locked(h, link);
	if (link->cert)
		tls_drop(link->cert);
	h->links[link->idler.fd] = NULL;
	h->links_count--;
	h->placed_count -= link->placed;
	free(link);
}

static bool make_slot_locked(struct httpd *h, size_t fd)
{
	size_t cap = (fd / LINKS_STEP + 1) * LINKS_STEP;
	struct httpd_link **grown;

	if (fd < h->links_cap)
		return true;
	grown = realloc(h->links, cap * sizeof(struct httpd_link *));
	if (!grown)
		return false;
	memset(grown + h->links_cap, 0, (cap - h->links_cap) * sizeof(struct httpd_link *));
	h->links = grown;
	h->links_cap = cap;
	return true;
}

static bool to_in6(const struct sockaddr *from, struct in6_addr *ret)
{
	if (from->sa_family == AF_INET6) {
		*ret = ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
		return true;
	}
	if (from->sa_family != AF_INET)
		return false;
	*ret = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
	memcpy(&ret->s6_addr[12], &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
	return true;
}

/* Who has been silent longest makes room, strangers first: at once, though he is still to be
 * closed. */
static bool make_place_locked(struct httpd *h)
{
	struct idler *gone;

	if (h->placed_count < h->conf.connections_max)
		return true;
	gone = idlers_end_first(&h->idlers);
	if (!gone)
		return false;
	container_of(gone, struct httpd_link, idler)->placed = false;
	h->placed_count--;
	return true;
}

/* Makes a link for a connection: 0, or the status its client is refused with. */
static int admit_locked(struct httpd *h, int fd, const struct sockaddr *from)
{
	struct httpd_link *link;

	if (!make_slot_locked(h, (size_t)fd))
		return 503;
	if (h->links[fd])
		link_free_locked(h, h->links[fd]);
	if (!make_place_locked(h))
		return 503;
	link = calloc(1, sizeof(*link));
	if (!link)
		return 503;
	link->idler.fd = fd;
	link->remote = to_in6(from, &link->address);
	if (link->remote && !client_add_locked(h, &link->address)) {
		free(link);
		return 429;
	}
	h->links[fd] = link;
	h->links_count++;
	h->placed_count++;
	link->placed = true;
	idlers_add(&h->idlers, &link->idler, clock_ms());
	return 0;
}

struct httpd_link *httpd_link_begin(struct httpd *h, int fd, void *session)
{
	struct httpd_link *link;

	lock_take(&h->lock);
	link = h->links[fd];
	if (session)
		link->cert = tls_use(h->conf.tls, session);
	if (h->closed) /* it came in at the last moment */
		shutdown(fd, SHUT_RD);
	lock_drop(&h->lock);
	return link;
}

/* What nobody read would make the kernel tell the client of a reset, perhaps before it has read why
 * it was refused. */
static void hear_out(int fd)
{
	char heard[16 * 1024];

	for (int i = 0; i < HEARD_PIECES_MAX; i++)
		if (recv(fd, heard, sizeof(heard), MSG_DONTWAIT) <= 0)
			return;
}

void httpd_link_end(struct httpd *h, struct httpd_link *link)
{
	hear_out(link->idler.fd);
	lock_take(&h->lock);
	link_free_locked(h, link);
	lock_drop(&h->lock);
}

void httpd_links_fini(struct httpd *h)
{
	for (size_t i = 0; i < h->links_cap; i++)
		if (h->links[i])
			link_free_locked(h, h->links[i]);
	map_fini(&h->addresses);
	free(h->links);
}

/* --- coming in */

/* As an answer to whatever the client is going to ask. What it has sent so far is read: else the
 * kernel would tell it of a reset before it has read this. */
static void turn_away(int fd, int status)
{
	bool yours = status == 429;
	const char *error = yours ? "too_many_connections" : "busy";
	const char *message = yours ? "your address has too many connections"
				    : "there are too many connections";
	char body[256], answer[768];
	int size = snprintf(body, sizeof(body), "{\"error\":\"%s\",\"message\":\"%s\"}\n", error,
			    message);
	int len = snprintf(answer, sizeof(answer),
			   "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
			   "X-Error-Code: %s\r\nX-Error-Message: %s\r\n"
			   "Connection: close\r\nContent-Length: %d\r\n\r\n%s",
			   status, yours ? "Too Many Requests" : "Service Unavailable", error,
			   message, size, body);

	(void)!send(fd, answer, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	hear_out(fd);
}

static void let_in(struct httpd *h, const struct httpd_door *door, int fd,
		   const struct sockaddr *from, socklen_t len)
{
	int status;

	lock_take(&h->lock);
	status = admit_locked(h, fd, from);
	lock_drop(&h->lock);
	if (status) {
		if (!door->tls)
			turn_away(fd, status);
		close(fd);
		return;
	}
	/* Should it fail, the library has closed the connection. */
	if (MHD_add_connection(door->tls ? h->secure : h->plain, fd, from, len) != MHD_YES)
		log_debug("a connection could not be taken on");
}

/* True if there may be more. */
static bool accept_one(struct httpd *h, const struct httpd_door *door, bool *ret_exhausted)
{
	struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(from);
	int fd = accept4(door->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		*ret_exhausted |= errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
				  errno == ENOBUFS;
		return errno == ECONNABORTED || errno == EINTR;
	}
	let_in(h, door, fd, (const struct sockaddr *)&from, len);
	return true;
}

/* Who has been silent longest gives his back. */
static void make_descriptor(struct httpd *h)
{
	lock_take(&h->lock);
	idlers_end_first(&h->idlers);
	lock_drop(&h->lock);
	log_warn(-EMFILE, "connections wait for a descriptor");
}

/* --- slow clients */

bool httpd_taken(int fd, uint64_t *ret, bool *ret_left)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int queued = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    len < offsetof(struct tcp_info, tcpi_bytes_received))
		return false;
	*ret_left = ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0;
	*ret = info.tcpi_bytes_acked;
	return true;
}

/* More of its body is to come, and the library looks whether it does. */
static bool is_coming_locked(const struct httpd_request *q)
{
	return q->stage == STAGE_BODY || (q->pieces.end && !q->waits && !q->queued);
}

/* The client has hung up in the middle of its body. The library is not told if that came with the
 * last bytes it has read: an edge of epoll's counts once. */
static void note_hangup_locked(struct httpd_request *q)
{
	bool moved = q->seen != q->came;
	char byte;

	q->seen = q->came;
	if (!moved && is_coming_locked(q) &&
	    recv(q->link->idler.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		shutdown(q->link->idler.fd, SHUT_RDWR);
}

/* What a request has moved so far, if its client is the one to move. */
static bool progress_locked(const struct httpd_request *q, uint64_t *ret)
{
	bool left = false;

	if (is_coming_locked(q)) {
		*ret = q->came;
		return true;
	}
	return q->queued && httpd_taken(q->link->idler.fd, ret, &left) && left;
}

/* Of who was always slow, and of who takes nothing any more. */
static void look_locked(struct httpd *h, struct httpd_request *q, int64_t now_ms)
{
	uint64_t moved;

	if (now_ms < q->look_ms)
		return;
	if (!progress_locked(q, &moved)) {
		q->look_ms = 0;
		return;
	}
	if (q->look_ms && moved - q->moved < h->conf.slow_bytes)
		shutdown(q->link->idler.fd, SHUT_RDWR);
	q->moved = moved;
	q->look_ms = now_ms + h->conf.slow_ms;
}

static int64_t stranger_ms(const struct httpd_conf *conf)
{
	return conf->stranger_ms ? conf->stranger_ms : conf->idle_ms;
}

static void sweep(struct httpd *h, int64_t now_ms)
{
	lock_take(&h->lock);
	idlers_end_since(&h->idlers, now_ms - h->conf.idle_ms, now_ms - stranger_ms(&h->conf));
	for (struct httpd_request *q = h->requests; q; q = q->next)
		if (q->in_library && q->link) {
			note_hangup_locked(q);
			look_locked(h, q, now_ms);
		}
	lock_drop(&h->lock);
}

/* --- the keeper */

struct round {
	int64_t sweep_ms, tick_ms; /* when they are due */
	int64_t period_ms;         /* of sweeps */
	bool exhausted;            /* of descriptors */
};

static void tick(struct httpd *h, struct round *r, int64_t now_ms)
{
	lock_take(&h->lock);
	if (now_ms >= r->tick_ms) {
		httpd_wake_all_locked(h);
		r->tick_ms = CLOCK_FOREVER;
	}
	if (h->sleeping && r->tick_ms == CLOCK_FOREVER)
		r->tick_ms = now_ms + HTTPD_POLL_MS;
	lock_drop(&h->lock);
	if (now_ms >= r->sweep_ms) {
		sweep(h, now_ms);
		r->sweep_ms = now_ms + r->period_ms;
	}
}

static int wait_ms(const struct round *r, int64_t now_ms)
{
	int64_t until = min_i64(r->sweep_ms, r->tick_ms);

	if (r->exhausted)
		until = min_i64(until, now_ms + ACCEPT_PAUSE_MS);
	return (int)max_i64(until - now_ms, 0);
}

static void accept_all(struct httpd *h, const struct pollfd *fds, struct round *r)
{
	for (unsigned i = 0; i < h->conf.door_count; i++)
		for (int n = 0; fds[i].revents && !h->closed && n < ACCEPT_BATCH; n++)
			if (!accept_one(h, &h->conf.doors[i], &r->exhausted))
				break;
}

/* Nobody comes in any more once the doors are shut: at once, as the kernel sees it. */
static void close_doors(struct httpd *h)
{
	for (unsigned i = 0; i < h->conf.door_count; i++)
		if (h->conf.doors[i].fd >= 0)
			close(steal_fd(&h->conf.doors[i].fd));
}

static unsigned watch(const struct httpd *h, const struct round *r, struct pollfd *fds)
{
	for (unsigned i = 0; i < h->conf.door_count; i++)
		fds[i] = (struct pollfd){ r->exhausted ? -1 : h->conf.doors[i].fd, POLLIN, 0 };
	fds[h->conf.door_count] = (struct pollfd){ h->wake_fd, POLLIN, 0 };
	return h->conf.door_count + 1;
}

static void look_around(struct httpd *h, struct round *r)
{
	struct pollfd fds[HTTPD_DOORS_MAX + 1];
	unsigned count = watch(h, r, fds);
	uint64_t nudges;

	if (poll(fds, count, wait_ms(r, clock_ms())) < 0)
		return;
	r->exhausted = false;
	if (fds[count - 1].revents)
		(void)!read(h->wake_fd, &nudges, sizeof(nudges));
	if (h->closed)
		close_doors(h);
	else
		accept_all(h, fds, r);
	if (r->exhausted)
		make_descriptor(h);
}

void *httpd_keep(void *arg)
{
	struct httpd *h = arg;
	const struct httpd_conf *conf = &h->conf;
	int64_t period_ms = min_i64(SWEEP_MS, min_i64(stranger_ms(conf), conf->slow_ms) / 4);
	struct round r = { .sweep_ms = clock_ms() + period_ms,
			   .tick_ms = CLOCK_FOREVER,
			   .period_ms = max_i64(period_ms, 1) };

	while (!h->quit) {
		look_around(h, &r);
		tick(h, &r, clock_ms());
	}
	close_doors(h);
	return NULL;
}
