/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/target.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/url.h"

#define SEGMENT_MAX (3 * MANIFEST_PATH_MAX)
#define TARGET_NAME_MAX 64
#define NUM_DIGITS 8

/* Where the match stands: what is left of both. */
struct at {
	const char *pattern, *path, *whole;
	struct target *to;
};

static bool match(struct at at);

static size_t segment_len(const char *path)
{
	return (size_t)(strchrnul(path, '/') - path);
}

/* Behind n bytes and the slash that follows them. */
static const char *behind(const char *path, size_t n)
{
	return path[n] == '/' ? path + n + 1 : path + n;
}

/* Decodes len bytes; false if they do not fit, or hold a NUL. */
static bool decode(const char *text, size_t len, char *ret, size_t cap)
{
	char whole[SEGMENT_MAX + 1];
	size_t n;

	if (len > SEGMENT_MAX)
		return false;
	memcpy(whole, text, len);
	whole[len] = '\0';
	n = url_decode(whole);
	if (n >= cap || strstr(whole, "%00"))
		return false;
	memcpy(ret, whole, n + 1);
	return true;
}

static bool match_word(struct at at)
{
	size_t len = segment_len(at.pattern);

	if (segment_len(at.path) != len || strncmp(at.pattern, at.path, len) != 0)
		return false;
	if (at.pattern[len] != at.path[len] && strncmp(at.pattern + len, "/:path?", 7) != 0)
		return false;
	at.pattern = behind(at.pattern, len);
	at.path = behind(at.path, len);
	return match(at);
}

/* Takes len bytes of the path and one segment of the pattern. */
static struct at step(struct at at, size_t len)
{
	at.pattern = behind(at.pattern, segment_len(at.pattern));
	at.path = behind(at.path, len);
	return at;
}

static bool is_type(const char *path, enum repo_type type)
{
	const char *word = repo_type_plural(type);
	size_t len = strlen(word);

	return segment_len(path) == len && strncmp(path, word, len) == 0;
}

static bool match_type(struct at at, bool optional)
{
	for (enum repo_type t = optional ? REPO_DATASET : REPO_MODEL; t < REPO_TYPE_COUNT; t++) {
		at.to->repo.type = t;
		if (is_type(at.path, t) && match(step(at, segment_len(at.path))))
			return true;
	}
	at.to->repo.type = REPO_MODEL;
	at.pattern = behind(at.pattern, segment_len(at.pattern));
	return optional && match(at);
}

/* The name takes len bytes, and what follows it in its segment. */
static bool match_repo_of(struct at at, size_t len, const char *suffix)
{
	char name[REPO_NAME_MAX + 1];
	size_t more = strlen(suffix);

	if (len < more || memcmp(at.path + len - more, suffix, more) != 0 ||
	    !decode(at.path, len - more, name, sizeof(name)) ||
	    repo_id_parse(at.to->repo.type, name, &at.to->repo) < 0)
		return false;
	at.to->repo_at = (size_t)(at.path - at.whole);
	at.to->repo_len = len - more;
	return match(step(at, len));
}

/* With a namespace if that can be; "gpt2/tree/main" is a bare name, as the rest tells. */
static bool match_repo(struct at at, const char *suffix)
{
	size_t one = segment_len(at.path), two = one;

	if (at.path[one] == '/')
		two = one + 1 + segment_len(at.path + one + 1);
	return (two > one && match_repo_of(at, two, suffix)) || match_repo_of(at, one, suffix);
}

static bool match_rev_of(struct at at, size_t len)
{
	return len && decode(at.path, len, at.to->rev, sizeof(at.to->rev)) &&
	       revision_valid(at.to->rev) && match(step(at, len));
}

static bool match_rev(struct at at)
{
	size_t len = 0;

	if (strncmp(at.path, "refs/pr/", 8) == 0)
		len = 8 + segment_len(at.path + 8);
	else if (strncmp(at.path, "refs/convert/", 13) == 0)
		len = 13 + segment_len(at.path + 13);
	return match_rev_of(at, len ? len : segment_len(at.path));
}

static bool match_num(struct at at)
{
	size_t len = segment_len(at.path);

	if (!len || len > NUM_DIGITS || *at.path == '0' || strspn(at.path, "0123456789") != len)
		return false;
	at.to->num = (unsigned)strtoul(at.path, NULL, 10);
	return match(step(at, len));
}

static bool match_path(struct at at, bool optional)
{
	size_t len = strlen(at.path);

	while (len && at.path[len - 1] == '/')
		len--;
	return (len || optional) && decode(at.path, len, at.to->path, sizeof(at.to->path));
}

static bool is_segment(const char *pattern, const char *word)
{
	size_t len = strlen(word);

	return segment_len(pattern) == len && strncmp(pattern, word, len) == 0;
}

static bool match(struct at at)
{
	if (is_segment(at.pattern, ":path"))
		return match_path(at, false);
	if (is_segment(at.pattern, ":path?"))
		return match_path(at, true);
	if (!*at.pattern || (!*at.path && *at.pattern != ':'))
		return *at.pattern == *at.path;
	if (is_segment(at.pattern, ":type"))
		return match_type(at, false);
	if (is_segment(at.pattern, ":prefix"))
		return match_type(at, true);
	if (is_segment(at.pattern, ":repo"))
		return match_repo(at, "");
	if (is_segment(at.pattern, ":repo.git"))
		return match_repo(at, ".git");
	if (is_segment(at.pattern, ":rev"))
		return match_rev(at);
	if (is_segment(at.pattern, ":num"))
		return match_num(at);
	return match_word(at);
}

