/* SPDX-License-Identifier: Apache-2.0 */
/* The lines about what was read. */
#include "fs/nfs_trail.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/file.h"
#include "tests/workdir.h"

#define FILES 3000 /* more than there may be lines */
#define LARGE (5 << 20)

struct fixture {
	struct workdir dir;
	struct scope_rules *rules;
	struct metrics metrics;
	struct nfs_clients *clients;
	struct nfs_trail *trail;
	int old_stderr;
};

static int set_up(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct conf_list none = { 0 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct view v = { .since_s = 1 };
	int fd;

	assert_non_null(f);
	workdir_init(&f->dir);
	f->old_stderr = dup(STDERR_FILENO);
	fd = openat(f->dir.dirfd, "log", O_CREAT | O_RDWR | O_APPEND, 0600);
	dup2(fd, STDERR_FILENO);
	close(fd);
	assert_int_equal(scope_rules_new(&none, &f->rules, &why), 0);
	assert_int_equal(nfs_clients_new(f->rules, &v, &f->metrics, &f->clients), 0);
	assert_int_equal(nfs_trail_new(&f->trail), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	nfs_trail_free(f->trail);
	nfs_clients_free(f->clients);
	scope_rules_free(f->rules);
	dup2(f->old_stderr, STDERR_FILENO);
	close(f->old_stderr);
	workdir_fini(&f->dir);
	free(f);
	return 0;
}

static struct nfs_client *came(struct fixture *f, const char *address)
{
	struct nfs_client *c = NULL;

	assert_int_equal(nfs_clients_came(f->clients, address, &c), 0);
	return c;
}

/* Ends the trail; what the log has then. */
static void end_trail(struct fixture *f, struct buf *ret)
{
	nfs_trail_free(f->trail);
	f->trail = NULL;
	assert_int_equal(file_read_all(f->dir.dirfd, "log", 10 << 20, ret), 0);
}

static unsigned count(const char *text, const char *word)
{
	unsigned n = 0;

	for (text = strstr(text, word); text; text = strstr(text + 1, word))
		n++;
	return n;
}

static struct nfs_fh handle(unsigned number)
{
	struct nfs_fh fh = { .len = 40 };

	memcpy(fh.bytes, &number, sizeof(number));
	return fh;
}

static void read_some(struct fixture *f, struct nfs_client *c, unsigned number, uint64_t bytes)
{
	struct nfs_fh fh = handle(number);
	char what[32];

	snprintf(what, sizeof(what), " path=%u", number);
	if (!nfs_trail_add(f->trail, c, &fh, bytes))
		nfs_trail_begin(f->trail, c, &fh, what, bytes);
}

static void what_was_read_is_told_once_with_all_its_bytes(void **state)
{
	struct fixture *f = *state;
	struct nfs_client *one = came(f, "10.0.0.1");
	struct nfs_client *other = came(f, "10.0.0.2");
	CLEANUP(buf_free) struct buf log = { 0 };

	for (unsigned i = 0; i < 10; i++)
		read_some(f, one, 1, 1000);
	read_some(f, other, 1, 5);
	read_some(f, one, 2, 6);
	nfs_trail_tick(f->trail);
	nfs_clients_went(f->clients, one);
	nfs_clients_went(f->clients, other);
	end_trail(f, &log);
	assert_int_equal(count(buf_str(&log), "read by NFS"), 3);
	assert_int_equal(count(buf_str(&log), "client=10.0.0.1 bytes=10000 reads=10"), 1);
	assert_int_equal(count(buf_str(&log), "client=10.0.0.2 bytes=5 reads=1"), 1);
	assert_int_equal(count(buf_str(&log), " path=2\n"), 1);
}

/* Nobody hides what he read behind many small files. */
static void of_too_many_files_the_large_ones_are_named_and_the_rest_summed_up(void **state)
{
	struct fixture *f = *state;
	struct nfs_client *c = came(f, "10.0.0.1");
	CLEANUP(buf_free) struct buf log = { 0 };
	unsigned long long files = 0, bytes = 0;
	const char *sum;
	unsigned named;

	for (unsigned i = 0; i < 3 * FILES; i++)
		read_some(f, c, i, i == FILES ? LARGE : 10);
	nfs_clients_went(f->clients, c);
	end_trail(f, &log);
	assert_int_equal(count(buf_str(&log), "bytes=5242880 reads=1"), 1);
	sum = strstr(buf_str(&log), "too many files to name client=10.0.0.1");
	assert_non_null(sum);
	assert_int_equal(sscanf(strstr(sum, "files="), "files=%llu bytes=%llu", &files, &bytes), 2);
	named = count(buf_str(&log), "reads=1 ");
	assert_in_range(named, 501, 2000);
	assert_int_equal(named + files, 3 * FILES);
	assert_int_equal(bytes, 10 * files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_read_is_told_once_with_all_its_bytes,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			of_too_many_files_the_large_ones_are_named_and_the_rest_summed_up, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
