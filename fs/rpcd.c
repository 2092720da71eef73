/* SPDX-License-Identifier: Apache-2.0 */
/* The first loop accepts, and deals the connections out. A connection belongs to one loop for its
 * life: so nobody is told of one that is gone. */
#include "fs/rpcd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "daemon/base/clock.h"
#include "daemon/base/listen.h"
#include "daemon/base/log.h"
#include "fs/rpcd_conn.h"

#define LOOPS 4
#define EVENTS 32
#define CONNS_MAX 1024
#define CLOSE_MS 1000

struct loop {
	struct rpcd *server;
	int epoll;
	pthread_t thread;
	bool started;
	struct rpcd_conn *first; /* guarded by the server's lock */
	uint8_t room[RPCD_ROOM]; /* what it reads into */
};

struct rpcd {
	struct rpcd_all all;   /* `open` are also those that only wait for their last call */
	int listener, stopper; /* the latter is readable when all loops are to end */
	struct loop loops[LOOPS];
	struct lock lock;
	unsigned next_loop; /* guarded by lock */
	bool deaf;          /* the first loop's: nobody is accepted until its next tick */
};

/* ---- connections ---- */

static void list_locked(struct loop *l, struct rpcd_conn *c)
{
	c->next = l->first;
	if (l->first)
		l->first->prev = c;
	l->first = c;
	atomic_fetch_add(&l->server->all.open, 1);
	metrics_add(&l->server->all.conf.metrics->nfs_clients, 1);
}

static void unlist_locked(struct loop *l, struct rpcd_conn *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		l->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	metrics_add(&l->server->all.conf.metrics->nfs_clients, (uint64_t)-1);
}

static void end_conn(struct loop *l, struct rpcd_conn *c)
{
	rpcd_conn_end(c);
	l->server->all.conf.gone(l->server->all.conf.arg, c);
	lock_take(&l->server->lock);
	unlist_locked(l, c);
	lock_drop(&l->server->lock);
	rpcd_conn_unref(c);
}

static void print_address(const struct sockaddr_storage *at, char ret[static NETWORK_ADDRESS_MAX])
{
	const struct sockaddr_in6 *six = (const void *)at;
	const struct sockaddr_in *old = (const void *)at;

	ret[0] = '\0';
	if (at->ss_family == AF_INET)
		inet_ntop(AF_INET, &old->sin_addr, ret, NETWORK_ADDRESS_MAX);
	else if (at->ss_family == AF_INET6)
		network_print(&six->sin6_addr, ret);
}

/* The socket is taken. */
static void add_conn(struct rpcd *s, int fd, const char *address)
{
	void *who = NULL;
	int r = s->all.conf.came(s->all.conf.arg, address, &who), on = 1;
	struct rpcd_conn *c;
	struct loop *l;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	lock_take(&s->lock); /* its loop may be told of it before it is listed, and waits */
	l = &s->loops[s->next_loop++ % LOOPS];
	if (r == 0 && atomic_load(&s->all.open) >= CONNS_MAX)
		r = -EMFILE;
	if (r == 0)
		r = rpcd_conn_new(&s->all, l->epoll, fd, address, who, &c);
	else
		close(fd);
	if (r == 0)
		list_locked(l, c);
	lock_drop(&s->lock);
	if (r == 0)
		return;
	if (who)
		s->all.conf.went(s->all.conf.arg, who);
	log_warn(r, "a client of NFS was sent away address=%s", address);
}

static void accept_one(struct rpcd *s, int fd, const struct sockaddr_storage *at)
{
	char address[NETWORK_ADDRESS_MAX];

	print_address(at, address);
	if (network_has(address, s->all.conf.allow, s->all.conf.allow_count)) {
		add_conn(s, fd, address);
		return;
	}
	close(fd);
	metrics_add(&s->all.conf.metrics->nfs_refused, 1);
	log_line(LOG_LEVEL_WARN, LOG_ONCE_A_PERIOD_,
		 "a client of NFS is in none of the networks of --nfs-allow address=%s", address);
}

static void listen_to_clients(struct rpcd *s, bool on)
{
	struct epoll_event e = { .events = on ? EPOLLIN : 0, .data.ptr = &s->listener };

	s->deaf = !on;
	epoll_ctl(s->loops[0].epoll, EPOLL_CTL_MOD, s->listener, &e);
}

