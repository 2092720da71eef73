/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_style.h"

#include <string.h>
#include <unistd.h>

#include "admin/ctl/ctl_print.h"

static const char *const codes[] = {
	[CTL_GOOD] = "32", [CTL_ODD] = "33", [CTL_BAD] = "31", [CTL_FAINT] = "2", [CTL_BOLD] = "1",
};

bool ctl_style_wanted(int fd, char *(*getenv_fn)(const char *))
{
	const char *no = getenv_fn("NO_COLOR"), *term = getenv_fn("TERM");

	return isatty(fd) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

void ctl_style_add(bool coloured, enum ctl_colour colour, const char *text, struct buf *ret)
{
	if (coloured)
		buf_printf(ret, "\033[%sm", codes[colour]);
	ctl_print_text(text, ret);
	if (coloured)
		buf_add_str(ret, "\033[0m");
}
