/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/validate.h"

#include <string.h>
#include <strings.h>

#include "admin/hub/answer.h"
#include "admin/registry/card.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"

#define UNSAID "model" /* what it is of, where that is not said */

static bool read_type(const char *text, enum repo_type *ret)
{
	for (enum repo_type type = 0; text && type < REPO_TYPE_COUNT; type++) {
		if (strcmp(repo_type_word(type), text) != 0)
			continue;
		*ret = type;
		return true;
	}
	return false;
}

static int answer_card(struct ask *a, const char *content, enum repo_type type)
{
	CLEANUP(buf_free) struct buf json = { 0 }, first = { 0 };
	int r = card_check(content, strlen(content), type, &json, &first);

	if (r < 0)
		return r;
	answer_json(a, first.len ? 400 : 200, &json);
	return 0;
}

/* NULL is what is no text. */
static int check(struct ask *a, const char *content, const char *type_word)
{
	enum repo_type type;

	if (!content)
		answer_refuse(a, 400, "\"content\" must be a string");
	else if (!read_type(type_word, &type))
		answer_refuse(a, 400, "\"repoType\" must be one of [model, dataset, space]");
	else
		return answer_card(a, content, type);
	return 0;
}

static int check_json(struct ask *a, const struct buf *body)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *v, *type;
	int r = jdoc_parse(buf_str(body), body->len, &doc);

	if (r == ERR_PROTO) {
		answer_refuse(a, 400, "Invalid JSON");
		return 0;
	}
	if (r < 0)
		return r;
	v = jdoc_root(doc);
	type = jval_get(v, "repoType");
	return check(a, jval_get_str(v, "content"), type ? jval_str(type) : UNSAID);
}

/* Before 1.0 huggingface_hub sends one. */
static bool is_form(const struct ask *a)
{
	static const char form[] = "application/x-www-form-urlencoded";
	const char *type = httpd_field(a->http, "Content-Type");

	return type && !strncasecmp(type, form, sizeof(form) - 1);
}

static int check_form(struct ask *a, const char *form)
{
	CLEANUP(buf_free) struct buf content = { 0 }, type = { 0 };
	bool has_content = target_field(form, "content", &content);
	bool has_type = target_field(form, "repoType", &type);

	return check(a, has_content ? buf_str(&content) : NULL, has_type ? buf_str(&type) : UNSAID);
}

/* Aside: a head may be long, and is read to its end. */
int validate_yaml(struct ask *a)
{
	const struct buf *body = httpd_body(a->http);
	int r;

	if (!ask_aside(a, 0, &r))
		return r;
	return is_form(a) ? check_form(a, buf_str(body)) : check_json(a, body);
}