/* Without a descriptor or memory for one more, the listener would be ready all the time. */
static void accept_all(struct rpcd *s)
{
	int e = 0;

	while (e == 0 || e == EINTR || e == ECONNABORTED) {
		struct sockaddr_storage at = { 0 };
		socklen_t len = sizeof(at);
		int fd = accept4(s->listener, (struct sockaddr *)&at, &len,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		e = fd < 0 ? errno : 0;
		if (fd >= 0)
			accept_one(s, fd, &at);
	}
	if (e == EAGAIN)
		return;
	log_warn(-e, "clients of NFS have to wait");
	listen_to_clients(s, false);
}

/* ---- loops ---- */

static void check_all(struct loop *l)
{
	int64_t now_ms = clock_ms();

	lock_take(&l->server->lock);
	for (struct rpcd_conn *c = l->first; c; c = c->next)
		rpcd_conn_check(c, now_ms);
	lock_drop(&l->server->lock);
	if (l != l->server->loops)
		return;
	if (l->server->deaf)
		listen_to_clients(l->server, true);
	l->server->all.conf.tick(l->server->all.conf.arg);
}

/* False at the end. */
static bool handle(struct loop *l, const struct epoll_event *e)
{
	if (e->data.ptr == &l->server->stopper)
		return false;
	if (e->data.ptr == &l->server->listener)
		accept_all(l->server);
	else if (!rpcd_conn_serve(e->data.ptr, e->events, l->room))
		end_conn(l, e->data.ptr);
	return true;
}

static void *run(void *arg)
{
	struct epoll_event events[EVENTS];
	struct loop *l = arg;
	int64_t tick_ms = l->server->all.conf.tick_ms, checked_ms = clock_ms();

	for (;;) {
		int n = epoll_wait(l->epoll, events, EVENTS, (int)tick_ms);

		for (int i = 0; i < n; i++)
			if (!handle(l, &events[i]))
				return NULL;
		if (clock_ms() - checked_ms >= tick_ms) {
			check_all(l);
			checked_ms = clock_ms();
		}
	}
}

static int watch(struct loop *l, int *fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = fd };

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, *fd, &e) < 0 ? -errno : 0;
}

static int start_loop(struct rpcd *s, struct loop *l)
{
	int r;

	l->server = s;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return -errno;
	r = watch(l, &s->stopper);
	if (r == 0 && l == s->loops)
		r = watch(l, &s->listener);
	return r;
}

static int start(struct rpcd *s)
{
	int r = 0;

	for (unsigned i = 0; i < LOOPS && r == 0; i++)
		r = start_loop(s, &s->loops[i]);
	for (unsigned i = 0; i < LOOPS && r == 0; i++) {
		r = thread_start(&s->loops[i].thread, "mfs-nfs", run, &s->loops[i]);
		s->loops[i].started = r == 0;
	}
	return r;
}

int rpcd_open(const struct rpcd_conf *conf, struct rpcd **ret, struct buf *why)
{
	struct rpcd *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->all.conf = *conf;
	lock_init(&s->lock, LOCK_RPCD);
	for (unsigned i = 0; i < LOOPS; i++)
		s->loops[i].epoll = -1;
	s->stopper = eventfd(0, EFD_CLOEXEC);
	s->listener = r = listen_address(conf->listen, why);
	if (r >= 0)
		r = s->stopper < 0 ? -errno : start(s);
	if (r < 0) {
		rpcd_stop(s);
		(void)!rpcd_close(s); /* nobody has come */
		return r;
	}
	log_info("exporting by NFS listen=%s port=%u", conf->listen, rpcd_port_of(s->listener));
	*ret = s;
	return 0;
}

void rpcd_stop(struct rpcd *s)
{
	if (s->stopper >= 0 && eventfd_write(s->stopper, 1) < 0)
		log_debug("the loops of NFS were told to end already");
	for (unsigned i = 0; i < LOOPS; i++)
		if (s->loops[i].started)
			pthread_join(s->loops[i].thread, NULL);
	for (unsigned i = 0; i < LOOPS; i++)
		s->loops[i].started = false;
	closep(&s->listener);
	s->listener = -1;
}

bool rpcd_close(struct rpcd *s)
{
	if (!s)
		return true;
	for (unsigned i = 0; i < LOOPS; i++) {
		while (s->loops[i].first)
			end_conn(&s->loops[i], s->loops[i].first);
		closep(&s->loops[i].epoll);
		s->loops[i].epoll = -1;
	}
	/* Whoever sent the last reply of one may not be through with it. */
	for (unsigned n = 0; atomic_load(&s->all.open) && n < CLOSE_MS; n++)
		clock_sleep_ms(1);
	if (atomic_load(&s->all.open))
		return false;
	closep(&s->stopper);
	lock_fini(&s->lock);
	free(s);
	return true;
}
