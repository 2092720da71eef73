/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/secret.h"

#include <ctype.h>
#include <string.h>

#define TOKEN_HEAD "hf_"
#define TOKEN_LEN_MIN 4 /* of the rest; tokens have 34 */

static size_t token_len(const char *text)
{
	size_t len = 0;

	while (isalnum((unsigned char)text[len]) || text[len] == '_')
		len++;
	return len >= TOKEN_LEN_MIN ? len : 0;
}

void secret_hide(struct buf *text)
{
	char *at = text->data;

	while (at && (at = strstr(at, TOKEN_HEAD))) {
		size_t len;

		at += strlen(TOKEN_HEAD);
		len = token_len(at);
		if (len == 0)
			continue;
		memset(at, '.', 3);
		memmove(at + 3, at + len, strlen(at + len) + 1);
		text->len -= len - 3;
	}
}

bool secret_is_path(const char *word)
{
	if (!strcmp(word, ".") || !strcmp(word, ".."))
		return true;
	return !strncmp(word, "/", 1) || !strncmp(word, "./", 2) || !strncmp(word, "../", 3);
}
