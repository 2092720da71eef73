/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_tokens.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/account/rules.h"
#include "admin/account/tokens.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define DAYS_MAX 36500
#define DAY_S 86400
#define CURSOR_MAX (ACCOUNT_NAME_MAX + TOKEN_NAME_MAX + 2)

/* --- shapes */

#define NAME(name_, max_) \
	{ \
		.name = name_, .kind = API_TEXT, .needed = true, .min = 1, .max = max_ \
	}
#define TIME(name_) \
	{ \
		.name = name_, .kind = API_COUNT, .needed = true, .null = true \
	}
#define ROLE(needed_, words_) \
	{ \
		.name = "role", .kind = API_WORD, .needed = needed_, .words = words_ \
	}

static const struct api_field grant_fields[] = {
	{ .name = "what",
	  .kind = API_TEXT,
	  .needed = true,
	  .min = 1,
	  .max = REPO_KEY_MAX,
	  .doc = "A namespace, or a repository as models/namespace/name." },
	ROLE(true, "read|write"),
	{ 0 },
};
static const struct api_shape grant_shape = { "Grant", grant_fields };

static const struct api_field token_fields[] = {
	API_TEXT_ROW("user"),
	API_TEXT_ROW("name"),
	ROLE(false, ROLE_WORDS),
	{ .name = "grants",
	  .kind = API_LIST,
	  .of = &grant_shape,
	  .doc = "In the place of a role." },
	TIME("created"),
	TIME("expires"),
	TIME("used"),
	{ .name = "token",
	  .kind = API_TEXT,
	  .doc = "Its value, in the answer to what made it and nowhere else." },
	{ 0 },
};
const struct api_shape api_token_shape = { "Token", token_fields };

static const struct api_field token_new_fields[] = {
	NAME("user", ACCOUNT_NAME_MAX),
	NAME("name", TOKEN_NAME_LETTERS_MAX),
	{ .name = "role",
	  .kind = API_WORD,
	  .words = ROLE_WORDS,
	  .doc = "\"read\" unless there are grants; both make no sense." },
	{ .name = "grants", .kind = API_LIST, .min = 1, .max = GRANTS_MAX, .of = &grant_shape },
	{ .name = "expires_days", .kind = API_COUNT, .min = 1, .max = DAYS_MAX },
	{ .name = "secret",
	  .kind = API_ASCII,
	  .min = 1,
	  .max = TOKEN_VALUE_MAX,
	  .doc = "The value that a client holds already; without it one is made." },
	{ 0 },
};
const struct api_shape api_token_new_shape = { "NewToken", token_new_fields };

static const struct api_field rule_fields[] = {
	NAME("what", REPO_KEY_MAX),
	NAME("whom", ACCOUNT_NAME_MAX),
	ROLE(true, ROLE_WORDS),
	{ 0 },
};
const struct api_shape api_rule_shape = { "Rule", rule_fields };

/* --- tokens */

static void write_time(struct jwrite *w, const char *key, int64_t s)
{
	if (s)
		jwrite_int(w, key, s);
	else
		jwrite_null(w, key);
}

static void write_token(struct jwrite *w, const struct token *t, const char *value)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "user", t->user);
	jwrite_text(w, "name", t->name);
	if (t->role != ROLE_NONE)
		jwrite_text(w, "role", role_word(t->role));
	else
		token_write_grants(t, w);
	write_time(w, "created", t->created_s);
	write_time(w, "expires", t->expires_s);
	write_time(w, "used", t->used_s);
	if (value)
		jwrite_text(w, "token", value);
	jwrite_object_end(w);
}

struct tokens {
	struct api_page page;
	struct buf after_user; /* "" : from the first */
	const char *after_name;
};

/* A cursor is "user/name". */
static int take_cursor(struct tokens *t, const char *cursor)
{
	size_t len = cursor ? strcspn(cursor, "/") : 0;

	t->after_name = cursor && cursor[len] ? cursor + len + 1 : "";
	return len ? buf_add(&t->after_user, cursor, len) : 0;
}

static int list_token(void *arg, const struct token *token)
{
	struct tokens *t = arg;
	char place[CURSOR_MAX];

	if (strcasecmp(token->user, buf_str(&t->after_user)) == 0 &&
	    strcmp(token->name, t->after_name) <= 0)
		return 0;
	snprintf(place, sizeof(place), "%s/%s", token->user, token->name);
	if (!api_page_room(&t->page, place))
		return 1;
	write_token(&t->page.call->w, token, NULL);
	return 0;
}

