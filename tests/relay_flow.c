/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/relay_priv.h"

#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/base/own.h"

#define ROUNDS 8 /* before others have their turn */
#define QUEUE (256 << 10)
#define QUEUE_DELAYED (8 << 20)
#define SOCKET_BUFFER (256 << 10) /* else the kernel would take megabytes that no rate holds */

struct piece {
	struct piece *next;
	int64_t due_us;
	size_t at, len;
	char data[];
};

static struct half *listed[PUMPED];
static struct flow *dead;

static bool is_blocked(const struct half *h)
{
	const struct pair *p = h->flow->pair;
	unsigned here = p->host->side, there = h->flow->client->side;

	return p->mode == MODE_HANG || (p->mode == MODE_ONEWAY && h->direction == DOWN) ||
	       (here && there && here != there);
}

/* Closes both ends; the memory stays while it is on a list. */
static void flow_close(struct flow *f)
{
	for (int i = 0; i < 2; i++) {
		close(f->fd[i]);
		half_leave(&f->half[i]);
	}
	if (f->prev)
		f->prev->next = f->next;
	else
		f->pair->flows = f->next;
	if (f->next)
		f->next->prev = f->prev;
	f->dead = true;
	f->next = dead;
	dead = f;
}

void flow_reset(struct flow *f)
{
	struct linger now = { .l_onoff = 1 };

	if (f->dead)
		return;
	for (int i = 0; i < 2; i++)
		setsockopt(f->fd[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	flow_close(f);
}

static void flow_free(struct flow *f)
{
	for (int i = 0; i < 2; i++) {
		for (struct piece *p = f->half[i].first, *next; p; p = next) {
			next = p->next;
			free(p);
		}
	}
	free(f);
}

void half_list(struct half *h, enum pumped why)
{
	if (h->is_listed[why])
		return;
	h->is_listed[why] = true;
	h->next_listed[why] = listed[why];
	listed[why] = h;
}

static void half_queue(struct half *h, const char *data, size_t len)
{
	struct piece *p = malloc(sizeof(*p) + len);

	if (!p)
		err(1, "malloc");
	*p = (struct piece){ .len = len, .due_us = relay_now_us + h->flow->pair->delay_us };
	memcpy(p->data, data, len);
	if (h->last)
		h->last->next = p;
	else
		h->first = p;
	h->last = p;
	h->queued += len;
}

/* Sends; how much went, -1: the connection is over. */
static ssize_t half_send(struct half *h, const char *data, size_t len)
{
	ssize_t n = send(h->flow->fd[!h->direction], data, len, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		flow_reset(h->flow);
		return -1;
	}
	if (n < (ssize_t)len)
		h->writable = false;
	return n < 0 ? 0 : n;
}

/* Sends what is due; false if the connection is over. */
static bool half_flush(struct half *h)
{
	while (h->first && h->writable && !is_blocked(h)) {
		struct piece *p = h->first;
		ssize_t n;

		if (p->due_us > relay_now_us) {
			half_list(h, LATE);
			return true;
		}
		n = half_send(h, p->data + p->at, p->len - p->at);
		if (n < 0)
			return false;
		p->at += (size_t)n;
		h->queued -= (size_t)n;
		if (p->at < p->len)
			break;
		h->first = p->next;
		if (!h->first)
			h->last = NULL;
		free(p);
	}
	return true;
}

static void note(struct half *h, size_t len)
{
	struct flow *f = h->flow;

	half_pay(h, len);
	f->pair->bytes[h->direction] += len;
	f->pair->turns += h->direction == UP && !f->spoke;
	f->spoke = h->direction == UP;
}

/* Takes up to `most` bytes; what can go at once goes without a copy. False if no more are there. */
static bool half_take(struct half *h, size_t most)
{
	static char data[PIECE];
	ssize_t n = recv(h->flow->fd[h->direction], data, most, 0), sent = 0;

	if (n < 0 && errno != EAGAIN) {
		flow_reset(h->flow);
		return false;
	}
	h->ended = n == 0;
	h->readable = n > 0;
	if (n <= 0)
		return false;
	note(h, (size_t)n);
	if (!h->first && !h->flow->pair->delay_us && h->writable)
		sent = half_send(h, data, (size_t)n);
	if (sent >= 0 && sent < n)
		half_queue(h, data + sent, (size_t)(n - sent));
	return sent >= 0 && half_flush(h);
}

static void half_end(struct half *h)
{
	struct flow *f = h->flow;

	if (!h->ended || h->shut || h->first || is_blocked(h))
		return;
	h->shut = true;
	shutdown(f->fd[!h->direction], SHUT_WR);
	if (f->half[UP].shut && f->half[DOWN].shut)
		flow_close(f);
}

void half_pump(struct half *h, bool served)
{
	size_t queue = h->flow->pair->delay_us ? QUEUE_DELAYED : QUEUE;

	if (h->flow->dead || !half_flush(h))
		return;
	for (int round = 0; h->readable && !h->ended && !h->waits && !is_blocked(h); round++) {
		size_t most = h->queued < queue ? half_may(h, served) : 0;

		if (!most)
			break;
		if (round == ROUNDS) {
			half_list(h, AGAIN);
			break;
		}
		if (!half_take(h, most))
			break;
		served = false;
	}
	if (!h->flow->dead)
		half_end(h);
}

static void tune(int fd)
{
	int on = 1, bytes = SOCKET_BUFFER / 2; /* the kernel doubles it */

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static void flow_watch(struct flow *f)
{
	for (int i = 0; i < 2; i++) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
					     .data.ptr = &f->watch[i] };

		f->half[i] = (struct half){ .flow = f, .direction = (enum direction)i };
		f->watch[i] = (struct watch){ i ? WATCH_TARGET : WATCH_CLIENT, f };
		if (epoll_ctl(relay_epoll, EPOLL_CTL_ADD, f->fd[i], &event) < 0)
			err(1, "epoll_ctl");
	}
}

void flow_start(struct pair *p, int client, struct host *from)
{
	int target = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct flow *f = calloc(1, sizeof(*f));

	if (target < 0 || !f)
		err(1, "no more connections");
	tune(client);
	tune(target);
	if (connect(target, (struct sockaddr *)&p->to, sizeof(p->to)) < 0 && errno != EINPROGRESS) {
		close(target);
		close(client);
		free(f);
		return;
	}
	*f = (struct flow){ .pair = p, .client = from, .fd = { client, target } };
	f->next = p->flows;
	if (f->next)
		f->next->prev = f;
	p->flows = f;
	p->connections++;
	flow_watch(f);
}

void flow_hear(struct flow *f, enum direction end, uint32_t events)
{
	struct half *from = &f->half[end], *to = &f->half[!end];

	if (f->dead)
		return;
	if (events & EPOLLOUT)
		to->writable = true;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		from->readable = true;
	half_pump(from, false);
	half_pump(to, false);
}

/* --- those that are not done */

bool flows_listed(enum pumped why)
{
	return listed[why] != NULL;
}

void flows_pump(enum pumped why)
{
	struct half *h = steal(listed[why]);

	while (h) {
		struct half *next = h->next_listed[why];

		h->is_listed[why] = false;
		half_pump(h, false);
		h = next;
	}
}

static bool is_listed(const struct flow *f)
{
	bool so = false;

	for (enum pumped why = 0; why < PUMPED; why++)
		so |= f->half[UP].is_listed[why] || f->half[DOWN].is_listed[why];
	return so;
}

void flows_bury(void)
{
	for (struct flow **at = &dead, *f; (f = *at);) {
		if (is_listed(f)) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		flow_free(f);
	}
}
