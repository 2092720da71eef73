/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/account/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "admin/account/guesses.h"
#include "admin/account/uses.h"
#include "daemon/base/base64.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"

#define BASIC_MAX ((ACCOUNT_NAME_MAX + 1 + TOKEN_VALUE_MAX + 2) / 3 * 4) /* digits of a pair */

struct auth {
	struct db *db;
	struct guesses *guesses;
	struct uses *uses;
};

void identity_fini(struct identity *who)
{
	token_fini(&who->token);
	*who = (struct identity){ 0 };
}

/* ---- the administrator's token ---- */

static int make_file(int dirfd, struct buf *ret_token)
{
	CLEANUP(buf_free) struct buf line = { 0 };
	int r = token_make(ret_token);

	if (r == 0)
		r = buf_printf(&line, "%s\n", buf_str(ret_token));
	if (r == 0)
		r = file_replace(dirfd, AUTH_ADMIN_FILE, line.data, line.len, 0600);
	if (line.data)
		explicit_bzero(line.data, line.cap);
	return r;
}

static int read_file(const char *dir, struct buf *ret, bool *ret_made)
{
	CLEANUP(closep) int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dirfd < 0 ? -errno : file_read_all(dirfd, AUTH_ADMIN_FILE, TOKEN_VALUE_MAX, ret);

	*ret_made = r == -ENOENT;
	if (*ret_made)
		r = make_file(dirfd, ret);
	buf_trim_end(ret);
	return r;
}

static int put_admin(struct db_txn *t)
{
	struct account a = { .kind = ACCOUNT_USER,
			     .name = ACCOUNT_ADMIN,
			     .full_name = "Administrator",
			     .is_admin = true,
			     .created_s = clock_wall_s() };
	struct account old;
	int r = account_get(t, ACCOUNT_ADMIN, &old);

	return r == -ENOENT ? account_put(t, &a) : r;
}

static int is_ours(const struct token *t)
{
	return strcmp(t->user, ACCOUNT_ADMIN) == 0 && strcmp(t->name, AUTH_ADMIN_FILE) == 0;
}

/* 0 if there is nothing to put. A full disk must not keep a hub from starting. */
static int find_admin_token(struct db_txn *t, void *arg)
{
	CLEANUP(token_fini) struct token token = { 0 };
	struct account a;
	int r = token_get(t, arg, &token);

	if (r == 0 && !is_ours(&token))
		return -EEXIST;
	return r == 0 ? account_get(t, ACCOUNT_ADMIN, &a) : r;
}

/* The file says which token it is: what was in it before is taken from nobody any more. */
static int put_admin_token(struct db_txn *t, void *arg)
{
	struct token token = { .user = ACCOUNT_ADMIN,
			       .name = AUTH_ADMIN_FILE,
			       .role = ROLE_ADMIN,
			       .created_s = clock_wall_s() };
	int r = find_admin_token(t, arg);

	if (r != -ENOENT)
		return r;
	r = token_del(t, ACCOUNT_ADMIN, AUTH_ADMIN_FILE);
	if (r == 0 || r == -ENOENT)
		r = put_admin(t);
	return r == 0 ? token_put(t, arg, &token) : r;
}

static int open_admin(const char *dir, struct db *db, bool *ret_made, struct buf *why)
{
	CLEANUP(buf_free) struct buf token = { 0 };
	uint8_t digest[TOKEN_DIGEST];
	int r = read_file(dir, &token, ret_made);

	if (r < 0) {
		buf_printf(why, "cannot read or make %s/" AUTH_ADMIN_FILE ": %s", dir, err_text(r));
		return r;
	}
	if (!token.len) {
		buf_printf(why,
			   "%s/" AUTH_ADMIN_FILE " is empty: remove it and a new token is made",
			   dir);
		return ERR_CONF;
	}
	r = token_digest(token.data, token.len, digest);
	explicit_bzero(token.data, token.cap);
	if (r == 0)
		r = db_read(db, find_admin_token, digest);
	if (r == -ENOENT)
		r = db_write(db, put_admin_token, digest);
	if (r == -EEXIST)
		buf_printf(why,
			   "%s/" AUTH_ADMIN_FILE " holds the token of somebody else: remove it and "
			   "a new token is made",
			   dir);
	else if (r < 0)
		buf_printf(why, "cannot keep the administrator's token: %s", err_text(r));
	return r;
}

int auth_open(const char *dir, struct db *db, struct workers *workers, struct auth **ret,
	      bool *ret_made, struct buf *why)
{
	struct auth *a = calloc(1, sizeof(*a));
	int r = a ? open_admin(dir, db, ret_made, why) : -ENOMEM;

	if (r == 0)
		r = guesses_new(&a->guesses);
	if (r == 0)
		r = uses_new(db, workers, &a->uses);
	if (r < 0) {
		auth_close(a);
		return r;
	}
	a->db = db;
	*ret = a;
	return 0;
}

void auth_close(struct auth *a)
{
	if (!a)
		return;
	uses_free(a->uses);
	guesses_free(a->guesses);
	free(a);
}

