/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the files of an audit trail, as a hand or a disk may have left them: a cursor, then the
 * mark of its end, that of retention and two segments, one behind another with a 0x1e between
 * them. Following them ends, and finds fault with all that is not a whole chain; reading them
 * gives nothing but records. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/audit/audit_files.h"
#include "admin/audit/audit_read.h"
#include "admin/audit/audit_verify.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "tests/workdir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NEXT 0x1e
#define STEP_BYTES 300
#define STEPS_MAX 100000

static const char *const names[] = { AUDIT_HEAD_FILE, AUDIT_ANCHOR_FILE, "0000000001.jsonl",
				     "0000000002.jsonl" };
static struct workdir dir;
static int trailfd = -1;

static void end(void)
{
	close(trailfd);
	workdir_fini(&dir);
}

static void begin(void)
{
	int r;

	workdir_init(&dir);
	r = mkdirat(dir.dirfd, AUDIT_DIR, 0700);
	assert(r == 0);
	trailfd = audit_dir_open(dir.path);
	assert(trailfd >= 0);
	atexit(end);
}

/* Not emptied first: for a file that is written anew so, ext4 waits for the disk. */
static void put(const char *name, const char *text, size_t len)
{
	CLEANUP(closep) int fd = openat(trailfd, name, O_WRONLY | O_CREAT, 0600);
	int r = fd < 0 ? -1 : file_pwrite(fd, text, len, 0);

	assert(r == 0);
	r = ftruncate(fd, (off_t)len);
	assert(r == 0);
}

/* What stands before the next mark; *at goes behind it. NULL at the end. */
static const char *take(const char **at, const char *to, size_t *ret_len)
{
	const char *text = *at, *next;

	if (!text)
		return NULL;
	next = memchr(text, NEXT, (size_t)(to - text));
	*ret_len = (size_t)((next ? next : to) - text);
	*at = next ? next + 1 : NULL;
	return text;
}

static void note_problem(void *arg, const struct audit_problem *p)
{
	uint64_t *problems = arg;

	assert(p->what && p->text);
	++*problems;
}

static void follow(void)
{
	struct audit_verdict verdict;
	struct audit_verify *v;
	uint64_t problems = 0;
	unsigned steps = 0;
	int r = audit_verify_open(dir.path, NULL, NULL, &v);

	if (r < 0)
		return;
	while ((r = audit_verify_step(v, STEP_BYTES, note_problem, &problems, &verdict)) == 0)
		assert(++steps < STEPS_MAX);
	audit_verify_free(v);
	if (r < 0)
		return;
	assert(verdict.problems == problems);
	assert(problems || !verdict.records ||
	       verdict.last_seq - verdict.first_seq + 1 == verdict.records);
}

static int on_record(void *arg UNUSED, const struct audit_record *rec, const char *line, size_t len)
{
	assert(rec->kind && !memchr(line, '\n', len));
	return 0;
}

static void read_all(const char *cursor)
{
	const struct audit_query any = { 0 };
	char at[AUDIT_CURSOR_MAX];
	struct audit_reader *r;
	unsigned steps = 0;
	int e = audit_reader_open(dir.path, &any, cursor, &r);

	if (e < 0)
		return;
	while ((e = audit_reader_next(r, 10, STEP_BYTES, on_record, NULL)) == 0)
		assert(++steps < STEPS_MAX);
	assert(e == 1 || e < 0);
	audit_reader_cursor(r, at);
	audit_reader_free(r);
	e = audit_reader_open(dir.path, &any, at, &r);
	assert(e == 0);
	audit_reader_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *at = (const char *)data, *to = at + len, *text;
	CLEANUP(buf_free) struct buf cursor = { 0 };
	size_t n;

	if (trailfd < 0)
		begin();
	text = len ? take(&at, to, &n) : NULL;
	if (!text || buf_add(&cursor, text, n) < 0 || buf_add(&cursor, "", 1) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		text = take(&at, to, &n);
		if (text)
			put(names[i], text, n);
		else
			unlinkat(trailfd, names[i], 0);
	}
	follow();
	read_all(NULL);
	read_all(cursor.data);
	return 0;
}
