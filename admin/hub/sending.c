/* SPDX-License-Identifier: Apache-2.0 */
/* A sending belongs to its answer, and to its waiter while that is parked: the second to let go
 * frees it. */
#include "admin/hub/sending.h"

#include <errno.h>
#include <string.h>

#include "admin/hub/trace.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"

#define PARTS_MAX (RANGES_MAX + 1)
#define SMALL_SHARE 8 /* a file that takes less of the cache is kept while it is sent, as a rule */
/* Asked for at once: what the cache has no room for costs a request each time. */
#define WINDOW_BYTES (512 * 1024)

struct sending {
	struct node *node;
	struct httpd_request *http;
	struct handle *handle;
	const struct manifest_file *file; /* borrowed from the snapshot the handle holds */
	uint64_t size;                    /* its */
	struct digest *digest; /* of what was sent of a whole file that may not be kept, or NULL */
	int64_t timeout_ms;
	struct sending_part parts[PARTS_MAX];
	unsigned count;
	struct trace *trace; /* the request's */
	const char
		*window; /* bytes of the file that are being sent, or NULL; held until they are */
	uint64_t window_off, window_len;
	struct waiter waiter;
	struct lock lock;
	/* Guarded by lock. */
	bool parked; /* the waiter will be woken */
	bool ended;  /* by the answer */
	int failed;  /* what it was woken with */
};

static void close_window(struct sending *s)
{
	if (s->window)
		node_done(s->handle, s->window, s->window_len);
	s->window = NULL;
}

static void sending_free(struct sending *s)
{
	close_window(s);
	for (unsigned i = 0; i < s->count; i++)
		free(s->parts[i].text);
	node_close_file(s->node, s->handle);
	digest_free(s->digest);
	free(s->waiter.held);
	lock_fini(&s->lock);
	free(s);
}

/* --- waiting */

static void wake(struct waiter *w, int r)
{
	struct sending *s = container_of(w, struct sending, waiter);
	bool ended;

	lock_take(&s->lock);
	s->parked = false;
	s->failed = r;
	ended = s->ended;
	if (!ended)
		httpd_wake(s->http);
	lock_drop(&s->lock);
	if (ended)
		sending_free(s);
}

/* Before a call that may park: false if one has, and has not been woken: then the waiter is its
 * list's, deadline and all. */
static bool may_ask(struct sending *s)
{
	bool may;

	lock_take(&s->lock);
	may = !s->parked;
	s->parked = true;
	lock_drop(&s->lock);
	if (may)
		s->waiter.deadline_ms = clock_ms() + s->timeout_ms;
	return may;
}

static void has_not_parked(struct sending *s)
{
	lock_take(&s->lock);
	s->parked = false;
	lock_drop(&s->lock);
}

static void end(void *arg)
{
	struct sending *s = arg;
	bool over;

	lock_take(&s->lock);
	if (s->parked && node_leave_read(s->node, &s->waiter))
		s->parked = false;
	s->ended = true;
	over = !s->parked;
	lock_drop(&s->lock);
	if (over)
		sending_free(s);
}

/* --- bytes */

static bool is_all(const struct sending *s)
{
	return s->count == 1 && s->parts[0].to - s->parts[0].from == s->size;
}

/* True if nobody else is going to tell whether the bytes that went out are right: some are not in
 * the cache, or not any more. */
static bool is_ours_to_tell(const struct sending *s)
{
	return is_all(s) && node_sealed_fd(s->handle) < 0 && node_file_present(s->handle) < s->size;
}

/* Of a file that was too small beside the cache to be digested here, what was sent cannot be told
 * to be right: the client asks once more. What is kept of it may be what was wrong. */
static int own_verdict(struct sending *s)
{
	uint8_t digest[DIGEST_BYTES_MAX];

	if (s->digest && digest_final(s->digest, digest) == 0 &&
	    memcmp(digest, s->file->digest, digest_size(s->file->kind)) == 0)
		return 0;
	node_begin_anew(s->node, s->handle);
	return ERR_DIGEST;
}

/* The last byte is held back until all the others are known to be right. Who asked for a part has
 * been here before: there is nothing to wait for. */
static int verdict(struct sending *s)
{
	int r = 0;

	if (node_sealed_fd(s->handle) >= 0 || node_file_present(s->handle) < s->size)
		return 0;
	if (!may_ask(s))
		return PARKED;
	r = node_verdict(s->node, s->handle, &s->waiter);
	if (r != PARKED)
		has_not_parked(s);
	return r;
}

