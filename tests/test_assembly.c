/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/assembly.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/registry/recipes.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "tests/kept_repo.h"
#include "tests/xet_maker.h"

#define CHUNKS 6

static const struct xorb_owner ann = { KEPT_UID_A, "ann" };

/* Two xorbs, and who asks for others. */
struct fixture {
	struct kept *k; /* first: its fixtures' state */
	struct made_xorb one, two;
	struct db *db;
	bool closed;     /* nothing else may be used */
	unsigned ends;   /* after so many looks nobody waits any more; 0: never */
	unsigned doubts; /* of blobs */
	size_t made;     /* files, of those that nobody waited for to the end */
	struct buf why;  /* the last one was refused */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *k = NULL;

	assert_non_null(f);
	assert_int_equal(kept_setup(&k), 0);
	f->k = k;
	f->db = f->k->db;
	made_xorb_fill(&f->one, CHUNKS, 1);
	made_xorb_fill(&f->two, CHUNKS, 101);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *k = f->k;

	made_xorb_free(&f->one);
	made_xorb_free(&f->two);
	buf_free(&f->why);
	free(f);
	return kept_teardown(&k);
}

static void send(struct fixture *f, const struct made_xorb *x)
{
	const struct xorbs_want want = { ann, "org", UINT64_MAX };
	struct xorb_file *file = NULL;
	uint8_t name[XET_HASH];

	made_xorb_name(x, name);
	assert_int_equal(xorbs_begin(f->k->xorbs, &want, name, &file), 0);
	assert_int_equal(xorb_file_add(file, x->bytes.data, x->bytes.len), 0);
	assert_int_equal(xorb_file_end(file), 0);
	xorb_file_drop(file);
}

static void count_name(void *arg, const char *name)
{
	*(unsigned *)arg += name[0] != '.';
}

static unsigned staged(const struct fixture *f)
{
	unsigned n = 0;

	file_each_name(intake_staging(f->k->in), count_name, &n);
	return n;
}

/* ---- a file ---- */

/* What it is made of. */
struct range {
	const struct made_xorb *x;
	uint32_t from, to;
};

/* Its bytes, the hash that it has by its chunks, and its SHA-256. */
struct wanted {
	struct buf bytes;
	uint8_t hash[XET_HASH];
	char sha256[DIGEST_HEX_MAX + 1];
};

static void want(const struct range *ranges, size_t count, struct wanted *ret)
{
	struct xet_tree tree = { .bytes = 0 };
	uint8_t sha256[32];

	for (size_t i = 0; i < count; i++) {
		const struct range *r = &ranges[i];
		uint32_t start = r->from ? r->x->ends[r->from - 1] : 0;

		buf_add(&ret->bytes, r->x->raw.data + start, r->x->ends[r->to - 1] - start);
		for (uint32_t c = r->from; c < r->to; c++)
			xet_tree_add(&tree, (const uint8_t *)r->x->hashes.data + c * XET_HASH,
				     r->x->ends[c] - (c ? r->x->ends[c - 1] : 0));
	}
	xet_tree_file(&tree, ret->hash);
	assert_int_equal(digest_of(DIGEST_SHA256, buf_str(&ret->bytes), ret->bytes.len, sha256), 0);
	hex_print(sha256, 32, ret->sha256);
}

static void make_shard(const struct range *ranges, uint32_t count, const struct wanted *w,
		       const char *sha256, struct xet_shard *ret)
{
	CLEANUP(buf_free) struct buf bytes = { 0 };

	made_shard_head(&bytes);
	made_shard_file(&bytes, w->hash, count, sha256);
	for (uint32_t i = 0; i < count; i++)
		made_shard_term(&bytes, ranges[i].x, ranges[i].from, ranges[i].to);
	for (uint32_t i = 0; i < count; i++)
		made_shard_range(&bytes, ranges[i].x, ranges[i].from, ranges[i].to);
	if (sha256)
		made_shard_sha256(&bytes, sha256);
	made_shard_end(&bytes, ranges[0].x);
	assert_int_equal(xet_shard_add(ret, bytes.data, bytes.len), 0);
	assert_int_equal(xet_shard_end(ret), 0);
}