/* Behind the first segment that is this word of len bytes, or NULL. */
static const char *behind_word(const char *path, const char *word, size_t len)
{
	while (*path) {
		size_t here = segment_len(path);
		bool is_it = here == len && memcmp(path, word, len) == 0;

		path = behind(path, here);
		if (is_it)
			return path;
	}
	return NULL;
}

/* True if the path has the words of the pattern as segments, in order: most patterns fit a path not
 * even that far, and need not be tried. */
static bool has_words(const char *pattern, const char *path)
{
	for (; *pattern; pattern = behind(pattern, segment_len(pattern))) {
		size_t len = segment_len(pattern);

		if (*pattern == ':')
			continue;
		path = behind_word(path, pattern, len);
		if (!path)
			return false;
	}
	return true;
}

/* The words that a pattern begins with, without the slash before its first variable. */
static size_t prefix_len(const char *pattern)
{
	size_t len = strcspn(pattern, ":");

	return len && pattern[len] ? len - 1 : len;
}

bool target_match(const char *pattern, const char *path, struct target *ret)
{
	size_t same = prefix_len(pattern);

	if (path[0] != '/' || strncmp(pattern, path, same) != 0 ||
	    !has_words(behind(pattern, same), behind(path, same)))
		return false;
	*ret = (struct target){ 0 };
	return match((struct at){ pattern + 1, path + 1, path, ret });
}

static bool is_name(const char *path, size_t len)
{
	char name[REPO_NAME_MAX + 1];
	struct repo_id id;

	return decode(path, len, name, sizeof(name)) && repo_id_parse(REPO_MODEL, name, &id) == 0;
}

/* Behind the word for a kind and its slash, or `path`. A kind that is known elsewhere, whose
 * repositories can be no others' names here, makes *ret_strange true. */
static const char *skip_kind(const char *path, bool *ret_strange)
{
	static const char strange[] = "kernels/";

	for (enum repo_type t = REPO_MODEL; t < REPO_TYPE_COUNT; t++)
		if (is_type(path, t) && path[segment_len(path)] == '/')
			return behind(path, segment_len(path));
	*ret_strange = strncmp(path, strange, strlen(strange)) == 0;
	return *ret_strange ? path + strlen(strange) : path;
}

bool target_names_none(const char *path)
{
	static const char api[] = "/api/";
	bool is_api = strncmp(path, api, strlen(api)) == 0, strange = false;
	const char *kind = path + (is_api ? strlen(api) : *path == '/');
	const char *name = skip_kind(kind, &strange), *end;

	if (is_api) {
		size_t one = segment_len(name);
		size_t two = name[one] ? one + 1 + segment_len(name + one + 1) : one;

		return name > kind && one && (strange || !is_name(name, two));
	}
	end = strstr(name, "/resolve/");
	end = end ? end : strstr(name, "/raw/");
	return end && (strange || !is_name(name, (size_t)(end - name)));
}

/* --- fields */

/* True if the field's name, of len bytes and still encoded, is `name` or `name[]`. Fields are many
 * in a form: most are told by their length alone. */
static bool is_named(const char *field, size_t len, const char *name)
{
	size_t want = strlen(name);
	char text[TARGET_NAME_MAX + 1];

	if (len < want || len > 3 * (want + 2) || want + 2 > TARGET_NAME_MAX)
		return false;
	if (!decode(field, len, text, sizeof(text)) || strncmp(text, name, want) != 0)
		return false;
	return !text[want] || strcmp(text + want, "[]") == 0;
}

/* A '+' is a blank here, and only here. */
static bool take_value(const char *text, size_t len, struct buf *ret)
{
	buf_clear(ret);
	if (buf_add(ret, text, len) < 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (ret->data[i] == '+')
			ret->data[i] = ' ';
	if (len)
		ret->len = url_decode(ret->data);
	return true;
}

bool target_next_field(const char **at, const char *name, struct buf *ret)
{
	while (**at) {
		const char *field = *at;
		size_t len = strcspn(field, "&"), key = strcspn(field, "=&");

		*at += len + (field[len] == '&');
		if (is_named(field, key, name))
			return key < len ? take_value(field + key + 1, len - key - 1, ret)
					 : take_value("", 0, ret);
	}
	return false;
}

bool target_field(const char *query, const char *name, struct buf *ret)
{
	return target_next_field(&query, name, ret);
}

bool target_flag(const char *query, const char *name)
{
	static const char *const yes[] = { "", "1", "true", "True" };
	CLEANUP(buf_free) struct buf value = { 0 };

	if (!target_field(query, name, &value))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (strcmp(buf_str(&value), yes[i]) == 0)
			return true;
	return false;
}

unsigned target_number(const char *query, const char *name, unsigned otherwise)
{
	CLEANUP(buf_free) struct buf value = { 0 };
	unsigned long n;
	char *end;

	if (!target_field(query, name, &value) || !value.len || value.len > 9)
		return otherwise;
	n = strtoul(buf_str(&value), &end, 10);
	return *end || buf_str(&value)[0] == '-' ? otherwise : (unsigned)n;
}

unsigned target_limit(const char *query, unsigned most)
{
	unsigned limit = target_number(query, "limit", most);

	return limit && limit < most ? limit : most;
}

/* --- methods */

bool target_takes(const char *method, const char *asked)
{
	return !strcmp(asked, method) || (!strcmp(asked, "HEAD") && !strcmp(method, "GET"));
}

void target_allow(const char *method, struct buf *ret)
{
	buf_printf(ret, "%s%s%s", ret->len ? ", " : "", method,
		   strcmp(method, "GET") ? "" : ", HEAD");
}
