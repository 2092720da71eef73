/* SPDX-License-Identifier: Apache-2.0 */
/* relay: the links of a test's network, all in one process and one thread. Each pair listens at an
 * address and passes on what comes to another one: no faster than its link gives to all its
 * connections together, later by its delay, and as faults let it. It knows nothing of what is said.
 * Lines of its input are commands, each answered by one line, "ok ..." or "error ..."; it ends with
 * its input. NAME may be "*" but for `pair`; a rate is bytes a second, 0 for no limit.
 *
 *   pair NAME LISTEN TO UP DOWN DELAY_MS    ADDRESS:PORT both; UP towards TO, DOWN back from it
 *   rate NAME UP DOWN    delay NAME MS
 *   link ADDRESS RATE    what clients that come from there get, through all pairs together
 *   side ADDRESS NUMBER  pairs and clients of different sides do not reach each other; 0: all do
 *   cut NAME             connections are reset; new ones go well
 *   down NAME            the same, and new ones are refused
 *   hang NAME            connections are made and stay, but nothing passes
 *   oneway NAME          requests pass, answers do not
 *   up NAME              all is well again
 *   count                {"NAME": [bytes up, bytes down, connections made, turns], ...}
 *
 * A turn is a client that speaks first or after it was spoken to: a request, with HTTP/1.1 that is
 * not pipelined. While nothing passes, bytes wait in the kernel's buffers, as on a line that loses
 * them: after `up` they go on. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define LINE_MAX_BYTES 4096
#define NAME_BYTES 64
#define TICK_US 2000
#define PIECE (64 << 10)
#define PIECE_LIMITED (8 << 10) /* of a link that others wait for */
#define ROUNDS 8                /* before others have their turn */
#define QUEUE (256 << 10)
#define QUEUE_DELAYED (8 << 20)
#define SOCKET_BUFFER (256 << 10) /* else the kernel would take megabytes that no rate holds */

enum mode { MODE_UP, MODE_HANG, MODE_ONEWAY, MODE_DOWN };
enum direction { UP, DOWN };

struct half;

/* So much may go, and who waits for more. */
struct bucket {
	struct bucket *next; /* of all */
	uint64_t rate;
	double tokens;
	int64_t at_us;
	struct half *first, *last;
};

/* A machine of the test, by its address. */
struct host {
	struct host *next;
	struct in_addr address;
	unsigned side;
	struct bucket in;
};

struct watch {
	enum { WATCH_INPUT, WATCH_PAIR, WATCH_CLIENT, WATCH_TARGET } kind;
	void *owner;
};

struct pair {
	struct pair *next;
	char name[NAME_BYTES];
	struct sockaddr_in at, to;
	struct host *host;
	struct watch watch;
	int fd; /* -1: down */
	enum mode mode;
	int64_t delay_us;
	struct bucket bucket[2];
	uint64_t bytes[2], connections, turns;
	struct flow *flows;
};

struct piece {
	struct piece *next;
	int64_t due_us;
	size_t at, len;
	char data[];
};

/* One direction of a connection. */
struct half {
	struct flow *flow;
	enum direction direction;
	bool readable, writable, ended, shut;
	struct piece *first, *last;
	size_t queued;
	bool is_late, is_again; /* on these lists */
	struct half *next_late, *next_again, *next_waiting;
	struct bucket *waits;
};

struct flow {
	struct flow *prev, *next;
	struct pair *pair;
	struct host *client;
	int fd[2]; /* UP: reads of the client; DOWN: of the target */
	struct watch watch[2];
	struct half half[2];
	bool spoke; /* the client, last */
	bool dead;
};

static struct pair *pairs;
static struct host *hosts;
static struct bucket *buckets;
static struct half *late, *again;
static struct flow *dead;
static int epoll;
static int64_t now_us;

static void tell_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* --- rates */

/* What comes at once at least: a hundredth of a second's. */
static double bucket_step(const struct bucket *b)
{
	double step = (double)b->rate / 100;

	return step < 1 ? 1 : step;
}

static void bucket_set(struct bucket *b, uint64_t rate)
{
	b->rate = rate;
	b->tokens = 0;
	b->at_us = now_us;
}

static void bucket_init(struct bucket *b, uint64_t rate)
{
	bucket_set(b, rate);
	b->next = buckets;
	buckets = b;
}

static void bucket_fill(struct bucket *b)
{
	double most = 4 * bucket_step(b);

	b->tokens += (double)(now_us - b->at_us) / 1e6 * (double)b->rate;
	b->at_us = now_us;
	if (b->tokens > most)
		b->tokens = most;
}