/* As the hub does it for whoever brought them. */
static int look_up(struct db_txn *t, void *arg)
{
	struct xorb_view *v = ((void **)arg)[1];

	xorb_view_fini(v);
	return xorb_rows_get(t, ((void **)arg)[0], &v->map);
}

static int find(void *arg, const uint8_t xorb[static XET_HASH], struct xorb_view *ret)
{
	const struct fixture *f = arg;
	struct xorb_view v = { .fd = -1 };
	void *both[] = { (void *)(uintptr_t)xorb, &v };
	int r = f->closed ? -ENOENT : db_read(f->db, look_up, both);

	if (r == 0)
		*ret = v;
	else
		xorb_view_fini(&v);
	return r;
}

static bool ends(void *arg)
{
	struct fixture *f = arg;

	return f->ends && --f->ends == 0;
}

static void doubt(void *arg, const char *etag UNUSED)
{
	struct fixture *f = arg;

	f->doubts++;
}

static int assemble(struct fixture *f, const struct xet_shard *s, size_t want_files)
{
	const struct assembly_conf conf = {
		.xorbs = { f->db, f->k->in, f->k->xorbs, ann, find, f },
		.shard = s,
		.ends = ends,
		.doubt = doubt,
		.arg = f,
	};
	struct assembly *a = NULL;
	int r = assembly_new(&conf, &a);

	buf_clear(&f->why);
	if (r == 0)
		r = assembly_plan(a, &f->why);
	if (r == 0)
		r = assembly_make(a, &f->why);
	assert_int_equal(r == -EBADMSG, f->why.len > 0);
	if (r == ERR_CUT)
		assert_int_equal(assembly_count(a), f->made);
	if (r == ERR_CUT && f->made)
		assert_int_equal(assembly_note(a), 0);
	if (r == 0)
		r = assembly_note(a);
	if (r == 0)
		assert_int_equal(assembly_count(a), want_files);
	assembly_free(a);
	return r;
}

static void assert_blob(struct fixture *f, const struct wanted *w)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	uint64_t size = 0;
	CLEANUP(closep) int fd = intake_open_blob(f->k->in, w->sha256, &size);

	assert_true(fd >= 0);
	assert_int_equal(size, w->bytes.len);
	assert_int_equal(buf_reserve(&got, size), 0);
	assert_int_equal(file_pread(fd, got.data, size, 0), 0);
	assert_memory_equal(got.data, w->bytes.data, size);
}

static void wanted_free(struct wanted *w)
{
	buf_free(&w->bytes);
}

/* A file of all chunks of both xorbs, the shard that says so, and what it is made of is sent. */
static void send_both(struct fixture *f, struct wanted *w, struct xet_shard *s)
{
	const struct range ranges[] = { { &f->one, 0, CHUNKS }, { &f->two, 0, CHUNKS } };

	want(ranges, 2, w);
	make_shard(ranges, 2, w, w->sha256, s);
	send(f, &f->one);
	send(f, &f->two);
}

/* ---- stories ---- */

static void a_file_is_made_of_chunks_and_the_xorbs_need_not_wait(void **state)
{
	struct fixture *f = *state;
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 };

	send_both(f, &w, &s);
	assert_int_equal(staged(f), 2);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_blob(f, &w);
	assert_int_equal(staged(f), 0);
}

static void what_is_not_in_a_blob_yet_waits_on(void **state)
{
	struct fixture *f = *state;
	const struct range some[] = { { &f->one, 1, 3 } }, rest[] = { { &f->one, 0, CHUNKS } };
	CLEANUP(xet_shard_fini) struct xet_shard first = { 0 }, second = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 }, all = { 0 };

	send(f, &f->one);
	want(some, 1, &w);
	make_shard(some, 1, &w, w.sha256, &first);
	assert_int_equal(assemble(f, &first, 1), 0);
	assert_int_equal(staged(f), 1);
	want(rest, 1, &all);
	make_shard(rest, 1, &all, all.sha256, &second);
	assert_int_equal(assemble(f, &second, 1), 0);
	assert_int_equal(staged(f), 0);
	assert_blob(f, &w);
	assert_blob(f, &all);
}