/* Names, each with its NUL: tokens are not asked for inside the transaction. */
static int collect(void *arg, const struct account *a)
{
	return buf_add(arg, a->name, strlen(a->name) + 1);
}

static int list_all(struct api_call *c, struct tokens *t)
{
	CLEANUP(buf_free) struct buf names = { 0 };
	const char *after = buf_str(&t->after_user);
	int r = accounts_each(api_db(c), ACCOUNT_USER, NULL, collect, &names);

	for (const char *n = names.data; r == 0 && n < names.data + names.len; n += strlen(n) + 1)
		if (strcasecmp(n, after) >= 0)
			r = tokens_each(api_db(c), n, list_token, t);
	return r;
}

int api_tokens(struct api_call *c)
{
	CLEANUP(buf_free) struct buf room = { 0 }, user = { 0 };
	const char *whose = api_query(c, "user", &user), *cursor;
	struct tokens t = { .page = api_page_begin(c, &room, &cursor) };
	struct account a;
	int r = take_cursor(&t, cursor);

	if (r == 0 && whose)
		r = accounts_get(api_db(c), whose, &a);
	if (r == -ENOENT)
		api_complain(c, r, "there is no user \"%s\"", whose);
	if (r == 0)
		r = whose ? tokens_each(api_db(c), whose, list_token, &t) : list_all(c, &t);
	api_page_end(&t.page);
	buf_free(&t.after_user);
	return r < 0 ? r : 0;
}

static int no_scope(struct api_call *c, const char *what)
{
	return api_complain(c, -ENOENT,
			    "there can be no \"%s\": it is a namespace, or a repository as "
			    "models/namespace/name",
			    what);
}

static int take_grants(struct api_call *c, struct token *ret)
{
	const struct jval *list = jval_get(c->content, "grants");
	size_t count = jval_count(list);
	char key[REPO_KEY_MAX + 1];

	if (!count)
		return 0;
	ret->grants = calloc(count, sizeof(*ret->grants));
	if (!ret->grants)
		return -ENOMEM;
	for (; ret->grant_count < count; ret->grant_count++) {
		struct grant *g = &ret->grants[ret->grant_count];
		const char *what = jval_get_str(jval_at(list, ret->grant_count), "what");

		if (strlen(what) > REPO_KEY_MAX || !token_scope_valid(what, key))
			return no_scope(c, what);
		snprintf(g->what, sizeof(g->what), "%s", what);
		if (!role_parse(jval_get_str(jval_at(list, ret->grant_count), "role"), &g->role))
			return -EINVAL;
	}
	return 0;
}

static int take_token(struct api_call *c, struct token *ret)
{
	const char *role = api_text(c, "role", NULL);
	int64_t days = api_count(jval_get(c->content, "expires_days"));
	int r = take_grants(c, ret);

	if (r < 0)
		return r;
	if (role && ret->grant_count)
		return api_complain(c, -EBUSY, "a token has either a role or grants");
	if (!ret->grant_count && !role_parse(role ? role : "read", &ret->role))
		return -EINVAL;
	snprintf(ret->user, sizeof(ret->user), "%s", api_text(c, "user", ""));
	snprintf(ret->name, sizeof(ret->name), "%s", api_text(c, "name", ""));
	if (days > 0)
		ret->expires_s = clock_wall_s() + days * DAY_S;
	return 0;
}

static int keep_token(struct api_call *c, struct token *t)
{
	const char *secret = api_text(c, "secret", NULL);
	struct buf value = { 0 };
	int r = tokens_add(api_db(c), t, secret, secret ? NULL : &value, &c->why);

	t->created_s = clock_wall_s();
	if (r == 0)
		write_token(&c->w, t, secret ? NULL : buf_str(&value));
	if (value.data)
		explicit_bzero(value.data, value.cap);
	buf_free(&value);
	return r;
}

int api_token_add(struct api_call *c)
{
	CLEANUP(token_fini) struct token t = { .role = ROLE_NONE };
	struct account a;
	int r = take_token(c, &t);

	buf_printf(&c->subject, "token %s of %s", t.name, t.user);
	if (r < 0)
		return r;
	r = accounts_get(api_db(c), t.user, &a);
	if (r == -ENOENT || (r == 0 && a.kind != ACCOUNT_USER))
		return api_complain(c, -ENOENT, "there is no user \"%s\"", t.user);
	return r < 0 ? r : keep_token(c, &t);
}

int api_token_remove(struct api_call *c)
{
	int r = tokens_remove(api_db(c), c->params[0], c->params[1]);

	buf_printf(&c->subject, "token %s of %s", c->params[1], c->params[0]);
	if (r == -ENOENT)
		return api_complain(c, r, "\"%s\" has no token \"%s\"", c->params[0], c->params[1]);
	return r < 0 ? r : api_nothing(c);
}

