/* SPDX-License-Identifier: Apache-2.0 */
/* Who came by NFS, and the lines about what was read. */
#include "fs/nfs_trail.h"

#include <errno.h>
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

#define MANY 3000 /* more than there may be lines, or clients that are remembered */
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
	char *rule = (char[]){ "10.0.0.1=org/*" };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct conf_list rules = { .items = &rule, .count = 1 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct view v = { .since_s = 1 };
	int fd;

	assert_non_null(f);
	workdir_init(&f->dir);
	f->old_stderr = dup(STDERR_FILENO);
	fd = openat(f->dir.dirfd, "log", O_CREAT | O_RDWR | O_APPEND, 0600);
	dup2(fd, STDERR_FILENO);
	close(fd);
	assert_int_equal(scope_rules_new(&rules, &f->rules, &why), 0);
	assert_int_equal(nfs_clients_new(f->rules, &v, &f->metrics, &f->clients), 0);
	assert_int_equal(nfs_trail_new(&f->trail), 0);
	*state = f;
	return 0;
}

static struct nfs_client *came(struct fixture *f, const char *address)
{
	struct nfs_client *c = NULL;

	assert_int_equal(nfs_clients_came(f->clients, address, &c), 0);
	return c;
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

/* ---- clients ---- */

struct seen {
	unsigned count;
	struct control_nfs_client last;
	char mounts[512];
	const char *of; /* whose alone; NULL: the last one's */
};

static int see(void *arg, const struct control_nfs_client *c)
{
	struct seen *s = arg;

	s->count++;
	s->last = *c;
	if (s->of && strcmp(c->address, s->of) != 0)
		return 0;
	s->mounts[0] = '\0';
	for (const char *path = c->mounts; *path; path += strlen(path) + 1)
		snprintf(s->mounts + strlen(s->mounts), sizeof(s->mounts) - strlen(s->mounts),
			 "%s ", path);
	return 0;
}

static struct seen look(struct fixture *f)
{
	struct seen s = { 0 };

	assert_int_equal(nfs_clients_each(f->clients, see, &s), 0);
	return s;
}

static const char *mounts_of(struct fixture *f, const char *address)
{
	static struct seen s;

	s = (struct seen){ .of = address };
	assert_int_equal(nfs_clients_each(f->clients, see, &s), 0);
	return s.mounts;
}

static void all_connections_of_an_address_are_one_client(void **state)
{
	struct fixture *f = *state;
	struct nfs_client *one = came(f, "10.0.0.1"), *other;

	assert_ptr_equal(came(f, "10.0.0.1"), one);
	assert_int_equal(metrics_get(&f->metrics.nfs_hosts), 1);
	metrics_add(&one->requests, 7);
	nfs_clients_mounted(f->clients, one, "/hub");
	nfs_clients_mounted(f->clients, one, "/files");
	nfs_clients_mounted(f->clients, one, "/hub");
	assert_int_equal(look(f).count, 1);
	assert_int_equal(look(f).last.connections, 2);
	assert_int_equal(look(f).last.requests, 7);
	assert_string_equal(look(f).mounts, "/hub /files ");
	nfs_clients_unmounted(f->clients, one, "/files");
	assert_string_equal(look(f).mounts, "/hub ");
	nfs_clients_unmounted(f->clients, one, NULL);
	assert_string_equal(look(f).mounts, "");
	other = came(f, "10.0.0.2");
	assert_ptr_not_equal(other, one);
	assert_false(scope_is_empty(one->view.scope));
	assert_true(scope_is_empty(other->view.scope));
	assert_int_equal(look(f).count, 2);
	nfs_clients_went(f->clients, one);
	nfs_clients_went(f->clients, one);
	nfs_clients_went(f->clients, other);
	assert_int_equal(metrics_get(&f->metrics.nfs_hosts), 0);
	assert_int_equal(look(f).count, 2); /* they are remembered */
}

static void one_address_has_no_more_connections_than_so_many(void **state)
{
	struct fixture *f = *state;
	struct nfs_client *c = NULL, *other;

	for (unsigned i = 0; i < 256; i++)
		c = came(f, "10.0.0.1");
	assert_int_equal(nfs_clients_came(f->clients, "10.0.0.1", &other), -EMFILE);
	other = came(f, "10.0.0.2");
	nfs_clients_went(f->clients, other);
	nfs_clients_went(f->clients, c);
	assert_ptr_equal(came(f, "10.0.0.1"), c);
	for (unsigned i = 0; i < 256; i++)
		nfs_clients_went(f->clients, c);
	assert_int_equal(metrics_get(&f->metrics.nfs_hosts), 0);
}

/* Who is forgotten and comes again may lie where another one lay. */
static void no_two_clients_ever_have_the_same_number(void **state)
{
	struct fixture *f = *state;
	char address[NETWORK_ADDRESS_MAX];
	uint64_t last = 0;

	for (unsigned i = 0; i < 2 * MANY; i++) {
		struct nfs_client *c;

		snprintf(address, sizeof(address), "10.1.%u.%u", i / 250, i % 250);
		c = came(f, address);
		assert_true(c->number > last);
		last = c->number;
		assert_ptr_equal(came(f, address), c); /* the twin: who stays keeps it */
		assert_int_equal(c->number, last);
		nfs_clients_went(f->clients, c);
		nfs_clients_went(f->clients, c);
	}
}

static void who_mounts_much_takes_no_room_from_others(void **state)
{
	struct fixture *f = *state;
	struct nfs_client *c = came(f, "10.0.0.1"), *other = came(f, "10.0.0.2");
	char path[16];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		nfs_clients_mounted(f->clients, c, path);
	}
	nfs_clients_mounted(f->clients, other, "/hub");
	assert_string_equal(mounts_of(f, "10.0.0.2"), "/hub ");
	snprintf(path, sizeof(path), "/%u ", MANY - 1); /* the latest are noted */
	assert_memory_equal(mounts_of(f, "10.0.0.1"), path, strlen(path));
	snprintf(path, sizeof(path), "/%u ", MANY - 32);
	assert_non_null(strstr(mounts_of(f, "10.0.0.1"), path));
	snprintf(path, sizeof(path), "/%u ", MANY - 33);
	assert_null(strstr(mounts_of(f, "10.0.0.1"), path));
	nfs_clients_went(f->clients, c);
	nfs_clients_went(f->clients, other);
}