/* Its client remembers the xorb, and sends only what is new. */
static void the_next_file_is_made_of_what_lies_in_the_first(void **state)
{
	struct fixture *f = *state;
	const struct range old[] = { { &f->one, 0, CHUNKS } };
	const struct range new[] = { { &f->one, 2, 4 }, { &f->two, 0, 3 }, { &f->one, 0, 6 } };
	CLEANUP(xet_shard_fini) struct xet_shard first = { 0 }, second = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 }, next = { 0 };

	send(f, &f->one);
	want(old, 1, &w);
	make_shard(old, 1, &w, w.sha256, &first);
	assert_int_equal(assemble(f, &first, 1), 0);
	send(f, &f->two);
	want(new, 3, &next);
	make_shard(new, 3, &next, next.sha256, &second);
	f->closed = true; /* twin: it is none of theirs */
	assert_int_equal(assemble(f, &second, 1), -EBADMSG);
	f->closed = false;
	assert_int_equal(assemble(f, &second, 1), 0);
	assert_blob(f, &next);
}

static void without_a_sha256_it_gets_its_own(void **state)
{
	struct fixture *f = *state;
	const struct range ranges[] = { { &f->one, 0, CHUNKS } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 };

	send(f, &f->one);
	want(ranges, 1, &w);
	make_shard(ranges, 1, &w, NULL, &s);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_blob(f, &w);
}

static ino_t inode_of(struct fixture *f, const struct wanted *w)
{
	uint64_t size;
	CLEANUP(closep) int fd = intake_open_blob(f->k->in, w->sha256, &size);
	struct stat st;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	return st.st_ino;
}

static void damage(struct fixture *f, const struct wanted *w, uint64_t at)
{
	CLEANUP(closep) int fd = -1;
	char name[80];

	snprintf(name, sizeof(name), "blobs/%.2s/%s", w->sha256, w->sha256);
	assert_int_equal(fchmodat(intake_root(f->k->in), name, 0600, 0), 0);
	fd = openat(intake_root(f->k->in), name, O_RDWR | O_CLOEXEC);
	assert_int_equal(file_pwrite(fd, "\0\0\0\0", 4, at), 0);
}

/* Its client did not hear the answer, or has it from elsewhere. */
static void a_file_that_is_here_is_not_written_once_more(void **state)
{
	struct fixture *f = *state;
	const struct range ranges[] = { { &f->one, 0, CHUNKS }, { &f->two, 1, 4 } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 };
	ino_t first;

	want(ranges, 2, &w);
	make_shard(ranges, 2, &w, w.sha256, &s);
	send(f, &f->one);
	send(f, &f->two);
	assert_int_equal(assemble(f, &s, 1), 0);
	first = inode_of(f, &w);
	send(f, &f->one);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_int_equal(inode_of(f, &w), first);
	assert_int_equal(staged(f), 1); /* some of the second xorb is in no file */
	/* Twin: one that is damaged is. */
	damage(f, &w, 300);
	send(f, &f->one);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_int_not_equal(inode_of(f, &w), first);
	assert_blob(f, &w);
}

static void many_files_are_made_at_once(void **state)
{
	struct fixture *f = *state;
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(buf_free) struct buf bytes = { 0 };
	unsigned count = 0;

	send(f, &f->one);
	made_shard_head(&bytes);
	for (uint32_t i = 0; i < 300; i++, count++) {
		const struct range r[] = { { &f->one, i % 5, i % 5 + 1 },
					   { &f->one, 0, 1 + i % 6 } };
		CLEANUP(wanted_free) struct wanted w = { 0 };

		want(r, 2, &w);
		made_shard_file(&bytes, w.hash, 2, w.sha256);
		for (int t = 0; t < 2; t++)
			made_shard_term(&bytes, r[t].x, r[t].from, r[t].to);
		for (int t = 0; t < 2; t++)
			made_shard_range(&bytes, r[t].x, r[t].from, r[t].to);
		made_shard_sha256(&bytes, w.sha256);
	}
	made_shard_end(&bytes, &f->one);
	assert_int_equal(xet_shard_add(&s, bytes.data, bytes.len), 0);
	assert_int_equal(assemble(f, &s, count), 0);
	assert_int_equal(staged(f), 0);
}

