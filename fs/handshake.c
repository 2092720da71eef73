/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse has no way to put a session together that has had its FUSE_INIT. So it gets the request
 * that the kernel sent, while its descriptor is a pipe, and what it answers is read there. */
#include "fs/handshake.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#define INIT_MS 10000
#define READ_MIN 65536 /* the kernel wants room for more than it sends */
/* Newer than some headers. */
#define NOTIFY_RESEND 7
#define RESEND_SINCE_MINOR 40
#define WITH_PASSTHROUGH (UINT64_C(1) << 37)
#define WITH_MORE_FLAGS (UINT32_C(1) << 30)

/* A change of what stands here is a new ESTATE_VERSION (docs/formats.md). */
static_assert(sizeof(struct handshake) == 552 && offsetof(struct handshake, request) == 8 &&
		      offsetof(struct handshake, reply) == 264 &&
		      offsetof(struct handshake, generation) == 524 &&
		      offsetof(struct handshake, set_up) == 528,
	      "as it lies there");

struct request {
	struct fuse_in_header head;
	struct fuse_init_in init;
};

struct reply {
	struct fuse_out_header head;
	struct fuse_init_out init;
};

static struct request request_of(const struct handshake *h)
{
	struct request r = { 0 };

	memcpy(&r, h->request, h->request_len < sizeof(r) ? h->request_len : sizeof(r));
	return r;
}

static struct reply reply_of(const struct handshake *h)
{
	struct reply r = { 0 };

	memcpy(&r, h->reply, h->reply_len < sizeof(r) ? h->reply_len : sizeof(r));
	return r;
}

/* ---- with the session ---- */

static int take_reply(int fd, struct handshake *h)
{
	ssize_t n = read(fd, h->reply, sizeof(h->reply));

	if (n < (ssize_t)sizeof(struct fuse_out_header))
		return -EPROTO;
	h->reply_len = (uint32_t)n;
	return reply_of(h).head.error ? -EPROTO : 0;
}

/* Gives the session this request, and takes its reply; the session's descriptor is fd then. */
static int ask_session(struct fuse_session *s, int fd, void *request, size_t len,
		       struct handshake *ret)
{
	const struct fuse_buf buf = { .size = len, .mem = request };
	int both[2], r = 0;

	if (pipe2(both, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	if (dup3(both[1], fuse_session_fd(s), O_CLOEXEC) < 0)
		r = -errno;
	if (r == 0) {
		fuse_session_process_buf(s, &buf);
		r = take_reply(both[0], ret);
	}
	if (r == 0 && dup3(fd, fuse_session_fd(s), O_CLOEXEC) < 0)
		r = -errno;
	close(both[0]);
	close(both[1]);
	return r;
}

/* ---- with the kernel ---- */

static int take_request(int fd, struct handshake *ret)
{
	CLEANUP(freep) uint8_t *room = malloc(READ_MIN);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (!room)
		return -ENOMEM;
	do
		n = poll(&p, 1, INIT_MS);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -ETIMEDOUT;
	n = read(fd, room, READ_MIN);
	if (n < 0)
		return -errno;
	if (n < (ssize_t)sizeof(struct fuse_in_header) || n > HANDSHAKE_MAX)
		return -EPROTO;
	memcpy(ret->request, room, (size_t)n);
	ret->request_len = (uint32_t)n;
	return request_of(ret).head.opcode == FUSE_INIT ? 0 : -EPROTO;
}

int handshake_make(struct fuse_session *s, struct handshake *ret)
{
	CLEANUP(closep) int fd = fcntl(fuse_session_fd(s), F_DUPFD_CLOEXEC, 0);
	uint8_t request[HANDSHAKE_MAX];
	int r;

	*ret = (struct handshake){ 0 };
	if (fd < 0)
		return -errno;
	r = take_request(fd, ret);
	memcpy(request, ret->request, sizeof(request));
	if (r == 0)
		r = ask_session(s, fd, request, ret->request_len, ret);
	if (r < 0)
		return r;
	return write(fd, ret->reply, ret->reply_len) == (ssize_t)ret->reply_len ? 0 : -errno;
}

/* ---- once more ---- */

static uint64_t flags_of(const struct reply *r)
{
	return r->init.flags | (uint64_t)r->init.flags2 << 32;
}

/* The kernel offers no more than was agreed: what this program would want besides it does not get.
 */
static struct request offer(const struct handshake *h)
{
	struct request q = request_of(h);
	uint64_t agreed;
	struct reply a = reply_of(h);

	agreed = flags_of(&a);
	q.init.flags &= (uint32_t)agreed | WITH_MORE_FLAGS;
	q.init.flags2 &= (uint32_t)(agreed >> 32);
	q.init.max_readahead = a.init.max_readahead;
	return q;
}

int handshake_repeat(struct fuse_session *s, const struct handshake *h, int fd, struct buf *why)
{
	struct handshake again = { 0 };
	struct request q = offer(h);
	struct reply before = reply_of(h), now;
	int r;

	if (h->request_len < sizeof(q.head) + 16 || h->request_len > HANDSHAKE_MAX ||
	    h->reply_len > HANDSHAKE_MAX)
		return -EPROTO;
	r = ask_session(s, fd, &q, h->request_len < sizeof(q) ? h->request_len : sizeof(q), &again);
	if (r < 0)
		return r;
	now = reply_of(&again);
	/* Passthrough is ours to use or not. */
	if ((flags_of(&before) & ~flags_of(&now) & ~WITH_PASSTHROUGH) == 0 &&
	    now.init.max_write >= before.init.max_write)
		return 0;
	buf_printf(why, "the mount was made with other settings (flags %llx, not %llx)",
		   (unsigned long long)flags_of(&before), (unsigned long long)flags_of(&now));
	return -EPROTO;
}

bool handshake_resends(const struct handshake *h)
{
	return request_of(h).init.minor >= RESEND_SINCE_MINOR;
}

int handshake_resend(int fd)
{
	const struct fuse_out_header notice = { .len = sizeof(notice), .error = NOTIFY_RESEND };

	return write(fd, &notice, sizeof(notice)) == (ssize_t)sizeof(notice) ? 0 : -errno;
}