static void bucket_wait(struct bucket *b, struct half *h)
{
	h->waits = b;
	h->next_waiting = NULL;
	if (b->last)
		b->last->next_waiting = h;
	else
		b->first = h;
	b->last = h;
}

static struct half *bucket_pop(struct bucket *b)
{
	struct half *h = b->first;

	b->first = h->next_waiting;
	if (!b->first)
		b->last = NULL;
	h->waits = NULL;
	return h;
}

static void bucket_leave(struct half *h)
{
	struct bucket *b = h->waits;
	struct half **at = &b->first, *before = NULL;

	for (; *at != h; at = &(*at)->next_waiting)
		before = *at;
	*at = h->next_waiting;
	if (b->last == h)
		b->last = before;
	h->waits = NULL;
}

/* The buckets that a direction takes from. */
static unsigned half_buckets(struct half *h, struct bucket *ret[2])
{
	struct bucket *own = &h->flow->pair->bucket[h->direction], *in = &h->flow->client->in;
	unsigned count = 0;

	if (own->rate)
		ret[count++] = own;
	if (h->direction == DOWN && in->rate)
		ret[count++] = in;
	return count;
}

/* How much may pass now; if that is nothing, it waits for it. Who was `served` has waited. */
static size_t half_may(struct half *h, bool served)
{
	struct bucket *of[2];
	unsigned count = half_buckets(h, of);
	size_t most = count ? PIECE_LIMITED : PIECE;

	for (unsigned i = 0; i < count; i++) {
		bucket_fill(of[i]);
		if (of[i]->tokens < 1 || (of[i]->first && !served)) {
			bucket_wait(of[i], h);
			return 0;
		}
		if (of[i]->tokens < (double)most)
			most = (size_t)of[i]->tokens;
	}
	return most;
}

static void half_pay(struct half *h, size_t len)
{
	struct bucket *of[2];
	unsigned count = half_buckets(h, of);

	for (unsigned i = 0; i < count; i++)
		of[i]->tokens -= (double)len;
}

/* --- connections */

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
		if (f->half[i].waits)
			bucket_leave(&f->half[i]);
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

/* The same at once, with what is on its way. */
static void flow_reset(struct flow *f)
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

static void half_again(struct half *h)
{
	if (h->is_again)
		return;
	h->is_again = true;
	h->next_again = again;
	again = h;
}

static void half_late(struct half *h)
{
	if (h->is_late)
		return;
	h->is_late = true;
	h->next_late = late;
	late = h;
}

static void half_queue(struct half *h, const char *data, size_t len)
{
	struct piece *p = malloc(sizeof(*p) + len);

	if (!p)
		err(1, "malloc");
	*p = (struct piece){ .len = len, .due_us = now_us + h->flow->pair->delay_us };
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

		if (p->due_us > now_us) {
			half_late(h);
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

static void half_pump(struct half *h, bool served)
{
	size_t queue = h->flow->pair->delay_us ? QUEUE_DELAYED : QUEUE;

	if (h->flow->dead || !half_flush(h))
		return;
	for (int round = 0; h->readable && !h->ended && !h->waits && !is_blocked(h); round++) {
		size_t most = h->queued < queue ? half_may(h, served) : 0;

		if (!most)
			break;
		if (round == ROUNDS) {
			half_again(h);
			break;
		}
		if (!half_take(h, most))
			break;
		served = false;
	}
	if (!h->flow->dead)
		half_end(h);
}

/* --- new connections */

static struct host *host_of(struct in_addr address)
{
	struct host *h = hosts;

	while (h && h->address.s_addr != address.s_addr)
		h = h->next;
	if (h)
		return h;
	h = calloc(1, sizeof(*h));
	if (!h)
		err(1, "calloc");
	h->address = address;
	h->next = hosts;
	hosts = h;
	bucket_init(&h->in, 0);
	return h;
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
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, f->fd[i], &event) < 0)
			err(1, "epoll_ctl");
	}
}

static void flow_start(struct pair *p, int client, struct in_addr from)
{
	int target = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct flow *f = calloc(1, sizeof(*f));

	if (target < 0 || !f)
		err(1, "no more connections");
	tune(target);
	if (connect(target, (struct sockaddr *)&p->to, sizeof(p->to)) < 0 && errno != EINPROGRESS) {
		close(target);
		close(client);
		free(f);
		return;
	}
	*f = (struct flow){ .pair = p, .client = host_of(from), .fd = { client, target } };
	f->next = p->flows;
	if (f->next)
		f->next->prev = f;
	p->flows = f;
	p->connections++;
	flow_watch(f);
}