/* --- rules */

struct rules {
	struct api_page page;
	const char *after; /* or NULL */
	const struct rule *wanted;
};

static void write_rule(struct jwrite *w, const struct rule *r)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "what", r->what);
	jwrite_text(w, "whom", r->whom);
	jwrite_text(w, "role", role_word(r->role));
	jwrite_object_end(w);
}

static int list_rule(void *arg, const struct rule *rule)
{
	struct rules *l = arg;
	char place[sizeof(rule->what) + sizeof(rule->whom) + 1];

	snprintf(place, sizeof(place), "%s %s", rule->what, rule->whom);
	if (l->after && strcmp(place, l->after) <= 0)
		return 0;
	if (!api_page_room(&l->page, place))
		return 1;
	write_rule(&l->page.call->w, rule);
	return 0;
}

int api_rules(struct api_call *c)
{
	CLEANUP(buf_free) struct buf room = { 0 }, what = { 0 };
	struct rules l = { .wanted = NULL };
	char key[REPO_KEY_MAX + 1];
	const char *about = api_query(c, "what", &what);
	int r;

	if (about && !token_scope_valid(about, key))
		return no_scope(c, about);
	l.page = api_page_begin(c, &room, &l.after);
	r = rules_each(api_db(c), about ? key : NULL, list_rule, &l);
	api_page_end(&l.page);
	return r < 0 ? r : 0;
}

/* What rules may call that which one is about: of a repository that was renamed all its names, the
 * one it has first. */
struct subject {
	char names[REPO_NAMES_MAX][REPO_KEY_MAX + 1];
	unsigned count;
};

static int take_subject(struct api_call *c, const char *what, struct subject *ret)
{
	struct repo_names names;
	struct repo_id id;

	ret->count = 1;
	if (strlen(what) > REPO_KEY_MAX || !token_scope_valid(what, ret->names[0]))
		return no_scope(c, what);
	if (repo_id_parse_key(ret->names[0], &id) < 0)
		return 0;
	known_names_of(node_known(c->ask->server->node), &id, &names);
	for (unsigned i = 0; i < names.count; i++) {
		repo_id_key_small(names.list[i], ret->names[i]);
	}
	ret->count = names.count;
	return 0;
}

static void take_rule(struct api_call *c, const char *what, const char *whom, struct rule *ret)
{
	snprintf(ret->what, sizeof(ret->what), "%s", what);
	snprintf(ret->whom, sizeof(ret->whom), "%s", whom);
	buf_clear(&c->subject);
	buf_printf(&c->subject, "%s for %s", ret->what, ret->whom);
}

int api_rule_put(struct api_call *c)
{
	struct rule rule = { .role = ROLE_NONE };
	struct subject about;
	int r = take_subject(c, api_text(c, "what", ""), &about);

	if (r == 0)
		take_rule(c, about.names[0], api_text(c, "whom", ""), &rule);
	if (r == 0 && !role_parse(api_text(c, "role", ""), &rule.role))
		r = -EINVAL;
	if (r == 0)
		r = rules_set(api_db(c), &rule, &c->why);
	if (r == 0)
		write_rule(&c->w, &rule);
	return r;
}

static int is_rule(void *arg, const struct rule *rule)
{
	const struct rule *wanted = arg;

	return strcasecmp(rule->whom, wanted->whom) == 0;
}

/* 1 if there was one. */
static int remove_rule(struct api_call *c, struct rule *rule)
{
	int r = rules_each(api_db(c), rule->what, is_rule, rule);

	if (r <= 0)
		return r;
	r = rules_set(api_db(c), rule, &c->why);
	return r < 0 ? r : 1;
}

int api_rule_remove(struct api_call *c)
{
	CLEANUP(buf_free) struct buf what = { 0 }, whom = { 0 };
	const char *text = api_query(c, "what", &what), *of = api_query(c, "whom", &whom);
	struct rule rule = { .role = ROLE_NONE };
	struct subject about;
	int r = take_subject(c, text ? text : "", &about), found = 0;

	for (unsigned i = 0; r >= 0 && i < about.count; i++) {
		take_rule(c, about.names[i], of ? of : "", &rule);
		r = remove_rule(c, &rule);
		found |= r > 0;
	}
	if (r >= 0 && !found)
		return api_complain(c, -ENOENT, "there is no rule of \"%s\" about \"%s\"",
				    rule.whom, about.names[0]);
	return r < 0 ? r : api_nothing(c);
}
