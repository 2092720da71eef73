/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_accounts.h"

#include <errno.h>
#include <string.h>

#include "admin/account/accounts.h"
#include "admin/account/retire.h"
#include "daemon/base/err.h"

#define FULL_NAME_MAX 64 /* letters: of up to four bytes each */
#define EMAIL_MAX 254    /* RFC 5321 */
#define NAME_PATTERN "^(?!.*(--|\\.\\.))(?!.*\\.git$)[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$"

/* --- shapes */

#define FLAG(name_, needed_) \
	{ \
		.name = name_, .kind = API_BOOL, .needed = needed_ \
	}
#define CREATED \
	{ \
		.name = "created", .kind = API_COUNT, .needed = true \
	}
#define NEW_NAME \
	{ \
		.name = "name", .kind = API_TEXT, .needed = true, .min = 1, \
		.max = ACCOUNT_NAME_MAX, .pattern = NAME_PATTERN \
	}
#define FULL_NAME \
	{ \
		.name = "full_name", .kind = API_TEXT, .max = FULL_NAME_MAX \
	}
#define EMAIL \
	{ \
		.name = "email", .kind = API_ASCII, .max = EMAIL_MAX \
	}
#define AGAIN \
	{ \
		.name = "again", .kind = API_BOOL, \
		.doc = "It is the same one who had the name before, and has what still bears it." \
	}
#define VISIBILITY(needed_) \
	{ \
		.name = "default_visibility", .kind = API_WORD, .needed = needed_, \
		.words = VISIBILITY_WORDS \
	}

static const struct api_field membership_fields[] = {
	API_TEXT_ROW("organization"),
	{ .name = "role", .kind = API_WORD, .needed = true, .words = ROLE_WORDS },
	{ 0 },
};
static const struct api_shape membership_shape = { "Membership", membership_fields };

static const struct api_field user_fields[] = {
	API_TEXT_ROW("name"),
	API_TEXT_ROW("full_name"),
	API_TEXT_ROW("email"),
	FLAG("admin", true),
	FLAG("disabled", true),
	CREATED,
	{ .name = "organizations",
	  .kind = API_LIST,
	  .of = &membership_shape,
	  .doc = "Not in lists of users." },
	{ 0 },
};
const struct api_shape api_user_shape = { "User", user_fields };

static const struct api_field user_new_fields[] = {
	NEW_NAME, FULL_NAME, EMAIL, FLAG("admin", false), AGAIN, { 0 },
};
const struct api_shape api_user_new_shape = { "NewUser", user_new_fields };

static const struct api_field user_change_fields[] = {
	FULL_NAME, EMAIL, FLAG("admin", false), FLAG("disabled", false), { 0 },
};
const struct api_shape api_user_change_shape = { "UserChange", user_change_fields };

static const struct api_field org_fields[] = {
	API_TEXT_ROW("name"), API_TEXT_ROW("full_name"), VISIBILITY(true), CREATED, { 0 },
};
const struct api_shape api_org_shape = { "Organization", org_fields };

static const struct api_field org_new_fields[] = {
	NEW_NAME, FULL_NAME, VISIBILITY(false), AGAIN, { 0 },
};
const struct api_shape api_org_new_shape = { "NewOrganization", org_new_fields };

static const struct api_field org_change_fields[] = { FULL_NAME, VISIBILITY(false), { 0 } };
const struct api_shape api_org_change_shape = { "OrganizationChange", org_change_fields };

static const struct api_field member_fields[] = {
	API_TEXT_ROW("user"),
	{ .name = "role", .kind = API_WORD, .needed = true, .words = ROLE_WORDS },
	{ 0 },
};
const struct api_shape api_member_shape = { "Member", member_fields };

static const struct api_field member_change_fields[] = {
	{ .name = "role",
	  .kind = API_WORD,
	  .words = ROLE_WORDS,
	  .doc = "\"read\" unless it is said." },
	{ 0 },
};
const struct api_shape api_member_change_shape = { "MemberChange", member_change_fields };

static const struct api_field nothing_fields[] = { { 0 } };
const struct api_shape api_nothing_shape = { "Nothing", nothing_fields };