static void pair_accept(struct pair *p)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	int fd;

	while ((fd = accept4(p->fd, (struct sockaddr *)&from, &len,
			     SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		tune(fd);
		flow_start(p, fd, from.sin_addr);
	}
}

static const char *pair_listen(struct pair *p)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &p->watch };
	int on = 1;

	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd < 0)
		err(1, "socket");
	setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(p->fd, (struct sockaddr *)&p->at, sizeof(p->at)) < 0 || listen(p->fd, 1024) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, p->fd, &event) < 0) {
		close(p->fd);
		p->fd = -1;
		return strerror(errno);
	}
	return NULL;
}

/* --- commands: each returns NULL or what is wrong */

static bool parse_address(char *text, struct sockaddr_in *ret)
{
	char *colon = strrchr(text, ':');

	*ret = (struct sockaddr_in){ .sin_family = AF_INET };
	if (!colon)
		return false;
	*colon = '\0';
	ret->sin_port = htons((uint16_t)atoi(colon + 1));
	return inet_pton(AF_INET, text, &ret->sin_addr) == 1;
}

static const char *do_pair(char **word)
{
	struct pair *p = calloc(1, sizeof(*p));
	const char *wrong;

	if (!p)
		err(1, "calloc");
	snprintf(p->name, sizeof(p->name), "%s", word[1]);
	p->watch = (struct watch){ WATCH_PAIR, p };
	wrong = parse_address(word[2], &p->at) && parse_address(word[3], &p->to) ? pair_listen(p)
										 : "no address";
	if (wrong) {
		free(p);
		return wrong;
	}
	p->host = host_of(p->at.sin_addr);
	p->delay_us = atoll(word[6]) * 1000;
	bucket_init(&p->bucket[UP], strtoull(word[4], NULL, 10));
	bucket_init(&p->bucket[DOWN], strtoull(word[5], NULL, 10));
	p->next = pairs;
	pairs = p;
	return NULL;
}

/* What waits for a bucket that gives at another rate now, or was blocked, is looked at again. */
static void pair_wake(struct pair *p)
{
	for (struct flow *f = p->flows; f; f = f->next) {
		for (int i = 0; i < 2; i++) {
			if (f->half[i].waits)
				bucket_leave(&f->half[i]);
			half_again(&f->half[i]);
		}
	}
}

static void wake_all(void)
{
	for (struct pair *p = pairs; p; p = p->next)
		pair_wake(p);
}

static void pair_cut(struct pair *p)
{
	while (p->flows)
		flow_reset(p->flows);
}

static const char *pair_mode(struct pair *p, enum mode mode)
{
	const char *wrong = NULL;

	p->mode = mode;
	if (mode == MODE_DOWN) {
		if (p->fd >= 0)
			close(p->fd);
		p->fd = -1;
		pair_cut(p);
	} else if (p->fd < 0) {
		wrong = pair_listen(p);
	}
	pair_wake(p);
	return wrong;
}

static const char *change(struct pair *p, char **word)
{
	static const char *const modes[] = { "up", "hang", "oneway", "down" };

	if (strcmp(word[0], "rate") == 0 && word[2] && word[3]) {
		bucket_set(&p->bucket[UP], strtoull(word[2], NULL, 10));
		bucket_set(&p->bucket[DOWN], strtoull(word[3], NULL, 10));
		pair_wake(p);
		return NULL;
	}
	if (strcmp(word[0], "delay") == 0 && word[2]) {
		p->delay_us = atoll(word[2]) * 1000;
		return NULL;
	}
	if (strcmp(word[0], "cut") == 0) {
		pair_cut(p);
		return NULL;
	}
	for (int i = 0; i < 4; i++) {
		if (strcmp(word[0], modes[i]) == 0)
			return pair_mode(p, (enum mode)i);
	}
	return "no such command";
}

static const char *do_change(char **word)
{
	const char *wrong = "no such pair";

	for (struct pair *p = pairs; p; p = p->next) {
		if (strcmp(word[1], "*") != 0 && strcmp(word[1], p->name) != 0)
			continue;
		wrong = change(p, word);
		if (wrong)
			break;
	}
	return wrong;
}

