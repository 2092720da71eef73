/* SPDX-License-Identifier: Apache-2.0 */
/* An account's row is JSON under its key. A membership is two rows, one from either side:
 * "o" organisation NUL user and "u" user NUL organisation, each with the role and the name of the
 * other as it is written. */
#include "admin/account/accounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/account/leavers.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/text.h"
#include "daemon/base/why.h"
#include "daemon/model/repo_id.h"

#define MEMBER_KEY_MAX (2 * ACCOUNT_NAME_MAX + 3)

/* ---- words ---- */

static const char *const roles[] = { "none", "read", "read", "write", "admin" };
static const char *const kinds[] = { "user", "org" };

const char *role_word(enum role role)
{
	return roles[role];
}

bool role_parse(const char *word, enum role *ret)
{
	for (size_t i = 0; word && i < ARRAY_LEN(roles); i++) {
		*ret = (enum role)i;
		if (strcmp(word, roles[i]) == 0)
			return true;
	}
	return false;
}

bool account_is_author(const struct account *a, int64_t at_ms)
{
	return a->created_s * 1000 <= at_ms;
}

void account_key(const char *text, char *ret)
{
	text_copy_small(text, ret);
}

/* Words that are the first segment of something else, so that they cannot be a namespace. */
static bool is_taken(const char *key)
{
	static const char *const words[] = { "api",     "models",  "datasets", "spaces",
					     "kernels", "healthz", "readyz",   "metrics",
					     "resolve", "oauth",   "settings", "buckets",
					     "v2" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(key, words[i]) == 0)
			return true;
	return false;
}

bool account_name_valid(const char *name)
{
	char key[ACCOUNT_NAME_MAX + 1];

	if (!repo_part_valid(name, strlen(name)))
		return false;
	account_key(name, key);
	return !is_taken(key);
}

/* What people write: any text but control characters. */
static bool is_text(const char *text)
{
	if (strlen(text) > ACCOUNT_TEXT_MAX)
		return false;
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

/* ---- rows ---- */

static void copy_text(const struct jval *v, const char *name, char *ret, size_t cap)
{
	const char *text = jval_get_str(v, name);

	snprintf(ret, cap, "%s", text ? text : "");
}

static int parse_account(const char *text, size_t len, struct account *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *v;
	const char *kind;
	int r = jdoc_parse(text, len, &doc);

	if (r < 0)
		return r == -ENOMEM ? r : ERR_CORRUPT;
	v = jdoc_root(doc);
	kind = jval_get_str(v, "kind");
	*ret = (struct account){
		.kind = kind && strcmp(kind, kinds[ACCOUNT_ORG]) == 0 ? ACCOUNT_ORG : ACCOUNT_USER,
		.disabled = jval_bool(jval_get(v, "disabled")) == 1,
		.is_admin = jval_bool(jval_get(v, "admin")) == 1,
		.private_default = jval_bool(jval_get(v, "private_default")) == 1,
		.created_s = jval_get_size(v, "created"),
	};
	copy_text(v, "name", ret->name, sizeof(ret->name));
	copy_text(v, "full_name", ret->full_name, sizeof(ret->full_name));
	copy_text(v, "email", ret->email, sizeof(ret->email));
	return kind && *ret->name ? 0 : ERR_CORRUPT;
}

int account_get(struct db_txn *t, const char *name, struct account *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char key[ACCOUNT_NAME_MAX + 1];
	int r = -ENOENT;

	if (strlen(name) > ACCOUNT_NAME_MAX)
		return r;
	account_key(name, key);
	r = db_get(t, DB_ACCOUNTS, db_text(key), &row);
	return r < 0 ? r : parse_account(row.data, row.len, ret);
}

int account_put(struct db_txn *t, const struct account *a)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct jwrite w = { .to = &row };
	char key[ACCOUNT_NAME_MAX + 1];

	account_key(a->name, key);
	jwrite_object(&w, NULL);
	jwrite_text(&w, "kind", kinds[a->kind]);
	jwrite_text(&w, "name", a->name);
	jwrite_text(&w, "full_name", a->full_name);
	jwrite_text(&w, "email", a->email);
	jwrite_bool(&w, "disabled", a->disabled);
	jwrite_bool(&w, "admin", a->is_admin);
	jwrite_bool(&w, "private_default", a->private_default);
	jwrite_int(&w, "created", a->created_s);
	jwrite_object_end(&w);
	return row.failed ? row.failed : db_put(t, DB_ACCOUNTS, db_text(key), row.data, row.len);
}