/* --- both kinds */

static const char *kind_word(enum account_kind kind)
{
	return kind == ACCOUNT_USER ? "user" : "organization";
}

/* The account of that name and kind. */
static int get(struct api_call *c, enum account_kind kind, const char *name, struct account *ret)
{
	int r = accounts_get(api_db(c), name, ret);

	if (r == 0 && ret->kind != kind)
		r = -ENOENT;
	if (r == -ENOENT)
		return api_complain(c, r, "there is no %s \"%s\"", kind_word(kind), name);
	return r;
}

static void write_common(struct api_call *c, const struct account *a)
{
	jwrite_text(&c->w, "name", a->name);
	jwrite_text(&c->w, "full_name", a->full_name);
	jwrite_int(&c->w, "created", a->created_s);
	if (a->kind == ACCOUNT_ORG) {
		jwrite_text(&c->w, "default_visibility", a->private_default ? "private" : "public");
		return;
	}
	jwrite_text(&c->w, "email", a->email);
	jwrite_bool(&c->w, "admin", a->is_admin);
	jwrite_bool(&c->w, "disabled", a->disabled);
}

static int write_membership(void *arg, const char *name, enum role role)
{
	struct jwrite *w = arg;

	jwrite_object(w, NULL);
	jwrite_text(w, "organization", name);
	jwrite_text(w, "role", role_word(role));
	jwrite_object_end(w);
	return 0;
}

static int write_account(struct api_call *c, const struct account *a)
{
	int r = 0;

	jwrite_object(&c->w, NULL);
	write_common(c, a);
	if (a->kind == ACCOUNT_USER) {
		jwrite_array(&c->w, "organizations");
		r = memberships_each(api_db(c), a->name, write_membership, &c->w);
		jwrite_array_end(&c->w);
	}
	jwrite_object_end(&c->w);
	return r;
}

static int write_item(void *arg, const struct account *a)
{
	struct api_page *p = arg;

	if (!api_page_room(p, a->name))
		return 1;
	jwrite_object(&p->call->w, NULL);
	write_common(p->call, a);
	jwrite_object_end(&p->call->w);
	return 0;
}

static int list(struct api_call *c, enum account_kind kind)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const char *after;
	struct api_page p = api_page_begin(c, &room, &after);
	int r = accounts_each(api_db(c), kind, after, write_item, &p);

	api_page_end(&p);
	return r < 0 ? r : 0;
}

/* What the content says; what it does not stays as it is. */
static struct account_change change_of(const struct api_call *c)
{
	struct account_change change = ACCOUNT_AS_IS;
	const char *visibility = api_text(c, "default_visibility", NULL);

	change.full_name = api_text(c, "full_name", NULL);
	change.email = api_text(c, "email", NULL);
	change.is_admin = api_bool(c, "admin");
	change.disabled = api_bool(c, "disabled");
	change.again = api_bool(c, "again") == 1;
	if (visibility)
		change.private_default = !strcmp(visibility, "private");
	return change;
}

static int add(struct api_call *c, enum account_kind kind)
{
	struct account_change change = change_of(c);
	const char *name = api_text(c, "name", "");
	struct account a = { .kind = ACCOUNT_USER };
	int r;

	buf_printf(&c->subject, "%s %s", kind_word(kind), name);
	r = accounts_add(api_db(c), kind, name, &change, &c->why);
	if (r == -EINVAL)
		buf_add_str(&c->field, "name");
	if (r == 0)
		r = get(c, kind, name, &a);
	return r < 0 ? r : write_account(c, &a);
}

static int show(struct api_call *c, enum account_kind kind)
{
	struct account a = { .kind = ACCOUNT_USER };
	int r = get(c, kind, c->params[0], &a);

	return r < 0 ? r : write_account(c, &a);
}

static int change(struct api_call *c, enum account_kind kind, const struct account_change *to)
{
	struct account a = { .kind = ACCOUNT_USER };
	int r = get(c, kind, c->params[0], &a);

	buf_printf(&c->subject, "%s %s", kind_word(kind), c->params[0]);
	if (r == 0)
		r = accounts_change(api_db(c), a.name, to, &c->why);
	return r < 0 ? r : show(c, kind);
}