static const char *do_host(char **word)
{
	struct in_addr address;

	if (inet_pton(AF_INET, word[1], &address) != 1)
		return "no address";
	if (strcmp(word[0], "side") == 0)
		host_of(address)->side = (unsigned)atoi(word[2]);
	else
		bucket_set(&host_of(address)->in, strtoull(word[2], NULL, 10));
	wake_all();
	return NULL;
}

static void print_counts(void)
{
	const char *comma = "";

	printf("ok {");
	for (struct pair *p = pairs; p; p = p->next, comma = ", ")
		printf("%s\"%s\": [%ju, %ju, %ju, %ju]", comma, p->name, (uintmax_t)p->bytes[UP],
		       (uintmax_t)p->bytes[DOWN], (uintmax_t)p->connections, (uintmax_t)p->turns);
	printf("}\n");
}

static void obey(char *line)
{
	char *word[8] = { NULL }, *rest = NULL;
	const char *wrong = NULL;
	int count = 0;

	for (char *w = strtok_r(line, " ", &rest); w && count < 7; w = strtok_r(NULL, " ", &rest))
		word[count++] = w;
	if (count == 1 && strcmp(word[0], "count") == 0) {
		print_counts();
	} else {
		if (count == 7 && strcmp(word[0], "pair") == 0)
			wrong = do_pair(word);
		else if (count == 3 &&
			 (strcmp(word[0], "side") == 0 || strcmp(word[0], "link") == 0))
			wrong = do_host(word);
		else
			wrong = count >= 2 ? do_change(word) : "no such command";
		printf(wrong ? "error %s\n" : "ok\n", wrong);
	}
	fflush(stdout);
}

/* False at the end of the input. */
static bool hear_input(void)
{
	static char text[LINE_MAX_BYTES];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, text + len, sizeof(text) - len);
	char *end;

	if (n <= 0)
		return false;
	len += (size_t)n;
	while ((end = memchr(text, '\n', len))) {
		size_t used = (size_t)(end + 1 - text);

		*end = '\0';
		obey(text);
		len -= used;
		memmove(text, text + used, len);
	}
	return len < sizeof(text);
}

/* --- the loop */

static void hear_flow(struct flow *f, enum direction end, uint32_t events)
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

static bool hear(const struct epoll_event *e)
{
	struct watch *w = e->data.ptr;

	if (w->kind == WATCH_INPUT)
		return hear_input();
	if (w->kind == WATCH_PAIR)
		pair_accept(w->owner);
	else
		hear_flow(w->owner, w->kind == WATCH_TARGET ? DOWN : UP, e->events);
	return true;
}

static void pump_again(void)
{
	struct half *h = again;

	again = NULL;
	while (h) {
		struct half *next = h->next_again;

		h->is_again = false;
		half_pump(h, false);
		h = next;
	}
}

static void pump_late(void)
{
	struct half *h = late;

	late = NULL;
	while (h) {
		struct half *next = h->next_late;

		h->is_late = false;
		half_pump(h, false);
		h = next;
	}
}

/* Once around. */
static void bucket_serve(struct bucket *b)
{
	const struct half *last = b->last, *h = NULL;

	while (b->first && b->tokens >= 1 && h != last) {
		struct half *next = bucket_pop(b);

		half_pump(next, true);
		h = next;
	}
}

/* True if anybody still waits for bytes. */
static bool serve_waiting(void)
{
	bool waits = false;

	for (struct bucket *b = buckets; b; b = b->next) {
		bucket_fill(b);
		if (b->tokens >= bucket_step(b))
			bucket_serve(b);
		waits |= b->first != NULL;
	}
	return waits;
}

static bool is_listed(const struct flow *f)
{
	return f->half[UP].is_late || f->half[UP].is_again || f->half[DOWN].is_late ||
	       f->half[DOWN].is_again;
}

static void bury(void)
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

static void run(void)
{
	struct epoll_event events[EVENTS];
	int64_t ticked_us = 0;
	bool waits = false;

	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS,
				   again           ? 0
				   : waits || late ? TICK_US / 1000
						   : -1);

		tell_time();
		for (int i = 0; i < n; i++) {
			if (!hear(&events[i]))
				return;
		}
		pump_again();
		if (now_us - ticked_us >= TICK_US || !waits) {
			ticked_us = now_us;
			pump_late();
			waits = serve_waiting();
		}
		bury();
	}
}

int main(void)
{
	struct watch input = { WATCH_INPUT, NULL };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &input };
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	tell_time();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
		err(1, "epoll");
	run();
	return 0;
}
