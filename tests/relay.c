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
#include "tests/relay_priv.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/own.h"

#define EVENTS 256
#define LINE_MAX_BYTES 4096
#define WORDS_MAX 7
#define TICK_US 2000

static struct pair *pairs;
static struct host *hosts;
int64_t relay_now_us;
int relay_epoll;

static void tell_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	relay_now_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* --- pairs */

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

static void pair_accept(struct pair *p)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	socklen_t len = sizeof(from);
	int fd;

	while ((fd = accept4(p->fd, (struct sockaddr *)&from, &len,
			     SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		flow_start(p, fd, host_of(from.sin_addr));
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
	    epoll_ctl(relay_epoll, EPOLL_CTL_ADD, p->fd, &event) < 0) {
		close(p->fd);
		p->fd = -1;
		return strerror(errno);
	}
	return NULL;
}

/* --- commands: each returns NULL, or what is wrong, or ANSWERED if it has printed its answer */

static const char ANSWERED[] = "";

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
			half_leave(&f->half[i]);
			half_list(&f->half[i], AGAIN);
		}
	}
}

static void wake_all(void)
{
	for (struct pair *p = pairs; p; p = p->next)
		pair_wake(p);
}

static const char *pair_cut(struct pair *p, char **word UNUSED)
{
	while (p->flows)
		flow_reset(p->flows);
	return NULL;
}

static const char *pair_mode(struct pair *p, enum mode mode)
{
	const char *wrong = NULL;

	p->mode = mode;
	if (mode == MODE_DOWN) {
		if (p->fd >= 0)
			close(p->fd);
		p->fd = -1;
		pair_cut(p, NULL);
	} else if (p->fd < 0) {
		wrong = pair_listen(p);
	}
	pair_wake(p);
	return wrong;
}

static const char *pair_up(struct pair *p, char **word UNUSED)
{
	return pair_mode(p, MODE_UP);
}

static const char *pair_hang(struct pair *p, char **word UNUSED)
{
	return pair_mode(p, MODE_HANG);
}

static const char *pair_oneway(struct pair *p, char **word UNUSED)
{
	return pair_mode(p, MODE_ONEWAY);
}

static const char *pair_down(struct pair *p, char **word UNUSED)
{
	return pair_mode(p, MODE_DOWN);
}

static const char *pair_rate(struct pair *p, char **word)
{
	bucket_set(&p->bucket[UP], strtoull(word[2], NULL, 10));
	bucket_set(&p->bucket[DOWN], strtoull(word[3], NULL, 10));
	pair_wake(p);
	return NULL;
}

static const char *pair_delay(struct pair *p, char **word)
{
	p->delay_us = atoll(word[2]) * 1000;
	return NULL;
}

/* The host of that address; NULL: it is none. */
static struct host *named_host(const char *text)
{
	struct in_addr address;

	return inet_pton(AF_INET, text, &address) == 1 ? host_of(address) : NULL;
}

static const char *do_side(char **word)
{
	struct host *h = named_host(word[1]);

	if (!h)
		return "no address";
	h->side = (unsigned)atoi(word[2]);
	wake_all();
	return NULL;
}

static const char *do_link(char **word)
{
	struct host *h = named_host(word[1]);

	if (!h)
		return "no address";
	bucket_set(&h->in, strtoull(word[2], NULL, 10));
	wake_all();
	return NULL;
}

static const char *do_count(char **word UNUSED)
{
	const char *comma = "";

	printf("ok {");
	for (struct pair *p = pairs; p; p = p->next, comma = ", ")
		printf("%s\"%s\": [%ju, %ju, %ju, %ju]", comma, p->name, (uintmax_t)p->bytes[UP],
		       (uintmax_t)p->bytes[DOWN], (uintmax_t)p->connections, (uintmax_t)p->turns);
	printf("}\n");
	return ANSWERED;
}

/* What is to be done once, or for each pair of that name. */
static const struct command {
	const char *name;
	int words; /* this one, too */
	const char *(*once)(char **word);
	const char *(*each)(struct pair *p, char **word);
} commands[] = {
	{ "pair", 7, .once = do_pair },       { "link", 3, .once = do_link },
	{ "side", 3, .once = do_side },       { "count", 1, .once = do_count },
	{ "rate", 4, .each = pair_rate },     { "delay", 3, .each = pair_delay },
	{ "cut", 2, .each = pair_cut },       { "down", 2, .each = pair_down },
	{ "hang", 2, .each = pair_hang },     { "up", 2, .each = pair_up },
	{ "oneway", 2, .each = pair_oneway },
};

static const char *do_each(const struct command *c, char **word)
{
	const char *wrong = "no such pair";

	for (struct pair *p = pairs; p; p = p->next) {
		if (strcmp(word[1], "*") != 0 && strcmp(word[1], p->name) != 0)
			continue;
		wrong = c->each(p, word);
		if (wrong)
			break;
	}
	return wrong;
}

static const char *do_command(char **word, int count)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];

		if (count == c->words && strcmp(word[0], c->name) == 0)
			return c->once ? c->once(word) : do_each(c, word);
	}
	return "no such command";
}

static void obey(char *line)
{
	char *word[WORDS_MAX] = { NULL }, *rest = NULL;
	const char *wrong;
	int count = 0;

	for (char *w = strtok_r(line, " ", &rest); w && count < WORDS_MAX;
	     w = strtok_r(NULL, " ", &rest))
		word[count++] = w;
	wrong = do_command(word, count);
	if (wrong != ANSWERED)
		printf(wrong ? "error %s\n" : "ok\n", wrong);
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

static bool hear(const struct epoll_event *e)
{
	struct watch *w = e->data.ptr;

	if (w->kind == WATCH_INPUT)
		return hear_input();
	if (w->kind == WATCH_PAIR)
		pair_accept(w->owner);
	else
		flow_hear(w->owner, w->kind == WATCH_TARGET ? DOWN : UP, e->events);
	return true;
}

static void run(void)
{
	struct epoll_event events[EVENTS];
	int64_t ticked_us = 0;
	bool waits = false;

	for (;;) {
		int n = epoll_wait(relay_epoll, events, EVENTS,
				   flows_listed(AGAIN)           ? 0
				   : waits || flows_listed(LATE) ? TICK_US / 1000
								 : -1);

		tell_time();
		for (int i = 0; i < n; i++) {
			if (!hear(&events[i]))
				return;
		}
		flows_pump(AGAIN);
		if (relay_now_us - ticked_us >= TICK_US || !waits) {
			ticked_us = relay_now_us;
			flows_pump(LATE);
			waits = buckets_serve();
		}
		flows_bury();
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
	relay_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (relay_epoll < 0 || epoll_ctl(relay_epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
		err(1, "epoll");
	run();
	return 0;
}
