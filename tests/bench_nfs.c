/* SPDX-License-Identifier: Apache-2.0 */
/* An export, read by libnfs's client: prints seconds, or answers a second. URL as libnfs has it:
 * nfs://HOST/DIRECTORY/FILE?nfsport=PORT&mountport=PORT. Made and run by `tools/bench nfs` alone.
 *
 *     bench_nfs read URL [DEPTH]       the file from its beginning to its end, DEPTH (4) reads of
 *                                      1 MiB in flight
 *     bench_nfs getattr URL SECONDS    attributes of the file, again and again, 64 in flight
 *     bench_nfs lookup URL SECONDS     the same of its name in its directory */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nfsc/libnfs.h>

#include <nfsc/libnfs-raw.h>

#include <nfsc/libnfs-raw-nfs.h>

#define STEP (1 << 20)
#define DEPTH 4
#define CALLS 64
#define WAIT_MS 30000

/* libnfs gives it out, and does not say what it is. */
struct nfs_fh {
	int len;
	char *val;
};

struct client {
	struct nfs_context *nfs;
	struct rpc_context *rpc;
	struct nfsfh *file, *dir;
	char *name;
	uint64_t size, next, got, answers;
	unsigned in_flight;
	double until;
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
	c->rpc = nfs_get_rpc_context(c->nfs);
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

/* ---- small calls ---- */

static nfs_fh3 handle_of(struct nfsfh *file)
{
	struct nfs_fh *fh = nfs_get_fh(file);
	nfs_fh3 handle = { .data = { .data_len = (u_int)fh->len, .data_val = fh->val } };

	return handle;
}

static void have_attributes(struct rpc_context *rpc, int status, void *data, void *arg);
static void have_name(struct rpc_context *rpc, int status, void *data, void *arg);

static void ask_attributes(struct client *c)
{
	GETATTR3args args = { .object = handle_of(c->file) };

	if (rpc_nfs3_getattr_async(c->rpc, have_attributes, &args, c) != 0)
		errx(1, "getattr: %s", rpc_get_error(c->rpc));
	c->in_flight++;
}

static void ask_name(struct client *c)
{
	LOOKUP3args args = { .what = { .dir = handle_of(c->dir), .name = strdup(c->name) } };

	if (rpc_nfs3_lookup_async(c->rpc, have_name, &args, c) != 0)
		errx(1, "lookup: %s", rpc_get_error(c->rpc));
	free(args.what.name);
	c->in_flight++;
}

/* True if one more is to be asked for. */
static bool count_answer(struct client *c, int status, nfsstat3 answer)
{
	if (status != RPC_STATUS_SUCCESS || answer != NFS3_OK)
		errx(1, "status %d, answer %d", status, (int)answer);
	c->in_flight--;
	c->answers++;
	return c->answers % CALLS != 0 || now() < c->until;
}

static void have_attributes(struct rpc_context *rpc, int status, void *data, void *arg)
{
	(void)rpc;
	if (count_answer(arg, status, data ? ((GETATTR3res *)data)->status : NFS3ERR_IO))
		ask_attributes(arg);
}

static void have_name(struct rpc_context *rpc, int status, void *data, void *arg)
{
	(void)rpc;
	if (count_answer(arg, status, data ? ((LOOKUP3res *)data)->status : NFS3ERR_IO))
		ask_name(arg);
}

static void count(struct client *c, void (*ask)(struct client *c), double seconds)
{
	double begun = now();

	c->until = begun + seconds;
	for (unsigned n = 0; n < CALLS; n++)
		ask(c);
	serve(c);
	printf("%.0f\n", (double)c->answers / (now() - begun));
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
	else if (strcmp(way, "getattr") == 0)
		count(&c, ask_attributes, argc > 3 ? atof(argv[3]) : 1);
	else if (strcmp(way, "lookup") == 0)
		count(&c, ask_name, argc > 3 ? atof(argv[3]) : 1);
	else
		errx(1, "%s: no such way", way);
	nfs_destroy_context(c.nfs);
	free(c.name);
	return 0;
}