/* What it says of its chunks is not so. */
static void a_shard_that_lies_makes_nothing(void **state)
{
	struct fixture *f = *state;
	const struct range ranges[] = { { &f->one, 1, 3 } };
	CLEANUP(wanted_free) struct wanted w = { 0 };
	struct xet_term *t;

	send(f, &f->one);
	want(ranges, 1, &w);
	for (int lie = 0; lie < 7; lie++) {
		CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
		struct xet_file *file;

		make_shard(ranges, 1, &w, w.sha256, &s);
		file = (void *)s.files.data;
		t = (void *)s.terms.data;
		if (lie == 0)
			t->xorb[0] ^= 1;
		else if (lie == 1)
			t->to = CHUNKS + 1;
		else if (lie == 2)
			t->bytes--;
		else if (lie == 3)
			t->range[31] ^= 1;
		else if (lie == 4)
			file->hash[5] ^= 1;
		else if (lie == 5)
			file->sha256[0] = file->sha256[0] == '0' ? '1' : '0';
		assert_int_equal(assemble(f, &s, 1), lie < 6 ? -EBADMSG : 0);
		assert_int_equal(intake_is_there(f->k->in, w.sha256), lie == 6);
		assert_int_equal(staged(f), 1);
		if (lie < 6)
			continue;
		file->hash[5] ^= 1; /* also of one that is here */
		assert_int_equal(assemble(f, &s, 1), -EBADMSG);
	}
}

static void an_empty_file_has_no_chunks(void **state)
{
	struct fixture *f = *state;
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 };
	CLEANUP(buf_free) struct buf bytes = { 0 };

	want(NULL, 0, &w);
	made_shard_head(&bytes);
	made_shard_file(&bytes, w.hash, 0, w.sha256);
	made_shard_sha256(&bytes, w.sha256);
	made_shard_end(&bytes, &f->one);
	assert_int_equal(xet_shard_add(&s, bytes.data, bytes.len), 0);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_true(intake_is_there(f->k->in, w.sha256));
}

static int get_generation(struct db_txn *t, void *arg)
{
	return xorb_rows_generation(t, "ann", arg);
}

static uint32_t generation(struct fixture *f)
{
	uint32_t n = 0;

	assert_int_equal(db_read(f->db, get_generation, &n), 0);
	return n;
}

/* They lose it: what is there of the file that waits for one of its chunks. It came so much later
 * than their process began. */
static void break_waiting(struct fixture *f, const struct made_xorb *x, uint32_t chunk,
			  int64_t later_s)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
					   { .tv_sec = clock_wall_s() + later_s } };
	uint8_t name[XET_HASH];
	char hex[XET_HASH_HEX + 1], file[256];
	CLEANUP(closep) int fd = -1;

	made_xorb_name(x, name);
	xet_hash_print(name, hex);
	snprintf(file, sizeof(file), "xorb-" KEPT_UID_A "-%s-ann", hex);
	fd = openat(intake_staging(f->k->in), file, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(file_pwrite(fd, "\0\0\0\0", 4, x->ends[chunk - 1] + 8), 0);
	assert_int_equal(futimens(fd, times), 0);
}

/* A hole that a power cut left, with all that says what the chunks are behind it. With the SHA-256
 * of the file and without; of another life of the process and of this one. */
static void a_xorb_with_a_hole_is_sent_again(void **state)
{
	struct fixture *f = *state;

	for (uint32_t with = 0; with < 4; with++) {
		const struct range ranges[] = { { &f->one, with, CHUNKS } };
		CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
		CLEANUP(wanted_free) struct wanted w = { 0 };
		uint32_t before = generation(f);

		want(ranges, 1, &w);
		make_shard(ranges, 1, &w, with % 2 ? w.sha256 : NULL, &s);
		send(f, &f->one);
		break_waiting(f, &f->one, 3, with < 2 ? -60 : 60);
		assert_int_equal(assemble(f, &s, 1), -EBADMSG);
		assert_int_equal(staged(f), 0);
		assert_false(intake_is_there(f->k->in, w.sha256));
		assert_int_equal(generation(f), before + 1);
		send(f, &f->one);
		assert_int_equal(assemble(f, &s, 1), 0);
		assert_blob(f, &w);
	}
}

