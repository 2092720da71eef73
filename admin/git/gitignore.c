/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/git/gitignore.h"

#include <string.h>

/* Blanks at the end do not count, unless a backslash is before them. */
static size_t trimmed(const char *line)
{
	size_t len = 0;

	for (size_t i = 0; line[i]; i++) {
		if (line[i] == '\\' && line[i + 1])
			i++;
		else if (line[i] == ' ')
			continue;
		len = i + 1;
	}
	return len;
}

static int add_line(struct git_rules *rules, char *line)
{
	bool out = *line != '!';
	size_t len = strlen(line);

	if (*line == '#')
		return 0;
	if (len && line[len - 1] == '\r')
		line[len - 1] = '\0';
	line += !out;
	return git_rules_add(rules, line, trimmed(line), out);
}

int gitignore_parse(const char *text, size_t len, struct git_rules **ret)
{
	return git_rules_parse(text, len, add_line, ret);
}

/* What lies in a directory that is left out cannot be taken in again. */
bool gitignore_leaves_out(const struct git_rules *rules, const char *path)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/'))
		if (git_rules_say(rules, path, (size_t)(slash - path), true, false))
			return true;
	return git_rules_say(rules, path, strlen(path), false, false);
}