static void those_heard_longest_ago_are_forgotten_first(void **state)
{
	struct fixture *f = *state;
	struct nfs_client *stays = came(f, "10.0.0.1"), *late = NULL, *c;
	char address[NETWORK_ADDRESS_MAX];

	atomic_store(&stays->heard_s, 0); /* but it is connected */
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(address, sizeof(address), "10.1.%u.%u", i / 250, i % 250);
		c = came(f, address);
		assert_non_null(c);
		atomic_store(&c->heard_s, i == 5 ? MANY : i + 1);
		nfs_clients_mounted(f->clients, c, "/");
		nfs_clients_went(f->clients, c);
		late = i == 5 ? c : late;
	}
	assert_int_equal(look(f).count, 2048);
	assert_ptr_equal(came(f, "10.0.0.1"), stays);
	assert_ptr_equal(came(f, "10.1.0.5"), late);
	assert_int_equal(look(f).count, 2048);
	c = came(f, "10.1.0.6");
	assert_int_equal(metrics_get(&c->heard_s) > MANY, 1); /* a new one */
	nfs_clients_went(f->clients, c);
	nfs_clients_went(f->clients, late);
	nfs_clients_went(f->clients, stays);
	nfs_clients_went(f->clients, stays);
}

/* ---- the trail ---- */

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

	for (unsigned i = 0; i < 3 * MANY; i++)
		read_some(f, c, i, i == MANY ? LARGE : 10);
	nfs_clients_went(f->clients, c);
	end_trail(f, &log);
	assert_int_equal(count(buf_str(&log), "bytes=5242880 reads=1"), 1);
	sum = strstr(buf_str(&log), "too many files to name client=10.0.0.1");
	assert_non_null(sum);
	assert_int_equal(sscanf(strstr(sum, "files="), "files=%llu bytes=%llu", &files, &bytes), 2);
	named = count(buf_str(&log), "reads=1 ");
	assert_in_range(named, 501, 2000);
	assert_int_equal(named + files, 3 * MANY);
	assert_int_equal(bytes, 10 * files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_connections_of_an_address_are_one_client,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_address_has_no_more_connections_than_so_many,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_two_clients_ever_have_the_same_number, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_mounts_much_takes_no_room_from_others, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(those_heard_longest_ago_are_forgotten_first, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_was_read_is_told_once_with_all_its_bytes,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			of_too_many_files_the_large_ones_are_named_and_the_rest_summed_up, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
