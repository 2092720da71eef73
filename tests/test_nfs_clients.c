/* SPDX-License-Identifier: Apache-2.0 */
/* Who came by NFS. */
#include "fs/nfs_clients.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MANY 3000 /* more than are remembered */

struct fixture {
	struct scope_rules *rules;
	struct metrics metrics;
	struct nfs_clients *clients;
};

static int set_up(void **state)
{
	char *rule = (char[]){ "10.0.0.1=org/*" };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct conf_list rules = { .items = &rule, .count = 1 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct view v = { .since_s = 1 };

	assert_non_null(f);
	assert_int_equal(scope_rules_new(&rules, &f->rules, &why), 0);
	assert_int_equal(nfs_clients_new(f->rules, &v, &f->metrics, &f->clients), 0);
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

	nfs_clients_free(f->clients);
	scope_rules_free(f->rules);
	free(f);
	return 0;
}

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

struct crowd {
	struct fixture *f;
	unsigned told, from;
};

/* While one is told of, so many others come and go that all who are gone are forgotten. */
static int come_and_go(void *arg, const struct control_nfs_client *told)
{
	struct crowd *c = arg;
	char address[NETWORK_ADDRESS_MAX];

	assert_string_equal(told->mounts, "/");
	for (unsigned i = 0; c->told < 2 && i < MANY; i++, c->from++) {
		snprintf(address, sizeof(address), "10.2.%u.%u", c->from / 250, c->from % 250);
		nfs_clients_went(c->f->clients, came(c->f, address));
	}
	c->told++;
	return 0;
}

static struct crowd tell_of_gone(struct fixture *f, unsigned gone)
{
	struct nfs_client *c;
	char address[NETWORK_ADDRESS_MAX];
	struct crowd ret = { .f = f };

	for (unsigned i = 0; i < gone; i++) {
		snprintf(address, sizeof(address), "10.1.0.%u", i);
		c = came(f, address);
		nfs_clients_mounted(f->clients, c, "/");
		atomic_store(&c->heard_s, i);
		nfs_clients_went(f->clients, c);
	}
	assert_int_equal(nfs_clients_each(f->clients, come_and_go, &ret), 0);
	return ret;
}

/* Those who come while it goes on stand before whom it told of last. */
static void who_is_told_of_stays_until_then(void **state)
{
	assert_in_range(tell_of_gone(*state, 100).told, 1, 2);
}

static void nobody_is_told_of_twice(void **state)
{
	struct crowd c = tell_of_gone(*state, 1);

	assert_int_equal(c.told, 1);
	assert_int_equal(look(c.f).count, 2048);
}

static int tell_none(void *arg UNUSED, const struct control_nfs_client *told UNUSED)
{
	return 7;
}

static void one_alone_can_be_told_of(void **state)
{
	struct fixture *f = *state;
	struct nfs_client *one = came(f, "10.0.0.1"), *other = came(f, "10.0.0.2");
	struct seen s = { 0 };

	nfs_clients_mounted(f->clients, one, "/hub");
	nfs_clients_mounted(f->clients, other, "/files");
	assert_int_equal(nfs_clients_tell(f->clients, one, see, &s), 0);
	assert_int_equal(s.count, 1);
	assert_string_equal(s.mounts, "/hub ");
	assert_int_equal(nfs_clients_tell(f->clients, one, tell_none, NULL), 7);
	assert_int_equal(nfs_clients_each(f->clients, tell_none, NULL), 7); /* and holds none */
	assert_int_equal(look(f).count, 2);
	nfs_clients_went(f->clients, one);
	nfs_clients_went(f->clients, other);
	assert_int_equal(atomic_load(&other->refs), 0);
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
		cmocka_unit_test_setup_teardown(who_is_told_of_stays_until_then, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_is_told_of_twice, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_alone_can_be_told_of, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
