/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/hub_db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "admin/registry/committing.h"
#include "daemon/base/kv.h"

static void open_it(struct hub_db *h)
{
	CLEANUP(buf_free) struct buf dir = { 0 };
	struct db_conf conf = { .rehearse = true };

	buf_printf(&dir, "%s/hub", h->dir.path);
	conf.dir = buf_str(&dir);
	assert_int_equal(db_open(&conf, &h->db, &h->why), 0);
}

int hub_db_setup(void **state)
{
	struct hub_db *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	workdir_init(&h->dir);
	open_it(h);
	*state = h;
	return 0;
}

int hub_db_teardown(void **state)
{
	struct hub_db *h = *state;

	db_close(h->db);
	buf_free(&h->why);
	workdir_fini(&h->dir);
	free(h);
	return 0;
}

void hub_db_reopen(struct hub_db *h)
{
	db_close(h->db);
	open_it(h);
}

void hub_db_damage(struct hub_db *h, enum db_table table, struct db_key key)
{
	static const char *const tables[] = { "rows" };
	CLEANUP(buf_free) struct buf dir = { 0 }, row = { 0 };
	struct kv_conf conf = { .tables = tables, .table_count = 1, .map_bytes = 1 << 20 };
	char number = (char)table;
	struct kv *kv = NULL;

	db_close(h->db);
	buf_printf(&dir, "%s/hub", h->dir.path);
	conf.dir = buf_str(&dir);
	buf_add(&row, &number, 1);
	buf_add(&row, key.data, key.len);
	assert_int_equal(kv_open(&conf, &kv), 0);
	assert_int_equal(
		kv_put(kv, 0, (struct kv_key){ row.data, row.len }, "{\"to\":\"\"}12345678", 18),
		0);
	kv_close(kv);
	open_it(h);
}

static void add(struct hub_db *h, enum account_kind kind, const char *name, int is_admin)
{
	struct account_change c = ACCOUNT_AS_IS;

	c.is_admin = is_admin;
	assert_int_equal(accounts_add(h->db, kind, name, &c, &h->why), 0);
}

void hub_db_user(struct hub_db *h, const char *name)
{
	add(h, ACCOUNT_USER, name, 0);
}

void hub_db_admin(struct hub_db *h, const char *name)
{
	add(h, ACCOUNT_USER, name, 1);
}

void hub_db_org(struct hub_db *h, const char *name)
{
	add(h, ACCOUNT_ORG, name, 0);
}

struct use {
	const char *namespace;
	struct holdings_use use;
};

static int get_use(struct db_txn *t, void *arg)
{
	struct use *u = arg;

	return holdings_use(t, u->namespace, &u->use);
}

struct holdings_use hub_db_use(struct hub_db *h, const char *namespace)
{
	struct use u = { .namespace = namespace };

	assert_int_equal(db_read(h->db, get_use, &u), 0);
	return u.use;
}

struct first {
	struct commit_plan *plan;
	char *commit;
	struct buf why;
};

static int make_first(struct db_txn *t, void *arg)
{
	struct first *f = arg;

	return commit_make_first(t, f->plan, f->commit, &f->why);
}

int hub_db_first_commit(struct db *db, struct commit_plan *plan, char ret[static COMMIT_HEX + 1])
{
	struct first f = { .plan = plan, .commit = ret };
	int r = db_write(db, make_first, &f);

	buf_free(&f.why);
	return r;
}
