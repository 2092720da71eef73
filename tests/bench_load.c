/* SPDX-License-Identifier: Apache-2.0 */
/* Many HTTP/1.1 clients in one thread, and what they saw: what wrk and ab do, but also for HEAD, at
 * a fixed rate, of ranges, and with each byte compared. Made and run by tools/bench alone.
 *
 *     bench_load [OPTION]... ADDRESS PORT TARGET
 *         -c COUNT    connections, kept alive (1)
 *         -t SECONDS  so long (5), then what is under way is left; or
 *         -n COUNT    so many requests on each connection, however long that takes
 *         -r RATE     requests a second in all; latency counts from when a request was due
 *         -m METHOD   GET
 *         -f FIELD    a line of the head, as often as wanted
 *         -b BYTES    each asks for the next range of so many bytes,
 *         -s BYTES    of a file of this size
 *         -x FILE     whole bodies are compared with it; else nobody looks at them
 *         -k FILE     each is signed with the key of a cluster of peers,
 *         -a ADDRESS  for the member of that name
 *         -i          asks once on each connection, says "idle", waits for its input, and then
 *                     counts those that were closed meanwhile as failures
 *
 * Prints: requests, seconds, bytes of bodies, failures, and milliseconds of the median request, of
 * the 99th of 100 and of the slowest. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/peer/cluster_key.h"

#define HEAD_MAX 8192
#define PIECE (256 * 1024)
#define DRAIN (4 << 20) /* thrown away by the kernel at once */
#define FIELDS_MAX 2048
#define EVENTS 256
#define STUCK_SECONDS 300

struct client {
	int fd;
	char head[HEAD_MAX + 1];
	size_t got; /* of the head */
	bool busy, in_body;
	uint64_t at, length; /* of the body */
	double due;
	unsigned done;       /* requests */
	struct client *next; /* that has nothing to do */
};

static struct {
	struct sockaddr_in to;
	const char *host, *target, *method, *file, *member;
	char fields[FIELDS_MAX];
	unsigned connections, each;
	double seconds, rate;
	uint64_t range, size;
	bool idle;
} conf = { .connections = 1, .seconds = 5, .method = "GET", .member = "" };

static struct cluster_key *key;
static const char *whole; /* bytes that bodies are to be */
static uint64_t whole_len, range_at;
static uint64_t requests, bytes, failures;
static uint32_t *latencies; /* microseconds */
static size_t latency_count, latency_cap;
static struct client *clients, *resting;
static unsigned busy;
static int epoll;
static double started, sent_due;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void note_latency(double seconds)
{
	if (latency_count == latency_cap) {
		latency_cap = latency_cap ? 2 * latency_cap : 4096;
		latencies = realloc(latencies, latency_cap * sizeof(*latencies));
		if (!latencies)
			err(1, "realloc");
	}
	latencies[latency_count++] = (uint32_t)(seconds * 1e6);
}

/* --- connections */

static void open_connection(struct client *c)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		err(1, "socket");
	if (connect(c->fd, (struct sockaddr *)&conf.to, sizeof(conf.to)) < 0)
		err(1, "connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
		err(1, "epoll_ctl");
}

/* The field that tells a peer who asks; "" if there is no key. `range` is a whole line. */
static const char *authorization(const char *range)
{
	static struct buf field;
	char value[64] = "", nonce[CLUSTER_NONCE_HEX + 1];
	const struct cluster_words words = {
		.method = conf.method,
		.target = conf.target,
		.range = value,
		.node = "127.0.0.1:1",
		.to = conf.member,
		.zone = "",
	};

	buf_clear(&field);
	if (!key)
		return "";
	sscanf(range, "Range: %63s", value);
	if (buf_add_str(&field, "Authorization: ") < 0 ||
	    cluster_key_sign(key, &words, (int64_t)time(NULL) * 1000, &field, nonce) < 0 ||
	    buf_add_str(&field, "\r\n") < 0)
		errx(1, "a request could not be signed");
	return buf_str(&field);
}

