/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/git_program.h"

#include <assert.h>
#include <stdio.h>

void git_says(const struct workdir *w, const char *script, struct buf *ret)
{
	CLEANUP(buf_free) struct buf command = { 0 };
	char piece[4096];
	size_t n;
	FILE *from;
	int status;

	buf_clear(ret);
	buf_printf(&command,
		   "cd %s && export HOME=%s GIT_CONFIG_NOSYSTEM=1 && "
		   "{ [ -d .git ] || git init -q; } && { %s; }",
		   w->path, w->path, script);
	from = popen(command.data, "r");
	assert(from);
	while ((n = fread(piece, 1, sizeof(piece), from)) > 0)
		buf_add(ret, piece, n);
	status = pclose(from);
	assert(status == 0 && !ret->failed);
	if (ret->len && ret->data[ret->len - 1] == '\n')
		ret->data[--ret->len] = '\0';
}

void git_file(const struct workdir *w, const char *name, const struct buf *bytes)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	size_t written;
	FILE *to;

	buf_printf(&path, "%s/%s", w->path, name);
	to = fopen(path.data, "w");
	assert(to);
	written = fwrite(buf_str(bytes), 1, bytes->len, to);
	assert(written == bytes->len);
	fclose(to);
}
