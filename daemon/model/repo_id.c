/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/repo_id.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/text.h"

#define PART_MAX 96

static const char *const plurals[REPO_TYPE_COUNT] = {
	[REPO_MODEL] = "models",
	[REPO_DATASET] = "datasets",
	[REPO_SPACE] = "spaces",
};

static const char *const prefixes[REPO_TYPE_COUNT] = {
	[REPO_MODEL] = "",
	[REPO_DATASET] = "datasets/",
	[REPO_SPACE] = "spaces/",
};

const char *repo_type_plural(enum repo_type type)
{
	return plurals[type];
}

const char *repo_type_word(enum repo_type type)
{
	static const char *const words[] = { "model", "dataset", "space" };

	return words[type];
}

const char *repo_type_prefix(enum repo_type type)
{
	return prefixes[type];
}

static int is_part_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static int is_edge_char(char c)
{
	return c != '.' && c != '-';
}

static int ends_with(const char *text, size_t len, const char *end)
{
	size_t end_len = strlen(end);

	return len >= end_len && !memcmp(text + len - end_len, end, end_len);
}

int repo_part_valid(const char *part, size_t len)
{
	if (!len || len > PART_MAX || !is_edge_char(part[0]) || !is_edge_char(part[len - 1]))
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (!is_part_char(part[i]))
			return 0;
		if (i && part[i] == part[i - 1] && !is_edge_char(part[i]))
			return 0;
	}
	return !ends_with(part, len, ".git");
}

/* Parses "ns<separator>name" or "name". */
static int parse_name(enum repo_type type, const char *text, const char *separator,
		      struct repo_id *ret)
{
	const char *split = strstr(text, separator);
	const char *name = split ? split + strlen(separator) : text;
	size_t ns_len = split ? (size_t)(split - text) : 0;

	if (split && !repo_part_valid(text, ns_len))
		return -EINVAL;
	if (!repo_part_valid(name, strlen(name)))
		return -EINVAL;
	*ret = (struct repo_id){ .type = type };
	snprintf(ret->name, sizeof(ret->name), "%.*s%s%s", (int)ns_len, text, split ? "/" : "",
		 name);
	return 0;
}

int repo_id_parse(enum repo_type type, const char *text, struct repo_id *ret)
{
	return parse_name(type, text, "/", ret);
}

/* Parses "<plural><separator>..." where the separator also parts the name. */
static int parse_typed(const char *text, const char *separator, struct repo_id *ret)
{
	for (enum repo_type type = 0; type < REPO_TYPE_COUNT; type++) {
		size_t len = strlen(plurals[type]);

		if (strncmp(text, plurals[type], len) ||
		    strncmp(text + len, separator, strlen(separator)))
			continue;
		return parse_name(type, text + len + strlen(separator), separator, ret);
	}
	return -EINVAL;
}

int repo_id_parse_folder(const char *folder, struct repo_id *ret)
{
	return parse_typed(folder, "--", ret);
}

void repo_id_folder(const struct repo_id *id, char ret[static REPO_FOLDER_MAX + 1])
{
	size_t ns_len = strcspn(id->name, "/");
	const char *slash = id->name + ns_len;

	snprintf(ret, REPO_FOLDER_MAX + 1, "%s--%.*s%s%s", plurals[id->type], (int)ns_len, id->name,
		 *slash ? "--" : "", *slash ? slash + 1 : "");
}

void repo_id_key(const struct repo_id *id, char ret[static REPO_KEY_MAX + 1])
{
	char *end = stpcpy(ret, plurals[id->type]);

	*end = '/';
	memcpy(end + 1, id->name, strlen(id->name) + 1);
}

void repo_id_key_small(const struct repo_id *id, char ret[static REPO_KEY_MAX + 1])
{
	repo_id_key(id, ret);
	text_copy_small(ret, ret);
}

int repo_id_parse_key(const char *key, struct repo_id *ret)
{
	return parse_typed(key, "/", ret);
}

int commit_valid(const char *text)
{
	return hex_is(text, COMMIT_HEX);
}

static int is_revision_char(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && !strchr("~^:?*[\\", c);
}

/* One component between slashes. */
static int component_valid(const char *text, size_t len)
{
	if (!len || text[0] == '.' || ends_with(text, len, ".lock"))
		return 0;
	for (size_t i = 0; i < len; i++)
		if (!is_revision_char(text[i]))
			return 0;
	return 1;
}

int revision_valid(const char *text)
{
	size_t len = strlen(text);

	if (len > REVISION_MAX || ends_with(text, len, ".") || !strcmp(text, "@"))
		return 0;
	if (strstr(text, "..") || strstr(text, "@{"))
		return 0;
	for (;;) {
		size_t part = strcspn(text, "/");

		if (!component_valid(text, part))
			return 0;
		if (!text[part])
			return 1;
		text += part + 1;
	}
}

int revision_is_below(const char *revision, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(revision, dir, len) == 0 && revision[len] == '/';
}