/* ---- who is it? ---- */

struct asking {
	uint8_t digest[TOKEN_DIGEST];
	char user[ACCOUNT_NAME_MAX + 1]; /* whose it is to be, or "" */
	struct identity *who;
};

/* Whatever is wrong with a token is the same to who sends it. */
static int find(struct db_txn *t, void *arg)
{
	struct asking *a = arg;
	struct identity *who = a->who;
	struct account user;
	int r;

	identity_fini(who);
	r = token_get(t, a->digest, &who->token);
	if (r == 0)
		r = account_get(t, who->token.user, &user);
	if (r != 0)
		return r == -ENOENT ? ERR_TOKEN : r;
	if (*a->user && strcasecmp(a->user, user.name) != 0)
		return ERR_TOKEN;
	if (user.disabled || (who->token.expires_s && who->token.expires_s <= clock_wall_s()))
		return ERR_TOKEN;
	who->known = true;
	who->is_hub_admin = user.is_admin;
	memcpy(who->user, user.name, sizeof(who->user));
	return 0;
}

/* The word behind a scheme in a field; NULL if there is none, or another scheme. */
static const char *word_behind(const char *field, const char *scheme, size_t *ret_len)
{
	size_t len = strlen(scheme);

	if (strncasecmp(field, scheme, len) != 0 || field[len] != ' ')
		return NULL;
	field += len;
	field += strspn(field, " ");
	*ret_len = strcspn(field, " ");
	return !*ret_len || field[*ret_len + strspn(field + *ret_len, " ")] ? NULL : field;
}

static int take_token(struct asking *a, const void *token, size_t len)
{
	return len > 0 && len <= TOKEN_VALUE_MAX ? token_digest(token, len, a->digest) : ERR_TOKEN;
}

/* "user:token", as programs say it that know names and passwords. */
static int take_pair(struct asking *a, const uint8_t *text, size_t len)
{
	const uint8_t *colon = memchr(text, ':', len);
	size_t user = colon ? (size_t)(colon - text) : 0;

	if (!user || user > ACCOUNT_NAME_MAX || memchr(text, '\0', user))
		return ERR_TOKEN;
	memcpy(a->user, text, user);
	a->user[user] = '\0';
	return take_token(a, colon + 1, len - user - 1);
}

static int take_basic(struct asking *a, const char *word, size_t len)
{
	uint8_t text[BASE64_BYTES(BASIC_MAX)];
	struct base64 digits = { 0 };
	size_t n = 0;
	int r = len <= BASIC_MAX ? base64_take(&digits, word, len, text, &n) : -EINVAL;

	if (r == 0)
		r = base64_end(&digits);
	r = r < 0 ? ERR_TOKEN : take_pair(a, text, n);
	explicit_bzero(text, sizeof(text));
	return r;
}

/* Whom a field names, and by which token. ERR_TOKEN if there is none, or none that can be. */
static int read_field(const char *field, struct asking *ret)
{
	size_t len;
	const char *word = word_behind(field, "Bearer", &len);

	if (word)
		return take_token(ret, word, len);
	word = word_behind(field, "Basic", &len);
	return word ? take_basic(ret, word, len) : ERR_TOKEN;
}

/* Looks a token up, as often as its address may. */
static int try(struct auth *a, struct asking *asking, const char *address)
{
	int64_t now_ms = clock_ms();
	uint64_t number;
	int r;

	memcpy(&number, asking->digest, sizeof(number));
	if (!guesses_may_try(a->guesses, address, number, now_ms))
		return log_warn(ERR_GUESSING, "address=%s", address);
	r = db_read(a->db, find, asking);
	if (r == 0 || r == ERR_TOKEN)
		guesses_note(a->guesses, address, number, r == 0, now_ms);
	return r;
}

struct recall {
	struct asking asking;
	const char *user, *token;
};

static int find_named(struct db_txn *t, void *arg)
{
	struct recall *c = arg;
	int r = token_find(t, c->user, c->token, c->asking.digest);

	return r < 0 ? (r == -ENOENT ? ERR_TOKEN : r) : find(t, &c->asking);
}

int auth_recall(struct auth *a, const char *user, const char *token, struct identity *ret)
{
	struct recall c = { .asking.who = ret, .user = user, .token = token };
	int r;

	*ret = (struct identity){ 0 };
	r = db_read(a->db, find_named, &c);
	if (r < 0)
		identity_fini(ret);
	return r;
}

bool auth_refuses(int r)
{
	return r == ERR_TOKEN || r == ERR_GUESSING;
}

int auth_check(struct auth *a, const char *field, const char *address, struct identity *ret)
{
	struct asking asking = { .who = ret };
	int r;

	*ret = (struct identity){ 0 };
	if (!field)
		return 0;
	r = read_field(field, &asking);
	if (r == 0)
		r = try(a, &asking, address);
	if (r == 0)
		uses_note(a->uses, asking.digest, ret->token.used_s);
	else
		identity_fini(ret);
	return r;
}