/* ---- accounts ---- */

/* One change on its way through a transaction; `why` and `found` are begun anew each time. */
struct change {
	enum account_kind kind;
	const char *name;
	const struct account_change *to;
	struct account *found;
	struct buf *why;
};

static int check_texts(const struct account_change *c, struct buf *why)
{
	if (c->full_name && !is_text(c->full_name))
		return complain_as(-EINVAL, why, "a full name has at most %d bytes on one line",
				   ACCOUNT_TEXT_MAX);
	if (c->email && !is_text(c->email))
		return complain_as(-EINVAL, why, "an address has at most %d bytes on one line",
				   ACCOUNT_TEXT_MAX);
	return 0;
}

static void apply(const struct account_change *c, struct account *a)
{
	if (c->full_name)
		snprintf(a->full_name, sizeof(a->full_name), "%s", c->full_name);
	if (c->email)
		snprintf(a->email, sizeof(a->email), "%s", c->email);
	if (c->disabled >= 0)
		a->disabled = c->disabled;
	if (c->is_admin >= 0)
		a->is_admin = c->is_admin;
	if (c->private_default >= 0)
		a->private_default = c->private_default;
}

static int check_kind(const struct account *a, const struct account_change *c, struct buf *why)
{
	if (a->kind == ACCOUNT_ORG && (c->disabled == 1 || c->is_admin == 1))
		return complain_as(
			-EINVAL, why,
			"%s is an organisation: only a user is disabled, or administrator",
			a->name);
	return 0;
}

static int refuse_leaver(const struct leaver *left, const struct change *c)
{
	char when[CLOCK_ISO_MAX] = "some day";

	if (left->left_s)
		clock_print_iso(left->left_s * 1000, when);
	return complain_as(
		-EEXIST, c->why,
		"%s was somebody's until %.10s: repositories and comments may bear the name. Take "
		"another, or say that this is the same one (--again)",
		c->name, when);
}

/* Nobody else gets a name that was left; who has it again is who they were. */
static int claim_name(struct db_txn *t, const struct change *c, struct account *a)
{
	char key[ACCOUNT_NAME_MAX + 1];
	struct leaver left;
	int r;

	account_key(c->name, key);
	r = leaver_find(t, key, &left);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!c->to->again)
		return refuse_leaver(&left, c);
	if (left.made_s)
		a->created_s = left.made_s;
	return leaver_forget(t, key);
}

static int add(struct db_txn *t, void *arg)
{
	const struct change *c = arg;
	struct account old, a = { .kind = c->kind, .created_s = clock_wall_s() };
	int r = account_get(t, c->name, &old);

	buf_clear(c->why);
	if (r == 0)
		return complain_as(-EEXIST, c->why, "there is a user or an organisation %s already",
				   old.name);
	r = r == -ENOENT ? claim_name(t, c, &a) : r;
	if (r < 0)
		return r;
	snprintf(a.name, sizeof(a.name), "%s", c->name);
	apply(c->to, &a);
	r = check_kind(&a, c->to, c->why);
	return r == 0 ? account_put(t, &a) : r;
}

int accounts_add(struct db *db, enum account_kind kind, const char *name,
		 const struct account_change *with, struct buf *why)
{
	struct change c = { .kind = kind, .name = name, .to = with, .why = why };
	int r = check_texts(with, why);

	if (r < 0)
		return r;
	if (!account_name_valid(name))
		return complain_as(
			-EINVAL, why,
			"\"%.100s\" cannot be a name: letters, digits, and single '-', '_' or "
			"'.' between them, at most 96, and no word the hub uses itself",
			name);
	return db_write(db, add, &c);
}

/* ---- the last administrator ---- */

static bool is_administrator(const struct account *a)
{
	return a->kind == ACCOUNT_USER && a->is_admin && !a->disabled;
}