static void ask(struct client *c, double due)
{
	char text[HEAD_MAX], range[64] = "";
	int n;

	if (conf.range) {
		uint64_t to = range_at + conf.range < conf.size ? range_at + conf.range : conf.size;

		snprintf(range, sizeof(range), "Range: bytes=%ju-%ju\r\n", (uintmax_t)range_at,
			 (uintmax_t)to - 1);
		range_at = to < conf.size ? to : 0;
	}
	n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", conf.method,
		     conf.target, conf.host, range, authorization(range), conf.fields);
	if (c->fd < 0)
		open_connection(c);
	c->got = 0;
	c->in_body = false;
	c->due = due;
	c->busy = true;
	busy++;
	if (n >= (int)sizeof(text) || send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		errx(1, "a request could not be sent");
}

/* --- what comes back */

static void rest(struct client *c)
{
	busy--;
	c->busy = false;
	c->done++;
	c->next = resting;
	resting = c;
}

static void succeed(struct client *c)
{
	requests++;
	note_latency(now() - c->due);
	rest(c);
}

static void fail(struct client *c)
{
	failures++;
	rest(c);
	close(c->fd);
	c->fd = -1;
}

static const char *field(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = head; (at = strstr(at, "\r\n")); at += 2)
		if (strncasecmp(at + 2, name, len) == 0 && at[2 + len] == ':')
			return at + 3 + len;
	return NULL;
}

static bool is_as_it_should_be(const struct client *c, const char *data, size_t len)
{
	return !whole || (c->at + len <= whole_len && memcmp(data, whole + c->at, len) == 0);
}

/* Takes bytes of a body; false if they are wrong. */
static bool take(struct client *c, const char *data, size_t len)
{
	bool right = data == NULL || is_as_it_should_be(c, data, len);

	c->at += len;
	bytes += len;
	return right && c->at <= c->length;
}

/* 1 if the head is whole, 0 if more is to come, negative if it is no good answer. */
static int read_head(struct client *c)
{
	ssize_t n = recv(c->fd, c->head + c->got, HEAD_MAX - c->got, 0);
	const char *length;
	char *end;

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -1;
	c->got += (size_t)n;
	c->head[c->got] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return c->got < HEAD_MAX ? 0 : -1;
	end += 4;
	length = field(c->head, "Content-Length");
	if (strncmp(c->head, "HTTP/1.1 20", 11) != 0 || !length)
		return -1;
	c->at = 0;
	c->length = strcmp(conf.method, "HEAD") == 0 ? 0 : strtoull(length, NULL, 10);
	c->in_body = true;
	return take(c, end, (size_t)(c->head + c->got - end)) ? 1 : -1;
}

/* How many bytes came, 0 if none for now, negative at the end. */
static ssize_t read_body(struct client *c)
{
	static char piece[PIECE];
	uint64_t left = c->length - c->at, most = whole ? PIECE : DRAIN;
	ssize_t n = recv(c->fd, whole ? piece : NULL, left < most ? (size_t)left : (size_t)most,
			 whole ? 0 : MSG_TRUNC);

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -1;
	return take(c, whole ? piece : NULL, (size_t)n) ? n : -1;
}

/* Who is at rest hears only that the server has closed its connection. */
static void hear(struct client *c)
{
	int r;

	if (!c->busy) {
		failures++;
		close(c->fd);
		c->fd = -1;
		return;
	}
	r = c->in_body ? 1 : read_head(c);
	if (r > 0 && c->at < c->length && read_body(c) < 0)
		r = -1;
	if (r < 0)
		fail(c);
	else if (r > 0 && c->at == c->length)
		succeed(c);
}

/* --- the run */

static bool is_over(void)
{
	return !conf.each && now() - started >= conf.seconds;
}

/* Gives work to who has none, as far as some is due. */
static void hand_out(void)
{
	struct client *left = NULL;
	double at = now();

	while (resting && !is_over() && (!conf.rate || sent_due <= at)) {
		struct client *c = resting;

		resting = c->next;
		if (conf.each && c->done >= conf.each) {
			c->next = left;
			left = c;
			continue;
		}
		ask(c, conf.rate ? sent_due : at);
		if (conf.rate)
			sent_due += 1 / conf.rate;
	}
	if (!resting)
		resting = left;
}

