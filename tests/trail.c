/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/trail.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/file.h"

#define SEGMENT_BYTES 2000
#define SEGMENT_BYTES_MAX (16 << 20)

struct audit_mended trail_open(struct trail *t, uint64_t segment_bytes)
{
	struct audit_mended mended;
	int fd = audit_dir_open(t->dir.path), r;

	assert(fd >= 0);
	r = audit_chain_open(fd, segment_bytes, t->witness, t->now_ms, &t->chain, &mended);
	assert(r == 0);
	return mended;
}

void trail_close(struct trail *t)
{
	audit_chain_close(t->chain);
	t->chain = NULL;
}

int trail_setup(void **state)
{
	struct trail *t = calloc(1, sizeof(*t));

	if (!t)
		return -1;
	workdir_init(&t->dir);
	t->now_ms = TRAIL_NOW_MS;
	if (file_mkdirs(trail_path(t, "")) < 0)
		return -1;
	trail_open(t, SEGMENT_BYTES);
	*state = t;
	return 0;
}

int trail_teardown(void **state)
{
	struct trail *t = *state;

	trail_close(t);
	workdir_fini(&t->dir);
	free(t);
	return 0;
}

void trail_add(struct trail *t, const char *user)
{
	const struct audit_record rec = { .kind = AUDIT_CHANGE,
					  .act = "tag.create",
					  .user = user,
					  .repo = "models/org/tiny",
					  .outcome = AUDIT_DONE };
	CLEANUP(buf_free) struct buf body = { 0 };
	int r;

	t->now_ms += 1000;
	audit_record_body(&rec, &body);
	r = audit_chain_add(t->chain, t->now_ms, body.data, body.len);
	assert(r == 0);
	r = audit_chain_flush(t->chain, t->now_ms);
	assert(r == 0);
}

void trail_fill(struct trail *t, unsigned count)
{
	char user[32];

	for (unsigned i = 1; i <= count; i++) {
		snprintf(user, sizeof(user), "user%u", i);
		trail_add(t, user);
	}
}

const char *trail_path(const struct trail *t, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/" AUDIT_DIR "/%s", t->dir.path, name);
	return path;
}

const char *trail_segment_path(const struct trail *t, uint64_t segment)
{
	char name[AUDIT_SEGMENT_NAME_MAX];

	audit_segment_name(segment, name);
	return trail_path(t, name);
}

void trail_get(struct trail *t, uint64_t segment, struct trail_lines *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = file_read_all(AT_FDCWD, trail_segment_path(t, segment), SEGMENT_BYTES_MAX, &text);
	char *at = text.data, *end;

	assert(r == 0);
	ret->count = 0;
	for (; at && (end = strchr(at, '\n')); at = end + 1) {
		assert(ret->count < TRAIL_LINES_MAX);
		ret->at[ret->count++] = strndup(at, (size_t)(end - at));
	}
}

void trail_put(struct trail *t, uint64_t segment, struct trail_lines *lines)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r;

	for (unsigned i = 0; i < lines->count; i++) {
		buf_printf(&text, "%s\n", lines->at[i]);
		free(lines->at[i]);
	}
	r = file_replace(AT_FDCWD, trail_segment_path(t, segment), buf_str(&text), text.len, 0600);
	assert(r == 0);
}

void trail_cut(struct trail *t)
{
	struct audit_begins begins = trail_begins(t);
	uint64_t segment = begins.at[begins.count - 1].number;
	char text[AUDIT_MARK_BYTES + 1];
	struct audit_mark head = { .segment = segment };
	struct trail_lines lines;
	struct audit_link link;
	int r;

	audit_begins_free(&begins);
	trail_get(t, segment, &lines);
	free(lines.at[--lines.count]);
	assert(audit_link_of(lines.at[lines.count - 1], strlen(lines.at[lines.count - 1]), &link));
	head.seq = link.seq;
	memcpy(head.hash, link.hash, sizeof(head.hash));
	trail_put(t, segment, &lines);
	audit_mark_print(&head, text);
	r = file_replace(AT_FDCWD, trail_path(t, AUDIT_HEAD_FILE), text, AUDIT_MARK_BYTES, 0600);
	assert(r == 0);
}

static char *chained_anew(char *line, struct audit_mark *end)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct audit_record rec;
	struct jdoc *doc;
	char *body = strstr(line, ",\"kind\""), *tail = strstr(line, ",\"hash\"");
	int r = audit_record_parse(line, strlen(line), &rec, &doc);

	assert(r == 0 && body && tail);
	end->seq = rec.seq;
	r = audit_record_line(rec.seq, rec.time_ms, body, (size_t)(tail - body), end->hash, &text);
	assert(r == 0);
	jdoc_free(doc);
	free(line);
	buf_trim_end(&text);
	return buf_take(&text);
}

void trail_forge(struct trail *t, const char *old, const char *new)
{
	struct audit_begins begins = trail_begins(t);
	const struct audit_begun *last = &begins.at[begins.count - 1];
	struct audit_mark head = { .segment = last->number };
	char text[AUDIT_MARK_BYTES + 1];
	struct trail_lines lines;
	int r;

	memcpy(head.hash, last->prev, sizeof(head.hash));
	audit_begins_free(&begins);
	trail_get(t, head.segment, &lines);
	for (unsigned i = 0; i < lines.count; i++) {
		char *at = strstr(lines.at[i], old);

		if (at)
			memcpy(at, new, strlen(new));
		lines.at[i] = chained_anew(lines.at[i], &head);
	}
	trail_put(t, head.segment, &lines);
	audit_mark_print(&head, text);
	r = file_replace(AT_FDCWD, trail_path(t, AUDIT_HEAD_FILE), text, AUDIT_MARK_BYTES, 0600);
	assert(r == 0);
}

struct audit_begins trail_begins(const struct trail *t)
{
	CLEANUP(closep) int fd = audit_dir_open(t->dir.path);
	struct audit_begins begins;
	int r = audit_begins_list(fd, &begins);

	assert(r == 0);
	return begins;
}

static void note_problem(void *arg, const struct audit_problem *p)
{
	buf_printf(arg, "%s %ju@%ju:%ju ", p->what, (uintmax_t)p->seq, (uintmax_t)p->segment,
		   (uintmax_t)p->line);
}

struct audit_verdict trail_verify(const struct trail *t, struct buf *ret_problems)
{
	struct audit_verdict verdict;
	struct audit_verify *v;
	int r = audit_verify_open(t->dir.path, NULL, t->witness, &v);

	assert(r == 0);
	while ((r = audit_verify_step(v, 300, note_problem, ret_problems, &verdict)) == 0)
		continue;
	assert(r == 1);
	audit_verify_free(v);
	return verdict;
}
