/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/own.h"

#define ERRNO_MAX 4095 /* the kernel's MAX_ERRNO */

struct err_row {
	int value;
	const char *word;
	int errnum;
	int http;
	const char *hub_code;
	const char *text;
};

static const struct err_row rows[] = {
#define X(name, value, errno_, http, code, text) \
	{ value, &#name[sizeof("ERR_") - 1], errno_, http, code, text },
	ERR_LIST(X)
#undef X
};

static const struct err_row *find_row(int r)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].value == r)
			return &rows[i];
	return NULL;
}

static int is_errno(int r)
{
	return r < 0 && r >= -ERRNO_MAX;
}

int err_errno(int r)
{
	const struct err_row *row = find_row(r);

	if (row)
		return row->errnum;
	return is_errno(r) ? -r : EIO;
}

int err_http(int r)
{
	const struct err_row *row = find_row(r);

	if (row)
		return row->http;
	switch (r) {
	case -EINVAL:
		return 400;
	case -EACCES:
	case -EPERM:
		return 403;
	case -ENOENT:
		return 404;
	case -ENOSPC:
	case -EDQUOT:
		return 507;
	default:
		return 500;
	}
}

const char *err_hub_code(int r)
{
	const struct err_row *row = find_row(r);

	return row ? row->hub_code : "";
}

const char *err_text(int r)
{
	static _Thread_local char text[128];
	const struct err_row *row = find_row(r);

	if (row)
		return row->text;
	if (is_errno(r))
		return strerror_r(-r, text, sizeof(text));
	snprintf(text, sizeof(text), "unknown error %d", r);
	return text;
}

unsigned err_index(int r)
{
	const struct err_row *row = find_row(r);

	return row ? (unsigned)(row - rows) + 1 : 0;
}

unsigned err_count(void)
{
	return ARRAY_LEN(rows) + 1;
}

const char *err_word(unsigned index)
{
	return index > 0 && index <= ARRAY_LEN(rows) ? rows[index - 1].word : "errno";
}

static _Thread_local struct {
	int r;
	char text[256];
} note;

void err_note(int r, const char *fmt, ...)
{
	va_list ap;

	note.r = r;
	va_start(ap, fmt);
	vsnprintf(note.text, sizeof(note.text), fmt, ap);
	va_end(ap);
}

void err_forget_note(void)
{
	note.r = 0;
}

const char *err_noted(int r)
{
	return r && note.r == r ? note.text : "";
}

bool err_is_full(int r)
{
	return r == ERR_FULL || r == -ENOSPC || r == -EDQUOT;
}

bool err_is_disk(int r)
{
	return err_is_full(r) || r == -EROFS || r == -EFBIG || r == -EIO;
}

bool err_is_misplaced(int r)
{
	switch (r) {
	case ERR_NOREPO:
	case ERR_NOREV:
	case ERR_NOENTRY:
	case ERR_GATED:
	case ERR_DISABLED:
	case ERR_TOKEN:
	case ERR_MOVED:
	case ERR_CHANGED:
		return true;
	default:
		return false;
	}
}

int err_from_word(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].word, word) == 0)
			return rows[i].value;
	return 0;
}

int err_from_hub_code(const char *code)
{
	if (!*code)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(rows[i].hub_code, code))
			return rows[i].value;
	return 0;
}
