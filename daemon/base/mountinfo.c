/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/mountinfo.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/file.h"

#define MOUNTS_BYTES_MAX (16u << 20)

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Blanks and backslashes in paths are three octal digits there. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; to++) {
		if (text[0] == '\\' && is_octal(text[1]) && is_octal(text[2]) &&
		    is_octal(text[3])) {
			*to = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

/* A line of it, which ends with the text or a newline. */
static bool parse_line(const char *line, struct mountinfo *ret)
{
	const char *rest = strstr(line, " - ");

	ret->super[0] = '\0';
	if (!rest || (size_t)(rest - line) > strcspn(line, "\n") ||
	    sscanf(line, "%*u %*u %u:%u %*s %4095s", &ret->major, &ret->minor, ret->at) != 3 ||
	    sscanf(rest, " - %63s %*s %4095s", ret->type, ret->super) < 1)
		return false;
	unescape(ret->at);
	return true;
}

bool mountinfo_search(const char *text, const char *mountpoint, struct mountinfo *ret)
{
	CLEANUP(freep) struct mountinfo *l = calloc(1, sizeof(*l));
	bool found = false;

	for (const char *line = text; l && line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (parse_line(line, l) && !strcmp(l->at, mountpoint)) {
			*ret = *l;
			found = true;
		}
	}
	return found;
}

bool mountinfo_find(const char *mountpoint, struct mountinfo *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	return file_read_all(AT_FDCWD, "/proc/self/mountinfo", MOUNTS_BYTES_MAX, &text) == 0 &&
	       mountinfo_search(buf_str(&text), mountpoint, ret);
}