static void wait_for_some(void)
{
	struct epoll_event events[EVENTS];
	static double last;
	int n = epoll_wait(epoll, events, EVENTS, conf.rate ? 1 : 100);

	for (int i = 0; i < n; i++)
		hear(events[i].data.ptr);
	last = n > 0 || !last ? now() : last;
	if (!conf.rate && now() - last > STUCK_SECONDS)
		errx(1, "nothing came for %d seconds", STUCK_SECONDS);
}

static void run(void)
{
	started = sent_due = now();
	hand_out();
	while (busy && !is_over()) {
		wait_for_some();
		hand_out();
	}
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double quantile(double part)
{
	return latency_count ? latencies[(size_t)(part * (double)(latency_count - 1))] / 1e3 : 0;
}

static void report(double seconds)
{
	qsort(latencies, latency_count, sizeof(*latencies), by_size);
	printf("%ju %.6f %ju %ju %.3f %.3f %.3f\n", (uintmax_t)requests, seconds, (uintmax_t)bytes,
	       (uintmax_t)failures, quantile(0.5), quantile(0.99), quantile(1));
}

/* --- the command line */

static void map_file(void)
{
	int fd = open(conf.file, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", conf.file);
	whole_len = (uint64_t)st.st_size;
	whole = mmap(NULL, whole_len, PROT_READ, MAP_SHARED, fd, 0);
	if (whole == MAP_FAILED)
		err(1, "%s", conf.file);
	close(fd);
}

static void add_field(const char *text)
{
	size_t len = strlen(conf.fields);

	if (snprintf(conf.fields + len, sizeof(conf.fields) - len, "%s\r\n", text) >=
	    (int)(sizeof(conf.fields) - len))
		errx(1, "too many fields");
}

static void open_key(const char *path)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	if (cluster_key_open(path, 0, &key, &why) < 0)
		errx(1, "%s", buf_str(&why));
}

static void take_option(int letter)
{
	switch (letter) {
	case 'c':
		conf.connections = (unsigned)atoi(optarg);
		break;
	case 't':
		conf.seconds = atof(optarg);
		break;
	case 'n':
		conf.each = (unsigned)atoi(optarg);
		break;
	case 'r':
		conf.rate = atof(optarg);
		break;
	case 'm':
		conf.method = optarg;
		break;
	case 'f':
		add_field(optarg);
		break;
	case 'b':
		conf.range = strtoull(optarg, NULL, 10);
		break;
	case 's':
		conf.size = strtoull(optarg, NULL, 10);
		break;
	case 'x':
		conf.file = optarg;
		break;
	case 'k':
		open_key(optarg);
		break;
	case 'a':
		conf.member = optarg;
		break;
	case 'i':
		conf.idle = true;
		break;
	default:
		errx(2, "see the head of bench_load.c");
	}
}

static void read_command_line(int argc, char *argv[])
{
	int letter;

	while ((letter = getopt(argc, argv, "c:t:n:r:m:f:b:s:x:k:a:i")) != -1)
		take_option(letter);
	if (argc - optind != 3)
		errx(2, "an address, a port and a target are wanted");
	conf.host = argv[optind];
	conf.target = argv[optind + 2];
	conf.to.sin_family = AF_INET;
	conf.to.sin_port = htons((uint16_t)atoi(argv[optind + 1]));
	if (inet_pton(AF_INET, conf.host, &conf.to.sin_addr) != 1)
		errx(2, "%s is no IPv4 address", conf.host);
	if (conf.idle)
		conf.each = 1;
}

static void idle(void)
{
	struct epoll_event events[EVENTS];
	char byte;
	int n;

	puts("idle");
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) < 0)
		err(1, "read");
	while ((n = epoll_wait(epoll, events, EVENTS, 0)) > 0)
		for (int i = 0; i < n; i++)
			hear(events[i].data.ptr);
}

int main(int argc, char *argv[])
{
	read_command_line(argc, argv);
	if (conf.file)
		map_file();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	clients = calloc(conf.connections, sizeof(*clients));
	if (epoll < 0 || !clients)
		err(1, "cannot begin");
	for (unsigned i = 0; i < conf.connections; i++) {
		open_connection(&clients[i]);
		clients[i].next = resting;
		resting = &clients[i];
	}
	run();
	if (conf.idle)
		idle();
	report(now() - started);
	return 0;
}
