/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens never stand in a message, whatever is wrong with them, and are wiped from memory after
 * use. */
#include "fs/options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/why.h"
#include "daemon/hub/hub_url.h"
#include "fs/secret.h"

#define TOKEN_FILE_BYTES_MAX (64 * 1024)

/* Whose token is looked for, and where. */
struct search {
	const char *path; /* for messages */
	const char *hub_url;
	bool first_hub;
	struct buf *why;
};

static void buf_wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_free(b);
}

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t\r\n");
	len = strlen(text);
	while (len && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	return text;
}

static bool is_token(const char *text)
{
	for (const char *c = text; *c; c++)
		if (!isgraph((unsigned char)*c))
			return false;
	return *text;
}

/* Takes the URL off a line "URL TOKEN": *ret_url is "" for a bare token. */
static int split_line(const struct search *s, unsigned number, char *line, const char **ret_url,
		      char **ret_token)
{
	char *blank = line + strcspn(line, " \t");

	*ret_url = "";
	*ret_token = line;
	if (*blank) {
		*blank = '\0';
		*ret_url = line;
		*ret_token = trim(blank + 1);
	}
	if (!*blank && !**ret_url && hub_url_has_scheme(line))
		return complain(s->why, "%s:%u: Behind the URL of a hub must stand its token.",
				s->path, number);
	if (**ret_url && hub_url_problem(*ret_url))
		return complain(s->why,
				"%s:%u: A line is a token, or the URL of a hub and its token.",
				s->path, number);
	if (!is_token(*ret_token))
		return complain(s->why,
				"%s:%u: The token holds a blank, a control byte or a letter "
				"that is not ASCII.",
				s->path, number);
	return 0;
}

static int is_same_hub(const char *url, const char *hub_url)
{
	CLEANUP(freep) char *clean = NULL;
	int r = hub_url_clean(url, &clean);

	return r < 0 ? r : !strcmp(clean, hub_url);
}

/* 1 if the line holds the token that is looked for. */
static int match_line(const struct search *s, unsigned number, char *line, char **ret_token)
{
	const char *url;
	int r;

	line = trim(line);
	if (!*line || *line == '#')
		return 0;
	r = split_line(s, number, line, &url, ret_token);
	if (r < 0)
		return r;
	return *url ? is_same_hub(url, s->hub_url) : s->first_hub;
}

static int search_text(const struct search *s, struct buf *text, char **ret)
{
	char *next = text->data, *line, *token, *found = NULL;

	if (next && strlen(next) != text->len)
		return complain(s->why, "The token file %s holds a NUL byte.", s->path);
	for (unsigned number = 1; (line = strsep(&next, "\n")); number++) {
		int r = match_line(s, number, line, &token);

		if (r < 0)
			return r;
		if (r && !found)
			found = token;
	}
	if (found && !(*ret = strdup(found)))
		return -ENOMEM;
	return 0;
}

/* Somebody may have given the token itself. */
static int complain_unread(const struct search *s, int r)
{
	if (secret_is_path(s->path))
		return complain(s->why, "The token file %s cannot be read: %s.", s->path,
				err_text(r));
	return complain(s->why,
			"The token file cannot be read: %s. What was given for it is not repeated "
			"here: it begins neither with / nor with ./, and may be a token. It must "
			"be the name of a file (token-file, HF_TOKEN_PATH).",
			err_text(r));
}

/* Which failure to read is no failure: 0, -ENOENT, or any (1). */
static int search_file(const struct search *s, int forgive, char **ret)
{
	CLEANUP(buf_wipe) struct buf text = { 0 };
	int r = file_read_all(AT_FDCWD, s->path, TOKEN_FILE_BYTES_MAX, &text);

	if (r < 0 && (forgive == 1 || r == forgive))
		return 0;
	if (r == -EFBIG)
		return complain(s->why, "The token file %s is larger than 64KiB.", s->path);
	if (r < 0)
		return complain_unread(s, r);
	return search_text(s, &text, ret);
}

static int search_value(struct search *s, const char *value, char **ret)
{
	CLEANUP(buf_wipe) struct buf text = { 0 };
	const char *token;

	if (buf_add_str(&text, value) < 0)
		return text.failed;
	token = trim(text.data);
	if (!*token)
		return 0;
	if (!is_token(token))
		return complain(s->why, "The token in HF_TOKEN holds a blank, a control byte or a "
					"letter that is not ASCII.");
	*ret = strdup(token);
	return *ret ? 0 : -ENOMEM;
}

/* Where huggingface_hub keeps the token of a login. */
static int login_path(char *(*getenv_fn)(const char *), struct buf *ret)
{
	const char *hf_home = getenv_fn("HF_HOME"), *xdg = getenv_fn("XDG_CACHE_HOME");
	const char *home = getenv_fn("HOME");

	if (hf_home && *hf_home)
		buf_printf(ret, "%s/token", hf_home);
	else if (xdg && *xdg)
		buf_printf(ret, "%s/huggingface/token", xdg);
	else if (home && *home)
		buf_printf(ret, "%s/.cache/huggingface/token", home);
	return ret->failed;
}

/* As huggingface_hub does: a named file takes the place of the login's, and none is no error. */
static int search_login(struct search *s, char *(*getenv_fn)(const char *), char **ret)
{
	const char *named = getenv_fn("HF_TOKEN_PATH");
	CLEANUP(buf_free) struct buf path = { 0 };
	int r;

	if (named && *named) {
		s->path = named;
		return search_file(s, -ENOENT, ret);
	}
	r = login_path(getenv_fn, &path);
	if (r || !path.len)
		return r;
	s->path = buf_str(&path);
	return search_file(s, 1, ret);
}

int options_token(const struct options *o, const char *hub_url, bool first_hub,
		  char *(*getenv_fn)(const char *), char **ret, struct buf *why)
{
	struct search s = { o->token_file, hub_url, first_hub, why };
	int r = 0;

	*ret = NULL;
	if (o->token_file)
		r = search_file(&s, 0, ret);
	if (!r && !*ret && first_hub && o->token_env)
		r = search_value(&s, o->token_env, ret);
	if (!r && !*ret && first_hub)
		r = search_login(&s, getenv_fn, ret);
	return r;
}

void options_token_free(char *token)
{
	if (token)
		explicit_bzero(token, strlen(token));
	free(token);
}