static int take_out(struct api_call *c, enum account_kind kind)
{
	struct account a = { .kind = ACCOUNT_USER };
	int r = get(c, kind, c->params[0], &a);

	buf_printf(&c->subject, "%s %s", kind_word(kind), c->params[0]);
	if (r == 0)
		r = retire_account(api_db(c), a.name, &c->why);
	return r < 0 ? r : api_nothing(c);
}

/* --- users */

int api_users(struct api_call *c)
{
	return list(c, ACCOUNT_USER);
}

int api_user_add(struct api_call *c)
{
	return add(c, ACCOUNT_USER);
}

int api_user(struct api_call *c)
{
	return show(c, ACCOUNT_USER);
}

int api_user_change(struct api_call *c)
{
	struct account_change to = change_of(c);

	return change(c, ACCOUNT_USER, &to);
}

int api_user_remove(struct api_call *c)
{
	return take_out(c, ACCOUNT_USER);
}

int api_user_disable(struct api_call *c)
{
	struct account_change to = ACCOUNT_AS_IS;

	to.disabled = true;
	return change(c, ACCOUNT_USER, &to);
}

/* --- organizations */

int api_orgs(struct api_call *c)
{
	return list(c, ACCOUNT_ORG);
}

int api_org_add(struct api_call *c)
{
	return add(c, ACCOUNT_ORG);
}

int api_org(struct api_call *c)
{
	return show(c, ACCOUNT_ORG);
}

int api_org_change(struct api_call *c)
{
	struct account_change to = change_of(c);

	return change(c, ACCOUNT_ORG, &to);
}

int api_org_remove(struct api_call *c)
{
	return take_out(c, ACCOUNT_ORG);
}

/* --- members */

struct members {
	struct api_page page;
	const char *after; /* or NULL */
};

static int write_member(struct jwrite *w, const char *name, enum role role)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "user", name);
	jwrite_text(w, "role", role_word(role));
	jwrite_object_end(w);
	return 0;
}

static int list_member(void *arg, const char *name, enum role role)
{
	struct members *m = arg;

	if (m->after && strcasecmp(name, m->after) <= 0)
		return 0;
	return api_page_room(&m->page, name) ? write_member(&m->page.call->w, name, role) : 1;
}

int api_members(struct api_call *c)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct members m = { .after = NULL };
	struct account org;
	int r = get(c, ACCOUNT_ORG, c->params[0], &org);

	if (r < 0)
		return r;
	m.page = api_page_begin(c, &room, &m.after);
	r = memberships_each(api_db(c), org.name, list_member, &m);
	api_page_end(&m.page);
	return r < 0 ? r : 0;
}

int api_member_put(struct api_call *c)
{
	enum role role = ROLE_READ;
	struct account org, user;
	int r = get(c, ACCOUNT_ORG, c->params[0], &org);

	if (r == 0)
		r = get(c, ACCOUNT_USER, c->params[1], &user);
	if (r == 0 && !role_parse(api_text(c, "role", "read"), &role))
		r = -EINVAL;
	buf_printf(&c->subject, "user %s in %s as %s", c->params[1], c->params[0], role_word(role));
	if (r == 0)
		r = membership_set(api_db(c), org.name, user.name, role, &c->why);
	return r < 0 ? r : write_member(&c->w, user.name, role);
}

static int is_member(void *arg, const char *name, enum role role UNUSED)
{
	return strcasecmp(name, arg) == 0;
}

int api_member_remove(struct api_call *c)
{
	char *user = c->params[1];
	struct account org;
	int r = get(c, ACCOUNT_ORG, c->params[0], &org);

	buf_printf(&c->subject, "user %s in %s", user, c->params[0]);
	if (r == 0)
		r = memberships_each(api_db(c), org.name, is_member, user);
	if (r == 0)
		return api_complain(c, -ENOENT, "\"%s\" is no member of \"%s\"", user, org.name);
	if (r > 0)
		r = membership_set(api_db(c), org.name, user, ROLE_NONE, &c->why);
	return r < 0 ? r : api_nothing(c);
}
