/* SPDX-License-Identifier: Apache-2.0 */
/* check_accounts DIRECTORY: does to a hub's metadata (DIRECTORY is the hub's DATA/hub, also
 * while it runs) what the lines of its input say, and ends with 1 if one of them fails:
 *   user|admin|org NAME          private|public|unsaid MODEL      default-private ORG
 *   member ORG USER ROLE         rule WHAT WHOM ROLE              disable|enable USER
 *   token USER NAME ROLE VALUE [SECONDS]                          revoke USER NAME
 *   fine USER NAME VALUE WHAT=ROLE...                             retire|again NAME */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/account/retire.h"
#include "admin/account/rights.h"
#include "admin/account/rules.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define WORDS_MAX 16

struct line {
	struct db *db;
	char *words[WORDS_MAX + 1]; /* those behind the last are NULL */
	struct buf *why;
};

static enum role role_of(const char *word)
{
	enum role role = ROLE_NONE;

	if (!role_parse(word, &role))
		fprintf(stderr, "check_accounts: %s is no role\n", word ? word : "nothing");
	return role;
}

static int change(const struct line *l, int disabled, int is_admin, int private_default)
{
	struct account_change c = { .disabled = disabled,
				    .is_admin = is_admin,
				    .private_default = private_default };

	return accounts_change(l->db, l->words[1], &c, l->why);
}

static int add_user(const struct line *l)
{
	return accounts_add(l->db, ACCOUNT_USER, l->words[1], &ACCOUNT_AS_IS, l->why);
}

static int add_again(const struct line *l)
{
	struct account_change c = ACCOUNT_AS_IS;

	c.again = true;
	return accounts_add(l->db, ACCOUNT_USER, l->words[1], &c, l->why);
}

static int add_admin(const struct line *l)
{
	int r = add_user(l);

	return r < 0 ? r : change(l, -1, 1, -1);
}

static int add_org(const struct line *l)
{
	return accounts_add(l->db, ACCOUNT_ORG, l->words[1], &ACCOUNT_AS_IS, l->why);
}

static int say(const struct line *l, enum visibility v)
{
	struct repo_id id;
	int r = repo_id_parse(REPO_MODEL, l->words[1], &id);

	return r < 0 ? r
		     : rights_set_visibility(l->db, &(struct repo_names){ { &id }, 1, false }, v);
}

static int say_private(const struct line *l)
{
	return say(l, VISIBILITY_PRIVATE);
}

static int say_public(const struct line *l)
{
	return say(l, VISIBILITY_PUBLIC);
}

static int unsay(const struct line *l)
{
	return say(l, VISIBILITY_UNSAID);
}

static int default_private(const struct line *l)
{
	return change(l, -1, -1, 1);
}

static int disable(const struct line *l)
{
	return change(l, 1, -1, -1);
}

static int enable(const struct line *l)
{
	return change(l, 0, -1, -1);
}

static int member(const struct line *l)
{
	return membership_set(l->db, l->words[1], l->words[2], role_of(l->words[3]), l->why);
}

static int rule(const struct line *l)
{
	struct rule rule = { .role = role_of(l->words[3]) };

	snprintf(rule.what, sizeof(rule.what), "%s", l->words[1]);
	snprintf(rule.whom, sizeof(rule.whom), "%s", l->words[2]);
	return rules_set(l->db, &rule, l->why);
}

static struct token token_of(const struct line *l)
{
	struct token t = { .role = ROLE_NONE };

	snprintf(t.user, sizeof(t.user), "%s", l->words[1]);
	snprintf(t.name, sizeof(t.name), "%s", l->words[2]);
	return t;
}

static int token(const struct line *l)
{
	struct token t = token_of(l);

	t.role = role_of(l->words[3]);
	if (l->words[5])
		t.expires_s = clock_wall_s() + strtol(l->words[5], NULL, 10);
	return tokens_add(l->db, &t, l->words[4], NULL, l->why);
}

static int fine(const struct line *l)
{
	struct grant grants[WORDS_MAX] = { 0 };
	struct token t = token_of(l);

	t.grants = grants;
	for (char *const *w = &l->words[4]; *w; w++) {
		struct grant *g = &grants[t.grant_count++];
		size_t len = strcspn(*w, "=");

		snprintf(g->what, sizeof(g->what), "%.*s", (int)len, *w);
		g->role = role_of(*w + len + ((*w)[len] == '='));
	}
	return tokens_add(l->db, &t, l->words[3], NULL, l->why);
}

static int remove_token(const struct line *l)
{
	return tokens_remove(l->db, l->words[1], l->words[2]);
}

static int retire(const struct line *l)
{
	return retire_account(l->db, l->words[1], l->why);
}

static const struct {
	const char *word;
	int least; /* words, itself included */
	int (*run)(const struct line *l);
} commands[] = {
	{ "user", 2, add_user },     { "admin", 2, add_admin },
	{ "org", 2, add_org },       { "private", 2, say_private },
	{ "public", 2, say_public }, { "unsaid", 2, unsay },
	{ "member", 4, member },     { "default-private", 2, default_private },
	{ "rule", 4, rule },         { "disable", 2, disable },
	{ "enable", 2, enable },     { "token", 5, token },
	{ "fine", 5, fine },         { "revoke", 3, remove_token },
	{ "retire", 2, retire },     { "again", 2, add_again },
};

static int run(struct db *db, char *text)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct line l = { .db = db, .why = &why };
	char *rest = text;
	int count = 0, r = ERR_CONF;

	while (count < WORDS_MAX && (l.words[count] = strtok_r(rest, " \n", &rest)))
		count++;
	for (size_t i = 0; count && i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].word, l.words[0]) == 0 && count >= commands[i].least)
			r = commands[i].run(&l);
	if (r < 0 && count)
		fprintf(stderr, "check_accounts: %s: %s (%s)\n", l.words[0], err_text(r),
			buf_str(&why));
	return count ? r : 0;
}

int main(int argc, char **argv)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct db_conf conf = { .dir = argc > 1 ? argv[1] : "" };
	struct db *db;
	char line[8192];
	int r = db_open(&conf, &db, &why);

	if (r < 0) {
		fprintf(stderr, "check_accounts: %s\n", buf_str(&why));
		return 2;
	}
	while (r == 0 && fgets(line, sizeof(line), stdin))
		r = run(db, line);
	db_close(db);
	return r < 0;
}