/* Each chunk was when it came: of the file the SHA-256 is. Nobody knows that of a hole beforehand,
 * but this test. */
static void what_came_lately_is_not_compared_chunk_by_chunk(void **state)
{
	struct fixture *f = *state;
	const struct range ranges[] = { { &f->one, 0, CHUNKS } };
	uint8_t sha256[32];

	for (int lately = 0; lately < 2; lately++) {
		CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
		CLEANUP(wanted_free) struct wanted w = { 0 };
		uint32_t before = generation(f);

		want(ranges, 1, &w);
		memset(w.bytes.data + f->one.ends[2] + 8, 0, 4);
		assert_int_equal(digest_of(DIGEST_SHA256, buf_str(&w.bytes), w.bytes.len, sha256),
				 0);
		hex_print(sha256, 32, w.sha256);
		make_shard(ranges, 1, &w, w.sha256, &s);
		send(f, &f->one);
		break_waiting(f, &f->one, 3, lately ? 60 : -60);
		assert_int_equal(assemble(f, &s, 1), lately ? 0 : -EBADMSG);
		assert_int_equal(generation(f), before + !lately);
		assert_int_equal(intake_is_there(f->k->in, w.sha256), lately);
	}
}

static void what_is_not_here_is_to_be_sent_and_nothing_is_written(void **state)
{
	struct fixture *f = *state;
	const struct range ranges[] = { { &f->one, 0, CHUNKS }, { &f->two, 0, 2 } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 };

	want(ranges, 2, &w);
	make_shard(ranges, 2, &w, w.sha256, &s);
	send(f, &f->one);
	f->ends = 3; /* it comes to no look but those of the plan */
	assert_int_equal(assemble(f, &s, 1), -EBADMSG);
	assert_true(f->ends > 0);
	assert_int_equal(generation(f), 2);
	f->ends = 0;
	send(f, &f->two);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_int_equal(generation(f), 2);
}

static void who_does_not_wait_is_made_nothing(void **state)
{
	struct fixture *f = *state;
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 };

	send_both(f, &w, &s);
	for (unsigned after = 1; after <= 4; after++) { /* two looks of the plan */
		f->ends = after;
		assert_int_equal(assemble(f, &s, 1), ERR_CUT);
		assert_int_equal(staged(f), 2);
		assert_false(intake_is_there(f->k->in, w.sha256));
	}
	assert_int_equal(assemble(f, &s, 1), 0); /* the twin */
}