static int find_other_admin(void *arg, struct db_key key, const char *val, size_t len)
{
	const char *but = arg;
	struct account a;

	if (parse_account(val, len, &a) < 0 || !is_administrator(&a))
		return 0;
	return strlen(but) != key.len || memcmp(but, key.data, key.len) != 0;
}

/* Somebody must be left who can make another one. */
static int check_admins(struct db_txn *t, const struct account *was, const struct account *is,
			struct buf *why)
{
	char key[ACCOUNT_NAME_MAX + 1];
	struct db_key all = { 0 };
	int r;

	if (!is_administrator(was) || (is && is_administrator(is)))
		return 0;
	account_key(was->name, key);
	r = db_each(t, DB_ACCOUNTS, all, all, find_other_admin, key);
	if (r != 0)
		return r < 0 ? r : 0;
	return complain_as(-EBUSY, why, "%s is the last administrator: make another one first",
			   was->name);
}

static int find(struct db_txn *t, const char *name, struct account *ret, struct buf *why)
{
	int r = account_get(t, name, ret);

	buf_clear(why);
	return r == -ENOENT ? complain_as(r, why, "there is no user or organisation %.100s", name)
			    : r;
}

static int change(struct db_txn *t, void *arg)
{
	const struct change *c = arg;
	struct account was, is;
	int r = find(t, c->name, &was, c->why);

	if (r < 0)
		return r;
	is = was;
	apply(c->to, &is);
	r = check_kind(&is, c->to, c->why);
	if (r == 0)
		r = check_admins(t, &was, &is, c->why);
	return r == 0 ? account_put(t, &is) : r;
}

int accounts_change(struct db *db, const char *name, const struct account_change *to,
		    struct buf *why)
{
	struct change c = { .name = name, .to = to, .why = why };
	int r = check_texts(to, why);

	return r < 0 ? r : db_write(db, change, &c);
}

static int get(struct db_txn *t, void *arg)
{
	const struct change *c = arg;

	return account_get(t, c->name, c->found);
}

int accounts_get(struct db *db, const char *name, struct account *ret)
{
	struct change c = { .name = name, .found = ret };

	return db_read(db, get, &c);
}

struct each {
	enum account_kind kind;
	const char *after;
	account_fn fn;
	void *arg;
};

static int each_account(void *arg, struct db_key key UNUSED, const char *val, size_t len)
{
	const struct each *e = arg;
	struct account a;
	int r = parse_account(val, len, &a);

	if (r < 0)
		return r == ERR_CORRUPT ? 0 : r;
	return a.kind == e->kind ? e->fn(e->arg, &a) : 0;
}

static int each(struct db_txn *t, void *arg)
{
	const struct each *e = arg;
	struct db_key all = { 0 };
	char key[ACCOUNT_NAME_MAX + 1] = "";

	if (e->after && strlen(e->after) <= ACCOUNT_NAME_MAX)
		account_key(e->after, key);
	return db_each(t, DB_ACCOUNTS, all, db_text(key), each_account, arg);
}

int accounts_each(struct db *db, enum account_kind kind, const char *after, account_fn fn,
		  void *arg)
{
	struct each e = { kind, after, fn, arg };

	return db_read(db, each, &e);
}

/* ---- members ---- */

/* The key of one side: 'o' or 'u', whose side it is, and the other ("" : the prefix of all). */
static struct db_key side(char which, const char *name, const char *other,
			  char room[static MEMBER_KEY_MAX])
{
	size_t len = strlen(name);

	if (len > ACCOUNT_NAME_MAX || strlen(other) > ACCOUNT_NAME_MAX)
		return (struct db_key){ 0 };
	room[0] = which;
	account_key(name, room + 1);
	account_key(other, room + len + 2);
	return (struct db_key){ room, len + 2 + strlen(other) };
}

int member_get(struct db_txn *t, const char *org, const char *user, enum role *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[MEMBER_KEY_MAX];
	int r = db_get(t, DB_MEMBERS, side('u', user, org, room), &row);

	*ret = ROLE_NONE;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	row.data[strcspn(row.data, " ")] = '\0';
	return role_parse(row.data, ret) ? 0 : ERR_CORRUPT;
}

