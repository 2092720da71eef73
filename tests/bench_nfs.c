/* SPDX-License-Identifier: Apache-2.0 */
/* An export, read by libnfs's client. URL as libnfs has it:
 * nfs://127.0.0.1/DIRECTORY/FILE?nfsport=PORT&mountport=PORT. Run by `tools/bench nfs` alone.
 *
 *     bench_nfs read URL [DEPTH]       the file from its beginning to its end, DEPTH (4) reads of
 *                                      1 MiB in flight; prints seconds
 *     bench_nfs getattr URL SECONDS    attributes of the file, again and again, 64 in flight, over
 *                                      one connection and without libnfs; prints the number of
 *                                      answers, seconds, and seconds of its own CPU
 *     bench_nfs lookup URL SECONDS     the same of its name in its directory */
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <nfsc/libnfs.h>

#include <nfsc/libnfs-raw.h>

#include <nfsc/libnfs-raw-nfs.h>

#define STEP (1 << 20)
#define DEPTH 4
#define CALLS 64
#define CALL_WORDS 128
#define ROOM (256 << 10)
#define WAIT_MS 30000

/* libnfs gives it out, and does not say what it is. */
struct nfs_fh {
	int len;
	char *val;
};

struct client {
	struct nfs_context *nfs;
	struct nfsfh *file, *dir;
	char *name;
	uint64_t size, next, got;
	unsigned in_flight;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void open_all(struct client *c, const char *url)
{
	struct nfs_stat_64 st;
	struct nfs_url *parts;

	c->nfs = nfs_init_context();
	parts = c->nfs ? nfs_parse_url_full(c->nfs, url) : NULL;
	if (!parts)
		errx(1, "%s: not an address of libnfs", url);
	if (nfs_mount(c->nfs, parts->server, parts->path) != 0 ||
	    nfs_open(c->nfs, parts->file, O_RDONLY, &c->file) != 0 ||
	    nfs_fstat64(c->nfs, c->file, &st) != 0 || nfs_open(c->nfs, "/", O_RDONLY, &c->dir) != 0)
		errx(1, "%s: %s", url, nfs_get_error(c->nfs));
	c->name = strdup(parts->file + (parts->file[0] == '/'));
	c->size = st.nfs_size;
	nfs_destroy_url(parts);
}

static void serve(struct client *c)
{
	while (c->in_flight > 0) {
		struct pollfd p = { .fd = nfs_get_fd(c->nfs),
				    .events = (short)nfs_which_events(c->nfs) };

		if (poll(&p, 1, WAIT_MS) <= 0)
			errx(1, "no answer in %d s", WAIT_MS / 1000);
		if (nfs_service(c->nfs, p.revents) < 0)
			errx(1, "%s", nfs_get_error(c->nfs));
	}
}

/* ---- read ---- */

static void ask_read(struct client *c);

static void have_read(int status, struct nfs_context *nfs, void *data, void *arg)
{
	struct client *c = arg;

	(void)nfs;
	if (status < 0)
		errx(1, "read: %s: %s", strerror(-status), (const char *)data);
	c->in_flight--;
	c->got += (uint64_t)status;
	ask_read(c);
}

static void ask_read(struct client *c)
{
	if (c->next >= c->size)
		return;
	if (nfs_pread_async(c->nfs, c->file, c->next, STEP, have_read, c) != 0)
		errx(1, "read: %s", nfs_get_error(c->nfs));
	c->next += STEP;
	c->in_flight++;
}

static void read_all(struct client *c, unsigned depth)
{
	double begun = now();

	for (unsigned n = 0; n < depth; n++)
		ask_read(c);
	serve(c);
	if (c->got != c->size)
		errx(1, "%ju of %ju bytes came", (uintmax_t)c->got, (uintmax_t)c->size);
	printf("%.6f\n", now() - begun);
}

/* ---- small calls: by hand, as for each of them libnfs has more to do than the server ---- */

/* One connection, and what is sent over it again and again. */
struct wire {
	int fd;
	uint32_t call[CALL_WORDS], words;
	uint32_t sent, got; /* calls and answers; numbers of calls begin at 1 */
	uint8_t room[ROOM];
	size_t have; /* bytes of answers, in the room */
};

static void put(struct wire *w, uint32_t v)
{
	w->call[w->words++] = htobe32(v);
}

static void put_bytes(struct wire *w, const void *data, size_t len)
{
	put(w, (uint32_t)len);
	memcpy(&w->call[w->words], data, len);
	w->words += (uint32_t)(len + 3) / 4;
}

/* A call without its arguments, by user 0 of AUTH_SYS. */
static void begin_call(struct wire *w, uint32_t procedure)
{
	const uint32_t head[] = { 0, 0, 0, 2, 100003, 3, procedure, 1, 20, 0, 0, 0, 0, 0, 0, 0 };

	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		put(w, head[i]);
}

static void end_call(struct wire *w)
{
	w->call[0] = htobe32(UINT32_C(1) << 31 | (w->words - 1) * 4);
}

static void send_calls(struct wire *w, unsigned count)
{
	static uint32_t calls[CALLS * CALL_WORDS];
	size_t len = 0, at = 0;

	for (; count > 0; count--, len += w->words) {
		w->call[1] = htobe32(++w->sent);
		memcpy(&calls[len], w->call, w->words * sizeof(calls[0]));
	}
	for (len *= sizeof(calls[0]); at < len;) {
		ssize_t n = send(w->fd, (const char *)calls + at, len - at, 0);

		if (n < 0)
			err(1, "send");
		at += (size_t)n;
	}
}

static uint32_t word(const uint8_t *data, size_t index)
{
	uint32_t v;

	memcpy(&v, data + index * sizeof(v), sizeof(v));
	return be32toh(v);
}

/* Takes the answers that have come; how many. */
static unsigned take_answers(struct wire *w)
{
	ssize_t n = recv(w->fd, w->room + w->have, sizeof(w->room) - w->have, 0);
	unsigned count = 0;
	size_t at = 0;

	if (n <= 0)
		errx(1, "the server has closed");
	w->have += (size_t)n;
	while (w->have - at >= 4) {
		const uint8_t *answer = w->room + at;
		size_t len = 4 + (word(answer, 0) & INT32_MAX);

		if (w->have - at < len)
			break;
		if (len < 32 || word(answer, 1) - 1 >= w->sent || word(answer, 3) != 0 ||
		    word(answer, 6) != 0 || word(answer, 7) != NFS3_OK)
			errx(1, "no good answer");
		at += len;
		count++;
	}
	memmove(w->room, w->room + at, w->have -= at);
	w->got += count;
	return count;
}

static void dial(struct wire *w, const char *url)
{
	const char *port = strstr(url, "nfsport=");
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1;

	if (!port)
		errx(1, "%s: no nfsport", url);
	at.sin_port = htons((uint16_t)atoi(port + strlen("nfsport=")));
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->fd < 0 || setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    connect(w->fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		err(1, "%s", url);
}

static double cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void count(struct wire *w, const char *url, double seconds)
{
	double begun = now(), used = cpu();

	end_call(w);
	dial(w, url);
	for (send_calls(w, CALLS); now() < begun + seconds;)
		send_calls(w, take_answers(w));
	while (w->got < w->sent)
		take_answers(w);
	printf("%u %.6f %.6f\n", w->got, now() - begun, cpu() - used);
}

static void call(struct client *c, const char *url, const char *way, double seconds)
{
	static struct wire w;
	bool attributes = strcmp(way, "getattr") == 0;
	const struct nfs_fh *fh = nfs_get_fh(attributes ? c->file : c->dir);

	begin_call(&w, attributes ? 1 : 3);
	put_bytes(&w, fh->val, (size_t)fh->len);
	if (!attributes)
		put_bytes(&w, c->name, strlen(c->name));
	count(&w, url, seconds);
}

int main(int argc, char **argv)
{
	const char *way = argc > 2 ? argv[1] : "";
	struct client c = { 0 };

	if (argc < 3)
		errx(1, "usage: bench_nfs read|getattr|lookup URL [DEPTH|SECONDS]");
	open_all(&c, argv[2]);
	if (strcmp(way, "read") == 0)
		read_all(&c, argc > 3 ? (unsigned)atoi(argv[3]) : DEPTH);
	else if (strcmp(way, "getattr") == 0 || strcmp(way, "lookup") == 0)
		call(&c, argv[2], way, argc > 3 ? atof(argv[3]) : 1);
	else
		errx(1, "%s: no such way", way);
	nfs_destroy_context(c.nfs);
	free(c.name);
	return 0;
}