/* It need not be made once more for who comes back. */
static void what_was_finished_before_nobody_waited_stays(void **state)
{
	struct fixture *f = *state;
	const struct range ranges[] = { { &f->one, 0, CHUNKS }, { &f->two, 0, CHUNKS } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted first = { 0 }, second = { 0 };
	CLEANUP(buf_free) struct buf bytes = { 0 };

	want(&ranges[0], 1, &first);
	want(&ranges[1], 1, &second);
	made_shard_head(&bytes);
	for (int i = 0; i < 2; i++) {
		const struct wanted *w = i ? &second : &first;

		made_shard_file(&bytes, w->hash, 1, w->sha256);
		made_shard_term(&bytes, ranges[i].x, 0, CHUNKS);
		made_shard_range(&bytes, ranges[i].x, 0, CHUNKS);
		made_shard_sha256(&bytes, w->sha256);
		send(f, ranges[i].x);
	}
	made_shard_end(&bytes, &f->one);
	assert_int_equal(xet_shard_add(&s, bytes.data, bytes.len), 0);
	f->ends = 4;
	f->made = 1;
	assert_int_equal(assemble(f, &s, 2), ERR_CUT);
	assert_blob(f, &first);
	assert_false(intake_is_there(f->k->in, second.sha256));
	assert_int_equal(staged(f), 1); /* the xorb of the other one */
	assert_int_equal(assemble(f, &s, 2), 0);
	assert_blob(f, &second);
}

/* Its blob was found to be that file when it came, and is known as such. */
static void of_a_file_that_came_before_nothing_is_read(void **state)
{
	struct fixture *f = *state;
	const struct range ranges[] = { { &f->one, 0, CHUNKS } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 };
	const struct xet_file *file;
	ino_t first;

	want(ranges, 1, &w);
	make_shard(ranges, 1, &w, w.sha256, &s);
	file = xet_shard_file(&s, 0);
	for (int known = 0; known < 2; known++) {
		CLEANUP(recipe_notes_fini) struct recipe_notes n = { .db = f->db };

		send(f, &f->one);
		assert_int_equal(assemble(f, &s, 1), 0);
		if (known) {
			assert_int_equal(recipes_note(&n, w.sha256, file->hash,
						      xet_shard_terms(&s, file), 1),
					 0);
			assert_int_equal(recipes_keep(&n), 0);
		}
		first = inode_of(f, &w);
		send(f, &f->one);
		damage(f, &w, 300); /* for the scrubber to find */
		assert_int_equal(assemble(f, &s, 1), 0);
		if (known)
			assert_int_equal(inode_of(f, &w), first);
		else
			assert_int_not_equal(inode_of(f, &w), first);
		assert_int_equal(staged(f), 0);
	}
	/* Twin: what it is known as is another file. */
	((struct xet_file *)(void *)s.files.data)->hash[3] ^= 1;
	send(f, &f->one);
	assert_int_equal(assemble(f, &s, 1), -EBADMSG);
}

/* The same xorb over and over: it takes the hub long to look at, and the client a few bytes. */
static void a_shard_has_no_end_of_chunks(void **state)
{
	struct fixture *f = *state;

	for (uint32_t count = 1024; count <= 1025; count++) {
		CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
		struct xet_file file = { .count = count };
		struct xet_term t = { .bytes = UINT32_C(1) << 25, .to = 8192 };

		assert_int_equal(buf_add(&s.files, &file, sizeof(file)), 0);
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(buf_add(&s.terms, &t, sizeof(t)), 0);
		assert_int_not_equal(assemble(f, &s, 1), 0);
		assert_int_equal(!!strstr(buf_str(&f->why), "too many chunks"), count > 1024);
	}
}

/* More of them than can be open at once, in turn. */
static void a_file_goes_to_and_fro_among_many_xorbs(void **state)
{
	struct fixture *f = *state;
	struct made_xorb many[XORB_VIEWS_MAX + 3] = { 0 };
	struct range ranges[2 * ARRAY_LEN(many)];
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 };

	for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
		made_xorb_fill(&many[i], 2, 240 + 250 * i);
		send(f, &many[i]);
	}
	for (unsigned i = 0; i < ARRAY_LEN(ranges); i++)
		ranges[i] = (struct range){ &many[i % ARRAY_LEN(many)], i / ARRAY_LEN(many),
					    i / ARRAY_LEN(many) + 1 };
	want(ranges, ARRAY_LEN(ranges), &w);
	make_shard(ranges, ARRAY_LEN(ranges), &w, w.sha256, &s);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_blob(f, &w);
	assert_int_equal(staged(f), 0);
	for (unsigned i = 0; i < ARRAY_LEN(many); i++)
		made_xorb_free(&many[i]);
}

/* Chunks of a byte or so: it would be counted for long. */
static void a_file_of_chunks_that_are_next_to_nothing_is_refused(void **state)
{
	struct fixture *f = *state;
	struct range ranges[100];

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		ranges[i] = (struct range){ &f->one, 0, 1 };
	send(f, &f->one);
	for (int many = 0; many < 2; many++) {
		CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
		CLEANUP(wanted_free) struct wanted w = { 0 };
		uint32_t count = many ? ARRAY_LEN(ranges) : 60;

		want(ranges, count, &w);
		make_shard(ranges, count, &w, w.sha256, &s);
		assert_int_equal(assemble(f, &s, 1), many ? -EBADMSG : 0);
	}
	assert_int_equal(generation(f), 1);
}