static int put_side(struct db_txn *t, char which, const char *name, const char *other,
		    enum role role)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[MEMBER_KEY_MAX];
	struct db_key key = side(which, name, other, room);

	if (role == ROLE_NONE)
		return db_del(t, DB_MEMBERS, key);
	buf_printf(&row, "%s %s", role_word(role), other);
	return row.failed ? row.failed : db_put(t, DB_MEMBERS, key, row.data, row.len);
}

static int put_member(struct db_txn *t, const char *org, const char *user, enum role role)
{
	int r = put_side(t, 'o', org, user, role);

	return r < 0 ? r : put_side(t, 'u', user, org, role);
}

struct membership {
	const char *org, *user;
	enum role role;
	struct buf *why;
};

static int set_member(struct db_txn *t, void *arg)
{
	const struct membership *m = arg;
	struct account org, user;
	int r = find(t, m->org, &org, m->why);

	if (r == 0)
		r = find(t, m->user, &user, m->why);
	if (r != 0)
		return r;
	if (org.kind != ACCOUNT_ORG)
		return complain_as(-ENOENT, m->why, "%s is no organisation", org.name);
	if (user.kind != ACCOUNT_USER)
		return complain_as(-ENOENT, m->why, "%s is no user", user.name);
	return put_member(t, org.name, user.name, m->role);
}

int membership_set(struct db *db, const char *org, const char *user, enum role role,
		   struct buf *why)
{
	struct membership m = { org, user, role, why };

	return db_write(db, set_member, &m);
}

struct each_member {
	const char *name;
	member_fn fn;
	void *arg;
};

static int each_side(void *arg, struct db_key key UNUSED, const char *val, size_t len)
{
	const struct each_member *e = arg;
	char text[ACCOUNT_NAME_MAX + 16];
	size_t word;
	enum role role;

	snprintf(text, sizeof(text), "%.*s", (int)len, val);
	word = strcspn(text, " ");
	if (!text[word])
		return 0;
	text[word] = '\0';
	return role_parse(text, &role) ? e->fn(e->arg, text + word + 1, role) : 0;
}

int member_each(struct db_txn *t, const char *name, member_fn fn, void *arg)
{
	struct each_member e = { name, fn, arg };
	char room[MEMBER_KEY_MAX];
	struct db_key none = { 0 };
	int r = 0;

	for (const char *which = "ou"; r == 0 && *which; which++) {
		struct db_key key = side(*which, name, "", room);

		r = key.len ? db_each(t, DB_MEMBERS, key, none, each_side, &e) : 0;
	}
	return r;
}

static int each_members(struct db_txn *t, void *arg)
{
	const struct each_member *e = arg;

	return member_each(t, e->name, e->fn, e->arg);
}

int memberships_each(struct db *db, const char *name, member_fn fn, void *arg)
{
	struct each_member e = { name, fn, arg };

	return db_read(db, each_members, &e);
}

/* ---- removing ---- */

/* Names, each with its NUL: rows are not deleted while they are walked. */
static int collect(void *arg, const char *name, enum role role UNUSED)
{
	return buf_add(arg, name, strlen(name) + 1);
}

static int remove_members(struct db_txn *t, const struct account *a)
{
	CLEANUP(buf_free) struct buf names = { 0 };
	int r = member_each(t, a->name, collect, &names);

	for (const char *n = names.data; r == 0 && n < names.data + names.len; n += strlen(n) + 1)
		r = a->kind == ACCOUNT_ORG ? put_member(t, a->name, n, ROLE_NONE)
					   : put_member(t, n, a->name, ROLE_NONE);
	return r;
}

int account_del(struct db_txn *t, const char *name, struct buf *why)
{
	char key[ACCOUNT_NAME_MAX + 1];
	struct account a;
	int r = find(t, name, &a, why);

	if (r == 0)
		r = check_admins(t, &a, NULL, why);
	if (r == 0)
		r = remove_members(t, &a);
	if (r < 0)
		return r;
	account_key(a.name, key);
	r = leaver_note(t, key, a.created_s);
	return r < 0 ? r : db_del(t, DB_ACCOUNTS, db_text(key));
}
