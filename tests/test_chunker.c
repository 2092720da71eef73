/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/chunker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/pair.h"

#define WAIT_MS 20000
#define TEXT "what somebody uploaded\n"

/* A node that has the files of the pair's model, what people uploaded, and who makes lists. */
struct world {
	struct pair *pair;
	struct workdir dir;
	struct intake *intake;
	struct chunker *chunker;
	char etag[DIGEST_HEX_MAX + 1]; /* of TEXT */
};

static void upload(struct world *w)
{
	const struct intake_want want = { DIGEST_SHA256, strlen(TEXT), NULL };
	struct intake_file *f = NULL;

	assert_int_equal(intake_begin(w->intake, &want, &f), 0);
	assert_int_equal(intake_add(f, TEXT, strlen(TEXT)), 0);
	assert_int_equal(intake_end(f), 0);
	assert_int_equal(intake_keep(w->intake, &f, 1), 0);
	snprintf(w->etag, sizeof(w->etag), "%s", intake_etag(f));
	intake_drop(f);
}

static int setup(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct world *w = calloc(1, sizeof(*w));
	void *pair = NULL;

	if (!w || pair_setup_alone(&pair) < 0)
		return -1;
	w->pair = pair;
	pair_pull(w->pair, 0);
	workdir_init(&w->dir);
	assert_int_equal(intake_open(w->dir.path, &w->intake, &why), 0);
	upload(w);
	assert_int_equal(chunker_start(w->pair->node[0], w->intake, &w->chunker), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	void *pair = w->pair;

	assert_true(chunker_stop(w->chunker, clock_ms() + WAIT_MS));
	chunker_free(w->chunker);
	intake_close(w->intake);
	pair_teardown(&pair);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

/* Asks until it is no more said to come. */
static int get(struct world *w, const char *etag, uint64_t size, bool own, struct chunk_list **ret)
{
	int64_t until_ms = clock_ms() + WAIT_MS;
	int r = -EAGAIN;

	while (r == -EAGAIN && clock_ms() < until_ms) {
		r = chunker_get(w->chunker, etag, size, own, ret);
		clock_sleep_ms(2);
	}
	return r;
}

static void assert_is(const struct chunk_list *l, const void *first, size_t len)
{
	uint8_t digest[DIGEST_BYTES_MAX];

	assert_int_equal(digest_of(DIGEST_SHA256, first, len, digest), 0);
	assert_memory_equal(l->digests[0], digest, CHUNK_LIST_DIGEST);
}

static void the_list_of_what_the_cache_has_is_made_when_it_is_asked_for(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL, *again = NULL;
	struct world *w = *state;
	const struct source_blob *big = &w->pair->big;

	assert_int_equal(chunker_get(w->chunker, big->etag, PAIR_BIG_SIZE, false, &l), -EAGAIN);
	assert_int_equal(get(w, big->etag, PAIR_BIG_SIZE, false, &l), 0);
	assert_is(l, w->pair->big_bytes, UINT64_C(1) << 20);
	/* and kept */
	assert_int_equal(chunker_get(w->chunker, big->etag, PAIR_BIG_SIZE, false, &again), 0);
}

static void so_is_that_of_what_was_uploaded(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	struct world *w = *state;

	assert_int_equal(get(w, w->etag, strlen(TEXT), true, &l), 0);
	assert_int_equal(l->count, 1);
	assert_is(l, TEXT, strlen(TEXT));
}

/* The twin of both. */
static void what_is_not_here_has_none(void **state)
{
	struct world *w = *state;
	struct chunk_list *l = NULL;
	char none[DIGEST_HEX_MAX + 1];

	memset(none, '0', DIGEST_HEX_MAX);
	none[DIGEST_HEX_MAX] = '\0';
	assert_int_equal(get(w, none, 7, false, &l), -ENOENT);
	assert_int_equal(get(w, none, 7, true, &l), -ENOENT);
	assert_int_equal(get(w, w->etag, strlen(TEXT), false, &l), -ENOENT);
}

static void an_empty_file_has_an_empty_list_wherever_it_is(void **state)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = NULL;
	struct world *w = *state;

	assert_int_equal(chunker_get(w->chunker, w->etag, 0, true, &l), 0);
	assert_int_equal(l->count, 0);
}

/* The disk changed a byte of it. */
static void of_what_has_rotted_no_list_is_made(void **state)
{
	struct world *w = *state;
	struct chunk_list *l = NULL;
	char name[16 + DIGEST_HEX_MAX];
	int fd;

	snprintf(name, sizeof(name), "blobs/%.2s/%s", w->etag, w->etag);
	assert_int_equal(fchmodat(w->dir.dirfd, name, 0600, 0), 0);
	fd = openat(w->dir.dirfd, name, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "W", 1, 0), 1);
	close(fd);
	assert_int_equal(get(w, w->etag, strlen(TEXT), true, &l), ERR_DIGEST);
	/* That is remembered: it is not read again at once. */
	assert_int_equal(chunker_get(w->chunker, w->etag, strlen(TEXT), true, &l), ERR_DIGEST);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(the_list_of_what_the_cache_has_is_made_when_it_is_asked_for),
		STORY(so_is_that_of_what_was_uploaded),
		STORY(what_is_not_here_has_none),
		STORY(an_empty_file_has_an_empty_list_wherever_it_is),
		STORY(of_what_has_rotted_no_list_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
