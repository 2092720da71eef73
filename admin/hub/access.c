/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/audit/outbox.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

/* A request waits a second at most; then its line is lost. */
static const struct outbox_conf queue = {
	.max_bytes = 1024 * 1024,
	.room_ms = 1000,
	.hurry_bytes = 64 * 1024,
	.flush_ms = 1000,
};

struct access {
	char *path; /* NULL: stdout */
	struct outbox box;
	pthread_t writer;
	bool joined;
	int fd;                       /* the writer's */
	atomic_int anew;              /* the descriptor that takes its place, or -1 */
	atomic_uint_fast64_t written; /* lines, or lost to a full disk */
};

/* --- a line */

/* In quotes; what could end the quotes or the line becomes \xHH. */
static void add_quoted(struct buf *b, const char *text, size_t len)
{
	buf_add_str(b, "\"");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < ' ' || c >= 0x7f || c == '"' || c == '\\')
			buf_printf(b, "\\x%02x", c);
		else
			buf_add(b, &text[i], 1);
	}
	buf_add_str(b, "\"");
}

static void add_field(struct buf *b, const char *text)
{
	buf_add_str(b, " ");
	if (text && *text)
		add_quoted(b, text, strlen(text));
	else
		buf_add_str(b, "\"-\"");
}

/* Ours stands behind the last semicolon. */
static void add_ids(struct buf *b, const struct access_entry *e)
{
	CLEANUP(buf_free) struct buf both = { 0 };

	if (e->given_id)
		buf_printf(&both, "%s;", e->given_id);
	buf_add_str(&both, e->request_id ? e->request_id : "");
	add_field(b, buf_str(&both));
}

/* Names of fields whose values say what was asked for, and never who may. */
static bool is_open(const char *name, size_t len)
{
	static const char *const names[] = { "author",         "blobs",    "cursor",    "direction",
					     "expand",         "expand[]", "filter",    "full",
					     "limit",          "p",        "recursive", "search",
					     "securityStatus", "sort" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strlen(names[i]) == len && !strncmp(names[i], name, len))
			return true;
	return false;
}

/* The target with the values of all other fields cut. */
static void add_target(struct buf *b, const char *target)
{
	size_t path = strcspn(target, "?");
	const char *at = target + path;

	buf_add(b, target, path);
	while (*at) {
		size_t len = strcspn(at + 1, "&") + 1, name = strcspn(at + 1, "=&");

		if (name + 1 >= len || is_open(at + 1, name))
			buf_add(b, at, name + 1 < len ? len : strlen("?"));
		else
			buf_printf(b, "%.*s=-", (int)name + 1, at);
		at += len;
	}
}

void access_line(const struct access_entry *e, struct buf *ret)
{
	CLEANUP(buf_free) struct buf request = { 0 };
	time_t s = (time_t)e->time_s;
	char time[64] = "";
	struct tm tm = { 0 };

	gmtime_r(&s, &tm);
	strftime(time, sizeof(time), "%d/%b/%Y:%H:%M:%S +0000", &tm);
	buf_printf(&request, "%s ", e->method ? e->method : "-");
	add_target(&request, e->target ? e->target : "-");
	buf_add_str(&request, " HTTP/1.1");
	buf_printf(ret, "%s - %s [%s] ", e->address && *e->address ? e->address : "-",
		   e->user && *e->user ? e->user : "-", time);
	add_quoted(ret, buf_str(&request), request.len);
	buf_printf(ret, " %d %ju", e->status, (uintmax_t)e->bytes);
	add_field(ret, NULL); /* where it came from on the web: clients of hubs do not say */
	add_field(ret, e->agent);
	add_ids(ret, e);
	buf_printf(ret, " %jd.%06jd\n", (intmax_t)(e->took_us / 1000000),
		   (intmax_t)(e->took_us % 1000000));
}

/* --- the log */

static int open_file(const struct access *a)
{
	int fd = a->path ? open(a->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640)
			 : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* In pieces of whole lines it would be if the disk were not full: then a part is lost. */
static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* What comes when the file was opened anew is not in the old one. */
static void write_some(struct access *a)
{
	CLEANUP(buf_free) struct buf taken = { 0 };
	uint64_t lines = outbox_take(&a->box, &taken);
	int anew, r;

	anew = atomic_exchange(&a->anew, -1);
	if (anew >= 0) {
		closep(&a->fd);
		a->fd = anew;
	}
	r = write_all(a->fd, buf_str(&taken), taken.len);
	if (r < 0)
		log_warn(r, "the access log takes no more");
	atomic_store(&a->written, lines);
}

static void *run_writer(void *arg)
{
	struct access *a = arg;
	bool go_on = true;

	while (go_on) {
		go_on = outbox_wait(&a->box, CLOCK_FOREVER);
		write_some(a);
	}
	outbox_end(&a->box);
	return NULL;
}

void access_note(struct access *a, const struct access_entry *e)
{
	CLEANUP(buf_free) struct buf line = { 0 };

	if (!a)
		return;
	access_line(e, &line);
	if (!line.failed)
		outbox_put(&a->box, line.data, line.len);
}

void access_reopen(struct access *a)
{
	int fd = a ? open_file(a) : -1, old;

	if (fd >= 0) {
		old = atomic_exchange(&a->anew, fd);
		closep(&old);
		outbox_nudge(&a->box);
	} else if (a) {
		log_warn(fd, "cannot open the access log anew file=%s", a->path ? a->path : "-");
	}
}

void access_free(struct access *a)
{
	int anew;

	if (!a)
		return;
	anew = atomic_load(&a->anew);
	closep(&anew);
	closep(&a->fd);
	outbox_fini(&a->box);
	free(a->path);
	free(a);
}

int access_open(const char *path, struct access **ret, struct buf *why)
{
	struct access *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->path = strcmp(path, "-") ? strdup(path) : NULL;
	a->fd = open_file(a);
	atomic_init(&a->anew, -1);
	outbox_init(&a->box, &queue);
	r = a->fd < 0 ? a->fd : thread_start(&a->writer, "mfs-access", run_writer, a);
	if (r < 0) {
		buf_printf(why, "cannot open the access log %s: %s", path, err_text(r));
		access_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

bool access_stop(struct access *a, int64_t deadline_ms)
{
	if (!a || a->joined)
		return true;
	if (!outbox_stop(&a->box, deadline_ms)) {
		log_err(ERR_TIMEOUT, "the access log does not take the last lines lines=%ju",
			(uintmax_t)(outbox_count(&a->box) - atomic_load(&a->written)));
		return false;
	}
	pthread_join(a->writer, NULL);
	a->joined = true;
	return true;
}