/* Holds bytes from off on, of the next `rest` of the file: 0, PARKED, or a failure. */
static int open_window(struct sending *s, uint64_t off, uint64_t rest)
{
	uint64_t len = min_u64(rest, WINDOW_BYTES);
	const void *data;
	int r = 0;

	close_window(s);
	if (off + len == s->size && len > 1)
		len--;
	else if (off + len == s->size)
		r = verdict(s);
	if (r != 0)
		return r;
	if (!may_ask(s))
		return PARKED;
	r = node_read(s->node, s->handle, off, len, &s->waiter, &data, &s->window_len);
	if (r != PARKED)
		has_not_parked(s);
	if (r == 0) {
		s->window = data;
		s->window_off = off;
	}
	return r;
}

static ssize_t read_file(struct sending *s, uint64_t off, uint64_t rest, void *to, size_t max)
{
	uint64_t at = off - s->window_off;
	size_t len;
	int r = 0;

	if (node_gave_wrong(s->handle))
		return ERR_DIGEST;
	if (!s->window || at >= s->window_len) {
		r = open_window(s, off, rest);
		at = 0;
	}
	if (r != 0)
		return r == PARKED ? 0 : r;
	len = min_u64(max, s->window_len - at);
	r = node_copy(s->handle, s->window + at, len, to);
	if (r == 0 && s->digest)
		r = digest_update(s->digest, to, len);
	if (r == 0 && off + len == s->size && is_ours_to_tell(s))
		r = own_verdict(s);
	return r < 0 ? r : (ssize_t)len;
}

static ssize_t read_part(struct sending *s, const struct sending_part *p, uint64_t at, void *to,
			 size_t max)
{
	size_t text = p->text ? strlen(p->text) : 0;

	if (at < text) {
		max = max < text - at ? max : (size_t)(text - at);
		memcpy(to, p->text + at, max);
		return (ssize_t)max;
	}
	at += p->from - text;
	return read_file(s, at, p->to - at, to, max);
}

static uint64_t part_len(const struct sending_part *p)
{
	return (p->text ? strlen(p->text) : 0) + p->to - p->from;
}

static ssize_t read_parts(void *arg, uint64_t pos, void *to, size_t max)
{
	struct sending *s = arg;
	unsigned i = 0;
	int failed;

	lock_take(&s->lock);
	failed = s->failed;
	lock_drop(&s->lock);
	if (failed < 0)
		return failed;
	for (; pos >= part_len(&s->parts[i]); i++)
		pos -= part_len(&s->parts[i]);
	return read_part(s, &s->parts[i], pos, to, max);
}

static ssize_t read_body(void *arg, uint64_t pos, void *to, size_t max)
{
	struct sending *s = arg;
	ssize_t n = read_parts(s, pos, to, max);

	trace_handed(s->trace, pos, n);
	return n;
}

static uint64_t total(const struct sending *s)
{
	uint64_t len = 0;

	for (unsigned i = 0; i < s->count; i++)
		len += part_len(&s->parts[i]);
	return len;
}

/* --- beginning */

static void end_whole(void *arg, UNUSED uint64_t sent)
{
	sending_free(arg);
}

/* True if it goes out as one piece of the cache, which stays as it is until then. */
static bool send_whole(struct sending *s, struct httpd_head *h)
{
	const struct sending_part *p = &s->parts[0];
	const void *data;

	if (s->count != 1 || p->text || node_sealed_fd(s->handle) < 0 ||
	    node_read(s->node, s->handle, p->from, p->to - p->from, NULL, &data, &s->window_len) !=
		    0)
		return false;
	s->window = data;
	httpd_reply_file(s->http, h, node_sealed_fd(s->handle), p->from, s->window_len, end_whole,
			 s);
	return true;
}

void sending_drop(struct httpd_head *h, struct sending_part *parts, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(parts[i].text);
	httpd_head_free(h);
}

int sending_start(struct ask *a, uint32_t file, struct httpd_head *h, struct sending_part *parts,
		  unsigned count)
{
	struct sending *s = calloc(1, sizeof(*s));
	struct httpd_flow flow = { .read = read_body, .end = end, .arg = s };

	if (!s) {
		sending_drop(h, parts, count);
		return -ENOMEM;
	}
	s->node = a->server->node;
	s->http = a->http;
	s->trace = a->trace;
	s->handle = steal(a->file);
	s->file = manifest_file(a->snapshot->files, file);
	s->size = node_file_size(s->handle);
	s->timeout_ms = a->server->timeout_ms;
	s->count = count;
	memcpy(s->parts, parts, count * sizeof(*parts));
	lock_init(&s->lock, LOCK_SENDING);
	waiter_init(&s->waiter, s->timeout_ms, wake);
	s->waiter.some = true;
	if (send_whole(s, h))
		return 0;
	if (is_all(s) && s->size > node_capacity(s->node) / SMALL_SHARE &&
	    digest_new(s->file->kind, s->size, &s->digest) < 0)
		log_debug("no memory to digest what is sent");
	flow.len = total(s);
	httpd_reply_flow(a->http, h, &flow);
	return 0;
}
