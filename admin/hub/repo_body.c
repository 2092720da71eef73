/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/repo_body.h"

#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/writing.h"

static bool is_type(const char *word, enum repo_type *ret)
{
	for (int type = 0; type < REPO_TYPE_COUNT; type++) {
		*ret = (enum repo_type)type;
		if (!strcmp(word, repo_type_word(*ret)))
			return true;
	}
	return false;
}

/* Whose it is: without a namespace, of who asks. */
static void take_namespace(const struct ask *a, const struct jval *body, const char **name,
			   char ret[static ACCOUNT_NAME_MAX + 1])
{
	const char *given = jval_get_str(body, "organization");
	const char *slash = strchr(*name, '/');

	if (!given && slash) {
		snprintf(ret, ACCOUNT_NAME_MAX + 1, "%.*s", (int)(slash - *name), *name);
		*name = slash + 1;
		return;
	}
	snprintf(ret, ACCOUNT_NAME_MAX + 1, "%s", given && *given ? given : a->who.user);
}

/* The body's "type"; without one it is a model. ANSWERED. */
static int take_type(struct ask *a, const struct jval *body, enum repo_type *ret)
{
	const char *type = jval_get_str(body, "type");

	*ret = REPO_MODEL;
	if (!type || is_type(type, ret))
		return 0;
	answer_refuse(a, 400, "Invalid repo type: %s", type);
	return ANSWERED;
}

static int take_text(struct ask *a, enum repo_type type, const char *text, struct repo_id *ret)
{
	const char *slash = strchr(text, '/');

	if (slash && repo_id_parse(type, text, ret) == 0)
		return 0;
	answer_refuse(a, 400,
		      "Invalid repo name: %s - repo names are 1 to 96 letters, digits, '-', "
		      "'_' and '.', without '--' and '..', and do not begin or end with "
		      "'-' or '.', nor end with '.git'",
		      text);
	return ANSWERED;
}

int repo_body_id(struct ask *a, const struct jval *body, struct repo_id *ret)
{
	const char *name = jval_get_str(body, "name");
	char namespace[ACCOUNT_NAME_MAX + 1], text[2 * ACCOUNT_NAME_MAX + 2];
	enum repo_type type;
	int r = take_type(a, body, &type);

	if (r != 0)
		return r;
	if (!name) {
		answer_refuse(a, 400, "\"name\" is required");
		return ANSWERED;
	}
	if (jval_get(body, "organization") && !jval_get_str(body, "organization")) {
		answer_refuse(a, 400, "\"organization\" must be a name, or null");
		return ANSWERED;
	}
	take_namespace(a, body, &name, namespace);
	snprintf(text, sizeof(text), "%s/%s", namespace, name);
	return take_text(a, type, strlen(name) > ACCOUNT_NAME_MAX ? name : text, ret);
}

int repo_body_named(struct ask *a, const struct jval *body, const char *member, enum repo_type type,
		    struct repo_id *ret)
{
	const char *text = jval_get_str(body, member);

	if (text)
		return take_text(a, type, text, ret);
	answer_refuse(a, 400, "\"%s\" is required", member);
	return ANSWERED;
}

int repo_body_name(struct ask *a, const struct jval *body, const char *member, struct repo_id *ret)
{
	enum repo_type type;
	int r = take_type(a, body, &type);

	return r == 0 ? repo_body_named(a, body, member, type, ret) : r;
}

bool repo_body_visibility(struct ask *a, const struct jval *body, enum visibility *ret)
{
	const char *word = jval_get_str(body, "visibility");
	const struct jval *said = jval_get(body, "private");
	int is_private = jval_bool(said);

	if (said && is_private < 0) { /* who means to hide something must not be misunderstood */
		answer_refuse(a, 400, "\"private\" must be true or false");
		return false;
	}
	*ret = is_private < 0 ? VISIBILITY_UNSAID
	       : is_private   ? VISIBILITY_PRIVATE
			      : VISIBILITY_PUBLIC;
	if (!word)
		return true;
	*ret = strcmp(word, "private") == 0 ? VISIBILITY_PRIVATE : VISIBILITY_PUBLIC;
	if (*ret == VISIBILITY_PRIVATE || !strcmp(word, "public"))
		return true;
	answer_refuse(a, 400, "\"visibility\" must be one of [public, private]");
	return false;
}