/* As a scrub does that finds it damaged. */
static void who_names_what_the_disk_lost_is_to_forget_it(void **state)
{
	struct fixture *f = *state;
	const struct range ranges[] = { { &f->one, 0, CHUNKS } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 };
	char name[80];

	send(f, &f->one);
	want(ranges, 1, &w);
	make_shard(ranges, 1, &w, w.sha256, &s);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_int_equal(generation(f), 1);
	snprintf(name, sizeof(name), "blobs/%.2s/%s", w.sha256, w.sha256);
	assert_int_equal(unlinkat(intake_root(f->k->in), name, 0), 0);
	assert_int_equal(assemble(f, &s, 1), -EBADMSG);
	assert_int_equal(generation(f), 2);
	send(f, &f->one);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_blob(f, &w);
}

/* Its row goes, so that nobody looks there once more; and the blob is to be read again. */
static void where_chunks_are_not_nobody_looks_again(void **state)
{
	struct fixture *f = *state;
	const struct range all[] = { { &f->one, 0, CHUNKS } }, some[] = { { &f->one, 1, 3 } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 }, t = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 }, v = { 0 };
	struct xorb_view view = { .fd = -1 };
	uint8_t name[XET_HASH];

	made_xorb_name(&f->one, name);
	send(f, &f->one);
	want(all, 1, &w);
	make_shard(all, 1, &w, w.sha256, &s);
	assert_int_equal(assemble(f, &s, 1), 0);
	want(some, 1, &v);
	make_shard(some, 1, &v, v.sha256, &t);
	damage(f, &w, f->one.ends[0] + 1);
	assert_int_equal(assemble(f, &t, 1), -EBADMSG);
	assert_non_null(strstr(buf_str(&f->why), "is not here"));
	assert_int_equal(f->doubts, 1);
	assert_int_equal(find(f, name, &view), -ENOENT);
	assert_int_equal(generation(f), 3); /* who brought it, and who named it */
	/* Twin: it came again. */
	send(f, &f->one);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_int_equal(assemble(f, &t, 1), 0);
	assert_blob(f, &v);
	assert_int_equal(f->doubts, 1);
}

/* A blob has the chunk twice, and neither is it any more. */
static void a_blob_is_doubted_once(void **state)
{
	struct fixture *f = *state;
	const struct range both[] = { { &f->one, 0, 4 }, { &f->one, 2, CHUNKS } };
	const struct range all[] = { { &f->one, 0, CHUNKS } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 }, t = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 }, v = { 0 };
	const uint32_t *ends = f->one.ends;

	send(f, &f->one);
	want(both, 2, &w);
	make_shard(both, 2, &w, w.sha256, &s);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_int_equal(staged(f), 0);
	want(all, 1, &v);
	make_shard(all, 1, &v, v.sha256, &t);
	damage(f, &w, ends[2] + 1);
	damage(f, &w, ends[3] + ends[2] - ends[1] + 1);
	assert_int_equal(assemble(f, &t, 1), -EBADMSG);
	assert_int_equal(f->doubts, 1);
}

/* Somebody else has all of it, in a file that is not for who brings it as well. */
static void what_others_have_is_as_if_it_were_not_there(void **state)
{
	struct fixture *f = *state;
	const struct range all[] = { { &f->one, 0, CHUNKS } }, some[] = { { &f->one, 0, 2 } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 }, t = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 }, v = { 0 };
	ino_t first;

	want(all, 1, &w);
	make_shard(all, 1, &w, w.sha256, &s);
	want(some, 1, &v);
	make_shard(some, 1, &v, v.sha256, &t);
	send(f, &f->one);
	assert_int_equal(assemble(f, &s, 1), 0);
	first = inode_of(f, &w);
	f->closed = true;
	send(f, &f->one);
	assert_int_equal(assemble(f, &t, 1), 0);
	assert_int_equal(staged(f), 1);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_int_not_equal(inode_of(f, &w), first);
	assert_int_equal(staged(f), 0);
	/* Twin: it is for them. */
	f->closed = false;
	first = inode_of(f, &w);
	send(f, &f->one);
	assert_int_equal(assemble(f, &t, 1), 0);
	assert_int_equal(staged(f), 0);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_int_equal(inode_of(f, &w), first);
}

/* Neither how long they are nor what they are is told by how a guess is refused. */
static void of_chunks_that_one_may_not_have_nothing_is_told(void **state)
{
	struct fixture *f = *state;
	const struct range some[] = { { &f->one, 0, 2 } };
	const struct range guesses[] = { { &f->one, 3, 4 }, { &f->two, 3, 4 } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted v = { 0 };
	uint8_t name[XET_HASH];

	send(f, &f->one);
	want(some, 1, &v);
	make_shard(some, 1, &v, v.sha256, &s);
	assert_int_equal(assemble(f, &s, 1), 0);
	made_xorb_name(&f->one, name);
	xorbs_remove(f->k->xorbs, &ann, name);
	for (unsigned right = 0; right < 2; right++) {
		CLEANUP(xet_shard_fini) struct xet_shard t = { 0 };
		CLEANUP(wanted_free) struct wanted w = { 0 };
		struct xet_term *term;

		want(&guesses[!right], 1, &w);
		make_shard(&guesses[!right], 1, &w, w.sha256, &t);
		term = (struct xet_term *)(void *)t.terms.data;
		memcpy(term->xorb, name, XET_HASH);
		assert_int_equal(assemble(f, &t, 1), -EBADMSG);
		assert_non_null(strstr(buf_str(&f->why), "is not here"));
	}
}

/* Nobody committed it: the blob goes, and nothing says any more that its chunks are here. */
static void what_the_collector_takes_is_named_by_nothing(void **state)
{
	struct fixture *f = *state;
	const struct range ranges[] = { { &f->one, 0, CHUNKS } };
	CLEANUP(xet_shard_fini) struct xet_shard s = { 0 };
	CLEANUP(wanted_free) struct wanted w = { 0 };
	struct xorb_view v = { .fd = -1 };
	uint8_t name[XET_HASH];

	send(f, &f->one);
	made_xorb_name(&f->one, name);
	want(ranges, 1, &w);
	make_shard(ranges, 1, &w, w.sha256, &s);
	assert_int_equal(assemble(f, &s, 1), 0);
	assert_int_equal(kept_collect(f->k, 0, false, 0).blobs, 0);
	assert_int_equal(find(f, name, &v), 0);
	xorb_view_fini(&v);
	assert_int_equal(kept_collect(f->k, KEPT_SPARES_NOTHING, false, 0).blobs, 1);
	assert_int_equal(find(f, name, &v), -ENOENT);
	assert_int_equal(assemble(f, &s, 1), -EBADMSG);
	send(f, &f->one);
	assert_int_equal(assemble(f, &s, 1), 0);
}

int main(void)
{
#define TEST(story) cmocka_unit_test_setup_teardown(story, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_file_is_made_of_chunks_and_the_xorbs_need_not_wait),
		TEST(what_is_not_in_a_blob_yet_waits_on),
		TEST(the_next_file_is_made_of_what_lies_in_the_first),
		TEST(without_a_sha256_it_gets_its_own),
		TEST(a_file_that_is_here_is_not_written_once_more),
		TEST(many_files_are_made_at_once),
		TEST(a_shard_that_lies_makes_nothing),
		TEST(an_empty_file_has_no_chunks),
		TEST(a_xorb_with_a_hole_is_sent_again),
		TEST(what_is_not_here_is_to_be_sent_and_nothing_is_written),
		TEST(who_does_not_wait_is_made_nothing),
		TEST(what_was_finished_before_nobody_waited_stays),
		TEST(of_a_file_that_came_before_nothing_is_read),
		TEST(a_shard_has_no_end_of_chunks),
		TEST(what_came_lately_is_not_compared_chunk_by_chunk),
		TEST(a_file_goes_to_and_fro_among_many_xorbs),
		TEST(a_file_of_chunks_that_are_next_to_nothing_is_refused),
		TEST(who_names_what_the_disk_lost_is_to_forget_it),
		TEST(a_blob_is_doubted_once),
		TEST(where_chunks_are_not_nobody_looks_again),
		TEST(what_others_have_is_as_if_it_were_not_there),
		TEST(of_chunks_that_one_may_not_have_nothing_is_told),
		TEST(what_the_collector_takes_is_named_by_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
